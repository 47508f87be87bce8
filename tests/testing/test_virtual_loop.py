"""Virtual time: it jumps, it never waits, and nothing outside reaches in."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from twin_runtime.testing.virtual_loop import Deadlock, Refused, VirtualLoop


def run(main: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


def test_a_day_passes_at_once() -> None:
    async def day() -> float:
        await asyncio.sleep(86_400)
        return asyncio.get_running_loop().time()

    began_s = time.monotonic()
    assert run(day()) == pytest.approx(86_400)
    assert time.monotonic() - began_s < 5


def test_time_stands_still_while_anything_is_ready() -> None:
    async def busy() -> float:
        for _ in range(1_000):
            await asyncio.sleep(0)
        return asyncio.get_running_loop().time()

    assert run(busy()) == 0.0


def test_timers_fire_in_the_order_of_their_time() -> None:
    async def timers() -> list[float]:
        loop = asyncio.get_running_loop()
        fired: list[float] = []
        for delay_s in (3, 1, 2):
            loop.call_later(delay_s, lambda: fired.append(loop.time()))
        await asyncio.sleep(4)
        return fired

    assert run(timers()) == [1, 2, 3]


def test_timers_that_are_due_together_fire_in_the_order_they_were_set() -> None:
    async def timers() -> list[int]:
        fired: list[int] = []
        for number in range(100):
            asyncio.get_running_loop().call_at(1.0, fired.append, number)
        await asyncio.sleep(2)
        return fired

    assert run(timers()) == list(range(100))


def test_a_timer_that_was_cancelled_neither_fires_nor_moves_time() -> None:
    async def cancels() -> float:
        loop = asyncio.get_running_loop()
        loop.call_later(3, pytest.fail, "it was cancelled").cancel()
        loop.call_later(2, pytest.fail, "it was cancelled").cancel()
        await asyncio.sleep(1)
        return loop.time()

    assert run(cancels()) == 1.0


def test_a_timeout_ends_a_wait_in_virtual_time() -> None:
    async def waits() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(600):
                await asyncio.Event().wait()
        return asyncio.get_running_loop().time()

    assert run(waits()) == pytest.approx(600)


def test_a_wait_that_cannot_end_is_a_deadlock() -> None:
    # Not with a Runner: it would wait for the stuck task once more when it closes.
    loop = VirtualLoop()
    stuck = loop.create_task(asyncio.Event().wait())
    with pytest.raises(Deadlock, match=r"at 0\.0 s"):
        loop.run_until_complete(stuck)
    stuck.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(stuck)
    loop.close()


def test_threads_are_refused() -> None:
    with pytest.raises(Refused, match="thread"):
        run(asyncio.to_thread(print))


@pytest.mark.parametrize(
    "reach_out",
    [
        pytest.param(lambda: asyncio.open_connection("127.0.0.1", 1), id="socket"),
        pytest.param(lambda: asyncio.start_server(print, "127.0.0.1", 0), id="server"),
        pytest.param(lambda: asyncio.create_subprocess_exec("true"), id="process"),
    ],
)
def test_what_reaches_out_of_the_process_is_refused(reach_out: Any) -> None:
    with pytest.raises(Refused, match="virtual time"):
        run(reach_out())


def test_a_forgotten_generator_is_closed() -> None:
    async def forgets() -> list[str]:
        closed: list[str] = []

        async def numbers() -> Any:
            try:
                while True:
                    yield 1
            finally:
                closed.append("closed")

        generator = numbers()
        await anext(generator)
        del generator
        await asyncio.sleep(1)
        return closed

    assert run(forgets()) == ["closed"]
