"""How edges answer to an energy that they expect to spend: the map T, and how steep it is.

At the price lambda(y) = w_C Norm'(c0 + y) the twins of an edge reuse gamma(y), which spends
T(y) = a gamma(y). Where the compute budget binds, a second price keeps to it.

All is asked at some energies of each edge at once, `[points, edges]`; an edge may be there more
than once. Between two points of an edge is a cell.
"""

from typing import NamedTuple

import numpy as np

from twin_runtime.physics.arguments import Array, Booleans, Integers
from twin_runtime.physics.relocation import (
    Valuation,
    saturation_derivatives,
    saturation_level,
)
from twin_runtime.physics.utility import utility_of_quality
from twin_runtime.solvers.hosted import Hosted, fill_budget
from twin_runtime.solvers.water_filling import (
    PRICE_MIN,
    Filled,
    fill,
    stiffness,
    stiffness_between,
)

STEEPEST = float(np.arctanh(3.0**-0.5))  # where Norm bends most, in units of 4 scales
BEND_MAX = 4.0 * 3.0**-1.5  # of tanh


class Response(NamedTuple):
    """What edges answer to expected energies y `[points, edges]`; of twins, `[points, twins]`."""

    load: Array  # T(y)
    price: Array  # of energy, lambda
    bend: Array  # -lambda'
    dual: Array  # logarithm of the price of compute, of energy and budget together
    tight: Booleans
    share: Array
    filled: Filled  # as if no budget were tight

    def at(self, points: Integers, rows: Integers, owner: Integers, twins: Integers) -> "Response":
        """At these `points` `[2, cells]` of these rows `[cells]`, and of their twins."""
        there = points[:, owner], twins
        return Response(
            self.load[points, rows],
            self.price[points, rows],
            self.bend[points, rows],
            self.dual[points, rows],
            self.tight[points, rows],
            self.share[there],
            Filled(*[each[there] for each in self.filled]),
        )


def respond(hosted: Hosted, expected: Array, dual: Array, valuation: Valuation) -> Response:
    """The answer to expected energies `[points, edges]`; `dual` is a guess of the
    answer's, not a number where there is none."""
    level = saturation_level(hosted.energy + expected, valuation.scale)
    slope, curvature = saturation_derivatives(level=level, scale=valuation.scale)
    price = np.maximum(valuation.energy_weight * slope, PRICE_MIN)
    filled = fill(hosted.curves, price.take(hosted.owner, axis=1) * hosted.slope)
    share, logarithm = filled.share, np.log(price)
    tight = hosted.sum(hosted.compute * share) > hosted.slack
    if tight.any():
        point, edge = np.nonzero(tight)
        part, twin = hosted.take(edge)
        share = share.copy()
        filled_up = fill_budget(part, price[tight], dual[tight])
        share[point[part.owner], twin], logarithm[tight] = filled_up
    load = hosted.sum(hosted.slope * share)
    bend = -valuation.energy_weight * curvature
    return Response(load, price, bend, logarithm, tight, share, filled)


def useful(hosted: Hosted, share: Array, valuation: Valuation) -> Array:
    """What the utility of each edge's twins is worth, `[points, edges]`."""
    utility = utility_of_quality(hosted.new + share * hosted.old, hosted.quality, valuation.fit)
    return valuation.utility_weight * hosted.sum(utility)


def slope(hosted: Hosted, response: Response) -> Array:
    """The slope of T at the points `[points, edges]` where no budget binds."""
    share, filled = response.share, response.filled
    free = (share > 0) & (share < 1)
    spread = hosted.sum(free * stiffness(hosted.curves, filled) * hosted.slope**2)
    return response.bend * spread


def slope_bounds(
    hosted: Hosted, interval: Array, response: Response, valuation: Valuation
) -> tuple[Array, Array]:
    """Bounds on the slope of T in cells with these ends `[2, cells]`.

    The slope is -lambda' times a sum of a^2 K over the twins that are not held at 0 or 1, K how
    a share answers to its price, which falls with the price. A budget that binds leaves
    only what K says of a across b.
    """
    answers = stiffness_between(hosted.curves, response.filled)
    spread = hosted.sum(answers * hosted.slope**2)
    tight = response.tight[0] | response.tight[1]
    if tight.any():
        spread[:, tight] = _tight_spread(hosted, response, np.flatnonzero(tight))
    bends = _bends(hosted.energy, interval, response.bend, valuation)
    return bends[0] * spread[0], bends[1] * spread[1]


def _tight_spread(hosted: Hosted, response: Response, rows: Integers) -> Array:
    """The least and the most of the sum of a^2 K, `[2, rows]`, where a budget binds at an end."""
    part, _ = hosted.take(rows)
    price, dual = response.price[:, rows], np.exp(response.dual[:, rows])
    both = response.tight[0, rows] & response.tight[1, rows]
    dearest = np.maximum(price[0], np.maximum(dual[0], dual[1]))
    compute = np.stack([dearest, np.where(both, dual[0], price[1])])[:, part.owner]
    moved = price[:, part.owner] * (part.slope - part.compute)
    answers = stiffness_between(part.curves, fill(part.curves, moved + compute * part.compute))
    shared = part.sum(answers * part.slope * part.compute)
    square = np.maximum(part.sum(answers * part.compute**2), PRICE_MIN)
    binding = np.where(both, shared / square, 0.0)
    across = part.slope - binding[:, part.owner] * part.compute
    spread = part.sum(answers * across**2)
    spread[0] *= both
    return spread


def _bends(
    energy: Array, interval: Array, bend: Array, valuation: Valuation
) -> tuple[Array, Array]:
    """The least and the most of -lambda' between the ends, which have `bend`."""
    peak = STEEPEST * 4.0 * valuation.scale - energy
    inside = (interval[0] < peak) & (peak < interval[1])
    highest = np.maximum(bend[0], bend[1])
    most = np.where(inside, valuation.energy_weight * bend_max(valuation), highest)
    return np.minimum(bend[0], bend[1]), most


def bend_max(valuation: Valuation) -> float:
    """The largest curvature of Norm: where Norm is 3^-1/2."""
    return BEND_MAX / (4.0 * valuation.scale) ** 2
