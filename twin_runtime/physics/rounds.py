"""A federated round as its users spend it: who waits for whom, and what crosses the uplink.

Users that do not take part are masked by `participates`; means are over participants, and a
round lasts as long as its slowest one.
"""

import numpy as np

from twin_runtime.physics.arguments import (
    Array,
    InvalidArgument,
    Real,
    broadcast,
    non_negative,
    positive,
    within,
)


def user_time_s(*, computing_s: Real, model_bits: Real, rate_bps: Real) -> Array:
    """Time of training and upload [s]; infinite for a user without a sub-channel. [P2] (29).

    Args:
        computing_s: >= 0 [s], any shape.
        model_bits: > 0, what is uploaded.
        rate_bps: >= 0 [bit/s], any shape that fits.
    """
    computing = non_negative("computing_s", computing_s)
    bits, rate = positive("model_bits", model_bits), non_negative("rate_bps", rate_bps)
    broadcast(computing_s=computing, model_bits=bits, rate_bps=rate)
    upload = np.where(rate > 0, bits / np.where(rate > 0, rate, 1.0), np.inf)
    return np.asarray(computing + upload)


def round_time_s(*, time_s: Real, participates: Real) -> Array:
    """Time of the slowest participant, `[...]` [s]; 0 when there is none. [P2] S3.

    Args:
        time_s: `[..., n]` >= 0; infinite where a participant has no sub-channel.
        participates: `[..., n]`, 1 or 0.
    """
    time, part = _participants(time_s, participates)
    slowest: Array = np.max(time, axis=-1, initial=0.0, where=part > 0)
    return slowest


def mean_time_s(*, time_s: Real, participates: Real) -> Array:
    """Mean time of the participants, `[...]` [s]; 0 when there is none. [P2] (26)(30)."""
    time, part = _participants(time_s, participates)
    mean: Array = np.where(part > 0, time, 0.0).sum(axis=-1) / np.maximum(part.sum(axis=-1), 1.0)
    return mean


def mean_absolute_deviation_s(*, time_s: Real, participates: Real) -> Array:
    """Mean of |T - mean| over participants, `[...]` [s]. [P2] (27), there called a variance."""
    off, part = _deviations(time_s, participates)
    return mean_time_s(time_s=np.abs(off), participates=part)


def squared_deviations_s2(*, time_s: Real, participates: Real) -> Array:
    """Sum of (T - mean)^2 over participants, `[...]` [s^2]; reported, never minimised.

    [P2] (36). Minimised, it slows the fast instead of helping the slow.
    """
    off, _ = _deviations(time_s, participates)
    return np.asarray(np.square(off).sum(axis=-1))


def time_variance_s2(*, time_s: Real, participates: Real) -> Array:
    """Mean of (T - mean)^2 over participants, `[...]` [s^2]. [P2] (28)."""
    off, part = _deviations(time_s, participates)
    return mean_time_s(time_s=np.square(off), participates=part)


def parallel_merge_s(*, model_bits: Real, rate_bps: Real) -> Array:
    """Time until the master station has the others' models, all links at once, `[...]` [s].

    [P2] (19), as a maximum; the master itself is left out of the last axis.

    Args:
        model_bits: `[..., M]` > 0.
        rate_bps: `[..., M]` > 0, between each other station and the master, [P2] (18).
    """
    longest: Array = _links_s(model_bits, rate_bps).max(axis=-1, initial=0.0)
    return longest


def serial_merge_s(*, model_bits: Real, rate_bps: Real) -> Array:
    """As `parallel_merge_s`, one link after another. [P2] (19)."""
    total: Array = _links_s(model_bits, rate_bps).sum(axis=-1)
    return total


def uplink_traffic_bits(
    *, participates: Real, model_bits: Real, users: Real, state_bits: Real = 0.0
) -> Array:
    """All bits that users sent in T rounds, models and states, `[...]`. [P2] (20).

    Args:
        participates: `[..., T]` >= 0, how many models each round had.
        model_bits: > 0, of one model.
        users: >= 0, how many send their state each round.
        state_bits: >= 0, of one state.
    """
    models, count = non_negative("participates", participates), non_negative("users", users)
    each, state = positive("model_bits", model_bits), non_negative("state_bits", state_bits)
    total: Array = models.sum(axis=-1) * each + models.shape[-1] * count * state
    return total


def _participants(time_s: Real, participates: Real) -> tuple[Array, Array]:
    time = np.asarray(time_s, dtype=np.float64)
    if not (time >= 0).all():
        raise InvalidArgument(f"time_s is {time[~(time >= 0)][0]}; it must be >= 0")
    part = within("participates", participates, 0.0, 1.0)
    shape = broadcast(time_s=time, participates=part)
    return np.broadcast_to(time, shape), np.broadcast_to(part, shape)


def _deviations(time_s: Real, participates: Real) -> tuple[Array, Array]:
    """Each participant's time less their mean, 0 of the others."""
    time, part = _participants(time_s, participates)
    present = non_negative("time_s of a participant", np.where(part > 0, time, 0.0))
    mean = mean_time_s(time_s=present, participates=part)
    return np.where(part > 0, present - mean[..., None], 0.0), part


def _links_s(model_bits: Real, rate_bps: Real) -> Array:
    bits, rate = positive("model_bits", model_bits), positive("rate_bps", rate_bps)
    broadcast(model_bits=bits, rate_bps=rate)
    return bits / rate
