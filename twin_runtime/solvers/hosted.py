"""Edges with the twins that they host, and the price of compute that keeps them to a budget.

Edges host few twins or many. So all twins stand in one row, edge after edge, without padding:
what belongs to an edge is repeated for its twins by `owner`, what its twins do adds up by
`sum`.

A budget is met at a price of compute, in whose logarithm the load is nearly straight between
the prices at which each twin begins to reuse and reuses all. With straight pieces the price is
closed up to sorting these, and Newton's method ends a few steps from there.
"""

from typing import NamedTuple

import numpy as np

from twin_runtime.physics.arguments import Array, Integers
from twin_runtime.solvers.water_filling import PRICE_MIN, Curves, fill, log_price, stiffness

DUAL_STEPS_MAX = 80  # of the budget's price: bisection alone would be done by then
BUDGET_TOLERANCE = 1e-7  # of an edge's whole history: its square is nothing
LOG_PRICE_MAX = 600.0  # keeps an exponential finite
EDGE_APART = 4096.0  # more than logarithms of prices, which are finite, are apart
SPAN_MIN = 1e-12  # of a logarithm: keeps a quotient finite
FIRST_SAMPLE = 1.0  # of a twin without new samples, whose first old one is worth any price


class Hosted(NamedTuple):
    """Twins `[twins]`, edge after edge, and what the edges have `[edges]`."""

    curves: Curves
    new: Array
    old: Array
    quality: Array
    slope: Array  # of energy, by the share
    compute: Array  # the part of it that counts against the budget
    owner: Integers
    first: Integers
    size: Integers  # how many twins an edge has
    energy: Array  # at share 0
    slack: Array  # of the budget, at share 0

    def sum(self, values: Array) -> Array:
        """Sums over the twins of each edge, `[..., twins]` to `[..., edges]`."""
        total: Array = np.add.reduceat(values, self.first, axis=-1)
        return total

    def take(self, rows: Integers) -> tuple["Hosted", Integers]:
        """Some of the edges, in this order, perhaps repeatedly; and which twins theirs are."""
        size = self.size[rows]
        first = size.cumsum() - size
        owner = np.arange(len(rows)).repeat(size)
        twin = np.arange(len(owner)) + (self.first[rows] - first)[owner]
        part = Hosted(
            Curves(*[each[twin] for each in self.curves]),
            self.new[twin],
            self.old[twin],
            self.quality[twin],
            self.slope[twin],
            self.compute[twin],
            owner,
            first,
            size,
            self.energy[rows],
            self.slack[rows],
        )
        return part, twin


class _Tried(NamedTuple):
    """What twins reuse at some prices of compute, by how much that passes the slack, and how
    both fall with the logarithms of the prices."""

    share: Array
    over: Array
    fall: Array
    steep: Array


def fill_budget(hosted: Hosted, price: Array, level: Array) -> tuple[Array, Array]:
    """Shares `[twins]` at a price of compute at which the load is just the slack, and its
    logarithm `[edges]`.

    Newton's method from `level`, in the logarithm; held in a bracket, which begins at the
    price of energy. Where `level` is not a number it begins from straight pieces.
    """
    moved = price[hosted.owner] * (hosted.slope - hosted.compute)
    unknown = np.isnan(level)
    if unknown.any():
        level = np.where(unknown, _straight(hosted, price, moved), level)
    low, high = np.log(price), np.full(len(price), LOG_PRICE_MAX)
    level, before = np.minimum(np.maximum(level, low), high), high
    enough = BUDGET_TOLERANCE * hosted.sum(hosted.compute)
    tried = _try(hosted, moved, level)
    for _ in range(DUAL_STEPS_MAX):
        miss = np.abs(tried.over)
        near = miss <= enough
        if near.all():
            break
        over = tried.over > 0
        low, high = np.where(over, level, low), np.where(over, high, level)
        newton = level + tried.over / tried.steep
        # Newton's steps may go round in a circle over a kink; so each must halve the miss.
        good = (low <= newton) & (newton <= high) & (miss <= before / 2.0)
        step = np.where(good, newton, (low + high) / 2.0)
        level, before = np.where(near, level, step), miss
        tried = _try(hosted, moved, level)
    return _finish(hosted, tried, level, enough)


def _try(hosted: Hosted, moved: Array, level: Array) -> _Tried:
    paid = np.exp(level)[hosted.owner] * hosted.compute
    filled = fill(hosted.curves, moved + paid)
    share = filled.share
    over = hosted.sum(hosted.compute * share) - hosted.slack
    fall = ((share > 0) & (share < 1)) * paid * stiffness(hosted.curves, filled)
    steep = np.maximum(hosted.sum(hosted.compute * fall), PRICE_MIN)
    return _Tried(share, over, fall, steep)


def _finish(hosted: Hosted, tried: _Tried, level: Array, enough: Array) -> tuple[Array, Array]:
    """The last step, along which shares are straight in the price; never over the slack."""
    miss = np.abs(tried.over)
    straight = (miss <= enough) & (miss < tried.steep)
    rest = np.where(straight, tried.over / tried.steep, 0.0)
    share = np.minimum(np.maximum(tried.share - tried.fall * rest[hosted.owner], 0.0), 1.0)
    load = hosted.sum(hosted.compute * share)
    shrunk = np.minimum(1.0, hosted.slack / np.maximum(load, PRICE_MIN))
    return share * shrunk[hosted.owner], level + rest


def _straight(hosted: Hosted, price: Array, moved: Array) -> Array:
    """The logarithm of the price of compute at which budgets are met, if each share fell
    straight from 1 to 0 in it."""
    owner, compute, curves, old = hosted.owner, hosted.compute, hosted.curves, hosted.old
    if not (reuses := compute > 0).all():
        owner, compute, old, moved = owner[reuses], compute[reuses], old[reuses], moved[reuses]
        curves = Curves(*[each[reuses] for each in curves])
    start = np.maximum(curves.start, FIRST_SAMPLE / old)
    ends = np.exp(log_price(curves, np.array([start, curves.start + 1.0])))
    # What is moved pays for that first; and compute is never cheaper than energy.
    paid = np.maximum((ends - moved) / compute, price[owner])
    begin, end = np.log(paid)
    rate = compute / np.maximum(begin - end, SPAN_MIN)
    level, edge = np.concatenate([begin, end]), np.concatenate([owner, owner])
    # By edge, then the dearest price first: a stable sort of one number is the fastest.
    order = (edge * EDGE_APART - level).argsort(kind="stable")
    level, edge = level[order], edge[order]
    # From the dearest price down, the load grows by the rates of those that have begun.
    growth = np.concatenate([rate, -rate])[order].cumsum()
    load = np.zeros(len(growth))
    np.cumsum(growth[:-1] * (level[:-1] - level[1:]), out=load[1:])
    first = edge.searchsorted(np.arange(len(hosted.first)))
    wanted = load[first] + hosted.slack  # each edge begins with the load of all before it
    passed = np.add.reduceat((load <= wanted[edge]).astype(np.int64), first)
    last = first + passed - 1
    met: Array = level[last] - (wanted - load[last]) / np.maximum(growth[last], SPAN_MIN)
    return met
