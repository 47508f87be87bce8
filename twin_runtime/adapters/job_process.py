"""Jobs of a machine, one after the other, in a process that is killed when one takes too long.

A thread would share the interpreter with the loop that acknowledges reports, and cannot be
ended. The process is started for the first job and kept, since importing what a solver needs
takes longer than most jobs; it dies with its parent. A job goes out and its outcome comes back
as a frame: eight bytes of length, then a pickle. What a job prints goes to the log.
"""

import asyncio
import os
import pickle
import sys
from collections.abc import Callable
from typing import Any, BinaryIO

from twin_runtime.adapters.child import leashed
from twin_runtime.core.effects import Job, JobEnded
from twin_runtime.core.limits import JOBS_WAITING_MAX

_LENGTH_BYTES = 8


class JobProcess:
    """`begin` jobs while `run` runs; `ended` is told what became of each."""

    def __init__(self, ended: Callable[[JobEnded], None]) -> None:
        self._ended = ended
        self._waiting: asyncio.Queue[tuple[Job, float]] = asyncio.Queue(JOBS_WAITING_MAX)
        self._process: asyncio.subprocess.Process | None = None

    def begin(self, job: Job) -> None:
        """Do it when those before it are done; its time runs from now."""
        until_s = asyncio.get_running_loop().time() + job.deadline_s
        try:
            self._waiting.put_nowait((job, until_s))
        except asyncio.QueueFull:
            self._ended(JobEnded(job.name, failure=f"{JOBS_WAITING_MAX} jobs wait already"))

    @property
    def waiting(self) -> int:
        """How many jobs were not begun yet."""
        return self._waiting.qsize()

    async def run(self) -> None:
        """Do jobs until cancelled."""
        try:
            while True:
                job, until_s = await self._waiting.get()
                self._ended(await self._done(job, until_s))
        finally:
            await self._kill()

    async def _done(self, job: Job, until_s: float) -> JobEnded:
        try:
            async with asyncio.timeout_at(until_s):
                return JobEnded(job.name, await self._outcome(job))
        except TimeoutError:
            await self._kill()
            return JobEnded(job.name, failure=f"not done within {job.deadline_s:g} s")
        except (asyncio.IncompleteReadError, OSError):
            await self._kill()
            return JobEnded(job.name, failure="its process failed; the log says how")

    async def _outcome(self, job: Job) -> Any:
        if self._process is None:
            self._process = await asyncio.create_subprocess_exec(
                *leashed([sys.executable, "-P", "-m", __name__]),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        to, back = self._process.stdin, self._process.stdout
        assert to is not None
        assert back is not None
        to.write(_frame((job.work, job.arguments)))
        await to.drain()
        length = int.from_bytes(await back.readexactly(_LENGTH_BYTES))
        return pickle.loads(await back.readexactly(length))  # noqa: S301 - from our own child

    async def _kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            if process.returncode is None:
                process.kill()
            await process.wait()


def inline(job: Job) -> JobEnded:
    """The same, here and now: for a simulation, where everything has its place in one order."""
    return JobEnded(job.name, job.work(*job.arguments))


def _frame(content: Any) -> bytes:
    pickled = pickle.dumps(content)
    return len(pickled).to_bytes(_LENGTH_BYTES) + pickled


def _serve(jobs: BinaryIO, outcomes: BinaryIO) -> None:
    """Do what comes, until nothing more does."""
    while length := jobs.read(_LENGTH_BYTES):
        work, arguments = pickle.loads(jobs.read(int.from_bytes(length)))  # noqa: S301 - our parent's
        outcomes.write(_frame(work(*arguments)))
        outcomes.flush()


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "wb")  # closed last: a failure is told before it is seen
    os.dup2(2, 1)
    _serve(sys.stdin.buffer, answers)
