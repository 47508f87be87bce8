"""The directory: which edge owns which twin, and the last checkpoint of each.

A device that is heard of for the first time gets a twin on the edge that owns the fewest
(ties: the smaller id). The placement is committed before the order goes out; the order
is repeated with back-off until the edge confirms; only then is the device assigned.
After a restart all of this follows from the rows:

    placement   phase, owner, epoch          one per twin
    snapshot    the last checkpoint          one per twin that has one
    edge        the id of the edge's store   one per edge

A twin moves by three commits here: `sealing` (its owner is asked to hand it over),
`activating` (with what it handed over as the snapshot, the target is given the next epoch),
`owned` (the target has confirmed, the device is told, the former owner lets go).

An edge that returns with another store has lost its twins: each is activated there again,
or where it was about to move, at the next epoch, from its checkpoint, and the devices send
what came after it.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from twin_runtime.core import messages, ownership, topics
from twin_runtime.core.agenda import Agenda
from twin_runtime.core.backoff import backoff_s
from twin_runtime.core.effects import Effects, Note, Now, Put, Refused, Row, Send
from twin_runtime.core.ids import EdgeId
from twin_runtime.core.limits import (
    EDGES_MAX,
    ORDER_RETRY_FIRST_S,
    ORDER_RETRY_LAST_S,
    ORDERS_MAX,
    REPUBLISH_PAUSE_S,
    REPUBLISH_TWINS_MAX,
    STABLE_MARKS_MAX,
    TWINS_PER_CLOUD_MAX,
)
from twin_runtime.core.messages import (
    Assignment,
    Snapshot,
)
from twin_runtime.core.orders import (
    Activate,
    Activated,
    Checkpoint,
    Release,
    Seal,
    Sealed,
    Stable,
    StableMark,
)
from twin_runtime.core.ownership import Placement

PLACEMENT_ROW = "placement"
SNAPSHOT_ROW = "snapshot"
EDGE_ROW = "edge"


class Kept(NamedTuple):
    """The last accepted checkpoint: how far it reaches, and its bytes."""

    session: int
    last_seq: int
    revision: int
    row: bytes


class Directory:
    """Placements, checkpoints and edges, and what has to be said about them."""

    def __init__(self) -> None:
        self.placements: dict[str, Placement] = {}
        self.snapshots: dict[str, Kept] = {}
        self._stores: dict[str, str] = {}
        self._load: dict[str, int] = {}
        self._homeless: dict[str, None] = {}  # heard of before any edge was
        self._former: dict[str, str] = {}  # who handed a twin over that is being activated
        self._orders = Agenda()
        self._attempts: dict[str, int] = {}  # orders not confirmed yet
        self._repeat: Iterator[str] | None = None  # the round of assignments that is under way
        self._marks: dict[str, list[StableMark]] = {}

    def restore(self, rows: Iterable[Row]) -> None:
        """Load everything; orders that were not confirmed are due at once."""
        for row in rows:
            if row.kind == EDGE_ROW:
                self._stores[row.key] = row.value.decode()
                self._load.setdefault(row.key, 0)
            elif row.kind == PLACEMENT_ROW:
                self._place(row.key, Placement(**messages.load(row.value)))
            elif row.kind == SNAPSHOT_ROW:
                self._keep(messages.parse(messages.SNAPSHOT, row.value), row.value)

    # --- devices ------------------------------------------------------------------------

    def device_online(self, twin: str, known_epoch: int, now: Now, fx: Effects) -> None:
        """A device says that it is there: create its twin, or tell it where it is."""
        placement = self.placements.get(twin)
        if placement is None:
            self._create(twin, now, fx)
        elif placement.phase != "activating" and known_epoch != placement.epoch:
            self._assign(twin, placement, fx)

    def _create(self, twin: str, now: Now, fx: Effects) -> None:
        if len(self.placements) >= TWINS_PER_CLOUD_MAX:
            text = f"no twin for {twin}: the directory holds {TWINS_PER_CLOUD_MAX} already"
            fx.count("twins_refused_total")
            fx.notes.append(Note("error", text))
            return
        if not self._stores:
            if len(self._homeless) < TWINS_PER_CLOUD_MAX:
                self._homeless[twin] = None
            return
        edge = min(self._stores, key=lambda edge: (self._load[edge], edge))
        self._give(twin, ownership.create(EdgeId(edge)), now, fx)
        fx.notes.append(Note("info", f"{twin} is new: its twin is created on {edge}"))

    def _assign(self, twin: str, placement: Placement, fx: Effects) -> None:
        assignment = Assignment(edge=placement.owner, epoch=placement.epoch)
        fx.sends.append(Send(topics.assign(twin), messages.encode(assignment), retain=True))

    # --- edges --------------------------------------------------------------------------

    def hello(self, edge: str, store: str, now: Now, fx: Effects) -> None:
        """An edge is up. With a new store it has lost what it owned."""
        known = self._stores.get(edge)
        if known is None and len(self._stores) >= EDGES_MAX:
            fx.notes.append(Note("error", f"{edge} is one edge too many: at most {EDGES_MAX}"))
            return
        if known == store:
            return
        self._stores[edge] = store
        self._load.setdefault(edge, 0)
        fx.writes.append(Put(EDGE_ROW, edge, store.encode()))
        if known is not None:
            self._recover(edge, now, fx)
        for twin in list(self._homeless):
            del self._homeless[twin]
            self._create(twin, now, fx)

    def _recover(self, edge: str, now: Now, fx: Effects) -> None:
        lost = [twin for twin, placed in self.placements.items() if placed.owner == edge]
        for twin in lost:
            placed = self.placements[twin]
            self._give(twin, ownership.reassign(placed, placed.target or EdgeId(edge)), now, fx)
        fx.count("failovers_total", by=len(lost))
        text = f"{edge} has a new store: {len(lost)} twins return from their checkpoints"
        fx.notes.append(Note("warning", text))

    def move(self, twin: str, target: str, now: Now, fx: Effects) -> Refused | None:
        """Begin to move a twin to an edge; None: it moves, or it is there already."""
        placement = self.placements.get(twin)
        if placement is None:
            return Refused("unknown_twin", f"there is no twin {twin}")
        if target not in self._stores:
            known = ", ".join(sorted(self._stores)) or "none"
            return Refused("unknown_edge", f"no edge {target} has said hello; known: {known}")
        if placement.phase == "owned" and placement.owner == target:
            return None
        if placement.phase == "activating" and placement.owner == target:
            return None
        moving = ownership.move(placement, EdgeId(target))
        if moving is None:
            text = f"{twin} is on its way to {placement.owner} already; ask again when it is there"
            return Refused("busy", text)
        if moving != placement:
            self._give(twin, moving, now, fx)
            fx.notes.append(Note("info", f"{twin} moves from {placement.owner} to {target}"))
        return None

    def sealed(self, edge: str, event: Sealed, now: Now, fx: Effects) -> None:
        """Owners hand twins over: keep what they hold, and give the target the next epoch."""
        for snapshot in event.twins:
            placement = self.placements.get(snapshot.twin)
            given = placement and ownership.sealed(placement, edge, snapshot.epoch)
            if given:
                self._store(snapshot, fx)
                self._former[snapshot.twin] = edge
                self._give(snapshot.twin, given, now, fx)
            elif placement is None or not ownership.is_current(placement, edge, snapshot.epoch):
                self._depose(edge, snapshot.twin, fx)

    def activated(self, edge: str, event: Activated, fx: Effects) -> None:
        """An edge confirms; from now on the device may be told."""
        placement = self.placements.get(event.twin)
        owned = placement and ownership.activated(placement, edge, event.epoch)
        if owned:
            self._place(event.twin, owned)
            self._orders.drop(event.twin)
            self._attempts.pop(event.twin, None)
            fx.writes.append(_placement_row(event.twin, owned))
            self._assign(event.twin, owned, fx)
            former = self._former.pop(event.twin, edge)
            if former != edge:
                self._release(former, event.twin, fx)
        elif placement is None or not ownership.is_current(placement, edge, event.epoch):
            self._depose(edge, event.twin, fx)

    def checkpoint(self, edge: str, event: Checkpoint, fx: Effects) -> None:
        """Store what the owner sends, unless it is behind; say how far that reaches."""
        for snapshot in event.twins:
            placement = self.placements.get(snapshot.twin)
            if placement is None or not ownership.is_current(placement, edge, snapshot.epoch):
                self._depose(edge, snapshot.twin, fx)
            elif placement.phase != "activating":
                self._accept(edge, snapshot, fx)

    def _accept(self, edge: str, snapshot: Snapshot, fx: Effects) -> None:
        kept = self.snapshots.get(snapshot.twin)
        if kept is not None and snapshot.revision < kept.revision:
            fx.count("checkpoints_total", "behind")
            return
        self._store(snapshot, fx)
        mark = StableMark(
            twin=snapshot.twin,
            epoch=snapshot.epoch,
            session=snapshot.session,
            seq=snapshot.last_seq,
            revision=snapshot.revision,
        )
        self._marks.setdefault(edge, []).append(mark)

    def _store(self, snapshot: Snapshot, fx: Effects) -> None:
        kept = self.snapshots.get(snapshot.twin)
        if kept is not None and snapshot.revision <= kept.revision:
            fx.count("checkpoints_total", "known")
            return
        row = messages.encode_received(snapshot)
        self._keep(snapshot, row)
        fx.writes.append(Put(SNAPSHOT_ROW, snapshot.twin, row))
        fx.count("checkpoints_total", "stored")

    def _depose(self, edge: str, twin: str, fx: Effects) -> None:
        """Whoever speaks of a twin without owning it is told to let go (C6)."""
        fx.count("fenced_total", "event")
        placement = self.placements.get(twin)
        if placement is not None and placement.owner != edge:
            self._release(edge, twin, fx)

    def _release(self, edge: str, twin: str, fx: Effects) -> None:
        store = self._stores.get(edge)
        if store is not None:
            release = Release(store=store, twin=twin, epoch=self.placements[twin].epoch)
            fx.sends.append(Send(topics.order(edge), messages.encode(release)))

    # --- what is repeated ---------------------------------------------------------------

    def repeat_assignments(self, fx: Effects) -> bool:
        """Repeat some assignments, since the broker may have forgotten them; whether more
        are to come in this round."""
        if self._repeat is None:
            self._repeat = iter(list(self.placements))
        batch = list(islice(self._repeat, REPUBLISH_TWINS_MAX))
        for twin in batch:
            placement = self.placements[twin]
            if placement.phase != "activating":
                self._assign(twin, placement, fx)
        if len(batch) == REPUBLISH_TWINS_MAX:
            return True
        self._repeat = None
        return False

    def begin_again(self) -> None:
        """Whatever was said may be lost: repeat all assignments, from the first."""
        self._repeat = None

    def settle(self, now: Now, fx: Effects, *, connected: bool) -> None:
        """Send what this batch made stable, and the orders that are due."""
        for edge, marks in self._marks.items():
            for first in range(0, len(marks), STABLE_MARKS_MAX):
                stable = Stable(marks=tuple(marks[first : first + STABLE_MARKS_MAX]))
                fx.sends.append(Send(topics.order(edge), messages.encode(stable)))
        self._marks = {}
        if not connected:
            return
        for twin in self._orders.take(now.monotonic_s, ORDERS_MAX):
            self._order(twin, fx)
            attempt = self._attempts.get(twin, 0)
            pause_s = backoff_s(twin, attempt, ORDER_RETRY_FIRST_S, ORDER_RETRY_LAST_S)
            self._attempts[twin] = attempt + 1
            self._orders.set(twin, now.monotonic_s + pause_s)
        next_s = self._orders.next_s()
        if next_s is not None:
            fx.wake_by(max(next_s - now.monotonic_s, REPUBLISH_PAUSE_S))

    def _order(self, twin: str, fx: Effects) -> None:
        placement = self.placements[twin]
        store = self._stores[placement.owner]
        order: Activate | Seal = Seal(store=store, twin=twin, epoch=placement.epoch)
        if placement.phase == "activating":
            kept = self.snapshots.get(twin)
            snapshot = messages.parse(messages.SNAPSHOT, kept.row) if kept else None
            order = Activate(store=store, twin=twin, epoch=placement.epoch, snapshot=snapshot)
        fx.sends.append(Send(topics.order(placement.owner), messages.encode(order)))

    def _give(self, twin: str, placement: Placement, now: Now, fx: Effects) -> None:
        self._place(twin, placement)
        self._attempts.pop(twin, None)
        self._orders.set(twin, now.monotonic_s)
        fx.writes.append(_placement_row(twin, placement))

    def _place(self, twin: str, placement: Placement) -> None:
        before = self.placements.get(twin)
        if before is not None:
            self._load[before.owner] -= 1
        self._load[placement.owner] = self._load.get(placement.owner, 0) + 1
        self.placements[twin] = placement
        if placement.phase != "owned":
            self._orders.set(twin, 0.0)

    def _keep(self, snapshot: Snapshot, row: bytes) -> None:
        self.snapshots[snapshot.twin] = Kept(
            snapshot.session, snapshot.last_seq, snapshot.revision, row
        )


def _placement_row(twin: str, placement: Placement) -> Put:
    row = {"phase": placement.phase, "owner": placement.owner, "epoch": placement.epoch}
    if placement.target is not None:
        row["target"] = placement.target
    return Put(PLACEMENT_ROW, twin, messages.dump(row))
