"""Water-filling: how much a twin reuses at a given price of its whole history, in closed form.

A twin's utility grows by less and less with its samples. It takes just those that are worth
their price: with m = (1 - v) / v, z = rate x^v at x = scale D solves z + m ln z = c(price), so
z = m omega(c / m - ln m), omega the Wright function, and D = (z / rate)^(1/v) / scale.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import wrightomega

from twin_runtime.physics.arguments import Array
from twin_runtime.physics.relocation import Valuation
from twin_runtime.physics.utility import data_quality

PRICE_MIN = 1e-300  # keeps a logarithm finite


class Curves(NamedTuple):
    """Each twin's response to a price, with what follows from its data already worked out."""

    offset: Array
    exponent: Array
    power: Array
    reach: Array
    start: Array
    stretch: Array


class Filled(NamedTuple):
    """What twins reuse at a price of their whole history, and how that came about."""

    share: Array
    level: Array  # of water, before it is held between 0 and 1
    omega: Array
    price: Array


def curves_of(
    *, new_samples: Array, old_samples: Array, quality: Array, valuation: Valuation
) -> Curves:
    """The curves of twins, of any shape; one without history never reuses any."""
    fit, reuses = valuation.fit, old_samples > 0
    old = np.where(reuses, old_samples, 1.0)
    spare = (1.0 - quality) / quality
    power = 1.0 + spare
    scale = valuation.utility_weight * fit.loss * fit.rate**power
    height = np.log(scale * quality * fit.scale_per_sample * old)
    reach = (spare / fit.rate) ** power / fit.scale_per_sample / old
    return Curves(
        offset=height / spare - np.log(spare),
        exponent=1.0 / spare,
        power=power,
        reach=np.where(reuses, reach, 0.0),
        start=np.where(reuses, new_samples / old, 0.0),
        stretch=1.0 / (1.0 - quality),
    )


def fill(curves: Curves, price: Array) -> Filled:
    """Shares at which one more sample is worth its price: clip(reach omega^power - start)."""
    paid = np.maximum(price, PRICE_MIN)
    omega = wrightomega(curves.offset - curves.exponent * np.log(paid))
    level = curves.reach * omega**curves.power
    share = np.minimum(np.maximum(level - curves.start, 0.0), 1.0)
    return Filled(share, level, omega, paid)


def log_price(curves: Curves, level: Array) -> Array:
    """The logarithm of the price at which the water stands at `level` > 0."""
    omega = (level / curves.reach) ** (1.0 / curves.power)
    price: Array = (curves.offset - omega - np.log(omega)) / curves.exponent
    return price


def stiffness(curves: Curves, filled: Filled) -> Array:
    """How much a share falls with its price, if it is not held at 0 or 1: less at high prices."""
    answers: Array = filled.level * curves.stretch / ((1.0 + filled.omega) * filled.price)
    return answers


def stiffness_between(curves: Curves, filled: Filled) -> Array:
    """The least and the most stiffness between two prices, `[2, twins]`, the dearer first.

    A twin counts in the least if it is held at no price between, in the most if it is free at
    some.
    """
    some, left = filled.level > curves.start, filled.level < curves.start + 1.0
    answers: Array = (some & left[::-1]) * stiffness(curves, filled)
    return answers


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
    quality = data_quality(label_distance=label_distance, fit=valuation.fit)
    curves = curves_of(
        new_samples=new_samples, old_samples=old_samples, quality=quality, valuation=valuation
    )
    return fill(curves, price).share
