"""A device for tests: what it hears, what it says, and a disk that it starts from again."""

import json
from typing import Any

from device_agent.fleet import FleetMachine
from device_agent.machine import DeviceMachine
from twin_runtime.core import messages, topics
from twin_runtime.core.effects import (
    Connected,
    Delete,
    Effects,
    Event,
    Message,
    Now,
    Put,
    Row,
    Sample,
)
from twin_runtime.core.messages import (
    Assignment,
    Command,
    Description,
    Desired,
    DesiredValue,
    FeatureSpec,
    ReportAck,
    Window,
    Wire,
)

DESCRIPTION = Description(
    features={
        "level_m": FeatureSpec(type="number"),
        "valve": FeatureSpec(type="boolean", writable=True),
        "wave": FeatureSpec(type="number", live=True),
    }
)
WALL_MS = 1_750_000_000_000
SESSION = WALL_MS // 1000 << 20  # the first guess of a device without memory
NEXT = SESSION + 2**20  # the next one of the same store
ROUTED = Assignment(edge="e-1", epoch=1)
VALVE = "features/valve/value"


class Device:
    """A device machine, its clock and its disk: effects are committed as the shell does it."""

    def __init__(self, **options: Any) -> None:
        self.kind = DeviceMachine
        self.options = options
        self.disk: dict[tuple[str, str], bytes] = {}
        self.now_s = 0.0
        self.start()

    def start(self) -> Effects:
        """Begin anew from the disk alone."""
        self.one = self.kind("d-1", DESCRIPTION, **self.options)
        self.machine = FleetMachine([self.one])
        rows = [Row(kind, key, value) for (kind, key), value in sorted(self.disk.items())]
        return self.commit(self.machine.restore(rows, self.now))

    @property
    def now(self) -> Now:
        return Now(self.now_s, WALL_MS + round(1000 * self.now_s))

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

    def measure(self, level_m: Any = 1.0, **live: Any) -> Effects:
        return self.handle(Sample("d-1", round(1000 * self.now_s), {"level_m": level_m}, live))

    def hear(self, verb: str, message: Wire, edge: str = "e-1") -> Effects:
        return self.handle(Message(topics.down("d-1", edge, verb), messages.encode(message)))

    def assign(self, edge: str, epoch: int) -> Effects:
        assignment = Assignment(edge=edge, epoch=epoch)
        return self.handle(Message(topics.assign("d-1"), messages.encode(assignment)))

    def ack(self, applied: int, **fields: Any) -> Effects:
        ack = {"edge": "e-1", "epoch": 1, "session": SESSION, "stable": 0, **fields}
        return self.hear("ack", ReportAck(applied=applied, **ack), edge=ack["edge"])

    def command(self, number: int, **fields: Any) -> Effects:
        order = {"edge": "e-1", "epoch": 1, "kind": "stop", "valid_for_s": 10.0, **fields}
        return self.hear("command", Command(number=number, **order), edge=order["edge"])

    def desire(self, number: int, value: Any, **fields: Any) -> Effects:
        wish = {"edge": "e-1", "epoch": 1, **fields}
        entries = {VALVE: DesiredValue(number=number, value=value)}
        return self.hear("desired", Desired(entries=entries, **wish), edge=wish["edge"])

    @property
    def session(self) -> int:
        """Under which it numbers its reports now."""
        session: int = json.loads(self.disk["device", "d-1"])["mark"]["session"]
        return session

    def wake(self) -> Effects:
        """Let time pass until the machine is due."""
        self.now_s = self.one.due_s
        return self.handle()


def online(reports: int = 0, **options: Any) -> Device:
    device = Device(**options)
    device.handle(Connected())
    device.assign("e-1", 1)
    device.handle()  # the route is stored
    for _ in range(reports):
        device.measure()
    return device


def windows(fx: Effects) -> list[Window]:
    return [
        messages.parse(messages.WINDOW, send.payload)
        for send in fx.sends
        if send.topic.endswith("/report")
    ]


def seqs(fx: Effects) -> list[int]:
    return [report.seq for window in windows(fx) for report in window.reports]


def states(fx: Effects) -> list[dict[str, Any]]:
    return [json.loads(send.payload) for send in fx.sends if send.topic == topics.status("d-1")]


def outcomes(fx: Effects) -> list[tuple[str, str, str]]:
    """What a device reports of orders: path, outcome, reason; from the rows it commits."""
    rows = [messages.load(write.value) for write in fx.writes if write.kind == "outbox"]  # type: ignore[union-attr]
    return [
        (path, each["outcome"], each["reason"])
        for row in rows
        for path, each in row.get("outcomes", {}).items()
    ]
