"""How much of last slot's data each twin trains on again, given its edge: exact. [P3] 6.1.

An edge maximises J(gamma) = w_U sum rho(n + gamma h) - w_C Norm(c0 + a gamma) over shares
gamma in [0, 1] with b gamma <= Z. The paper calls this convex. It is not: Norm is concave, so
packing more onto a busy edge costs less and less, and J may have several local maxima.

What saves us is that only one number is not convex, the edge's extra energy y = a gamma. For
a fixed energy price lambda(y) = w_C Norm'(c0 + y) the problem is separable and concave, and its
solution, a water-filling, is closed up to the Wright omega function. Its energy T(y) never
falls with y, since the price never rises. Every stationary point of J is a fixed point of T,
so the best fixed point is the optimum.

`allocate` finds all fixed points, of many edges at once, in `fixed_points`.
`allocate_two_ended` iterates T from both ends and keeps the better: cheaper to reason about,
and off by parts in 10^10 at most where we looked, but without a proof.
"""

from dataclasses import dataclass

import numpy as np

from twin_runtime.physics.arguments import (
    Array,
    Integers,
    InvalidArgument,
    finite,
    non_negative,
    same_shape,
)
from twin_runtime.physics.relocation import Valuation, saturation
from twin_runtime.physics.utility import data_quality, data_utility
from twin_runtime.solvers.certificate import Certificate, Infeasible
from twin_runtime.solvers.energy_response import respond
from twin_runtime.solvers.fixed_points import best_fixed_points
from twin_runtime.solvers.hosted import Hosted
from twin_runtime.solvers.water_filling import curves_of

STEPS_MAX = 14  # of the two-ended form: the digest's
_NON_NEGATIVE = ("new_samples", "old_samples", "slope", "compute_slope", "fixed_energy")


@dataclass(frozen=True, slots=True)
class Edges:
    """Edges with their twins, `[twins]`, edge after edge; those of an edge begin at its `first`.

    `slope` is a and `compute_slope` b, what a twin's whole history adds to the edge's energy
    and to its compute load; `fixed_energy` is c0 and `compute_slack` Z, `[edges]`, both at
    share 0. Every edge has a twin: without any its gain is 0.
    """

    first: Integers
    new_samples: Array
    old_samples: Array
    label_distance: Array
    slope: Array
    compute_slope: Array
    fixed_energy: Array
    compute_slack: Array
    valuation: Valuation

    def __post_init__(self) -> None:
        twins = same_shape(
            new_samples=self.new_samples,
            old_samples=self.old_samples,
            label_distance=self.label_distance,
            slope=self.slope,
            compute_slope=self.compute_slope,
        )
        edges = same_shape(
            first=self.first, fixed_energy=self.fixed_energy, compute_slack=self.compute_slack
        )
        if len(twins) != 1 or len(edges) != 1:
            raise InvalidArgument(f"twins {twins} and edges {edges} must be in one row each")
        if self.first[0] != 0 or (self.sizes <= 0).any():
            raise InvalidArgument(f"first is {self.first}; it must rise from 0, below {twins[0]}")
        finite("compute_slack", self.compute_slack)
        # All at once takes a third of the time; only a bad one is looked for by name.
        every = np.concatenate([getattr(self, name) for name in _NON_NEGATIVE])
        if not ((every >= 0) & (every < np.inf)).all():
            for name in _NON_NEGATIVE:
                non_negative(name, getattr(self, name))

    @property
    def sizes(self) -> Integers:
        """How many twins each edge has."""
        sizes: Integers = np.concatenate([self.first[1:], [len(self.new_samples)]]) - self.first
        return sizes


@dataclass(frozen=True, slots=True)
class Allocation:
    """Shares `[twins]`, the gain of each edge and what no shares exceed, `[edges]`."""

    share: Array
    value: Array
    bound: Array

    @property
    def certificate(self) -> Certificate:
        return Certificate(-float(self.value.sum()), -float(self.bound.sum()))


def allocate(edges: Edges) -> Allocation:
    """The best shares of every edge, each with a bound. [P3] 6.1.

    Raises:
        Infeasible: an edge's budget does not even carry its new data.
    """
    best = best_fixed_points(_hosted(edges), edges.valuation)
    return Allocation(best.share, best.value, best.value + best.hidden)


def allocate_two_ended(edges: Edges) -> Allocation:
    """The better of two local optima, reached from no reuse and from full reuse. [P3] 6.1.

    Each step improves the gain. The bound is the trivial one, all data at no further energy.

    Raises:
        Infeasible: an edge's budget does not even carry its new data.
    """
    hosted, valuation = _hosted(edges), edges.valuation
    expected = np.stack([np.zeros(len(hosted.first)), hosted.sum(hosted.slope)])
    response = respond(hosted, expected, np.full_like(expected, np.nan), valuation)
    for _ in range(STEPS_MAX):
        response = respond(hosted, response.load, response.dual, valuation)
    values = gain(edges, response.share)
    better = values[1] > values[0]
    share = np.where(better[hosted.owner], response.share[1], response.share[0])
    bound = gain(edges, np.ones(share.shape), energy=edges.fixed_energy)
    return Allocation(share, values.max(axis=0), bound)


def gain(edges: Edges, share: Array, energy: Array | None = None) -> Array:
    """J of each edge `[..., edges]` for shares `[..., twins]`. [P3] (22).

    `energy` is what the edge spends, by default what the shares make of it.
    """
    valuation = edges.valuation
    utility = data_utility(
        samples=edges.new_samples + share * edges.old_samples,
        label_distance=edges.label_distance,
        fit=valuation.fit,
    )
    if energy is None:
        more = np.add.reduceat(edges.slope * share, edges.first, axis=-1)
        energy = edges.fixed_energy + more
    total = np.add.reduceat(utility, edges.first, axis=-1)
    spent = saturation(energy=energy, scale=valuation.scale)
    worth: Array = valuation.utility_weight * total - valuation.energy_weight * spent
    return worth


def _hosted(edges: Edges) -> Hosted:
    _refuse_overload(edges)
    quality = data_quality(label_distance=edges.label_distance, fit=edges.valuation.fit)
    curves = curves_of(
        new_samples=edges.new_samples,
        old_samples=edges.old_samples,
        quality=quality,
        valuation=edges.valuation,
    )
    reuses, size = edges.old_samples > 0, edges.sizes
    return Hosted(
        curves=curves,
        new=edges.new_samples,
        old=edges.old_samples,
        quality=quality,
        slope=reuses * edges.slope,
        compute=reuses * edges.compute_slope,
        owner=np.arange(len(size)).repeat(size),
        first=edges.first,
        size=size,
        energy=edges.fixed_energy,
        slack=edges.compute_slack,
    )


def _refuse_overload(edges: Edges) -> None:
    over = np.flatnonzero(edges.compute_slack < 0)
    if over.size:
        missing = -edges.compute_slack[over[0]]
        raise Infeasible(f"edge {over[0]} lacks {missing:g} of its budget for the new data alone")
