"""Who else would place the twins: chance, nearness, standing still, search, and the exact answer.

`nearest`, `nearest_random` and `hold` step all worlds at once; the others search, world by world.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from twin_runtime.physics.arguments import Array, Integers
from twin_runtime.problems.association import decode, finish
from twin_runtime.problems.association_state import (
    NOWHERE,
    Action,
    State,
    link_distance_m,
    slot_of,
)
from twin_runtime.solvers.association import Slot
from twin_runtime.solvers.association_bounds import without_moves
from twin_runtime.solvers.association_exact import place_exactly
from twin_runtime.solvers.association_repair import place_in_turn, repair
from twin_runtime.solvers.association_search import (
    SetValues,
    relocations,
    search,
    search_packed,
    search_plainly,
)

Policy = Callable[[State, np.random.Generator], Action]

HEAD_ROOM_SIGMAS = 1.5  # of the load that a packed edge may get by chance
PATIENCE_SLOTS = 40.0  # in which a move must pay for itself
HOSTED_BONUS = 10.0  # what an edge that hosts some twin is preferred by: more than any distance


def random(state: State, generator: np.random.Generator) -> Action:
    """Any edges that fit."""
    users, edges = state.host.shape, state.compute_budget.shape[1]
    return decode(state, {"scores": generator.random((*users, edges))})


def nearest(state: State, generator: np.random.Generator) -> Action:
    """B2: each user, the closest to an edge first, takes the nearest edge that fits it."""
    del generator
    return finish(state, _nearest(state))


def nearest_random(state: State, generator: np.random.Generator) -> Action:
    """B3: nearest, with any shares; those of an edge shrink until its budget holds."""
    slot, edge = slot_of(state), _nearest(state)
    share = generator.random(edge.shape)
    return Action(edge, share * _affordable(slot, edge, share))


def hold(state: State, generator: np.random.Generator) -> Action:
    """Nearest at first, then nobody moves but from an edge that overflows."""
    del generator
    slot, nearness = slot_of(state), -link_distance_m(state)
    stayed = np.where(state.host == NOWHERE, _nearest(state), state.host)
    return finish(state, repair(slot, stayed, nearness))


def pack_and_hold(state: State, generator: np.random.Generator) -> Action:
    """Packed for the loads to be expected, with head-room; then a twin, or all twins of an edge
    together, move only if that pays for itself within 40 slots. Who comes later is put where
    twins are already, near by."""
    del generator
    slot, expected = slot_of(state), slot_of(_expected(state))
    hosts = [
        _settle(slot.world(world), expected.world(world), state.host[world], distance)
        for world, distance in enumerate(link_distance_m(state))
    ]
    return finish(state, np.stack(hosts))


def greedy(state: State, generator: np.random.Generator) -> Action:
    """The best placement that search finds for this slot, from where the twins are."""
    del generator
    slot = slot_of(state)
    placed = [search(slot.world(world), host) for world, host in enumerate(state.host)]
    return _joined([each.edge for each in placed], [each.share for each in placed])


def plain_greedy(state: State, generator: np.random.Generator) -> Action:
    """As `greedy`, with the simplest search there is."""
    del generator
    slot = slot_of(state)
    placed = [search_plainly(slot.world(world), host) for world, host in enumerate(state.host)]
    return _joined([each.edge for each in placed], [each.share for each in placed])


def oracle(state: State, generator: np.random.Generator) -> Action:
    """The best placement for this slot; for as few users as can be enumerated."""
    del generator
    slot = slot_of(state)
    placed = [place_exactly(slot.world(world)) for world in range(slot.worlds)]
    return _joined([each.edge for each in placed], [each.share for each in placed])


POLICIES: Mapping[str, Policy] = {
    "random": random,
    "nearest": nearest,
    "nearest_random": nearest_random,
    "hold": hold,
    "pack_and_hold": pack_and_hold,
    "greedy": greedy,
    "plain_greedy": plain_greedy,
    "oracle": oracle,
}


def _nearest(state: State) -> Integers:
    distance = link_distance_m(state)
    order = np.argsort(distance.min(axis=2), axis=1, kind="stable")
    slot = slot_of(state)
    return repair(slot, place_in_turn(slot, -distance, order), -distance)


def _affordable(slot: Slot, edge: Integers, share: Array) -> Array:
    """By how much the shares of each twin's edge must shrink `[worlds, twins]`, at most 1."""
    world = np.arange(slot.worlds)[:, None]
    twin = np.arange(slot.twins)
    load, more = np.zeros((2, *slot.compute_budget.shape))
    np.add.at(load, (world, edge), slot.training[world, twin, edge])
    np.add.at(more, (world, edge), share * slot.compute_slope[world, twin, edge])
    slack = np.maximum(slot.compute_budget - load, 0.0)
    factor = np.minimum(1.0, slack / np.where(more > 0, more, 1.0))
    return np.where(more > 0, factor, 1.0)[world, edge]


def _expected(state: State) -> State:
    """The slot to be expected: mean samples, nothing to move, budgets less the head-room.

    An edge that is filled with k twins of mean load m and deviation d must bear
    k m + 1.5 d sqrt(k); the larger of both numbers of samples counts, their range being uniform.
    """
    low, high = state.scenario.samples
    mean, deviation = (low + high) / 2.0, (high - low) / np.sqrt(12.0)
    spread = HEAD_ROOM_SIGMAS * deviation / mean
    users = np.full(state.host.shape, mean)
    calm = replace(
        state, new_samples=users, old_samples=users, host=np.full_like(state.host, NOWHERE)
    )
    load = slot_of(calm).training[:, 0]
    # sqrt(k) from k + spread sqrt(k) = budget / load
    root = (np.sqrt(spread**2 + 4.0 * state.compute_budget / load) - spread) / 2.0
    return replace(calm, compute_budget=load * root**2)


def _settle(slot: Slot, expected: Slot, host: Integers, distance_m: Array) -> Integers:
    placed = _begin(slot, expected, host, distance_m)
    now, free, steady = SetValues(slot), SetValues(without_moves(slot)), SetValues(expected)
    for _ in range(slot.twins):
        tried = np.concatenate([placed[None], relocations(expected, placed)])
        tried = tried[np.isfinite(now.totals(tried))]
        if not len(tried):
            break
        extra = free.totals(tried) - now.totals(tried)
        best: Integers = tried[np.argmax(PATIENCE_SLOTS * steady.totals(tried) - extra)]
        if (best == placed).all():
            break
        placed = best
    return placed


def _begin(slot: Slot, expected: Slot, host: Integers, distance_m: Array) -> Integers:
    """Where twins are, made to fit; newcomers near by where twins are already, or all packed."""
    if (host == NOWHERE).all():
        placed, wanted = search_packed(expected).edge, -distance_m[None]
    else:
        hosted = np.isin(np.arange(slot.edges), host)
        wanted = (HOSTED_BONUS * hosted - distance_m / distance_m.max())[None]
        placed = np.where(host == NOWHERE, wanted[0].argmax(axis=1), host)[None]
    mended: Integers = repair(slot, placed, wanted)[0]
    return mended


def _joined(edges: list[Integers], shares: list[Array]) -> Action:
    return Action(np.concatenate(edges), np.concatenate(shares))
