"""This machine as devices: the host itself, its cores, its largest processes.

Sensors that do not answer at the start are not there and are not declared; one that stops
later is reported as `None`, and its twin shows the last value as uncertain.

The agent runs on the machine it measures, so it is frugal. All devices of a batch share one
`Look`. Sensors behind slow buses and values that hardly move are read every
`SLOW_PERIOD_S` only and are absent from the samples in between: a report says what was
measured, not what is remembered.
"""

import math
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psutil

from device_agent.pace import SAMPLE_PERIOD, Pace
from device_agent.processes import Group, Processes, process_sensors, slug
from device_agent.sensors import (
    BYTES,
    FREQUENCY,
    LOAD,
    RATE,
    SLOW_PERIOD_S,
    CpuTime,
    Look,
    Sensor,
    Slope,
    against_time,
    number_spec,
)
from device_agent.sources import Device
from twin_runtime.core.effects import Sample
from twin_runtime.core.errors import InvalidConfiguration
from twin_runtime.core.messages import Description, FeatureSpec
from twin_runtime.ports import Clock

PROCESS_GROUPS_MAX = 4
CORES_MAX = 256  # each is a device of its own; a batch of samples holds all of them
FIRST_SAMPLE_S = 1.0  # loads and rates need an interval to be measured over


@dataclass(slots=True)
class Part:
    """One device of this machine and its sensors."""

    device: Device
    sensors: Sequence[Sensor]
    last_ms: int = -1
    slow_due_s: float = -math.inf

    def sample(self, look: Look, period_s: float, *, everything: bool) -> Sample:
        """Read the sensors whose turn it is; `everything`: the slow ones too."""
        slow = everything or look.now.monotonic_s >= self.slow_due_s
        if slow:
            self.slow_due_s = look.now.monotonic_s + SLOW_PERIOD_S
        self.last_ms = max(look.now.wall_ms, self.last_ms + 1)
        features: dict[str, Any] = {"sample_period_s": period_s}
        live: dict[str, Any] = {}
        for sensor in self.sensors:
            if slow or not sensor.slow:
                (live if sensor.spec.live else features)[sensor.name] = sensor.value(look)
        return Sample(self.device.twin, self.last_ms, features, live)


class HostSource:
    """This machine as one device, `twin` (default: named after the host); with `parts` its
    cores and largest processes as well."""

    def __init__(self, clock: Clock, *, parts: bool, twin: str = "", period_s: float = 1.0) -> None:
        look = Look(clock.now())
        host = slug(socket.gethostname()) or "host"
        self._clock = clock
        self._parts = [_part(twin or f"d-{host}", f"Host {host}", host_sensors(), look)]
        if parts:
            self._parts += [*_core_parts(look), *_process_parts(look)]
        self.devices: Sequence[Device] = [part.device for part in self._parts]
        twins = [device.twin for device in self.devices]
        if len(set(twins)) < len(twins):
            raise InvalidConfiguration(
                f"host name {host!r} makes {twins[0]}, which is a core's or a process's id:"
                " rename the host, or use source board"
            )
        self._pace = Pace(clock, twins, period_s)

    async def samples(self, resume: Mapping[str, int]) -> AsyncIterator[list[Sample]]:
        """See `Source.samples`; it never ends."""
        first_s = self._clock.now().monotonic_s
        for index, part in enumerate(self._parts):
            part.last_ms = resume.get(part.device.twin, -1)
            self._pace.schedule(index, first_s + min(self._pace.periods_s[index], FIRST_SAMPLE_S))
        while True:
            due, asked = await self._pace.wait()
            look = Look(self._clock.now())
            for index in due:
                self._pace.schedule(index, look.now.monotonic_s + self._pace.periods_s[index])
            yield [
                self._parts[index].sample(
                    look, self._pace.periods_s[index], everything=index in asked
                )
                for index in sorted({*due, *asked})
            ]

    def act(self, twin: str, path: str, value: Any) -> str:
        """See `Source.act`."""
        return self._pace.act(twin, path, value)


def _core_parts(look: Look) -> list[Part]:
    cores = range(min(len(look.cores), CORES_MAX))
    return [_part(f"d-core-{n}", f"Core {n}", _core_sensors(n), look) for n in cores]


def _process_parts(look: Look) -> list[Part]:
    processes = Processes()
    names = list(processes.groups(look.now))[:PROCESS_GROUPS_MAX]
    return [
        _part(f"d-process-{name}", f"Process {name}", process_sensors(Group(name, processes)), look)
        for name in names
    ]


def _part(twin: str, title: str, sensors: Sequence[Sensor], look: Look) -> Part:
    """The device `twin` with those of `sensors` that answer."""
    there = [sensor for sensor in sensors if sensor.value(look) is not None]
    features = {sensor.name: sensor.spec for sensor in there} | {"sample_period_s": SAMPLE_PERIOD}
    return Part(Device(twin, Description(title=title, features=features)), there)


def host_sensors() -> list[Sensor]:
    """Every sensor a host may have."""
    return [
        Sensor("cpu_load_ratio", LOAD, Slope(_host_load)),
        Sensor("cpu_frequency_hz", FREQUENCY, _host_frequency_hz),
        Sensor("load_average_1min", number_spec("1", "Runnable"), lambda _: psutil.getloadavg()[0]),
        Sensor("memory_used_bytes", BYTES, lambda look: look.memory.total - look.memory.available),
        Sensor("memory_total_bytes", BYTES, lambda look: look.memory.total, slow=True),
        Sensor("disk_used_bytes", BYTES, lambda look: look.disk.used, slow=True),
        Sensor("disk_total_bytes", BYTES, lambda look: look.disk.total, slow=True),
        Sensor("network_received_bytes", BYTES, _received_bytes),
        Sensor("network_sent_bytes", BYTES, _sent_bytes),
        Sensor("network_received_bytes_per_s", RATE, Slope(against_time(_received_bytes))),
        Sensor("network_sent_bytes_per_s", RATE, Slope(against_time(_sent_bytes))),
        Sensor("temperature_c", number_spec("Cel", "Hottest sensor"), _temperature_c, slow=True),
        Sensor("uptime_s", number_spec("s", "Time since the start"), _uptime_s, slow=True),
        Sensor("battery_ratio", number_spec("1", "Charge"), _battery_ratio, slow=True),
        Sensor("battery_charging", FeatureSpec(type="boolean"), _battery_charging, slow=True),
    ]


def _host_load(look: Look) -> tuple[float, float]:
    return sum(core.busy_s for core in look.cores), sum(core.total_s for core in look.cores)


def _host_frequency_hz(look: Look) -> float | None:
    frequencies_hz = look.frequencies_hz
    return sum(frequencies_hz) / len(frequencies_hz) if frequencies_hz else None


def _received_bytes(look: Look) -> int | None:
    return sum(network.bytes_recv for network in look.networks) if look.networks else None


def _sent_bytes(look: Look) -> int | None:
    return sum(network.bytes_sent for network in look.networks) if look.networks else None


def _temperature_c(_: Look) -> float | None:
    groups = psutil.sensors_temperatures() if hasattr(psutil, "sensors_temperatures") else {}
    return max((sensor.current for group in groups.values() for sensor in group), default=None)


def _uptime_s(look: Look) -> float:
    return max(look.now.wall_ms / 1000 - psutil.boot_time(), 0.0)


def _battery_ratio(look: Look) -> float | None:
    return None if look.battery is None else look.battery.percent / 100


def _battery_charging(look: Look) -> bool | None:
    return None if look.battery is None else look.battery.power_plugged


def _core_sensors(n: int) -> list[Sensor]:
    def cpu_time(look: Look) -> CpuTime | None:
        return look.cores[n] if n < len(look.cores) else None  # it may be taken offline

    def frequency_hz(look: Look) -> float | None:
        return look.frequencies_hz[n] if n < len(look.frequencies_hz) else None

    return [
        Sensor("cpu_load_ratio", LOAD, Slope(cpu_time)),
        Sensor("cpu_frequency_hz", FREQUENCY, frequency_hz),
    ]
