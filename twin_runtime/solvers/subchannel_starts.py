"""First divisions of the sub-channels: each participant gets one, the slowest get the rest.

All take an `Uplink` of one or many worlds and step them together; the one that is fast and
exact for flat channels takes counts instead of names.
"""

import heapq

import numpy as np

from twin_runtime.physics.arguments import (
    Array,
    Booleans,
    Integers,
    InvalidArgument,
    Real,
    non_negative,
    positive,
)
from twin_runtime.physics.ofdma import UNUSED, assigned_rate_bps, subchannel_counts
from twin_runtime.solvers.certificate import Certificate, Infeasible
from twin_runtime.solvers.uplink import RATE_BPS_MIN, Uplink


def own_start(uplink: Uplink) -> Integers:
    """Each user takes its own best free sub-channel: [P2] Algorithm 2's start, as we read it.

    By falling computing time one each; then the slowest so far takes its best, again and again.
    Returns `owner` `[..., K]`. [P2] S4.
    """
    return _divided(uplink, uplink.rates_bps)


def column_start(uplink: Uplink) -> Integers:
    """As `own_start`, where all users rank sub-channels by their mean rate: as printed. [P2] S4."""
    each = np.where(uplink.active[..., None], uplink.rates_bps, 0.0)
    common = each.sum(axis=-2, keepdims=True)
    return _divided(uplink, np.broadcast_to(common, uplink.rates_bps.shape))


def filled(uplink: Uplink, owner: Integers) -> Integers:
    """Give every unused sub-channel of worlds `[B, n, K]`: always the slowest takes its best."""
    whole = owner.copy()
    _fill(uplink, uplink.rates_bps, whole)
    return whole


def flat_counts(
    *, rate_bps: Real, computing_s: Real, model_bits: float, subchannels: int, subchannels_max: int
) -> tuple[Integers, Certificate]:
    """How many sub-channels each user gets where all are alike, exactly. [P2] (5)(36), S6.

    One each, and every further one to the slowest, until that user may have no more.

    Args:
        rate_bps: > 0, `[n]`, of one sub-channel.
        computing_s: >= 0, `[n]`.
        model_bits: > 0.
        subchannels: K >= n.
        subchannels_max: >= 1, of one user.

    Raises:
        Infeasible: there are more users than sub-channels.
    """
    each_s = positive("model_bits", model_bits) / positive("rate_bps", rate_bps)
    ready_s = non_negative("computing_s", computing_s)
    if each_s.shape != ready_s.shape or each_s.ndim != 1 or not each_s.size:
        raise InvalidArgument(f"rate_bps {each_s.shape}, computing_s {ready_s.shape}; both [n]")
    users = each_s.size
    if users > subchannels:
        raise Infeasible(f"{users} users need a sub-channel each; there are {subchannels}")
    counts = np.ones(users, dtype=np.int64)
    waiting = [(-float(ready_s[i] + each_s[i]), i) for i in range(users)]
    heapq.heapify(waiting)
    for _ in range(subchannels - users):
        slowest = waiting[0][1]
        if counts[slowest] >= subchannels_max:
            break
        counts[slowest] += 1
        time_s = float(ready_s[slowest] + each_s[slowest] / counts[slowest])
        heapq.heapreplace(waiting, (-time_s, slowest))
    makespan = float(-waiting[0][0])
    return counts, Certificate(makespan, makespan)


def _divided(uplink: Uplink, quality: Array) -> Integers:
    """A start in which users prefer sub-channels of high `quality` `[..., n, K]`."""
    flat = uplink.flat()
    wanted = quality.reshape(flat.rates_bps.shape)
    owner = np.full((len(wanted), uplink.rates_bps.shape[-1]), UNUSED, dtype=np.int64)
    _one_each(flat, wanted, owner)
    _fill(flat, wanted, owner)
    return owner.reshape((*uplink.computing_s.shape[:-1], -1))


def _one_each(uplink: Uplink, quality: Array, owner: Integers) -> None:
    """Give each participant, by falling computing time, its best free one."""
    worlds = np.arange(len(owner))
    order = np.argsort(np.where(uplink.active, -uplink.computing_s, np.inf), axis=-1, kind="stable")
    for turn in range(int(uplink.active.sum(axis=-1).max())):
        user = order[:, turn]
        takes = uplink.active[worlds, user]
        best = _best_free(quality[worlds, user], owner)
        owner[worlds[takes], best[takes]] = user[takes]


def _fill(uplink: Uplink, quality: Array, owner: Integers) -> None:
    """Give what is free to the slowest that may have more, its best first."""
    worlds = np.arange(len(owner))
    rate, counts = _rates_and_counts(uplink, owner)
    for _ in range(owner.shape[-1]):
        able = uplink.active & (counts < uplink.subchannels_max)
        gives = able.any(axis=-1) & (owner == UNUSED).any(axis=-1)
        if not gives.any():
            return
        time_s = uplink.computing_s + uplink.model_bits / np.maximum(rate, RATE_BPS_MIN)
        user = np.where(able, time_s, -np.inf).argmax(axis=-1)
        best = _best_free(quality[worlds, user], owner)
        at = (worlds[gives], user[gives])
        rate[at] += uplink.rates_bps[worlds[gives], user[gives], best[gives]]
        counts[at] += 1
        owner[worlds[gives], best[gives]] = user[gives]


def _best_free(quality: Array, owner: Integers) -> Integers:
    free: Booleans = owner == UNUSED
    best: Integers = np.where(free, quality, -np.inf).argmax(axis=-1)
    return best


def _rates_and_counts(uplink: Uplink, owner: Integers) -> tuple[Array, Integers]:
    rate = assigned_rate_bps(owner=owner, rates_bps=uplink.rates_bps)
    return rate, subchannel_counts(owner=owner, users=rate.shape[-1])
