"""Run the roles of one machine as processes: start, watch, restart, stop.

A role that ends is started again after a pause that doubles from half a second to half a
minute and begins anew once it has lasted, as systemd would do in the field: a role may
die at any instruction, and its store says how to go on. A role that refuses its
configuration (exit code 2) is not started again; that ends the whole.

What a role has to say goes to its own log file, which is bounded; warnings and errors
are shown on the terminal as well.
"""

import asyncio
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from twin_runtime.adapters.child import leashed
from twin_runtime.adapters.log_file import append
from twin_runtime.adapters.process import EXIT_USAGE
from twin_runtime.core.backoff import backoff_s
from twin_runtime.core.errors import InvalidConfiguration

LOG_BYTES_MAX = 1024 * 1024  # of one role's log file; one older file is kept
STOP_S = 10.0  # a role answers SIGTERM within a second, if its disk does
RESTART_FIRST_S = 0.5
RESTART_LAST_S = 30.0
LASTING_S = 60.0


@dataclass(slots=True)
class Role:
    """One process of the system, and how it has been."""

    id: str
    module: str
    config: Path
    log: Path
    process: asyncio.subprocess.Process | None = None
    restarts: int = 0
    usage: dict[str, float] = field(default_factory=dict)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    started: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def pid(self) -> int | None:
        """The process id, None while it is not running."""
        running = self.process is not None and self.process.returncode is None
        return self.process.pid if self.process and running else None

    def measure(self) -> None:
        """Read memory and CPU time while it runs."""
        if self.pid is None:
            return
        try:
            process = psutil.Process(self.pid)
            times = process.cpu_times()
            self.usage = {
                "pid": self.pid,
                "rss_mb": round(process.memory_info().rss / 1e6, 1),
                "cpu_s": round(times.user + times.system, 2),
            }
        except psutil.NoSuchProcess:
            return


async def keep_running(role: Role, say: Callable[[str], None]) -> None:
    """Run `role` until it is stopped; start it again whenever it ends.

    Raises:
        InvalidConfiguration: it refused its configuration.
    """
    attempt = 0
    while not role.stopping.is_set():
        began_s = time.monotonic()
        process = await _start(role)
        if role.restarts:
            say(f"{role.id} runs again  pid {process.pid}")
        if role.stopping.is_set():  # it was asked to end while it was being started
            process.terminate()
        await _follow(role, process, say)
        code = await process.wait()
        if role.stopping.is_set():
            return
        if code == EXIT_USAGE:
            raise InvalidConfiguration(f"{role.id} cannot run like that; {role.log} says why")
        attempt = 0 if time.monotonic() - began_s > LASTING_S else attempt
        pause_s = backoff_s(role.id, attempt, RESTART_FIRST_S, RESTART_LAST_S)
        attempt += 1
        role.restarts += 1
        ending = f"signal {-code}" if code < 0 else f"code {code}"
        say(f"{role.id} ended with {ending}; starting it again in {pause_s:.1f} s")
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await role.stopping.wait()


async def stop(role: Role) -> None:
    """Ask `role` to end, and see to it that it does."""
    role.stopping.set()
    if role.process is None or role.pid is None:
        return
    role.measure()
    role.process.terminate()
    try:
        async with asyncio.timeout(STOP_S):
            await role.process.wait()
    except TimeoutError:
        role.process.kill()
        await role.process.wait()


async def _start(role: Role) -> asyncio.subprocess.Process:
    command = [sys.executable, "-m", role.module, "--config", str(role.config)]
    role.process = await asyncio.create_subprocess_exec(
        *leashed(command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "DITEN_LOG": ""},  # lines for people: `_follow` reads them
        start_new_session=True,  # Ctrl-C is for us; we stop the roles in order
    )
    role.started.set()
    return role.process


async def _follow(
    role: Role, process: asyncio.subprocess.Process, say: Callable[[str], None]
) -> None:
    """Copy what the role says until it ends."""
    assert process.stderr is not None
    while line := await _line(process.stderr):
        append(role.log, line, LOG_BYTES_MAX)
        text = line.decode(errors="replace").rstrip()
        if " error: " in text or " warning: " in text:
            say(text.split(" ", 1)[1])


async def _line(stream: asyncio.StreamReader) -> bytes:
    """The next line; one that is longer than the stream's buffer is lost, and its role is not."""
    try:
        return await stream.readline()
    except ValueError:
        return b"(a line of more than 64 KiB)\n"
