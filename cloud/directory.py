"""The directory: which edge owns which twin.

A device that is heard of for the first time gets a twin on the edge that owns the fewest
(ties: the smaller id). The placement is committed before the order goes out; the order
is repeated with back-off until the edge confirms; only then is the device assigned.
After a restart all of this follows from the rows:

    placement   phase, owner, epoch, target   one per twin
    snapshot    the last checkpoint           one per twin that has one (`snapshots`)
    edge        its store, its state          one per edge (`edges`)
    move        a request that has a key      the last of them (`moves`)

A twin moves by three commits here: `sealing` (its owner is asked to hand it over),
`activating` (with what it handed over as the snapshot, the target is given the next epoch),
`owned` (the target has confirmed, the former owner lets go; its device, which waits, is told
before that, since the epoch is durable here and there).

An edge that returns with another store has lost its twins: each is activated there again,
or where it was about to move, at the next epoch, from its checkpoint, and the devices send
what came after it. Twins of an edge that an operator calls lost are activated elsewhere in
the same way; those of an edge that drains move.

Should this store be an older copy, edges own twins at epochs that it does not know: `claims`.
"""

from collections.abc import Iterable
from dataclasses import replace

from cloud.assignments import Assignments
from cloud.blobs import Precopy
from cloud.claims import Claims
from cloud.departures import Departures
from cloud.edges import EDGE_ROW, Edges
from cloud.events import EVENTS_ROW, Events
from cloud.leaving import depart, recover
from cloud.moves import MOVE_ROW, Moves
from cloud.reminders import Reminders
from cloud.snapshots import SNAPSHOT_ROW, Snapshots
from twin_runtime.core import messages, orders, ownership, topics
from twin_runtime.core.effects import Effects, Note, Now, Put, Refused, Row, Send, SetEdge
from twin_runtime.core.ids import EdgeId
from twin_runtime.core.limits import (
    EDGES_MAX,
    EPOCH_BELIEVED_MAX,
    ORDERS_MAX,
    REPUBLISH_PAUSE_S,
    TWINS_PER_CLOUD_MAX,
)
from twin_runtime.core.messages import Snapshot
from twin_runtime.core.orders import Activate, Activated, Checkpoint, Release, Seal, Sealed
from twin_runtime.core.ownership import Placement

PLACEMENT_ROW = "placement"


class Directory:
    """Placements, and what has to be said about them."""

    def __init__(self) -> None:
        self.placements: dict[str, Placement] = {}
        self.snapshots = Snapshots()
        self.edges = Edges()
        self.events = Events()
        self.moves = Moves()
        self.precopy = Precopy(self.edges, self.snapshots)
        self.departures = Departures()
        self._homeless: dict[str, int] = {}  # heard of before any edge was; which epoch they knew
        self._confirmed: dict[str, Placement] = {}  # their devices know, no row says so yet
        self._orders = Reminders()
        self.assignments = Assignments(self.placements)
        self.claims = Claims(self.placements, self.edges, self.snapshots)

    def restore(self, rows: Iterable[Row]) -> None:
        """Load everything; orders that were not confirmed are due at once."""
        for row in rows:
            if row.kind == EDGE_ROW:
                self.edges.restore(row)
            elif row.kind == PLACEMENT_ROW:
                self._place(row.key, Placement(**messages.load(row.value)), 0.0)
            elif row.kind == SNAPSHOT_ROW:
                self.snapshots.restore(row)
            elif row.kind == MOVE_ROW:
                self.moves.restore(row)
            elif row.kind == EVENTS_ROW:
                self.events.restore(row)
        self.moves.restored()
        for twin, placed in self.placements.items():
            if placed.phase == "sealing":
                self.moves.begin(twin, placed.owner, None)
        for edge in self.edges.leaving():
            self._empty(edge)

    # --- devices ------------------------------------------------------------------------

    def device_online(self, twin: str, known_epoch: int, now: Now, fx: Effects) -> None:
        """A device says that it is there: create its twin, or tell it where it is."""
        placement = self.placements.get(twin)
        if placement is None and not self.claims.expects(twin, known_epoch, now.monotonic_s):
            self._create(twin, now, fx, min(known_epoch, EPOCH_BELIEVED_MAX))
        elif placement and placement.phase != "activating" and known_epoch != placement.epoch:
            self.assignments.say(twin, placement, fx)

    def create(self, twin: str, now: Now, fx: Effects) -> Refused | None:
        """Let there be a twin for a device that will come; one that is there already may stay."""
        if twin not in self.placements:
            self._create(twin, now, fx)
        lacking = Refused("no_edge", f"no edge can take {twin} now: start one, or resume one")
        return None if twin in self.placements else lacking

    def _create(self, twin: str, now: Now, fx: Effects, known_epoch: int = 0) -> None:
        if len(self.placements) >= TWINS_PER_CLOUD_MAX:
            text = f"no twin for {twin}: the directory holds {TWINS_PER_CLOUD_MAX} already"
            fx.count("twins_refused_total")
            fx.notes.append(Note("error", text, twin=twin))
            return
        if (edge := self.edges.least_loaded()) is None:
            if len(self._homeless) < TWINS_PER_CLOUD_MAX:
                self._homeless[twin] = known_epoch
            return
        self.claims.end(twin)
        self.give(twin, ownership.create(edge, known_epoch), now, fx)
        self.events.add("created", now, fx, twin=twin, to=edge)
        text = f"{twin} is new: its twin is created on {edge}"
        if known_epoch:
            text += f", though it had an owner, at epoch {known_epoch}, which no edge here is"
        level = "warning" if known_epoch else "info"
        fx.notes.append(Note(level, text, twin, edge, known_epoch + 1))

    def _house(self, now: Now, fx: Effects) -> None:
        """There may be an edge now for those who came when there was none."""
        homeless, self._homeless = self._homeless, {}
        for twin, known_epoch in homeless.items():
            self._create(twin, now, fx, known_epoch)

    # --- edges --------------------------------------------------------------------------

    def hello(self, edge: str, store: str, now: Now, fx: Effects) -> None:
        """An edge is up. With a new store it has lost what it owned; one that was called lost
        serves again, without the twins that it lost."""
        known, state = self.edges.store_of(edge), self.edges.state_of(edge)
        if known is None and len(self.edges) >= EDGES_MAX:
            fx.notes.append(Note("error", f"{edge} is one too many: at most {EDGES_MAX}", "", edge))
            return
        self._remind(now, edge)
        if known == store and state != "lost":
            return
        self.edges.set(edge, store, "draining" if state == "draining" else "serving", fx)
        if known is None or state == "lost":
            self.departures.cancel(edge)
            self.events.add("joined", now, fx, edge=edge)
        if known not in (None, store):
            recover(self, edge, now, fx)
        self._house(now, fx)

    def connected(self, now: Now) -> None:
        """Whatever was said may be lost: say all of it again, whoever may hear it now."""
        self.assignments.begin_again()
        self._remind(now)

    def _remind(self, now: Now, edge: str = "") -> None:
        """This edge is there, or all are: let them not wait until a long pause is over."""
        for twin in self._orders.pending():
            if edge in ("", self.placements[twin].owner):
                self._orders.begin(twin, now.monotonic_s)

    def set_edge(self, wanted: SetEdge, now: Now, fx: Effects) -> Refused | None:
        """An operator says that an edge serves, drains or is lost."""
        edge, state = wanted
        store = self.edges.store_of(edge)
        if store is None:
            return self.edges.refusal(edge)
        if state == self.edges.state_of(edge):
            return None
        self.edges.set(edge, store, state, fx)
        if state == "serving":
            self.departures.cancel(edge)
            self._house(now, fx)
        else:
            self._empty(edge)
        if state == "lost":
            self.claims.without(edge)
        self.events.add(state, now, fx, edge=edge)
        fx.notes.append(Note("info", f"{edge} is {state} now", edge=edge))
        return None

    def _empty(self, edge: str) -> None:
        """Let all twins that are at `edge`, or on their way there, leave."""
        at = self.placements.items()
        self.departures.begin(edge, [twin for twin, p in at if edge in (p.owner, p.target)])

    # --- moves --------------------------------------------------------------------------

    def move(self, twin: str, target: str, now: Now, fx: Effects, key: str = "") -> Refused | None:
        """Begin to move a twin to an edge; None: it moves, or it is there already, or a
        request with this key was taken before."""
        if self.moves.knows(key):
            return self.moves.reused(key, twin, target)
        placement = self.placements.get(twin)
        if placement is None:
            return Refused("unknown_twin", f"there is no twin {twin}")
        if self.claims.of(twin):
            return self._decide(twin, target, key, now, fx)
        is_there = placement.phase != "sealing" and placement.owner == target
        if is_there and twin not in self.claims:
            self.precopy.end(twin)
            self.moves.take(key, twin, target, fx)
            return None
        if refused := self.edges.refusal(target):
            return refused
        moving = ownership.move(placement, EdgeId(target))
        if moving is None:
            text = f"{twin} is on its way to {placement.owner} already; ask again when it is there"
            return Refused("busy", text)
        if not self.precopy.begins(twin, placement, EdgeId(target), key, now.monotonic_s):
            self._begin(twin, moving, key, now, fx)
        return None

    def _decide(self, twin: str, target: str, key: str, now: Now, fx: Effects) -> Refused | None:
        """Somebody says who of two is right: that one hands the twin over to itself."""
        right = self.claims.decide(twin, target)
        if isinstance(right, Refused):
            return right
        if right != self.placements[twin]:
            self.snapshots.forget(twin, fx)  # another past
        moving = ownership.move(right, EdgeId(target))
        assert moving is not None, f"{twin} is being activated"
        self._begin(twin, moving, key, now, fx)
        self.claims.end(twin)
        return None

    def _begin(self, twin: str, moving: Placement, key: str, now: Now, fx: Effects) -> None:
        self.moves.take(key, twin, str(moving.target), fx)
        if moving != self.placements[twin]:
            self.seal(twin, moving, now, fx)

    def seal(self, twin: str, moving: Placement, now: Now, fx: Effects) -> None:
        """Ask the owner to hand a twin over."""
        self.precopy.end(twin)
        self.claims.end(twin)
        self.moves.begin(twin, moving.owner, now.monotonic_s)
        self.give(twin, moving, now, fx)
        fx.count("moves_total", "begun")
        about = {"from": moving.owner, "to": str(moving.target)}
        self.events.add("move", now, fx, twin=twin, **about)

    def sealed(self, edge: str, event: Sealed, now: Now, fx: Effects) -> None:
        """Owners hand twins over: keep what they hold, and give the target the next epoch."""
        for snapshot in event.twins:
            placement = self.placements.get(snapshot.twin)
            given = placement and ownership.sealed(placement, edge, snapshot.epoch)
            if self._speaks_as_owner(edge, snapshot, now, fx):
                self.snapshots.store(snapshot, fx)
                after = given or self.claims.handed_over(snapshot.twin)
                if after != self.placements[snapshot.twin]:
                    self.give(snapshot.twin, after, now, fx)

    def activated(self, edge: str, event: Activated, fx: Effects) -> None:
        """An edge confirms: the device is told at once; all else waits for `confirm`."""
        placement = self.placements.get(event.twin)
        owned = placement and ownership.activated(placement, edge, event.epoch)
        if owned and not self.claims.of(event.twin):
            self._confirmed[event.twin] = owned
            self.assignments.say(event.twin, owned, fx)
            fx.hurry = True
            fx.wake_by(0.0)
        elif placement is None or not ownership.is_current(placement, edge, event.epoch):
            self._depose(edge, event.twin, fx)

    def confirm(self, now: Now, fx: Effects) -> None:
        """Let those twins be owned whose devices were told so, before anything else happens."""
        while self._confirmed:
            twin, owned = self._confirmed.popitem()
            if ownership.activated(self.placements[twin], owned.owner, owned.epoch) == owned:
                self.give(twin, owned, now, fx)
                self._moved(twin, owned, now, fx)

    def _moved(self, twin: str, owned: Placement, now: Now, fx: Effects) -> None:
        moving = self.moves.end(twin)
        about: dict[str, str | float] = {"to": owned.owner, "epoch": owned.epoch}
        if moving is not None:
            about["from"] = moving.source
            fx.count("moves_total", "done")
            if moving.since_s is not None:
                about["pause_s"] = round(now.monotonic_s - moving.since_s, 6)
                fx.observed.append(("move_pause_seconds", now.monotonic_s - moving.since_s))
            if moving.source != owned.owner:
                self.release(moving.source, twin, fx)
        self.events.add("owned", now, fx, twin=twin, **about)

    # --- checkpoints --------------------------------------------------------------------

    def checkpoint(self, edge: str, event: Checkpoint, now: Now, fx: Effects) -> None:
        """Store what the owner sends, unless it is behind; say how far that reaches."""
        for snapshot in event.twins:
            speaks = self._speaks_as_owner(edge, snapshot, now, fx)
            if speaks and self.placements[snapshot.twin].phase != "activating":
                self.snapshots.accept(edge, snapshot, fx)

    def _speaks_as_owner(self, edge: str, snapshot: Snapshot, now: Now, fx: Effects) -> bool:
        """Whether an undisputed owner speaks, as whom it may only be known by this (`claims`)."""
        placement = self.placements.get(snapshot.twin)
        if placement is None or not ownership.is_current(placement, edge, snapshot.epoch):
            if self.claims.convinces(edge, snapshot, fx):
                self._adopt(edge, snapshot, now, fx)
            elif self.claims.of(snapshot.twin) is None:
                self._depose(edge, snapshot.twin, fx)
                return False
        return self.claims.of(snapshot.twin) is None

    def _adopt(self, edge: str, snapshot: Snapshot, now: Now, fx: Effects) -> None:
        """This store has forgotten that an edge owns a twin: take its word for it."""
        twin, adopted = snapshot.twin, Placement("owned", EdgeId(edge), snapshot.epoch)
        self.precopy.end(twin)
        self.moves.end(twin)
        self.claims.end(twin)
        self._homeless.pop(twin, None)
        before = self.placements.get(twin)
        self.give(twin, adopted, now, fx)
        self.assignments.say(twin, adopted, fx)
        fx.count("twins_adopted_total")
        self.events.add("adopted", now, fx, twin=twin, to=edge, epoch=snapshot.epoch)
        if before is not None and before.epoch == adopted.epoch:  # given twice, but not the next
            self.seal(twin, replace(adopted, phase="sealing", target=adopted.owner), now, fx)

    def _depose(self, edge: str, twin: str, fx: Effects) -> None:
        """Whoever speaks of a twin without owning it is told to let go (C6)."""
        fx.count("fenced_total", "event")
        placement = self.placements.get(twin)
        if placement is not None and placement.owner != edge:
            self.release(edge, twin, fx)

    def release(self, edge: str, twin: str, fx: Effects) -> None:
        store = self.edges.store_of(edge)
        if store is not None:
            placed = self.placements[twin]
            api = self.edges.api_of(placed.owner)
            release = Release(store=store, twin=twin, epoch=placed.epoch, api=api)
            fx.sends.append(Send(topics.order(edge), messages.encode(release)))

    # --- what is repeated ---------------------------------------------------------------

    def settle(self, now: Now, fx: Effects, *, connected: bool) -> None:
        """Let twins leave, say what this batch made stable, send the orders that are due."""
        for twin, moving, key in self.precopy.ended(self.placements, now.monotonic_s):
            self._begin(twin, moving, key, now, fx)
        depart(self, now, fx)
        self.events.settle(fx)
        self.snapshots.say(fx)
        if not connected:
            return
        self.precopy.settle(self.placements, now.monotonic_s, fx)
        for twin in self._orders.take(now.monotonic_s, ORDERS_MAX):
            self._order(twin, fx)
        next_s = self._orders.next_s()
        if next_s is not None:
            fx.wake_by(max(next_s - now.monotonic_s, REPUBLISH_PAUSE_S))

    def _order(self, twin: str, fx: Effects) -> None:
        if self.claims.of(twin):
            return
        placement = self.placements[twin]
        store = self.edges.store_of(placement.owner)
        assert store is not None, f"{twin} was given to {placement.owner}, which never said hello"
        order: Activate | Seal = Seal(store=store, twin=twin, epoch=placement.epoch)
        if placement.phase == "activating":
            snapshot = self.snapshots.of(twin)
            about = {"store": store, "twin": twin, "epoch": placement.epoch, "snapshot": snapshot}
            source = self.moves.source(twin) if snapshot and snapshot.blobs else None
            order = Activate(**about, source=source)
        fx.sends.append(Send(topics.order(placement.owner), orders.encode(order)))

    def give(self, twin: str, placement: Placement, now: Now, fx: Effects) -> None:
        self._place(twin, placement, now.monotonic_s)
        row = {"phase": placement.phase, "owner": placement.owner, "epoch": placement.epoch}
        row |= {} if placement.target is None else {"target": placement.target}
        fx.writes.append(Put(PLACEMENT_ROW, twin, messages.dump(row)))

    def _place(self, twin: str, placement: Placement, now_s: float) -> None:
        """Hold a placement, in place of the one there was; order what it asks for."""
        before = self.placements.get(twin)
        if before is not None:
            self.edges.count(before.owner, -1)
            self.departures.gone(twin, before)
        self.edges.count(placement.owner, 1)
        self.departures.came(twin, placement)
        self.placements[twin] = placement
        if placement.phase == "owned":
            self._orders.end(twin)
        else:
            self._orders.begin(twin, now_s)
