"""Who is there: what every device and edge said of itself last, or the broker said for it.

A status is a hint for people, never evidence: nothing is decided by it. It is held in
memory, since statuses are retained and repeated: a restarted cloud hears them again.

The broker speaks for a connection that broke (its will), and one connection may carry many
devices, which name it (`via`). They are lost with it, until they are heard again: the
carrier itself may say nothing more when it is back.

`Roster` numbers the changes of what is known of twins, so that a reader asks for those
after the last that it saw. The numbers begin with the time of the start and so rise from
one run to the next; a reader from before a restart is told of every twin.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter

from twin_runtime.core.limits import STATUSES_MAX
from twin_runtime.core.messages import Place, Status


@dataclass(frozen=True, slots=True)
class Seen:
    """The last status of one identity: when it came (0: never), as the how manieth of all."""

    state: str = "unknown"
    via: str = ""
    heard_wall_ms: int = 0
    order: int = 0


_NEVER = Seen()


class Presence:
    """The last status of each identity, and where edges said they are."""

    def __init__(self) -> None:
        self.places: dict[str, Place | None] = {}
        self._seen: dict[str, Seen] = {}
        self._carried: dict[str, set[str]] = {}
        self._heard = 0

    def heard(self, identity: str, status: Status, wall_ms: int) -> Iterable[str]:
        """Take note of a status; return whose state it may have changed."""
        if identity not in self._seen and len(self._seen) >= STATUSES_MAX:
            return ()
        before, via = self.of(identity), self._seen.get(identity, _NEVER).via
        self._heard += 1
        self._seen[identity] = Seen(status.state, status.via, wall_ms, self._heard)
        if status.via != via:
            self._carry(identity, via, status.via)
        # A carrier says nothing when it is back: it may be lost twice, and its devices with it.
        if status.state == before.state != "lost":
            return ()
        return (identity, *self._carried.get(identity, ()))

    def of(self, identity: str) -> Seen:
        """The last status, or that of its carrier, where that was lost after it."""
        seen = self._seen.get(identity, _NEVER)
        carrier = self._seen.get(seen.via, _NEVER)
        if carrier.state == "lost" and carrier.order > seen.order:
            return carrier
        return seen

    def _carry(self, identity: str, before: str, via: str) -> None:
        if carried := self._carried.get(before):
            carried.discard(identity)
            if not carried:
                del self._carried[before]
        if via:
            self._carried.setdefault(via, set()).add(identity)


class Roster:
    """The order in which twins last changed."""

    def __init__(self, first: int) -> None:
        self._newest = first
        self._numbers: dict[str, int] = {}  # of each twin, its last change
        self._changes: list[tuple[int, str]] = []  # in rising order; those that are last count

    def touch(self, twin: str) -> None:
        """Something about this twin has changed."""
        self._newest += 1
        self._numbers[twin] = self._newest
        self._changes.append((self._newest, twin))
        if len(self._changes) > 2 * len(self._numbers) + _CHANGES_SPARE:
            self._changes = [each for each in self._changes if self._is_last(each)]

    def since(self, after: int, limit: int) -> tuple[list[str], int]:
        """The first twins that changed after change `after`, and where to go on."""
        first = bisect_right(self._changes, after, key=itemgetter(0))
        newer = (self._changes[at] for at in range(first, len(self._changes)))
        page = list(islice(filter(self._is_last, newer), limit))
        return [twin for _, twin in page], page[-1][0] if page else self._newest

    def _is_last(self, change: tuple[int, str]) -> bool:
        return self._numbers[change[1]] == change[0]


_CHANGES_SPARE = 64  # so that a few twins are not counted again at each change
