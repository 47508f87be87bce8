"""The twins that are to leave their edge, because it drains or is lost."""

from collections.abc import Iterable
from itertools import islice

from twin_runtime.core.ownership import Placement


class Departures:
    """For each edge that twins are to leave, those that are there or on their way there."""

    def __init__(self) -> None:
        self._twins: dict[str, dict[str, None]] = {}

    def begin(self, edge: str, twins: Iterable[str]) -> None:
        """These are to leave `edge`, and whoever comes after them."""
        self._twins[edge] = dict.fromkeys(twins)

    def cancel(self, edge: str) -> None:
        """Whoever is still there may stay."""
        self._twins.pop(edge, None)

    def came(self, twin: str, placed: Placement) -> None:
        """A twin has a new place; if others are to leave it, so is this one."""
        for edge in (placed.owner, placed.target):
            if edge in self._twins:
                self._twins[edge][twin] = None

    def gone(self, twin: str, placed: Placement) -> None:
        """A twin no longer has this place."""
        for edge in (placed.owner, placed.target):
            if edge in self._twins:
                self.settled(edge, twin)

    def settled(self, edge: str, twin: str) -> None:
        """Nothing is left to do for this twin at this edge."""
        self._twins[edge].pop(twin, None)

    def edges(self) -> list[str]:
        """The edges that somebody is to leave."""
        return [edge for edge, twins in self._twins.items() if twins]

    def of(self, edge: str, twins_max: int) -> list[str]:
        """At most so many that are to leave `edge`, others each time."""
        twins = self._twins[edge]
        some = list(islice(twins, max(twins_max, 0)))
        for twin in some:
            del twins[twin]
            twins[twin] = None
        return some
