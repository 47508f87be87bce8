from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin_runtime.physics.arguments import InvalidArgument
from twin_runtime.problems.environment import Environment
from twin_runtime.problems.scenarios.industrial_iot import Fading, Gate, IndustrialIot
from twin_runtime.problems.subchannels import (
    PROBLEM,
    SPEC,
    Action,
    cost,
    decode,
    divisions,
    fastest_hz,
    observe,
    uplink_at,
    uplink_at_full_speed,
    with_clocks,
    without_slowest,
)
from twin_runtime.problems.subchannels_fleet import State, cycles, select, update_weight
from twin_runtime.problems.subchannels_policies import (
    POLICIES,
    certificate,
    equal,
    group_clocks_hz,
    in_mean_time,
    joint_bound_j,
)
from twin_runtime.solvers.certificate import Infeasible

SMALL = IndustrialIot(users=12, participants=5, subchannels=14, bandwidth_hz=14 * 200e3)


def begun(seed: int = 0, batch: int = 3, scenario: IndustrialIot = SMALL) -> State:
    return PROBLEM.begin(scenario, batch, np.random.default_rng(seed))


def generator() -> np.random.Generator:
    return np.random.default_rng(9)


def shares(state: State, seed: int = 0) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed).random((*state.active.shape, state.fading.shape[-1]))
    return {"shares": (draw / draw.sum(axis=1, keepdims=True)).astype(np.float32)}


def test_defaults_give_the_magnitudes_of_the_digest() -> None:
    state = begun(batch=200, scenario=IndustrialIot(participants=100, gate=Gate.RANDOM))
    uplink = uplink_at(state, state.of_participants(state.frequency_max_hz))
    energy = 1e-27 * state.of_participants(cycles(state) * state.frequency_max_hz**2)
    for values, expected in (
        (uplink.computing_s, (0.19, 0.49, 1.04)),
        (energy, (0.21, 0.79, 2.1)),
        (uplink.model_bits / uplink.rates_bps, (0.36, 0.88, 3.8)),
    ):
        assert np.percentile(values, (5, 50, 95)) == pytest.approx(expected, rel=0.06)
    assert uplink.rates_bps.max() == pytest.approx(2.0e6, rel=0.01)
    assert state.samples.sum(axis=-1) == pytest.approx(60_000)
    assert uplink.subchannels_max == 20


def test_the_observation_is_what_the_specification_says() -> None:
    state = begun()
    seen = observe(state)
    assert set(seen) == {tensor.name for tensor in SPEC.inputs}
    pairs = SPEC.inputs[0]
    assert seen["pairs"].shape == (3, 5, 14, len(pairs.features))
    assert seen["pairs"].dtype == np.float32
    assert seen["participates"].tolist() == state.active.tolist()
    assert np.isfinite(seen["pairs"]).all()


@given(st.integers(0, 999))
@settings(max_examples=20)
def test_participants_in_another_order_are_seen_and_served_in_that_order(seed: int) -> None:
    state = begun(seed)
    order = np.random.default_rng(seed).permutation(5)
    mixed = replace(state, participants=state.participants[:, order])
    assert observe(mixed)["pairs"] == pytest.approx(observe(state)["pairs"][:, order], abs=1e-5)
    given_shares = shares(state, seed)
    turned = {"shares": given_shares["shares"][:, order]}
    before, after = decode(state, given_shares), decode(mixed, turned)
    assert cost(mixed, after).total == pytest.approx(cost(state, before).total)


@given(st.integers(0, 999))
@settings(max_examples=20)
def test_whatever_a_policy_answers_becomes_a_feasible_action(seed: int) -> None:
    state = begun(seed)
    action = decode(state, shares(state, seed))
    uplink = uplink_at_full_speed(state)
    assert uplink.feasible(action.owner).all()
    assert (action.frequency_hz >= state.scenario.frequency_min_hz).all()
    assert (action.frequency_hz <= fastest_hz(state)).all()


def test_a_policy_is_never_worse_than_the_start_without_one() -> None:
    state = begun(batch=8)
    uplink = uplink_at_full_speed(state)
    both = divisions(uplink, shares(state))
    chosen = uplink.makespan_s(decode(state, shares(state)).owner)
    assert (chosen <= uplink.makespan_s(both[:, 0]) * (1 + 1e-12)).all()
    assert (chosen <= uplink.makespan_s(both[:, 1]) * (1 + 1e-12)).all()


def test_an_answer_that_is_no_share_is_refused() -> None:
    state = begun()
    broken = {"shares": np.full((3, 5, 14), np.nan, dtype=np.float32)}
    with pytest.raises(InvalidArgument, match="shares is nan"):
        decode(state, broken)


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_serves_all_participants_within_their_limits(name: str) -> None:
    for scenario in (SMALL, replace(SMALL, participants=12, power_max_w=0.05)):
        state = begun(1, batch=4, scenario=scenario)
        action = POLICIES[name](state, generator())
        assert uplink_at(state, action.frequency_hz).feasible(action.owner).all()
        spent = cost(state, action)
        assert np.isfinite(spent.total).all()
        assert (spent.parts["mean_time_s"] <= spent.parts["time_s"] * (1 + 1e-12)).all()


def test_the_oracle_costs_least_and_the_fastest_takes_least_time() -> None:
    state = begun(2, batch=20)
    spent = {name: cost(state, policy(state, generator())) for name, policy in POLICIES.items()}
    for name, each in spent.items():
        # Where two divisions take equally long, the energy of sending may differ a little.
        assert (spent["oracle"].total <= each.total * (1 + 1e-3)).all(), name
        assert (spent["fastest"].parts["time_s"] <= each.parts["time_s"] * (1 + 1e-9)).all(), name


def test_the_oracle_is_near_a_bound_that_no_policy_passes() -> None:
    state = begun(2, batch=20)
    best = POLICIES["oracle"](state, generator())
    bound = joint_bound_j(state, best)
    for name, policy in POLICIES.items():
        assert (bound <= cost(state, policy(state, generator())).total).all(), name
    proof = certificate(state, best)
    assert proof.value == pytest.approx(cost(state, best).total.sum())
    assert proof.bound == pytest.approx(bound.sum())
    assert proof.gap < 0.02


def test_the_cost_is_worked_out_by_hand_for_one_world() -> None:
    state = begun(4, batch=1)
    action = equal(state, generator())
    scenario, user = state.scenario, state.participants[0]
    work = state.samples[0, user] * state.cycles_per_sample[0, user]
    uplink = uplink_at(state, action.frequency_hz)
    rate = np.array([uplink.rates_bps[0, i, action.owner[0] == i].sum() for i in range(5)])
    count = np.array([(action.owner[0] == i).sum() for i in range(5)])
    upload = scenario.model_bits / rate
    time = (work / action.frequency_hz[0] + upload).max()
    energy = (1e-27 * work * action.frequency_hz[0] ** 2 + count * 0.01 * upload).sum()
    spent = cost(state, action)
    assert spent.parts["time_s"][0] == pytest.approx(time)
    assert spent.parts["energy_j"][0] == pytest.approx(energy)
    assert spent.total[0] == pytest.approx(0.3 * 5 * time + energy)
    assert count.tolist() == [2] * 5


def test_energy_caps_the_clock_of_a_heavy_user() -> None:
    state = begun(5, batch=40)
    energy = 1e-27 * state.of_participants(cycles(state)) * fastest_hz(state) ** 2
    assert energy.max() <= state.scenario.energy_max_j
    assert (fastest_hz(state) <= state.of_participants(state.frequency_max_hz)).all()
    assert (group_clocks_hz(state) <= fastest_hz(state)).all()


def test_the_gap_grows_until_a_user_is_aggregated() -> None:
    environment = Environment(PROBLEM, SMALL, seed=3, batch=4)
    for _ in range(6):
        before = environment.state
        environment.step(equal(before, environment.generator))
        after = environment.state.gap_rounds
        part = np.zeros(after.shape, dtype=bool)
        np.put_along_axis(part, before.participants, values=True, axis=-1)
        assert (after[part] == 1).all()
        assert (after[~part] == before.gap_rounds[~part] + 1).all()


@pytest.mark.parametrize("gate", [Gate.PAPER, Gate.SPEED])
def test_the_largest_update_weights_take_part(gate: Gate) -> None:
    state = begun(6, scenario=replace(SMALL, gate=gate))
    weight = update_weight(state)
    chosen = np.take_along_axis(weight, state.participants, axis=-1)
    assert (np.diff(chosen, axis=-1) <= 0).all()
    assert (chosen.min(axis=-1) >= np.sort(weight, axis=-1)[:, -5]).all()


def test_who_was_silent_too_long_takes_part() -> None:
    state = begun(7)
    gap = state.gap_rounds.copy()
    gap[:, 3] = 15
    change = np.ones(gap.shape)
    change[:, 3] = 1e-6
    chosen = select(replace(state, gap_rounds=gap), change, generator())
    assert (chosen.participants == 3).any(axis=-1).all()


def test_a_random_gate_takes_all_users_equally_often() -> None:
    state = begun(8, batch=2_000, scenario=replace(SMALL, gate=Gate.RANDOM))
    often = np.bincount(state.participants.ravel(), minlength=12) / 2_000
    assert often == pytest.approx(np.full(12, 5 / 12), abs=0.05)


def test_flat_fading_gives_a_user_one_rate() -> None:
    scenario = replace(SMALL, fading=Fading.FLAT)
    environment = Environment(PROBLEM, scenario, seed=0, batch=2)
    for _ in range(3):
        rates = uplink_at_full_speed(environment.state).rates_bps
        assert (rates == rates[..., :1]).all()
        environment.step(equal(environment.state, environment.generator))
    assert np.ptp(uplink_at_full_speed(begun()).rates_bps, axis=-1).min() > 0


def test_the_slowest_are_left_out_until_the_mean_time_holds() -> None:
    scenario = replace(SMALL, mean_time_max_s=1.2, participants_min=2)
    state = begun(1, batch=12, scenario=scenario)
    kept, action = in_mean_time(POLICIES["equal"], state, generator())
    spent = cost(kept, action).parts["mean_time_s"]
    count = kept.active.sum(axis=-1)
    assert ((spent <= 1.2) | (count == 2)).all()
    assert count.min() >= 2
    assert count.max() == 5
    assert count.min() < 5
    assert (kept.active <= state.active).all()
    assert without_slowest(kept, action).active.tolist() == kept.active.tolist()


def test_a_live_edge_s_single_world_is_the_same_world_of_a_batch() -> None:
    state = begun(3, batch=4)
    alone = State(
        scenario=state.scenario,
        **{name: getattr(state, name)[2:3] for name in State.__slots__ if name != "scenario"},
    )
    assert observe(alone)["pairs"].tobytes() == observe(state)["pairs"][2:3].tobytes()
    action = decode(state, shares(state))
    own = Action(action.frequency_hz[2:3], action.owner[2:3])
    assert cost(alone, own).total == cost(state, action).total[2:3]


def test_the_same_seed_gives_the_same_worlds() -> None:
    one, other = (Environment(PROBLEM, SMALL, seed=5, batch=2) for _ in range(2))
    for _ in range(3):
        for each in (one, other):
            each.step(POLICIES["oracle"](each.state, each.generator))
    assert one.state.fading.tolist() == other.state.fading.tolist()
    assert one.state.participants.tolist() == other.state.participants.tolist()


def test_bad_scenarios_are_named() -> None:
    with pytest.raises(InvalidArgument, match="participants is 13; there are 12 users"):
        replace(SMALL, participants=13)
    with pytest.raises(Infeasible, match="15 participants need a sub-channel each; there are 14"):
        replace(SMALL, users=20, participants=15)
    with pytest.raises(InvalidArgument, match="bandwidth_hz is -1"):
        replace(SMALL, bandwidth_hz=-1.0)
    with pytest.raises(InvalidArgument, match="samples_min is 2000, above samples_max, 1100"):
        replace(SMALL, samples_min=2000.0)
    with pytest.raises(InvalidArgument, match=r"stay is 1\.1"):
        replace(SMALL, stay=1.1)
    with pytest.raises(Infeasible, match="an upload takes up to"):
        begun(scenario=replace(SMALL, energy_max_j=1e-4))


def test_the_clocks_of_a_division_are_the_cheapest_for_it() -> None:
    state = begun(6, batch=10)
    uplink, draw = uplink_at_full_speed(state), generator()
    owner = equal(state, draw).owner
    best = cost(state, with_clocks(state, uplink, owner)).total
    for _ in range(30):
        slower = draw.uniform(0.3, 1.0, state.active.shape)
        clock = np.maximum(fastest_hz(state) * slower, state.scenario.frequency_min_hz)
        assert (best <= cost(state, Action(clock, owner)).total * (1 + 1e-12)).all()
