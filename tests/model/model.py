"""Every interleaving of a small world: the real machines under a network that forgets nothing.

A state is what lies on the disks of a cloud, two edges and a device, and the set of all
messages ever sent. In each step one party starts from its disk, is connected, and hears one
of these messages, or something happens by itself: the device measures, somebody asks for a
move or calls an edge lost, an edge loses its disk. What it commits is its new disk, what it
says joins the set. So messages are lost (never heard), repeated, delayed and reordered in
every possible way, and everybody is restarted before every step. A device may hear something
and measure in one step, since what it has heard becomes durable with its next report.

A party's step depends on its disk and the message alone, so each is computed once, by the
production machines, and remembered. Most messages change nothing any more, and many have
the same effect: the search goes over the different outcomes of a disk, each with the set of
messages that lead to it (`World._outcomes`).

One thing has to be bounded to be finite: an edge that lost its disk has said hello with its
old store and with its new one, and both messages stay for ever. Heard in turn, each looks
like another loss, and the cloud fails over again and again. Steps to an epoch beyond
`epochs` are not taken.

Left out is what does not concern ownership: public documents, presence, counters, and the
numbers of events in the log.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, reduce
from operator import or_
from typing import Any, NamedTuple

from cloud.edges import EDGE_ROW
from cloud.events import EVENTS_ROW
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
    SetEdge,
    Write,
)
from twin_runtime.core.messages import Description, FeatureSpec

TWIN = "d-1"
EDGES = ("e-1", "e-2")
PARTIES = ("cloud", *EDGES, TWIN)
CLOUD_PLACE, DEVICE_PLACE = 0, len(PARTIES) - 1
NOW = Now(0.0, 1_750_000_000_000)
DEVICE_STORE = "0" * 16
DESCRIPTION = Description(features={"count": FeatureSpec(type="integer")})
START = 1  # the message that is none: a party just starts
MOVES = {f"move to {edge}": Asked(0, Move(TWIN, edge)) for edge in EDGES}
LOST = {f"{edge} is lost": Asked(0, SetEdge(edge, "lost")) for edge in EDGES}

Disk = frozenset[tuple[str, str, bytes]]


class Size(NamedTuple):
    """What may happen in a world, and how often."""

    reports: int = 1
    moves: int = 0
    lost: int = 0  # times that somebody calls an edge lost
    losses: int = 0  # disks
    epochs: int = 9

    def __str__(self) -> str:
        return " ".join(f"{number} {what}" for what, number in self._asdict().items() if number)


class State(NamedTuple):
    """Disks by number, the messages sent as bits, and what may still happen by itself."""

    disks: tuple[int, ...]
    sent: int
    moves_left: int
    lost_left: int
    losses_left: int


class Step(NamedTuple):
    """What a party's step leaves: its disk, and the messages it has said."""

    disk: int
    said: int


@dataclass(slots=True)
class Outcomes:
    """What a party's disk can become: each step, with the messages that lead to it."""

    tried: int = 0
    steps: dict[Step, int] = field(default_factory=dict)


class World:
    """Disks and messages that have a number, and the steps that are known."""

    def __init__(self, size: Size) -> None:
        self.size = size
        self.disks: list[Disk] = []
        self.messages: list[Message | None] = [None]
        self._disk_numbers: dict[Disk, int] = {}
        self._message_numbers: dict[Message, int] = {}
        self._inboxes = dict.fromkeys(PARTIES, START)
        self._known: dict[tuple[str, int, str], Outcomes] = {}
        self.content = cache(self._content)
        self._is_within = cache(self._within)
        self._measures = cache(self._can_measure)

    def first(self) -> State:
        """Two edges and a device, all of them new."""
        empty = self.disk(frozenset())
        size = self.size
        return State((empty,) * 4, START, size.moves, size.lost, size.losses)

    def next(self, state: State) -> Iterator[State]:
        """All other states that one step leads to."""
        for place in range(len(PARTIES)):
            yield from self._steps(state, place)
        if self._measures(state.disks[DEVICE_PLACE]):
            yield from self._steps(state, DEVICE_PLACE, "sample")
        if state.moves_left:
            for after in self._asked(state, MOVES):
                yield after._replace(moves_left=state.moves_left - 1)
        if state.lost_left:
            for after in self._asked(state, LOST):
                yield after._replace(lost_left=state.lost_left - 1)
        if state.losses_left:
            yield from self._without_a_disk(state)

    def rows(self, state: State, party: str, kind: str) -> list[Any]:
        """A party's rows of a kind."""
        return self.content(state.disks[PARTIES.index(party)]).get(kind, [])

    def stores(self, state: State) -> dict[str, str]:
        """The store of each edge, as the cloud knows them."""
        edges = (row for row in self.disks[state.disks[CLOUD_PLACE]] if row[0] == EDGE_ROW)
        return {edge: messages.load(value)["store"] for _, edge, value in edges}

    def disk(self, disk: Disk) -> int:
        number = self._disk_numbers.setdefault(disk, len(self.disks))
        if number == len(self.disks):
            self.disks.append(disk)
        return number

    def _content(self, disk: int) -> dict[str, list[Any]]:
        """What is on a disk, by kind of row."""
        found: dict[str, list[Any]] = {}
        for kind, _, value in sorted(self.disks[disk]):
            found.setdefault(kind, []).append(_load(value))
        return found

    def _within(self, disk: int) -> bool:
        """Whether a disk is within the bound that makes this finite."""
        placements = self.content(disk).get("placement", [])
        return all(placed["epoch"] <= self.size.epochs for placed in placements)

    # --- steps --------------------------------------------------------------------------

    def _steps(self, state: State, place: int, beside: str = "") -> Iterator[State]:
        """The states after a party has heard some message, and what happened `beside` it."""
        party, disk, sent = PARTIES[place], state.disks[place], state.sent
        heard = sent & self._inboxes[party]
        for step, causes in self._outcomes(party, disk, heard, beside).steps.items():
            if causes & heard and (step.disk != disk or step.said & ~sent):
                yield _after(state, place, step)

    def _outcomes(self, party: str, disk: int, heard: int, beside: str) -> Outcomes:
        """What is known of this disk, once all of these messages were tried on it."""
        known = self._known.get((party, disk, beside))
        if known is None:
            known = self._known[party, disk, beside] = Outcomes()
        fresh = heard & ~known.tried
        known.tried |= heard
        while fresh:
            cause = fresh & -fresh
            fresh ^= cause
            for step in self._take(party, disk, self._events(disk, cause, beside)):
                if self._is_within(step.disk):
                    known.steps[step] = known.steps.get(step, 0) | cause
        return known

    def _events(self, disk: int, cause: int, beside: str) -> list[Event]:
        message = self.messages[cause.bit_length() - 1]
        heard: list[Event] = [message] if message is not None else []
        if beside == "sample":
            count = self._measured(disk) + 1
            return [*heard, Sample(TWIN, count, {"count": count})]
        return [*heard, (MOVES | LOST)[beside]] if beside else heard

    def _asked(self, state: State, requests: Mapping[str, Asked]) -> Iterator[State]:
        """Somebody asks the cloud for one of these, and it does something."""
        for request in requests:
            disk = state.disks[CLOUD_PLACE]
            for step in self._outcomes("cloud", disk, START, request).steps:
                if step.disk != disk:
                    yield _after(state, CLOUD_PLACE, step)

    def _can_measure(self, disk: int) -> bool:
        return self._measured(disk) < self.size.reports

    def _measured(self, disk: int) -> int:
        """How often the device has measured: its newest report stays."""
        reports = self.content(disk).get("outbox", [])
        return max((report["features"]["count"] for report in reports), default=0)

    def _without_a_disk(self, state: State) -> Iterator[State]:
        gone = self.disk(frozenset({("store", "", b"2")}))
        for place in range(1, 1 + len(EDGES)):
            if self.disks[state.disks[place]] and "store" not in self.content(state.disks[place]):
                after = _after(state, place, Step(gone, 0))
                yield after._replace(losses_left=state.losses_left - 1)

    def _take(self, party: str, disk: int, events: Sequence[Event]) -> Iterator[Step]:
        """What a party's next batch leaves and, where it goes on at once, the one after that."""
        rows = sorted(self.disks[disk])
        machine = _machine(party, _store(rows))
        stored = [Row(*row) for row in rows if row[0] != "store"]
        after = {(kind, key): value for kind, key, value in rows}
        begun = machine.restore(stored, NOW)
        fx = machine.handle([Connected(), *events], NOW)
        yield self._step(after, [*begun.writes, *fx.writes], said := [*begun.sends, *fx.sends])
        if fx.wake_in_s == 0.0:
            fx = machine.handle([], NOW)
            yield self._step(after, fx.writes, [*said, *fx.sends])

    def _step(
        self, rows: dict[tuple[str, str], bytes], writes: Sequence[Write], said: Sequence[Send]
    ) -> Step:
        _commit(rows, writes)
        disk = frozenset((*row, value) for row, value in rows.items())
        return Step(self.disk(disk), reduce(or_, map(self._say, said), 0))

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


def _after(state: State, place: int, step: Step) -> State:
    disks = (*state.disks[:place], step.disk, *state.disks[place + 1 :])
    return State(disks, state.sent | step.said, *state[2:])


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
    return FleetMachine([DeviceMachine(TWIN, DESCRIPTION, store_id=DEVICE_STORE)])


def _load(value: bytes) -> Any:
    """A row: JSON, but for names of stores and epochs of absent twins."""
    return messages.load(value) if value[:1] in b"{[" else value.decode()


def _store(rows: Sequence[tuple[str, str, bytes]]) -> str:
    return store_name(next((value.decode() for kind, _, value in rows if kind == "store"), "1"))


def store_name(number: str) -> str:
    """What the store is called that an edge has first ("1") or after it lost that ("2")."""
    return f"s-{number}"


def _commit(rows: dict[tuple[str, str], bytes], writes: Sequence[Write]) -> None:
    for write in writes:
        if isinstance(write, Delete):
            rows.pop((write.kind, write.key), None)
        elif not isinstance(write, Append) and write.kind != EVENTS_ROW:
            rows[write.kind, write.key] = write.value
