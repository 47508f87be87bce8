"""Sources: where a device agent's values come from, and when they are taken.

A source has a fixed list of devices and yields lists of samples for as long as it has
something to measure. It keeps no state of its own on disk: what it must know after a
restart is `resume`, when each twin's newest stored report was observed. In return
`observed_ms` strictly increases for each twin, across restarts too, so a reader can tell
any two of its samples apart and none is taken twice.

    host      this machine with its cores and its largest processes (`device_agent.host`)
    board     this machine as one device: what a single-board computer runs
    replay    a recorded field deployment (`device_agent.replay`)
    emulated  many made-up rooms, cheap and reproducible (`device_agent.emulated`)

A slow consumer slows a source down, nothing is queued in between: whoever iterates is
the bound. A source that samples on a timer then leaves samples out, one that replays
catches up.
"""

import asyncio
import heapq
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from twin_runtime.core.effects import Sample
from twin_runtime.core.errors import InvalidConfiguration
from twin_runtime.core.limits import BATCH_EVENTS_MAX
from twin_runtime.core.messages import Description, FeatureSpec
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


@dataclass(frozen=True, slots=True)
class Device:
    """One device of a source: its twin's id and what it says of itself."""

    twin: str
    description: Description


class Source(Protocol):
    """Devices and their samples. All methods are called on the event loop."""

    @property
    def devices(self) -> Sequence[Device]: ...

    def samples(self, resume: Mapping[str, int]) -> AsyncIterator[list[Sample]]:
        """Yield what was measured since the last list, at most `BATCH_EVENTS_MAX` samples;
        it ends when there is nothing left to measure. Used once.

        `resume` has, per twin, the `observed_ms` of its newest stored report.
        """
        ...

    def act(self, twin: str, path: str, value: Any) -> str:
        """Do what is wanted at `path`; return "" when done, else the reason it was refused."""
        ...


@dataclass(frozen=True, slots=True)
class SourceChoice:
    """What an operator says of an agent's input; see `open_source`."""

    source: str  # host, board, replay:DIR or emulated
    start_ms: int  # replay: the wall time of the trace's first reading, chosen once per store
    agent: str = ""  # board: the device's id; empty: named after the host
    trace: str = "library1"
    speed: float = 1.0
    first: int = 1
    last: int = 1
    seed: int = 0
    period_s: float = 1.0


def open_source(choice: SourceChoice, clock: Clock) -> Source:
    """Return the source that was chosen, ready to be iterated.

    Raises:
        InvalidConfiguration: no such source, a value out of its range, or a trace that
            is missing or cannot be read.
    """
    # Imported when chosen: a board that reports itself need not hold the other sources.
    match choice.source.partition(":"):
        case ["host" | "board" as extent, "", _]:
            from device_agent.host import HostSource  # noqa: PLC0415

            own = {"twin": choice.agent} if extent == "board" else {}
            return HostSource(clock, period_s=choice.period_s, parts=extent == "host", **own)
        case ["replay", ":", directory] if directory:
            from device_agent.replay import ReplaySource  # noqa: PLC0415
            from device_agent.trace import load_trace  # noqa: PLC0415

            trace = load_trace(directory, choice.trace)
            return ReplaySource(trace, clock, start_ms=choice.start_ms, speed=choice.speed)
        case ["emulated", "", _]:
            from device_agent.emulated import EmulatedSource  # noqa: PLC0415

            return EmulatedSource(
                clock,
                first=choice.first,
                last=choice.last,
                seed=choice.seed,
                period_s=choice.period_s,
            )
    raise InvalidConfiguration(
        f"source {choice.source!r} is unknown: use host, board, replay:DIR or emulated"
    )


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
