"""The twins an edge owns: apply, acknowledge, publish, checkpoint.

For each twin there are three clocks, all of them liveness only:

    publishing    its document at once when it was quiet, else once a second (`publishing.py`)
    checkpoint    5 s after a change, and every 5 s until the cloud calls the revision
                  stable; when nothing is answered all of them pause, up to a minute
    repeating     all documents after a reconnect and once a minute, a few at a time,
                  because a broker may have forgotten them

Each is a dict in order of time (equal pauses keep it sorted), so a tick looks only at
what is due.
"""

from collections.abc import Iterable, Iterator
from itertools import islice

from edge_node.blobs import EdgeBlobs
from edge_node.checkpoints import Checkpoints, packets
from edge_node.commands import Commands
from edge_node.counters import DeviceCounters
from edge_node.descriptions import Descriptions
from edge_node.desires import Desires
from edge_node.history import Past
from edge_node.publishing import Publishing
from edge_node.refusals import Refusals
from edge_node.thing import NOT_LIVE, Thing
from twin_runtime.core import messages, topics
from twin_runtime.core import twin as core
from twin_runtime.core.effects import Delete, Effects, Note, Now, Put, Refused, Row, Send
from twin_runtime.core.errors import MalformedMessage
from twin_runtime.core.features import Feature
from twin_runtime.core.ids import TwinId
from twin_runtime.core.limits import (
    REPUBLISH_PAUSE_S,
    REPUBLISH_PERIOD_S,
    REPUBLISH_TWINS_MAX,
    TWINS_PER_EDGE_MAX,
)
from twin_runtime.core.messages import Status
from twin_runtime.core.orders import Activate, Release, Seal, Stable
from twin_runtime.core.shape import accepts, shared
from twin_runtime.core.twin import Phase, Twin

TWIN_ROW = "twin"
SEALED_ROW = "sealed"
ABSENT_ROW = "absent"
NEVER = float("inf")


class Twins:
    """All twins of one edge, and what has to be said about them."""

    def __init__(self, edge: str, descriptions: Descriptions | None = None) -> None:
        self._edge = edge
        self._event = topics.event(edge)
        self._twins: dict[str, Twin] = {}
        self._phases: dict[Phase, int] = dict.fromkeys(Phase, 0)
        self._live: dict[str, dict[str, Feature]] = {}
        self._written: dict[str, None] = {}  # touched in this batch: to be committed
        self.past = Past()  # what was applied in it
        self._answered: dict[str, None] = {}  # to be acknowledged after it
        self._changed: dict[str, None] = {}  # to be published
        self._publishing = Publishing()
        self._checkpoints = Checkpoints()
        self._repeat: Iterator[str] = iter(())
        self._repeat_due_s = NEVER
        self._returned = False
        self._refusals = Refusals(edge)
        self.counters = DeviceCounters()
        self.blobs = EdgeBlobs(edge)
        self._descriptions = descriptions or Descriptions()
        self.desires = Desires(edge)
        self.commands = Commands(edge)
        self.elsewhere: dict[str, str] = {}  # of absent twins, where their owner's API is

    def restore(self, rows: Iterable[Row], now: Now, fx: Effects) -> None:
        """Load what is held; tell the cloud of all of it once, since its last answer is
        forgotten."""
        for row in rows:
            if row.kind == ABSENT_ROW:
                epoch, _, api = row.value.decode().partition(" ")
                self._hold(Twin(TwinId(row.key), int(epoch), Phase.ABSENT))
                self._send_readers(row.key, api or None)
            elif row.kind in (TWIN_ROW, SEALED_ROW):
                phase = Phase.ACTIVE if row.kind == TWIN_ROW else Phase.SEALED
                twin = core.restore(messages.parse(messages.SNAPSHOT, row.value))
                self._hold(twin._replace(phase=phase))
                self.blobs.refer(row.key, twin.blobs)
                self._checkpoints.restore(row.key)
                self.desires.follow(self._twins[row.key], now.monotonic_s)
                fx.shown.append((row.key, self._thing(row.key, now)))

    def _send_readers(self, twin_id: str, api: str | None) -> None:
        """From here to where the twin is now (None: it is here, or nobody knows)."""
        self.elsewhere.pop(twin_id, None)
        if api is not None:
            self.elsewhere[twin_id] = shared(api)

    def phases(self) -> dict[str, int]:
        """How many twins are in which phase."""
        return {phase.value: count for phase, count in self._phases.items()}

    def _hold(self, twin: Twin) -> None:
        """Take the twin in, in place of what was held of it, if its phase may have changed."""
        held = self._twins.get(twin.twin)
        if held is not None:
            self._phases[held.phase] -= 1
        self._phases[twin.phase] += 1
        self._twins[twin.twin] = twin

    def _thing(self, twin_id: str, now: Now) -> Thing:
        twin = self._twins[twin_id]
        live = self._live.get(twin_id, NOT_LIVE)
        known_wall_ms = None if twin.phase is Phase.ACTIVE else now.wall_ms
        return Thing(twin, live, twin.reported_wall_ms, known_wall_ms)

    # --- from devices -------------------------------------------------------------------

    def hear(self, twin_id: str, verb: str, payload: bytes, now: Now, fx: Effects) -> None:
        """Take a report or live values of one device; whatever is refused is answered."""
        try:
            twin = self._known(twin_id)
            if twin.phase is not Phase.ACTIVE:
                fx.count("fenced_total", verb)  # its device is soon told where to send it again
            elif verb == "report":
                self._report(twin, payload, now, fx)
            else:
                self._take_live(twin, payload)
        except MalformedMessage as error:
            self._refusals.say(twin_id, error.code, error.message, error.pointer, now, fx)

    def device_said(self, twin_id: str, status: Status, now: Now) -> None:
        """A device speaks of itself; what it counts goes into this edge's sums, and one that is
        there is told what is wanted of it."""
        self._descriptions.carried(twin_id, status.via)
        twin = self._twins.get(twin_id)
        if twin is None or twin.phase is not Phase.ACTIVE:
            return
        if status.counters:
            self.counters.hear(twin_id, status.counters)
        if status.epoch > twin.epoch:
            self._checkpoints.ask(twin_id)  # there is a later owner: let the cloud tell us
        if status.counters.get("outbox_rows"):
            self._answered[twin_id] = None  # the last acknowledgement may have been lost
        if status.state == "online":
            self.desires.repeat(twin_id, now.monotonic_s)

    def _known(self, twin_id: str) -> Twin:
        twin = self._twins.get(twin_id)
        if twin is not None:
            return twin
        owner = f"{twin_id} is not owned by {self._edge}; wait for its assignment"
        raise MalformedMessage("not_owner", owner)

    def _report(self, twin: Twin, payload: bytes, now: Now, fx: Effects) -> None:
        window = messages.parse(messages.WINDOW, payload)
        outcome = core.apply_window(twin, window, now.wall_ms)
        if outcome.fenced:
            fx.count("fenced_total", "report", outcome.fenced)
            return
        self._answered[twin.twin] = None
        if outcome.duplicates:
            fx.count("reports_total", "duplicate", outcome.duplicates)
        if outcome.gaps:
            fx.count("reports_total", "gap", outcome.gaps)
        if not outcome.applied:
            return
        fx.count("reports_total", "applied", len(outcome.applied))
        if outcome.twin.shape is not twin.shape:
            # Otherwise live values of every description there ever was would pile up.
            self._live.pop(twin.twin, None)
        self._twins[twin.twin] = outcome.twin
        self._written[twin.twin] = None
        self.past.add(outcome, window.session, now.wall_ms)
        if self.commands:
            self.commands.ended(twin.twin, outcome.applied, fx)
        for fault in outcome.faults:
            self._refusals.say(twin.twin, fault.code, fault.message, fault.pointer, now, fx)

    def _take_live(self, twin: Twin, payload: bytes) -> None:
        live = messages.parse(messages.LIVE, payload)
        features = twin.shape.features if twin.shape is not None else {}
        for name, value in live.features.items():
            spec = features.get(name)
            if spec is None or not spec.live or not accepts(spec.type, value):
                problem = f"feature {name!r} is not declared live with the type of {value!r}"
                raise MalformedMessage("bad_feature", problem, f"/features/{name}")
        values = self._live.setdefault(twin.twin, {})
        values.update(
            (name, (value, live.observed_ms, "live")) for name, value in live.features.items()
        )
        self._changed[twin.twin] = None

    # --- from whoever asks --------------------------------------------------------------

    def writable(self, twin_id: str) -> Twin | Refused:
        """The twin, if it may change here now."""
        twin = self._twins.get(twin_id)
        if twin is None or twin.phase is Phase.ABSENT:
            return Refused("unknown_twin", f"{twin_id} is not owned by {self._edge}")
        if twin.phase is Phase.SEALED:
            return Refused("moving", f"{twin_id} moves to another edge: ask again in a second")
        return twin

    def shown(self, twin: Twin) -> Thing:
        """A twin as readers see it, before it is committed too."""
        return Thing(twin, self._live.get(twin.twin, NOT_LIVE), twin.reported_wall_ms, None)

    def change(self, twin: Twin, now: Now) -> Twin:
        """Somebody's write made this of a twin that may change; returns it with its time."""
        twin = twin._replace(written_wall_ms=now.wall_ms)
        self._twins[twin.twin] = twin
        self._written[twin.twin] = None
        return twin

    def checkpoint_soon(self, twin_id: str) -> None:
        """Somebody waits until the cloud has it."""
        self._checkpoints.ask(twin_id)

    # --- from the cloud -----------------------------------------------------------------

    def activate(self, order: Activate, fx: Effects) -> bool:
        """Own a twin from its snapshot; whether the cloud is to be told that we do."""
        held = self._twins.get(order.twin)
        if held is None and len(self._twins) >= TWINS_PER_EDGE_MAX:
            text = f"cannot own {order.twin}: this edge holds {TWINS_PER_EDGE_MAX} twins already"
            fx.notes.append(Note("error", text, twin=order.twin, epoch=order.epoch))
            return False
        twin = core.activate(held, TwinId(order.twin), order.epoch, order.snapshot)
        if twin is None:
            fx.count("fenced_total", "activate")
            return held is not None and (held.phase, held.epoch) == (Phase.ACTIVE, order.epoch)
        self._hold(twin)
        if twin.revision:
            self.past.begin(twin)
            self.counters.begin(order.twin)
        self._send_readers(order.twin, None)
        self.blobs.refer(order.twin, twin.blobs, order.source)
        self._live.pop(order.twin, None)
        self._written[order.twin] = None
        if held is not None:
            fx.writes += (Delete(kind, order.twin) for kind in (ABSENT_ROW, SEALED_ROW))
        return True

    def seal(self, order: Seal, fx: Effects) -> None:
        """Apply nothing more to a twin, and hand it over, as often as we are asked."""
        twin = core.seal(self._twins.get(order.twin), order.epoch)
        if twin is None:
            fx.count("fenced_total", "seal")
            return
        if self._twins[order.twin].phase is Phase.ACTIVE:
            self._hold(twin)
            self._live.pop(order.twin, None)
            self._written[order.twin] = None
            fx.writes.append(Delete(TWIN_ROW, order.twin))
        self._checkpoints.ask(order.twin)

    def release(self, order: Release, fx: Effects) -> None:
        """Forget a twin that is owned elsewhere; keep its epoch."""
        absent = core.release(self._twins.get(order.twin), TwinId(order.twin), order.epoch)
        if absent is None:
            fx.count("fenced_total", "release")
            return
        if (held := self._twins.get(order.twin)) is not None:
            self.past.forget(held)
        self._hold(absent)
        self.blobs.refer(order.twin, {})
        self._live.pop(order.twin, None)
        self.counters.forget(order.twin)
        self._descriptions.forget(order.twin)
        self.desires.forget(order.twin)
        self._send_readers(order.twin, order.api)
        for table in (self._written, self._answered, self._changed):
            table.pop(order.twin, None)
        self._publishing.forget(order.twin)
        self._checkpoints.forget(order.twin)
        fx.writes.append(
            Put(ABSENT_ROW, order.twin, f"{absent.epoch} {order.api or ''}".rstrip().encode())
        )
        fx.writes += (Delete(kind, order.twin) for kind in (TWIN_ROW, SEALED_ROW))
        fx.shown.append((order.twin, None))

    def stabilise(self, order: Stable, fx: Effects) -> None:
        """The cloud has stored checkpoints. This needs no commit: what is forgotten in a
        crash is asked for again, and the device keeps the largest."""
        self._checkpoints.answered()
        for mark in order.marks:
            twin = self._twins.get(mark.twin)
            if twin is None or mark.epoch != twin.epoch:
                fx.count("fenced_total", "stable")
                continue
            if twin.phase is Phase.ACTIVE and mark.revision >= twin.revision:
                self._checkpoints.forget(mark.twin)
            stable = core.stabilise(twin, mark.epoch, mark.session, mark.seq)
            if stable is not None:
                self._twins[mark.twin] = stable
                self._answered[mark.twin] = None

    def connected(self, now: Now) -> None:
        """Repeat every document, acknowledgement and checkpoint, a few at a time, since devices
        may have waited for us, or not."""
        self._repeat = iter(list(self._twins))
        self._repeat_due_s = now.monotonic_s
        self._returned = True
        self._descriptions.begin_again()
        self.desires.connected = self.commands.connected = True
        self.cloud_returned()

    def disconnected(self) -> None:
        self._repeat_due_s = NEVER
        self.desires.connected = self.commands.connected = False

    def cloud_returned(self) -> None:
        """Whatever was sent may be lost: checkpoint all that is not stable at once."""
        self._checkpoints.begin_again()

    # --- after each batch ---------------------------------------------------------------

    def settle(self, now: Now, fx: Effects) -> None:
        """Commit each touched twin once; then acknowledge, publish, checkpoint what is due."""
        for twin_id in self._written:
            twin = self._twins[twin_id]
            kind = TWIN_ROW if twin.phase is Phase.ACTIVE else SEALED_ROW
            row = core.encode(twin)
            self.past.keep(twin, row)
            fx.writes.append(Put(kind, twin_id, row))
            self._changed[twin_id] = None
            if twin.desired or twin_id in self.desires:
                self.desires.follow(twin, now.monotonic_s)
        self._checkpoints.changed(self._written, now.monotonic_s)
        fx.writes += self.past.take()
        if self._answered:
            fx.timed = "ack_latency_seconds"
        for twin_id in self._answered:
            fx.sends.append(self._acknowledgement(self._twins[twin_id]))
        for twin_id in self._changed:
            fx.shown.append((twin_id, self._thing(twin_id, now)))
        self._publish_changed(now, fx)
        self._repeat_levels(now, fx)
        self._checkpoint(now, fx)
        self.blobs.settle(now, fx)
        self.desires.settle(self._twins, now.monotonic_s, fx)
        self.commands.settle(now.monotonic_s, fx)
        self._written, self._answered, self._changed = {}, {}, {}

    def _acknowledgement(self, twin: Twin) -> Send:
        position = (twin.epoch, twin.session, twin.last_seq, twin.stable_seq, twin.former)
        ack = messages.encode_ack(self._edge, *position)
        return Send(topics.down(twin.twin, self._edge, "ack"), ack)

    def _publish_changed(self, now: Now, fx: Effects) -> None:
        changed = [self._twins[twin_id] for twin_id in self._changed]
        for twin_id in self._publishing.due(changed, now):
            self._publish(twin_id, fx)
        if (next_s := self._publishing.next_s()) is not None:
            fx.wake_by(next_s - now.monotonic_s)

    def _publish(self, twin_id: str, fx: Effects) -> None:
        live = self._live.get(twin_id, NOT_LIVE)
        document = core.encode_document(self._twins[twin_id], live)
        fx.sends.append(Send(topics.twin(twin_id), document, retain=True))
        self._descriptions.say(self._twins[twin_id], fx)

    def _checkpoint(self, now: Now, fx: Effects) -> None:
        due = [self._twins[twin_id] for twin_id in self._checkpoints.take(now.monotonic_s)]
        for kind, phase in (("checkpoint", Phase.ACTIVE), ("sealed", Phase.SEALED)):
            rows = (core.encode(twin) for twin in due if twin.phase is phase)
            fx.sends += (Send(self._event, packet) for packet in packets(kind, rows))
        self._checkpoints.wake(now.monotonic_s, fx)

    def _repeat_levels(self, now: Now, fx: Effects) -> None:
        if now.monotonic_s >= self._repeat_due_s:
            batch = list(islice(self._repeat, REPUBLISH_TWINS_MAX))
            for twin_id in batch:
                if self._twins[twin_id].phase is Phase.ACTIVE:
                    self._publish(twin_id, fx)
                    if self._returned:
                        fx.sends.append(self._acknowledgement(self._twins[twin_id]))
                        self._checkpoints.ask(twin_id)  # we may not be its owner any more
            self._repeat_due_s = now.monotonic_s + REPUBLISH_PAUSE_S
            if not batch:
                self._repeat = iter(list(self._twins))
                self._repeat_due_s = now.monotonic_s + REPUBLISH_PERIOD_S
                self._returned = False
        if self._repeat_due_s != NEVER:
            fx.wake_by(self._repeat_due_s - now.monotonic_s)
