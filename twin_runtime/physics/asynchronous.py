"""Asynchronous federated learning: whose update is worth an upload, and how much it counts.

Each user trains in every round, and measures by its update weight tau how much news its model
is: how long it has been silent, how far the model moved, how fast the user is. Only users
above a gate upload. The edge weighs their models by samples and 1 - exp(-tau), less for a
late one, and adds their mean *change* since the version each was trained from: one that comes
late cannot pull the model back to an old version.

As printed, [P2] (21) divides by a vector and (22) does not sum to 1, so that the model
shrinks every round; both are corrected here, and `printed_weights` is kept to show it.
The two usual asynchronous schemes, FedAsync and FedBuff, stand beside it as baselines.
"""

import numpy as np

from twin_runtime.physics.arguments import (
    Array,
    Booleans,
    Integers,
    InvalidArgument,
    Real,
    broadcast,
    finite,
    non_negative,
    positive,
    within,
)

SPEED_MIN, SPEED_MAX = 0.1, 10.0  # one fast or slow user must not outweigh any change
MODEL_NORM_MIN = 1e-12  # a model of zeros is changed by any update
GATE_GAIN = 0.5  # with 1 to 2 a gate swings between nobody and everybody


# --- the update weight ------------------------------------------------------------------


def relative_change(*, trained: Real, model: Real) -> Array:
    """How far training moved a model: |w_i - w_g| / |w_g|, `[...]`. [P2] (21).

    Args:
        trained: `[..., p]`, all parameters flattened.
        model: `[..., p]`, the version it was trained from; shapes broadcast.
    """
    after, before = finite("trained", trained), finite("model", model)
    broadcast(trained=after, model=before)
    norm = np.maximum(np.linalg.norm(before, axis=-1), MODEL_NORM_MIN)
    moved: Array = np.linalg.norm(after - before, axis=-1) / norm
    return moved


def link_speed(
    *,
    rate_bps: Real,
    frequency_hz: Real,
    reference_rate_bps: Real,
    reference_frequency_hz: Real,
) -> Array:
    """Rate per clock over that of a reference user, in [0.1, 10]. [P2] (21), gate "paper".

    All > 0; the references are the fleet's medians, which makes it a pure number near 1. It
    favours slow processors; `turnaround_speed` does not.
    """
    rate, clock = positive("rate_bps", rate_bps), positive("frequency_hz", frequency_hz)
    usual_rate = positive("reference_rate_bps", reference_rate_bps)
    usual_clock = positive("reference_frequency_hz", reference_frequency_hz)
    broadcast(rate_bps=rate, frequency_hz=clock, reference_rate_bps=usual_rate)
    return np.clip((rate / clock) / (usual_rate / usual_clock), SPEED_MIN, SPEED_MAX)


def turnaround_speed(*, time_s: Real, reference_time_s: Real) -> Array:
    """A reference user's round time over one's own, in [0.1, 10]. Gate "speed", beside [P2] (21).

    Args:
        time_s: > 0, training and an upload over a fair share of the sub-channels.
        reference_time_s: > 0, the fleet's median of it.
    """
    time, usual = positive("time_s", time_s), positive("reference_time_s", reference_time_s)
    broadcast(time_s=time, reference_time_s=usual)
    return np.clip(usual / time, SPEED_MIN, SPEED_MAX)


def update_weight(*, gap_rounds: Real, change: Real, speed: Real) -> Array:
    """Rounds since a user's last aggregated update x change x speed: tau. [P2] (21).

    All >= 0, any shapes that fit; a pure number.
    """
    gap, moved = non_negative("gap_rounds", gap_rounds), non_negative("change", change)
    fast = non_negative("speed", speed)
    broadcast(gap_rounds=gap, change=moved, speed=fast)
    return gap * moved * fast


# --- the gate ---------------------------------------------------------------------------


def passes_gate(
    *, update_weight: Real, gap_rounds: Real, threshold: Real, gap_rounds_max: Real
) -> Booleans:
    """Who uploads: weight above `threshold` (strictly), or silent for `gap_rounds_max`. [P2] S4."""
    weight = non_negative("update_weight", update_weight)
    gap = non_negative("gap_rounds", gap_rounds)
    broadcast(update_weight=weight, gap_rounds=gap)
    above = weight > non_negative("threshold", threshold)
    return above | (gap >= positive("gap_rounds_max", gap_rounds_max))


def leading_users(
    *, update_weight: Real, gap_rounds: Real, count: int, gap_rounds_max: Real
) -> Integers:
    """The `count` users that upload, `[..., count]`: the too long silent, then by weight. [P2] S4.

    Args:
        update_weight: `[..., n]` >= 0; of equals the first goes first.
        gap_rounds: `[..., n]` >= 0.
        count: 1 to n.
        gap_rounds_max: from this gap on a user goes before all others.
    """
    weight = non_negative("update_weight", update_weight)
    silent = non_negative("gap_rounds", gap_rounds) >= positive("gap_rounds_max", gap_rounds_max)
    if not 1 <= count <= weight.shape[-1]:
        raise InvalidArgument(f"count is {count}; there are {weight.shape[-1]} users")
    order = np.lexsort((-weight, ~np.broadcast_to(silent, weight.shape)), axis=-1)
    return order[..., :count].astype(np.int64)


def next_threshold(*, threshold: Real, uploads: Real, uploads_wanted: Real, users: Real) -> Array:
    """Move a gate towards as many uploads as are wanted. [P2] S4."""
    gate, seen = positive("threshold", threshold), non_negative("uploads", uploads)
    wanted = non_negative("uploads_wanted", uploads_wanted)
    surplus = (seen - wanted) / positive("users", users)
    return gate * np.exp(GATE_GAIN * surplus)


# --- aggregation ------------------------------------------------------------------------


def update_mass(*, samples: Real, update_weight: Real, lateness_rounds: Real = 0.0) -> Array:
    """What an update counts before all are scaled to 1: D (1 - e^-tau) / sqrt(1 + lateness).

    [P2] (22). A station reports its sum beside its aggregate; weighing stations by it gives
    exactly the aggregate of all their users at once.
    """
    count, weight = non_negative("samples", samples), non_negative("update_weight", update_weight)
    late = non_negative("lateness_rounds", lateness_rounds)
    broadcast(samples=count, update_weight=weight, lateness_rounds=late)
    return count * -np.expm1(-weight) / np.sqrt(1.0 + late)


def aggregation_weights(
    *, samples: Real, update_weight: Real, lateness_rounds: Real = 0.0
) -> Array:
    """Shares `[..., n]` of the updates in their aggregate; they sum to 1, or are all 0. [P2] (22).

    Args:
        samples: `[..., n]` >= 0; 0 for a user that takes no part.
        update_weight: `[..., n]` >= 0.
        lateness_rounds: `[..., n]` >= 0, 0 for an update on time.
    """
    mass = update_mass(
        samples=samples, update_weight=update_weight, lateness_rounds=lateness_rounds
    )
    total = mass.sum(axis=-1, keepdims=True)
    return mass / np.where(total > 0, total, 1.0)


def printed_weights(*, samples: Real, update_weight: Real) -> Array:
    """The shares as [P2] prints (22), over all samples: they sum to less than 1. [P2] S5."""
    count = non_negative("samples", samples)
    mass = update_mass(samples=count, update_weight=update_weight)
    return mass / positive("samples.sum()", count.sum(axis=-1, keepdims=True))


def server_rate(*, participating_samples: Real, all_samples: Real) -> Array:
    """Step of the server when too few came to wait for more: min(1, D_P / (0.3 D)). [P2] (22)."""
    came = non_negative("participating_samples", participating_samples)
    return np.minimum(1.0, came / (0.3 * positive("all_samples", all_samples)))


def aggregate(
    *, model: Real, trained: Real, bases: Real, weights: Real, server_rate: Real = 1.0
) -> Array:
    """The next model, `[..., p]`: the last one plus the mean change of the updates. [P2] (22).

    With all bases the last model and a server rate of 1 it is the mean of the trained models.

    Args:
        model: `[..., p]`, the last version.
        trained: `[..., n, p]`.
        bases: the version each was trained from; broadcasts with `trained`.
        weights: `[..., n]` >= 0, of `aggregation_weights`.
        server_rate: in [0, 1].
    """
    last, after = finite("model", model), finite("trained", trained)
    before, share = finite("bases", bases), non_negative("weights", weights)
    broadcast(trained=after, bases=before, weights=share[..., None])
    change: Array = np.einsum("...n,...np->...p", share, after - before)
    return last + within("server_rate", server_rate, 0.0, 1.0) * change


def aggregate_residual(*, model: Real, trained: Real, samples: Real, update_weight: Real) -> Array:
    """The other repair of (22): what the printed weights lack stays with the last model. [P2] S5.

    Valid, and slow: fresh users have small weights. Shapes as in `aggregate`.
    """
    weights = printed_weights(samples=samples, update_weight=update_weight)
    bases = finite("model", model)[..., None, :]
    return aggregate(model=model, trained=trained, bases=bases, weights=weights)


# --- baselines --------------------------------------------------------------------------


def polynomial_staleness(*, delay_versions: Real, exponent: Real = 0.5) -> Array:
    """(1 + d)^-a: FedAsync's discount of an update that is `delay_versions` (>= 0) late. [P2] S7.

    An exponent of 0 is no discount; FedBuff takes 0.5.
    """
    delay = non_negative("delay_versions", delay_versions)
    return np.power(1.0 + delay, -non_negative("exponent", exponent))


def hinge_staleness(*, delay_versions: Real, slope: Real = 10.0, grace: Real = 4.0) -> Array:
    """1 up to a delay of `grace`, then 1 / (slope (d - grace) + 1). [P2] S7, FedAsync."""
    delay = non_negative("delay_versions", delay_versions)
    beyond = np.maximum(delay - non_negative("grace", grace), 0.0)
    return 1.0 / (non_negative("slope", slope) * beyond + 1.0)


def fedasync_step(*, model: Real, trained: Real, mixing: Real, staleness: Real) -> Array:
    """FedAsync: (1 - alpha s) w + alpha s w_k, on each arrival. [P2] S7.

    `mixing` (0.6 or 0.9) and `staleness` are in [0, 1]; models `[..., p]`.
    """
    share = within("mixing", mixing, 0.0, 1.0) * within("staleness", staleness, 0.0, 1.0)
    last, after = finite("model", model), finite("trained", trained)
    mixed: Array = last + share[..., None] * (after - last)
    return mixed


def fedbuff_step(
    *, model: Real, changes: Real, delay_versions: Real, server_rate: Real = 1.0
) -> Array:
    """FedBuff: w less the mean of a full buffer's changes, each discounted by its delay. [P2] S7.

    Args:
        model: `[..., p]`.
        changes: `[..., b, p]`, start less end of each client's training.
        delay_versions: `[..., b]` >= 0.
        server_rate: > 0.
    """
    discount = polynomial_staleness(delay_versions=delay_versions)
    moved = finite("changes", changes)
    mean: Array = (discount[..., None] * moved).mean(axis=-2)
    return finite("model", model) - positive("server_rate", server_rate) * mean


def proximal_pull(*, model: Real, base: Real, strength: Real = 0.005) -> Array:
    """Gradient of (rho / 2) |w - w_base|^2, which holds a client near its base. [P2] S7."""
    return non_negative("strength", strength) * (finite("model", model) - finite("base", base))
