"""Industrial IoT: a hundred users around one base station train a model together [P2].

What the paper leaves open is ours to choose, and says so; `dataclasses.replace` changes it.
"""

from dataclasses import dataclass, fields
from enum import StrEnum

from twin_runtime.physics.arguments import InvalidArgument, finite, non_negative, positive, within
from twin_runtime.solvers.certificate import Infeasible


class Gate(StrEnum):
    """Who uploads: the largest update weights, by the paper's speed or by ours, or anybody."""

    PAPER = "paper"
    SPEED = "speed"
    RANDOM = "random"


class Fading(StrEnum):
    """Whether a user's sub-channels fade each on its own, or as one."""

    SELECTIVE = "selective"
    FLAT = "flat"


@dataclass(frozen=True, slots=True, kw_only=True)
class IndustrialIot:
    """All numbers of [P2]; `# ours` where the paper gives none."""

    users: int = 100
    participants: int = 30  # the paper's experiments have 30, 50, 70 and 90
    subchannels: int = 100  # ours

    bandwidth_hz: float = 20e6  # ours: 200 kHz for each sub-channel
    subchannel_power_w: float = 0.01  # ours: 20 sub-channels at most
    power_max_w: float = 0.2
    transmit_coefficient: float = 1.0  # ours: energy drawn over energy sent
    distance_min_m: float = 50.0  # ours: uniform by area in a ring
    radius_m: float = 500.0
    path_loss_km_db: float = 128.1  # at 1 km
    path_loss_slope_db: float = 37.6  # per decade
    noise_dbm_per_hz: float = -174.0
    noise_figure_db: float = 7.0
    snr_states: int = 8  # ours, as all of the Markov chain
    stay: float = 0.7
    snr_max: float = 1e3  # linear
    fading: Fading = Fading.SELECTIVE

    model_bits: float = 698_880.0  # 21,840 weights of 4 bytes
    samples_mean: float = 600.0  # of a user; rescaled to this mean after clipping
    samples_deviation: float = 200.0
    samples_min: float = 100.0
    samples_max: float = 1100.0
    epochs: float = 1.0
    cycles_mean: float = 1e6  # per sample and epoch; ours, as the following
    cycles_deviation: float = 2e5
    cycles_min: float = 5e5
    cycles_max: float = 1.5e6
    frequency_min_hz: float = 2e8
    frequency_mean_hz: float = 1.2e9  # of a user's fastest clock
    frequency_deviation_hz: float = 3e8
    frequency_low_hz: float = 5e8  # the least and the most that a fastest clock is
    frequency_high_hz: float = 2e9
    capacitance: float = 1e-27  # J s^2 / cycle^3

    time_price_w: float = 0.3  # ours: J that a second is worth, for each participant
    energy_max_j: float = 2.0  # ours: of one user in one round
    mean_time_max_s: float = 3.0  # ours: else the slowest participant is left out
    participants_min: int = 5  # ours: but never so that fewer remain

    gate: Gate = Gate.PAPER
    gap_rounds_max: int = 15  # ours: who was silent so long uploads
    # ours: how far training moves a model where none is trained: the median of all users, how
    # it changes with a user's samples, and its spread. As a gradient step over all samples of
    # a user does late in training; an epoch of mini-batches has an exponent of 0.4 to 0.7.
    change_median: float = 0.04
    change_exponent: float = -0.45
    change_spread: float = 0.1

    def __post_init__(self) -> None:
        """Name what is malformed, and say what cannot be given."""
        for field in fields(self):
            _check(field.name, getattr(self, field.name))
        for low, high in ORDERED:
            if getattr(self, low) > getattr(self, high):
                raise InvalidArgument(
                    f"{low} is {getattr(self, low):g}, above {high}, {getattr(self, high):g}"
                )
        if self.participants > self.users:
            raise InvalidArgument(
                f"participants is {self.participants}; there are {self.users} users"
            )
        if self.participants > self.subchannels:
            raise Infeasible(
                f"{self.participants} participants need a sub-channel each; "
                f"there are {self.subchannels}"
            )


ORDERED = (
    ("distance_min_m", "radius_m"),
    ("subchannel_power_w", "power_max_w"),
    ("samples_min", "samples_max"),
    ("cycles_min", "cycles_max"),
    ("frequency_min_hz", "frequency_low_hz"),
    ("frequency_low_hz", "frequency_high_hz"),
)
ANY_SIGN = {"path_loss_km_db", "noise_dbm_per_hz", "noise_figure_db", "change_exponent"}
MAY_BE_ZERO = {
    *("samples_deviation", "cycles_deviation", "frequency_deviation_hz", "path_loss_slope_db"),
    *("transmit_coefficient", "distance_min_m", "change_spread"),
}


def _check(name: str, value: float | Gate | Fading) -> None:
    if isinstance(value, Gate | Fading):
        return
    if name == "stay":
        within(name, value, 0.0, 1.0)
    elif name in ANY_SIGN:
        finite(name, value)
    elif name in MAY_BE_ZERO:
        non_negative(name, value)
    else:
        positive(name, value)
