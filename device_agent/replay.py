"""Replay: a recorded field deployment as if it happened now (`device_agent.trace`).

`observed_ms` is `start_ms` plus a report's time in the trace, which is unique for its mote.
So a restarted replay knows from `resume` alone what is stored already, as long as it is
given the same `start_ms`. It goes on where the newest stored report was, however long the
process was away. What is overdue, because some mote's reports were not stored yet or the
consumer is slow, comes at once and in order; nothing is left out.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

from device_agent.pace import WAKE_PERIOD_S_MIN
from device_agent.sources import Device
from device_agent.trace import Trace
from twin_runtime.core.effects import Sample
from twin_runtime.core.errors import InvalidConfiguration
from twin_runtime.core.limits import BATCH_EVENTS_MAX
from twin_runtime.ports import Clock


class ReplaySource:
    """A trace at `speed` times real time; its first reading was observed at `start_ms`."""

    def __init__(self, trace: Trace, clock: Clock, *, start_ms: int, speed: float = 1.0) -> None:
        if not 0 < speed < math.inf:
            raise InvalidConfiguration(f"speed is {speed}: give a number above 0, 1 for real time")
        self.devices: Sequence[Device] = list(trace.devices.values())
        self._trace = trace
        self._clock = clock
        self._start_ms = start_ms
        self._speed = speed

    async def samples(self, resume: Mapping[str, int]) -> AsyncIterator[list[Sample]]:
        """See `Source.samples`; it ends with the trace."""
        started_s = self._clock.now().monotonic_s
        origin_ms = self._origin_ms(resume)
        batch: list[Sample] = []
        for sample in self._pending(resume):
            due_s = started_s + (sample.observed_ms - origin_ms) / 1000 / self._speed
            while (wait_s := due_s - self._clock.now().monotonic_s) > 0:
                if batch:
                    yield batch
                    batch = []
                    continue  # that may have taken time
                await asyncio.sleep(max(wait_s, WAKE_PERIOD_S_MIN))
            batch.append(sample)
            if len(batch) == BATCH_EVENTS_MAX:
                yield batch
                batch = []
                await asyncio.sleep(0)  # let others run while it catches up
        if batch:
            yield batch

    def act(self, twin: str, path: str, value: Any) -> str:  # noqa: ARG002 (a seam's signature)
        """See `Source.act`: nothing can be done to what is recorded."""
        if all(device.twin != twin for device in self.devices):
            return f"{twin} is not a device of this agent"
        return f"{path} cannot be written: {twin} is replayed, and its trace sets values and pace"

    def _origin_ms(self, resume: Mapping[str, int]) -> int:
        """The observed time to go on from: the newest stored, else the trace's first."""
        stored = [resume[device.twin] for device in self.devices if device.twin in resume]
        if stored:
            return max(stored)
        reports = self._trace.reports
        return self._start_ms + (reports[0].at_ms if reports else 0)

    def _pending(self, resume: Mapping[str, int]) -> Iterator[Sample]:
        for report in self._trace.reports:
            twin = self._trace.devices[report.node].twin
            observed_ms = self._start_ms + report.at_ms
            if observed_ms > resume.get(twin, -math.inf):
                yield Sample(twin, observed_ms, self._trace.features(report))
