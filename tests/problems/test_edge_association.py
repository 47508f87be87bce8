"""Edge association as a problem: what is seen, what is feasible, what it costs."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin_runtime.physics.arguments import InvalidArgument
from twin_runtime.problems.edge_association import PROBLEM
from twin_runtime.problems.edge_association_policies import POLICIES, best_round
from twin_runtime.problems.edge_association_round import (
    Action,
    State,
    average_action,
    best_fractions,
    round_parts_s,
    sync_s,
)
from twin_runtime.problems.environment import Environment
from twin_runtime.problems.scenarios.five_stations import FiveStations
from twin_runtime.solvers.batches import batch_fractions
from twin_runtime.solvers.certificate import Infeasible

SEEDS = st.integers(0, 2**32 - 1)
SMALL = FiveStations(twins=30, samples_min=200, samples_max=800)


def begun(seed: int, scenario: FiveStations = SMALL, batch: int = 3) -> State:
    return PROBLEM.begin(scenario, batch, np.random.default_rng(seed))


def one_world(state: State, world: int) -> State:
    only = slice(world, world + 1)
    return State(
        state.scenario,
        state.samples[only],
        state.host[only],
        state.allowed[only],
        state.frequency_hz[only],
        state.rate_bps[only],
        state.broadcast_bps[only],
        state.access_bps[only],
    )


def scored(state: State, seed: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {
        "association": generator.normal(0, 2, state.allowed.shape),
        "share": generator.normal(0, 2, state.rate_bps.shape),
        "fraction": generator.normal(0, 2, state.frequency_hz.shape),
    }


@given(SEEDS)
@settings(max_examples=25)
def test_any_scores_become_a_feasible_action(seed: int) -> None:
    state = begun(seed)
    scores = scored(state, seed)
    for given_scores in (scores, {"association": scores["association"]}):
        action = PROBLEM.decode(state, given_scores)
        assert action.share.sum(axis=1) == pytest.approx(1.0)
        assert (action.share >= 0).all()
        assert (action.fraction >= 0.02 - 1e-12).all()
        assert (action.fraction <= 1.0).all()
        assert np.isfinite(PROBLEM.cost(state, action).total).all()


@given(SEEDS)
@settings(max_examples=25)
def test_worlds_are_decoded_and_paid_together_as_they_are_alone(seed: int) -> None:
    state = begun(seed)
    scores = scored(state, seed)
    action = PROBLEM.decode(state, scores)
    total = PROBLEM.cost(state, action).total
    for world in range(3):
        alone = one_world(state, world)
        only = {name: values[world : world + 1] for name, values in scores.items()}
        other = PROBLEM.decode(alone, only)
        assert other.host.tolist() == action.host[world : world + 1].tolist()
        assert PROBLEM.cost(alone, other).total[0] == pytest.approx(total[world])


@given(SEEDS)
@settings(max_examples=25)
def test_shares_and_batches_that_are_not_scored_are_the_best_ones(seed: int) -> None:
    state = begun(seed)
    scores = scored(state, seed)
    best = PROBLEM.decode(state, {"association": scores["association"]})
    for left_out in ({"share"}, {"fraction"}, {"share", "fraction"}):
        some = {name: values for name, values in scores.items() if name in left_out}
        worse = PROBLEM.decode(state, {"association": scores["association"]} | some)
        assert worse.host.tolist() == best.host.tolist()
        total = PROBLEM.cost(state, worse).total
        assert (PROBLEM.cost(state, best).total <= total * (1 + 1e-9)).all()


def test_twins_alike_with_scores_alike_are_spread_all_the_same() -> None:
    """An argmax per twin would put all on one station: 13.9 s of training, not 4.0."""
    state = begun(0, FiveStations(load_max=0.0, fades=False), batch=1)
    speed = np.log(state.scenario.frequency_max_hz)
    action = PROBLEM.decode(state, {"association": np.tile(speed, (1, 100, 1))})
    action = replace(action, fraction=np.full((1, 100), 0.1))
    assert np.bincount(action.host[0]).tolist() == [20, 14, 28, 19, 19]
    assert round_parts_s(state, action)["training_s"] == pytest.approx(3.958333)
    herd = replace(action, host=np.full((1, 100), 2))
    assert round_parts_s(state, herd)["training_s"] == pytest.approx(13.88889)


@given(SEEDS)
@settings(max_examples=25)
def test_no_station_takes_more_than_asked_by_a_whole_twin(seed: int) -> None:
    state = begun(seed)
    logits = scored(state, seed)["association"]
    host = PROBLEM.decode(state, {"association": logits}).host
    wanted = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    target = (wanted * state.samples[:, :, None]).sum(axis=1)
    load = ((host[:, :, None] == np.arange(5)) * state.samples[:, :, None]).sum(axis=1)
    assert (load - target <= state.samples.max(axis=1, keepdims=True)).all()


def test_a_twin_stays_where_it_is_allowed() -> None:
    state = begun(1)
    allowed = state.allowed.copy()
    allowed[:, :, 0] = False
    allowed[:, 3] = [True, False, False, False, False]
    state = replace(state, allowed=allowed)
    host = PROBLEM.decode(state, {"association": np.zeros(allowed.shape)}).host
    assert (host[:, 3] == 0).all()
    assert (np.delete(host, 3, axis=1) > 0).all()


def test_a_station_hosts_no_more_twins_than_it_may() -> None:
    state = begun(2, replace(SMALL, twins_max=7))
    logits = np.tile([9.0, 0, 0, 0, 0], (3, 30, 1))
    host = PROBLEM.decode(state, {"association": logits}).host
    assert max(np.bincount(world).max() for world in host) == 7


def test_a_twin_that_is_allowed_nowhere_is_infeasible() -> None:
    state = begun(3)
    allowed = state.allowed.copy()
    allowed[1, 4] = False
    with pytest.raises(Infeasible, match="twin 4 of world 1 has no allowed station"):
        PROBLEM.decode(replace(state, allowed=allowed), {"association": np.zeros(allowed.shape)})


def test_malformed_scores_and_actions_are_named() -> None:
    state = begun(4)
    good = scored(state, 4)
    for name in good:
        with pytest.raises(InvalidArgument, match=f"{name} has the shape"):
            PROBLEM.decode(state, good | {name: good[name][:, :-1]})
    action = average_action(state)
    for bad, named in (
        (Action(action.host, action.fraction, 2 * action.share), "share sums to 2"),
        (Action(action.host + 1, action.fraction, action.share), "host is 5"),
        (Action(action.host[:, :-1], action.fraction, action.share), "must be those of"),
        (Action(action.host, 0 * action.fraction, action.share), "fraction is 0"),
    ):
        with pytest.raises(InvalidArgument, match=named):
            PROBLEM.cost(state, bad)
    shut = replace(state, allowed=state.host[:, :, None] != np.arange(5))
    with pytest.raises(InvalidArgument, match="where it is not allowed"):
        PROBLEM.cost(shut, action)


def test_average_hosting_costs_one_for_every_station() -> None:
    state = begun(5)
    total = PROBLEM.cost(state, average_action(state)).total
    assert total.shape == (3, 5)
    assert total == pytest.approx(1.0)


def test_with_the_same_batches_the_cost_is_the_time_of_a_round() -> None:
    state = begun(6)
    action = POLICIES["live_flat"](state, np.random.default_rng(0))
    cost = PROBLEM.cost(state, action)
    relative = cost.parts["round_s"] / cost.parts["reference_round_s"]
    assert cost.total[:, 0] == pytest.approx(relative)


SYNCS = replace(SMALL, sync_bits=4e6)


def test_a_station_waits_for_the_syncs_of_all_its_twins_before_it_trains() -> None:
    state = begun(13, SYNCS)
    action = average_action(state)
    sync = sync_s(state)
    assert sync == pytest.approx(4e6 / state.access_bps)
    computing = 1e7 * 0.1 * state.samples[:, :, None] / state.frequency_hz[:, None]
    here = action.host[:, :, None] == np.arange(5)
    slowest = np.where(here, sync + computing, 0.0).sum(axis=1).max(axis=1)
    assert round_parts_s(state, action)["training_s"] == pytest.approx(slowest)
    without = replace(state, scenario=SMALL)
    assert (round_parts_s(without, action)["training_s"] < slowest).all()


def test_links_are_seen_where_devices_sync_and_devices_stay_where_they_are() -> None:
    world = Environment(PROBLEM, SYNCS, seed=13, batch=2)
    before = world.state.access_bps
    link = PROBLEM.observe(world.state)["pair"][..., 1]
    assert (link.argmax(axis=2) == before.argmax(axis=2)).all()
    assert len(np.unique(link.argmax(axis=2))) > 1
    assert world.step(average_action(world.state)).state.access_bps is before
    assert not PROBLEM.observe(begun(13))["pair"][..., 1].any()


def test_the_oracle_hosts_twins_where_they_may_be_and_certifies_the_round() -> None:
    state = begun(14, SYNCS)
    allowed = state.allowed.copy()
    allowed[:, 3] = [True, False, False, False, False]
    state = replace(state, allowed=allowed)
    best = best_round(state)
    assert (best.action.host[:, 3] == 0).all()
    parts = round_parts_s(state, best.action)
    phases = ("training_s", "aggregation_s", "upload_s", "verification_s")
    assert sum(parts[phase] for phase in phases) == pytest.approx(best.value_s)
    assert (best.bound_s <= best.value_s).all()
    assert (best.value_s - best.bound_s <= 0.04 * parts["round_s"]).all()


def test_the_oracle_of_one_upload_per_twin_has_a_bound_for_twins_that_differ() -> None:
    best = best_round(begun(15, replace(SMALL, upload="per_twin")))
    assert (best.bound_s <= best.value_s * (1 + 1e-9)).all()
    assert (best.value_s <= 1.03 * best.bound_s).all()
    with pytest.raises(InvalidArgument, match="one upload per twin is for twins without syncs"):
        best_round(begun(15, replace(SYNCS, upload="per_twin")))


def test_batches_are_near_the_best_where_devices_sync() -> None:
    state = begun(16, SYNCS)
    action = average_action(state)
    best = best_fractions(state, action.host, action.share)
    total = PROBLEM.cost(state, replace(action, fraction=best)).total
    for factor in (0.5, 0.8, 1.25, 2.0):
        other = replace(action, fraction=np.clip(best * factor, 0.02, 1.0))
        assert (total <= 1.01 * PROBLEM.cost(state, other).total).all()


def test_moving_twins_costs_what_their_bundles_take() -> None:
    state = begun(7, replace(SMALL, bundle_bits=1e9, backhaul_bps=2e9))
    stay, move = average_action(state), average_action(state)
    host = move.host.copy()
    host[:, :4] = (host[:, :4] + 1) % 5
    moved = round_parts_s(state, replace(move, host=host))
    assert moved["migration_s"].tolist() == [2.0, 2.0, 2.0]
    assert round_parts_s(state, stay)["migration_s"].tolist() == [0.0, 0.0, 0.0]


@given(SEEDS)
@settings(max_examples=20)
def test_what_is_seen_does_not_depend_on_units_or_the_order_of_stations(seed: int) -> None:
    state = begun(seed)
    seen = PROBLEM.observe(state)
    faster = replace(state, rate_bps=1e3 * state.rate_bps)
    scaled = PROBLEM.observe(faster)
    order = np.random.default_rng(seed).permutation(5)
    other = PROBLEM.observe(
        replace(
            state,
            host=np.argsort(order)[state.host],
            frequency_hz=state.frequency_hz[:, order],
            rate_bps=state.rate_bps[:, order],
        )
    )
    for name in seen:
        assert scaled[name] == pytest.approx(seen[name], abs=1e-5)
    for name in ("station", "channel"):
        assert other[name] == pytest.approx(seen[name][:, order], abs=1e-6)
    assert other["pair"] == pytest.approx(seen["pair"][:, :, order])


def test_what_is_seen_has_the_shapes_and_types_of_the_specification() -> None:
    state = begun(8)
    sizes = {"batch": 3, "twin": 30, "station": 5, "channel": 5}
    seen = PROBLEM.observe(state)
    assert set(seen) == {tensor.name for tensor in PROBLEM.spec.inputs}
    for tensor in PROBLEM.spec.inputs:
        axes = [sizes.get(axis, len(tensor.features)) for axis in tensor.axes]
        assert list(seen[tensor.name].shape) == axes
        assert str(seen[tensor.name].dtype) == tensor.dtype
        assert np.isfinite(seen[tensor.name]).all()


def test_the_next_round_keeps_hosts_and_samples_and_draws_the_rest() -> None:
    world = Environment(PROBLEM, SMALL, seed=9, batch=4)
    before = world.state
    action = PROBLEM.decode(before, scored(before, 9))
    step = world.step(action)
    assert step.state.host is action.host
    assert step.state.samples is before.samples
    assert (step.state.rate_bps != before.rate_bps).all()
    clocks = step.state.frequency_hz / np.array(SMALL.frequency_max_hz)
    assert 0.6 <= clocks.min() <= clocks.max() <= 1.0


ALIKE = replace(SMALL, samples_min=500, samples_max=500)
PER_TWIN = replace(ALIKE, upload="per_twin")
DECIDE_BATCHES = {"full_data", "average_adaptive", "oracle_best_batches", "oracle_adaptive"}


def ratio(state: State, name: str) -> np.ndarray:
    action = POLICIES[name](state, np.random.default_rng(0))
    return PROBLEM.cost(state, action).total[:, 0]


@pytest.mark.parametrize("scenario", [ALIKE, PER_TWIN], ids=["one_model", "per_twin"])
def test_no_rule_makes_a_shorter_round_than_the_oracle(scenario: FiveStations) -> None:
    state = begun(10, scenario, batch=2)
    best = ratio(state, "oracle")
    for name in POLICIES.keys() - DECIDE_BATCHES:
        assert (best <= ratio(state, name) * (1 + 1e-9)).all()


def test_no_rule_learns_faster_than_the_oracle_of_learning() -> None:
    state = begun(10, ALIKE, batch=2)
    best = ratio(state, "oracle_adaptive")
    for name in POLICIES:
        assert (best <= ratio(state, name) * (1 + 1e-9)).all()


def test_the_oracle_of_learning_says_what_it_is_not_for() -> None:
    for scenario in (SMALL, PER_TWIN):
        with pytest.raises(InvalidArgument, match="this oracle is for twins that are alike"):
            ratio(begun(11, scenario), "oracle_adaptive")


def test_the_oracle_serves_twins_that_differ() -> None:
    state = begun(11)
    best = ratio(state, "oracle")
    for name in ("random", "average", "average_best", "nominal", "live_flat"):
        assert (best <= ratio(state, name)).all()


def test_one_fraction_per_station_is_what_the_solver_of_batches_gives() -> None:
    state = begun(12)
    action = POLICIES["average_adaptive"](state, np.random.default_rng(0))
    parts = round_parts_s(state, action)
    loads = ((action.host[:, :, None] == np.arange(5)) * state.samples[:, :, None]).sum(axis=1)
    batches = batch_fractions(
        samples=loads,
        frequency_hz=state.frequency_hz,
        constant_s=parts["round_s"] - parts["training_s"],
        learning=state.scenario.learning,
    )
    assert parts["training_s"] == pytest.approx(batches.training_s)
    assert action.fraction[:, :5] == pytest.approx(batches.fraction)
