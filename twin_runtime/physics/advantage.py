"""What a policy-gradient learner computes of a rollout: advantages, its surrogate, its target."""

import numpy as np

from twin_runtime.physics.arguments import (
    Array,
    InvalidArgument,
    Real,
    broadcast,
    finite,
    positive,
    same_shape,
    within,
)


def generalised_advantages(
    *,
    rewards: Real,
    values: Real,
    bootstrap: Real,
    discount: float,
    decay: float,
    ended: Real = 0.0,
) -> Array:
    """Advantages `[steps, ...]` by the backward recursion. [P3] (32)(33), [P5] 4.4.

    The printed sum, cut where the data end, would be biased.

    Args:
        rewards: `[steps, ...]`.
        values: `[steps, ...]`, the critic's at rollout.
        bootstrap: `[...]`, the critic's of the state after the last step.
        discount: in [0, 1].
        decay: lambda in [0, 1].
        ended: 1 where an episode ended with the step, 0 elsewhere; any shape that fits.
    """
    reward, value = finite("rewards", rewards), finite("values", values)
    same_shape(rewards=reward, values=value)
    last = np.broadcast_to(finite("bootstrap", bootstrap), reward.shape[1:])
    goes_on = 1.0 - np.broadcast_to(within("ended", ended, 0.0, 1.0), reward.shape)
    keep = goes_on * float(within("discount", discount, 0.0, 1.0))
    fade = float(within("decay", decay, 0.0, 1.0))
    after = np.concatenate([value[1:], last[None]])
    advantage: Array = reward + keep * after - value
    for step in range(len(advantage) - 2, -1, -1):
        advantage[step] += keep[step] * fade * advantage[step + 1]
    return advantage


def critic_targets(*, advantages: Real, values: Real) -> Array:
    """What the critic should have said: advantage plus its value at rollout. [P3] (36)."""
    advantage, value = finite("advantages", advantages), finite("values", values)
    same_shape(advantages=advantage, values=value)
    return advantage + value


def critic_loss(*, values: Real, targets: Real) -> Array:
    """Half the squared error `[...]`; the targets are fixed numbers. [P3] (36)."""
    value, target = finite("values", values), finite("targets", targets)
    same_shape(values=value, targets=target)
    return 0.5 * (value - target) ** 2


def clipped_surrogate(*, ratios: Real, advantages: Real, clip: float) -> Array:
    """The smaller of ratio x advantage, and the same with a clipped ratio. [P3] (34)(35).

    As printed the clip is a constant, 1 + clip; the ratio is to the policy of the rollout.

    Args:
        ratios: > 0, new over old probability of what was done, any shape.
        advantages: any shape that fits.
        clip: in (0, 1).
    """
    ratio, advantage = positive("ratios", ratios), finite("advantages", advantages)
    broadcast(ratios=ratio, advantages=advantage)
    if not 0 < clip < 1:
        raise InvalidArgument(f"clip is {clip}; it must be in (0, 1)")
    held = np.clip(ratio, 1.0 - clip, 1.0 + clip)
    return np.minimum(ratio * advantage, held * advantage)
