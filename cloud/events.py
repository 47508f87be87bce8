"""The log of events: what the directory decided, in order, on the cloud's disk.

An event is written in the commit that decides it, so the log has neither more nor less
than what happened. It is bounded: the oldest entries go.
"""

from twin_runtime.core import messages
from twin_runtime.core.effects import Append, Effects, Now, Put, Row

EVENTS = "event"  # the log
ALL = "all"  # the one key in it
EVENTS_ROW = "events"  # the number of the last one


class Events:
    """Numbers events, and writes them."""

    def __init__(self) -> None:
        self.newest = 0
        self._written = 0

    def restore(self, row: Row) -> None:
        self.newest = self._written = int(row.value)

    def add(self, kind: str, now: Now, fx: Effects, **about: str | float) -> None:
        """Write one, with what it is about."""
        self.newest += 1
        event = {"number": self.newest, "at_ms": now.wall_ms, "kind": kind, **about}
        fx.writes.append(Append(EVENTS, ALL, self.newest, messages.dump(event)))

    def settle(self, fx: Effects) -> None:
        """Write the number of the last one, if there are new ones."""
        if self.newest != self._written:
            self._written = self.newest
            fx.writes.append(Put(EVENTS_ROW, "newest", b"%d" % self.newest))
