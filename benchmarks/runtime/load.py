"""Many devices at full speed: `python -m benchmarks.runtime.load SPEC`.

The devices speak the real protocol over the real bus: they announce themselves, wait for
their assignment, keep what was not applied, send it again when the edge is silent, and
believe nothing but acknowledgements. What they say was encoded beforehand, and nothing is
stored, so that one process of them is faster than any edge. Two ways to send:

    windows   as a device after an outage: at most a window of reports in flight
    flood     one message for each report, all at once, and windows for what got lost

A device that is told of fewer applied reports than before has seen a loss.
"""

import asyncio
import json
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
from twin_runtime.core.limits import WINDOW_REPORTS_MAX

ANNOUNCED_MAX = 2_000  # devices on their way to an assignment at one time
TICK_S = 0.25
SILENCE_S = 1.0  # without news of a device: it sends again
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

    __slots__ = ("applied", "lost", "rows", "sent", "silent_since_s", "topic")

    def __init__(self, topic: str, encoded: list[bytes]) -> None:
        self.topic = topic
        self.rows = encoded
        self.applied = self.sent = self.lost = 0
        self.silent_since_s = 0.0

    @property
    def done(self) -> bool:
        return self.applied == len(self.rows)

    def acknowledge(self, applied: int) -> None:
        self.lost = max(self.lost, self.applied - applied)
        if applied > self.applied:
            self.applied = applied
            self.sent = max(self.sent, applied)
            self.silent_since_s = time.monotonic()

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
        """Send the first reports."""
        self._begun = True
        began_s = time.monotonic()
        for device in self._devices.values():
            device.silent_since_s = began_s
        if self._spec.way == "flood":
            for device in self._devices.values():
                device.sent = len(device.rows)
        else:
            await self._send_windows(list(self._devices.values()))

    async def _hear(self, events: Sequence[Event]) -> None:
        progressed: dict[str, Device] = {}
        for event in events:
            if isinstance(event, Message):
                topic = topics.parse(event.topic)
                if topic.kind == "assign":
                    self._homeless.pop(topic.twin, None)
                elif topic.twin in self._devices:
                    self._acknowledge(self._devices[topic.twin], event.payload)
                    progressed[topic.twin] = self._devices[topic.twin]
            elif isinstance(event, Connected):
                await self._announce()
        if not self._homeless:
            self.assigned.set()
        if self._begun and progressed:
            await self._send_windows(list(progressed.values()))
            if all(device.done for device in progressed.values()):
                self._look_around()

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
        silent = [
            device
            for device in self._devices.values()
            if not device.done and now_s - device.silent_since_s > SILENCE_S
        ]
        for device in silent:
            device.sent = device.applied
            device.silent_since_s = now_s
        await self._send_windows(silent)
        self._look_around()

    async def _announce(self) -> None:
        online = messages.encode(messages.Status(state="online", session=1))
        some = list(islice(self._homeless, ANNOUNCED_MAX))
        await self._bus.publish([Send(topics.status(twin), online) for twin in some])

    def _look_around(self) -> None:
        if all(device.done for device in self._devices.values()):
            self.done.set()


async def run(spec: Spec) -> None:
    """Announce, say that all is ready, wait for the word, send, and say how it went."""
    fleet = Fleet(spec)
    flood = _flood(spec) if spec.way == "flood" else None
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(fleet.listen()), group.create_task(fleet.tick())]
        await fleet.assigned.wait()
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        await fleet.begin()
        if flood is not None:
            await asyncio.to_thread(flood.run)
        with suppress(TimeoutError):  # what is missing is in the report
            async with asyncio.timeout(WAIT_S):
                await fleet.done.wait()
        for task in tasks:
            task.cancel()
    print(json.dumps({"applied": fleet.applied, "lost": fleet.lost}), flush=True)


def _flood(spec: Spec) -> Flood:
    return Flood(spec.host, spec.port, floods(spec.devices, spec.reports, spec.session), qos=0)


def main() -> None:
    asyncio.run(run(Spec(**json.loads(sys.argv[1]))))


if __name__ == "__main__":
    main()
