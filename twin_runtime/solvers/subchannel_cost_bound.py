"""What no clocks and no division of the sub-channels together can cost less than [P2].

    minimise  sum_i alpha a_i f_i^2 + sum_i p c_i |w| / R_i + gamma T
    where     a_i / f_i + |w| / R_i <= T   and a sub-channel has one user

Theory of operation. Give each user its very best sub-channels, c of them, whether or not others
want them too: its rate is the most that c can carry, so its energy by the time T, e_i(c, T), is
the least. What remains of (24) is that all together have K. A price `lam` of a sub-channel lifts
that, too, and lets every user choose c on its own; any price gives a true bound,

    gamma T + sum_i min_c (e_i(c, T) + lam c) - lam K

and halving finds the best one. The round's time is bounded in intervals [a, b). Each e_i(c, .) is
convex, so above its tangent at b; a sum of minima of straight lines is concave, so its least over
the interval is at an end; and whoever is too late at b is too late before. No time before the
counting bound is possible, and none is worth it whose price alone is the answer's whole cost.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from twin_runtime.physics.arguments import Array, Booleans, Real, non_negative, positive, same_shape
from twin_runtime.physics.channel import upload_energy_j, upload_time_s
from twin_runtime.solvers.subchannel_bounds import counting_bound_s
from twin_runtime.solvers.subchannel_energy import Trainers
from twin_runtime.solvers.uplink import Uplink

INTERVALS = 96  # of the round's time: four times as many raise the bound by 0.05 % at most
INTERVALS_AT_ONCE = 16  # of three worlds of 90 users an array is 0.7 MB
HALVINGS = 25  # of a price: to 3e-8 of the dearest one, and any price gives a bound
ROUNDING = 1e-9  # relative: a time this near to the first possible one is possible


class _Choices(NamedTuple):
    """Users with their best 1, 2, ... sub-channels, `[B, n, held]`; users alone `[B, n, 1]`."""

    held: Array
    upload_s: Array
    upload_j: Array
    cycles: Array
    slowest_hz: Array
    fastest_hz: Array
    active: Booleans
    capacitance: float


def joint_bound_j(
    uplink: Uplink,
    trainers: Trainers,
    *,
    time_price_w: Real,
    subchannel_power_w: float,
    cost_j: Real,
) -> Array:
    """The least that a round of each world may cost `[B]` [J]. [P2] (24)(28)(31)(36).

    Args:
        uplink: of worlds `[B, n, K]`; its computing times are not read.
        trainers: arrays `[B, n]`.
        time_price_w: gamma > 0, `[B]`.
        subchannel_power_w: >= 0, drawn while sending, for each sub-channel held.
        cost_j: > 0, `[B]`, of an answer: the bound is not above it.
    """
    price, cost = positive("time_price_w", time_price_w), positive("cost_j", cost_j)
    same_shape(time_price_w=price, cost_j=cost)
    same_shape(cycles=trainers.cycles, computing_s=uplink.computing_s)
    power = float(non_negative("subchannel_power_w", subchannel_power_w))
    fastest_s = trainers.cycles / trainers.frequency_max_hz
    first = counting_bound_s(replace(uplink, computing_s=fastest_s))
    edges = np.geomspace(first, np.maximum(cost / price, first), INTERVALS + 1)
    choices = _choices(uplink, trainers, power)
    channels = uplink.rates_bps.shape[-1]
    least = cost
    for turn in range(0, INTERVALS, INTERVALS_AT_ONCE):
        some = edges[turn : turn + INTERVALS_AT_ONCE + 1]
        found = _over(choices, some[:-1], some[1:], price, channels)
        least = np.minimum(least, found.min(axis=0))
    return least


def _choices(uplink: Uplink, trainers: Trainers, power_w: float) -> _Choices:
    most = min(uplink.subchannels_max, uplink.rates_bps.shape[-1])
    best = -np.sort(-uplink.rates_bps, axis=-1)[..., :most]
    upload = upload_time_s(size_bits=uplink.model_bits, rate_bps=best.cumsum(axis=-1))
    held = np.arange(1.0, most + 1.0)
    return _Choices(
        held=held,
        upload_s=upload,
        upload_j=upload_energy_j(power_w=power_w * held, time_s=upload),
        cycles=trainers.cycles[..., None],
        slowest_hz=trainers.frequency_min_hz[..., None],
        fastest_hz=trainers.frequency_max_hz[..., None],
        active=uplink.active[..., None],
        capacitance=trainers.capacitance,
    )


def _over(choices: _Choices, start_s: Array, end_s: Array, price_w: Array, channels: int) -> Array:
    """The bounds `[intervals, B]` over rounds that last from `start_s` to `end_s`."""
    energy, fall = _energy_j(choices, end_s[..., None, None])
    lam = _best_price_j(choices, energy, channels)
    late = _dual_j(choices, energy, lam, channels) + price_w * end_s
    earlier = energy + fall * (end_s - start_s)[..., None, None]
    soon = _dual_j(choices, earlier, lam, channels) + price_w * start_s
    return np.minimum(late, soon)


def _energy_j(choices: _Choices, time_s: Array) -> tuple[Array, Array]:
    """The least energy by this time, infinite for who cannot be in time; and how fast it falls."""
    left = time_s - choices.upload_s
    possible = left * choices.fastest_hz >= choices.cycles * (1.0 - ROUNDING)
    needed = choices.cycles / np.where(possible & (left > 0), left, 1.0)
    clock = np.maximum(needed, choices.slowest_hz)
    energy = choices.capacitance * choices.cycles * clock**2 + choices.upload_j
    fall = np.where(needed > choices.slowest_hz, 2.0 * choices.capacitance * needed**3, 0.0)
    return np.where(possible, energy, np.inf), np.where(possible, fall, 0.0)


def _best_price_j(choices: _Choices, energy_j: Array, channels: int) -> Array:
    """The price of a sub-channel at which users choose no more than there are."""
    finite = np.where(np.isfinite(energy_j) & choices.active, energy_j, 0.0)
    high = finite.max(axis=(-2, -1), keepdims=True)
    low = np.zeros_like(high)
    for _ in range(HALVINGS):
        middle = (low + high) / 2.0
        chosen = (energy_j + middle * choices.held).argmin(axis=-1) + 1
        all_held = (chosen * choices.active[..., 0]).sum(axis=-1)[..., None, None]
        dear = all_held <= channels
        low, high = np.where(dear, low, middle), np.where(dear, middle, high)
    return np.asarray(high)


def _dual_j(choices: _Choices, energy_j: Array, price_j: Array, channels: int) -> Array:
    each = (energy_j + price_j * choices.held).min(axis=-1)
    total = np.where(choices.active[..., 0], each, 0.0).sum(axis=-1)
    return np.asarray(total - price_j[..., 0, 0] * channels)
