"""Returns, targets, gradients and noise, each against a number or a law."""

import numpy as np
import pytest

from twin_runtime.physics.arguments import InvalidArgument
from twin_runtime.physics.reinforcement import (
    actor_step,
    bellman_target,
    critic_step,
    discounted_return,
    ornstein_uhlenbeck,
    soft_update,
)


def test_a_return_discounts_later_rewards_more() -> None:
    paid = np.array([[-1.0, -1, -1], [0, 0, 4]])
    assert discounted_return(rewards=paid, discount=0.5).tolist() == [-1.75, 1.0]
    assert discounted_return(rewards=-np.ones(20), discount=0.9) == pytest.approx(-8.784, abs=1e-3)


def test_a_return_needs_an_axis_of_time() -> None:
    with pytest.raises(InvalidArgument, match="rewards is a number"):
        discounted_return(rewards=1.0, discount=0.9)


def test_a_target_ends_with_its_episode() -> None:
    target = bellman_target(reward=[-1.0, -1.0], discount=0.9, done=[0, 1], next_value=[-5.0, -5.0])
    assert target.tolist() == [-5.5, -1.0]


def test_a_critic_step_is_the_negative_gradient_of_its_squared_error() -> None:
    generator = np.random.default_rng(3)
    features, target, weights = generator.normal(size=(8, 2)), generator.normal(size=8), [0.3, -1.0]

    def error(at: np.ndarray) -> float:
        return float(np.mean((target - features @ at) ** 2))

    at = np.array(weights)
    slope = [(error(at + h) - error(at - h)) / 2e-6 for h in 1e-6 * np.eye(2)]
    step = critic_step(target=target, value=features @ at, value_gradient=features)
    assert step == pytest.approx(-np.array(slope), rel=1e-6)


def test_an_actor_step_climbs_the_critic() -> None:
    state = np.random.default_rng(4).normal(size=(16, 1))

    def opinion(theta: float) -> float:  # Q = -(a - 2 s)^2 with the policy a = theta s
        return float(np.mean(-((theta - 2.0) ** 2) * state**2))

    step = actor_step(action_gradient=-2 * (0.5 - 2.0) * state, policy_jacobian=state[:, :, None])
    assert step[0] == pytest.approx((opinion(0.5 + 1e-6) - opinion(0.5 - 1e-6)) / 2e-6, rel=1e-6)


def test_steps_refuse_shapes_that_do_not_fit() -> None:
    with pytest.raises(InvalidArgument, match=r"value \(3,\)"):
        critic_step(target=np.zeros(2), value=np.zeros(3), value_gradient=np.zeros((2, 1)))
    with pytest.raises(InvalidArgument, match=r"policy_jacobian \(2, 2, 1\)"):
        actor_step(action_gradient=np.zeros((2, 1)), policy_jacobian=np.zeros((2, 2, 1)))


def test_a_soft_update_moves_a_part_of_the_way() -> None:
    assert soft_update(primary=[1.0, 2.0], target=[0.0, 0.0], rate=0.25).tolist() == [0.25, 0.5]
    with pytest.raises(InvalidArgument, match=r"rate is 1\.5"):
        soft_update(primary=1.0, target=0.0, rate=1.5)


@pytest.mark.parametrize("step_s", [0.1, 1.0, 50.0])
def test_noise_keeps_its_stationary_deviation_at_any_step(step_s: float) -> None:
    generator = np.random.default_rng(5)
    noise = 0.3651484 * generator.standard_normal(200_000)
    after = ornstein_uhlenbeck(generator, value=noise, step_s=step_s)
    assert after.std() == pytest.approx(0.2 / np.sqrt(0.3), rel=0.01)


def test_noise_returns_to_its_mean() -> None:
    generator = np.random.default_rng(6)
    after = ornstein_uhlenbeck(generator, value=4.0, mean=1.0, volatility=0.0, step_s=2.0)
    assert after == pytest.approx(1 + 3 * np.exp(-0.3))
