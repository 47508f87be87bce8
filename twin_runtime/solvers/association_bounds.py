"""What no placement in a slot can gain, however many twins there are.

All bounds leave moving out; it only costs. For few twins the best bound is the exact placement
of twins that are nowhere yet, `association_exact.place_exactly(without_moves(slot))`.

The chord bound takes twins apart: up to the energy of both budgets an edge's Norm is above its
chord, so each twin pays at least the chord's slope, and picks its edge and share for itself.
The packing bound takes edges apart: the same compute load saturates least when it fills the
largest budget again and again, and serves best when it is water-filled over all twins. The
best load between none and all reuse is sought on a grid, each cell with the utility of its
right end and the cost of its left.
"""

from dataclasses import replace

import numpy as np

from twin_runtime.physics.arguments import Array
from twin_runtime.physics.relocation import saturation
from twin_runtime.physics.utility import data_utility
from twin_runtime.solvers.association import Slot
from twin_runtime.solvers.water_filling import reuse_at_price

PRICES = 1024  # of the packing bound's grid
PRICE_RANGE = 1e-4, 1e4  # relative to the steepest price an edge may pay


def without_moves(slot: Slot) -> Slot:
    """The slot as if every twin were new: nothing is moved."""
    return replace(slot, moving=np.zeros_like(slot.moving), slope=slot.compute_slope)


def gain_bound(slot: Slot) -> Array:
    """The smaller of both bounds `[worlds]`. [P3] 6.3."""
    return np.minimum(chord_bound(slot), packing_bound(slot))


def chord_bound(slot: Slot) -> Array:
    """Each twin for itself, at the price of the chord `[worlds]`. [P3] 6.3 (b)."""
    valuation = slot.valuation
    energy = slot.compute_budget + slot.synchronisation_budget
    chord = saturation(energy=energy, scale=valuation.scale) / energy
    price = valuation.energy_weight * chord[:, None]
    shape = slot.training.shape
    new, old, distance = (
        np.broadcast_to(part[..., None], shape)
        for part in (slot.new_samples, slot.old_samples, slot.label_distance)
    )
    share = reuse_at_price(
        new_samples=new,
        old_samples=old,
        label_distance=distance,
        price=price * slot.compute_slope,
        valuation=valuation,
    )
    useful = data_utility(samples=new + share * old, label_distance=distance, fit=valuation.fit)
    spent = slot.synchronisation + slot.training + share * slot.compute_slope
    bound: Array = (valuation.utility_weight * useful - price * spent).max(axis=2).sum(axis=1)
    return bound


def packing_bound(slot: Slot) -> Array:
    """All load packed onto full edges, all reuse water-filled `[worlds]`. [P3] 6.3 (c)."""
    valuation = slot.valuation
    load, useful = _frontier(slot)
    largest = slot.compute_budget.max(axis=1)[:, None]
    full = np.floor(load / largest)
    cost = full * saturation(energy=largest, scale=valuation.scale)
    cost = cost + saturation(energy=load - full * largest, scale=valuation.scale)
    gain = valuation.utility_weight * useful[:, 1:] - valuation.energy_weight * cost[:, :-1]
    bound: Array = gain.max(axis=1)
    return bound


def _frontier(slot: Slot) -> tuple[Array, Array]:
    """Loads `[worlds, points]`, rising from no reuse to all, and the most utility of each."""
    valuation = slot.valuation
    cheapest = slot.compute_slope.min(axis=2)[:, None]
    steepest = valuation.energy_weight / (4.0 * valuation.scale)
    price = np.geomspace(PRICE_RANGE[1], PRICE_RANGE[0], PRICES) * steepest
    share = reuse_at_price(
        new_samples=slot.new_samples[:, None],
        old_samples=slot.old_samples[:, None],
        label_distance=slot.label_distance[:, None],
        price=price[:, None] * cheapest,
        valuation=valuation,
    )
    none = np.zeros_like(share[:, :1])
    share = np.concatenate([none, share, none + 1.0], axis=1)
    share = np.where(slot.old_samples[:, None] > 0, share, 0.0)
    samples = slot.new_samples[:, None] + share * slot.old_samples[:, None]
    useful = data_utility(
        samples=samples, label_distance=slot.label_distance[:, None], fit=valuation.fit
    )
    load = slot.training.min(axis=2).sum(axis=1)[:, None] + (share * cheapest).sum(axis=2)
    return load, useful.sum(axis=2)
