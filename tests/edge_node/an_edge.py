"""An edge for tests: what it hears, what it says, and a disk that it starts from again."""

from typing import Any

from edge_node.machine import EdgeMachine
from twin_runtime.core import messages, orders, topics
from twin_runtime.core import twin as core
from twin_runtime.core.effects import (
    Connected,
    Delete,
    Effects,
    Event,
    Message,
    Now,
    Put,
    Row,
)
from twin_runtime.core.messages import (
    Description,
    FeatureSpec,
    Refusal,
    ReportAck,
    Snapshot,
    StateReport,
    TwinDocument,
    Window,
)
from twin_runtime.core.orders import (
    Activate,
    Checkpoint,
    Release,
    Stable,
    StableMark,
)

WALL_MS = 1_750_000_000_000
BEYOND_EVERY_METRIC = b'{"state":"online","counters":{"outbox_rows":1%b}}' % (b"0" * 400)
DESCRIPTION = Description(
    features={
        "level_m": FeatureSpec(type="number"),
        "wave": FeatureSpec(type="number", live=True),
    }
)


class Edge:
    """`e-1` with the store `s-1`; effects are committed as the shell does it."""

    def __init__(self) -> None:
        self.disk: dict[tuple[str, str], bytes] = {}
        self.now_s = 0.0
        self.start()

    def start(self) -> Effects:
        """Begin anew from the disk alone."""
        self.machine = EdgeMachine("e-1", "s-1")
        rows = [Row(kind, key, value) for (kind, key), value in sorted(self.disk.items())]
        return self.commit(self.machine.restore(rows, self.now))

    @property
    def now(self) -> Now:
        return Now(self.now_s, WALL_MS + round(1000 * self.now_s))

    def document(self, twin: str) -> bytes:
        """The committed twin, for anyone, from the disk alone."""
        snapshot = messages.parse(messages.SNAPSHOT, self.disk["twin", twin])
        return core.encode_document(core.restore(snapshot), {})

    def handle(self, *events: Event) -> Effects:
        return self.commit(self.machine.handle(events, self.now))

    def commit(self, fx: Effects) -> Effects:
        for write in fx.writes:
            match write:
                case Put(kind, key, value):
                    self.disk[kind, key] = value
                case Delete(kind, key):
                    self.disk.pop((kind, key), None)
        return fx

    def own(self, *twins: str, epoch: int = 1) -> Effects:
        return self.handle(*(activate(twin, epoch) for twin in twins))


def owning(*twins: str) -> Edge:
    """An edge that owns these twins, connected, and all that follows from it was said."""
    edge = Edge()
    edge.own(*twins)
    edge.handle(Connected())
    edge.now_s = 2.0
    edge.handle()
    return edge


def activate(
    twin: str = "d-1", epoch: int = 1, store: str = "s-1", snapshot: Snapshot | None = None
) -> Message:
    order = Activate(store=store, twin=twin, epoch=epoch, snapshot=snapshot)
    return Message(topics.order("e-1"), orders.encode(order))


def release(twin: str = "d-1", epoch: int = 2, store: str = "s-1") -> Message:
    order = Release(store=store, twin=twin, epoch=epoch)
    return Message(topics.order("e-1"), orders.encode(order))


def stable(revision: int, *, twin: str = "d-1", epoch: int = 1, session: int = 7) -> Message:
    """The cloud has stored the twin up to a revision, which is also its last report's."""
    mark = StableMark(twin=twin, epoch=epoch, session=session, seq=revision, revision=revision)
    return Message(topics.order("e-1"), messages.encode(Stable(marks=(mark,))))


def report(
    *seqs: int, twin: str = "d-1", epoch: int = 1, session: int = 7, **features: Any
) -> Message:
    reports = tuple(
        StateReport(
            seq=seq,
            observed_ms=seq,
            features=features,
            description=DESCRIPTION if seq == 1 else None,
        )
        for seq in seqs
    )
    window = Window(epoch=epoch, session=session, reports=reports)
    return Message(topics.report("e-1", twin), messages.encode(window))


def acks(fx: Effects) -> dict[str, ReportAck]:
    """The acknowledgement of each twin; there is at most one."""
    found: dict[str, ReportAck] = {}
    for send in fx.sends:
        parsed = topics.parse(send.topic)
        if parsed.verb == "ack":
            assert parsed.twin not in found
            found[parsed.twin] = messages.parse(messages.ACK, send.payload)
    return found


def checkpoints(fx: Effects) -> list[Snapshot]:
    events = [
        messages.parse(orders.EDGE_EVENT, send.payload)
        for send in fx.sends
        if send.topic == topics.event("e-1")
    ]
    return [twin for event in events if isinstance(event, Checkpoint) for twin in event.twins]


def kinds(fx: Effects) -> list[str]:
    """What is said to the cloud, by kind."""
    return [
        messages.load(send.payload)["kind"]
        for send in fx.sends
        if send.topic == topics.event("e-1")
    ]


def documents(fx: Effects) -> list[TwinDocument]:
    return [
        messages.parse(messages.DOCUMENT, send.payload)
        for send in fx.sends
        if topics.parse(send.topic).kind == "twin" and send.retain
    ]


def refusals(fx: Effects) -> list[Refusal]:
    return [
        messages.parse(messages.REFUSAL, send.payload)
        for send in fx.sends
        if topics.parse(send.topic).verb == "error"
    ]


def live(twin: str = "d-1", **features: Any) -> Message:
    payload = messages.dump({"observed_ms": 5, "features": features})
    return Message(topics.live("e-1", twin), payload)


def cloud_says(state: str, session: int) -> Message:
    status = messages.Status(state=state, session=session)
    return Message(topics.status("cloud"), messages.encode(status))
