from dataclasses import replace

import numpy as np
import pytest

from twin_runtime.physics.queues import Drift
from twin_runtime.problems.access import PROBLEM, cost
from twin_runtime.problems.access_policies import POLICIES
from twin_runtime.problems.access_state import State, solver_slot
from twin_runtime.problems.environment import Environment
from twin_runtime.problems.scenarios.smart_park import SmartPark

PARK = SmartPark(devices=60, scheduled=8, slots=50, delay_weight=30.0)


def after(slots: int, policy: str, park: SmartPark = PARK) -> State:
    environment = Environment(PROBLEM, park, seed=2, batch=2)
    generator = np.random.default_rng(0)
    for _ in range(slots):
        environment.step(POLICIES[policy](environment.state, generator))
    return environment.state


@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_schedules_as_many_as_there_are_places(policy: str) -> None:
    state = after(12, policy)
    assert (state.scheduled_slots.sum(axis=-1) == 12 * 8).all()
    action = POLICIES[policy](state, np.random.default_rng(0))
    assert (action.scheduled.sum(axis=-1) == 8).all()
    clocks = action.frequency_hz[action.scheduled]
    assert (clocks >= PARK.frequency_min_hz).all()
    assert (clocks <= PARK.frequency_max_hz).all()


@pytest.mark.parametrize("drift", Drift)
def test_no_policy_pays_less_than_the_oracle(drift: Drift) -> None:
    state = after(15, "oracle", replace(PARK, drift=drift))
    paid = {
        name: cost(state, policy(state, np.random.default_rng(1))).total
        for name, policy in POLICIES.items()
    }
    for name, total in paid.items():
        assert (paid["oracle"] <= total + 1e-9 * np.maximum(1.0, np.abs(total))).all(), name


@pytest.mark.parametrize("policy", ["round-robin", "cs-ucb", "cs-ucb-q"])
def test_everybody_has_been_scheduled_once_everybody_could_have_been(policy: str) -> None:
    park = replace(PARK, rates=(0.05,), rate_shares=(1.0,))
    assert (after(8, policy, park).scheduled_slots >= 1).all()


@pytest.mark.parametrize("policy", ["random", "round-robin", "cs-ucb", "cs-ucb-q"])
def test_what_ignores_energy_runs_at_full_speed(policy: str) -> None:
    state = after(3, policy)
    action = POLICIES[policy](state, np.random.default_rng(0))
    assert (action.frequency_hz[action.scheduled] == 1.5e9).all()


def test_promptness_is_remembered_of_the_scheduled_only() -> None:
    state = after(4, "cs-ucb")
    never = state.scheduled_slots == 0
    assert (state.promptness[never] == 0).all()
    mean = state.promptness[~never] / state.scheduled_slots[~never]
    assert (mean > 0).all()
    assert (mean < 1).all()


def test_shares_are_kept_by_those_who_heed_them_and_by_no_other() -> None:
    def shortest(policy: str) -> float:
        state = after(30, policy)
        return float((state.rate_min - state.scheduled_slots / 30).max())

    for policy in ("cs-ucb-q", "top-priority", "oracle"):
        assert shortest(policy) <= 0.11
    for policy in ("random", "round-robin", "cs-ucb"):
        assert shortest(policy) >= 0.25


def test_the_literal_reading_chooses_as_if_delay_were_dear_and_runs_as_if_it_were_cheap() -> None:
    state = after(20, "literal", replace(PARK, delay_weight=3.0))
    generator = np.random.default_rng(0)
    literal, oracle = (POLICIES[name](state, generator) for name in ("literal", "oracle"))
    fastest = solver_slot(state).cycles / 1.5e9 + state.uplink.upload_s
    assert fastest[literal.scheduled].max() <= fastest[oracle.scheduled].max()


def test_a_park_with_few_available_devices_schedules_those() -> None:
    state = after(2, "oracle")
    battery = np.zeros_like(state.battery_j)
    battery[:, :3] = 100.0
    state = replace(state, battery_j=battery)
    for name, policy in POLICIES.items():
        action = policy(state, np.random.default_rng(0))
        assert action.scheduled[:, :3].all(), name
        assert not action.scheduled[:, 3:].any(), name
    dead = replace(state, battery_j=np.zeros_like(battery))
    for name, policy in POLICIES.items():
        assert not policy(dead, np.random.default_rng(0)).scheduled.any(), name
