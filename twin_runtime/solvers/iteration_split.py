"""Which data to train on, and for how many iterations: the cheapest way to a convergency.

What iterations add is linear in them, and so is their work; so one of the three kinds (on
eMBB data, on URLLC data, on both) is the cheapest, and all iterations are of that kind.
"""

from typing import NamedTuple

import numpy as np

from twin_runtime.physics.arguments import (
    Array,
    Integers,
    InvalidArgument,
    Real,
    broadcast,
    non_negative,
    positive,
)
from twin_runtime.solvers.certificate import Certificate, Infeasible

EMBB, URLLC, INTEGRATED = range(3)
PREFERENCE = (INTEGRATED, URLLC, EMBB)  # which kind to take of equally cheap ones


class IterationSplit(NamedTuple):
    """Iterations `[..., 3]`, the one kind that has any `[...]`, and its work `[...]`."""

    iterations: Array
    kind: Integers
    work_cycles: Array
    certificate: Certificate


def unit_costs(
    *, sizes: Real, importance: Real, size_power: Real, cycles_per_sample: Real
) -> Array:
    """Cycles per unit of the exponent, of each kind `[..., 3]`; infinite without data.

    [P5] (33)(34): c / (k Q^(v-1)).

    Args:
        sizes: >= 0, samples Q of each kind `[..., 3]`.
        importance: > 0, k of each kind.
        size_power: > 0, v.
        cycles_per_sample: > 0, c of each kind.
    """
    size, weight = non_negative("sizes", sizes), positive("importance", importance)
    power = positive("size_power", size_power)
    cycles = positive("cycles_per_sample", cycles_per_sample)
    shape = broadcast(sizes=size, importance=weight, cycles_per_sample=cycles)
    if shape[-1:] != (3,):
        raise InvalidArgument(f"the last axis must be of 3 kinds, and the shape is {shape}")
    per_sample = weight * np.where(size > 0, size, 1.0) ** (power - 1.0)
    return np.where(size > 0, cycles / per_sample, np.inf)


def split(
    *, gain: Real, sizes: Real, importance: Real, size_power: Real, cycles_per_sample: Real
) -> IterationSplit:
    """The iterations that add `gain` to the exponent with the least work. [P5] 6.1.

    `gain` >= 0 `[...]` is the missing fraction times the exponent needed; the others are as
    in `unit_costs`.

    Raises:
        Infeasible: somebody has something to train and no data.
    """
    added, size = non_negative("gain", gain), non_negative("sizes", sizes)
    costs = unit_costs(
        sizes=size,
        importance=importance,
        size_power=size_power,
        cycles_per_sample=cycles_per_sample,
    )
    kind = np.asarray(PREFERENCE)[np.argmin(costs[..., PREFERENCE], axis=-1)]
    cost = np.take_along_axis(costs, kind[..., None], -1)[..., 0]
    if (np.isinf(cost) & (added > 0)).any():
        raise Infeasible("a server has something to train and no data: activate a sensor of it")
    work = added * np.where(np.isinf(cost), 0.0, cost)
    of_kind = np.arange(3) == kind[..., None]
    per_iteration = np.where(of_kind & (size > 0), size * np.asarray(cycles_per_sample), np.inf)
    total = float(work.sum())
    return IterationSplit(work[..., None] / per_iteration, kind, work, Certificate(total, total))


def useful_sensors(*, kind: Integers, embb: Integers, urllc: Integers) -> tuple[Integers, Integers]:
    """How many of the active sensors the iterations of `kind` need. [P5] 6.1.

    All eMBB, all URLLC, or as many of each as there are of the rarer: the rest only spend
    their batteries.
    """
    fewer = np.minimum(embb, urllc)
    needed_embb = np.where(kind == EMBB, embb, np.where(kind == URLLC, 0, fewer))
    needed_urllc = np.where(kind == URLLC, urllc, np.where(kind == EMBB, 0, fewer))
    return needed_embb, needed_urllc
