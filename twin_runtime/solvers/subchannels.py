"""Who uploads on which sub-channels, so that the last of a round is done earliest: [P2] (36).

Not by the variance of the users' times, as [P2] has it, which rewards slowing everybody; by the
makespan, and among equals by the mean. Starts, a local search (`subchannel_search`), and a
bound by counting (`subchannel_bounds`). Most rounds end here, proved optimal: one slow user with
all the sub-channels it may have, or their number, decides. Where the bound is not met, a
matching is tried as another start, which is exact for as many users as sub-channels, and then
the search is kicked, some generations of it, until it meets the bound.
"""

import numpy as np

from twin_runtime.physics.arguments import Array, Booleans, Integers
from twin_runtime.solvers.subchannel_bounds import counting_bound_s
from twin_runtime.solvers.subchannel_exact import one_each
from twin_runtime.solvers.subchannel_search import MOVES_MAX, best_of, improve, kick
from twin_runtime.solvers.subchannel_starts import column_quality, divided, filled
from twin_runtime.solvers.uplink import Division, Uplink

KICK_GENERATIONS = 3
KICKS_AT_ONCE = 20  # 60 in all
KICK_MOVES_MAX = 10  # what has not paid by then rarely does, and the others wait for it
PROVED = 1e-12  # relative: nearer to its bound than rounding


def assign(uplink: Uplink, generator: np.random.Generator) -> Division:
    """A division of the sub-channels of every world, with a bound: `owner` `[..., K]`. [P2] (36).

    Of 150 small worlds it finds the optimum of each; `generator` draws the kicks.
    """
    flat = uplink.flat()
    bound = counting_bound_s(flat)
    owner = _searched(flat, _starts(flat), MOVES_MAX)
    for world in np.flatnonzero(_unproved(flat, owner, bound)):
        owner[world], bound[world] = _with_matching(
            _only(flat, [world]), owner[world], bound[world]
        )
    for _ in range(KICK_GENERATIONS):
        unproved = np.flatnonzero(_unproved(flat, owner, bound))
        if not unproved.size:
            break
        owner[unproved] = _kicked(_only(flat, unproved), owner[unproved], generator)
    shape = uplink.computing_s.shape[:-1]
    makespan = flat.makespan_s(owner)
    bound = np.minimum(bound, makespan)
    return Division(owner.reshape(*shape, -1), makespan.reshape(shape), bound.reshape(shape))


def _starts(uplink: Uplink) -> Integers:
    """Two starts of each world at once, `[B, 2, K]`."""
    quality = np.concatenate([uplink.rates_bps, column_quality(uplink)])
    worlds = np.arange(2 * len(uplink.rates_bps)) % len(uplink.rates_bps)
    owner = divided(_only(uplink, worlds), quality)
    return owner.reshape(2, len(uplink.rates_bps), -1).swapaxes(0, 1)


def _searched(uplink: Uplink, owner: Integers, moves_max: int) -> Integers:
    """The best of a local search from each of `owner` `[B, tries, K]`, `[B, K]`."""
    worlds = np.repeat(np.arange(len(owner)), owner.shape[1])
    improved = improve(uplink, owner.reshape(len(worlds), -1), worlds, moves_max)
    return best_of(uplink, improved.reshape(owner.shape))


def _kicked(uplink: Uplink, owner: Integers, generator: np.random.Generator) -> Integers:
    """One generation of kicks: the best of `owner` and what its kicked copies come to."""
    copies = np.repeat(owner, KICKS_AT_ONCE, axis=0)
    kicked = kick(copies, generator).reshape(len(owner), KICKS_AT_ONCE, -1)
    found = _searched(uplink, kicked, KICK_MOVES_MAX)
    return best_of(uplink, np.stack([owner, found], axis=1))


def _with_matching(uplink: Uplink, owner: Integers, bound: Array) -> tuple[Integers, Array]:
    """One world's division and bound, after a search from its best matching as well."""
    users = np.flatnonzero(uplink.active[0])
    matched = one_each(
        Uplink.of(
            uplink.rates_bps[0, users],
            uplink.computing_s[0, users],
            uplink.model_bits,
            uplink.subchannels_max,
        )
    )
    start = np.where(matched.owner < 0, matched.owner, users[matched.owner])
    found = _searched(uplink, filled(uplink, start[None])[:, None], MOVES_MAX)
    if len(users) == len(owner):
        bound = matched.bound_s
    return best_of(uplink, np.stack([owner, found[0]])[None])[0], bound


def _unproved(uplink: Uplink, owner: Integers, bound: Array) -> Booleans:
    return np.asarray(uplink.makespan_s(owner) > bound * (1.0 + PROVED))


def _only(uplink: Uplink, worlds: Integers | list[np.intp]) -> Uplink:
    return Uplink(
        uplink.rates_bps[worlds],
        uplink.computing_s[worlds],
        uplink.model_bits,
        uplink.subchannels_max,
        uplink.active[worlds],
    )
