"""The cloud as a machine: devices and edges are heard, the directory decides.

Beside the directory it follows every twin's public document (`twin/+`), so that its
readers see all twins live; what it promises rests on checkpoints alone. A document that is
older than the one shown, of another twin than its topic, or of another epoch than the
directory's is ignored: no owner can know an epoch that the directory does not, but where
the store is an older copy (`claims`).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cloud.association import Association
from cloud.directory import PLACEMENT_ROW, Directory
from cloud.presence import Presence, Roster
from cloud.snapshots import SNAPSHOT_ROW
from twin_runtime.core import messages, orders, topics
from twin_runtime.core.effects import (
    Answer,
    Asked,
    Attach,
    AwaitStable,
    BlobComplete,
    BlobFailed,
    Connected,
    CreateTwin,
    Disconnected,
    Edit,
    Effects,
    Event,
    Instruct,
    JobEnded,
    Learn,
    ListEdges,
    ListTwins,
    Message,
    Move,
    NewestDecision,
    NewestEvent,
    Now,
    Put,
    Refused,
    Request,
    Row,
    Send,
    SetEdge,
    Stopping,
    WhoOwns,
)
from twin_runtime.core.errors import MalformedMessage
from twin_runtime.core.ids import CLOUD
from twin_runtime.core.limits import HEARTBEAT_PERIOD_S, REPUBLISH_PAUSE_S, REPUBLISH_PERIOD_S
from twin_runtime.core.look import State, state_of
from twin_runtime.core.orders import (
    Activated,
    Checkpoint,
    Fetched,
    Hello,
    Sealed,
)

NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Thing:
    """What readers see of a twin: its newest document, as bytes, and when it came."""

    epoch: int
    revision: int
    reported_wall_ms: int
    received_wall_ms: int
    encoded: bytes
    held: State | None = None  # its values, at hand for a search: 0.9 KB with 6 features

    @property
    def known_wall_ms(self) -> int:
        """When the owner said so; or else, of a checkpoint, when the device reported."""
        return self.received_wall_ms or self.reported_wall_ms

    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = messages.load(self.encoded)
        return document

    def state(self) -> State:
        return self.held or state_of(messages.parse(messages.DOCUMENT, self.encoded))


class CloudMachine:
    """The cloud's only machine; with an `association` it moves twins by itself."""

    def __init__(self, association: Association | None = None) -> None:
        self.directory = Directory()
        self._association = association
        self._things: dict[str, Thing] = {}
        self._presence = Presence()
        self._roster = Roster(0)
        self._session = 0
        self._connected = False
        self._beat_due_s = NEVER
        self._repeat_due_s = NEVER

    def restore(self, rows: Iterable[Row], now: Now) -> Effects:
        fx = Effects()
        self._session = now.wall_ms
        stored = list(rows)
        self.directory.restore(stored)
        self._roster = Roster(now.wall_ms)
        for twin in self.directory.placements:
            self._roster.touch(twin)
        if self._association is not None:
            self._association.restore(stored)
        for row in stored:
            if row.kind == SNAPSHOT_ROW:
                self._show(messages.parse(messages.DOCUMENT, row.value), row.value, 0, fx)
        return fx

    def handle(self, events: Sequence[Event], now: Now) -> Effects:
        fx = Effects()
        self.directory.confirm(now, fx)
        for event in events:
            self.directory.confirm(now, fx)
            self._take(event, now, fx)
        if now.monotonic_s >= self._beat_due_s:
            self._say("online", now, fx)
        if now.monotonic_s >= self._repeat_due_s:
            more = self.directory.assignments.repeat(fx)
            pause_s = REPUBLISH_PAUSE_S if more else REPUBLISH_PERIOD_S
            self._repeat_due_s = now.monotonic_s + pause_s
        if self._association is not None:
            self._association.settle(self.directory, now, fx, connected=self._connected)
        self.directory.settle(now, fx, connected=self._connected)
        self._follow(fx)
        for due_s in (self._beat_due_s, self._repeat_due_s):
            if due_s != NEVER:
                fx.wake_by(due_s - now.monotonic_s)
        return fx

    def _take(self, event: Event, now: Now, fx: Effects) -> None:
        match event:
            case Message(topic, payload):
                self._hear(topic, payload, now, fx)
            case Asked(number, request):
                fx.answers.append(self._answer(number, request, now, fx))
            case BlobComplete(sha256):
                self.directory.snapshots.blobs.complete(sha256)
            case BlobFailed(sha256):
                self.directory.snapshots.blobs.failed(sha256, now.monotonic_s)
            case JobEnded() if self._association is not None:
                self._association.ended(event, now, fx)
            case Connected():
                self._connected = True
                self._say("online", now, fx)
                self._repeat_due_s = now.monotonic_s
                self.directory.connected(now)
            case Disconnected():
                self._connected = False
                self._beat_due_s = self._repeat_due_s = NEVER
            case Stopping():
                self._say("offline", now, fx)

    def _answer(self, number: int, request: Request, now: Now, fx: Effects) -> Answer:
        directory = self.directory
        match request:
            case Attach(twin) | Edit(twin) | AwaitStable(twin) | Instruct(twin):
                return Answer(number, Refused("not_owner", f"only its edge may change {twin}"))
            case CreateTwin(twin):
                return Answer(number, directory.create(twin, now, fx))
            case Move(twin, target, key):
                return Answer(number, directory.move(twin, target, now, fx, key))
            case SetEdge():
                return Answer(number, directory.set_edge(request, now, fx))
            case WhoOwns(twin):
                return Answer(number, *_where(directory, twin))
            case Learn():
                return Answer(number, self._learn(request, now, fx))
            case ListEdges() | ListTwins() | NewestEvent() | NewestDecision():
                return Answer(number, value=self._listed(request))

    def _listed(self, request: ListEdges | ListTwins | NewestEvent | NewestDecision) -> Any:
        match request:
            case ListEdges():
                return self._edges()
            case ListTwins(after, limit):
                return self._twins(after, limit)
            case NewestEvent():
                return self.directory.events.newest
            case NewestDecision():
                return self._association.newest if self._association else 0

    def _follow(self, fx: Effects) -> None:
        for write in fx.writes:
            if isinstance(write, Put) and write.kind == PLACEMENT_ROW:
                self._roster.touch(write.key)

    def _edges(self) -> list[dict[str, Any]]:
        return [self._edge(known) for known in self.directory.edges.listed()]

    def _edge(self, known: dict[str, Any]) -> dict[str, Any]:
        seen, place = self._presence.of(known["edge"]), self._presence.places.get(known["edge"])
        position = {"x_m": place.x_m, "y_m": place.y_m} if place else None
        about = {"presence": seen.state, "heard_ms": seen.heard_wall_ms, "position": position}
        return {**known, **about}

    def _twins(self, after: int, limit: int) -> dict[str, Any]:
        twins, newest = self._roster.since(after, limit)
        return {"twins": [self._twin(twin) for twin in twins], "next": newest}

    def _twin(self, twin: str) -> dict[str, Any]:
        _, where = _where(self.directory, twin)
        placed = {name: said for name, said in where.items() if name != "api"}
        return {**placed, "presence": self._presence.of(twin).state}

    def readings(self) -> dict[str, Callable[[], float | Mapping[str, float]]]:
        """Numbers for the metrics, by name, as they are when asked."""
        blobs = self.directory.snapshots.blobs
        lacking = {"blobs_lacking": lambda: blobs.lacking}
        alone = {"twins_left_alone": self.directory.claims.counts}
        return {"twins": self._phases, "devices": self._devices, **alone, **lacking}

    @property
    def elsewhere(self) -> Mapping[str, str]:
        """Nothing: the cloud forwards."""
        return {}

    def wants_blob(self, sha256: str) -> bool:
        """Whether this blob is to be kept."""
        return self.directory.snapshots.blobs.wants(sha256)

    def _phases(self) -> dict[str, int]:
        counted = Counter(placed.phase for placed in self.directory.placements.values())
        return {phase: counted[phase] for phase in ("activating", "owned", "sealing")}

    def _devices(self) -> dict[str, int]:
        return Counter(self._presence.of(twin).state for twin in self.directory.placements)

    def _hear(self, topic: str, payload: bytes, now: Now, fx: Effects) -> None:
        try:
            parsed = topics.parse(topic)
            match parsed.kind:
                case "event":
                    self._event(parsed.edge, payload, now, fx)
                case "status" if payload and (parsed.twin or parsed.edge):
                    self._status(parsed, payload, now, fx)
                case "twin" if payload:
                    self._publication(parsed.twin, payload, now, fx)
        except MalformedMessage as error:
            fx.refuse(topic, error)

    def _status(self, topic: topics.Topic, payload: bytes, now: Now, fx: Effects) -> None:
        status = messages.parse(messages.STATUS, payload)
        if topic.edge:
            self.directory.edges.seen(topic.edge, status.state)
        for changed in self._presence.heard(topic.twin or topic.edge, status, now.wall_ms):
            if changed in self.directory.placements:
                self._roster.touch(changed)
        if topic.twin and status.state == "online":
            self.directory.device_online(topic.twin, status.epoch, now, fx)

    def _event(self, edge: str, payload: bytes, now: Now, fx: Effects) -> None:
        event = orders.parse_event(payload)
        match event:
            case Hello() if self.directory.edges.doubts(edge, event):
                fx.count("fenced_total", "hello")
            case Hello():
                self.directory.hello(edge, event.store, now, fx)
                self.directory.edges.heard(edge, event, fx)
                if edge in self.directory.edges:
                    self._presence.places[edge] = event.position
                if self._association is not None:
                    self._association.edge_at(edge, event.position, fx)
            case Activated():
                self.directory.activated(edge, event, fx)
            case Fetched():
                self.directory.precopy.fetched(edge, event)
            case Sealed():
                self.directory.sealed(edge, event, now, fx)
            case Checkpoint():
                self.directory.checkpoint(edge, event, now, fx)

    def _learn(self, learn: Learn, now: Now, fx: Effects) -> Refused | None:
        twin, payload = learn
        try:
            if self._publication(twin, payload, now, fx):
                return None
        except MalformedMessage as error:
            fx.refuse(topics.twin(twin), error)
        return Refused("not_owner", f"what was said of {twin} is not its owner's word")

    def _publication(self, twin: str, payload: bytes, now: Now, fx: Effects) -> bool:
        """Show it; whether its owner said so."""
        document = messages.parse(messages.DOCUMENT, payload)
        placement = self.directory.placements.get(twin)
        if placement is None or (document.twin, document.epoch) != (twin, placement.epoch):
            fx.count("fenced_total", "document")
            if document.twin == twin:
                self.directory.claims.published(twin, document.epoch, now.monotonic_s)
            return False
        self._show(document, payload, now.wall_ms, fx)
        return True

    def _show(
        self, document: messages.TwinDocument, payload: bytes, received_wall_ms: int, fx: Effects
    ) -> None:
        shown = self._things.get(document.twin)
        if shown is None or (document.epoch, document.revision) >= (shown.epoch, shown.revision):
            thing = Thing(
                document.epoch,
                document.revision,
                document.reported_wall_ms,
                received_wall_ms,
                payload,
                state_of(document),
            )
            self._things[document.twin] = thing
            if self._association is not None:
                self._association.heard(document, len(payload))
            fx.shown.append((document.twin, thing))

    def _say(self, state: str, now: Now, fx: Effects) -> None:
        status = messages.dump(
            {"v": 1, "state": state, "session": self._session, "ts_ms": now.wall_ms}
        )
        fx.sends.append(Send(topics.status(CLOUD), status, retain=True))
        self._beat_due_s = now.monotonic_s + HEARTBEAT_PERIOD_S


def _where(directory: Directory, twin: str) -> tuple[Refused | None, dict[str, str | int]]:
    """Which edge owns a twin, at which epoch, where that edge serves HTTP, and where the twin
    is going."""
    placed = directory.placements.get(twin)
    if placed is None:
        return Refused("unknown_twin", f"there is no twin {twin}"), {}
    about: dict[str, str | int] = {"twin": twin, "phase": placed.phase}
    about |= {"owner": placed.owner, "epoch": placed.epoch}
    going, api = placed.target, directory.edges.api_of(placed.owner)
    about |= {} if going is None else {"to": going}
    return None, about | ({} if api is None else {"api": api})
