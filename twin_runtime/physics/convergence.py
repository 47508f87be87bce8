"""How training gets to its target: what a loss is like, and how many rounds it takes."""

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

ACCURACY_MIN = 1e-12  # of what is divided by: a target of 0 is never reached


def smoothness(
    *, source: Real, target: Real, source_gradient: Real, target_gradient: Real
) -> Array:
    """The least L that two points allow: |grad F(u) - grad F(v)| / |u - v|. [P2] (13), [P4] (9).

    A diagnostic; the largest over many pairs estimates a loss's L from below.

    Args:
        source: u `[..., parameters]`.
        target: v, another point.
        source_gradient: grad F(u).
        target_gradient: grad F(v).

    Returns:
        `[...]`.
    """
    step = _step(source, target)
    slope = finite("source_gradient", source_gradient) - finite("target_gradient", target_gradient)
    broadcast(step=step, gradients=slope)
    steep: Array = np.linalg.norm(slope, axis=-1) / np.linalg.norm(step, axis=-1)
    return steep


def strong_convexity(
    *, source: Real, target: Real, source_loss: Real, target_loss: Real, target_gradient: Real
) -> Array:
    """The largest mu that two points allow: 2 (F(u) - F(v) - grad F(v) (u - v)) / |u - v|^2.

    [P2] (15), [P4] (10), where the paper leaves out mu. Negative where F bends down.

    Args:
        source: u `[..., parameters]`.
        target: v, another point.
        source_loss: F(u) `[...]`.
        target_loss: F(v) `[...]`.
        target_gradient: grad F(v) `[..., parameters]`.

    Returns:
        `[...]`.
    """
    step = _step(source, target)
    slope = finite("target_gradient", target_gradient)
    broadcast(step=step, target_gradient=slope)
    rise = finite("source_loss", source_loss) - finite("target_loss", target_loss)
    above_tangent = rise - (slope * step).sum(axis=-1)
    bent: Array = 2.0 * above_tangent / (step**2).sum(axis=-1)
    return bent


def global_rounds(*, local_accuracy: Real, global_target: Real, constant: Real) -> Array:
    """Rounds to a target with exact local gradients: c ln(1/eps) / (1 - theta). [P4] (11).

    Args:
        local_accuracy: theta in [0, 1), what a round leaves of a local error.
        global_target: eps in (0, 1], what training may leave of the global one.
        constant: > 0, fitted to rounds that were needed.
    """
    left = within("local_accuracy", local_accuracy, 0, 1 - ACCURACY_MIN)
    target = within("global_target", global_target, ACCURACY_MIN, 1)
    scale = positive("constant", constant)
    broadcast(local_accuracy=left, global_target=target, constant=scale)
    return scale * np.log(1.0 / target) / (1.0 - left)


def local_iterations(*, local_accuracy: Real) -> Array:
    """Whole local iterations that leave `local_accuracy` in (0, 1]: max(1, ceil(log2(1/theta))).

    [P4] (11).
    """
    left = within("local_accuracy", local_accuracy, ACCURACY_MIN, 1)
    return np.maximum(1.0, np.ceil(np.log2(1.0 / left)))


def gradient_noise(*, fraction: Real, samples: Real) -> Array:
    """Variance of the aggregated mini-batch gradient, in units of sigma^2 / D. [P4] (11).

    Exact for batches drawn without replacement: sum of (D_n / D) (1 - b_n) / b_n.

    Args:
        fraction: b_n in (0, 1] `[..., N]`, of a twin's samples that an iteration takes.
        samples: D_n >= 0 `[..., N]`, not all 0.

    Returns:
        `[...]`.
    """
    part, held = within("fraction", fraction, ACCURACY_MIN, 1), non_negative("samples", samples)
    broadcast(fraction=part, samples=held)
    if not held.ndim or not (total := held.sum(axis=-1)).all():
        raise InvalidArgument("samples has none in some world; there must be samples to learn from")
    noise: Array = (held * (1.0 - part) / part).sum(axis=-1) / total
    return noise


def rounds_with_noise(*, rounds: Real, noise: Real, noise_scale: Real) -> Array:
    """Rounds to a target with mini-batches: I_g (1 + chi nu). [P4] (11).

    Args:
        rounds: I_g >= 0, of exact gradients.
        noise: nu >= 0, a `gradient_noise`.
        noise_scale: chi >= 0, the gradient's noise scale over all samples.
    """
    exact, variance = non_negative("rounds", rounds), non_negative("noise", noise)
    scale = non_negative("noise_scale", noise_scale)
    broadcast(rounds=exact, noise=variance, noise_scale=scale)
    return exact * (1.0 + scale * variance)


def descent_bound(
    *, loss: Real, gradient_norm: Real, learning_rate: Real, smoothness: Real
) -> Array:
    """No gradient step ends above this loss: F - eta (1 - L eta / 2) |grad F|^2. [P2] (14).

    As printed it holds at eta = 1 / L only, where it promises most.

    Args:
        loss: F before the step, any shape.
        gradient_norm: |grad F| >= 0.
        learning_rate: eta > 0.
        smoothness: L > 0.
    """
    before, slope = finite("loss", loss), non_negative("gradient_norm", gradient_norm)
    rate, steep = positive("learning_rate", learning_rate), positive("smoothness", smoothness)
    broadcast(loss=before, gradient_norm=slope, learning_rate=rate, smoothness=steep)
    return before - rate * (1.0 - steep * rate / 2.0) * slope**2


def gap_bound(*, gradient_norm: Real, strong_convexity: Real) -> Array:
    """No point with this gradient is further above the minimum: |grad F|^2 / (2 mu). [P2] (16).

    Args:
        gradient_norm: |grad F| >= 0, any shape.
        strong_convexity: mu > 0.
    """
    slope = non_negative("gradient_norm", gradient_norm)
    bent = positive("strong_convexity", strong_convexity)
    broadcast(gradient_norm=slope, strong_convexity=bent)
    return slope**2 / (2.0 * bent)


def contraction_factor(*, learning_rate: Real, smoothness: Real, strong_convexity: Real) -> Array:
    """What a gradient step leaves of F - F* at most: 1 - mu eta (2 - L eta). [P2] (17).

    1 - mu / L at eta = 1 / L only. Below 1 for eta < 2 / L.

    Args:
        learning_rate: eta > 0, any shape.
        smoothness: L > 0.
        strong_convexity: mu in (0, L].
    """
    rate, steep = positive("learning_rate", learning_rate), positive("smoothness", smoothness)
    bent = positive("strong_convexity", strong_convexity)
    broadcast(learning_rate=rate, smoothness=steep, strong_convexity=bent)
    if (bent > steep).any():
        raise InvalidArgument(f"strong_convexity is up to {bent.max()}, smoothness {steep.min()}")
    return 1.0 - bent * rate * (2.0 - steep * rate)


def contraction(
    *, rounds: Real, learning_rate: Real, smoothness: Real, strong_convexity: Real
) -> Array:
    """What so many rounds leave of F - F* at most: exp(-rounds mu eta (2 - L eta)). [P3] (19)(20).

    Each round is one full gradient step of every edge from the common weights; with many local
    steps in a round the rounds may converge to another point.

    Args:
        rounds: >= 0, i + 1 in the paper, any shape.
        learning_rate: eta in (0, 2 / L), any shape that fits.
        smoothness: L > 0.
        strong_convexity: mu in (0, L].
    """
    count, rate = non_negative("rounds", rounds), positive("learning_rate", learning_rate)
    steep = positive("smoothness", smoothness)
    if (rate >= 2.0 / steep).any():
        limit = float((2.0 / steep).min())
        raise InvalidArgument(f"learning_rate is up to {rate.max()}; it must be below {limit:g}")
    factor = contraction_factor(
        learning_rate=rate, smoothness=steep, strong_convexity=strong_convexity
    )
    broadcast(rounds=count, learning_rate=factor)
    left: Array = np.exp(-count * (1.0 - factor))
    return left


def _step(source: Real, target: Real) -> Array:
    step = finite("source", source) - finite("target", target)
    if not step.ndim or not (step != 0).any(axis=-1).all():
        raise InvalidArgument("source and target are one point; two different ones are compared")
    return step
