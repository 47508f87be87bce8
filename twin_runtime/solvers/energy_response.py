"""How edges answer to an energy that they expect to spend: the map T, and how steep it is.

At the price lambda(y) = w_C Norm'(c0 + y) the twins of an edge reuse gamma(y), which spends
T(y) = a gamma(y). Where the compute budget binds, a second price keeps to it.
"""

from typing import NamedTuple

import numpy as np

from twin_runtime.physics.arguments import Array, Booleans, Integers
from twin_runtime.physics.relocation import (
    Valuation,
    saturation,
    saturation_curvature,
    saturation_derivatives,
)
from twin_runtime.solvers.water_filling import (
    PRICE_MIN,
    Curves,
    Filled,
    fill,
    fill_budget,
    stiffness_between,
    take,
)

STEEPEST = np.arctanh(np.sqrt(1.0 / 3.0))  # where Norm bends most, in units of 4 scales


class Response(NamedTuple):
    """What edges answer to an expected energy y `[..., edges]`."""

    share: Array
    load: Array  # T(y)
    price: Array  # of energy, lambda
    bend: Array  # -lambda'
    dual: Array  # logarithm of the price of compute, of energy and budget together
    tight: Booleans
    filled: Filled  # as if no budget were tight


def respond(curves: Curves, expected: Array, dual: Array, valuation: Valuation) -> Response:
    """The answer to an expected energy `[..., edges]`; `dual` is a guess of the last one's."""
    level = saturation(energy=curves.energy + expected, scale=valuation.scale)
    slope, curvature = saturation_derivatives(level=level, scale=valuation.scale)
    price = np.maximum(valuation.energy_weight * slope, PRICE_MIN)
    bend = -valuation.energy_weight * curvature
    filled = fill(curves, price[..., None] * curves.slope)
    share = filled.share
    tight = (curves.compute * share).sum(axis=-1) > curves.slack
    logarithm = np.log(price)
    if tight.any():
        share = share.copy()
        rows = np.broadcast_to(np.arange(len(curves.energy)), tight.shape)[tight]
        share[tight], logarithm[tight] = fill_budget(
            take(curves, rows), price[tight], np.maximum(dual[tight], logarithm[tight])
        )
    load = (curves.slope * share).sum(axis=-1)
    return Response(share, load, price, bend, logarithm, tight, filled)


def slope_bounds(
    curves: Curves, interval: tuple[Array, Array], response: Response, valuation: Valuation
) -> tuple[Array, Array]:
    """Bounds on the slope of T between the ends.

    The slope is -lambda' times a sum of a^2 K over the twins that are not held at 0 or 1, K how
    a share answers to its price, which falls with the price. A budget that binds leaves
    only what K says of a across b.
    """
    answers = stiffness_between(curves, response.filled)
    tight = response.tight.any(axis=0)
    spread = (answers * curves.slope**2).sum(axis=-1)
    bends = _bends(curves.energy, interval, response.bend, valuation)
    least, most = bends[0] * spread[0], bends[1] * spread[1]
    if tight.any():
        rows = np.flatnonzero(tight)
        spread = _tight_spread(take(curves, rows), response, rows)
        least[rows], most[rows] = bends[0][rows] * spread[0], bends[1][rows] * spread[1]
    return least, most


def _tight_spread(curves: Curves, response: Response, rows: Integers) -> Array:
    """The least and the most of the sum of a^2 K, `[2, rows]`, where a budget binds at an end."""
    price, dual = response.price[:, rows], np.exp(response.dual[:, rows])
    both = response.tight[:, rows].all(axis=0)
    dearest = price[0], np.maximum(price[0], dual.max(axis=0))
    cheapest = price[1], np.where(both, dual[0], price[1])
    energy, compute = np.stack([dearest, cheapest], axis=1)[..., None]
    moved = curves.slope - curves.compute
    answers = stiffness_between(curves, fill(curves, energy * moved + compute * curves.compute))
    shared = (answers * curves.slope * curves.compute).sum(axis=-1)
    square = np.maximum((answers * curves.compute**2).sum(axis=-1), PRICE_MIN)
    binding = np.where(both, shared / square, 0.0)
    across = curves.slope - binding[..., None] * curves.compute
    spread = (answers * across**2).sum(axis=-1)
    return np.stack([np.where(both, spread[0], 0.0), spread[1]])


def _bends(
    energy: Array, interval: tuple[Array, Array], bend: Array, valuation: Valuation
) -> tuple[Array, Array]:
    """The least and the most of -lambda' between the ends, which have `bend`."""
    peak = STEEPEST * 4.0 * valuation.scale - energy
    inside = (interval[0] < peak) & (peak < interval[1])
    highest = np.maximum(bend[0], bend[1])
    most = np.where(inside, valuation.energy_weight * bend_max(valuation), highest)
    return np.minimum(bend[0], bend[1]), most


def bend_max(valuation: Valuation) -> float:
    peak = STEEPEST * 4.0 * valuation.scale
    return float(-saturation_curvature(energy=peak, scale=valuation.scale))
