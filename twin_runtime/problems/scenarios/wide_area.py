"""A wide area: 50 servers in a square of 3.5 km, each with sensors and a model to keep. [P5] S2."""

from dataclasses import dataclass, replace
from typing import Final

from twin_runtime.physics.arguments import Array, InvalidArgument
from twin_runtime.physics.convergency import exponent
from twin_runtime.physics.short_packets import (
    fading_margin,
    packet_rate_bps,
    short_packet_power_w,
    short_packet_sinr,
)
from twin_runtime.physics.units import db_to_linear, dbm_to_w

Span = tuple[float, float]  # a uniform draw: lowest, highest


@dataclass(frozen=True, slots=True)
class WideArea:
    """Servers, sensors, learning and radio of the paper.

    Values whose comment says `open` are ours: the paper leaves them out.
    """

    servers: int = 50
    side_m: float = 3500.0
    # printed is 280, where 40 % of the servers have no neighbour: `AS_PRINTED`
    neighbour_distance_m: float = 560.0
    usefulness: Span = (0.4, 0.8)  # open: of one server's model for another, both ways

    sensors: tuple[int, int] = (1, 40)  # of each kind at a server; that it is uniform is open
    cell_radius_m: float = 200.0  # open
    cell_hole_m: float = 10.0  # open: nearest to the access point

    noise_dbm_hz: float = -174.0
    bandwidth_hz: float = 10e6  # of one server; servers do not disturb one another
    loss_at_1m_db: float = 38.46
    loss_per_decade_db: float = 20.0
    # open: noise figure, shadowing, walls; without it sending takes microjoules and no
    # battery matters
    link_margin_db: float = 20.0

    mini_slot_s: float = 1e-4
    mini_slots_per_slot: int = 10
    slots_per_window: int = 1000
    packet_probability: float = 1e-3  # of a URLLC sensor in a mini-slot
    packet_error: float = 1e-5  # open
    packet_samples: int = 10
    packet_sample_bits: float = 100.0
    receive_branches: int = 4  # open
    set_samples: int = 100  # of an eMBB sensor
    set_sample_bits: float = 10_000.0
    outage: float = 1e-3  # open: share of slots in fades too deep to be inverted
    received_max_w: float = 1e-10  # open, and the next
    received_min_w: float = 1e-12
    sent_max_w: float = 0.2  # open: 23 dBm, mean power of an eMBB sensor

    embb_threshold_j: float = 1.0
    embb_capacity_j: float = 2.0  # open, and all of the batteries below
    embb_start_j: Span = (0.5, 2.0)
    embb_harvest_j: float = 0.005  # mean of a circle
    urllc_capacity: float = 5.0  # in multiples of the sensor's own threshold
    urllc_start: Span = (0.0, 5.0)
    urllc_harvest: float = 0.7
    cloud: Span = (0.2, 1.8)  # factor on the harvest of one server's sensors
    shade: Span = (0.8, 1.2)  # factor on that of one sensor

    samples: int = 100  # open: that a sensor of either kind adds in a circle
    cycles_per_sample: tuple[float, float, float] = (1000.0, 1000.0, 1000.0)  # URLLC's is open
    importance: tuple[float, float, float] = (1.0, 1.0, 2.0)  # open: eMBB, URLLC, integrated
    importance_scale: float = 8e10  # printed without a meaning: divides the importance
    size_power: float = 2.0  # open, above 1: more data make training cheaper
    convergency: float = 0.9
    capacitance: float = 1e-28
    frequency_max_hz: float = 4e11  # open: never reached
    deadline_s: float = 5.0
    circle_s: float = 10.0  # open

    drift: Span = (0.4, 0.8)  # open: share of a fraction that a circle takes
    drift_distance_m: float = 0.0  # its correlation falls as exp(-d / this); 0 for none
    drift_memory: float = 0.0  # its correlation from a circle to the next

    def __post_init__(self) -> None:
        for name, value in (
            ("servers", self.servers),
            ("side_m", self.side_m),
            ("neighbour_distance_m", self.neighbour_distance_m),
            ("received_min_w", self.received_min_w),
            ("deadline_s", self.deadline_s),
            ("capacitance", self.capacitance),
            ("importance_scale", self.importance_scale),
            ("size_power", self.size_power),
            ("frequency_max_hz", self.frequency_max_hz),
        ):
            if not 0 < value < float("inf"):
                raise InvalidArgument(f"{name} is {value}; it must be finite and > 0")
        self._check_spans()
        if not 0 <= self.drift_memory < 1:
            raise InvalidArgument(f"drift_memory is {self.drift_memory}; it must be in [0, 1)")
        if self.circle_s <= self.deadline_s:
            raise InvalidArgument(
                f"circle_s is {self.circle_s}; it must be above deadline_s, {self.deadline_s}"
            )

    def _check_spans(self) -> None:
        for name, (low, high), most in (
            ("usefulness", self.usefulness, 1.0),
            ("drift", self.drift, 1.0),
            ("embb_start_j", self.embb_start_j, self.embb_capacity_j),
            ("urllc_start", self.urllc_start, self.urllc_capacity),
            ("cloud", self.cloud, float("inf")),
            ("shade", self.shade, float("inf")),
            ("sensors", self.sensors, float("inf")),
        ):
            if not 0 <= low <= high <= most:
                raise InvalidArgument(
                    f"{name} is ({low}, {high}); it must rise, from 0 to at most {most:g}"
                )

    @property
    def slot_s(self) -> float:
        return self.mini_slots_per_slot * self.mini_slot_s

    @property
    def window_s(self) -> float:
        """The time in which URLLC packets are collected."""
        return self.slots_per_window * self.slot_s

    @property
    def noise_w_hz(self) -> float:
        """Density of the noise, with the link margin."""
        return float(dbm_to_w(self.noise_dbm_hz) * db_to_linear(self.link_margin_db))

    @property
    def exponent(self) -> float:
        """What a fraction of 1 means: -ln(1 - convergency)."""
        return float(exponent(convergency=self.convergency))

    @property
    def set_bits(self) -> float:
        """What an eMBB sensor sends in a circle."""
        return self.set_samples * self.set_sample_bits


def packet_power_w(scenario: WideArea, gain: Array) -> Array:
    """What a URLLC sensor of path gain `gain` sends with."""
    rate = packet_rate_bps(
        samples=scenario.packet_samples,
        bits_per_sample=scenario.packet_sample_bits,
        slot_s=scenario.mini_slot_s,
    )
    needed = short_packet_sinr(
        rate_bps=rate,
        bandwidth_hz=scenario.bandwidth_hz,
        slot_s=scenario.mini_slot_s,
        error_probability=scenario.packet_error,
    )
    margin = fading_margin(
        outage_probability=scenario.packet_error, branches=scenario.receive_branches
    )
    noise = scenario.noise_w_hz * scenario.bandwidth_hz
    return short_packet_power_w(noise_w=noise, sinr=needed, margin=margin, gain=gain)


# The distance as printed; cooperation cannot save more than half there.
AS_PRINTED: Final = WideArea(neighbour_distance_m=280.0)
# Batteries full at the start: every sensor is available, as in the paper's comparisons.
FULL: Final = WideArea(embb_start_j=(2.0, 2.0), urllc_start=(5.0, 5.0))
# Weather that lasts and spreads, for runs of many circles.
LONG_RUN: Final = replace(WideArea(), drift_distance_m=1000.0, drift_memory=0.8)
