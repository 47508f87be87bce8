"""Every interleaving of a small world: the real machines under a network that forgets nothing.

A state is what lies on the disks of a cloud, two edges and a device, and the set of all
messages ever sent. In each step one party starts from its disk, is connected, and hears one
of these messages, or something happens by itself: the device measures, somebody asks for a
move, an edge loses its disk. What it commits is its new disk, what it says joins the set.
So messages are lost (never heard), repeated, delayed and reordered in every possible way,
and everybody is restarted before every step.

A party's step depends on its disk and the message alone, so each is computed once, by the
production machines, and remembered; the search is over numbers.

Left out is what does not concern ownership: public documents, presence, and counters. And
since everybody forgets before each step what is not on disk, so is what rests on memory: that
a device drops only what is stable, for example, is the simulation's to show.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cloud.machine import CloudMachine
from device_agent.fleet import FleetMachine
from device_agent.machine import DeviceMachine
from edge_node.machine import EdgeMachine
from twin_runtime.core import messages, topics
from twin_runtime.core.effects import (
    Append,
    Asked,
    Connected,
    Delete,
    Event,
    Machine,
    Message,
    Move,
    Now,
    Row,
    Sample,
    Send,
    Write,
)
from twin_runtime.core.messages import Description, FeatureSpec

TWIN = "d-1"
EDGES = ("e-1", "e-2")
PARTIES = ("cloud", *EDGES, TWIN)
NOW = Now(0.0, 1_750_000_000_000)
DESCRIPTION = Description(features={"count": FeatureSpec(type="integer")})

Disk = frozenset[tuple[str, str, bytes]]


class State(NamedTuple):
    """Disks by number, the messages sent as bits, and what may still happen by itself."""

    disks: tuple[int, ...]
    sent: int
    moves_left: int
    losses_left: int


class Step(NamedTuple):
    """What a party's step leaves: its disk, and the messages it has said."""

    disk: int
    said: int


@dataclass(slots=True)
class World:
    """Disks and messages that have a number, and the steps that are known."""

    disks: list[Disk] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    _contents: dict[int, dict[str, list[Any]]] = field(default_factory=dict)
    _disk_numbers: dict[Disk, int] = field(default_factory=dict)
    _message_numbers: dict[Message, int] = field(default_factory=dict)
    _inboxes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PARTIES, 0))
    _steps: dict[tuple[int, int | str, str], Step] = field(default_factory=dict)

    def first(self, *, moves: int, losses: int) -> State:
        """Two edges that are known and a device whose twin is about to be created."""
        empty = self.disk(frozenset())
        return State((empty,) * len(PARTIES), 0, moves, losses)

    def next(self, state: State, reports_max: int) -> Iterator[State]:
        """All states that one step leads to."""
        for place, party in enumerate(PARTIES):
            for number in self._heard(state, party):
                yield self._stepped(state, place, number, party)
        yield from self._by_itself(state, reports_max)

    def rows(self, state: State, party: str, kind: str) -> list[Any]:
        """A party's rows of a kind."""
        return self.content(state.disks[PARTIES.index(party)]).get(kind, [])

    def content(self, disk: int) -> dict[str, list[Any]]:
        """What is on a disk, by kind of row."""
        found = self._contents.get(disk)
        if found is None:
            found = self._contents[disk] = {}
            for kind, _, value in sorted(self.disks[disk]):
                found.setdefault(kind, []).append(_load(value))
        return found

    def disk(self, disk: Disk) -> int:
        number = self._disk_numbers.setdefault(disk, len(self.disks))
        if number == len(self.disks):
            self.disks.append(disk)
        return number

    # --- steps --------------------------------------------------------------------------

    def _heard(self, state: State, party: str) -> Iterator[int]:
        """The messages that a party may hear; -1: none, it just starts."""
        yield -1
        waiting = state.sent & self._inboxes[party]
        while waiting:
            lowest = waiting & -waiting
            yield lowest.bit_length() - 1
            waiting ^= lowest

    def _stepped(self, state: State, place: int, number: int, party: str) -> State:
        events = [self.messages[number]] if number >= 0 else []
        return self._after(state, place, number, party, events)

    def _after(
        self, state: State, place: int, what: int | str, party: str, events: Sequence[Event]
    ) -> State:
        """The state after a party's step; `what` stands for the events."""
        disk = state.disks[place]
        step = self._steps.get((disk, what, party))
        if step is None:
            step = self._steps[disk, what, party] = self._take(party, disk, events)
        disks = (*state.disks[:place], step.disk, *state.disks[place + 1 :])
        return State(disks, state.sent | step.said, state.moves_left, state.losses_left)

    def _by_itself(self, state: State, reports_max: int) -> Iterator[State]:
        cloud, device = 0, PARTIES.index(TWIN)
        measured = max((row["seq"] for row in self.rows(state, TWIN, "outbox")), default=0)
        marks = self.rows(state, TWIN, "device")
        measured = max(measured, *(row["mark"]["stable"] for row in marks), 0)
        if measured < reports_max:
            sample = Sample(TWIN, measured + 1, {"count": measured + 1})
            yield self._happened(state, device, TWIN, sample)
        if state.moves_left and self.rows(state, "cloud", "placement"):
            for number, edge in enumerate(EDGES):
                moved = self._happened(state, cloud, "cloud", Asked(number, Move(TWIN, edge)))
                if moved.disks != state.disks:
                    yield moved._replace(moves_left=state.moves_left - 1)
        if state.losses_left:
            for place in range(1, 1 + len(EDGES)):
                if self.disks[state.disks[place]]:
                    gone = self.disk(frozenset({("store", "", b"2")}))
                    disks = (*state.disks[:place], gone, *state.disks[place + 1 :])
                    yield state._replace(disks=disks, losses_left=state.losses_left - 1)

    def _happened(self, state: State, place: int, party: str, event: Event) -> State:
        return self._after(state, place, repr(event), party, [event])

    def _take(self, party: str, disk: int, events: Sequence[Event]) -> Step:
        rows = sorted(self.disks[disk])
        machine = _machine(party, _store(rows))
        stored = [Row(*row) for row in rows if row[0] != "store"]
        effects = [machine.restore(stored, NOW), machine.handle([Connected(), *events], NOW)]
        after = {(kind, key): value for kind, key, value in rows}
        for fx in effects:
            _commit(after, fx.writes)
        said = 0
        for fx in effects:
            for send in fx.sends:
                said |= self._say(send)
        return Step(self.disk(frozenset((*row, value) for row, value in after.items())), said)

    def _say(self, send: Send) -> int:
        topic = topics.parse(send.topic)
        payload = send.payload
        if topic.kind == "status" and topic.twin:
            epoch = messages.parse(messages.STATUS, payload).epoch
            payload = messages.dump({"v": 1, "state": "online", "epoch": epoch})
        hears = _HEARS.get(topic.kind, _nobody)(topic)
        if not hears:
            return 0
        message = Message(send.topic, payload)
        number = self._message_numbers.setdefault(message, len(self.messages))
        if number == len(self.messages):
            self.messages.append(message)
            self._inboxes[hears] |= 1 << number
        return 1 << number


def _nobody(_: topics.Topic) -> str:
    return ""


_HEARS: dict[str, Callable[[topics.Topic], str]] = {
    "up": lambda topic: topic.edge,
    "down": lambda topic: TWIN if topic.verb == "ack" else "",
    "assign": lambda _: TWIN,
    "order": lambda topic: topic.edge,
    "event": lambda _: "cloud",
    "status": lambda topic: "cloud" if topic.twin else "",
}


def _machine(party: str, store: str) -> Machine:
    if party == "cloud":
        return CloudMachine()
    if party in EDGES:
        return EdgeMachine(party, store)
    return FleetMachine([DeviceMachine(TWIN, DESCRIPTION, store_id="0" * 16)])


def _load(value: bytes) -> Any:
    """A row: JSON, but for names of stores and epochs of absent twins."""
    return messages.load(value) if value[:1] in b"{[" else value.decode()


def _store(rows: Sequence[tuple[str, str, bytes]]) -> str:
    return next((f"s-{value.decode()}" for kind, _, value in rows if kind == "store"), "s-1")


def _commit(rows: dict[tuple[str, str], bytes], writes: Sequence[Write]) -> None:
    for write in writes:
        if isinstance(write, Delete):
            rows.pop((write.kind, write.key), None)
        elif not isinstance(write, Append):
            rows[write.kind, write.key] = write.value
