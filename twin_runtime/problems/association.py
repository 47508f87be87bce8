"""Association: which edge hosts each user's twin in a slot, and which share of last slot's data
it trains on again. [P3].

The cloud sees positions, label distances, what was and is to be trained on, where each twin
is, and the edges' budgets. It decides the hosts; the shares follow, exactly. A decision pays
saturated energy, of moving, synchronising and training, and earns data utility.

A policy scores (twin, edge) pairs from features that are all near 1 and whose number depends
neither on the twins nor on the edges. It may score all pairs at once (`observe`, `decode`), or
twin after twin, the largest first, seeing how full the edges have become (`begin_turn`,
`observe_turn`, `take_turn`, `finish`); `decode` is the second with scores that do not change.
"""

from dataclasses import replace

import numpy as np

from twin_runtime.physics import relocation
from twin_runtime.physics.arguments import Array, Integers, InvalidArgument, indices, within
from twin_runtime.physics.geometry import uniform_in_square
from twin_runtime.physics.mobility import begin_walk, walk_on
from twin_runtime.physics.utility import data_utility
from twin_runtime.problems.association_features import FEATURES, observe
from twin_runtime.problems.association_state import NOWHERE, Action, State, slot_of
from twin_runtime.problems.problem import Cost, Problem, Scores, Spec, Tensor
from twin_runtime.problems.scenarios.mobile_users import MobileUsers
from twin_runtime.solvers.association import place
from twin_runtime.solvers.association_repair import largest_first, place_in_turn, repair

OVERLOAD_ROUNDING = 1e-9  # a budget that is just used up is not exceeded

SPEC = Spec(
    problem="association",
    version=1,
    inputs=(
        Tensor("features", ("batch", "user", "edge", "feature"), FEATURES),
        Tensor("fits", ("batch", "user", "edge"), dtype="bool"),
    ),
    outputs=(Tensor("scores", ("batch", "user", "edge")),),
)


def begin(scenario: MobileUsers, batch: int, generator: np.random.Generator) -> State:
    """Worlds without any twin and without history. [P3] S2."""
    users, edges = (batch, scenario.users), (batch, scenario.edges)
    return State(
        scenario=scenario,
        edge_m=uniform_in_square(generator, edges, side_m=scenario.side_m),
        walk=begin_walk(generator, users, law=scenario.walk),
        new_samples=_draw_samples(scenario, batch, generator),
        old_samples=np.zeros(users),
        label_distance=generator.uniform(*scenario.label_distance, users),
        twin_bits=generator.uniform(*scenario.twin_bits, users),
        host=np.full(users, NOWHERE),
        compute_budget=generator.uniform(*scenario.compute_budget, edges),
        synchronisation_budget=generator.uniform(*scenario.synchronisation_budget, edges),
        cycles_per_bit=generator.uniform(*scenario.cycles_per_bit, edges),
    )


def decode(state: State, scores: Scores) -> Action:
    """Twins in turn by `scores["scores"]` `[batch, users, edges]`, repaired, with best shares."""
    slot = slot_of(state)
    wanted = np.asarray(scores["scores"], dtype=np.float64)
    return finish(state, repair(slot, place_in_turn(slot, wanted, largest_first(slot)), wanted))


def finish(state: State, edge: Integers) -> Action:
    """Any association with the shares that are best for it. [P3] 6.1."""
    placed = place(slot_of(state), edge)
    return Action(placed.edge, placed.share)


def cost(state: State, action: Action) -> Cost:
    """Minus the gain of the slot, and a penalty where a budget does not hold. [P3] (22)(23), S4.

    An edge that is asked for more than its compute budget trains on what that carries: the same
    part of the data of each of its twins.
    """
    slot = slot_of(state)
    _check(state, action)
    host = action.edge[..., None]
    chosen = {
        name: np.take_along_axis(getattr(slot, name), host, axis=2)[..., 0]
        for name in ("moving", "synchronisation", "training", "slope", "compute_slope")
    }
    trained = chosen["training"] + action.share * chosen["compute_slope"]
    moved = chosen["moving"] + action.share * (chosen["slope"] - chosen["compute_slope"])
    parts = _parts(state, action, moved, chosen["synchronisation"], trained)
    penalty = state.scenario.overload_weight * parts["overload"]
    return Cost(penalty - parts["gain"], parts)


def transition(state: State, action: Action, generator: np.random.Generator) -> State:
    """One slot later: users have moved, what was new is history, twins are where they were put."""
    return replace(
        state,
        walk=walk_on(generator, state.walk, law=state.scenario.walk),
        new_samples=_draw_samples(state.scenario, len(state.host), generator),
        old_samples=state.new_samples,
        host=action.edge,
    )


def _parts(
    state: State, action: Action, moved: Array, synchronised: Array, trained: Array
) -> dict[str, Array]:
    """What a report shows, `[batch]`; energies are means over edges."""
    scenario, edges = state.scenario, state.scenario.edges
    asked = relocation.sum_by_edge(values=trained, edge=action.edge, edges=edges)
    upload = relocation.sum_by_edge(values=synchronised, edge=action.edge, edges=edges)
    over = np.maximum(asked / state.compute_budget - 1.0, 0.0)
    over += np.maximum(upload / state.synchronisation_budget - 1.0, 0.0)
    kept = state.compute_budget / np.maximum(asked, state.compute_budget)
    part = np.take_along_axis(kept, action.edge, axis=1)
    samples = part * relocation.training_samples(
        new_samples=state.new_samples, old_samples=state.old_samples, share=action.share
    )
    utility = data_utility(samples=samples, label_distance=state.label_distance, fit=scenario.fit)
    trained = part * trained
    energy = relocation.edge_energy(
        migration=moved,
        synchronisation=synchronised,
        training=trained,
        edge=action.edge,
        edges=edges,
    )
    level = relocation.saturation(energy=energy, scale=scenario.saturation_energy)
    return {
        "gain": relocation.association_gain(
            utility=utility,
            energy=energy,
            utility_weight=scenario.utility_weight,
            energy_weight=scenario.energy_weight,
            scale=scenario.saturation_energy,
        ),
        "utility": utility.mean(axis=-1),
        "saturation": level.mean(axis=-1),
        "saturation_total": level.sum(axis=-1),
        "energy": energy.mean(axis=-1),
        "migration_energy": moved.sum(axis=-1) / edges,
        "synchronisation_energy": synchronised.sum(axis=-1) / edges,
        "training_energy": trained.sum(axis=-1) / edges,
        "moves": ((action.edge != state.host) & (state.host != NOWHERE)).sum(axis=-1) * 1.0,
        "overload": np.where(over > OVERLOAD_ROUNDING, over, 0.0).sum(axis=-1),
    }


def _check(state: State, action: Action) -> None:
    edge = indices("edge", action.edge, state.scenario.edges)
    share = within("share", action.share, 0.0, 1.0)
    if not edge.shape == share.shape == state.host.shape:
        shapes = f"edge {edge.shape}, share {share.shape}"
        raise InvalidArgument(f"{shapes}; both must be {state.host.shape}, [batch, users]")


def _draw_samples(scenario: MobileUsers, batch: int, generator: np.random.Generator) -> Array:
    shape = (batch, scenario.users)
    return generator.integers(*scenario.samples, shape, endpoint=True).astype(np.float64)


PROBLEM = Problem(SPEC, begin, observe, decode, cost, transition)
