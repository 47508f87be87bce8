"""What learners of the decisions share: returns, targets, gradients, exploration noise."""

import numpy as np

from twin_runtime.physics.arguments import (
    Array,
    InvalidArgument,
    Real,
    broadcast,
    finite,
    non_negative,
    positive,
    within,
)


def discounted_return(*, rewards: Real, discount: float) -> Array:
    """Sum of discount^k r_k over the last axis. [P4] (20).

    Args:
        rewards: `[..., T]`.
        discount: in [0, 1].
    """
    series = finite("rewards", rewards)
    if not series.ndim:
        raise InvalidArgument("rewards is a number; it must have a last axis of time")
    factor = float(within("discount", discount, 0, 1))
    powers = factor ** np.arange(series.shape[-1])
    total: Array = series @ powers
    return total


def bellman_target(*, reward: Real, discount: float, done: Real, next_value: Real) -> Array:
    """What a critic should have said: r + discount (1 - done) Q'(s', a'). [P4] (23).

    Args:
        reward: any shape.
        discount: in [0, 1].
        done: 1 where the episode ended with this step, else 0.
        next_value: the target critic's, at the target actors' joint action.
    """
    paid, ended = finite("reward", reward), within("done", done, 0, 1)
    ahead = finite("next_value", next_value)
    broadcast(reward=paid, done=ended, next_value=ahead)
    return paid + float(within("discount", discount, 0, 1)) * (1.0 - ended) * ahead


def critic_step(*, target: Real, value: Real, value_gradient: Real) -> Array:
    """Direction that lowers the mean squared error of a critic: E[2 (y - Q) grad Q]. [P4] (23).

    Args:
        target: y, a Bellman target `[batch]`.
        value: Q of the same joint actions `[batch]`.
        value_gradient: of Q by the parameters `[batch, parameters]`.

    Returns:
        `[parameters]`, to be added with a learning rate.
    """
    wanted, said = finite("target", target), finite("value", value)
    slope = finite("value_gradient", value_gradient)
    if not wanted.shape == said.shape == slope.shape[:1] or not wanted.size:
        shapes = f"target {wanted.shape}, value {said.shape}, value_gradient {slope.shape}"
        raise InvalidArgument(f"all must have one axis of samples first: {shapes}")
    step: Array = 2.0 * ((wanted - said) @ slope) / len(wanted)
    return step


def actor_step(*, action_gradient: Real, policy_jacobian: Real) -> Array:
    """Direction that raises a critic's opinion of a policy: E[grad_a Q . grad_theta pi]. [P4] (22).

    Args:
        action_gradient: of Q by this agent's action, at the joint action `[batch, action]`.
        policy_jacobian: of the action by the parameters `[batch, action, parameters]`.

    Returns:
        `[parameters]`, to be added with a learning rate.
    """
    slope = finite("action_gradient", action_gradient)
    jacobian = finite("policy_jacobian", policy_jacobian)
    if slope.ndim != 2 or jacobian.shape[:2] != slope.shape or not slope.size:  # noqa: PLR2004
        shapes = f"action_gradient {slope.shape}, policy_jacobian {jacobian.shape}"
        raise InvalidArgument(f"they must be [batch, action] and [batch, action, p]: {shapes}")
    step: Array = np.einsum("ba,bap->p", slope, jacobian) / len(slope)
    return step


def soft_update(*, primary: Real, target: Real, rate: float) -> Array:
    """A target network's next parameters: rate x primary + (1 - rate) x target. [P4] (24)(25)."""
    new, old = finite("primary", primary), finite("target", target)
    broadcast(primary=new, target=old)
    part = float(within("rate", rate, 0, 1))
    return part * new + (1.0 - part) * old


def ornstein_uhlenbeck(
    generator: np.random.Generator,
    *,
    value: Real,
    mean: Real = 0.0,
    reversion_hz: float = 0.15,
    volatility: float = 0.2,
    step_s: float = 1.0,
) -> Array:
    """The noise that follows `value` after `step_s`, by the exact transition law. [P4] (21).

    Its standard deviation in the long run is volatility / sqrt(2 reversion), for any step.

    Args:
        generator: draws one normal number per element.
        value: the noise now, any shape.
        mean: what it returns to.
        reversion_hz: > 0, how fast.
        volatility: >= 0.
        step_s: > 0.
    """
    now, centre = finite("value", value), finite("mean", mean)
    shape = broadcast(value=now, mean=centre)
    speed = float(positive("reversion_hz", reversion_hz))
    passed = speed * float(positive("step_s", step_s))
    deviation = float(non_negative("volatility", volatility)) / np.sqrt(2.0 * speed)
    fresh = deviation * np.sqrt(-np.expm1(-2.0 * passed)) * generator.standard_normal(shape)
    after: Array = centre + (now - centre) * np.exp(-passed) + fresh
    return after
