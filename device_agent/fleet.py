"""Many devices over one store and one connection: one group commit for all of them.

`FleetMachine` is the machine a device process runs, be it one device on a board or a
thousand emulated ones. It gives each event to the device it concerns and wakes the
devices whose time has come; a quiet fleet costs nothing. Former devices (`former.py`) run
with it until they owe nothing.
"""

from collections.abc import Iterable, Sequence

from device_agent.former import NOT_HERE, FormerDevice
from device_agent.machine import DeviceMachine
from twin_runtime.core import topics
from twin_runtime.core.agenda import Agenda
from twin_runtime.core.effects import (
    Act,
    Acted,
    Connected,
    Disconnected,
    Effects,
    Event,
    Message,
    Now,
    Row,
    Sample,
    Send,
    Stopping,
)
from twin_runtime.core.errors import MalformedMessage


class FleetMachine:
    """`devices` share a store and a bus; each keeps its own outbox, route and duties."""

    def __init__(self, devices: Sequence[DeviceMachine]) -> None:
        self._devices = {device.twin: device for device in devices}
        self._carriers = sorted({device.via for device in devices if device.via})
        self._agenda = Agenda()

    @property
    def twins(self) -> list[str]:
        """The devices, those included that it had before."""
        return list(self._devices)

    def restore(self, rows: Iterable[Row], now: Now) -> Effects:
        fx = Effects()
        by_device: dict[str, list[Row]] = {twin: [] for twin in self._devices}
        for row in rows:
            own = by_device.get(row.key.split("/")[0])
            if own is not None:
                own.append(row)
        for twin, device in self._devices.items():
            device.restore(by_device.pop(twin), now, fx)
        return self._scheduled(self._devices, now, fx)

    def handle(self, events: Sequence[Event], now: Now) -> Effects:
        fx = Effects()
        touched: dict[str, None] = {}
        for event in events:
            self._take(event, now, fx, touched)
        for twin in self._agenda.take(now.monotonic_s, len(self._devices)):
            self._devices[twin].tick(now, fx)
            touched[twin] = None
        return self._scheduled(touched, now, fx)

    def newest_observed_ms(self) -> dict[str, int]:
        """When each device's newest stored report was observed: where its source goes on."""
        newest = {twin: device.newest_observed_ms for twin, device in self._devices.items()}
        return {twin: at for twin, at in newest.items() if at is not None}

    def refuse(self, act: Act) -> str:
        """Why `act` cannot be carried out whatever the source says, or ''."""
        device = self._devices.get(act.twin)
        return NOT_HERE if device is None else device.refuse(act)

    def _take(self, event: Event, now: Now, fx: Effects, touched: dict[str, None]) -> None:
        match event:
            case Message(topic, payload):
                self._hear(topic, payload, now, fx, touched)
            case Sample(twin=twin) if twin in self._devices:
                self._devices[twin].sample(event, now, fx)
                touched[twin] = None
            case Acted(twin=twin) if twin in self._devices:
                self._devices[twin].acted(event, now, fx)
                touched[twin] = None
            case Connected():
                # They are here again: what the broker said for their carrier is over.
                fx.sends += (Send(topics.status(via), b"", retain=True) for via in self._carriers)
                for device in self._devices.values():
                    device.connected(now, fx)
                touched.update(dict.fromkeys(self._devices))
            case Disconnected():
                for device in self._devices.values():
                    device.disconnected()
                touched.update(dict.fromkeys(self._devices))
            case Stopping():
                for device in self._devices.values():
                    device.stop(now, fx)

    def _hear(
        self, topic: str, payload: bytes, now: Now, fx: Effects, touched: dict[str, None]
    ) -> None:
        device = None
        try:
            parsed = topics.parse(topic)
            device = self._devices.get(parsed.twin)
            if device is not None:
                touched[device.twin] = None
                device.hear(parsed, payload, now, fx)
        except MalformedMessage as error:
            fx.refuse(topic, error)
            if device is not None:
                device.rejected()

    def _scheduled(self, touched: Iterable[str], now: Now, fx: Effects) -> Effects:
        halted = ""
        for twin in touched:
            device = self._devices[twin]
            self._agenda.set(twin, device.due_s)
            halted = halted or device.halted
            if isinstance(device, FormerDevice) and device.gone:
                del self._devices[twin]
        next_s = self._agenda.next_s()
        if next_s is not None:
            fx.wake_by(next_s - now.monotonic_s)
        if halted and all(map(_measures_no_more, self._devices.values())):
            fx.stop = halted
        return fx


def _measures_no_more(device: DeviceMachine) -> bool:
    return bool(device.halted) or isinstance(device, FormerDevice)
