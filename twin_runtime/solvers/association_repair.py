"""From scores to a placement that fits: twins one after another, or all at once and repaired.

All worlds step together; nothing is exact here, and nothing takes long. An edge fits a twin
if the new data of all its twins keep to its budgets of compute and of synchronisation.
"""

from typing import NamedTuple

import numpy as np

from twin_runtime.physics.arguments import Array, Booleans, Integers, InvalidArgument
from twin_runtime.solvers.association import Slot, loads, overload

MOVES_PER_TWIN_MAX = 4  # of a repair: each move relieves an overload, and few twins move twice


class Residual(NamedTuple):
    """What is left of the budgets `[worlds, edges]`, of compute and of synchronisation."""

    compute: Array
    synchronisation: Array


def largest_first(slot: Slot) -> Integers:
    """The order `[worlds, twins]` in which twins are placed: those with the most new data first."""
    return np.argsort(-slot.new_samples, axis=1, kind="stable")


def begin_residual(slot: Slot) -> Residual:
    """All of the budgets."""
    return Residual(slot.compute_budget.copy(), slot.synchronisation_budget.copy())


def fits(slot: Slot, twin: Integers, residual: Residual) -> Booleans:
    """Which edges `[worlds, edges]` take one twin of each world `[worlds]`."""
    world = np.arange(slot.worlds)
    enough: Booleans = slot.training[world, twin] <= residual.compute
    return enough & (slot.synchronisation[world, twin] <= residual.synchronisation)


def least_overflow(slot: Slot, twin: Integers, residual: Residual) -> Integers:
    """Where a twin that fits nowhere does the least harm, relative to the budgets `[worlds]`."""
    world = np.arange(slot.worlds)
    compute = slot.training[world, twin] - residual.compute
    upload = slot.synchronisation[world, twin] - residual.synchronisation
    over = np.maximum(compute / slot.compute_budget, 0.0)
    over = over + np.maximum(upload / slot.synchronisation_budget, 0.0)
    least: Integers = over.argmin(axis=1)
    return least


def take(slot: Slot, twin: Integers, edge: Integers, residual: Residual) -> Residual:
    """What is left once one twin of each world is on an edge `[worlds]`."""
    world = np.arange(slot.worlds)
    compute, upload = residual.compute.copy(), residual.synchronisation.copy()
    compute[world, edge] -= slot.training[world, twin, edge]
    upload[world, edge] -= slot.synchronisation[world, twin, edge]
    return Residual(compute, upload)


def place_in_turn(slot: Slot, scores: Array, order: Integers) -> Integers:
    """Each twin on the best-scored edge that still fits it. [P3] S4.

    Args:
        slot: the worlds.
        scores: `[worlds, twins, edges]`, higher is better.
        order: `[worlds, twins]`, whose turn it is.
    """
    _check(slot, scores)
    edge = np.zeros(slot.new_samples.shape, dtype=np.int64)
    residual, world = begin_residual(slot), np.arange(slot.worlds)
    for twin in order.T:
        fit = fits(slot, twin, residual)
        wanted = np.where(fit, scores[world, twin], -np.inf).argmax(axis=1)
        chosen = np.where(fit.any(axis=1), wanted, least_overflow(slot, twin, residual))
        edge[world, twin] = chosen
        residual = take(slot, twin, chosen, residual)
    return edge


def pack(slot: Slot, scores: Array) -> Integers:
    """Best-fit decreasing: each twin where it leaves the least compute, ties by scores. [P3] S4."""
    _check(slot, scores)
    edge = np.zeros(slot.new_samples.shape, dtype=np.int64)
    residual, world = begin_residual(slot), np.arange(slot.worlds)
    for twin in largest_first(slot).T:
        left = residual.compute - slot.training[world, twin]
        fit = fits(slot, twin, residual)
        tightest = np.where(fit, left, np.inf).min(axis=1, keepdims=True)
        as_tight = np.where(fit & (left <= tightest), scores[world, twin], -np.inf)
        chosen = np.where(
            fit.any(axis=1), as_tight.argmax(axis=1), least_overflow(slot, twin, residual)
        )
        edge[world, twin] = chosen
        residual = take(slot, twin, chosen, residual)
    return edge


def repair(slot: Slot, edge: Integers, scores: Array) -> Integers:
    """A placement made to fit, with little lost of the scores; as it was where it fits. [P3] S4.

    While an edge overflows: of its twins and the edges that fit them completely, the move
    that loses the least score for the relative overload that it relieves. Where there is
    none, all twins are packed anew; where that overflows more, they stay.
    """
    _check(slot, scores)
    edge = edge.copy()
    for _ in range(MOVES_PER_TWIN_MAX * slot.twins):
        over = overload(slot, edge)
        price = _move_prices(slot, edge, scores, over)
        best = price.reshape(slot.worlds, -1).argmin(axis=1)
        twin, target = np.divmod(best, slot.edges)
        moves = np.flatnonzero(np.isfinite(price[np.arange(slot.worlds), twin, target]))
        if not moves.size:
            break
        edge[moves, twin[moves]] = target[moves]
    return _pack_if_better(slot, edge, scores)


def _pack_if_better(slot: Slot, edge: Integers, scores: Array) -> Integers:
    stuck = overload(slot, edge).sum(axis=1)
    if not stuck.any():
        return edge
    packed = pack(slot, scores)
    better = overload(slot, packed).sum(axis=1) < stuck
    return np.where(better[:, None], packed, edge)


def _move_prices(slot: Slot, edge: Integers, scores: Array, over: Array) -> Array:
    """Score lost per overload relieved `[worlds, twins, edges]`; infinite where no move helps."""
    world = np.arange(slot.worlds)[:, None]
    host = edge[..., None]
    training, upload = loads(slot, edge)
    own = np.take_along_axis(slot.training, host, axis=2)[..., 0]
    own_upload = np.take_along_axis(slot.synchronisation, host, axis=2)[..., 0]
    left = np.maximum((training[world, edge] - own) / slot.compute_budget[world, edge] - 1.0, 0.0)
    rest = (upload[world, edge] - own_upload) / slot.synchronisation_budget[world, edge]
    relief = over[world, edge] - left - np.maximum(rest - 1.0, 0.0)
    fit = training[:, None] + slot.training <= slot.compute_budget[:, None]
    fit &= upload[:, None] + slot.synchronisation <= slot.synchronisation_budget[:, None]
    fit &= (relief > 0)[..., None] & (np.arange(slot.edges) != host)
    lost = np.take_along_axis(scores, host, axis=2) - scores
    return np.where(fit, lost / np.where(relief > 0, relief, 1.0)[..., None], np.inf)


def _check(slot: Slot, scores: Array) -> None:
    if scores.shape != slot.training.shape or np.isnan(scores).any():
        shape = slot.training.shape
        raise InvalidArgument(f"scores {scores.shape} must be numbers of the shape {shape}")
