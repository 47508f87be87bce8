"""The moves under way, and those whose keys are remembered.

What is under way follows from the placements; beside it, volatile, are the former owner and
when the twin was sealed, for the log and the metrics. After a restart they are unknown.

A key (HTTP's `Idempotency-Key`) names a request. It is written in the commit that begins
the move, so that a request which is repeated does not move a twin again that has moved on
meanwhile.
"""

from collections.abc import Iterator
from typing import NamedTuple

from twin_runtime.core import messages
from twin_runtime.core.effects import Delete, Effects, Put, Refused, Row
from twin_runtime.core.limits import MOVE_KEYS_MAX

MOVE_ROW = "move"


class Moving(NamedTuple):
    """A move under way: from where, and since when the twin is paused."""

    source: str
    since_s: float | None  # None: before a restart


class Taken(NamedTuple):
    """A request that was taken, as the `number`-th."""

    twin: str
    to: str
    number: int


class Moves:
    """What is moving, and which requests were taken."""

    def __init__(self) -> None:
        self._moving: dict[str, Moving] = {}
        self._keys: dict[str, Taken] = {}
        self._taken = 0

    def __iter__(self) -> Iterator[str]:
        """The twins that are moving."""
        return iter(self._moving)

    def restore(self, row: Row) -> None:
        """Take a key back; `restored` puts them in order."""
        taken = Taken(**messages.load(row.value))
        self._keys[row.key] = taken
        self._taken = max(self._taken, taken.number)

    def restored(self) -> None:
        """All rows were given: the oldest key is forgotten first."""
        self._keys = dict(sorted(self._keys.items(), key=lambda item: item[1].number))

    def knows(self, key: str) -> bool:
        """Whether a request with this key was taken."""
        return key in self._keys

    def reused(self, key: str, twin: str, target: str) -> Refused | None:
        """Why a known key is not for this request, if it is not."""
        first = self._keys[key]
        if (first.twin, first.to) == (twin, target):
            return None
        text = f"the key {key!r} was given to a move of {first.twin} to {first.to}: use another"
        return Refused("key_reused", text)

    def take(self, key: str, twin: str, target: str, fx: Effects) -> None:
        """Remember the request's key, if it has one."""
        if not key:
            return
        self._taken += 1
        taken = Taken(twin, target, self._taken)
        self._keys[key] = taken
        fx.writes.append(Put(MOVE_ROW, key, messages.dump(taken._asdict())))
        if len(self._keys) > MOVE_KEYS_MAX:
            oldest = next(iter(self._keys))
            del self._keys[oldest]
            fx.writes.append(Delete(MOVE_ROW, oldest))

    def begin(self, twin: str, source: str, now_s: float | None) -> None:
        """The twin is being sealed at `source`; a move that changes its target began before."""
        self._moving.setdefault(twin, Moving(source, now_s))

    def source(self, twin: str) -> str | None:
        """Who handed over a twin that is not yet owned again, if that is known."""
        moving = self._moving.get(twin)
        return moving.source if moving else None

    def end(self, twin: str) -> Moving | None:
        """The twin is owned again, or moves no more; what is known of its move."""
        return self._moving.pop(twin, None)
