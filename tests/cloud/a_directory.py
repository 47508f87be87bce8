"""A directory for tests, with its disk and its clock: what it hears, orders and assigns."""

from typing import Any

from cloud.directory import Directory
from twin_runtime.core import messages, topics
from twin_runtime.core.effects import Effects, Now, Put, Refused, Row
from twin_runtime.core.messages import (
    Assignment,
    Snapshot,
)
from twin_runtime.core.orders import (
    ORDER,
    Activate,
    Activated,
    Checkpoint,
    Release,
    Seal,
    Sealed,
    Stable,
)


class World:
    """A directory with its disk and its clock."""

    def __init__(self, *edges: str) -> None:
        self.disk: dict[tuple[str, str], bytes] = {}
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
            assert isinstance(write, Put)
            self.disk[write.kind, write.key] = write.value
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
        self.directory.activated(edge, Activated(twin=twin, epoch=epoch), fx)
        return self.settle(fx)

    def move(self, twin: str, target: str) -> tuple[Refused | None, Effects]:
        fx = Effects()
        refused = self.directory.move(twin, target, Now(self.now_s, 0), fx)
        return refused, self.settle(fx)

    def sealed(self, *snapshots: Snapshot, edge: str = "e-1") -> Effects:
        fx = Effects()
        self.directory.sealed(edge, Sealed(twins=snapshots), Now(self.now_s, 0), fx)
        return self.settle(fx)

    def checkpoint(self, *snapshots: Snapshot, edge: str = "e-1") -> Effects:
        fx = Effects()
        self.directory.checkpoint(edge, Checkpoint(twins=snapshots), fx)
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


def orders(fx: Effects, edge: str = "e-1") -> list[Activate | Seal | Release | Stable]:
    return [
        messages.parse(ORDER, send.payload) for send in fx.sends if send.topic == topics.order(edge)
    ]


def assigned(fx: Effects) -> dict[str, Assignment]:
    return {
        topics.parse(send.topic).twin: messages.parse(messages.ASSIGNMENT, send.payload)
        for send in fx.sends
        if topics.parse(send.topic).kind == "assign" and send.retain
    }
