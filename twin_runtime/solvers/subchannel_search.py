"""Better divisions of the sub-channels by small moves: many tries side by side.

A move helps the slowest user of a try: it takes a free sub-channel, or one of a user that has
another; where that does not help, it swaps one of its own for one of another user's. Of all
such moves the one is made that leaves the later of the two users earliest, if both are then
before the present makespan. So
the number of users at the makespan falls, or the makespan does, and the search ends.

A try stuck there is kicked: three pairs of sub-channels, drawn at random, change owners, and
the search runs again; the better result stays. Kicks are made in generations, a few tries of
the best division at once, because arrays of 16 tries cost little more than one: that is what
makes the search fast enough for every round. The tries of all worlds lie on one axis.
"""

from dataclasses import dataclass

import numpy as np

from twin_runtime.physics.arguments import Array, Booleans, Integers
from twin_runtime.physics.ofdma import UNUSED
from twin_runtime.solvers.uplink import RATE_BPS_MIN, Uplink

MOVES_MAX = 10_000  # never reached: a try of 90 users makes some 20 moves
PROGRESS = 1e-12  # relative: a smaller gain is rounding
KICK_PAIRS = 3  # [P2] S6: far enough to leave a local optimum, near enough to keep its good


@dataclass(slots=True)
class _Tries:
    """Divisions under way: try m is one of world `world[m]`."""

    uplink: Uplink
    world: Integers  # [M]
    owner: Integers  # [M, K]
    own_bps: Array  # [M, K], each sub-channel's rate in the hands of its owner
    rate_bps: Array  # [M, n]
    count: Integers  # [M, n]
    time_s: Array  # [M, n]; -inf of users that take no part


def improve(
    uplink: Uplink, owner: Integers, world: Integers, moves_max: int = MOVES_MAX
) -> Integers:
    """Local search from many divisions at once.

    Args:
        uplink: of worlds `[B, n, K]`.
        owner: `[M, K]`, feasible divisions.
        world: `[M]`, the world of each.
        moves_max: after so many moves each try rests where it is.

    Returns:
        `[M, K]`, none with a longer makespan.
    """
    tries, result = _tries(uplink, owner, world), owner.copy()
    alive = np.arange(len(owner))
    for _ in range(moves_max):
        moved = _move(tries)
        result[alive] = tries.owner
        if not moved.any():
            break
        if not moved.all():
            alive, tries = alive[moved], _kept(tries, moved)
    return result


def kick(owner: Integers, generator: np.random.Generator) -> Integers:
    """Swap the owners of three random pairs of sub-channels in each division `[M, K]`."""
    kicked = owner.copy()
    rows = np.arange(len(owner))
    for _ in range(KICK_PAIRS):
        pair = generator.integers(0, owner.shape[-1], (2, len(owner)))
        kicked[rows, pair[0]], kicked[rows, pair[1]] = (
            kicked[rows, pair[1]],
            kicked[rows, pair[0]],
        )
    return kicked


def best_of(uplink: Uplink, owner: Integers) -> Integers:
    """The best of several divisions of each world: `[B, tries, K]` -> `[B, K]`.

    By makespan, and among equals by mean time.
    """
    worlds, tries = owner.shape[:2]
    flat = owner.reshape(worlds * tries, -1)
    time = _tries(uplink, flat, np.repeat(np.arange(worlds), tries)).time_s
    time = time.reshape(worlds, tries, -1)
    makespan = time.max(axis=-1)
    mean = np.where(uplink.active[:, None], time, 0.0).sum(axis=-1)
    level = makespan <= makespan.min(axis=1, keepdims=True) * (1.0 + PROGRESS)
    best = np.where(level, mean, np.inf).argmin(axis=1)
    return np.asarray(owner[np.arange(worlds), best])


def _tries(uplink: Uplink, owner: Integers, world: Integers) -> _Tries:
    users, channels = uplink.rates_bps.shape[1:]
    own = uplink.rates_bps[world[:, None], np.maximum(owner, 0), np.arange(channels)]
    own = np.where(owner == UNUSED, 0.0, own)
    cell = (owner + 1 + np.arange(len(owner))[:, None] * (users + 1)).ravel()
    size = len(owner) * (users + 1)
    rate = np.bincount(cell, own.ravel(), size).reshape(-1, users + 1)[:, 1:].astype(np.float64)
    count = np.bincount(cell, minlength=size).reshape(-1, users + 1)[:, 1:].astype(np.int64)
    time = uplink.computing_s[world] + uplink.model_bits / np.maximum(rate, RATE_BPS_MIN)
    time = np.where(uplink.active[world], time, -np.inf)
    return _Tries(uplink, world, owner.copy(), own, rate, count, time)


def _kept(tries: _Tries, where: Booleans | Integers) -> _Tries:
    return _Tries(
        tries.uplink,
        tries.world[where],
        tries.owner[where],
        tries.own_bps[where],
        tries.rate_bps[where],
        tries.count[where],
        tries.time_s[where],
    )


def _move(tries: _Tries) -> Booleans:
    """Make the best move of every try that has one, a swap only where no other helps."""
    slowest = tries.time_s.argmax(axis=-1)
    makespan = tries.time_s[np.arange(len(slowest)), slowest] * (1.0 - PROGRESS)
    taken, time = _best_take(tries, slowest)
    helped = time < makespan
    stuck = np.flatnonzero(~helped)
    _pass(tries, np.flatnonzero(helped), taken[helped], slowest[helped])
    if stuck.size:
        given, got, time = _best_swap(_kept(tries, stuck), slowest[stuck])
        found = time < makespan[stuck]
        rows, given, got = stuck[found], given[found], got[found]
        _pass(tries, rows, given, tries.owner[rows, got])
        _pass(tries, rows, got, slowest[rows])
        helped[rows] = True
    return np.asarray(helped)


def _best_take(tries: _Tries, slowest: Integers) -> tuple[Integers, Array]:
    """Which sub-channel the slowest had best take, and when the later of both is done then."""
    rows = np.arange(len(slowest))
    uplink, wide = tries.uplink, rows[:, None]
    donor = np.maximum(tries.owner, 0)
    free = tries.owner == UNUSED
    allowed = (free | (tries.count[wide, donor] > 1)) & (tries.owner != slowest[:, None])
    allowed &= (tries.count[rows, slowest] < uplink.subchannels_max)[:, None]
    left = np.where(allowed & ~free, tries.rate_bps[wide, donor] - tries.own_bps, np.inf)
    donor_s = uplink.computing_s[tries.world[:, None], donor] + uplink.model_bits / left
    rate = tries.rate_bps[wide, slowest[:, None]] + uplink.rates_bps[tries.world, slowest]
    taker_s = uplink.computing_s[tries.world, slowest][:, None] + uplink.model_bits / rate
    later = np.where(free, taker_s, np.maximum(taker_s, donor_s))
    time = np.where(allowed, later, np.inf)
    best = time.argmin(axis=-1)
    return best, time[rows, best]


def _best_swap(tries: _Tries, slowest: Integers) -> tuple[Integers, Integers, Array]:
    """Which of its own the slowest had best swap for which, and when the later is done then."""
    rows = np.arange(len(slowest))
    uplink, world = tries.uplink, tries.world
    mine = tries.owner == slowest[:, None]
    own = np.argsort(~mine, axis=-1, kind="stable")[:, : int(mine.sum(axis=-1).max())]  # [M, L]
    allowed = mine[rows[:, None], own][:, :, None] & ~(mine | (tries.owner == UNUSED))[:, None, :]
    slow_bps = uplink.rates_bps[world, slowest]
    here = tries.rate_bps[rows, slowest][:, None] - slow_bps[rows[:, None], own]
    # Where nothing may be swapped a rate may be 0, or miss it by rounding.
    rate = np.maximum(here[:, :, None] + slow_bps[:, None, :], RATE_BPS_MIN)  # [M, L, K]
    taker_s = uplink.computing_s[world, slowest][:, None, None] + uplink.model_bits / rate
    donor = np.maximum(tries.owner, 0)
    gained = uplink.rates_bps[world[:, None, None], donor[:, None, :], own[:, :, None]]
    there = (tries.rate_bps[rows[:, None], donor] - tries.own_bps)[:, None, :] + gained
    donor_s = uplink.computing_s[world[:, None], donor][:, None, :] + uplink.model_bits / there
    time = np.where(allowed, np.maximum(taker_s, donor_s), np.inf).reshape(len(rows), -1)
    best = time.argmin(axis=-1)
    given, got = np.divmod(best, tries.owner.shape[-1])
    return own[rows, given], got, time[rows, best]


def _pass(tries: _Tries, rows: Integers, channel: Integers, user: Integers) -> None:
    """Hand a sub-channel to a user in each of the tries `rows`."""
    before = tries.owner[rows, channel]
    loses = before != UNUSED
    lost = tries.own_bps[rows, channel][loses]
    gained = tries.uplink.rates_bps[tries.world[rows], user, channel]
    tries.owner[rows, channel] = user
    tries.own_bps[rows, channel] = gained
    _change(tries, rows[loses], before[loses], -1, -lost)
    _change(tries, rows, user, 1, gained)


def _change(tries: _Tries, rows: Integers, user: Integers, count: int, rate_bps: Array) -> None:
    """Count a sub-channel more or less of these users, and when they are done then."""
    tries.count[rows, user] += count
    rate = tries.rate_bps[rows, user] + rate_bps
    tries.rate_bps[rows, user] = rate
    upload_s = tries.uplink.model_bits / np.maximum(rate, RATE_BPS_MIN)
    tries.time_s[rows, user] = tries.uplink.computing_s[tries.world[rows], user] + upload_s
