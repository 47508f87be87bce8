"""Emulated devices: rooms that exist in mathematics only, as many as are asked for.

A room's air is a function of the seed, the room's number and the time, and of nothing
else: nothing is integrated from sample to sample. So a room can be sampled at any time
and at any period, a restarted process finds it as it would have been, and a value that
was read anywhere in the system can be computed again by whoever doubts it.

    temperature  the room's mean + a daily cycle + a slow deviation + the sensor's noise
    humidity     falls as the air warms, with a slow deviation of its own
    supply       a battery that discharges over half a year and is then replaced

A deviation runs smoothly through a random level at every full quarter of an hour. The
levels are independent and their mean is zero, so it always reverts.

Samples lie on a grid: room `i` is sampled at `phase(i) + k * period` of the wall clock,
for whole `k`. The phases are multiples of the golden ratio, which spreads any range of
rooms evenly over the period: processes that share a fleet need not know of each other.
"""

import math
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple

from device_agent.pace import SAMPLE_PERIOD, Pace
from device_agent.sources import Device
from twin_runtime.core.effects import Sample
from twin_runtime.core.errors import InvalidConfiguration
from twin_runtime.core.limits import DEVICES_PER_PROCESS_MAX
from twin_runtime.core.messages import Description, FeatureSpec
from twin_runtime.ports import Clock

DAY_MS = 86_400_000
BATTERY_LIFE_MS = 180 * DAY_MS
DEVIATION_PERIOD_MS = 15 * 60_000

TEMPERATURE_MEAN_C = 22.0
TEMPERATURE_SPREAD_C = 1.5  # how far a room's mean may be from that of all rooms
TEMPERATURE_DAILY_C = 1.2
TEMPERATURE_DEVIATION_C = 0.8
TEMPERATURE_NOISE_C = 0.03
HUMIDITY_MEAN_PCT = 48.0
# At a constant amount of water, air of 22 °C and 48 % dries by 2.9 % for each degree.
HUMIDITY_PER_DEGREE_PCT = -2.9
HUMIDITY_DEVIATION_PCT = 3.0
SUPPLY_FULL_V = 3.0
SUPPLY_EMPTY_V = 2.4

DESCRIPTION = Description(
    title="Emulated room",
    features={
        "temperature_c": FeatureSpec(type="number", unit="Cel", title="Air temperature"),
        "relative_humidity_pct": FeatureSpec(type="number", unit="%", title="Relative humidity"),
        "supply_voltage_v": FeatureSpec(type="number", unit="V", title="Battery voltage"),
        "sample_period_s": SAMPLE_PERIOD,
    },
)

_GOLDEN_RATIO = (math.sqrt(5) - 1) / 2


class Room(NamedTuple):
    """What sets one room apart from the others."""

    number: int
    key: int
    humidity_key: int
    mean_c: float
    day_offset_ms: int
    battery_offset_ms: int


def room(seed: int, number: int) -> Room:
    """Return room `number` of the building `seed`."""
    key = _mix(_mix(seed) + number)
    return Room(
        number,
        key,
        _mix(key),
        TEMPERATURE_MEAN_C + TEMPERATURE_SPREAD_C * _noise(key, 1),
        round(DAY_MS / 24 * _noise(key, 2)),
        round(BATTERY_LIFE_MS * _noise(key, 3)),
    )


def air(room: Room, at_ms: int) -> dict[str, float]:
    """Return what a device in `room` reads at `at_ms` of the wall clock."""
    day = math.sin(2 * math.pi * (at_ms + room.day_offset_ms) / DAY_MS)
    above_c = (
        TEMPERATURE_DAILY_C * day
        + TEMPERATURE_DEVIATION_C * _deviation(room.key, at_ms)
        + TEMPERATURE_NOISE_C * _noise(room.key, at_ms)
    )
    humidity_pct = (
        HUMIDITY_MEAN_PCT
        + HUMIDITY_PER_DEGREE_PCT * above_c
        + HUMIDITY_DEVIATION_PCT * _deviation(room.humidity_key, at_ms)
    )
    used = (at_ms + room.battery_offset_ms) % BATTERY_LIFE_MS / BATTERY_LIFE_MS
    return {
        "temperature_c": round(room.mean_c + above_c, 2),
        "relative_humidity_pct": round(humidity_pct, 2),
        "supply_voltage_v": round(SUPPLY_FULL_V - (SUPPLY_FULL_V - SUPPLY_EMPTY_V) * used, 2),
    }


class EmulatedSource:
    """Rooms `first` to `last`, each sampled every `period_s`."""

    def __init__(
        self, clock: Clock, *, first: int, last: int, seed: int, period_s: float = 1.0
    ) -> None:
        _check_range(first, last)
        self._clock = clock
        self._rooms = [room(seed, number) for number in range(first, last + 1)]
        self.devices: Sequence[Device] = [
            Device(f"d-emulated-{number:05d}", DESCRIPTION) for number in range(first, last + 1)
        ]
        self._last_ms = [-1] * len(self._rooms)
        self._pace = Pace(clock, [device.twin for device in self.devices], period_s)

    async def samples(self, resume: Mapping[str, int]) -> AsyncIterator[list[Sample]]:
        """See `Source.samples`; it never ends."""
        self._start(resume)
        while True:
            due, asked = await self._pace.wait()
            now_s, wall_ms = self._clock.now()
            batch = [self._sample(i, max(wall_ms, self._last_ms[i] + 1)) for i in asked]
            for index in due:
                at_ms = self._grid_ms(index, wall_ms)
                batch.append(self._sample(index, at_ms))
                self._schedule(index, now_s, at_ms - wall_ms)
            yield batch

    def act(self, twin: str, path: str, value: Any) -> str:
        """See `Source.act`."""
        return self._pace.act(twin, path, value)

    def _start(self, resume: Mapping[str, int]) -> None:
        now_s, wall_ms = self._clock.now()
        for index, device in enumerate(self.devices):
            self._last_ms[index] = resume.get(device.twin, -1)
            period_ms, phase_ms = self._grid(index)
            self._pace.schedule(index, now_s + (phase_ms - wall_ms) % period_ms / 1000)

    def _schedule(self, index: int, now_s: float, ahead_ms: int) -> None:
        """Let the device be due one period after the sample just taken, which is `ahead_ms`
        of the wall clock: far ahead only where that clock was set back."""
        period_s = self._pace.periods_s[index]
        self._pace.schedule(index, now_s + min(period_s + ahead_ms / 1000, period_s))

    def _sample(self, index: int, at_ms: int) -> Sample:
        self._last_ms[index] = at_ms
        features = air(self._rooms[index], at_ms)
        features["sample_period_s"] = self._pace.periods_s[index]
        return Sample(self.devices[index].twin, at_ms, features)

    def _grid_ms(self, index: int, wall_ms: int) -> int:
        """The grid's time nearest to `wall_ms` that is not sampled yet."""
        period_ms, phase_ms = self._grid(index)
        nearest_ms = wall_ms + period_ms // 2
        earliest_ms = max(nearest_ms, self._last_ms[index] + period_ms)
        return earliest_ms - (earliest_ms - phase_ms) % period_ms

    def _grid(self, index: int) -> tuple[int, int]:
        period_ms = round(self._pace.periods_s[index] * 1000)
        phase = self._rooms[index].number * _GOLDEN_RATIO % 1.0
        return period_ms, int(phase * period_ms)


def _check_range(first: int, last: int) -> None:
    if first < 1 or not first <= last < first + DEVICES_PER_PROCESS_MAX:
        raise InvalidConfiguration(
            f"emulated devices {first} to {last}: give a range from 1 up, of at most"
            f" {DEVICES_PER_PROCESS_MAX} devices; more need a second process"
        )


def _deviation(key: int, at_ms: int) -> float:
    """A smooth curve in [-1, 1] through one random level per `DEVIATION_PERIOD_MS`."""
    step, within_ms = divmod(at_ms, DEVIATION_PERIOD_MS)
    x = within_ms / DEVIATION_PERIOD_MS
    level = _noise(key, step)
    return level + (_noise(key, step + 1) - level) * x * x * (3 - 2 * x)


def _noise(key: int, position: int) -> float:
    """A number in [-1, 1), fixed by its arguments, evenly spread over them."""
    return _mix(key + position) / 2**63 - 1.0


def _mix(x: int) -> int:
    """The output function of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): 64 bits in,
    64 well mixed bits out."""
    x = x * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
    x = (x ^ x >> 27) * 0x94D049BB133111EB & 0xFFFFFFFFFFFFFFFF
    return x ^ x >> 31
