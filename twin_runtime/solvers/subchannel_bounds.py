"""What no division of the sub-channels can beat: by counting, and by a linear programme.

Counting asks how many sub-channels each user needs at least, taking its very best ones, to be
done by T. If all together need more than there are, T is out of reach. It ignores that
two users may want the same sub-channel, and knows that sub-channels are whole. That matters
more: in rounds of [P2] it costs 0.1 ms and meets the local search in most of them, also with
90 users on 100 sub-channels, where the linear programme is 10 % loose.
"""

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

from twin_runtime.physics.arguments import Array
from twin_runtime.solvers.uplink import Uplink

PROGRAMMES_MAX = 50  # linear programmes until the bound stands still; 10 have been seen
CONVERGED = 1e-7  # HiGHS is no more exact than this
BISECTIONS = 64  # enough to find one of 2^64 times


def counting_bound_s(uplink: Uplink) -> Array:
    """The least makespan `[...]` that whole sub-channels allow, were each user's best ones free.

    The bound is tight when one user, or the number of sub-channels, decides. [P2] (24)(25)(36).
    """
    flat = uplink.flat()
    time_s = _fewest_s(flat)
    low = np.max(time_s[:, :, -1], axis=-1, initial=0.0, where=flat.active)
    channels, users = flat.rates_bps.shape[-1], flat.active.sum(axis=-1)
    candidates = np.where(flat.active[:, :, None], time_s, 0.0).reshape(len(low), -1)
    candidates = np.sort(np.maximum(candidates, low[:, None]), axis=-1)
    first, last = np.zeros(len(low), dtype=np.int64), np.full(len(low), candidates.shape[-1] - 1)
    for _ in range(BISECTIONS):
        if (first >= last).all():
            break
        middle = (first + last) // 2
        limit = candidates[np.arange(len(low)), middle]
        more = (time_s > limit[:, None, None]) & flat.active[:, :, None]
        enough = more.sum(axis=(1, 2)) + users <= channels
        first, last = np.where(enough, first, middle + 1), np.where(enough, middle, last)
    bound: Array = candidates[np.arange(len(low)), last]
    return bound.reshape(uplink.computing_s.shape[:-1])


def fractional_bound_s(uplink: Uplink) -> float:
    """The least makespan of one world if a sub-channel could be divided: the LP bound. [P2] S6.

    For a makespan T, user i needs the rate |w| / (T - computing_i). A linear programme finds by
    what factor s all could get more; if more than 1, its division has a shorter makespan, and
    the next one starts there. No division, whole or not, is done before
    c + (T - c) / s, where c is the shortest computing time.
    """
    uplink = uplink.one()
    constraints, limits = shares(uplink)
    makespan, bound = _started_s(uplink), 0.0
    for _ in range(PROGRAMMES_MAX):
        rows = scaled_rates(uplink, makespan)
        answer = linprog(
            np.append(np.zeros(uplink.rates_bps.size), -1.0),
            A_ub=sparse.vstack([rows, constraints]).tocsr(),
            b_ub=np.append(np.zeros(len(uplink.computing_s)), limits),
            method="highs",
        )
        bound = max(bound, reachable_s(uplink, makespan, -answer.fun))
        given = answer.x[:-1].reshape(uplink.rates_bps.shape)
        rate = (given * uplink.rates_bps).sum(axis=-1)
        shorter = float((uplink.computing_s + uplink.model_bits / rate).max())
        if shorter >= makespan * (1.0 - CONVERGED):
            break
        makespan = shorter
    return bound


def reachable_s(uplink: Uplink, makespan_s: float, factor: float) -> float:
    """A bound on all makespans, if no division serves all `factor` times as well as needed."""
    shortest = float(uplink.computing_s.min())
    return shortest + (makespan_s - shortest) / max(factor, 1.0)


def scaled_rates(uplink: Uplink, makespan_s: float) -> sparse.csr_array:
    """Rows `s - sum_k theta_ik r_ik / needed_i <= 0` over the variables (theta, s)."""
    needed = uplink.model_bits / (makespan_s - uplink.computing_s)
    served = -uplink.rates_bps / needed[:, None]
    users, channels = served.shape
    row = np.repeat(np.arange(users), channels)
    body = sparse.csr_array((served.ravel(), (row, np.arange(served.size))))
    return sparse.hstack([body, np.ones((users, 1))]).tocsr()


def shares(uplink: Uplink) -> tuple[sparse.csr_array, Array]:
    """A sub-channel is given at most once, a user has at most its number: rows and limits."""
    users, channels = uplink.rates_bps.shape
    given = sparse.kron(np.ones((1, users)), sparse.eye_array(channels))
    held = sparse.kron(sparse.eye_array(users), np.ones((1, channels)))
    rows = sparse.vstack([given, held])
    limits = np.append(np.ones(channels), np.full(users, float(uplink.subchannels_max)))
    return sparse.hstack([rows, sparse.csr_array((len(limits), 1))]).tocsr(), limits


def _started_s(uplink: Uplink) -> float:
    """A makespan to start from: that of equal shares of every sub-channel."""
    share = min(1.0 / len(uplink.computing_s), uplink.subchannels_max / uplink.rates_bps.shape[-1])
    rate = share * uplink.rates_bps.sum(axis=-1)
    return float((uplink.computing_s + uplink.model_bits / rate).max())


def _fewest_s(uplink: Uplink) -> Array:
    """When each user is done with its best 1, 2, ... sub-channels, as many as it may have."""
    users, channels = uplink.active.sum(axis=-1).min(), uplink.rates_bps.shape[-1]
    most = int(min(uplink.subchannels_max, channels - max(users, 1) + 1))
    best = -np.sort(-uplink.rates_bps, axis=-1)[:, :, :most]
    return uplink.computing_s[:, :, None] + uplink.model_bits / np.cumsum(best, axis=-1)
