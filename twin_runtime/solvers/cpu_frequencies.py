"""At which clock each participant trains: the least energy plus price of the round's time.

    minimise  sum_i alpha a_i f_i^2 + gamma T
    where     a_i / f_i + wait_i <= T   and   f_min,i <= f_i <= f_max,i

For a given T the best clock is the slowest that is in time, so the cost is a convex function
of T alone. Without waits ([P2] (31)) its slope is zero at a closed form between two of the
points at which a user reaches its slowest clock; with waits, the time of each user's upload,
the zero is found by bisection, to the last bit.

Both answers carry a proof. Any non-negative prices nu_i of being in time that sum to gamma give
a lower bound, sum_i min_f (alpha a_i f^2 + nu_i (a_i / f + wait_i)); those of the answer make
it tight: 2 alpha f_i^3 where the clock is free, and what is left for the user that decides T.
"""

from typing import NamedTuple

import numpy as np

from twin_runtime.physics.arguments import (
    Array,
    Integers,
    Real,
    broadcast,
    non_negative,
    positive,
)
from twin_runtime.solvers.certificate import Certificate, Infeasible

BISECTIONS = 100  # a float's 52 bits, and as many again where the first guess is far off
ROUNDING = 1e-12  # relative: a clock this near to its limit is at it

BOTTLENECK, SLOWEST, IN_TIME = 1, 2, 3  # [P2] calls them N1, N2, N3


class Clocks(NamedTuple):
    """`frequency_hz` `[..., n]`, and the round's time `deadline_s` `[...]`.

    The certificate is in joules, of all worlds together.
    """

    frequency_hz: Array
    deadline_s: Array
    certificate: Certificate


class _Users(NamedTuple):
    """Checked arguments, of one shape `[..., n]`; the price `[...]`."""

    cycles: Array
    slowest_hz: Array
    fastest_hz: Array
    capacitance: Array
    price_w: Array
    wait_s: Array


def clocks(
    *,
    cycles: Real,
    frequency_min_hz: Real,
    frequency_max_hz: Real,
    capacitance: Real,
    time_price_w: Real,
) -> Clocks:
    """The cheapest clocks when uploads take no time. [P2] (31)(32)(33)(34)(35).

    Args:
        cycles: a_i `[..., n]` >= 0; 0 for a user that takes no part.
        frequency_min_hz: > 0, `[..., n]`.
        frequency_max_hz: > 0, `[..., n]`, with the limit on energy in it.
        capacitance: alpha > 0 [J s^2 / cycle^3].
        time_price_w: gamma > 0 [J/s], `[...]`.

    Raises:
        Infeasible: a user's fastest clock is below its slowest.
    """
    users = _users(cycles, frequency_min_hz, frequency_max_hz, capacitance, time_price_w, 0.0)
    slowest_s = users.cycles / users.slowest_hz
    order = np.argsort(slowest_s, axis=-1)
    kinks = np.take_along_axis(slowest_s, order, axis=-1)
    cubes = np.take_along_axis(users.capacitance * users.cycles**3, order, axis=-1)
    beyond = np.flip(np.cumsum(np.flip(cubes, -1), axis=-1), -1)  # of all not yet slowest
    free_s = np.cbrt(2.0 * beyond / users.price_w[..., None])
    piece = (free_s <= kinks).argmax(axis=-1)[..., None]
    below = np.concatenate([np.zeros_like(kinks[..., :1]), kinks[..., :-1]], axis=-1)
    inner = np.take_along_axis(np.maximum(free_s, below), piece, axis=-1)[..., 0]
    inner = np.where((free_s <= kinks).any(axis=-1), inner, kinks[..., -1])
    return _answer(users, np.maximum(_least_s(users), inner))


def clocks_with_uploads(
    *,
    cycles: Real,
    frequency_min_hz: Real,
    frequency_max_hz: Real,
    capacitance: Real,
    time_price_w: Real,
    upload_s: Real,
) -> Clocks:
    """The cheapest clocks when each user still has to upload: the joint step of [P2] S6.

    Args as those of `clocks`, and `upload_s` `[..., n]` >= 0, which follows the training.
    """
    users = _users(cycles, frequency_min_hz, frequency_max_hz, capacitance, time_price_w, upload_s)
    low = _least_s(users)
    high = np.maximum(low, (users.cycles / users.slowest_hz + users.wait_s).max(axis=-1))
    high = np.where(_slope_w(users, low) >= 0, low, high)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2.0
        if not ((low < middle) & (middle < high)).any():
            break
        falls = _slope_w(users, middle) < 0
        low, high = np.where(falls, middle, low), np.where(falls, high, middle)
    return _answer(users, high)


def energy_capped_frequency_hz(
    *,
    cycles: Real,
    frequency_max_hz: Real,
    capacitance: Real,
    energy_max_j: Real,
    upload_energy_j: Real,
) -> Array:
    """The fastest clock whose training leaves enough energy for the upload [Hz]. [P2] (28).

    Args:
        cycles: >= 0, any shape.
        frequency_max_hz: > 0, of the processor.
        capacitance: > 0 [J s^2 / cycle^3].
        energy_max_j: >= 0 [J], for one round.
        upload_energy_j: >= 0 [J].

    Raises:
        Infeasible: an upload alone takes more than the limit.
    """
    work, fastest = non_negative("cycles", cycles), positive("frequency_max_hz", frequency_max_hz)
    limit = non_negative("energy_max_j", energy_max_j)
    spent = non_negative("upload_energy_j", upload_energy_j)
    broadcast(cycles=work, frequency_max_hz=fastest, energy_max_j=limit, upload_energy_j=spent)
    if (spent > limit).any():
        raise Infeasible(f"an upload takes up to {spent.max():g} J, the limit is {limit.min():g} J")
    each = positive("capacitance", capacitance) * work
    busy = each > 0
    capped: Array = np.where(busy, np.sqrt((limit - spent) / np.where(busy, each, 1.0)), np.inf)
    return np.minimum(fastest, capped)


def clock_groups(*, frequency_hz: Real, frequency_min_hz: Real, frequency_max_hz: Real) -> Integers:
    """`BOTTLENECK`, `SLOWEST` or `IN_TIME` for each user, as [P2] (34)(35) sort them.

    A bottleneck runs at its fastest clock and decides the round's time.
    """
    clock = positive("frequency_hz", frequency_hz)
    slowest = clock <= positive("frequency_min_hz", frequency_min_hz)
    fastest = clock >= positive("frequency_max_hz", frequency_max_hz)
    return np.where(fastest, BOTTLENECK, np.where(slowest, SLOWEST, IN_TIME))


def _users(
    cycles: Real, slowest: Real, fastest: Real, capacitance: Real, price: Real, wait: Real
) -> _Users:
    work, low = non_negative("cycles", cycles), positive("frequency_min_hz", slowest)
    high = positive("frequency_max_hz", fastest)
    each, waits = positive("capacitance", capacitance), non_negative("upload_s", wait)
    shape = broadcast(
        cycles=work, frequency_min_hz=low, frequency_max_hz=high, capacitance=each, upload_s=waits
    )
    low, high = np.broadcast_to(low, shape), np.broadcast_to(high, shape)
    if (low > high).any():
        worst = np.unravel_index(np.argmax(low - high), shape)
        raise Infeasible(
            f"user {[int(i) for i in worst]} must run at {low[worst]:g} Hz or more, "
            f"and may at {high[worst]:g} Hz at most"
        )
    work, each, waits = (np.broadcast_to(array, shape) for array in (work, each, waits))
    gamma = np.broadcast_to(positive("time_price_w", price), shape[:-1])
    return _Users(work, low, high, each, gamma, waits)


def _least_s(users: _Users) -> Array:
    """The time of the slowest user at full speed."""
    least: Array = (users.cycles / users.fastest_hz + users.wait_s).max(axis=-1)
    return least


def _needed_hz(users: _Users, deadline_s: Array) -> Array:
    """The clock that is just in time."""
    left = deadline_s[..., None] - users.wait_s
    busy, idle = users.cycles > 0, np.zeros_like(users.cycles)
    needed: Array = np.divide(users.cycles, left, out=idle, where=busy)
    return needed


def _slope_w(users: _Users, deadline_s: Array) -> Array:
    """How fast the cost rises with the round's time."""
    needed = _needed_hz(users, deadline_s)
    saved = np.where(needed > users.slowest_hz, 2.0 * users.capacitance * needed**3, 0.0)
    slope: Array = users.price_w - saved.sum(axis=-1)
    return slope


def _answer(users: _Users, deadline_s: Array) -> Clocks:
    clock = _snapped_hz(users, _needed_hz(users, deadline_s))
    energy = (users.capacitance * users.cycles * clock**2).sum(axis=-1)
    value = float(np.sum(energy + users.price_w * deadline_s))
    bound = float(np.sum(_dual_j(users, _prices_w(users, clock, deadline_s))))
    return Clocks(clock, deadline_s, Certificate(value, min(value, bound)))


def _snapped_hz(users: _Users, needed: Array) -> Array:
    """Clocks within their limits, and exactly at one where only rounding keeps them off it."""
    slow = needed <= users.slowest_hz * (1.0 + ROUNDING)
    fast = needed >= users.fastest_hz * (1.0 - ROUNDING)
    return np.where(slow, users.slowest_hz, np.where(fast, users.fastest_hz, needed))


def _prices_w(users: _Users, clock: Array, deadline_s: Array) -> Array:
    """Prices of being in time, that sum to gamma; see the module."""
    price = np.where(clock > users.slowest_hz, 2.0 * users.capacitance * clock**3, 0.0)
    price = np.where(users.cycles > 0, price, 0.0)
    done_s = users.cycles / clock + users.wait_s
    due = np.isclose(done_s, deadline_s[..., None], rtol=1e-9, atol=0.0) & (users.cycles > 0)
    limited = (clock <= users.slowest_hz) | (clock >= users.fastest_hz)
    decides = (due * (1 + limited)).argmax(axis=-1)[..., None]
    rest = (users.price_w - price.sum(axis=-1))[..., None]
    held = np.take_along_axis(price, decides, axis=-1)
    np.put_along_axis(price, decides, np.maximum(held + rest, 0.0), axis=-1)
    total = price.sum(axis=-1)
    return np.asarray(price * (users.price_w / total)[..., None])


def _dual_j(users: _Users, price_w: Array) -> Array:
    """The bound that these prices give."""
    free = np.cbrt(price_w / (2.0 * users.capacitance))
    clock = np.clip(free, users.slowest_hz, users.fastest_hz)
    energy = users.capacitance * users.cycles * clock**2
    late = price_w * (users.cycles / clock + users.wait_s)
    return np.asarray((energy + late).sum(axis=-1))
