"""What has arrived and was not yet taken: the bounded half of every bus.

A full inbox refuses the newest message, since whoever sent it keeps it until it is
acknowledged and says it again; it never refuses to tell of a connection, because a
machine repeats its levels after `Connected` and only then. A connection that came and
went before anybody looked is forgotten, so these, too, are bounded: at least one
message lies between any two of them.
"""

from collections.abc import Iterable

from twin_runtime.core.effects import Connected, Disconnected, Event


class Inbox:
    """Events in order of arrival, at most `events_max` messages; `drops` were refused."""

    __slots__ = ("_events", "_events_max", "drops")

    def __init__(self, events_max: int) -> None:
        assert events_max > 0, events_max
        self._events: list[Event] = []
        self._events_max = events_max
        self.drops = 0

    def put(self, messages: Iterable[Event]) -> None:
        """Keep what there is room for, in order, and count the rest."""
        arrived = list(messages)
        room = max(self._events_max - len(self._events), 0)
        self._events += arrived[:room]
        self.drops += max(len(arrived) - room, 0)

    def connected(self) -> None:
        self._events.append(Connected())

    def disconnected(self) -> None:
        if self._events and isinstance(self._events[-1], Connected):
            self._events.pop()
        else:
            self._events.append(Disconnected())

    def take(self) -> list[Event]:
        """Return everything since the last call."""
        events, self._events = self._events, []
        return events
