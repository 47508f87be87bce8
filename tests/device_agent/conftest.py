"""A loop on which time passes only while everybody waits, and a clock that follows it."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

from twin_runtime.core.effects import Now

T = TypeVar("T")

WALL_MS = 1_750_000_000_000


class JumpingSelector(selectors.SelectSelector):
    """Waits by moving the time forward."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if not events:
            assert timeout is not None, "everybody waits for an event that cannot come"
            self.now_s += max(timeout, 0.0)
        return events


class JumpingLoop(asyncio.SelectorEventLoop):
    """The loop of `JumpingSelector`."""

    def __init__(self) -> None:
        self._jumping = JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now_s


class LoopClock:
    """The running loop's time; `ahead_ms` sets the wall clock."""

    def __init__(self, ahead_ms: int = 0) -> None:
        self.ahead_ms = ahead_ms

    def now(self) -> Now:
        now_s = asyncio.get_running_loop().time()
        return Now(now_s, WALL_MS + self.ahead_ms + round(now_s * 1000))


@pytest.fixture
def clock() -> LoopClock:
    return LoopClock()


@pytest.fixture
def run_virtual() -> Callable[[Coroutine[Any, Any, T]], T]:
    """Run a coroutine to its end on a fresh virtual loop."""

    def run(main: Coroutine[Any, Any, T]) -> T:
        with asyncio.Runner(loop_factory=JumpingLoop) as runner:
            return runner.run(main)

    return run
