"""What changes from slot to slot: AR(1) processes, and the Rician gain of a fading link.

An AR(1) process is stationary when it starts from its own distribution: its mean and
deviation then hold in every slot, and `correlation` is that of a slot with the next.
"""

import numpy as np

from twin_runtime.physics.arguments import (
    Array,
    InvalidArgument,
    Real,
    broadcast,
    finite,
    non_negative,
    within,
)
from twin_runtime.physics.units import db_to_linear

# Each of the two parts of a complex Gaussian of unit power, CN(0, 1).
DIFFUSE_DEVIATION = 0.5**0.5


def ar1_start(
    generator: np.random.Generator, shape: tuple[int, ...], *, mean: Real, deviation: Real
) -> Array:
    """First values `shape` of an AR(1) process, in any unit (dB for shadowing, say)."""
    centre, spread = finite("mean", mean), non_negative("deviation", deviation)
    return centre + spread * generator.standard_normal(shape)


def ar1_step(
    generator: np.random.Generator,
    previous: Real,
    *,
    mean: Real,
    deviation: Real,
    correlation: Real,
) -> Array:
    """The values one slot later: mean + correlation (previous - mean) + noise.

    Args:
        generator: gives one draw per value.
        previous: any shape, which the result has.
        mean: long-run mean, in the unit of the values.
        deviation: >= 0, long-run standard deviation.
        correlation: in [0, 1], of a slot with the next.
    """
    before, centre = finite("previous", previous), finite("mean", mean)
    spread, memory = non_negative("deviation", deviation), within("correlation", correlation, 0, 1)
    broadcast(previous=before, mean=centre, deviation=spread, correlation=memory)
    noise = spread * np.sqrt(1.0 - memory**2) * generator.standard_normal(before.shape)
    return centre + memory * (before - centre) + noise


def rician_gain(*, diffuse: Real, k_factor_db: Real) -> Array:
    """Power gain of a link with a line of sight, of mean 1.

    Args:
        diffuse: `[..., 2]`, in-phase and quadrature of the scattered part, each an AR(1)
            process of mean 0 and deviation `DIFFUSE_DEVIATION`.
        k_factor_db: power of the line of sight over the scattered power [dB].

    Returns:
        `[...]`, linear.
    """
    parts, ratio = finite("diffuse", diffuse), db_to_linear(k_factor_db)
    if parts.shape[-1:] != (2,):
        raise InvalidArgument(f"diffuse has the shape {parts.shape}; its last axis must be 2 long")
    scattered = np.sqrt(1.0 / (1.0 + ratio))
    in_phase = np.sqrt(ratio) * scattered + scattered * parts[..., 0]
    gain: Array = in_phase**2 + (scattered * parts[..., 1]) ** 2
    return gain
