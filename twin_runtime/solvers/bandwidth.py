"""Time shares of an uplink by which the last of several stations is done as early as possible.

All functions take many worlds at once, over leading axes, and answer each exactly: the
finish beside a bound that no other shares pass. A station that demands nothing gets nothing.

On a flat channel (a station's rate is the same on every sub-channel) all stations end
together: with ready times a and demands d [s] the shares are d / (T - a), where T is the
root of sum d / (T - a) = 1; without ready times T is the sum of demands. On a selective
channel the shares are a linear program (`max_min_rate.py`), and an integer one if a
sub-channel belongs to one station only, as the paper's text has it.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.optimize import LinearConstraint, milp

from twin_runtime.physics.arguments import (
    Array,
    Booleans,
    InvalidArgument,
    Real,
    broadcast,
    non_negative,
)
from twin_runtime.solvers.certificate import Certificate, Infeasible
from twin_runtime.solvers.max_min_rate import MaxMin, max_min_rate

ROOT_STEPS_MAX = 60  # Newton's; 8 are usual
CUTS_MAX = 40  # linear programs until ready times are met; 5 are usual
CUT_GAP_MAX = 1e-10  # relative
PROGRAM_S_MAX = 60.0  # for the whole sub-channels of a world; 5 of 5 stations need some ms
AIM_BEYOND = 5e-11  # relative: where one is ready late, a hair's breadth decides for all others


@dataclass(frozen=True, slots=True)
class Shares:
    """Who sends how much of the time, and when the last one is done.

    `share` is `[..., M]` on a flat channel, else `[..., M, C]`; `finish_s` and `bound_s` are
    `[...]`, and 0 where nobody demands anything. The certificate is of all worlds' sum.
    """

    share: Array
    finish_s: Array
    bound_s: Array

    @property
    def certificate(self) -> Certificate:
        return Certificate(float(self.finish_s.sum()), float(self.bound_s.sum()))


class _Flat(NamedTuple):
    share: Array
    finish: Array
    bound: Array


def flat_shares(*, demand_s: Real, ready_s: Real = 0.0) -> Shares:
    """Shares of a flat channel. [P4] S1, S2 (with ready times).

    Args:
        demand_s: what each upload takes on the whole channel, >= 0 `[..., M]`.
        ready_s: when a station may begin, >= 0, of a shape that fits.
    """
    demand, ready = _stations(non_negative("demand_s", demand_s), non_negative("ready_s", ready_s))
    flat = _flat(demand, ready)
    return Shares(flat.share, flat.finish, flat.bound)


def selective_shares(*, demand_bits: Real, rate_bps: Real) -> Shares:
    """Shares of each sub-channel when all begin at once. [P4] S3.

    Args:
        demand_bits: what each station sends, >= 0 `[..., M]`.
        rate_bps: on each whole sub-channel, >= 0 `[..., M, C]`.

    Raises:
        Infeasible: a station that demands has no rate on any sub-channel.
    """
    demand, rate = _links(demand_bits, rate_bps)
    active = demand > 0
    found, scale = _least_rate(demand, rate, active)
    waiting = active.any(axis=1)
    finish = np.where(waiting, scale / found.least, 0.0)
    bound = np.where(waiting, scale / found.bound, 0.0)
    shape = np.broadcast_shapes(np.shape(demand_bits), np.shape(rate_bps)[:-1])
    share = found.share.reshape(*shape, rate.shape[-1])
    return Shares(share, finish.reshape(shape[:-1]), bound.reshape(shape[:-1]))


def whole_channels(*, demand_bits: Real, rate_bps: Real) -> Shares:
    """Shares that are 0 or 1, when all begin at once. [P4] S3, its binary variant.

    A mixed-integer program for each world, one after the other.

    Args:
        demand_bits: what each station sends, >= 0 `[..., M]`.
        rate_bps: on each sub-channel, >= 0 `[..., M, C]`.

    Raises:
        Infeasible: a station that demands has no rate on any sub-channel, or more demand than
            there are sub-channels with a rate for them.
    """
    demand, rate = _links(demand_bits, rate_bps)
    solved = [_whole(need, links) for need, links in zip(demand, rate, strict=True)]
    shape = np.broadcast_shapes(np.shape(demand_bits), np.shape(rate_bps)[:-1])
    share = np.stack([each[0] for each in solved]).reshape(*shape, rate.shape[-1])
    times = np.array([each[1:] for each in solved])
    return Shares(share, times[:, 0].reshape(shape[:-1]), times[:, 1].reshape(shape[:-1]))


def selective_shares_after(*, demand_bits: Real, rate_bps: Real, ready_s: Real) -> Shares:
    """Shares of each sub-channel when stations begin at different times. [P4] S3.

    A finish T is possible if rates of demand / (T - ready) are. The prices of the linear
    program at one T give a later T that is necessary: a flat problem with these prices. So
    T rises to the earliest possible finish, in few linear programs.

    Args:
        demand_bits: what each station sends, >= 0 `[..., M]`.
        rate_bps: on each whole sub-channel, >= 0 `[..., M, C]`.
        ready_s: when each station may begin, >= 0, of the shape of `demand_bits`.

    Raises:
        Infeasible: a station that demands has no rate on any sub-channel.
    """
    demand, rate = _links(demand_bits, rate_bps)
    shape = np.broadcast_shapes(np.shape(demand_bits), np.shape(rate_bps)[:-1])
    late = np.broadcast_to(non_negative("ready_s", ready_s), shape).reshape(demand.shape)
    ready, active = np.where(demand > 0, late, 0.0), demand > 0
    alone = np.where(active, demand / np.where(active, rate.sum(axis=2), 1.0), 0.0)
    bound = (ready + alone).max(axis=1)
    share, finish = np.zeros(rate.shape), np.full(len(bound), np.inf)
    for _ in range(CUTS_MAX):
        aim = bound[:, None] * (1.0 + AIM_BEYOND)
        pace = np.where(active, demand / np.where(active, aim - ready, 1.0), 0.0)
        found, _ = _least_rate(pace, rate, active)
        done = _last(found.share, demand, rate, ready)
        share = np.where((done < finish)[:, None, None], found.share, share)
        finish = np.minimum(finish, done)
        bound = np.maximum(bound, _necessary(found.price, pace, demand, rate, ready))
        if (finish <= bound * (1.0 + CUT_GAP_MAX)).all():
            break
    share = share.reshape(*shape, rate.shape[-1])
    return Shares(share, finish.reshape(shape[:-1]), bound.reshape(shape[:-1]))


def _whole(demand: Array, rate: Array) -> tuple[Array, float, float]:
    """Who has which sub-channel `[M, C]`, the finish, and its bound, of one world."""
    sends = np.flatnonzero(demand > 0)
    share = np.zeros(rate.shape)
    if not sends.size:
        return share, 0.0, 0.0
    pace = rate[sends] / demand[sends, None]  # uploads per second
    pace_max = float(pace.sum(axis=1).min())
    count, channels = pace.shape
    served = np.hstack([np.kron(np.eye(count), np.ones(channels)) * pace.ravel() / pace_max,
                        -np.ones((count, 1))])  # fmt: skip
    once = np.hstack([np.tile(np.eye(channels), count), np.zeros((channels, 1))])
    found = milp(
        np.append(np.zeros(pace.size), -1.0),
        integrality=np.append(np.ones(pace.size), 0),
        bounds=(0.0, 1.0),
        constraints=[LinearConstraint(served, lb=0.0), LinearConstraint(once, ub=1.0)],
        options={"time_limit": PROGRAM_S_MAX, "mip_rel_gap": CUT_GAP_MAX},
    )
    if found.x is None or found.x[-1] <= 0:
        raise Infeasible(f"{channels} whole sub-channels do not serve {count} stations")
    share[sends] = np.rint(found.x[:-1]).reshape(pace.shape)
    slowest = (share[sends] * pace).sum(axis=1).min()
    return share, float(1.0 / slowest), float(1.0 / (pace_max * -found.mip_dual_bound))


def _flat(demand: Array, ready: Array) -> _Flat:
    """Newton's method on 1 / sum d / (T - a) = 1: concave, so from the left it never passes."""
    active: Booleans = demand > 0
    start = np.where(active, ready, 0.0)
    finish = np.where(active, start + demand, 0.0).max(axis=-1)
    for _ in range(ROOT_STEPS_MAX):
        room = np.where(active, finish[..., None] - start, 1.0)
        load, slope = (demand / room).sum(axis=-1), (demand / room**2).sum(axis=-1)
        before = finish
        finish = finish + np.maximum(load * (load - 1.0), 0.0) / np.where(load > 0, slope, 1.0)
        if (finish == before).all():
            break
    share = np.where(active, demand / np.where(active, finish[..., None] - start, 1.0), 0.0)
    share = share / np.maximum(share.sum(axis=-1, keepdims=True), np.finfo(float).tiny)
    done = start + demand / np.where(active, share, 1.0)
    first = np.where(active, done, np.inf).min(axis=-1)
    return _Flat(
        share, np.where(active, done, 0.0).max(axis=-1), np.where(active.any(-1), first, 0.0)
    )


def _least_rate(demand: Array, rate: Array, active: Booleans) -> tuple[MaxMin, Array]:
    """Shares by which all demands are served at the best common pace, demands scaled to 1."""
    idle = demand.max(axis=1) == 0
    scale = np.where(idle, 1.0, demand.max(axis=1))
    wanted = np.where(active, demand, scale[:, None]) / scale[:, None]
    counted = active | idle[:, None]  # a world without demands is solved as one where all are alike
    gain = np.where(idle[:, None, None], 1.0, rate / wanted[:, :, None])
    found = max_min_rate(gain, counted)
    return found._replace(share=np.where(idle[:, None, None], 0.0, found.share)), scale


def _last(share: Array, demand: Array, rate: Array, ready: Array) -> Array:
    got = (share * rate).sum(axis=2)
    sends = demand > 0
    done = np.where(sends, ready + demand / np.where(sends, got, 1.0), 0.0)
    last: Array = done.max(axis=1)
    return last


def _necessary(price: Array, pace: Array, demand: Array, rate: Array, ready: Array) -> Array:
    """The finish before which the prices of one linear program cannot be paid."""
    active = demand > 0
    each = np.where(active, price / np.where(active, pace, 1.0), 0.0)  # price per bit/s
    offered = (each[:, :, None] * rate).max(axis=1).sum(axis=1)
    offered = np.where(active.any(axis=1), offered, 1.0)
    return _flat(each * demand / offered[:, None], ready).bound


def _stations(demand: Array, ready: Array) -> tuple[Array, Array]:
    shape = broadcast(demand_s=demand, ready_s=ready)
    if not shape or not shape[-1]:
        raise InvalidArgument(f"demand_s has the shape {demand.shape}; its last axis is stations")
    return np.broadcast_to(demand, shape), np.broadcast_to(ready, shape)


def _links(demand_bits: Real, rate_bps: Real) -> tuple[Array, Array]:
    """Demands `[W, M]` and rates `[W, M, C]`."""
    demand, rate = non_negative("demand_bits", demand_bits), non_negative("rate_bps", rate_bps)
    if rate.ndim < 2 or 0 in rate.shape or demand.shape[-1:] != rate.shape[-2:-1]:  # noqa: PLR2004
        shapes = f"demand_bits {demand.shape}, rate_bps {rate.shape}"
        raise InvalidArgument(f"they must be [..., M] and [..., M, C]: {shapes}")
    shape = np.broadcast_shapes(demand.shape, rate.shape[:-1])
    wide = np.broadcast_to(demand, shape).reshape(-1, shape[-1])
    links = np.broadcast_to(rate, (*shape, rate.shape[-1])).reshape(*wide.shape, rate.shape[-1])
    mute = (wide > 0) & (links.max(axis=2) == 0)
    if mute.any():
        world, station = np.argwhere(mute)[0]
        raise Infeasible(f"station {station} of world {world} demands, but has no rate at all")
    return wide, links
