from dataclasses import replace

import numpy as np
import pytest

from twin_runtime.physics.arguments import Array, InvalidArgument
from twin_runtime.physics.queues import Drift
from twin_runtime.physics.units import linear_to_db
from twin_runtime.problems.access import PROBLEM, SPEC, begin, cost, decode, observe, transition
from twin_runtime.problems.access_state import (
    Action,
    State,
    available,
    outcome,
    solver_slot,
    with_channel,
)
from twin_runtime.problems.environment import Environment
from twin_runtime.problems.scenarios.smart_park import Credit, SmartPark
from twin_runtime.solvers.access_frequencies import allocate

PARK = SmartPark(devices=60, scheduled=8, slots=50, delay_weight=30.0)


def parks(batch: int = 3, park: SmartPark = PARK, seed: int = 0) -> State:
    return begin(park, batch, np.random.default_rng(seed))


def scores(state: State, seed: int = 0) -> dict[str, Array]:
    return {"score": np.random.default_rng(seed).random(state.samples.shape)}


def run(slots: int, seed: int = 0, park: SmartPark = PARK) -> Environment[SmartPark, State, Action]:
    environment = Environment(PROBLEM, park, seed=0, batch=2)
    for slot in range(slots):
        environment.step(decode(environment.state, scores(environment.state, seed + slot)))
    return environment


def test_the_park_has_the_channel_of_the_digest() -> None:
    state = parks(batch=40, park=SmartPark(), seed=1)
    sinr = state.gain * 0.1995262 / (state.interference_w + 3.981072e-15)
    low, middle, high = np.quantile(10 * np.log10(sinr), [0.01, 0.5, 0.99])
    assert (low, middle) == pytest.approx((0, 20), abs=1.0)
    assert high == pytest.approx(54, abs=1.5)
    assert np.median(state.uplink.upload_s) == pytest.approx(7.5e-3, rel=0.05)
    assert np.quantile(state.uplink.upload_s, 0.99) == pytest.approx(0.050, rel=0.1)
    assert state.uplink.error_rate.mean() == pytest.approx(0.047, abs=0.003)
    assert state.arrives.mean() == pytest.approx(0.953, abs=0.005)
    budget_j = state.energy_budget_j * 500
    assert (budget_j.min(), budget_j.max()) == pytest.approx((25.0, 125.0), abs=0.1)
    assert (state.samples.min(), state.samples.max()) == (100, 400)


def test_the_digest_s_decibels_are_those_of_one_park() -> None:
    state = parks(batch=1, park=SmartPark(), seed=0)
    sinr = state.gain * 0.1995262 / (state.interference_w + 3.981072e-15)
    quantiles = np.quantile(linear_to_db(sinr), [0.01, 0.5, 0.99])
    assert np.round(quantiles).tolist() == [0, 20, 56]  # ten devices make the last: 54 +- 2.5


def test_what_is_observed_is_what_the_specification_says() -> None:
    state = run(5).state
    observation = observe(state)
    assert set(observation) == {tensor.name for tensor in SPEC.inputs}
    assert observation["features"].shape == (2, 60, len(SPEC.inputs[0].features))
    for tensor in SPEC.inputs:
        seen = observation[tensor.name]
        assert seen.dtype == tensor.dtype
        assert seen.ndim == len(tensor.axes)
        assert np.isfinite(seen).all()
    assert np.abs(observation["features"]).max() <= 20.0
    assert observation["log10_delay_weight"] == pytest.approx(np.log10(30.0))


def test_features_are_those_of_the_digest() -> None:
    state = replace(
        parks(batch=1),
        slot=9,
        priority_queue=np.full((1, 60), 1.5),
        energy_queue_j=np.full((1, 60), 0.4),
        energy_budget_j=np.full((1, 60), 0.1),
        samples=np.full((1, 60), 400.0),
        rate_min=np.full((1, 60), 0.3),
        last_scheduled=np.full((1, 60), 4.0),
    )
    row = observe(state)["features"][0, 0]
    upload_s, error_rate = state.uplink.upload_s[0, 0], state.uplink.error_rate[0, 0]
    expected = [
        *(np.log(2.5), 0.3, np.log(5.0), 0.4, 4e8 / 1.5e9, upload_s, 0.9 / 0.1, error_rate),
        *(0.1, 8 / 60),
    ]
    assert row == pytest.approx(expected, rel=1e-6)


def test_the_best_scored_devices_get_their_best_clocks() -> None:
    state = run(5).state
    given = scores(state)
    action = decode(state, given)
    for world in range(2):
        devices = np.sort(np.argsort(-given["score"][world])[:8])
        assert np.flatnonzero(action.scheduled[world]).tolist() == devices.tolist()
        best = allocate(solver_slot(state).take((world, devices)))
        assert action.frequency_hz[world, devices] == pytest.approx(best.frequency_hz, rel=1e-9)
    assert (action.frequency_hz[~action.scheduled] == 0).all()


def test_the_price_is_the_objective_of_the_solver() -> None:
    for drift in Drift:
        state = run(6, park=replace(PARK, drift=drift)).state
        action = decode(state, scores(state))
        slot = solver_slot(state)
        for world, total in enumerate(cost(state, action).total):
            devices = np.flatnonzero(action.scheduled[world])
            value = slot.take((world, devices)).objective(action.frequency_hz[world, devices])
            assert total == pytest.approx(value, rel=1e-12)


def test_the_server_averages_what_arrived_and_sends_it_out() -> None:
    state = run(3).state
    parts = cost(state, decode(state, scores(state))).parts
    server_s = parts["iteration_s"] - parts["device_s"]
    assert server_s == pytest.approx(parts["arrived"] * 1e-3 + 0.01)


def test_queues_bound_what_is_broken_over_a_horizon() -> None:
    end = run(50).state
    assert end.slot == 50
    given = end.scheduled_slots / 50
    assert (given >= end.rate_min - end.priority_queue / 50 - 1e-12).all()
    assert (end.spent_j <= 50 * end.energy_budget_j + end.energy_queue_j + 1e-9).all()
    assert end.scheduled_slots.sum(axis=-1).tolist() == [400, 400]


def test_an_upload_that_is_lost_counts_only_where_training_does() -> None:
    trained, arrived = (run(50, park=replace(PARK, credit=credit)).state for credit in Credit)
    assert (trained.credited_slots == trained.scheduled_slots).all()
    assert (arrived.scheduled_slots == trained.scheduled_slots).all()
    assert (arrived.credited_slots <= arrived.scheduled_slots).all()
    lost = 1.0 - arrived.credited_slots.sum() / arrived.scheduled_slots.sum()
    assert lost == pytest.approx(0.047, abs=0.03)
    assert (arrived.priority_queue >= trained.priority_queue).all()
    given = arrived.credited_slots / 50
    assert (given >= arrived.rate_min - arrived.priority_queue / 50 - 1e-12).all()


def test_the_world_goes_on_the_same_whatever_is_done() -> None:
    one, other = run(10, seed=0).state, run(10, seed=500).state
    assert (one.gain == other.gain).all()
    assert (one.arrives == other.arrives).all()
    assert (one.scheduled_slots != other.scheduled_slots).any()


def test_the_same_seed_gives_the_same_park() -> None:
    one, other = parks(seed=3), parks(seed=3)
    assert (one.gain == other.gain).all()
    assert (one.rate_min == other.rate_min).all()
    assert (one.gain != parks(seed=4).gain).all()


def test_a_device_without_energy_for_one_pass_is_left_out() -> None:
    state = parks(batch=2)
    battery = state.battery_j.copy()
    battery[0, 5:] = 1e-6
    state = replace(state, battery_j=battery)
    assert available(state)[0].sum() == 5
    action = decode(state, scores(state))
    assert np.flatnonzero(action.scheduled[0]).tolist() == [0, 1, 2, 3, 4]
    assert action.scheduled[1].sum() == 8
    priced = cost(state, action)
    assert np.isfinite(priced.total).all()


def test_a_park_without_energy_rests() -> None:
    state = parks(batch=1)
    state = replace(state, battery_j=np.zeros_like(state.battery_j))
    action = decode(state, scores(state))
    assert not action.scheduled.any()
    priced = cost(state, action)
    assert priced.total == 0.0
    assert priced.parts["iteration_s"] == pytest.approx(0.01)
    after = transition(state, action, np.random.default_rng(0))
    assert (after.priority_queue == state.rate_min).all()


def test_nobody_spends_more_than_its_battery_holds() -> None:
    state = run(20, park=replace(PARK, battery_j=0.4)).state
    full = begin(replace(PARK, battery_j=0.4), 2, np.random.default_rng(0))
    assert (state.battery_j >= 0).all()
    assert (state.spent_j <= full.battery_j.max() + 1e-12).all()
    assert not available(state).all()


def test_a_busy_device_runs_at_its_cap_and_is_late() -> None:
    state = parks(batch=1, park=replace(PARK, load_max=0.3))
    assert state.frequency_max_hz.min() >= 0.7 * 1.5e9
    assert state.frequency_max_hz.max() <= 1.5e9
    assert np.ptp(state.frequency_max_hz) > 0
    everyone = np.ones((1, 60), dtype=bool)
    hasty = Action(
        scheduled=everyone, frequency_hz=np.full((1, 60), 1.5e9), close_s=np.full(1, np.inf)
    )
    times = outcome(state, hasty).time_s - state.uplink.upload_s
    assert times == pytest.approx(state.samples * 1e6 / state.frequency_max_hz)


def test_a_closed_round_waits_for_nobody_and_counts_no_late_upload() -> None:
    state = run(3).state
    action = decode(state, scores(state))
    times = np.where(action.scheduled, outcome(state, action).time_s, 0.0)
    middle = np.median(times[action.scheduled])
    closed = replace(action, close_s=np.full(2, middle))
    parts = cost(state, closed).parts
    assert parts["device_s"] == pytest.approx(np.minimum(times.max(axis=-1), middle))
    assert (times > middle).any()
    arrived = (action.scheduled & state.arrives & (times <= middle)).sum(axis=-1)
    assert parts["arrived"].tolist() == arrived.tolist()
    assert parts["energy_j"].tolist() == cost(state, action).parts["energy_j"].tolist()


def test_a_stronger_channel_uploads_faster_and_loses_less() -> None:
    state = parks()
    better = with_channel(state, 10.0 * state.gain, state.interference_w)
    assert (better.uplink.upload_s < state.uplink.upload_s).all()
    assert (better.uplink.error_rate < state.uplink.error_rate).all()


def test_scores_that_are_no_numbers_are_named() -> None:
    state = parks(batch=1)
    with pytest.raises(InvalidArgument, match=r"score is nan at \[0, 0\]"):
        decode(state, {"score": np.full((1, 60), np.nan)})


def test_a_live_edge_has_no_transition() -> None:
    state = replace(parks(batch=1), world=None)
    action = decode(state, scores(state))
    with pytest.raises(AssertionError, match="reality"):
        transition(state, action, np.random.default_rng(0))
