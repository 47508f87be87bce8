from dataclasses import replace

import numpy as np
import pytest

from twin_runtime.physics.arguments import Array
from twin_runtime.problems import cooperation, cooperation_sensors
from twin_runtime.problems.cooperation_policies import POLICIES, light_in_work
from twin_runtime.problems.scenarios.wide_area import FULL

SNAPSHOTS = replace(FULL, servers=30, side_m=2700.0)


def energy_j(name: str, worlds: int = 12, seed: int = 1) -> Array:
    generator = np.random.default_rng(seed)
    state = cooperation.begin(SNAPSHOTS, worlds, generator)
    cost = cooperation.cost(state, POLICIES[name](state, generator))
    assert not cost.parts["missed"].any()
    energy: Array = cost.parts["energy_j"].sum(axis=-1)
    return energy


def test_nobody_beats_the_oracle_in_any_world() -> None:
    best = energy_j("oracle")
    for name in POLICIES:
        assert (energy_j(name) >= best * (1 - 1e-9)).all(), name


def test_the_printed_order_holds_on_average() -> None:
    names = ("oracle", "local_search", "local_max", "greedy", "random", "alone")
    means = [float(energy_j(name, worlds=40).mean()) for name in names]
    assert means == sorted(means)


def test_by_the_threshold_those_help_who_have_clearly_less_to_train() -> None:
    generator = np.random.default_rng(5)
    state = cooperation.begin(SNAPSHOTS, 1, generator)
    circle = cooperation.collected(state, cooperation.ask_all(state))
    helps = light_in_work(state, circle, generator)[0]
    embb, urllc = state.embb.counts()[0], state.urllc.counts()[0]

    def work(bulk: float, packets: float, base: float) -> float:
        return (1.0 - base) / max(bulk, packets, 2.0 * min(bulk, packets))

    for i in range(30):
        near = np.flatnonzero(state.neighbours[0, i])
        seen = near if near.size else np.array([i])
        base = state.base_fraction[0]
        around = work(embb[seen].mean(), urllc[seen].mean(), base[seen].mean())
        assert helps[i] == (work(embb[i], urllc[i], base[i]) < 0.9 * around)


@pytest.mark.parametrize("who", ["random", "greedy", "threshold"])
def test_choosing_a_helper_is_better_than_taking_any(who: str) -> None:
    assert energy_j(f"{who}_one_shot").mean() < energy_j(who).mean()


def test_local_search_is_within_a_percent_of_the_oracle() -> None:
    assert energy_j("local_search").sum() <= 1.01 * energy_j("oracle").sum()


def test_who_helps_waits_for_nobody_and_many_help_by_greed_and_by_chance() -> None:
    generator = np.random.default_rng(2)
    state = cooperation.begin(SNAPSHOTS, 12, generator)
    for name, policy in POLICIES.items():
        parts = cooperation.cost(state, policy(state, generator)).parts
        share = float(parts["helper"].mean())
        if name in {"random", "greedy"}:
            assert 0.2 < share < 0.5
        assert (parts["helper"] * parts["recipient"]).sum() == 0, name


def test_full_batteries_leave_every_sensor_to_every_policy() -> None:
    state = cooperation.begin(SNAPSHOTS, 4, np.random.default_rng(3))
    asked = cooperation.ask_all(state)
    assert (asked.embb == state.embb.present).all()
    assert (asked.urllc == state.urllc.present).all()


def test_sensors_that_would_send_too_loud_or_too_long_are_left_out() -> None:
    state = cooperation.begin(SNAPSHOTS, 4, np.random.default_rng(4))
    counts = (state.embb.counts(), state.urllc.counts())
    received_w = np.full(counts[0].shape, 1e-10)
    quiet = replace(SNAPSHOTS, sent_max_w=0.05)
    power = cooperation_sensors.mean_power_w(quiet, state.embb.gain, received_w)
    asked = cooperation_sensors.ask(quiet, state.embb, state.urllc, counts, received_w)
    assert (asked.embb == (state.embb.present & (power <= 0.05))).all()
    weak = replace(state.embb, charge_j=np.full_like(power, 0.01), threshold_j=np.zeros_like(power))
    asked = cooperation_sensors.ask(SNAPSHOTS, weak, state.urllc, counts, received_w)
    time = cooperation_sensors.collection_s(SNAPSHOTS, *asked)
    planned = power * np.ceil(time / 1e-3)[..., None] * 1e-3
    assert (planned[asked.embb] <= 0.01).all()
    assert 0 < asked.embb.sum() < state.embb.present.sum()
