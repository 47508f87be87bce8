"""An environment steps a problem: reproducible from its seed, and pays before it moves on."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from twin_runtime.physics.arguments import Array, InvalidArgument
from twin_runtime.problems.environment import Environment
from twin_runtime.problems.problem import Cost, Observation, Problem, Scores, Spec, Tensor


@dataclass(frozen=True, slots=True)
class State:
    level_m: Array
    width_m: float


def begin(width_m: float, batch: int, generator: np.random.Generator) -> State:
    return State(generator.uniform(0, width_m, batch), width_m)


def observe(state: State) -> Observation:
    level = (state.level_m / state.width_m).astype(np.float32)
    return {"level": level[:, np.newaxis]}


def decode(state: State, scores: Scores) -> Array:
    return np.clip(scores["step"][:, 0].astype(np.float64), -1, 1)


def cost(state: State, action: Array) -> Cost:
    return Cost(state.level_m + action**2, {"level_m": state.level_m})


def transition(state: State, action: Array, generator: np.random.Generator) -> State:
    noise = generator.normal(0, 0.1, len(state.level_m))
    return replace(state, level_m=state.level_m + action + noise)


SPEC = Spec(
    problem="walk",
    version=1,
    inputs=(Tensor("level", ("batch", "feature"), (("level over width", "1"),)),),
    outputs=(Tensor("step", ("batch", "one")),),
)
WALK = Problem(SPEC, begin, observe, decode, cost, transition)


def test_the_same_seed_gives_the_same_worlds_and_another_seed_others() -> None:
    def levels(seed: int) -> list[float]:
        environment = Environment(WALK, 10.0, seed, batch=3)
        for _ in range(5):
            environment.step(np.zeros(3))
        return [float(level_m) for level_m in environment.state.level_m]

    assert levels(1) == levels(1)
    assert levels(1) != levels(2)


def test_a_step_costs_in_the_state_before_it_and_shows_the_state_after() -> None:
    environment = Environment(WALK, 10.0, seed=1, batch=2)
    before = environment.state
    step = environment.step(np.ones(2))
    assert step.cost.total == pytest.approx(before.level_m + 1)
    assert step.state is environment.state
    assert step.state.level_m == pytest.approx(before.level_m + 1, abs=0.6)
    assert step.observation["level"][:, 0] == pytest.approx(step.state.level_m / 10, rel=1e-6)


def test_a_reset_begins_new_worlds() -> None:
    environment = Environment(WALK, 10.0, seed=1, batch=2)
    before = environment.state
    environment.reset()
    assert (environment.state.level_m != before.level_m).all()


def test_an_environment_without_a_world_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="batch is 0"):
        Environment(WALK, 10.0, seed=1, batch=0)


def test_the_digest_of_a_specification_changes_with_each_of_its_parts() -> None:
    others = [
        replace(SPEC, version=2),
        replace(SPEC, problem="run"),
        replace(SPEC, outputs=(Tensor("step", ("batch", "two")),)),
        replace(SPEC, inputs=(Tensor("level", ("batch", "feature"), (("level", "m"),)),)),
    ]
    digests = {spec.digest for spec in (SPEC, *others)}
    assert len(digests) == len(others) + 1
    assert replace(SPEC).digest == SPEC.digest
