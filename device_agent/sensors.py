"""Sensors of the machine the agent runs on: named functions that read one value.

`None` says that a sensor did not answer. Functions read through a `Look`, which keeps what
the machine was asked for once, so that the sensors and devices of a batch share it.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import psutil

from twin_runtime.core.effects import Now
from twin_runtime.core.messages import FeatureSpec

SLOW_PERIOD_S = 10.0  # a temperature may cost 20 ms to read: so it stays below 0.2 % of a core

Value = float | bool | None


class Look:
    """One look at the machine: what it reads for one sensor it keeps for the others."""

    def __init__(self, now: Now) -> None:
        self.now = now

    @cached_property
    def cores(self) -> list["CpuTime"]:
        return [_cpu_time(times) for times in psutil.cpu_times(percpu=True)]

    @cached_property
    def frequencies_hz(self) -> list[float]:
        return [core.current * 1e6 for core in psutil.cpu_freq(percpu=True) or [] if core.current]

    @cached_property
    def memory(self) -> Any:
        return psutil.virtual_memory()

    @cached_property
    def disk(self) -> Any:
        return psutil.disk_usage(os.sep)

    @cached_property
    def battery(self) -> Any:
        return psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None

    @cached_property
    def networks(self) -> list[Any]:
        counters = psutil.net_io_counters(pernic=True)
        return [counter for name, counter in counters.items() if name not in ("lo", "lo0")]


@dataclass(frozen=True, slots=True)
class Sensor:
    """A feature and the function that reads it; `slow`: only every `SLOW_PERIOD_S`."""

    name: str
    spec: FeatureSpec
    read: Callable[[Look], Value]
    slow: bool = False

    def value(self, look: Look) -> Value:
        """Read it; None when it does not answer."""
        try:
            value = self.read(look)
        except (OSError, NotImplementedError, psutil.Error):
            return None
        return round(value, 4) if type(value) is float else value


class Slope:
    """How fast one total grows against another, since the last time it was read. Between
    two ticks of the second total it stays what it was."""

    def __init__(self, totals: Callable[[Look], tuple[float, float] | None]) -> None:
        self._totals = totals
        self._before: tuple[float, float] | None = None
        self._slope = 0.0

    def __call__(self, look: Look) -> float | None:
        before, totals = self._before, self._totals(look)
        if totals is None or before is None:
            self._before, self._slope = totals, 0.0
            return None if totals is None else 0.0
        if (ran := totals[1] - before[1]) > 0:
            self._slope = max(totals[0] - before[0], 0.0) / ran
            self._before = totals
        return self._slope


class CpuTime(NamedTuple):
    """Seconds since the start: busy ones and all of them."""

    busy_s: float
    total_s: float


def _cpu_time(times: Any) -> CpuTime:
    # Linux counts a guest's time within user and nice: it is not there twice.
    total_s = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    return CpuTime(total_s - times.idle - getattr(times, "iowait", 0.0), total_s)


def against_time(
    total: Callable[[Look], float | None],
) -> Callable[[Look], tuple[float, float] | None]:
    """`total`, for a `Slope` over time."""

    def totals(look: Look) -> tuple[float, float] | None:
        value = total(look)
        return None if value is None else (value, look.now.monotonic_s)

    return totals


def number_spec(unit: str, title: str, *, live: bool = False) -> FeatureSpec:
    return FeatureSpec(type="number", unit=unit, title=title, live=live)


LOAD = number_spec("1", "Share of the CPU time that was used")
FREQUENCY = number_spec("Hz", "Clock frequency")
BYTES = FeatureSpec(type="integer", unit="By")
RATE = number_spec("By/s", "Since the last sample", live=True)
