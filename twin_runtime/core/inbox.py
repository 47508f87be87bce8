"""What has arrived and was not yet taken: the bounded half of every bus.

A full inbox refuses the newest message, since whoever sent it keeps it until it is
acknowledged and says it again; it never refuses to tell of a connection, because a
machine repeats its levels after `Connected` and only then. A connection that came and
went before anybody looked is forgotten, so these, too, are bounded: at least one
message lies between any two of them.
"""

from collections.abc import Iterable

from twin_runtime.core.effects import Connected, Disconnected, Event, Message
from twin_runtime.core.limits import INBOX_BYTES_MAX


class Inbox:
    """Events in order of arrival, until they are `events_max` messages or `bytes_max` of
    payload; `drops` were refused."""

    __slots__ = ("_bytes", "_bytes_max", "_events", "_events_max", "drops")

    def __init__(self, events_max: int, bytes_max: int = INBOX_BYTES_MAX) -> None:
        assert events_max > 0, events_max
        self._events: list[Event] = []
        self._events_max = events_max
        self._bytes = 0
        self._bytes_max = bytes_max
        self.drops = 0

    @property
    def waiting(self) -> int:
        """How many events have come and were not taken."""
        return len(self._events)

    def put(self, messages: Iterable[Event]) -> None:
        """Keep what there is room for, in order, and count the rest."""
        for message in messages:
            if len(self._events) >= self._events_max or self._bytes >= self._bytes_max:
                self.drops += 1
            else:
                self._events.append(message)
                self._bytes += payload_bytes(message)

    def connected(self) -> None:
        self._events.append(Connected())

    def disconnected(self) -> None:
        if self._events and isinstance(self._events[-1], Connected):
            self._events.pop()
        else:
            self._events.append(Disconnected())

    def take(self) -> list[Event]:
        """Return everything since the last call."""
        events, self._events, self._bytes = self._events, [], 0
        return events


def payload_bytes(event: Event) -> int:
    """What an event weighs: only a message can be large."""
    return len(event.payload) if isinstance(event, Message) else 0
