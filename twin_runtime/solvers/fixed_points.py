"""All fixed points of T, the energy that an edge spends at the price it expects, and the best.

An interval that holds fixed points shrinks by T(low) <= y <= T(high), since T never falls, and
faster by bounds on the slope of T (interval Newton), which its two ends give since each twin's
response steepens as prices fall. Where the slope stays below 1 there is one fixed point, and
Newton's method finds it; where it may not, the interval is cut into cells, and those that
cannot hold anything better than what has been met are dropped. All edges go through these
rounds at once.

What is left of an interval is so narrow that it hides less of the gain than rounding; that is
the bound.
"""

import math
from typing import NamedTuple

import numpy as np

from twin_runtime.physics.arguments import Array, Booleans, Integers
from twin_runtime.physics.relocation import Valuation, saturation_level
from twin_runtime.solvers.energy_response import (
    Response,
    bend_max,
    respond,
    slope,
    slope_bounds,
    useful,
)
from twin_runtime.solvers.hosted import Hosted
from twin_runtime.solvers.water_filling import PRICE_MIN

# Of a cell: more points cost less than more rounds, and next to nothing once few cells are left.
PARTS = np.linspace(0.0, 1.0, 4)[:, None]
MORE_PARTS = np.linspace(0.0, 1.0, 7)[:, None]
ROUNDS_MAX = 64  # each takes two thirds of an interval at least: 3^-64 of any energy is nothing
GAP = 8e-18  # what an interval's last width may hide of the gain, which rounds to as much
ROUNDING = 1e-15  # of a gain


class Best(NamedTuple):
    """Shares `[twins]`, the gain of each edge and what is hidden of it, `[edges]`."""

    share: Array
    value: Array
    hidden: Array


class _Cells(NamedTuple):
    """Intervals that may hold fixed points of these edges `[cells]`: their `ends`, and the
    dual there, `[2, cells]`."""

    edge: Integers
    ends: Array
    dual: Array

    @property
    def width(self) -> Array:
        """How long they are; negative where nothing is left."""
        width: Array = self.ends[1] - self.ends[0]
        return width

    def take(self, some: Integers | Booleans) -> "_Cells":
        """Some of them."""
        return _Cells(self.edge[some], self.ends[:, some], self.dual[:, some])


def best_fixed_points(every: Hosted, valuation: Valuation) -> Best:
    """The fixed point of the largest gain of each edge."""
    hosted, cells = every, _begin(every)
    met = np.full(len(cells.edge), -np.inf)
    found: list[_Cells] = []
    parts = PARTS
    for _ in range(ROUNDS_MAX):
        done, cells = _narrow(hosted, cells, parts, met, valuation)
        found += done
        if not cells.edge.size:
            break
        hosted, _ = every.take(cells.edge)
        parts = MORE_PARTS
    return _best(every, [*found, cells], valuation)


def _begin(hosted: Hosted) -> _Cells:
    """All energies that history may add.

    Of an edge whose budget binds, they end where all that moves is reused.
    """
    total = hosted.sum(hosted.slope)
    most = np.minimum(total, hosted.slack + total - hosted.sum(hosted.compute))
    ends = np.array([np.zeros(len(most)), most])
    return _Cells(np.arange(len(most)), ends, np.full_like(ends, np.nan))


def _width_max(valuation: Valuation) -> float:
    return math.sqrt(8.0 * GAP / (valuation.energy_weight * bend_max(valuation)))


def _narrow(
    hosted: Hosted, cells: _Cells, parts: Array, met: Array, valuation: Valuation
) -> tuple[list[_Cells], _Cells]:
    """One round: the cells that are done, and those that may still hold several fixed points.

    `met` is the most that each edge is known to gain, and rises.
    """
    points = cells.ends[0] + parts * cells.width
    dual = cells.dual[0] + parts * (cells.dual[1] - cells.dual[0])
    response = respond(hosted, points, dual, valuation)
    cells, end, row = _held(cells.edge, points, response, _width_max(valuation))
    narrow = cells.width <= _width_max(valuation)
    wide = np.flatnonzero(~narrow)
    if not wide.size:
        return [cells], cells.take(wide)
    end, row = end[:, wide], row[wide]
    part, twins = hosted.take(row)
    answer = response.at(end, row, part.owner, twins)
    done, rest = _isolate(part, points[end, row], cells.take(wide), answer, met, valuation)
    return [cells.take(narrow), *done], rest


def _isolate(
    hosted: Hosted,
    points: Array,
    cells: _Cells,
    response: Response,
    met: Array,
    valuation: Valuation,
) -> tuple[list[_Cells], _Cells]:
    """Cells between `points` that have answered: those that are done, and the rest."""
    cells, steep = _contract(hosted, points, cells, response, valuation)
    done = [cells.take(np.abs(cells.width) <= _width_max(valuation))]
    wide = cells.width > _width_max(valuation)
    if not steep.all() and (cells.edge[1:] == cells.edge[:-1]).any():
        reached, bound = _bound(hosted, cells.ends, response, valuation)
        np.maximum.at(met, cells.edge, reached)
        wide &= bound >= met[cells.edge] - ROUNDING
    easy = wide & (steep > 0) & ~response.tight.any(axis=0)
    if easy.any():
        part, _ = hosted.take(np.flatnonzero(easy))
        done.append(_settle(part, cells.take(easy), steep[easy], valuation))
    return done, cells.take(wide & ~easy)


def _held(
    edge: Integers, points: Array, response: Response, slack: float
) -> tuple[_Cells, Integers, Integers]:
    """The cells that may hold fixed points, cut to what is spent at their ends, since T never
    falls; and which points those are `[2, cells]`, of which row."""
    low = np.maximum(points[:-1], response.load[:-1])
    high = np.minimum(points[1:], response.load[1:])
    row, part = np.nonzero((high - low >= -slack).T)
    ends, end = np.array([low[part, row], high[part, row]]), np.array([part, part + 1])
    return _Cells(edge[row], ends, response.dual[end, row]), end, row


def _contract(
    hosted: Hosted, points: Array, cells: _Cells, response: Response, valuation: Valuation
) -> tuple[_Cells, Array]:
    """The parts that hold the same fixed points, by interval Newton on y - T(y) from the
    `points` around; and how steep y - T(y) is at least, 0 where a part may hold several."""
    least, most = slope_bounds(hosted, points, response, valuation)
    unique = most < 1.0
    steep = np.where(unique, 1.0 - most, 1.0)
    gentle = 1.0 - np.minimum(least, 0.5 * np.minimum(1.0, most))
    off = response.load - points
    # From either end the fixed point is as far as the gentlest slope takes it, and not
    # farther than the steepest.
    near = points + off / gentle
    far = np.where(unique, points + off / steep, cells.ends[::-1])
    low = np.maximum(cells.ends[0], np.maximum(near[0], far[1]))
    high = np.minimum(cells.ends[1], np.minimum(near[1], far[0]))
    return cells._replace(ends=np.array([low, high])), steep * unique


def _settle(hosted: Hosted, cells: _Cells, steep: Array, valuation: Valuation) -> _Cells:
    """The only fixed points of cells in which no budget binds: Newton's method, held in them.

    How far one is follows from y - T(y) and how steep that is at least.
    """
    low, high = cells.ends
    energy, before = (low + high) / 2.0, np.full(len(low), np.inf)
    away, newton = _step(hosted, energy, steep, valuation)
    for _ in range(ROUNDS_MAX):
        near = away <= _width_max(valuation) / 2.0
        if near.all():
            break
        low, high = np.where(newton > energy, energy, low), np.where(newton > energy, high, energy)
        # Over a kink Newton's steps may go round in a circle; so each must halve the distance.
        good = (low <= newton) & (newton <= high) & (away <= before / 2.0)
        energy = np.where(near, energy, np.where(good, newton, (low + high) / 2.0))
        before = away
        away, newton = _step(hosted, energy, steep, valuation)
    away = np.minimum(away, high - low)
    return cells._replace(ends=np.array([energy - away, energy + away]))


def _step(hosted: Hosted, energy: Array, steep: Array, valuation: Valuation) -> tuple[Array, Array]:
    """How far the fixed point is at most, and where Newton's step leads."""
    response = respond(hosted, energy[None], np.full((1, len(energy)), np.nan), valuation)
    off = response.load[0] - energy
    return np.abs(off) / steep, energy + off / (1.0 - slope(hosted, response)[0])


def _bound(
    hosted: Hosted, ends: Array, response: Response, valuation: Valuation
) -> tuple[Array, Array]:
    """What is gained at the better end, and what no shares in between gain more than.

    At a price that an end pays, no shares of energy y are worth more than the end's own and
    the price of the difference. Both ends say so, and Norm is above its chord between them; so
    the bound is where both prices cross.
    """
    (low, high), price, weight = ends, response.price, valuation.energy_weight
    worth = useful(hosted, response.share, valuation)
    spent = weight * saturation_level(hosted.energy + response.load, valuation.scale)
    foot = worth - price * response.load
    apart = np.maximum(price[0] - price[1], PRICE_MIN)
    cross = np.minimum(np.maximum((foot[1] - foot[0]) / apart, low), high)
    paid = weight * saturation_level(hosted.energy + ends, valuation.scale)
    chord = (paid[1] - paid[0]) / np.where(high > low, high - low, 1.0)
    top = (foot + price * cross).min(axis=0)
    return (worth - spent).max(axis=0), top - paid[0] - chord * (cross - low)


def _best(hosted: Hosted, found: list[_Cells], valuation: Valuation) -> Best:
    """The best of each edge's fixed points; a few edges have several."""
    edge = np.concatenate([each.edge for each in found])
    order = np.argsort(edge, kind="stable")
    edge = edge[order]
    low, high = np.concatenate([each.ends for each in found], axis=1)[:, order]
    dual = np.concatenate([each.dual[1] for each in found])[order]
    middle = np.maximum((low + high) / 2.0, 0.0)
    single = len(edge) == len(hosted.first)
    part = hosted if single else hosted.take(edge)[0]
    last = respond(part, middle[None], dual[None], valuation)
    spent = saturation_level(part.energy + last.load, valuation.scale)
    value = (useful(part, last.share, valuation) - valuation.energy_weight * spent)[0]
    hide = valuation.energy_weight * bend_max(valuation) / 8.0 * (high - low) ** 2
    if single:
        return Best(last.share[0], value, hide)
    ranked = np.lexsort((value, edge))
    best = ranked[np.flatnonzero(np.diff(edge, append=-1))]
    assert len(best) == len(hosted.first), "an edge has lost its optimum"
    chosen = np.zeros(len(edge), dtype=np.bool_)
    chosen[best] = True
    hidden = np.zeros(len(best))
    np.maximum.at(hidden, edge, hide)
    return Best(last.share[0][chosen[part.owner]], value[best], hidden)
