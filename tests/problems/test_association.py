from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin_runtime.physics.arguments import Integers, InvalidArgument
from twin_runtime.physics.mobility import Walk
from twin_runtime.physics.utility import data_utility
from twin_runtime.problems.association import (
    PROBLEM,
    SPEC,
    begin,
    cost,
    decode,
    finish,
    transition,
)
from twin_runtime.problems.association_features import (
    FEATURES,
    begin_turn,
    observe,
    observe_turn,
    take_turn,
)
from twin_runtime.problems.association_policies import POLICIES
from twin_runtime.problems.association_state import (
    NOWHERE,
    Action,
    State,
    link_distance_m,
    move_distance_m,
    slot_of,
)
from twin_runtime.problems.environment import Environment
from twin_runtime.problems.scenarios.mobile_users import MobileUsers
from twin_runtime.solvers.association import place

FEW = replace(MobileUsers.balanced(), users=6, edges=3, compute_budget=(700.0, 750.0))


def under_way(scenario: MobileUsers, batch: int, slots: int = 2) -> State:
    environment = Environment(PROBLEM, scenario, 1, batch=batch)
    generator = np.random.default_rng(0)
    for _ in range(slots):
        environment.step(POLICIES["nearest"](environment.state, generator))
    return environment.state


@pytest.mark.parametrize("name", [name for name in POLICIES if name != "oracle"])
@pytest.mark.parametrize("profile", ["table_ii", "balanced"])
def test_every_policy_keeps_to_all_budgets(name: str, profile: str) -> None:
    environment = Environment(PROBLEM, getattr(MobileUsers, profile)(), 3, batch=2)
    generator = np.random.default_rng(0)
    for _ in range(3):
        parts = environment.step(POLICIES[name](environment.state, generator)).cost.parts
        assert (parts["overload"] == 0).all()


def test_the_oracle_is_never_beaten_in_a_slot() -> None:
    state, generator = under_way(FEW, 3), np.random.default_rng(0)
    best = cost(state, POLICIES["oracle"](state, generator)).total
    for policy in POLICIES.values():
        assert (cost(state, policy(state, generator)).total >= best - 1e-15).all()


def test_a_first_placement_moves_nothing() -> None:
    state = begin(MobileUsers.table_ii(), 4, np.random.default_rng(0))
    action = POLICIES["nearest"](state, np.random.default_rng(0))
    parts = cost(state, action).parts
    assert (parts["migration_energy"] == 0).all()
    assert (parts["moves"] == 0).all()
    assert (action.share == 0).all()  # there is no history yet


def test_holding_still_moves_nothing_and_history_is_what_was_new() -> None:
    state = under_way(MobileUsers.table_ii(), 4)
    stay = finish(state, state.host)
    assert (cost(state, stay).parts["migration_energy"] == 0).all()
    after = transition(state, stay, np.random.default_rng(0))
    assert (after.old_samples == state.new_samples).all()
    assert (after.host == stay.edge).all()
    assert (after.new_samples >= 200).all()
    assert (after.new_samples <= 1000).all()
    assert (after.edge_m == state.edge_m).all()


def test_the_printed_payload_costs_a_hundred_times_the_causal_one() -> None:
    """Row 7: 18 against 1900 units for 600 samples over 40 m."""
    moves = {}
    for payload in ("paper", "causal"):
        scenario = replace(MobileUsers.table_ii(), payload=payload)
        state = under_way(scenario, 1)
        state = replace(state, old_samples=np.zeros_like(state.old_samples))
        moves[payload] = slot_of(state).moving
    far = moves["causal"] > 0
    ratio = moves["paper"][far] / moves["causal"][far]
    assert 30 < ratio.min() < ratio.max() < 200


def test_decoding_gives_the_best_shares_of_a_placement_that_fits() -> None:
    state = under_way(MobileUsers.balanced(), 16)
    scores = np.random.default_rng(0).normal(size=slot_of(state).training.shape)
    action = decode(state, {"scores": scores})
    placed = place(slot_of(state), action.edge)
    priced = cost(state, action)
    np.testing.assert_allclose(priced.parts["gain"], placed.value, atol=1e-14)
    np.testing.assert_allclose(priced.total, -placed.value, atol=1e-14)


def test_decoding_in_turn_is_taking_turns_with_the_same_scores() -> None:
    state = under_way(MobileUsers.table_ii(), 5)
    scores = np.random.default_rng(0).normal(size=slot_of(state).training.shape)
    turn, world = begin_turn(state), np.arange(5)
    for _ in range(20):
        seen = observe_turn(turn)
        wanted = np.where(seen["fits"][:, 0], scores[world, turn.twin], -np.inf)
        turn = take_turn(turn, wanted.argmax(axis=1))
    assert (turn.edge == decode(state, {"scores": scores}).edge).all()


def test_turns_show_how_full_the_edges_have_become() -> None:
    state = under_way(MobileUsers.table_ii(), 1)
    turn = begin_turn(state)
    first = observe_turn(turn)["features"][0, 0]
    turn = take_turn(turn, np.array([4]))
    second = observe_turn(turn)["features"][0, 0]
    names = [name for name, _ in FEATURES]
    left, level = names.index("compute budget left"), names.index("saturation so far")
    assert (first[:, left] == 1).all()
    assert second[4, left] < 1
    assert second[4, level] > 0
    assert (np.delete(second[:, level], 4) == 0).all()


def test_a_twin_that_fits_nowhere_does_the_least_harm() -> None:
    scenario = replace(MobileUsers.table_ii(), users=3, edges=2, compute_budget=(60.0, 60.0))
    state = begin(scenario, 1, np.random.default_rng(0))
    turn = begin_turn(state)
    while turn.placed < 3:
        assert not observe_turn(turn)["fits"].all()
        turn = take_turn(turn, np.array([0]))
    assert set(turn.edge[0]) == {0, 1}
    action = finish(state, turn.edge)
    assert (action.share == 0).all()
    priced = cost(state, action)
    assert priced.parts["overload"][0] > 0
    assert priced.total[0] == pytest.approx(priced.parts["overload"][0] - priced.parts["gain"][0])


def test_an_overloaded_edge_trains_on_the_part_of_the_data_that_its_budget_carries() -> None:
    """The digest: q / C of each twin's data, on an edge whose twins ask for C of q."""
    scenario = replace(MobileUsers.table_ii(), users=3, edges=2, compute_budget=(60.0, 60.0))
    state = begin(scenario, 1, np.random.default_rng(0))
    asked = slot_of(state).training[0, :, 0].sum()
    assert asked > 60.0
    everyone = Action(np.zeros((1, 3), dtype=np.int64), np.zeros((1, 3)))
    parts = cost(state, everyone).parts
    trained = state.new_samples * 60.0 / asked
    assert parts["training_energy"][0] == pytest.approx(60.0 / 2)
    assert parts["overload"][0] == pytest.approx(asked / 60.0 - 1.0)
    fewer = data_utility(samples=trained, label_distance=state.label_distance).mean()
    assert parts["utility"][0] == pytest.approx(fewer)


def observed(users: int, edges: int, host: Integers) -> State:
    """One world laid out by hand, as a live cloud does it: nothing is drawn."""
    scenario = replace(MobileUsers(), users=users, edges=edges)
    crowd = users / edges / (20 / 9)
    position = np.stack([np.arange(users) % 20 * 6.0, np.arange(users) // 20 * 12.0], axis=1)[None]
    still = np.zeros((1, users))
    return State(
        scenario=scenario,
        edge_m=np.stack([np.linspace(0.0, 120.0, edges)] * 2, axis=1)[None],
        walk=Walk(position, position, still, still.astype(np.int64)),
        new_samples=np.full((1, users), 600.0),
        old_samples=np.full((1, users), 500.0),
        label_distance=np.full((1, users), 0.2),
        twin_bits=np.full((1, users), 4500.0),
        host=host[None],
        compute_budget=np.full((1, edges), 1450.0 * crowd),
        synchronisation_budget=np.full((1, edges), 125.0 * crowd),
        cycles_per_bit=np.full((1, edges), 55.0),
    )


@pytest.mark.parametrize("name", ["nearest", "hold", "pack_and_hold"])
@pytest.mark.parametrize("edges", [3, 20])
def test_a_state_laid_out_by_hand_is_decided_within_its_budgets(name: str, edges: int) -> None:
    first = observed(200, edges, np.full(200, NOWHERE))
    action = POLICIES[name](first, np.random.default_rng(0))
    assert (cost(first, action).parts["overload"] == 0).all()
    later = observed(200, edges, action.edge[0])
    again = POLICIES[name](later, np.random.default_rng(0))
    assert (cost(later, again).parts["overload"] == 0).all()
    assert cost(later, again).parts["moves"] == 0  # nothing has changed


def test_who_comes_later_is_hosted_where_others_are_and_nobody_else_is_moved() -> None:
    first = observed(40, 9, np.full(40, NOWHERE))
    packed = POLICIES["pack_and_hold"](first, np.random.default_rng(0)).edge[0]
    newcomers = np.array([3, 17, 38])
    host = packed.copy()
    host[newcomers] = NOWHERE
    settled = POLICIES["pack_and_hold"](observed(40, 9, host), np.random.default_rng(0)).edge[0]
    assert (np.delete(settled, newcomers) == np.delete(packed, newcomers)).all()
    assert np.isin(settled[newcomers], packed).all()


def test_what_is_observed_is_what_the_specification_names_and_near_one() -> None:
    state = under_way(MobileUsers.table_ii(label_distance=0.4), 8)
    seen = observe(state)
    assert set(seen) == {tensor.name for tensor in SPEC.inputs}
    assert seen["features"].shape == (8, 20, 9, len(FEATURES))
    assert seen["features"].dtype == np.float32
    assert seen["fits"].dtype == np.bool_
    assert np.abs(seen["features"]).max() <= 3.0
    assert np.isfinite(seen["features"]).all()


@settings(max_examples=10)
@given(st.integers(0, 1000))
def test_the_order_of_users_and_edges_carries_over_to_what_is_observed(seed: int) -> None:
    state = under_way(FEW, 1)
    generator = np.random.default_rng(seed)
    users, edges = generator.permutation(6), generator.permutation(3)
    turned = shuffle(state, users, edges)
    seen, again = observe(state)["features"], observe(turned)["features"]
    np.testing.assert_allclose(again, seen[:, users][:, :, edges], rtol=1e-5, atol=1e-6)
    place_of = np.argsort(edges)
    scores = generator.normal(size=(1, 6, 3))
    first = decode(state, {"scores": scores})
    second = decode(turned, {"scores": scores[:, users][:, :, edges]})
    assert (second.edge == place_of[first.edge[:, users]]).all()
    np.testing.assert_allclose(cost(turned, second).total, cost(state, first).total, atol=1e-13)


def shuffle(state: State, users: np.ndarray, edges: np.ndarray) -> State:
    names = ("position_m", "waypoint_m", "speed_mps", "pause_slots")
    walk = replace(state.walk, **{name: getattr(state.walk, name)[:, users] for name in names})
    return replace(
        state,
        walk=walk,
        edge_m=state.edge_m[:, edges],
        new_samples=state.new_samples[:, users],
        old_samples=state.old_samples[:, users],
        label_distance=state.label_distance[:, users],
        twin_bits=state.twin_bits[:, users],
        host=np.argsort(edges)[state.host[:, users]],
        compute_budget=state.compute_budget[:, edges],
        synchronisation_budget=state.synchronisation_budget[:, edges],
        cycles_per_bit=state.cycles_per_bit[:, edges],
    )


def test_the_same_seed_gives_the_same_worlds_whatever_is_done_in_them() -> None:
    first = Environment(PROBLEM, FEW, 9, batch=4)
    second = Environment(PROBLEM, FEW, 9, batch=4)
    generator = np.random.default_rng(0)
    for _ in range(5):
        first.step(POLICIES["hold"](first.state, generator))
        second.step(POLICIES["random"](second.state, generator))
    assert (first.state.walk.position_m == second.state.walk.position_m).all()
    assert (first.state.new_samples == second.state.new_samples).all()
    assert (first.state.host != second.state.host).any()


def test_distances_are_along_streets_and_nothing_for_who_is_nowhere() -> None:
    state = begin(MobileUsers.table_ii(), 2, np.random.default_rng(0))
    assert (state.host == NOWHERE).all()
    assert (move_distance_m(state) == 0).all()
    step = np.abs(state.walk.position_m[1, 3] - state.edge_m[1, 5])
    assert link_distance_m(state)[1, 3, 5] == step.sum()


def test_malformed_actions_are_named() -> None:
    state = under_way(FEW, 2)
    share = np.zeros((2, 6))
    with pytest.raises(InvalidArgument, match="edge is 3"):
        cost(state, Action(np.full((2, 6), 3), share))
    with pytest.raises(InvalidArgument, match=r"share is 1\.5"):
        cost(state, Action(np.zeros((2, 6), dtype=np.int64), share + 1.5))
    with pytest.raises(InvalidArgument, match=r"both must be \(2, 6\)"):
        cost(state, Action(np.zeros((2, 5), dtype=np.int64), share[:, :5]))
    with pytest.raises(InvalidArgument, match="scores"):
        decode(state, {"scores": np.zeros((2, 6, 4))})
