"""Mobile users, a few edges in a square, one cloud that decides who is hosted where. [P3] S2."""

from dataclasses import dataclass, field
from typing import Literal

from twin_runtime.physics.arguments import InvalidArgument, non_negative, positive, within
from twin_runtime.physics.channel import shannon_rate_bps
from twin_runtime.physics.mobility import Waypoints
from twin_runtime.physics.relocation import Valuation
from twin_runtime.physics.units import dbm_to_w
from twin_runtime.physics.utility import FITTED, LABEL_DISTANCE_MAX, AccuracyFit

Payload = Literal["paper", "causal"]


@dataclass(frozen=True, slots=True)
class MobileUsers:
    """The paper's table II and what it leaves open; energies in one arbitrary unit.

    A range `(low, high)` is drawn from uniformly, once per edge or twin; the samples, per slot.
    """

    users: int = 20
    edges: int = 9  # the paper goes up to 21
    side_m: float = 120.0

    # Open in the paper: whole numbers, independent per user and slot.
    samples: tuple[int, int] = (200, 1000)
    bits_per_sample: float = 784.0  # 28 x 28 at 1 bit; for 8 bit scale the budgets as well
    twin_bits: tuple[float, float] = (4400.0, 4600.0)
    label_distance: tuple[float, float] = (0.0, 0.0)  # the paper: 0, 0.2, 0.4 or 0.6 for all
    fit: AccuracyFit = FITTED

    compute_budget: tuple[float, float] = (1400.0, 1500.0)  # energy per slot
    synchronisation_budget: tuple[float, float] = (120.0, 130.0)  # the table; the text says 150
    cycles_per_bit: tuple[float, float] = (54.0, 56.0)
    training_epochs: float = 50.0
    tuning_epochs: float = 10.0
    energy_per_bit_m: float = 1e-4
    energy_per_s_m: float = 1e-1
    energy_per_cycle: float = 1e-7

    power_w: float = 0.2
    bandwidth_hz: float = 15e3
    gain: float = 1.0
    # Total, as printed. Read as a density it is 15e3 times this, and the rate 21 % lower.
    noise_w: float = float(dbm_to_w(-174.0))

    utility_weight: float = 0.3
    energy_weight: float = 0.7
    saturation_energy: float = 200.0

    # Open in the paper: random waypoints.
    slot_s: float = 10.0
    speed_mps: tuple[float, float] = (0.5, 2.0)
    pause_slots_max: int = 2

    # What moves with a twin besides itself: as printed all its data of this slot, which are not
    # there yet when it moves; `causal` is what can be there, the reused part of the last slot's.
    payload: Payload = "causal"

    overload_weight: float = 1.0  # of a relative overload, in the cost

    rate_bps: float = field(init=False)

    def __post_init__(self) -> None:
        _check(self)
        signal = self.power_w * self.gain / self.noise_w
        rate = float(shannon_rate_bps(bandwidth_hz=self.bandwidth_hz, sinr=signal))
        object.__setattr__(self, "rate_bps", rate)

    @classmethod
    def table_ii(cls, *, edges: int = 9, label_distance: float = 0.0) -> "MobileUsers":
        """T2: the paper's constants and its payload. One move saturates the edge it goes to."""
        phi = (label_distance, label_distance)
        return cls(edges=edges, label_distance=phi, payload="paper")

    @classmethod
    def balanced(cls, *, edges: int = 9, label_distance: float = 0.0) -> "MobileUsers":
        """BAL: moving and synchronising cost about the same, so that both matter."""
        phi = (label_distance, label_distance)
        return cls(edges=edges, label_distance=phi, energy_per_bit_m=1e-6, payload="causal")

    @property
    def epochs(self) -> float:
        return self.training_epochs + self.tuning_epochs

    @property
    def valuation(self) -> Valuation:
        """What one twin's utility and one edge's energy are worth in the gain."""
        return Valuation(
            self.utility_weight / self.users,
            self.energy_weight / self.edges,
            self.saturation_energy,
            self.fit,
        )

    @property
    def walk(self) -> Waypoints:
        return Waypoints(self.side_m, *self.speed_mps, self.pause_slots_max, self.slot_s)


_POSITIVE = (
    *("users", "edges", "side_m", "bits_per_sample", "saturation_energy", "slot_s"),
    *("utility_weight", "energy_weight", "power_w", "bandwidth_hz", "gain", "noise_w"),
)
_NON_NEGATIVE = (
    *("training_epochs", "tuning_epochs", "energy_per_bit_m", "energy_per_s_m"),
    *("energy_per_cycle", "overload_weight", "pause_slots_max"),
)
_RANGES = (
    *("samples", "twin_bits", "label_distance", "compute_budget", "synchronisation_budget"),
    *("cycles_per_bit", "speed_mps"),
)


def _check(scenario: MobileUsers) -> None:
    for name in _POSITIVE:
        positive(name, getattr(scenario, name))
    for name in _NON_NEGATIVE:
        non_negative(name, getattr(scenario, name))
    for name in _RANGES:
        low, high = non_negative(name, getattr(scenario, name))
        if low > high:
            raise InvalidArgument(f"{name} is ({low:g}, {high:g}); it must be (low, high)")
    within("label_distance", scenario.label_distance, 0.0, LABEL_DISTANCE_MAX)
    for name in ("compute_budget", "synchronisation_budget", "speed_mps"):
        positive(name, getattr(scenario, name))
    if scenario.payload not in ("paper", "causal"):
        raise InvalidArgument(f"payload is {scenario.payload!r}; it must be 'paper' or 'causal'")
