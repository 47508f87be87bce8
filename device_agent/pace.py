"""When a device that samples on a timer is due, and how its operator changes that."""

import asyncio
import heapq
import math
from collections.abc import Sequence
from typing import Any

from twin_runtime.core.errors import InvalidConfiguration
from twin_runtime.core.limits import BATCH_EVENTS_MAX
from twin_runtime.core.messages import FeatureSpec
from twin_runtime.ports import Clock

# Ten reports a second fill an outbox in 17 minutes without an edge; faster is not a twin's job.
SAMPLE_PERIOD_S_MIN = 0.1
SAMPLE_PERIOD_S_MAX = 86_400.0  # a device silent for over a day cannot be told from a dead one
# Devices due within this time are sampled together: 2,000 of them at 1 Hz then cost 50
# wake-ups a second instead of 2,000, and no sample is later than this.
WAKE_PERIOD_S_MIN = 0.02

SAMPLE_PERIOD = FeatureSpec(type="number", unit="s", title="Time between samples", writable=True)
SAMPLE_PERIOD_PATH = "features/sample_period_s/value"
SAMPLE_NOW_PATH = "commands/sample_now"


def check_period_s(value: Any) -> str:
    """Return "" for a sample period that can be kept, else the reason why not."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"sample_period_s is {value!r}: give a number of seconds"
    if not SAMPLE_PERIOD_S_MIN <= value <= SAMPLE_PERIOD_S_MAX:
        return (
            f"sample_period_s is {value}: give {SAMPLE_PERIOD_S_MIN} to {SAMPLE_PERIOD_S_MAX:.0f}"
        )
    return ""


class Pace:
    """When each device of a source that samples on a timer is due.

    A device, here its index, is due at one time, kept in a heap; an entry whose time is no
    longer the device's is stale and skipped. Who was *asked* to sample does so at once and
    is due as before.
    """

    def __init__(self, clock: Clock, twins: Sequence[str], period_s: float) -> None:
        if reason := check_period_s(period_s):
            raise InvalidConfiguration(reason)
        self.periods_s = [float(period_s)] * len(twins)
        self._clock = clock
        self._indices = {twin: index for index, twin in enumerate(twins)}
        self._due_s = [math.inf] * len(twins)
        self._heap: list[tuple[float, int]] = []
        self._asked: set[int] = set()
        self._woken = asyncio.Event()

    def schedule(self, index: int, due_s: float) -> None:
        """Let the device be due at `due_s` of the monotonic clock, and not before."""
        self._due_s[index] = due_s
        heapq.heappush(self._heap, (due_s, index))
        if len(self._heap) > 2 * len(self._due_s):
            self._drop_stale()

    async def wait(self) -> tuple[list[int], list[int]]:
        """Wait until a device is due or asked; return both lists. Who was due is due no
        more until it is scheduled again."""
        while True:
            now_s = self._clock.now().monotonic_s
            asked = sorted(self._asked)[:BATCH_EVENTS_MAX]
            self._asked.difference_update(asked)
            due = self._take_due(now_s, BATCH_EVENTS_MAX - len(asked))
            if due or asked:
                return due, asked
            await self._sleep(self._heap[0][0] - now_s if self._heap else None)

    def act(self, twin: str, path: str, value: Any) -> str:
        """`Source.act` for devices that are paced here and have nothing else to write."""
        index = self._indices.get(twin)
        if index is None:
            return f"{twin} is not a device of this agent"
        if path == SAMPLE_NOW_PATH:
            self._ask(index)
            return ""
        if path == SAMPLE_PERIOD_PATH:
            return self._set_period(index, value)
        return f"{path} cannot be written: use {SAMPLE_PERIOD_PATH} or {SAMPLE_NOW_PATH}"

    def _drop_stale(self) -> None:
        due = enumerate(self._due_s)
        self._heap = [(due_s, index) for index, due_s in due if due_s < math.inf]
        heapq.heapify(self._heap)

    def _set_period(self, index: int, value: Any) -> str:
        if reason := check_period_s(value):
            return reason
        self.periods_s[index] = float(value)
        self.schedule(index, self._clock.now().monotonic_s + value)
        self._ask(index)  # a sample at once, so that the new period is seen to hold
        return ""

    def _ask(self, index: int) -> None:
        self._asked.add(index)
        self._woken.set()

    def _take_due(self, now_s: float, count_max: int) -> list[int]:
        due: list[int] = []
        while self._heap and self._heap[0][0] <= now_s and len(due) < count_max:
            due_s, index = heapq.heappop(self._heap)
            if due_s == self._due_s[index]:
                self._due_s[index] = math.inf
                due.append(index)
        return due

    async def _sleep(self, delay_s: float | None) -> None:
        self._woken.clear()
        timeout_s = None if delay_s is None else max(delay_s, WAKE_PERIOD_S_MIN)
        try:
            async with asyncio.timeout(timeout_s):
                await self._woken.wait()
        except TimeoutError:
            return
