from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from twin_runtime.physics.arguments import Array, InvalidArgument
from twin_runtime.physics.cooperation import neighbourhood_energy_j
from twin_runtime.problems import cooperation
from twin_runtime.problems.cooperation import PROBLEM, SPEC, State
from twin_runtime.problems.cooperation_heads import LOGITS
from twin_runtime.problems.cooperation_policies import POLICIES, worlds
from twin_runtime.problems.cooperation_sensors import Sensors, mean_power_w
from twin_runtime.problems.environment import Environment
from twin_runtime.problems.scenarios.wide_area import FULL, LONG_RUN, WideArea
from twin_runtime.solvers.cooperation import price

SMALL = WideArea(servers=12, side_m=1700.0)


def begun(scenario: WideArea = SMALL, batch: int = 3, seed: int = 1) -> State:
    return cooperation.begin(scenario, batch, np.random.default_rng(seed))


def scores(state: State, seed: int = 2) -> dict[str, Array]:
    shape = (*state.base_fraction.shape, LOGITS)
    return {"logits": np.random.default_rng(seed).normal(size=shape)}


def test_an_observation_has_the_names_and_shapes_of_the_specification() -> None:
    state = begun()
    seen = PROBLEM.observe(state)
    assert set(seen) == {tensor.name for tensor in SPEC.inputs}
    assert seen["servers"].shape == (3, 12, len(SPEC.inputs[0].features))
    assert seen["servers"].dtype == np.float32
    assert len(SPEC.outputs[0].features) == LOGITS
    assert seen["servers"][..., :6].min() >= 0.0
    assert seen["servers"][..., :6].max() <= 1.0


def test_a_server_sees_itself_its_neighbours_mean_and_their_number() -> None:
    state = begun()
    seen = PROBLEM.observe(state)["servers"]
    for server in range(12):
        around = np.flatnonzero(state.neighbours[0, server])
        expected = seen[0, around, :3].mean(axis=0) if around.size else seen[0, server, :3]
        np.testing.assert_allclose(seen[0, server, 3:6], expected, rtol=1e-6)
        assert seen[0, server, 6] == pytest.approx(around.size / 5.0)


def test_renumbering_servers_renumbers_what_they_see() -> None:
    state, order = begun(batch=1), np.random.default_rng(3).permutation(12)
    renumbered = replace(
        state,
        neighbours=state.neighbours[:, order][:, :, order],
        embb=picked(state.embb, (slice(None), order)),
        urllc=picked(state.urllc, (slice(None), order)),
        base_fraction=state.base_fraction[:, order],
    )
    seen, again = (PROBLEM.observe(one)["servers"] for one in (state, renumbered))
    np.testing.assert_allclose(again, seen[:, order], rtol=1e-6)


def picked(sensors: Sensors, servers: Any) -> Sensors:
    return Sensors(
        present=sensors.present[servers],
        gain=sensors.gain[servers],
        charge_j=sensors.charge_j[servers],
        threshold_j=sensors.threshold_j[servers],
    )


def test_any_scores_become_a_feasible_action() -> None:
    for seed in range(5):
        state = begun(seed=seed)
        action = PROBLEM.decode(state, scores(state, seed))
        embb, urllc, received_w = action.asked
        assert not (embb & ~state.embb.available()).any()
        assert not (urllc & ~state.urllc.available()).any()
        assert ((received_w >= 1e-12) & (received_w <= 1e-10)).all()
        own = np.arange(12)
        waits = action.helper != own
        source = np.take_along_axis(action.helper, action.helper, -1)
        assert (source == action.helper).all()  # whoever is waited for waits for nobody
        linked = np.take_along_axis(state.neighbours, action.helper[..., None], -1)[..., 0]
        assert (linked | ~waits).all()
        parts = PROBLEM.cost(state, action).parts
        assert parts["missed"].sum() == 0
        assert (parts["latency_s"] <= 5.0 + 1e-9).all()


def test_levels_are_tenths_of_what_is_available() -> None:
    state = begun()
    levels = np.zeros((3, 12, 5), dtype=np.int64)
    levels[..., 1], levels[..., 2], levels[..., 3] = 10, 5, 10
    action = cooperation.act(state, levels)
    assert (action.asked.embb == state.embb.available()).all()  # all of them, even loudest
    assert (action.asked.urllc.sum(axis=-1) == (state.urllc.counts() + 1) // 2).all()
    assert (action.asked.received_w == 1e-10).all()
    assert (action.helper == np.arange(12)).all()  # nobody helps


def test_worlds_of_a_batch_are_decided_and_priced_each_for_itself() -> None:
    state = begun()
    action = PROBLEM.decode(state, scores(state))
    cost = PROBLEM.cost(state, action)
    for world in range(3):
        alone = one_world(state, world)
        own = {"logits": scores(state)["logits"][[world]]}
        alone_action = PROBLEM.decode(alone, own)
        assert alone_action.helper.tolist() == action.helper[[world]].tolist()
        total = PROBLEM.cost(alone, alone_action).total
        np.testing.assert_allclose(total, cost.total[[world]])


def one_world(state: State, world: int) -> State:
    return replace(
        state,
        position_m=state.position_m[[world]],
        neighbours=state.neighbours[[world]],
        usefulness=state.usefulness[[world]],
        embb=picked(state.embb, [world]),
        urllc=picked(state.urllc, [world]),
        base_fraction=state.base_fraction[[world]],
        drift_noise=state.drift_noise[[world]],
    )


def test_energy_is_that_of_the_stars_as_a_solver_prices_them() -> None:
    state = begun(seed=4)
    asked = cooperation.ask_all(state)
    circle = cooperation.collected(state, asked)
    action = POLICIES["local_max"](state, np.random.default_rng(5))
    energy = PROBLEM.cost(state, action).parts["energy_j"]
    for world, servers in enumerate(worlds(state, circle)):
        np.testing.assert_allclose(energy[world], price(servers, action.helper[world]))


def test_a_server_that_nobody_helps_pays_what_it_pays_alone() -> None:
    state = begun()
    cost = PROBLEM.cost(state, POLICIES["alone"](state, np.random.default_rng(6)))
    np.testing.assert_allclose(cost.parts["energy_j"], cost.parts["alone_j"])
    trains = cost.parts["alone_j"].sum(axis=-1) > 0
    assert trains.all()
    np.testing.assert_allclose(cost.total[cost.total > 0], 1.0)


def test_the_total_is_the_neighbourhoods_energy_over_theirs_alone() -> None:
    state = begun()
    cost = PROBLEM.cost(state, POLICIES["oracle"](state, np.random.default_rng(6)))
    spent, alone = (
        neighbourhood_energy_j(energy_j=cost.parts[name], neighbours=state.neighbours)
        for name in ("energy_j", "alone_j")
    )
    np.testing.assert_allclose(cost.total * alone, spent)


def drained(state: State) -> State:
    """The first server of the first world has no charge left."""
    embb, urllc = state.embb.charge_j.copy(), state.urllc.charge_j.copy()
    embb[0, 0], urllc[0, 0] = 0.0, 0.0
    return replace(
        state,
        embb=replace(state.embb, charge_j=embb),
        urllc=replace(state.urllc, charge_j=urllc),
    )


def test_a_server_without_data_stays_idle_and_pays_for_what_it_missed() -> None:
    state = drained(begun())
    for name, policy in POLICIES.items():
        cost = PROBLEM.cost(state, policy(state, np.random.default_rng(7)))
        parts = cost.parts
        assert parts["energy_j"][0, 0] == 0.0, name
        assert (parts["missed"][0, 0], parts["helper"][0, 0]) == (1.0, 0.0), name
        assert parts["recipient"][0, 0] == 0.0, name
        assert cost.total[0, 0] >= 1.0, name


def test_an_idle_model_ages_and_the_others_start_from_what_they_reached() -> None:
    state = drained(begun())
    action = POLICIES["greedy"](state, np.random.default_rng(8))
    after = PROBLEM.transition(state, action, np.random.default_rng(9))
    assert after.base_fraction[0, 0] <= 0.6 * state.base_fraction[0, 0]
    others = after.base_fraction[1:]
    assert ((others >= 0.2) & (others <= 0.6)).all()


def test_a_clock_that_is_too_slow_makes_a_server_late() -> None:
    state = begun(replace(SMALL, frequency_max_hz=1e9))
    cost = PROBLEM.cost(state, POLICIES["alone"](state, np.random.default_rng(10)))
    late = cost.parts["latency_s"] > 5.0
    assert late.any()
    np.testing.assert_array_equal(cost.parts["missed"], late.astype(float))


def test_batteries_pay_for_what_was_sent_and_fill_up_in_the_sun() -> None:
    state = begun()
    action = POLICIES["alone"](state, np.random.default_rng(11))
    after = PROBLEM.transition(state, action, np.random.default_rng(12))
    asked, before = action.asked.embb, state.embb.charge_j
    rest = ~asked
    assert (after.embb.charge_j[rest] >= np.minimum(before[rest], 2.0)).all()
    assert (after.embb.charge_j <= 2.0).all()
    assert after.embb.charge_j[asked].mean() < before[asked].mean() + 0.005
    assert (after.urllc.charge_j <= 5.0 * after.urllc.threshold_j * (1 + 1e-12)).all()


def test_spent_energy_has_the_mean_that_was_planned() -> None:
    scenario = replace(FULL, servers=40, sensors=(40, 40), embb_harvest_j=0.0)
    state = begun(scenario, batch=4, seed=13)
    action = POLICIES["alone"](state, np.random.default_rng(14))
    after = PROBLEM.transition(state, action, np.random.default_rng(15))
    spent = (state.embb.charge_j - after.embb.charge_j)[action.asked.embb]
    power = mean_power_w(scenario, state.embb.gain, action.asked.received_w)
    slots = np.ceil(cooperation.collected(state, action.asked).ready_s / 1e-3)
    planned = (power * slots[..., None] * 1e-3)[action.asked.embb]
    assert spent.mean() == pytest.approx(planned.mean(), rel=0.02)
    assert spent.std() > planned.std()


def test_drift_is_uniform_and_remembers_near_places_and_the_last_circle() -> None:
    state = begun(replace(LONG_RUN, servers=30), batch=60, seed=16)
    action = POLICIES["alone"](state, np.random.default_rng(17))
    after = PROBLEM.transition(state, action, np.random.default_rng(18))
    sample = state.base_fraction[:, 0]  # of one server in each world: these are independent
    assert stats.kstest(sample, stats.uniform(0.2, 0.4).cdf).pvalue > 1e-3
    memory = np.corrcoef(state.drift_noise.ravel(), after.drift_noise.ravel())[0, 1]
    assert memory == pytest.approx(0.8, abs=0.1)
    apart = np.linalg.norm(state.position_m[:, :, None] - state.position_m[:, None], axis=-1)
    product = state.drift_noise[:, :, None] * state.drift_noise[:, None]
    near, far = (apart > 0) & (apart < 400), apart > 2500
    assert product[near].mean() > product[far].mean() + 0.2


@pytest.mark.parametrize(
    "field, value",
    [
        ("servers", 0),
        ("usefulness", (0.8, 0.4)),
        ("usefulness", (0.4, 1.4)),
        ("deadline_s", float("nan")),
        ("drift_memory", 1.0),
        ("circle_s", 5.0),
        ("embb_start_j", (0.5, 3.0)),
    ],
)
def test_a_scenario_that_makes_no_sense_is_refused(field: str, value: Any) -> None:
    with pytest.raises(InvalidArgument, match=field):
        replace(SMALL, **{field: value})


def test_the_same_seed_steps_the_same_worlds() -> None:
    def third_cost() -> Array:
        environment = Environment(PROBLEM, SMALL, seed=19, batch=2)
        totals = []
        for _ in range(3):
            state = environment.state
            step = environment.step(PROBLEM.decode(state, scores(state)))
            totals.append(step.cost.total)
        return totals[-1]

    np.testing.assert_array_equal(third_cost(), third_cost())


def test_snapshots_of_one_seed_differ_by_nothing_but_the_setting() -> None:
    near, far = (begun(replace(SMALL, neighbour_distance_m=metres)) for metres in (280.0, 560.0))
    np.testing.assert_array_equal(near.base_fraction, far.base_fraction)
    np.testing.assert_array_equal(near.embb.gain, far.embb.gain)
    assert near.neighbours.sum() < far.neighbours.sum()
