"""Federated learning: a device's step, and one model out of many."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from twin_runtime.physics.arguments import (
    Array,
    InvalidArgument,
    Real,
    finite,
    non_negative,
    positive,
    same_shape,
)


def weighted_mean(*, values: Real, weights: Real, fallback: Real) -> Array:
    """Mean of `values` `[..., n, *p]` by `weights` `[..., n]` >= 0; `fallback` where all are 0.

    With a device's samples as its weight this is FedAvg:
    [P1] (9)(11), [P2] (2)(3)(8), [P3] (4), [P4] (2)(3)(4)(5).
    With losses of single samples, all of weight 1, it is an edge's, the system's or a twin's own
    loss: [P3] (5)(6)(8)(9).

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


def reproducible_mean(
    *, models: Mapping[str, npt.NDArray[np.float32]], weights: Mapping[str, int]
) -> npt.NDArray[np.float32]:
    """The weighted mean to the last bit, on every machine. [P4] (5).

    Nodes in ascending order of their ids; per node one multiplication and one addition in
    float64; one division; one cast. So anyone can recompute it and compare hashes.

    Args:
        models: each accepted node's, of one shape, by node id; at least one.
        weights: each of these nodes' samples, > 0.
    """
    if not models or models.keys() != weights.keys() or min(weights.values()) <= 0:
        raise InvalidArgument(
            f"models of {sorted(models)}, weights {dict(weights)}; each node has one > 0"
        )
    total = np.zeros(next(iter(models.values())).shape)
    for node in sorted(models):
        total += models[node].astype(np.float64) * float(weights[node])
    return (total / float(sum(weights.values()))).astype(np.float32)


def squared_loss(*, predicted: Real, target: Real) -> Array:
    """Mean squared error over samples and outputs, `[..., samples, outputs]` each. [P1] (2).

    A model that says 0 on one-hot targets of 10 classes has exactly 0.1.
    """
    guess, truth = finite("predicted", predicted), finite("target", target)
    if len(same_shape(predicted=guess, target=truth)) == 1:
        raise InvalidArgument(f"predicted has the shape {guess.shape}; it needs (samples, outputs)")
    loss: Array = ((guess - truth) ** 2).mean(axis=(-2, -1))
    return loss


def linear_loss_gradient(*, weights: Real, inputs: Real, target: Real) -> Array:
    """Gradient of `squared_loss` of the linear model inputs @ weights. [P1] (2)(3).

    Args:
        weights: `[..., features, outputs]`.
        inputs: `[..., samples, features]`; a constant feature is the bias.
        target: `[..., samples, outputs]`.

    Returns:
        Of the shape of `weights`.
    """
    model, given = finite("weights", weights), finite("inputs", inputs)
    error = given @ model - finite("target", target)
    gradient: Array = 2.0 * np.swapaxes(given, -1, -2) @ error / (error.shape[-2] * error.shape[-1])
    return gradient


def gradient_step(*, model: Real, gradient: Real, learning_rate: Real) -> Array:
    """The model after one step against the gradient over all of a device's samples. [P1] (3).

    Over a mini-batch, and repeated for all batches of an epoch, it is [P2] (7).
    """
    before, slope = finite("model", model), finite("gradient", gradient)
    same_shape(model=before, gradient=slope)
    after: Array = before - positive("learning_rate", learning_rate) * slope
    return after
