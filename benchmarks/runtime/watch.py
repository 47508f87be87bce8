"""What passes between cloud, edges and devices, with the time at which it was heard.

A listener on the broker, in the benchmark's own process: how far each twin was last
acknowledged and, of those that are followed, when they were sealed and activated and their
devices told. It hears what the parties hear, some tenths of a millisecond before or after
them.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any

from benchmarks.runtime.testbed import POLL_S, WAIT_S
from twin_runtime.adapters.broker import Broker
from twin_runtime.adapters.gmqtt_session import gmqtt_session
from twin_runtime.adapters.mqtt_bus import MqttBus
from twin_runtime.core import messages, topics
from twin_runtime.core.effects import Message

# What is said in a move, in order; the last is what its device hears of its new edge.
STEPS = ("seal", "sealed", "activate", "activated", "assign", "ack")
_KINDS = frozenset(STEPS)


class Watch:
    """`applied` has, by twin, how far it is; `steps`, by followed twin, what was said when."""

    def __init__(self, broker: Broker) -> None:
        filters = [topics.order("+"), topics.event("+"), topics.assign("+")]
        filters.append(topics.down("+", "+", "ack"))
        self._bus = MqttBus(
            broker.host, broker.port, client_id="watch", filters=filters, session=gmqtt_session
        )
        self.applied: dict[str, int] = {}
        self.steps: dict[str, list[tuple[str, float]]] = {}

    async def listen(self) -> None:
        """Hear everything, until cancelled."""
        async with aclosing(self._bus.messages()) as received:
            async for events in received:
                now_s = time.monotonic()
                for event in events:
                    if isinstance(event, Message):
                        self._hear(event, now_s)

    async def acknowledged(self, twins: int) -> None:
        """Return when so many twins were acknowledged."""
        await _until(lambda: len(self.applied) >= twins)

    async def beyond(self, before: Mapping[str, int]) -> None:
        """Return when each twin was acknowledged further than `before`."""
        await _until(lambda: all(self.applied[twin] > seq for twin, seq in before.items()))

    def follow(self, twins: Iterable[str]) -> None:
        """Note each step of these from now on."""
        self.steps = {twin: [] for twin in twins}

    def _hear(self, message: Message, now_s: float) -> None:
        topic = topics.parse(message.topic)
        said = messages.load(message.payload)
        kind = topic.verb or said.get("kind", topic.kind)
        if kind == "ack":
            self.applied[topic.twin] = said["applied"]
        if kind in _KINDS:
            for twin in _twins_of(topic, said):
                if twin in self.steps:
                    self.steps[twin].append((kind, now_s))


def _twins_of(topic: topics.Topic, said: Mapping[str, Any]) -> list[str]:
    if topic.twin:
        return [topic.twin]
    return [each["twin"] for each in said["twins"]] if "twins" in said else [said["twin"]]


@asynccontextmanager
async def watching(broker: Broker) -> AsyncIterator[Watch]:
    """Listen meanwhile."""
    watch = Watch(broker)
    listening = asyncio.create_task(watch.listen(), name="watch")
    try:
        yield watch
    finally:
        listening.cancel()
        await asyncio.wait((listening,))


def moves_s(steps: Iterable[tuple[str, float]]) -> Iterator[tuple[float, ...]]:
    """Of each whole move in what was heard of a twin: when the last acknowledgement was heard
    before `sealed`, and when each step was."""
    last_ack_s: float | None = None
    heard: list[float] = []
    for kind, now_s in steps:
        if kind == STEPS[len(heard)] and last_ack_s is not None:
            heard.append(now_s)
        elif kind == "ack" and len(heard) <= 1:
            last_ack_s = now_s  # the owner goes on until it has sealed
        if len(heard) == len(STEPS) and last_ack_s is not None:
            yield (last_ack_s, *heard[1:])
            heard, last_ack_s = [], now_s


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while True:
            if holds():
                return
            await asyncio.sleep(POLL_S)
