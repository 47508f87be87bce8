"""Water-filling: how much twins reuse at given prices of energy and compute, in closed form.

A twin's utility grows by less and less with its samples. It takes just those that are worth
their price: with m = (1 - v) / v, z = rate x^v at x = scale D solves z + m ln z = c(price), so
z = m omega(c / m - ln m), omega the Wright function, and D = (z / rate)^(1/v) / scale.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import wrightomega

from twin_runtime.physics.arguments import Array, Booleans, Integers
from twin_runtime.physics.relocation import Valuation
from twin_runtime.physics.utility import data_quality

DUAL_STEPS_MAX = 80  # of the budget's price: bisection alone would be done by then
BUDGET_TOLERANCE = 1e-14  # of an edge's whole history
PRICE_MIN = 1e-300  # keeps a logarithm finite
LOG_PRICE_MAX = 600.0  # keeps an exponential finite


class Curves(NamedTuple):
    """Each twin's response to a price, with what follows from its data already worked out."""

    offset: Array
    exponent: Array
    power: Array
    reach: Array
    start: Array
    stretch: Array
    slope: Array
    compute: Array
    energy: Array
    slack: Array
    guess: Array  # at which price of compute the budget may just suffice: its logarithm


def curves_of(
    *,
    present: Booleans,
    new_samples: Array,
    old_samples: Array,
    label_distance: Array,
    slopes: tuple[Array, Array],
    budget: tuple[Array, Array],
    valuation: Valuation,
) -> Curves:
    """The curves of twins `[edges, twins]`: `slopes` are those of energy and of compute, `budget`
    is the edges' energy and compute slack."""
    fit = valuation.fit
    reuses = present & (old_samples > 0)
    old = np.where(reuses, old_samples, 1.0)
    quality = data_quality(label_distance=label_distance, fit=fit)
    spare = (1.0 - quality) / quality
    scale = valuation.utility_weight * fit.loss * fit.rate ** (1.0 + spare)
    height = np.log(scale * quality * fit.scale_per_sample * old)
    reach = (spare / fit.rate) ** (1.0 + spare) / fit.scale_per_sample / old
    curves = Curves(
        offset=height / spare - np.log(spare),
        exponent=1.0 / spare,
        power=1.0 + spare,
        reach=np.where(reuses, reach, 0.0),
        start=np.where(reuses, new_samples / old, 0.0),
        stretch=1.0 / (1.0 - quality),
        slope=np.where(reuses, slopes[0], 0.0),
        compute=np.where(reuses, slopes[1], 0.0),
        energy=budget[0],
        slack=budget[1],
        guess=np.zeros(len(old)),
    )
    return curves._replace(guess=_guess(curves, 1.0 / old))


def _guess(curves: Curves, least: Array) -> Array:
    """Between the price that ends all reuse and the one that starts to limit it, as if linear."""
    counts = curves.compute > 0
    reach, compute = np.where(counts, curves.reach, 1.0), np.where(counts, curves.compute, 1.0)
    ends = []
    for level in (np.maximum(curves.start, least), curves.start + 1.0):
        omega = (level / reach) ** (1.0 / curves.power)
        ends.append((curves.offset - omega - np.log(omega)) / curves.exponent - np.log(compute))
    dear = np.where(counts, ends[0], -np.inf).max(axis=-1)
    cheap = np.where(counts, ends[1], np.inf).min(axis=-1)
    some = counts.any(axis=-1)
    part = curves.slack / np.where(some, curves.compute.sum(axis=-1), 1.0)
    dear, cheap = np.where(some, dear, 0.0), np.where(some, cheap, 0.0)
    guess: Array = dear - (dear - cheap) * np.clip(part, 0.0, 1.0)
    return guess


class Filled(NamedTuple):
    """What twins reuse at a price of their whole history, and how that came about."""

    share: Array
    level: Array  # of water, before it is held between 0 and 1
    omega: Array
    price: Array


def fill(curves: Curves, price: Array) -> Filled:
    """Shares at which one more sample is worth its price: clip(reach omega^power - start)."""
    paid = np.maximum(price, PRICE_MIN)
    omega = wrightomega(curves.offset - curves.exponent * np.log(paid))
    level = curves.reach * omega**curves.power
    share = np.minimum(np.maximum(level - curves.start, 0.0), 1.0)
    return Filled(share, level, omega, paid)


def stiffness(curves: Curves, filled: Filled) -> Array:
    """How much a share falls with its price, if it is not held at 0 or 1: less at high prices."""
    answers: Array = filled.level * curves.stretch / ((1.0 + filled.omega) * filled.price)
    return answers


def stiffness_between(curves: Curves, filled: Filled) -> Array:
    """The least and the most stiffness between two prices, `[2, ..., twins]`, the dearer first.

    A twin counts in the least if it is held at no price between, in the most if it is free at
    some.
    """
    some, left = filled.level > curves.start, filled.level < curves.start + 1.0
    answers = stiffness(curves, filled)
    return np.stack(
        [
            np.where(some[0] & left[1], answers[0], 0.0),
            np.where(some[1] & left[0], answers[1], 0.0),
        ]
    )


def fill_budget(curves: Curves, price: Array, level: Array) -> tuple[Array, Array]:
    """Shares at a price of compute at which the load is just the slack, and its logarithm.

    Newton's method from `level`, in the logarithm, in which the load is nearly straight; held
    in a bracket, which begins at the price of energy.
    """
    low, high = np.log(price), np.full(len(price), np.inf)
    moved = price[:, None] * (curves.slope - curves.compute)
    enough = BUDGET_TOLERANCE * curves.compute.sum(axis=-1)
    share, before = np.zeros_like(curves.slope), np.full(len(price), np.inf)
    for _ in range(DUAL_STEPS_MAX):
        paid = np.exp(level)[:, None] * curves.compute
        filled = fill(curves, moved + paid)
        share = filled.share
        over = (curves.compute * share).sum(axis=-1) - curves.slack
        miss = np.abs(over)
        if (miss <= enough).all():
            break
        low, high = np.where(over > 0, level, low), np.where(over > 0, high, level)
        free = (share > 0) & (share < 1)
        steep = (free * curves.compute * paid * stiffness(curves, filled)).sum(axis=-1)
        # Newton's steps may go round in a circle over a kink; so each must halve the miss.
        steep = np.where(miss <= before / 2.0, steep, 0.0)
        step = _within_bracket(level, over, steep, low, high)
        level, before = np.where(miss <= enough, level, step), miss
    load = (curves.compute * share).sum(axis=-1)
    over = load > curves.slack
    return share * np.where(over, curves.slack / np.where(over, load, 1.0), 1.0)[:, None], level


def _within_bracket(level: Array, over: Array, steep: Array, low: Array, high: Array) -> Array:
    """Newton's step where it stays in the bracket, else its middle, or on where it is open."""
    newton = level + over / np.where(steep > 0, steep, 1.0)
    inside = (steep > 0) & (newton >= low) & (newton <= high)
    closed = np.isfinite(high)
    middle = np.where(closed, (low + np.where(closed, high, low)) / 2.0, level + 1.0)
    return np.minimum(np.where(inside, newton, middle), LOG_PRICE_MAX)


def take(curves: Curves, rows: Integers) -> Curves:
    """Some of the edges, in this order."""
    if len(rows) == len(curves.energy) and (rows == np.arange(len(rows))).all():
        return curves
    return Curves(*(part[rows] for part in curves))


def reuse_at_price(
    *,
    new_samples: Array,
    old_samples: Array,
    label_distance: Array,
    price: Array,
    valuation: Valuation,
) -> Array:
    """The shares that are best where a twin's whole history costs `price` > 0. [P3] 6.1.

    Args:
        new_samples: >= 0.
        old_samples: >= 0, of the same shape.
        label_distance: in [0, 2], of the same shape.
        price: of all old samples together, in units of the gain; any shape that fits.
        valuation: what utility is worth.
    """
    nothing = np.zeros(new_samples.shape)
    curves = curves_of(
        present=np.ones(new_samples.shape, dtype=bool),
        new_samples=new_samples,
        old_samples=old_samples,
        label_distance=label_distance,
        slopes=(nothing, nothing),
        budget=(nothing.sum(axis=-1), nothing.sum(axis=-1)),
        valuation=valuation,
    )
    return fill(curves, price).share
