"""Where things are: distances, and places drawn at random. Metres, last axis (x, y)."""

import numpy as np

from twin_runtime.physics.arguments import Array, InvalidArgument, Real, finite, positive


def distance_m(*, source_m: Real, target_m: Real) -> Array:
    """Straight distances between places `[..., 2]` that broadcast."""
    step = finite("source_m", source_m) - finite("target_m", target_m)
    straight: Array = np.hypot(step[..., 0], step[..., 1])
    return straight


def manhattan_distance_m(*, source_m: Real, target_m: Real) -> Array:
    """|dx| + |dy| between places `[..., 2]` that broadcast: along streets. [P3] (13)(14)."""
    step = finite("source_m", source_m) - finite("target_m", target_m)
    along: Array = np.abs(step).sum(axis=-1)
    return along


def uniform_in_disc(
    generator: np.random.Generator,
    shape: tuple[int, ...],
    *,
    radius_m: float,
    hole_m: float = 0.0,
) -> Array:
    """Places `[*shape, 2]`, uniform by area in a ring around the origin."""
    outer = float(positive("radius_m", radius_m))
    if not 0 <= hole_m < outer:
        raise InvalidArgument(f"hole_m is {hole_m}; it must be in [0, {outer:g})")
    radius = np.sqrt(generator.uniform(hole_m**2, outer**2, shape))
    angle = generator.uniform(0.0, 2.0 * np.pi, shape)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)


def uniform_in_square(
    generator: np.random.Generator, shape: tuple[int, ...], *, side_m: float
) -> Array:
    """Places `[*shape, 2]`, uniform in a square with a corner in the origin."""
    return generator.uniform(0.0, float(positive("side_m", side_m)), (*shape, 2))
