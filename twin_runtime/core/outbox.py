"""The device's half of delivery: a bounded, durable log of reports.

Every report gets a position `(session, seq)`, is committed, and stays until it is
*stable*: until the cloud holds a checkpoint that contains it. The window is the part
after `applied`, the position that the assigned edge says it has durably applied;
go-back-N sends it again after a time-out, a reconnect or a new assignment.

What is durable: the rows, and a mark (`Mark`) that rides on the next append. What is
volatile: `applied`; `sent`, the highest position that may have left this process (after
a restart every row counts as sent; a row keeps having been sent when it is renumbered);
and how far the window in flight reaches.

Why acknowledgements can be trusted out of order. Within one epoch the owner's position
never goes back, so the largest acknowledgement of an epoch is its newest; a new epoch
may begin lower, and then its first word counts. No owner is ever behind what is stable,
so a position below `stable` is old news, whoever says it.

When the outbox is full the newest row is overwritten by the newer state, as long as it
was never sent (same seq: no gap, and nothing sent changes its meaning). If all were
sent, the oldest row that the edge has applied is given up: it is on the edge's disk but
no longer protected against losing that disk. If none was applied either, the new state
waits in memory, and is stored as soon as there is room. Each is counted.

A new session is opened, and all rows renumbered from 1, when the numbers can no longer
meet: the edge needs rows that were given up, or names positions this device never
reached (its disk was restored or its store lost).

It is also opened when a larger session overtook ours, whose values now cover our own in the
twin. What the edge had applied before must not count twice, and must be seen again: those
rows become one, the newest state (`restate`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, Literal, NamedTuple
from zlib import crc32

from twin_runtime.core import messages
from twin_runtime.core.effects import Delete, Put, Write
from twin_runtime.core.limits import (
    DESIRED_PER_TWIN_MAX,
    EDITED_BYTES_MAX,
    OUTBOX_BYTES_MAX,
    OUTBOX_REPORTS_MAX,
    WINDOW_BYTES_MAX,
    WINDOW_REPORTS_MAX,
)
from twin_runtime.core.messages import ReportAck

ROWS = "outbox"
_TAG_BITS = 20  # of a session: whose store it is
_TAG: int = (1 << _TAG_BITS) - 1


@dataclass(frozen=True, slots=True)
class Mark:
    """What is durable beside the rows: the session, what is stable in it, and the highest
    `applied` told, with the epoch it was told in."""

    session: int
    stable: int = 0
    told_epoch: int = 0
    told_applied: int = 0


class Appended(NamedTuple):
    """What became of a report; `given_up` older ones are no longer protected."""

    writes: list[Write]
    outcome: Literal["stored", "coalesced", "unprotected", "held"]
    given_up: int = 0


class Outbox:
    """The outbox of one device. Methods change it and return the rows to commit."""

    def __init__(
        self,
        twin: str,
        session: int,
        reports_max: int = OUTBOX_REPORTS_MAX,
        bytes_max: int = OUTBOX_BYTES_MAX,
        keep_stable: int = 0,
    ) -> None:
        self.twin = twin
        self.mark = Mark(session)
        self.last_seq = 0
        self.sent = 0
        self._flying = 0  # the end of the window in flight
        self.applied: int | None = None
        self.rows: dict[int, bytes] = {}
        self.bytes = 0
        self.newest_observed_ms: int | None = None
        self._newest = b""
        self._reports_max = reports_max
        self._bytes_max = bytes_max
        # So many rows stay on disk (not in memory) after they became stable: `diten up`
        # compares them with what the stores hold.
        self._keep_stable = keep_stable
        self._disk_first = 1
        self._held: dict[str, Any] | None = None

    # --- restart ----------------------------------------------------------------------

    def restore(self, rows: Iterable[tuple[str, bytes]], mark: Mark | None) -> None:
        """Take the stored rows `(key, value)` of this device. Only the largest session counts:
        a crash cannot leave two, since renumbering is one commit."""
        found = sorted((*_position(key), value) for key, value in rows)
        if not found:
            self.mark = mark or self.mark
            return
        session = found[-1][0]
        self.mark = mark if mark is not None and mark.session == session else Mark(session)
        found = [row for row in found if row[0] == session]
        self._disk_first, self.last_seq = found[0][1], found[-1][1]
        self.rows = {seq: value for _, seq, value in found if seq > self.mark.stable}
        self.bytes = sum(map(len, self.rows.values()))
        self.sent = self.last_seq
        self._newest = found[-1][2]
        self.newest_observed_ms = messages.load(self._newest)["observed_ms"]

    # --- reports ------------------------------------------------------------------------

    def append(self, observed_ms: int, content: Mapping[str, Any]) -> Appended:
        """Store a report (`messages.StateReport` without its `seq`); partial features fold."""
        if self._held is not None:
            content = _merge(self._held, content)
            self._held = None
        if self._has_room():
            self.last_seq += 1
            return Appended(self._store(self.last_seq, observed_ms, content), "stored")
        if self.last_seq > self.sent:
            older = messages.load(self.rows[self.last_seq])
            content = _merge(older, content)
            return Appended(self._store(self.last_seq, observed_ms, content), "coalesced")
        given_up = self._give_up()
        if self._has_room():
            self.last_seq += 1
            writes = self._store(self.last_seq, observed_ms, content)
            return Appended(writes, "unprotected", given_up)
        self._held = {**content, "observed_ms": observed_ms}
        return Appended([], "held", given_up)

    @property
    def held_ms(self) -> int | None:
        """When the state that waits for room was observed; None when none waits, or must on."""
        if self._held is None or not (self._has_room() or self._oldest_is_applied()):
            return None
        observed_ms: int = self._held["observed_ms"]
        return observed_ms

    def _has_room(self) -> bool:
        return len(self.rows) < self._reports_max and self.bytes < self._bytes_max

    def _store(self, seq: int, observed_ms: int, content: Mapping[str, Any]) -> list[Write]:
        row = messages.dump({**content, "seq": seq, "observed_ms": observed_ms})
        self.bytes += len(row) - len(self.rows.get(seq, b""))
        self.rows[seq] = row
        self._newest, self.newest_observed_ms = row, observed_ms
        return [Put(ROWS, self._key(seq), row), *self._sweep()]

    def _sweep(self) -> list[Write]:
        """Delete what is no longer needed from disk. It rides on an append, so it costs no
        commit of its own and the newest row, which says where the numbers stand, stays."""
        first_kept = max(next(iter(self.rows)) - self._keep_stable, self._disk_first)
        gone = range(self._disk_first, first_kept)
        self._disk_first = first_kept
        return [Delete(ROWS, self._key(seq)) for seq in gone]

    def _give_up(self) -> int:
        """Forget the oldest rows that the edge has applied, as few as make room; how many."""
        count = 0
        while not self._has_room() and self._oldest_is_applied():
            self._forget(next(iter(self.rows)))
            count += 1
        return count

    def _oldest_is_applied(self) -> bool:
        return next(iter(self.rows)) <= (self.applied or 0)

    def _forget(self, seq: int) -> None:
        self.bytes -= len(self.rows.pop(seq))

    # --- the window ---------------------------------------------------------------------

    @property
    def outstanding(self) -> bool:
        """Whether something was sent, or could be, that the edge has not applied."""
        return self.last_seq > self._base()

    def window(self, *, again: bool) -> list[bytes]:
        """The rows to send now: those not in flight yet or, `again`, all after `applied`."""
        base = self._base()
        self._flying = base if again else max(base, self._flying)
        rows: list[bytes] = []
        size = 0
        for seq in range(self._flying + 1, min(base + WINDOW_REPORTS_MAX, self.last_seq) + 1):
            row = self.rows.get(seq)
            if row is None or size + len(row) > WINDOW_BYTES_MAX:
                break
            rows.append(row)
            size += len(row) + 1
            self._flying = seq
        self.sent = max(self.sent, self._flying)
        return rows

    def _base(self) -> int:
        oldest_kept = next(iter(self.rows), self.last_seq + 1)
        return max(oldest_kept - 1, self.applied if self.applied is not None else 0)

    def reassigned(self) -> None:
        """A new owner: what the last one had applied says nothing about it."""
        self.applied = None

    # --- acknowledgements -----------------------------------------------------------------

    def stabilise(self, session: int, stable: int) -> None:
        """Any edge says that the cloud holds reports up to `stable`."""
        if session != self.mark.session or stable <= self.mark.stable:
            return
        stable = min(stable, self.last_seq)
        self.mark = replace(self.mark, stable=stable)
        while self.rows and (oldest := next(iter(self.rows))) <= stable:
            self._forget(oldest)

    def acknowledge(self, ack: ReportAck) -> Literal["progress", "same", "stale", "renumber"]:
        """The assigned edge says what it has applied."""
        mark = self.mark
        if ack.session > mark.session:
            return "renumber"
        applied = ack.applied if ack.session == mark.session else 0
        told = mark.told_applied if mark.told_epoch == ack.epoch else 0
        if ack.epoch < mark.told_epoch or applied < max(mark.stable, told):
            return "stale"
        if applied > self.last_seq:
            return "renumber"
        if self.rows and next(iter(self.rows)) > applied + 1:
            return "renumber"
        progress = self.applied is None or applied > self.applied
        self.applied = applied
        self.mark = replace(mark, told_epoch=ack.epoch, told_applied=applied)
        return "progress" if progress else "same"

    def overtaken(self, ack: ReportAck) -> int:
        """How much of our session was applied before the one that `ack` names, if larger, began."""
        if ack.session <= self.mark.session:
            return 0
        former_session, former_seq = ack.former or (0, 0)
        if former_session == self.mark.session:
            return former_seq
        return self.mark.told_applied if self.mark.told_epoch == ack.epoch else 0

    def restate(self, applied: int) -> int:
        """Make one row of those up to `applied`, or keep the newest of all if none is left;
        return how many are given up by that."""
        told = {seq: self.rows.pop(seq) for seq in [*self.rows] if seq <= applied}
        if not (told or self.rows) and self._newest:
            told = {self.last_seq: self._newest}
        if told:
            state = reduce(_merge, map(messages.load, told.values()))
            self.rows = {min(told): messages.dump(state), **self.rows}
        return max(len(told) - 1, 0)

    def renumber(self, session: int, description: Mapping[str, Any]) -> list[Write]:
        """Open `session` and number all kept rows from 1; the first carries the description."""
        writes = self.deleted()
        kept = [messages.load(row) for row in self.rows.values()]
        sent = sum(seq <= self.sent for seq in self.rows)
        if kept:
            kept[0] = {**kept[0], "description": description}
        self.mark = Mark(session)
        self.rows = {}
        self.bytes = self.last_seq = self._flying = 0
        self.sent = sent  # an owner may have acknowledged them: they are not overwritten
        self.applied = None
        self._disk_first = 1
        for content in kept:
            self.last_seq += 1
            writes += self._store(self.last_seq, content["observed_ms"], content)
        return writes

    def deleted(self) -> list[Write]:
        """What takes all rows from disk."""
        return [Delete(ROWS, self._key(seq)) for seq in range(self._disk_first, self.last_seq + 1)]

    def _key(self, seq: int) -> str:
        return f"{self.twin}/{self.mark.session}/{seq}"


def first_session(wall_ms: int, store_id: str) -> int:
    """The session that a new store begins with, a guess which an edge that knows a larger one
    corrects: the wall time in seconds, then 20 bits of the store's id. A board without a
    battery begins each life at the same second, and must not go on in a session it lost."""
    seconds = min(max(wall_ms // 1000, 1), 2**32 - 1)
    return seconds << _TAG_BITS | crc32(store_id.encode()) >> 32 - _TAG_BITS


def next_session(above: int, own: int) -> int:
    """The first session above `above` with the tag of our `own`: a store that was lost may
    have opened any other one, and its reports may still be under way."""
    tagged = above & ~_TAG | own & _TAG
    return tagged if tagged > above else tagged + _TAG + 1


def _position(key: str) -> tuple[int, int]:
    _, session, seq = key.split("/")
    return int(session), int(seq)


def _merge(older: Mapping[str, Any], newer: Mapping[str, Any]) -> dict[str, Any]:
    """Two reports as one: the newer value of each feature, nothing else forgotten."""
    merged = {**older, **newer}
    for part in ("features", "outcomes"):
        if part in older or part in newer:
            merged[part] = {**older.get(part, {}), **newer.get(part, {})}
    outcomes = merged.get("outcomes", {})
    while len(outcomes) > DESIRED_PER_TWIN_MAX or len(messages.dump(outcomes)) > EDITED_BYTES_MAX:
        del outcomes[next(iter(outcomes))]  # else the row would fit no window, and block all
    return merged
