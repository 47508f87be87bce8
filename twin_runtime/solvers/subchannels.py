"""Who uploads on which sub-channels, so that the last of a round is done earliest: [P2] (36).

Not by the variance of the users' times, as [P2] has it, which rewards slowing everybody; by the
makespan, and among equals by the mean. A start, a local search (`subchannel_search`), and a
bound by counting (`subchannel_bounds`). Most rounds end here, proved optimal: one slow user with
all the sub-channels it may have, or their number, decides. Where the bound is not met, the
search begins again from two other starts, one of them a matching, which is exact for as many
users as sub-channels; and then it is kicked, some generations of it, until it meets the bound.
"""

from collections.abc import Callable

import numpy as np

from twin_runtime.physics.arguments import Array, Integers
from twin_runtime.solvers.subchannel_bounds import counting_bound_s
from twin_runtime.solvers.subchannel_exact import one_each
from twin_runtime.solvers.subchannel_search import MOVES_MAX, best_of, improve, kick
from twin_runtime.solvers.subchannel_starts import column_start, filled, own_start
from twin_runtime.solvers.uplink import Division, Uplink

KICK_GENERATIONS = 6  # a world leaves when it is proved
KICKS_AT_ONCE = 20  # 120 in all; the 60 of [P2] S6 prove fewer rounds
KICK_MOVES_MAX = 10  # what has not paid by then rarely does, and the others wait for it
PROVED = 1e-12  # relative: nearer to its bound than rounding

Try = Callable[[Uplink, Integers], Integers]  # other divisions of worlds, `[B, tries, K]`


def assign(uplink: Uplink, generator: np.random.Generator) -> Division:
    """A division of the sub-channels of every world, with a bound: `owner` `[..., K]`. [P2] (36).

    Of the small worlds of its tests it finds the optimum of each; `generator` draws the kicks.
    Loops over those few worlds that need a matching.
    """
    flat = uplink.flat()
    bound = counting_bound_s(flat)
    owner = improve(flat, own_start(flat), np.arange(len(bound)))
    owner = _tried(flat, owner, bound, lambda some, _: _searched(some, column_start(some)[:, None]))
    owner = _tried(flat, owner, bound, lambda some, _: _searched(some, _matched(some)[:, None]))
    full = flat.active.sum(axis=-1) == flat.rates_bps.shape[-1]
    bound = np.where(full, flat.makespan_s(owner), bound)
    for _ in range(KICK_GENERATIONS):
        owner = _tried(flat, owner, bound, lambda some, best: _kicked(some, best, generator))
    shape, makespan = uplink.computing_s.shape[:-1], flat.makespan_s(owner)
    bound = np.minimum(bound, makespan)
    return Division(owner.reshape((*shape, -1)), makespan.reshape(shape), bound.reshape(shape))


def _tried(uplink: Uplink, owner: Integers, bound: Array, others: Try) -> Integers:
    """The best of `owner` and `others`, which are looked for where `owner` is not proved."""
    unproved = np.flatnonzero(uplink.makespan_s(owner) > bound * (1.0 + PROVED))
    if not unproved.size:
        return owner
    some = Uplink(
        uplink.rates_bps[unproved],
        uplink.computing_s[unproved],
        uplink.model_bits,
        uplink.subchannels_max,
        uplink.active[unproved],
    )
    found = others(some, owner[unproved])
    better = owner.copy()
    better[unproved] = best_of(some, np.concatenate([owner[unproved][:, None], found], axis=1))
    return better


def _searched(uplink: Uplink, owner: Integers, moves_max: int = MOVES_MAX) -> Integers:
    """A local search from each of `owner` `[B, tries, K]`."""
    worlds = np.repeat(np.arange(len(owner)), owner.shape[1])
    return improve(uplink, owner.reshape(len(worlds), -1), worlds, moves_max).reshape(owner.shape)


def _kicked(uplink: Uplink, owner: Integers, generator: np.random.Generator) -> Integers:
    """One generation of kicks: what copies of `owner` `[B, K]` come to, `[B, tries, K]`."""
    kicked = kick(np.repeat(owner, KICKS_AT_ONCE, axis=0), generator)
    return _searched(uplink, kicked.reshape(len(owner), KICKS_AT_ONCE, -1), KICK_MOVES_MAX)


def _matched(uplink: Uplink) -> Integers:
    """The start from the best matching of each world, `[B, K]`."""
    starts = []
    for rates, computing, active in zip(
        uplink.rates_bps, uplink.computing_s, uplink.active, strict=True
    ):
        users = np.flatnonzero(active)
        alone = (rates[users], computing[users], uplink.model_bits, uplink.subchannels_max)
        owner = one_each(Uplink.of(*alone)).owner
        starts.append(np.where(owner < 0, owner, users[owner]))
    return filled(uplink, np.stack(starts))
