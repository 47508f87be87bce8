"""Smooth stand-ins for functions with kinks, for methods that need a gradient."""

import numpy as np

from twin_runtime.physics.arguments import Array, InvalidArgument, Real, finite, positive


def smooth_max(*, values: Real, sharpness: Real) -> Array:
    """Kreisselmeier-Steinhauser maximum of `values` `[..., n]` over the last axis. [P1] (24).

    It is above the maximum by at most ln(n) / sharpness, and equal to it in the limit. Only
    scheduled devices may enter: an idle one adds e^0.

    Args:
        values: finite, `n` >= 1.
        sharpness: > 0, per unit of the values; `[...]` or one number.
    """
    each, scale = finite("values", values), positive("sharpness", sharpness)
    if each.ndim == 0 or each.shape[-1] == 0:
        raise InvalidArgument(f"values has the shape {each.shape}; nothing has no maximum")
    top: Array = each.max(axis=-1)
    below = scale[..., np.newaxis] * (each - top[..., np.newaxis])
    smooth: Array = top + np.log(np.exp(below).sum(axis=-1)) / scale
    return smooth
