"""Five base stations around a cloud, which train the twins of a hundred devices together [P4].

What the paper leaves open is ours to choose, and says so; `dataclasses.replace` changes it.
"""

from dataclasses import dataclass, fields
from typing import Literal

import numpy as np

from twin_runtime.physics.arguments import Array, InvalidArgument, finite, non_negative, positive
from twin_runtime.physics.consensus import broadcast_depth
from twin_runtime.physics.convergence import global_rounds, local_iterations
from twin_runtime.physics.geometry import distance_m
from twin_runtime.physics.network_size import image_classifier
from twin_runtime.physics.units import dbm_to_w
from twin_runtime.solvers.batches import Learning
from twin_runtime.solvers.certificate import Infeasible

MODEL_BITS = float(image_classifier(padding="same").size_bits)  # `valid` has 28 113 216


@dataclass(frozen=True, slots=True, kw_only=True)
class FiveStations:
    """All numbers of [P4]; `# ours` where the paper gives none."""

    twins: int = 100
    frequency_max_hz: tuple[float, ...] = (2.6e9, 1.8e9, 3.6e9, 2.4e9, 2.4e9)
    load_max: float = 0.4  # ours: up to that share of a clock is taken, uniformly
    twins_max: int | None = None  # ours: of a station; no limit
    samples_min: int = 500  # of a twin, uniform; 200 to 800 makes twins differ (ours)
    samples_max: int = 500

    model_bits: float = MODEL_BITS
    cycles_per_sample: float = 1e7  # ours: 17.7 M multiplications forward, thrice for training
    inference_cycles_per_sample: float = 1e7 / 3  # ours; 0.43 of the former was measured
    cycles_per_parameter: float = 2.0  # ours
    fraction: float = 0.1  # ours: of a twin's samples, where batches are not decided
    fraction_min: float = 0.02  # ours
    fraction_max: float = 1.0

    # ours: a square kilometre with the cloud's antenna in the middle
    cloud_m: tuple[float, float] = (500.0, 500.0)
    stations_m: tuple[tuple[float, float], ...] = (
        *((500.0, 800.0), (850.0, 600.0), (700.0, 200.0)),
        *((200.0, 250.0), (150.0, 700.0)),
    )
    channels: int = 5  # ours
    bandwidth_hz: float = 30e6  # of a sub-channel, up and down
    station_power_dbm: float = 34.0  # in total; ours: split equally over sub-channels
    cloud_power_dbm: float = 42.0
    noise_density_dbm: float = -174.0  # per Hz
    interference_w: float = 0.0  # from other cells
    path_loss_m_db: float = 40.0  # ours: at 1 m
    path_loss_slope_db: float = 30.0  # ours: per decade
    fades: bool = True  # ours: power of an exponential law, anew each round
    broadcast_factor: float = 1.0  # measured over ideal broadcasts
    upload: Literal["one_model", "per_twin"] = "one_model"  # the latter is what the paper prints

    delegates: int = 4  # ours: the first stations, until an election says otherwise
    block_bits: float = 524_288.0  # ours: 64 KiB
    validation_cycles_per_bit: float = 60.0  # ours
    verification_samples: float = 200.0  # ours
    sequencing_s: float = 0.0  # ours: 2 s where a ledger orders the four phases of a round
    bundle_bits: float = 0.0  # ours: of a twin that moves, when live twins do
    backhaul_bps: float = 1e9  # ours

    # ours, all four: what a twin's device sends its station in a round, 0 where that is not
    # waited for; the band of a station for its devices, a device's power, and where devices are
    sync_bits: float = 0.0
    access_bandwidth_hz: float = 20e6
    access_power_dbm: float = 23.0
    area_side_m: float = 1000.0

    local_accuracy: float = 0.5  # ours
    global_target: float = 0.01  # ours
    rounds_constant: float = 10.0  # ours: fitted to rounds that were needed
    noise_scale: float = 0.02  # ours: of the gradient, over all samples

    def __post_init__(self) -> None:
        """Name what is malformed, and say when twins have no place."""
        for field in fields(self):
            _check(field.name, getattr(self, field.name))
        if len(self.frequency_max_hz) != len(self.stations_m):
            found = f"{len(self.frequency_max_hz)} of frequency_max_hz"
            raise InvalidArgument(f"there are {found}, {len(self.stations_m)} of stations_m")
        _in_order("samples", self.samples_min, self.samples_max)
        _in_order("fraction", self.fraction_min, self.fraction, self.fraction_max, 1.0)
        _in_order("delegates", 1, self.delegates, self.stations)
        for name in ("load_max", "local_accuracy", "global_target"):
            _in_order(name, getattr(self, name), 1.0)
        room = self.stations * (self.twins if self.twins_max is None else self.twins_max)
        if room < self.twins:
            raise Infeasible(f"stations host {room} twins together; there are {self.twins}")

    @property
    def stations(self) -> int:
        return len(self.frequency_max_hz)

    @property
    def distances_m(self) -> Array:
        """From the cloud to each station `[M]`."""
        return distance_m(source_m=self.stations_m, target_m=self.cloud_m)

    @property
    def noise_w(self) -> float:
        """Of a sub-channel."""
        return float(dbm_to_w(self.noise_density_dbm)) * self.bandwidth_hz

    @property
    def upload_bits(self) -> float:
        """What one model costs the uplink, with the broadcast that it is a part of."""
        depth = float(broadcast_depth(nodes=self.stations))
        return self.broadcast_factor * depth * self.model_bits

    @property
    def verification_cycles(self) -> float:
        """Of scoring one model."""
        return self.verification_samples * self.inference_cycles_per_sample

    @property
    def aggregation_cycles(self) -> float:
        """Of adding one model to others."""
        return self.model_bits / 32.0 * self.cycles_per_parameter

    @property
    def iterations(self) -> float:
        """Local iterations of a round."""
        return float(local_iterations(local_accuracy=self.local_accuracy))

    @property
    def exact_rounds(self) -> float:
        """Rounds to the target with exact gradients."""
        return float(
            global_rounds(
                local_accuracy=self.local_accuracy,
                global_target=self.global_target,
                constant=self.rounds_constant,
            )
        )

    @property
    def learning(self) -> Learning:
        """What batches are weighed by."""
        borders = self.fraction_min, self.fraction_max
        return Learning(self.iterations * self.cycles_per_sample, self.noise_scale, borders)


MAY_BE_ZERO = {
    *("load_max", "cycles_per_parameter", "interference_w", "path_loss_slope_db"),
    *("verification_samples", "block_bits", "validation_cycles_per_bit"),
    *("sequencing_s", "bundle_bits", "noise_scale", "sync_bits"),
}
NO_NUMBERS = {"fades", "upload", "twins_max"}
MAY_BE_NEGATIVE = {"cloud_m", "stations_m"}


def _check(name: str, value: object) -> None:
    """Decibels and places may be negative, some numbers 0, all others are positive."""
    if name == "upload" and value not in {"one_model", "per_twin"}:
        raise InvalidArgument(f"upload is {value!r}; it must be 'one_model' or 'per_twin'")
    if name in NO_NUMBERS:
        return
    numbers = np.asarray(value, dtype=np.float64)
    if name in MAY_BE_ZERO:
        non_negative(name, numbers)
    elif name in MAY_BE_NEGATIVE or name.endswith(("_dbm", "_db")):
        finite(name, numbers)
    else:
        positive(name, numbers)


def _in_order(name: str, *rising: float) -> None:
    if list(rising) != sorted(rising):
        raise InvalidArgument(
            f"{name}: {', '.join(f'{number:g}' for number in rising)} must ascend"
        )
