"""Federated averaging: one model out of many."""

import numpy as np

from twin_runtime.physics.arguments import Array, InvalidArgument, Real, finite, non_negative


def weighted_mean(*, values: Real, weights: Real, fallback: Real) -> Array:
    """Mean of `values` `[..., n, *p]` by `weights` `[..., n]` >= 0; `fallback` where all are 0.

    With a device's samples as its weight this is FedAvg:
    [P1] (9)(11), [P2] (3)(8), [P3] (4), [P4] (3)(4)(5).

    Args:
        values: models, or losses; `n` on the axis that the weights end with.
        weights: >= 0; a device that takes no part has 0.
        fallback: what holds when nobody takes part, e.g. the model before; `[*p]` or like the mean.
    """
    each, weight = finite("values", values), non_negative("weights", weights)
    axis = weight.ndim - 1
    if axis < 0 or each.shape[: axis + 1] != weight.shape:
        shapes = f"values {each.shape}, weights {weight.shape}"
        raise InvalidArgument(f"the first axes of values must be those of weights: {shapes}")
    wide = weight.reshape(weight.shape + (1,) * (each.ndim - weight.ndim))
    total = wide.sum(axis=axis)
    summed = (wide * each).sum(axis=axis)
    mean = summed / np.where(total > 0, total, 1.0)
    return np.where(total > 0, mean, finite("fallback", fallback))
