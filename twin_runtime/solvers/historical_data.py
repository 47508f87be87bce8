"""How much of last slot's data each twin trains on again, given its edge: exact. [P3] 6.1.

An edge maximises J(gamma) = w_U sum rho(n + gamma h) - w_C Norm(c0 + a gamma) over shares
gamma in [0, 1] with b gamma <= Z. The paper calls this convex. It is not: Norm is concave, so
packing more onto a busy edge costs less and less, and J may have several local maxima.

What saves us is that only one number is not convex, the edge's extra energy y = a gamma. For
a fixed energy price lambda(y) = w_C Norm'(c0 + y) the problem is separable and concave, and its
solution, a water-filling, is closed up to the Wright omega function. Its energy T(y) never
falls with y, since the price never rises. Every stationary point of J is a fixed point of T,
so the best fixed point is the optimum.

`allocate` finds all fixed points, for many edges at once, by interval Newton. An interval that
holds them shrinks by T(low) <= y <= T(high), and faster by bounds on the slope of T, which the
two ends give since each twin's response steepens as prices fall. Where the slope stays below 1
there is one fixed point; where it may not, the interval is split. The bound of the certificate
is what an optimum could hide in the intervals' last width.

`allocate_two_ended` iterates T from both ends and keeps the better: cheaper to reason about,
and off by parts in 10^10 at most where we looked, but without a proof.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from twin_runtime.physics.arguments import (
    Array,
    Booleans,
    Integers,
    InvalidArgument,
    finite,
    non_negative,
    same_shape,
)
from twin_runtime.physics.relocation import (
    Valuation,
    saturation,
)
from twin_runtime.physics.utility import data_utility
from twin_runtime.solvers.certificate import Certificate, Infeasible
from twin_runtime.solvers.energy_response import (
    Response,
    bend_max,
    respond,
    slope_bounds,
)
from twin_runtime.solvers.water_filling import (
    PRICE_MIN,
    Curves,
    curves_of,
    take,
)

PIECES = 2  # to begin with: wide arrays cost little more than narrow ones
ROUNDS_MAX = 64  # each halves an interval: 2^-64 of any energy is nothing
GAP = 1e-18  # what an interval's last width may hide of the gain
STEPS_MAX = 14  # of the two-ended form: the digest's
ROUNDING = 1e-15  # of a gain


@dataclass(frozen=True, slots=True)
class Edges:
    """Edges with their twins, `[edges, twins]`; rows are padded with twins not `present`.

    `slope` is a and `compute_slope` b, what a twin's whole history adds to the edge's energy
    and to its compute load; `fixed_energy` is c0 and `compute_slack` Z, `[edges]`, both at
    share 0.
    """

    present: Booleans
    new_samples: Array
    old_samples: Array
    label_distance: Array
    slope: Array
    compute_slope: Array
    fixed_energy: Array
    compute_slack: Array
    valuation: Valuation

    def __post_init__(self) -> None:
        for name in ("new_samples", "old_samples", "slope", "compute_slope", "fixed_energy"):
            non_negative(name, getattr(self, name))
        finite("compute_slack", self.compute_slack)
        same_shape(
            present=self.present,
            new_samples=self.new_samples,
            old_samples=self.old_samples,
            label_distance=self.label_distance,
            slope=self.slope,
            compute_slope=self.compute_slope,
        )
        edges = same_shape(fixed_energy=self.fixed_energy, compute_slack=self.compute_slack)
        if self.present.ndim != 2 or edges != self.present.shape[:1]:  # noqa: PLR2004
            shapes = f"present {self.present.shape}, fixed_energy {edges}"
            raise InvalidArgument(f"twins must be [edges, twins], budgets [edges]: {shapes}")


@dataclass(frozen=True, slots=True)
class Allocation:
    """Shares `[edges, twins]`, the gain of each edge and what no shares exceed, `[edges]`."""

    share: Array
    value: Array
    bound: Array

    @property
    def certificate(self) -> Certificate:
        return Certificate(-float(self.value.sum()), -float(self.bound.sum()))


class _Work(NamedTuple):
    """Intervals `[edges]` that may hold fixed points; what compute costs at their ends."""

    low: Array
    high: Array
    dual: Array


def allocate(edges: Edges) -> Allocation:
    """The best shares of every edge, each with a bound. [P3] 6.1.

    Raises:
        Infeasible: an edge's budget does not even carry its new data.
    """
    curves = _curves(edges)
    rows, work = _begin(curves)
    best = np.full(len(curves.energy), -np.inf)
    width_max = np.sqrt(8.0 * GAP / edges.valuation.energy_weight / bend_max(edges.valuation))
    found: list[tuple[Integers, _Work]] = []
    for _ in range(ROUNDS_MAX):
        cut, unique, response = _contract(take(curves, rows), work, edges.valuation)
        width = cut.high - cut.low
        done = np.abs(width) <= width_max
        found.append((rows[done], _pick(cut, done)))
        rest = np.flatnonzero(~done & (width > 0))
        open_ended = rest[~unique[rest]]
        if open_ended.size:
            hopeless = _hopeless(edges, rows, open_ended, work, response, best)
            rest = np.setdiff1d(rest, open_ended[hopeless], assume_unique=True)
        if not rest.size:
            break
        slow = rest[width[rest] > (work.high - work.low)[rest] / 2]
        rows, work = _split(rows, cut, rest, slow)
    else:
        found.append((rows, work))
    return _best(edges, curves, found)


def allocate_two_ended(edges: Edges) -> Allocation:
    """The better of two local optima, reached from no reuse and from full reuse. [P3] 6.1.

    Each step improves the gain. The bound is the trivial one, all data at no further energy.

    Raises:
        Infeasible: an edge's budget does not even carry its new data.
    """
    curves = _curves(edges)
    expected = np.stack([np.zeros(len(curves.energy)), curves.slope.sum(axis=-1)])
    response = respond(curves, expected, _both(curves.guess), edges.valuation)
    for _ in range(STEPS_MAX):
        response = respond(curves, response.load, response.dual, edges.valuation)
    values = gain(edges, response.share)
    pick = (values[1] > values[0]).astype(np.int64)
    rows = np.arange(len(pick))
    bound = gain(edges, np.where(edges.present, 1.0, 0.0), energy=edges.fixed_energy)
    return Allocation(response.share[pick, rows], values[pick, rows], bound)


def gain(edges: Edges, share: Array, energy: Array | None = None) -> Array:
    """J of each edge `[..., edges]` for shares `[..., edges, twins]`. [P3] (22).

    `energy` is what the edge spends, by default what the shares make of it.
    """
    valuation = edges.valuation
    useful = data_utility(
        samples=edges.new_samples + share * edges.old_samples,
        label_distance=edges.label_distance,
        fit=valuation.fit,
    )
    if energy is None:
        energy = edges.fixed_energy + (edges.slope * share).sum(axis=-1)
    total = np.where(edges.present, useful, 0.0).sum(axis=-1)
    spent = saturation(energy=energy, scale=valuation.scale)
    worth: Array = valuation.utility_weight * total - valuation.energy_weight * spent
    return worth


def _begin(curves: Curves) -> tuple[Integers, _Work]:
    """All energies that history may add, in a few pieces.

    Of an edge whose budget binds, the pieces end where all that moves is reused.
    """
    edges = len(curves.energy)
    moved = (curves.slope - curves.compute).sum(axis=-1)
    most = np.minimum(curves.slope.sum(axis=-1), curves.slack + moved)
    rows = np.repeat(np.arange(edges), PIECES)
    piece = np.tile(np.arange(PIECES), edges)
    low, high = most[rows] * piece / PIECES, most[rows] * (piece + 1) / PIECES
    return rows, _Work(low, high, _both(curves.guess[rows]))


def _both(ends: Array) -> Array:
    return np.stack([ends, ends])


def _curves(edges: Edges) -> Curves:
    _refuse_overload(edges)
    return curves_of(
        present=edges.present,
        new_samples=edges.new_samples,
        old_samples=edges.old_samples,
        label_distance=edges.label_distance,
        slopes=(edges.slope, edges.compute_slope),
        budget=(edges.fixed_energy, edges.compute_slack),
        valuation=edges.valuation,
    )


def _refuse_overload(edges: Edges) -> None:
    over = np.flatnonzero(edges.compute_slack < 0)
    if over.size:
        missing = -edges.compute_slack[over[0]]
        raise Infeasible(f"edge {over[0]} lacks {missing:g} of its budget for the new data alone")


def _contract(
    curves: Curves, work: _Work, valuation: Valuation
) -> tuple[_Work, Booleans, Response]:
    """Intervals that hold the same fixed points, by interval Newton on y - T(y); which hold
    at most one; and what the ends answered."""
    low, high = work.low, work.high
    response = respond(curves, np.stack([low, high]), work.dual, valuation)
    rise, fall = response.load[0] - low, high - response.load[1]
    least, most = slope_bounds(curves, (low, high), response, valuation)
    unique = most < 1.0
    steep = np.where(unique, 1.0 - most, 1.0)
    gentle = 1.0 - np.minimum(least, 0.5 * np.minimum(1.0, most))
    below = np.where(unique, high - fall / steep, low)
    above = np.where(unique, low + rise / steep, high)
    low = np.maximum(low, np.maximum(low + rise / gentle, below))
    high = np.minimum(high, np.minimum(high - fall / gentle, above))
    return _Work(low, high, response.dual), unique, response


def _hopeless(
    edges: Edges, rows: Integers, which: Integers, work: _Work, response: Response, best: Array
) -> Booleans:
    """Which intervals hold nothing better than the best shares met so far, which it updates.

    At a price that an end pays, no shares of energy y are worth more than the end's own and the
    price of the difference. Both ends say so, and Norm is above its chord between them.
    """
    row, weight = rows[which], edges.valuation.energy_weight
    load, price, share = response.load[:, which], response.price[:, which], response.share[:, which]
    part = _rows_of(edges, row)
    free = gain(part, share, energy=np.zeros(1))
    low, high = work.low[which], work.high[which]
    spent = part.fixed_energy + np.stack([low, high, load[0], load[1]])
    paid = weight * saturation(energy=spent, scale=edges.valuation.scale)
    np.maximum.at(best, row, (free - paid[2:]).max(axis=0))
    foot = free - price * load
    apart = np.maximum(price[0] - price[1], PRICE_MIN)
    cross = np.clip((foot[1] - foot[0]) / apart, low, high)
    chord = (paid[1] - paid[0]) / np.where(high > low, high - low, 1.0)
    at = np.stack([low, cross, high])
    tops = np.minimum(foot[0] + price[0] * at, foot[1] + price[1] * at)
    bound = (tops - paid[0] - chord * (at - low)).max(axis=0)
    hopeless: Booleans = bound < best[row] - ROUNDING
    return hopeless


def _rows_of(edges: Edges, rows: Integers) -> Edges:
    if len(rows) == len(edges.present) and (rows == np.arange(len(rows))).all():
        return edges
    parts = {name: getattr(edges, name)[rows] for name in Edges.__slots__ if name != "valuation"}
    return Edges(**parts, valuation=edges.valuation)


def _pick(work: _Work, some: Booleans) -> _Work:
    return _Work(work.low[some], work.high[some], work.dual[:, some])


def _split(rows: Integers, work: _Work, rest: Integers, slow: Integers) -> tuple[Integers, _Work]:
    """The rest of the intervals, the slow ones of them cut in the middle."""
    middle = (work.low[slow] + work.high[slow]) / 2.0
    upper = work.high.copy()
    upper[slow] = middle
    low = np.concatenate([work.low[rest], middle])
    high = np.concatenate([upper[rest], work.high[slow]])
    both = np.concatenate([rest, slow])
    return rows[both], _Work(low, high, work.dual[:, both])


def _best(edges: Edges, curves: Curves, found: list[tuple[Integers, _Work]]) -> Allocation:
    """The best of each edge's fixed points; a few edges have several."""
    rows = np.concatenate([row for row, _ in found])
    low, high = (np.concatenate([work[end] for _, work in found]) for end in (0, 1))
    dual = np.concatenate([work.dual[1] for _, work in found])
    order = np.argsort(rows, kind="stable")
    rows, middle = rows[order], np.maximum((low + high) / 2.0, 0.0)[order]
    share = respond(take(curves, rows), middle, dual[order], edges.valuation).share
    value = gain(_rows_of(edges, rows), share)
    ranked = np.lexsort((value, rows))
    last = ranked[np.flatnonzero(np.diff(rows, append=-1))]
    assert len(last) == len(curves.energy), "an edge has lost its optimum"
    hidden = np.zeros(len(last))
    np.maximum.at(hidden, rows, (high - low)[order])
    bend = edges.valuation.energy_weight * bend_max(edges.valuation)
    return Allocation(share[last], value[last], value[last] + bend * hidden**2 / 8.0)
