"""A broker and its clients in memory, with every fault a network has, in virtual time.

Each message crosses two links, the publisher's way up and the subscriber's way down. On
each link it may be lost, doubled and delayed; delays are drawn one by one, so messages
overtake each other. A link may be cut in one direction (neither side notices, as with a
real network until a keepalive fails) or clogged (nothing is lost, all of it waits).
What is in flight when a connection ends is lost with it. The broker may fail, and
forgets every subscription and retained topic when it does.

All chance comes from the one `Random` given, all time from the running loop's timers,
and everything is kept in order of arrival: the same seed gives the same run, on a
virtual loop as on a real one. Without faults everything is delivered at once and in
order, and `bus_contract` holds.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from random import Random
from typing import Literal, TypeVarTuple

from twin_runtime.core.backoff import backoff_s
from twin_runtime.core.effects import Event, Message, Send
from twin_runtime.core.inbox import Inbox
from twin_runtime.core.limits import (
    CONNECTION_LASTING_S,
    INBOX_EVENTS_MAX,
    RECONNECT_FIRST_S,
    RECONNECT_LAST_S,
    TOPICS_REMEMBERED_MAX,
)

Direction = Literal["up", "down"]
Arguments = TypeVarTuple("Arguments")


@dataclass(frozen=True, slots=True)
class Faults:
    """What may happen to one message on one link: probabilities, and a mean delay."""

    loss: float = 0.0
    duplication: float = 0.0
    delay_mean_s: float = 0.0


NO_FAULTS = Faults()


class MemoryBus:
    """A `Bus` through a `MemoryBroker`, with the counts of `MqttBus`."""

    def __init__(
        self,
        broker: "MemoryBroker",
        *,
        client_id: str,
        filters: Sequence[str],
        will: Send | None = None,
        inbox_events_max: int = INBOX_EVENTS_MAX,
    ) -> None:
        self.client_id = client_id
        self.filters = tuple(filters)
        self.will = will
        self.inbox = Inbox(inbox_events_max)
        self.arrived = asyncio.Event()
        self.connection = 0  # the number of the present one, 0 while there is none
        self.connections = 0
        self.sends_dropped = 0
        self._broker = broker
        self._used = False

    @property
    def connected(self) -> bool:
        return self.connection > 0

    @property
    def reconnects(self) -> int:
        return max(self.connections - 1, 0)

    @property
    def inbox_drops(self) -> int:
        return self.inbox.drops

    async def publish(self, sends: Sequence[Send]) -> None:
        """See `Bus.publish`."""
        if self.connected:
            self._broker.publish(self, sends)
        else:
            self.sends_dropped += len(sends)

    async def messages(self) -> AsyncGenerator[list[Event], None]:
        """See `Bus.messages`."""
        assert not self._used, "a bus is iterated once"
        self._used = True
        self._broker.join(self)
        try:
            while True:
                await self.arrived.wait()
                self.arrived.clear()
                if events := self.inbox.take():
                    yield events
        finally:
            self._broker.leave(self)


class _Link:
    """A client's two directions, which outlive its connections."""

    __slots__ = ("clogged_until_s", "cut")

    def __init__(self) -> None:
        self.cut: dict[Direction, bool] = {"up": False, "down": False}
        self.clogged_until_s = 0.0


class MemoryBroker:
    """Routes between its clients, and is where a simulation lets faults happen."""

    def __init__(self, rng: Random, faults: Faults = NO_FAULTS) -> None:
        self.faults = faults
        self.retained: dict[str, Send] = {}
        self._rng = rng
        self._running = True
        self._members: list[MemoryBus] = []  # who wants to be connected, and tries to
        self._clients: dict[str, MemoryBus] = {}  # who is, by client id
        self._attempts: dict[str, int] = {}
        self._links: dict[str, _Link] = {}
        self._since_s: dict[str, float] = {}
        self._connections = 0

    # --- what a client does -----------------------------------------------------------

    def join(self, bus: MemoryBus) -> None:
        """Connect `bus` soon, and again whenever it is lost, until it leaves."""
        self._members.append(bus)
        self._after(self._delay_s(self._link(bus.client_id)), self._connect, bus)

    def leave(self, bus: MemoryBus) -> None:
        """Say goodbye: nothing is told to anyone."""
        if bus in self._members:
            self._members.remove(bus)
            self._forget(bus)

    def publish(self, bus: MemoryBus, sends: Sequence[Send]) -> None:
        """Take messages on their way up."""
        for send in sends:
            self._carry(bus, "up", partial(self._route, send))

    # --- what a simulation does -------------------------------------------------------

    def kill(self, client_id: str) -> None:
        """The client's process is gone, without a goodbye and for good."""
        for bus in [each for each in self._members if each.client_id == client_id]:
            self._members.remove(bus)
            if self._forget(bus):
                self._fire_will(bus)

    def disconnect(self, client_id: str) -> None:
        """The client's connection breaks, and both sides notice; it connects again."""
        bus = self._clients.get(client_id)
        if bus is not None:
            self._lose(bus)
            self._fire_will(bus)

    def cut(self, client_id: str, direction: Direction) -> None:
        """Lose everything the client sends (`up`) or should receive (`down`)."""
        self._link(client_id).cut[direction] = True

    def clog(self, client_id: str, duration_s: float) -> None:
        """Hold up everything to and from the client, and let it go all at once."""
        self._link(client_id).clogged_until_s = asyncio.get_running_loop().time() + duration_s

    def heal(self) -> None:
        """End every cut and every clog; what was held up still comes when it was due."""
        self._links.clear()

    def fail(self) -> None:
        """The broker is killed: everyone is cut off and everything is forgotten."""
        self._running = False
        self.retained.clear()
        for bus in list(self._clients.values()):
            self._lose(bus)

    def recover(self) -> None:
        """The broker runs again; its clients find it when they try next."""
        self._running = True

    def wipe(self) -> None:
        """Fail and recover at once."""
        self.fail()
        self.recover()

    # --- connections ------------------------------------------------------------------

    def _connect(self, bus: MemoryBus) -> None:
        if bus not in self._members or bus.connected:
            return
        if not self._running:
            self._try_again(bus)
            return
        self.disconnect(bus.client_id)  # a second client with an id takes it over
        self._connections += 1
        bus.connection = self._connections
        bus.connections += 1
        self._since_s[bus.client_id] = asyncio.get_running_loop().time()
        self._clients[bus.client_id] = bus
        bus.inbox.connected()
        bus.arrived.set()
        for send in list(self.retained.values()):
            self._offer(bus, send)

    def _lose(self, bus: MemoryBus) -> None:
        lasted_s = asyncio.get_running_loop().time() - self._since_s[bus.client_id]
        if lasted_s > CONNECTION_LASTING_S:
            self._attempts.pop(bus.client_id, None)
        if self._forget(bus):
            bus.inbox.disconnected()
            bus.arrived.set()
        self._try_again(bus)

    def _forget(self, bus: MemoryBus) -> bool:
        """End the connection of `bus`; False if it had none."""
        was_connected, bus.connection = bus.connected, 0
        if was_connected:
            del self._clients[bus.client_id]
        return was_connected

    def _try_again(self, bus: MemoryBus) -> None:
        attempt = self._attempts.get(bus.client_id, 0)
        self._attempts[bus.client_id] = attempt + 1
        delay_s = backoff_s(bus.client_id, attempt, RECONNECT_FIRST_S, RECONNECT_LAST_S)
        asyncio.get_running_loop().call_later(delay_s, self._connect, bus)

    def _fire_will(self, bus: MemoryBus) -> None:
        if bus.will is not None and self._running:
            self._route(bus.will)

    # --- messages ---------------------------------------------------------------------

    def _route(self, send: Send) -> None:
        if send.retain and send.payload:
            self.retained[send.topic] = send
        elif send.retain:
            self.retained.pop(send.topic, None)
        for bus in list(self._clients.values()):
            self._offer(bus, send)

    def _offer(self, bus: MemoryBus, send: Send) -> None:
        if wants(bus.filters, send.topic):
            self._carry(bus, "down", partial(_deliver, bus, Message(send.topic, send.payload)))

    def _carry(self, bus: MemoryBus, direction: Direction, deliver: Callable[[], None]) -> None:
        """Take one message over one link: never, once or twice, now or later."""
        link = self._link(bus.client_id)
        if link.cut[direction] or self._happens(self.faults.loss):
            return
        copies = 2 if self._happens(self.faults.duplication) else 1
        for _ in range(copies):
            self._after(self._delay_s(link), _if_still, bus, bus.connection, deliver)

    def _delay_s(self, link: _Link) -> float:
        mean_s = self.faults.delay_mean_s
        drawn_s = self._rng.expovariate(1.0 / mean_s) if mean_s > 0.0 else 0.0
        return max(drawn_s, link.clogged_until_s - asyncio.get_running_loop().time())

    def _happens(self, probability: float) -> bool:
        return probability > 0.0 and self._rng.random() < probability

    def _link(self, client_id: str) -> _Link:
        return self._links.setdefault(client_id, _Link())

    def _after(
        self, delay_s: float, call: Callable[[*Arguments], None], *arguments: *Arguments
    ) -> None:
        # Without a delay at once: timers that are due together have no order.
        if delay_s > 0.0:
            asyncio.get_running_loop().call_later(delay_s, call, *arguments)
        else:
            call(*arguments)


@lru_cache(maxsize=TOPICS_REMEMBERED_MAX)
def wants(filters: tuple[str, ...], topic: str) -> bool:
    """Whether one of `filters` matches `topic`."""
    levels = topic.split("/")
    return any(matches(each.split("/"), levels) for each in filters)


def matches(pattern: Sequence[str], levels: Sequence[str]) -> bool:
    """Whether a topic matches a filter, both split at `/` (MQTT 3.1.1, 4.7)."""
    for index, each in enumerate(pattern):
        if each == "#":
            return True
        if index >= len(levels) or each not in ("+", levels[index]):
            return False
    return len(pattern) == len(levels)


def _if_still(bus: MemoryBus, connection: int, deliver: Callable[[], None]) -> None:
    if bus.connection == connection:
        deliver()


def _deliver(bus: MemoryBus, message: Message) -> None:
    bus.inbox.put([message])
    bus.arrived.set()
