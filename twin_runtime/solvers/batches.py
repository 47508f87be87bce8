"""How large batches are: small ones are fast and noisy, and noise costs rounds.

Where twins are is fixed here. Within a station one fraction for all twins is optimal, and a
station that is faster for its samples takes larger batches for the same time A of an
iteration: fraction = min(A f / (cycles D), most). What remains is one number, A. Learning
takes (A + C)(1 + chi nu(A)) per exact round, C the seconds of a round that do not train; it
is (A + C)(u + v / A) while the same stations are at their largest batch, so each of these
pieces has its minimum in closed form, and the least of M pieces is the answer.
"""

from dataclasses import dataclass

import numpy as np

from twin_runtime.physics.arguments import (
    Array,
    Booleans,
    InvalidArgument,
    Real,
    broadcast,
    non_negative,
    positive,
)
from twin_runtime.solvers.certificate import Certificate

ROOT_STEPS_MAX = 60  # Newton's; 6 are usual
FRACTION_LEAST = 1e-9


@dataclass(frozen=True, slots=True)
class Learning:
    """What batches are weighed by.

    cycles_per_sample: > 0, of all local iterations of a round together.
    noise_scale: chi >= 0, the gradient's over all samples.
    fraction_range: the least and the largest batch fraction, above 0, at most 1.
    """

    cycles_per_sample: float
    noise_scale: float
    fraction_range: tuple[float, float] = (FRACTION_LEAST, 1.0)

    def __post_init__(self) -> None:
        positive("cycles_per_sample", self.cycles_per_sample)
        non_negative("noise_scale", self.noise_scale)
        least, most = self.fraction_range
        if not FRACTION_LEAST <= least <= most <= 1:
            found = f"fraction_range is {self.fraction_range}"
            raise InvalidArgument(f"{found}; it must ascend within [{FRACTION_LEAST:g}, 1]")


@dataclass(frozen=True, slots=True)
class Batches:
    """Fractions `[..., M]`, an iteration's time and the time per exact round, both `[...]`.

    The certificate is of all worlds' sum; closed forms need no bound but themselves.
    """

    fraction: Array
    training_s: Array
    value_s: Array

    @property
    def certificate(self) -> Certificate:
        total = float(self.value_s.sum())
        return Certificate(total, total)


@dataclass(frozen=True, slots=True)
class LocalAccuracy:
    """What a round should leave of a local error, and its time per unit of progress; `[...]`."""

    local_accuracy: Array
    value_s: Array

    @property
    def certificate(self) -> Certificate:
        total = float(self.value_s.sum())
        return Certificate(total, total)


def batch_fractions(
    *, samples: Real, frequency_hz: Real, constant_s: Real, learning: Learning
) -> Batches:
    """The fractions that minimise (A + C)(1 + chi nu). [P4] S10.

    Args:
        samples: of each station's twins together, >= 0 `[..., M]`, some above 0.
        frequency_hz: > 0 `[..., M]`.
        constant_s: C >= 0 `[...]`, the seconds of a round besides training.
        learning: what batches are weighed by.

    Returns:
        Fractions of empty stations are the largest.
    """
    held, speed = non_negative("samples", samples), positive("frequency_hz", frequency_hz)
    shape = broadcast(samples=held, frequency_hz=speed)
    if not shape or not held.sum(axis=-1).all():
        raise InvalidArgument("samples has none in some world; there must be samples to learn from")
    whole_s = learning.cycles_per_sample * held / speed
    part = held / held.sum(axis=-1, keepdims=True)
    pieces = _Pieces.of(whole_s, part, learning)
    training, value = pieces.minimum(non_negative("constant_s", constant_s))
    least, most = learning.fraction_range
    filled = whole_s > 0
    fraction = np.where(filled, training[..., None] / np.where(filled, whole_s, 1.0), most)
    return Batches(np.clip(fraction, least, most), training, value)


def local_accuracy(*, iteration_s: Real, constant_s: Real) -> LocalAccuracy:
    """The theta that minimises (A log2(1/theta) + C) / (1 - theta). [P4] S12.

    The root of 1/theta - 1 + ln theta = C ln 2 / A; with theta = exp(-u) a convex equation.

    Args:
        iteration_s: A > 0, of one local iteration, any shape.
        constant_s: C > 0, the seconds of a round besides training.
    """
    each, rest = positive("iteration_s", iteration_s), positive("constant_s", constant_s)
    broadcast(iteration_s=each, constant_s=rest)
    right = rest * np.log(2.0) / each
    halvings = np.log1p(right + np.sqrt(2.0 * right))  # not below the root
    for _ in range(ROOT_STEPS_MAX):
        grown = np.expm1(halvings)
        step = (grown - halvings - right) / grown
        halvings = halvings - np.maximum(step, 0.0)
        if (step <= np.finfo(float).eps * halvings).all():
            break
    left = np.exp(-halvings)
    return LocalAccuracy(left, (each * halvings / np.log(2.0) + rest) / -np.expm1(-halvings))


@dataclass(frozen=True, slots=True)
class _Pieces:
    """Intervals of A, `[..., M]`, in each of which the noise factor is `level + slope / A`.

    One is not there if it lies below the A of the smallest batches of the slowest station.
    """

    low: Array
    high: Array
    there: Booleans
    level: Array
    slope: Array

    @classmethod
    def of(cls, whole_s: Array, part: Array, learning: Learning) -> "_Pieces":
        least, most = learning.fraction_range
        order = np.argsort(whole_s, axis=-1)  # the first reach their largest batch first
        whole = np.take_along_axis(whole_s, order, axis=-1)
        part = np.take_along_axis(np.broadcast_to(part, whole.shape), order, axis=-1)
        low = least * whole[..., -1:]
        there = most * whole >= low
        ends = np.maximum(most * whole, low)
        starts = np.concatenate([low, ends[..., :-1]], axis=-1)
        full = part.cumsum(axis=-1) - part  # share of those at their largest batch
        growing = (part * whole)[..., ::-1].cumsum(axis=-1)[..., ::-1]
        level = 1.0 + learning.noise_scale * (full / most - 1.0)
        return cls(starts, ends, there, level, learning.noise_scale * growing)

    def minimum(self, constant: Array) -> tuple[Array, Array]:
        """A `[...]` and the value there, with C `[...]`."""
        rest = constant[..., None]
        bowl: Booleans = self.level > 0
        ratio = rest * self.slope / np.where(bowl, self.level, 1.0)
        at = np.clip(np.where(bowl, np.sqrt(ratio), np.inf), self.low, self.high)
        value = np.where(self.there, (at + rest) * (self.level + self.slope / at), np.inf)
        chosen = value.argmin(axis=-1)[..., None]
        at, value = np.broadcast_arrays(at, value)
        return (
            np.take_along_axis(at, chosen, axis=-1)[..., 0],
            np.take_along_axis(value, chosen, axis=-1)[..., 0],
        )
