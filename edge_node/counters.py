"""What devices count, summed over the twins of an edge.

A device counts since its own start and says so on its `status`. Here only sums are kept
apart from each device's last word, so that there is a series per counter and none per
device; a count below the last one means that the device started anew.

What the device of a twin from elsewhere has counted so far is in its former owner's sums, or,
where nobody owned it meanwhile, in nobody's: its first word here only adds to levels.
"""

from collections.abc import Mapping

# Levels are summed as they are; everything else only grows.
LEVELS = ("outbox_rows",)
COUNTERS = (
    "reports_produced_total",
    "reports_coalesced_total",
    "reports_unprotected_total",
    "samples_refused_total",
    "retransmissions_total",
    "refusals_heard_total",
    "rejects_by_devices_total",
    "fenced_by_devices_total",
    "sessions_opened_total",
)


class DeviceCounters:
    """Sums over devices, by counter's name."""

    def __init__(self) -> None:
        self.totals: dict[str, int] = dict.fromkeys((*LEVELS, *COUNTERS), 0)
        self._last: dict[str, tuple[int, ...] | None] = {}  # None: its first word is to come

    def begin(self, twin: str) -> None:
        """A twin has come that another edge owned before."""
        self._last.setdefault(twin, None)

    def hear(self, twin: str, counters: Mapping[str, int]) -> None:
        """Take what one device says; names that are not ours are ignored."""
        told = tuple(counters.get(name, 0) for name in self.totals)
        last = self._last.get(twin, (0,) * len(told))
        if last is None:
            last = (*(0 for _ in LEVELS), *told[len(LEVELS) :])
        self._last[twin] = told
        for name, before, now in zip(self.totals, last, told, strict=True):
            began_anew = now < before and name not in LEVELS
            self.totals[name] += now if began_anew else now - before

    def forget(self, twin: str) -> None:
        """A twin is owned elsewhere: its levels are no longer ours, its counts were."""
        last = self._last.pop(twin, None)
        if last is not None:
            for name, level in zip(LEVELS, last, strict=False):
                self.totals[name] -= level
