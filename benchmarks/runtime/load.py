"""Many devices at full speed: `python -m benchmarks.runtime.load SPEC`.

The devices speak the real protocol over the real bus: they announce themselves, wait for
their assignment, keep what was not applied, send it again when the edge is silent, and
believe nothing but acknowledgements. What they say was encoded beforehand, and nothing is
stored, so that one process of them is faster than any edge. Two ways to send:

    windows   as devices after an outage: at most a window of reports in flight each
    flood     one message for each report, all at once, and windows for what got lost

A device that is told of fewer applied reports than before has seen a loss.
"""

import asyncio
import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from benchmarks.runtime.flood import Flood
from benchmarks.runtime.traffic import EDGE, floods, report_topic, rows, twin_id
from twin_runtime.adapters.gmqtt_session import gmqtt_session
from twin_runtime.adapters.mqtt_bus import MqttBus
from twin_runtime.core import messages, topics
from twin_runtime.core.effects import Connected, Event, Message, Send
from twin_runtime.core.limits import RETRY_FIRST_S, RETRY_LAST_S, WINDOW_REPORTS_MAX

AT_ONCE_MAX = 1_000  # devices that wait for an assignment, or for acknowledgements
TICK_S = 0.25
WAIT_S = 240.0


@dataclass(frozen=True, slots=True)
class Spec:
    """What to send; `session` must rise from run to run on one edge."""

    host: str
    port: int
    devices: int
    reports: int
    session: int
    way: Literal["windows", "flood"] = "windows"
    board: bool = False


class Device:
    """One device: its reports, and how far it knows them to be applied."""

    __slots__ = ("applied", "due_s", "lost", "pause_s", "rows", "sent", "topic")

    def __init__(self, topic: str, encoded: list[bytes]) -> None:
        self.topic = topic
        self.rows = encoded
        self.applied = self.sent = self.lost = 0
        self.pause_s = RETRY_FIRST_S
        self.due_s = math.inf  # to send again; it has not begun

    @property
    def done(self) -> bool:
        return self.applied == len(self.rows)

    @property
    def waiting(self) -> bool:
        """Whether it has begun and is not known to have finished."""
        return self.due_s < math.inf

    def acknowledge(self, applied: int) -> None:
        self.lost = max(self.lost, self.applied - applied)
        if applied > self.applied and self.waiting:
            self.applied = applied
            self.sent = max(self.sent, applied)
            self.pause_s = RETRY_FIRST_S
            self.due_s = time.monotonic() + self.pause_s

    def begin(self, sent: int) -> None:
        """Wait for acknowledgements, the first `sent` reports being on their way."""
        self.sent = sent
        self.due_s = time.monotonic() + self.pause_s

    def go_back(self, now_s: float) -> None:
        """All that was not acknowledged counts as not sent; the next time is later."""
        self.sent = self.applied
        self.pause_s = min(2 * self.pause_s, RETRY_LAST_S)
        self.due_s = now_s + self.pause_s

    def window(self, session: int) -> Iterator[Send]:
        """What may be sent and was not."""
        last = min(self.applied + WINDOW_REPORTS_MAX, len(self.rows))
        if last > self.sent:
            payload = messages.encode_window(1, session, self.rows[self.sent : last])
            self.sent = last
            yield Send(self.topic, payload)


class Fleet:
    """All devices of one load on one connection."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._devices = {
            twin_id(n): Device(report_topic(n), rows(n, spec.reports, board=spec.board))
            for n in range(spec.devices)
        }
        filters = [topics.down("+", EDGE, "ack"), topics.assign("+")]
        self._bus = MqttBus(
            spec.host, spec.port, client_id="d-load", filters=filters, session=gmqtt_session
        )
        self._homeless = dict.fromkeys(self._devices)
        self._quiet = iter(self._devices.values())
        self._unfinished = len(self._devices)
        self._begun = False
        self.assigned = asyncio.Event()
        self.done = asyncio.Event()

    @property
    def lost(self) -> int:
        return sum(device.lost for device in self._devices.values())

    @property
    def applied(self) -> int:
        return sum(device.applied for device in self._devices.values())

    async def listen(self) -> None:
        """Hear assignments and acknowledgements, and answer them, until cancelled."""
        async with aclosing(self._bus.messages()) as received:
            async for events in received:
                await self._hear(events)

    async def tick(self) -> None:
        """Repeat what was not answered, until cancelled."""
        while True:
            await asyncio.sleep(TICK_S)
            if self._begun:
                await self._send_again()
            else:
                await self._announce()

    async def begin(self) -> None:
        """Send the first reports; in windows, of so many devices at one time."""
        self._begun = True
        if self._spec.way == "flood":
            for device in self._quiet:
                device.begin(len(device.rows))
        else:
            await self._send_windows(self._next(AT_ONCE_MAX))

    async def _hear(self, events: Sequence[Event]) -> None:
        progressed: dict[str, Device] = {}
        for event in events:
            if isinstance(event, Message):
                topic = topics.parse(event.topic)
                if topic.kind == "assign":
                    self._homeless.pop(topic.twin, None)
                elif topic.twin in self._devices:
                    device = self._devices[topic.twin]
                    self._acknowledge(device, event.payload)
                    if device.waiting:  # else it is news of an earlier session
                        progressed[topic.twin] = device
            elif isinstance(event, Connected):
                await self._announce()
        if not self._homeless:
            self.assigned.set()
        if self._begun and progressed:
            await self._go_on(list(progressed.values()))

    async def _go_on(self, progressed: list[Device]) -> None:
        finished = [device for device in progressed if device.done]
        for device in finished:
            device.due_s = math.inf
        self._unfinished -= len(finished)
        await self._send_windows(progressed + self._next(len(finished)))
        if self._unfinished == 0:
            self.done.set()

    def _next(self, count: int) -> list[Device]:
        devices = list(islice(self._quiet, count))
        for device in devices:
            device.begin(0)
        return devices

    def _acknowledge(self, device: Device, payload: bytes) -> None:
        ack = messages.load(payload)
        if ack["session"] == self._spec.session:
            device.acknowledge(ack["applied"])

    async def _send_windows(self, devices: Sequence[Device]) -> None:
        sends = [send for device in devices for send in device.window(self._spec.session)]
        if sends:
            await self._bus.publish(sends)

    async def _send_again(self) -> None:
        now_s = time.monotonic()
        silent = [device for device in self._devices.values() if device.due_s <= now_s]
        for device in silent:
            device.go_back(now_s)
        await self._send_windows(silent)

    async def _announce(self) -> None:
        online = messages.encode(messages.Status(state="online", session=1))
        some = list(islice(self._homeless, AT_ONCE_MAX))
        await self._bus.publish([Send(topics.status(twin), online) for twin in some])


async def run(spec: Spec) -> None:
    """Announce, say that all is ready, wait for the word, send, and say how it went."""
    fleet = Fleet(spec)
    flood = _flood(spec) if spec.way == "flood" else None
    async with asyncio.TaskGroup() as group:
        listening = group.create_task(fleet.listen(), name="listen")
        ticking = group.create_task(fleet.tick(), name="tick")
        await fleet.assigned.wait()
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        await fleet.begin()
        if flood is not None:
            await asyncio.to_thread(flood.run)
        with suppress(TimeoutError):  # what is missing is in the report
            async with asyncio.timeout(WAIT_S):
                await fleet.done.wait()
        listening.cancel()
        ticking.cancel()
    print(json.dumps({"applied": fleet.applied, "lost": fleet.lost}), flush=True)


def _flood(spec: Spec) -> Flood:
    return Flood(spec.host, spec.port, floods(spec.devices, spec.reports, spec.session), qos=0)


def main() -> None:
    asyncio.run(run(Spec(**json.loads(sys.argv[1]))))


if __name__ == "__main__":
    main()
