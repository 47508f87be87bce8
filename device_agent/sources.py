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
    walking   the same, carried about a site (`device_agent.walkers`)

A slow consumer slows a source down, nothing is queued in between: whoever iterates is
the bound. A source that samples on a timer then leaves samples out, one that replays
catches up.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from twin_runtime.core.effects import Sample
from twin_runtime.core.messages import Description


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
