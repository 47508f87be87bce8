import numpy as np
import pytest

from twin_runtime.physics.units import linear_to_db
from twin_runtime.problems.access import PROBLEM, decode
from twin_runtime.problems.access_state import State, outcome
from twin_runtime.problems.access_twins import Twins, begin_twins, believed, closing, learned
from twin_runtime.problems.environment import Environment
from twin_runtime.problems.scenarios.smart_park import SmartPark

PARK = SmartPark(devices=80, scheduled=8, slots=60)


def start() -> tuple[Environment, Twins]:  # type: ignore[type-arg]
    environment = Environment(PROBLEM, PARK, seed=0, batch=4)
    world = environment.state.world
    assert world is not None
    return environment, begin_twins(PARK, linear_to_db(world.path_gain))


def followed(share_heard: float) -> tuple[State, Twins]:
    """A park after 60 slots, and twins that heard so many devices in each of them."""
    environment, twins = start()
    generator = np.random.default_rng(1)
    for _ in range(60):
        heard = generator.random(environment.state.gain.shape) < share_heard
        twins = learned(environment.state, twins, heard, generator)
        environment.step(decode(environment.state, {"score": generator.random((4, 80))}))
    return environment.state, twins


def error_db(state: State, twins: Twins) -> float:
    return float(np.std(linear_to_db(state.gain) - twins.gain_db.mean))


def test_a_twin_that_hears_more_knows_the_channel_better() -> None:
    errors = [error_db(*followed(share)) for share in (0.0, 0.2, 1.0)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] == pytest.approx(3.3, abs=0.4)  # the fading itself
    # one slot ahead of a filter of noise 1: the innovation of the fading is left, and a little
    assert errors[2] < 2.0


def test_a_twin_that_hears_nothing_expects_the_path_loss() -> None:
    state, twins = followed(0.0)
    assert state.world is not None
    assert twins.gain_db.mean == pytest.approx(linear_to_db(state.world.path_gain))
    assert twins.gain_db.variance == pytest.approx(np.full((4, 80), 3.3**2))


def test_a_cautious_edge_plans_with_less_gain_and_is_less_often_wrong() -> None:
    state, twins = followed(1.0)
    bold, cautious = believed(state, twins, 0.0), believed(state, twins, 1.0)
    assert (cautious.gain < bold.gain).all()
    late = [(state.uplink.upload_s > plan.uplink.upload_s).mean() for plan in (bold, cautious)]
    assert late[0] == pytest.approx(0.5, abs=0.1)
    assert late[1] < 0.3


def test_what_is_believed_differs_in_the_channel_only() -> None:
    state, twins = followed(0.5)
    plan = believed(state, twins, 1.0)
    assert plan.priority_queue is state.priority_queue
    assert plan.samples is state.samples
    assert plan.world is state.world
    assert (plan.uplink.upload_s != state.uplink.upload_s).all()


def test_a_round_closes_a_little_after_its_planned_deadline() -> None:
    state, twins = followed(1.0)
    plan = believed(state, twins, 1.0)
    action = decode(plan, {"score": np.ones((4, 80))})
    planned = np.where(action.scheduled, outcome(plan, action).time_s, 0.0).max(axis=-1)
    assert closing(plan, action, 1.2).close_s == pytest.approx(1.2 * planned)
