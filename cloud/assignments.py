"""What devices are told: which edge owns their twin.

It is said when it becomes so, when a device seems not to know, and again from time to time,
a few at once, because a broker may have forgotten it.
"""

from collections.abc import Iterator, Mapping
from itertools import islice

from twin_runtime.core import messages, topics
from twin_runtime.core.effects import Effects, Send
from twin_runtime.core.limits import REPUBLISH_TWINS_MAX
from twin_runtime.core.messages import Assignment
from twin_runtime.core.ownership import Placement


class Assignments:
    """The assignments that follow from `placements`, and the round in which they are repeated."""

    def __init__(self, placements: Mapping[str, Placement]) -> None:
        self._placements = placements
        self._round: Iterator[str] | None = None  # the one that is under way

    def say(self, twin: str, placement: Placement, fx: Effects) -> None:
        """Tell a device where its twin is."""
        assignment = Assignment(edge=placement.owner, epoch=placement.epoch)
        fx.sends.append(Send(topics.assign(twin), messages.encode(assignment), retain=True))

    def repeat(self, fx: Effects) -> bool:
        """Repeat some of them; whether more are to come in this round."""
        if self._round is None:
            self._round = iter(list(self._placements))
        batch = list(islice(self._round, REPUBLISH_TWINS_MAX))
        for twin in batch:
            placement = self._placements[twin]
            if placement.phase != "activating":
                self.say(twin, placement, fx)
        if len(batch) < REPUBLISH_TWINS_MAX:
            self._round = None
        return self._round is not None

    def begin_again(self) -> None:
        """Whatever was said may be lost: repeat all of them, from the first."""
        self._round = None
