"""Jobs in a process of their own: done, too slow, failed, too many."""

import asyncio
import math
import os
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

import psutil
import pytest

from twin_runtime.adapters.job_process import JobProcess, inline
from twin_runtime.core.effects import Job, JobEnded
from twin_runtime.core.limits import JOBS_WAITING_MAX

PATIENCE_S = 20.0  # an interpreter starts on a busy machine


def job(name: str, work: Callable[..., Any], *arguments: Any, deadline_s: float = 20.0) -> Job:
    return Job(name, work, arguments, deadline_s)


def ended(
    jobs: list[Job], meanwhile: Callable[[], Coroutine[Any, Any, None]] | None = None
) -> list[JobEnded]:
    """What became of `jobs`, in the order in which they ended."""

    async def body() -> list[JobEnded]:
        said: asyncio.Queue[JobEnded] = asyncio.Queue()
        process = JobProcess(said.put_nowait)
        running = asyncio.create_task(process.run())
        for each in jobs:
            process.begin(each)
        if meanwhile is not None:
            await meanwhile()
        async with asyncio.timeout(PATIENCE_S):
            outcomes = [await said.get() for _ in jobs]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return outcomes

    return asyncio.run(body())


def test_jobs_are_done_in_order_by_one_other_process() -> None:
    first, second, third = ended([
        job("a", math.sqrt, 9.0), job("b", os.getpid), job("c", os.getpid),
    ])  # fmt: skip
    assert first == JobEnded("a", 3.0)
    assert second.outcome == third.outcome != os.getpid()
    assert inline(job("a", math.sqrt, 9.0)) == first


def test_a_job_that_takes_too_long_is_ended_and_the_next_one_is_done() -> None:
    late, done = ended([job("slow", time.sleep, 60.0, deadline_s=1.0), job("a", math.sqrt, 9.0)])
    assert late == JobEnded("slow", failure="not done within 1 s")
    assert done == JobEnded("a", 3.0)


def test_a_job_that_fails_says_so_and_the_next_one_is_done(
    capfd: pytest.CaptureFixture[str],
) -> None:
    failed, done = ended([job("bad", math.sqrt, -1.0), job("a", math.sqrt, 9.0)])
    assert failed == JobEnded("bad", failure="its process failed; the log says how")
    assert done == JobEnded("a", 3.0)
    assert "ValueError" in capfd.readouterr().err


def test_what_a_job_prints_is_no_outcome(capfd: pytest.CaptureFixture[str]) -> None:
    assert ended([job("loud", print, "hello")]) == [JobEnded("loud", None)]
    assert "hello" in capfd.readouterr().err


def test_more_jobs_than_may_wait_are_refused_at_once() -> None:
    outcomes = ended([job(str(n), math.sqrt, 4.0) for n in range(JOBS_WAITING_MAX + 1)])
    assert outcomes[0] == JobEnded(
        str(JOBS_WAITING_MAX), failure=f"{JOBS_WAITING_MAX} jobs wait already"
    )
    assert {each.outcome for each in outcomes[1:]} == {2.0}


def test_the_loop_goes_on_while_a_job_is_done() -> None:
    beats: list[float] = []

    async def meanwhile() -> None:
        for _ in range(20):
            await asyncio.sleep(0.01)
            beats.append(time.monotonic())

    ended([job("busy", sum, range(10_000_000))], meanwhile)
    assert len(beats) == 20


@pytest.mark.skipif(sys.platform != "linux", reason="a child is leashed on Linux only")
def test_no_process_is_left_when_the_owner_ends() -> None:
    (outcome,) = ended([job("who", os.getpid)])
    assert not psutil.pid_exists(outcome.outcome)
