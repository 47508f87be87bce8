"""The best division of one world's sub-channels, where it can be found: small, or one each.

With as many users as sub-channels, or where each user is to get exactly one, a threshold on the
users' times and a matching of users with sub-channels decide exactly. In general the problem is
NP-hard (two users with equal rates are PARTITION); small worlds are enumerated, larger ones
solved by integer programmes as in `subchannel_bounds`, which can also prove a given division.
"""

import numpy as np
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse.csgraph import maximum_bipartite_matching

from twin_runtime.physics.arguments import Array, Booleans, Integers, InvalidArgument
from twin_runtime.physics.ofdma import UNUSED
from twin_runtime.solvers.subchannel_bounds import (
    CONVERGED,
    PROGRAMMES_MAX,
    reachable_s,
    scaled_rates,
    shares,
)
from twin_runtime.solvers.uplink import Division, Uplink

ENUMERATED_MAX = 2_000_000  # divisions looked at one by one: some seconds
ENUMERATED_AT_ONCE = 50_000  # of 8 sub-channels an array is 3 MB


def one_each(uplink: Uplink) -> Division:
    """The exactly one sub-channel of each user that lets all be done earliest. [P2] S6.

    Exact where there are as many users as sub-channels. The bound holds for such divisions only.
    """
    uplink = uplink.one()
    time_s = uplink.computing_s[:, None] + uplink.model_bits / uplink.rates_bps
    limits = np.unique(time_s[time_s >= time_s.min(axis=1).max()])
    first, last = 0, len(limits) - 1
    while first < last:
        middle = (first + last) // 2
        if _matched(time_s <= limits[middle]).min() >= 0:
            last = middle
        else:
            first = middle + 1
    channel = _matched(time_s <= limits[first])
    owner = np.full(uplink.rates_bps.shape[1], UNUSED, dtype=np.int64)
    owner[channel] = np.arange(len(channel))
    return Division(owner, limits[first], limits[first])


def enumerated(uplink: Uplink) -> Division:
    """The best of all (n + 1)^K divisions; among equals that of the least mean time. [P2] S6.

    Raises:
        InvalidArgument: there are more than `ENUMERATED_MAX`.
    """
    uplink = uplink.one()
    users, channels = uplink.rates_bps.shape
    if (count := (users + 1) ** channels) > ENUMERATED_MAX:
        raise InvalidArgument(
            f"{users} users on {channels} sub-channels are {count} divisions; "
            f"at most {ENUMERATED_MAX} are enumerated"
        )
    best: tuple[float, float, Integers] | None = None
    for begin in range(0, count, ENUMERATED_AT_ONCE):
        owner = _divisions(begin, min(begin + ENUMERATED_AT_ONCE, count), users, channels)
        found = _least(uplink, owner)
        if found is not None and (best is None or found[:2] < best[:2]):
            best = found
    assert best is not None
    return Division(best[2], np.asarray(best[0]), np.asarray(best[0]))


def programmed(uplink: Uplink, start: Integers, seconds_max: float) -> Division:
    """A division by integer programmes, from `start` on. [P2] S6.

    Each programme looks for a division that serves all users better than the makespan so far
    asks for; the last proves that there is none, if `seconds_max` for each suffices. Either way
    the bound holds, to HiGHS' tolerance. Mean times are not looked at.
    """
    uplink = uplink.one()
    users, channels = uplink.rates_bps.shape
    owner, makespan, bound = start, float(uplink.makespan_s(start)), 0.0
    rows, limits = shares(uplink)
    whole = np.append(np.ones(users * channels), 0.0)
    ceiling = Bounds(0.0, np.append(np.ones(users * channels), np.inf))
    for _ in range(PROGRAMMES_MAX):
        answer = milp(
            -(1.0 - whole),
            integrality=whole,
            bounds=ceiling,
            constraints=[
                LinearConstraint(scaled_rates(uplink, makespan), -np.inf, 0.0),
                LinearConstraint(rows, -np.inf, limits),
            ],
            options={"time_limit": seconds_max, "mip_rel_gap": CONVERGED},
        )
        if answer.mip_dual_bound is not None:
            bound = max(bound, reachable_s(uplink, makespan, -answer.mip_dual_bound))
        found = None if answer.x is None else _owner(answer.x[:-1].reshape(users, channels))
        if found is None or not uplink.makespan_s(found) < makespan * (1.0 - CONVERGED):
            break
        owner, makespan = found, float(uplink.makespan_s(found))
    return Division(owner, np.asarray(makespan), np.asarray(min(bound, makespan)))


def _matched(allowed: Booleans) -> Integers:
    """A sub-channel for each user, or -1."""
    graph = sparse.csr_array(allowed)
    channel: Integers = maximum_bipartite_matching(graph, perm_type="column").astype(np.int64)
    return channel


def _divisions(begin: int, end: int, users: int, channels: int) -> Integers:
    """The divisions of these numbers, whose digits to the base n + 1 are the owners, `[M, K]`."""
    number = np.arange(begin, end)[:, None]
    return number // (users + 1) ** np.arange(channels) % (users + 1) + UNUSED


def _least(uplink: Uplink, owner: Integers) -> tuple[float, float, Integers] | None:
    """The best feasible of `owner` `[M, K]`, with its makespan and mean time."""
    many = _copies(uplink, len(owner))
    owner = owner[many.feasible(owner)]
    if not len(owner):
        return None
    many = _copies(uplink, len(owner))
    makespan, mean = many.makespan_s(owner), many.mean_s(owner)
    best = int(np.lexsort((mean, makespan))[0])
    return float(makespan[best]), float(mean[best]), owner[best]


def _copies(uplink: Uplink, count: int) -> Uplink:
    """The same world `count` times over, without copying it."""
    users, channels = uplink.rates_bps.shape
    return Uplink(
        np.broadcast_to(uplink.rates_bps, (count, users, channels)),
        np.broadcast_to(uplink.computing_s, (count, users)),
        uplink.model_bits,
        uplink.subchannels_max,
        np.broadcast_to(uplink.active, (count, users)),
    )


def _owner(chosen: Array) -> Integers:
    """Who has each sub-channel, of a matrix `[n, K]` of zeros and ones."""
    whole = np.rint(chosen)
    return np.where(whole.any(axis=0), whole.argmax(axis=0), UNUSED)
