"""A recorder for the device agent: integers and a few numbers, no metrics library.

The counters ride on the device's `status`; the edge's metrics export their sums.
"""

from array import array
from collections.abc import Mapping, Sequence

from twin_runtime.adapters.log import log_notes
from twin_runtime.core.effects import Note
from twin_runtime.core.limits import LATENCIES_KEPT_MAX


class TallyRecorder:
    """Body of `ports.Recorder`: `counts` by (metric, label value), and the newest
    observations of each metric in `observed`."""

    __slots__ = ("counts", "observed")

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str], int] = {}
        self.observed: dict[str, array[float]] = {}

    def record(
        self,
        counts: Mapping[tuple[str, str], int],
        observed: Sequence[tuple[str, float]],
        notes: Sequence[Note],
    ) -> None:
        for key, by in counts.items():
            self.counts[key] = self.counts.get(key, 0) + by
        for metric, value in observed:
            self._keep(metric, value)
        log_notes(notes)

    def _keep(self, metric: str, value: float) -> None:
        kept = self.observed.setdefault(metric, array("d"))
        if len(kept) == LATENCIES_KEPT_MAX:
            # Half at a time, so that forgetting one costs next to nothing.
            del kept[: LATENCIES_KEPT_MAX // 2]
        kept.append(value)
