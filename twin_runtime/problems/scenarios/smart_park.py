"""A low-carbon smart park: a thousand devices around one base station [P1].

What the paper leaves open is ours to choose, and says so; `dataclasses.replace` changes it.
"""

from dataclasses import dataclass, fields
from enum import StrEnum

import numpy as np

from twin_runtime.physics.arguments import Array, InvalidArgument, finite, non_negative, positive
from twin_runtime.physics.queues import Drift
from twin_runtime.solvers.certificate import Infeasible

HEAD_TO_HEAD_WEIGHT = 60.0  # delay weight at which delays are compared: the paper's 3 saves energy


class Credit(StrEnum):
    """What a promised slot is kept by: training in it, or an upload that arrives. [P1] (14)."""

    SCHEDULED = "x"
    DELIVERED = "x a"


@dataclass(frozen=True, slots=True, kw_only=True)
class SmartPark:
    """All numbers of [P1]; `# ours` where the paper gives none."""

    devices: int = 1000
    slots: int = 500  # the horizon of an energy budget
    scheduled: int = 100  # ours: sub-channels, one device each

    samples_min: int = 100  # of a device, uniform
    samples_max: int = 400
    cycles_per_sample: float = 1e6
    capacitance: float = 1e-27  # W s^3/cycle^3
    frequency_max_hz: float = 1.5e9
    frequency_min_hz: float = 1e8  # ours: the paper's 0 divides by zero
    load_max: float = 0.0  # ours: 0.3 takes up to that share of the clock, as live devices do

    model_bits: float = 5e3
    bandwidth_hz: float = 1e5
    power_dbm: float = 23.0  # ours: an LTE-M device of class 3
    noise_dbm: float = -114.0  # a power, not a density
    waterfall_db: float = 0.023

    broadcast_s: float = 0.010
    aggregation_cycles_per_bit: float = 1e4
    server_frequency_hz: float = 5e10  # ours: 16 cores; a tenth of it would hide all else

    energy_budget_min_j: float = 25.0  # over the horizon, uniform
    energy_budget_max_j: float = 125.0
    battery_j: float = 3.6e4  # ours: 10 Wh
    battery_start_min: float = 0.5  # ours: charge at the start, uniform up to 1
    # Promised rates are the paper's; how many devices have each is ours: with equal classes
    # more would be promised than there are sub-channels.
    rates: tuple[float, ...] = (0.5, 0.3, 0.1, 0.05)
    rate_shares: tuple[float, ...] = (0.05, 0.05, 0.2, 0.7)

    delay_weight: float = 3.0  # V, per second
    drift: Drift = Drift.EXACT
    credit: Credit = Credit.SCHEDULED

    # ours: all of the channel
    radius_m: float = 500.0
    distance_min_m: float = 10.0
    path_loss_km_db: float = 128.1  # at 1 km
    path_loss_slope_db: float = 37.6  # per decade
    shadowing_db: float = 6.0
    rician_db: float = 6.0
    interference_dbm: float = -110.0
    interference_db: float = 3.0  # deviation
    correlation: float = 0.9  # of fading, interference and load, from slot to slot

    def __post_init__(self) -> None:
        """Name what is malformed, and say when more is promised than can be given."""
        for field in fields(self):
            _check(field.name, getattr(self, field.name))
        if self.scheduled > self.devices:
            raise InvalidArgument(
                f"scheduled is {self.scheduled}; there are {self.devices} devices"
            )
        _in_order("samples", self.samples_min, self.samples_max)
        _in_order("frequency", self.frequency_min_hz, self.frequency_max_hz * (1 - self.load_max))
        _in_order("energy_budget", self.energy_budget_min_j, self.energy_budget_max_j)
        _in_order("distance", self.distance_min_m, self.radius_m)
        for name in ("load_max", "battery_start_min", "correlation"):
            _in_order(name, getattr(self, name), 1.0)
        promised = float(self.device_rates().sum())
        if promised > self.scheduled:
            raise Infeasible(
                f"rates sum to {promised:g} devices a slot; {self.scheduled} can be scheduled"
            )

    def device_rates(self) -> Array:
        """The promised rate of each device, class by class; the last class takes the rest."""
        if len(self.rates) != len(self.rate_shares):
            raise InvalidArgument(f"rates {self.rates} and rate_shares {self.rate_shares} differ")
        ends = np.round(np.cumsum(self.rate_shares) * self.devices).astype(np.int64)
        ends[-1] = self.devices
        return np.repeat(np.array(self.rates), np.diff(ends, prepend=0))


MAY_BE_ZERO = {
    *("load_max", "broadcast_s", "aggregation_cycles_per_bit", "rates", "rate_shares"),
    *("shadowing_db", "interference_db", "correlation", "path_loss_slope_db", "battery_start_min"),
}


def _check(name: str, value: object) -> None:
    """Decibels over a reference may be negative, spreads and shares 0, all else is positive."""
    if isinstance(value, Drift | Credit):
        return
    numbers = np.asarray(value, dtype=np.float64)
    if name in MAY_BE_ZERO:
        non_negative(name, numbers)
    elif name.endswith(("_dbm", "_db")):
        finite(name, numbers)
    else:
        positive(name, numbers)


def _in_order(name: str, low: float, high: float) -> None:
    if low > high:
        raise InvalidArgument(f"{name}: the least is {low:g}, above the most, {high:g}")
