"""A directory for tests, with its disk and its clock: what it hears, orders and assigns."""

from typing import Any

from cloud.directory import Directory
from twin_runtime.core import messages, topics
from twin_runtime.core.effects import (
    Append,
    Delete,
    EdgeState,
    Effects,
    Now,
    Put,
    Refused,
    Row,
    SetEdge,
)
from twin_runtime.core.messages import (
    Assignment,
    Snapshot,
)
from twin_runtime.core.orders import (
    ORDER,
    Activated,
    Checkpoint,
    Order,
    Sealed,
)


class World:
    """A directory with its disk and its clock."""

    def __init__(self, *edges: str) -> None:
        self.disk: dict[tuple[str, str], bytes] = {}
        self.events: list[dict[str, Any]] = []
        self.now_s = 0.0
        self.start()
        for edge in edges:
            self.hello(edge)

    def start(self) -> None:
        """Begin anew from the disk alone."""
        self.directory = Directory()
        self.directory.restore(
            Row(kind, key, value) for (kind, key), value in sorted(self.disk.items())
        )

    def settle(self, fx: Effects | None = None, *, connected: bool = True) -> Effects:
        fx = fx or Effects()
        self.directory.settle(Now(self.now_s, 0), fx, connected=connected)
        for write in fx.writes:
            match write:
                case Put(kind, key, value):
                    self.disk[kind, key] = value
                case Delete(kind, key):
                    self.disk.pop((kind, key), None)
                case Append():
                    self.events.append(messages.load(write.value))
        return fx

    def hello(self, edge: str, store: str = "") -> Effects:
        fx = Effects()
        self.directory.hello(edge, store or f"s-{edge}", Now(self.now_s, 0), fx)
        return self.settle(fx)

    def online(self, twin: str, epoch: int = 0) -> Effects:
        fx = Effects()
        self.directory.device_online(twin, epoch, Now(self.now_s, 0), fx)
        return self.settle(fx)

    def activated(self, twin: str, epoch: int = 1, edge: str = "e-1") -> Effects:
        fx = Effects()
        now = Now(self.now_s, 0)
        self.directory.activated(edge, Activated(twin=twin, epoch=epoch), fx)
        self.directory.confirm(now, fx)
        return self.settle(fx)

    def move(self, twin: str, target: str, key: str = "") -> tuple[Refused | None, Effects]:
        fx = Effects()
        refused = self.directory.move(twin, target, Now(self.now_s, 0), fx, key)
        return refused, self.settle(fx)

    def set_edge(self, edge: str, state: EdgeState) -> tuple[Refused | None, Effects]:
        fx = Effects()
        refused = self.directory.set_edge(SetEdge(edge, state), Now(self.now_s, 0), fx)
        return refused, self.settle(fx)

    def sealed(self, *snapshots: Snapshot, edge: str = "e-1") -> Effects:
        fx = Effects()
        self.directory.sealed(edge, Sealed(twins=snapshots), Now(self.now_s, 0), fx)
        return self.settle(fx)

    def checkpoint(self, *snapshots: Snapshot, edge: str = "e-1") -> Effects:
        fx = Effects()
        self.directory.checkpoint(edge, Checkpoint(twins=snapshots), Now(self.now_s, 0), fx)
        return self.settle(fx)


def owning(*twins: str) -> World:
    """A directory whose only edge `e-1` owns these twins."""
    world = World("e-1")
    for twin in twins:
        world.online(twin)
        world.activated(twin)
    return world


def snapshot(twin: str = "d-1", revision: int = 1, epoch: int = 1, **fields: Any) -> Snapshot:
    content = {"session": 7, "last_seq": revision, **fields}
    return Snapshot(twin=twin, epoch=epoch, revision=revision, **content)


def orders(fx: Effects, edge: str = "e-1") -> list[Order]:
    return [
        messages.parse(ORDER, send.payload) for send in fx.sends if send.topic == topics.order(edge)
    ]


def placed(fx: Effects) -> dict[str, bytes]:
    """The placements that are written, by twin."""
    return {
        write.key: write.value
        for write in fx.writes
        if isinstance(write, Put) and write.kind == "placement"
    }


def assigned(fx: Effects) -> dict[str, Assignment]:
    return {
        topics.parse(send.topic).twin: messages.parse(messages.ASSIGNMENT, send.payload)
        for send in fx.sends
        if topics.parse(send.topic).kind == "assign" and send.retain
    }
