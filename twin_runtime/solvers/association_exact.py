"""The best placement in one slot, by dynamic programming over sets of twins.

With J_s(A) of every edge and every set, best_k(M) = max over A in M of J_k(A) + best_k-1(M - A):
as many allocations as there are sets and edges, and edges x 3^twins additions.
"""

import numpy as np

from twin_runtime.physics.arguments import Array, Integers, InvalidArgument
from twin_runtime.solvers.association import Placement, Slot, place, worth
from twin_runtime.solvers.certificate import Infeasible

TWINS_MAX = 13  # 3^13 pairs of a set and its subset: some tens of megabytes


def place_exactly(slot: Slot) -> Placement:
    """The placement of the largest gain in the only world. [P3] (23), 6.2.

    Raises:
        InvalidArgument: more twins than sets can be enumerated for.
        Infeasible: no placement keeps to the budgets.
    """
    if slot.twins > TWINS_MAX:
        raise InvalidArgument(f"slot has {slot.twins} twins; at most {TWINS_MAX} are enumerated")
    value = _set_values(slot)
    part, rest = _pairs(slot.twins)
    order = np.argsort(part | rest, kind="stable")
    part, rest = part[order], rest[order]
    first = np.flatnonzero(np.diff(part | rest, prepend=-1))
    best = [value[0]]
    for edge in range(1, slot.edges):
        best.append(np.maximum.reduceat(value[edge][part] + best[-1][rest], first))
    if not np.isfinite(best[-1][-1]):
        raise Infeasible("no placement of the twins keeps to the budgets of all edges")
    return place(slot, _follow(value, best, slot.twins)[None])


def _set_values(slot: Slot) -> Array:
    """J `[edges, sets]`; a set's number has a bit for each twin in it."""
    sets = np.arange(2**slot.twins)
    members = (sets[:, None] >> np.arange(slot.twins)) & 1 > 0
    everywhere = np.tile(members, (slot.edges, 1))
    edge = np.repeat(np.arange(slot.edges), len(sets))
    return worth(slot, edge, everywhere).reshape(slot.edges, len(sets))


def _pairs(twins: int) -> tuple[Integers, Integers]:
    """All pairs of disjoint sets."""
    part, rest = np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64)
    for twin in range(twins):
        bit = 1 << twin
        part, rest = (
            np.concatenate([part, part | bit, part]),
            np.concatenate([rest, rest, rest | bit]),
        )
    return part, rest


def _follow(value: Array, best: list[Array], twins: int) -> Integers:
    """Back from the best value of all twins: which set each edge took."""
    left = 2**twins - 1
    host = np.zeros(twins, dtype=np.int64)
    sets = np.arange(2**twins)
    for edge in range(len(best) - 1, 0, -1):
        inside = sets[sets & ~left == 0]
        taken = int(inside[np.argmax(value[edge][inside] + best[edge - 1][left & ~inside])])
        host[(taken >> np.arange(twins)) & 1 > 0] = edge
        left &= ~taken
    return host
