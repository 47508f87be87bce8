"""What a policy sees of each (twin, edge) pair: features near 1, whatever the number of either.

Some of them say how full an edge is so far. Scored all at once, every edge is still empty;
scored in turn, a policy sees what the twins before, the larger ones, have taken.
"""

from dataclasses import dataclass, replace

import numpy as np

from twin_runtime.physics.arguments import Array, Integers, InvalidArgument, indices
from twin_runtime.physics.relocation import saturation, sum_by_edge
from twin_runtime.physics.utility import data_quality
from twin_runtime.problems.association_state import (
    NOWHERE,
    State,
    link_distance_m,
    move_distance_m,
    slot_of,
)
from twin_runtime.problems.problem import Observation
from twin_runtime.solvers.association import Slot
from twin_runtime.solvers.association_repair import (
    Residual,
    begin_residual,
    fits,
    largest_first,
    least_overflow,
    take,
)

SAMPLES_SCALE = 1000.0
EDGES_SCALE = 9.0

FEATURES = (
    ("link distance over twice the side", "1"),
    ("move distance over twice the side", "1"),
    ("is the host", "1"),
    ("has no host", "1"),
    ("new samples", "1000"),
    ("old samples", "1000"),
    ("data quality", "1"),
    ("saturation by the move", "1"),
    ("synchronisation over budget", "1"),
    ("training over budget", "1"),
    ("compute budget left", "1"),
    ("synchronisation budget left", "1"),
    ("saturation so far", "1"),
    ("saturation added", "1"),
    ("share of twins so far hosted", "1"),
    ("load if nobody moved over budget", "1"),
    ("nine over edges", "1"),
    ("load of all over all budgets", "1"),
)
SO_FAR = slice(10, 14)  # those that a placement of others changes


@dataclass(frozen=True, slots=True)
class Turn:
    """A placement under way: `placed` twins of each world have an edge in `edge`."""

    slot: Slot
    features: Array
    order: Integers
    placed: int
    edge: Integers
    residual: Residual
    energy: Array

    @property
    def twin(self) -> Integers:
        """Whose turn it is in each world `[batch]`."""
        return self.order[:, self.placed]


def observe(state: State) -> Observation:
    """All pairs `[batch, user, edge, feature]`, with every edge empty, and which of them fit."""
    slot = slot_of(state)
    features = _features(state, slot)
    fit = (slot.training <= slot.compute_budget[:, None]) & (
        slot.synchronisation <= slot.synchronisation_budget[:, None]
    )
    return {"features": features.astype(np.float32), "fits": fit}


def begin_turn(state: State) -> Turn:
    """Before the first twin is placed."""
    slot = slot_of(state)
    nobody = np.full(state.host.shape, NOWHERE)
    empty = np.zeros(state.compute_budget.shape)
    order = largest_first(slot)
    return Turn(slot, _features(state, slot), order, 0, nobody, begin_residual(slot), empty)


def observe_turn(turn: Turn) -> Observation:
    """The pairs of the twin whose turn it is `[batch, 1, edge, feature]`, and which fit."""
    slot, twin = turn.slot, turn.twin
    world = np.arange(slot.worlds)
    features = turn.features[world, twin]
    features[..., SO_FAR] = _so_far(slot, turn, slot.fixed[world, twin])
    fit = fits(slot, twin, turn.residual)
    return {"features": features[:, None].astype(np.float32), "fits": fit[:, None]}


def take_turn(turn: Turn, edge: Integers) -> Turn:
    """The twin whose turn it is goes to `edge` `[batch]`, or where it does least harm if that
    does not fit it."""
    slot, twin = turn.slot, turn.twin
    chosen = indices("edge", edge, slot.edges)
    if chosen.shape != twin.shape:
        raise InvalidArgument(f"edge has the shape {chosen.shape}; it must be {twin.shape}")
    world = np.arange(slot.worlds)
    fit = fits(slot, twin, turn.residual)[world, chosen]
    chosen = np.where(fit, chosen, least_overflow(slot, twin, turn.residual))
    hosts, energy = turn.edge.copy(), turn.energy.copy()
    hosts[world, twin] = chosen
    energy[world, chosen] += slot.fixed[world, twin, chosen]
    residual = take(slot, twin, chosen, turn.residual)
    return replace(turn, placed=turn.placed + 1, edge=hosts, residual=residual, energy=energy)


def _features(state: State, slot: Slot) -> Array:
    scenario, host = state.scenario, state.host
    scale = scenario.saturation_energy
    own = saturation(energy=slot.fixed, scale=scale)
    here = host[..., None] == np.arange(slot.edges)
    stayed = np.where(host == NOWHERE, 0.0, 1.0)
    somewhere = np.maximum(host, 0)
    at_home = np.take_along_axis(slot.training, somewhere[..., None], axis=2)[..., 0]
    loads = sum_by_edge(values=stayed * at_home, edge=somewhere, edges=slot.edges)
    everything = slot.training.mean(axis=2).sum(axis=1) / slot.compute_budget.sum(axis=1)
    budgets = slot.compute_budget[:, None], slot.synchronisation_budget[:, None]
    columns = [
        link_distance_m(state) / (2.0 * scenario.side_m),
        move_distance_m(state) / (2.0 * scenario.side_m),
        here,
        (host == NOWHERE)[..., None],
        state.new_samples[..., None] / SAMPLES_SCALE,
        state.old_samples[..., None] / SAMPLES_SCALE,
        data_quality(label_distance=state.label_distance, fit=scenario.fit)[..., None],
        saturation(energy=slot.moving, scale=scale),
        slot.synchronisation / budgets[1],
        slot.training / budgets[0],
        np.ones(1),
        np.ones(1),
        np.zeros(1),
        own,
        here.mean(axis=1)[:, None],
        loads[:, None] / budgets[0],
        np.full(1, EDGES_SCALE / slot.edges),
        everything[:, None, None],
    ]
    return np.stack([np.broadcast_to(part, own.shape) for part in columns], axis=-1)


def _so_far(slot: Slot, turn: Turn, own: Array) -> Array:
    """The four columns `[batch, edge, 4]` for a twin that adds its `own` energy."""
    scale = slot.valuation.scale
    level = saturation(energy=turn.energy, scale=scale)
    parts = (
        turn.residual.compute / slot.compute_budget,
        turn.residual.synchronisation / slot.synchronisation_budget,
        level,
        saturation(energy=turn.energy + own, scale=scale) - level,
    )
    return np.stack(parts, axis=-1)
