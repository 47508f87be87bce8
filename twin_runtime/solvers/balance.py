"""Work spread over stations of different speeds, so that the last one is done early.

Identical twins are given away one by one, each to the station that would then be done first:
that is optimal. Different ones begin with the longest, each where it is done first, and are
then moved and swapped while that helps; a mixed-integer program is exact for small numbers
and for times that depend on both, the twin and the station.

Many worlds at once, over leading axes, except where a function says that it takes one.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import LinearConstraint, milp

from twin_runtime.physics.arguments import (
    Array,
    Integers,
    InvalidArgument,
    Real,
    non_negative,
    positive,
)
from twin_runtime.solvers.certificate import Certificate, Infeasible
from twin_runtime.solvers.host_search import improved_hosts

SOLVED = 0  # HiGHS: an optimum
TIMED_OUT = 1


@dataclass(frozen=True, slots=True)
class Hosts:
    """The station of each twin `[N]` of one world, with what it costs beside a bound."""

    host: Integers
    certificate: Certificate


def balanced_counts(
    *, twins: int, frequency_hz: Real, twins_max: npt.ArrayLike | None = None
) -> Integers:
    """How many identical twins each station gets, so that max K / f is least. [P4] S4.

    Args:
        twins: N >= 0.
        frequency_hz: of the stations `[..., M]`, >= 0; 0 takes no part.
        twins_max: of each station, of a shape that fits; without it there is no limit.

    Returns:
        `[..., M]`; of equally good stations the lower index gets a twin first.

    Raises:
        Infeasible: the stations' limits are less than N together.
    """
    speed = _speeds(frequency_hz)
    start = np.floor(twins * speed / speed.sum(axis=-1, keepdims=True))
    return _filled(start, twins, speed, twins_max, lambda count: count + 1.0)


def quadratic_counts(
    *, twins: int, frequency_hz: Real, twins_max: npt.ArrayLike | None = None
) -> Integers:
    """How many identical twins each station gets, so that sum K^2 / f is least. [P4] S10.

    With batches that fit the stations this is what learning needs. Arguments, answer and
    errors as in `balanced_counts`.
    """
    speed = _speeds(frequency_hz)
    level = (2.0 * twins - (speed > 0).sum(axis=-1, keepdims=True)) / speed.sum(
        axis=-1, keepdims=True
    )
    start = np.floor((level * speed + (speed > 0)) / 2.0)
    return _filled(start, twins, speed, twins_max, lambda count: 2.0 * count + 1.0)


def longest_first(*, cycles: Real, frequency_hz: Real) -> Integers:
    """The station of each twin `[..., N]`: the longest first, each where it is done first.

    [P4] S5, without its exchanges. Steps once per twin, for all worlds together.

    Args:
        cycles: of each twin, >= 0 `[..., N]`.
        frequency_hz: of the stations, > 0 `[..., M]`.
    """
    work, speed = non_negative("cycles", cycles), positive("frequency_hz", frequency_hz)
    lead = np.broadcast_shapes(work.shape[:-1], speed.shape[:-1])
    work = np.broadcast_to(work, lead + work.shape[-1:]).reshape(-1, work.shape[-1])
    speed = np.broadcast_to(speed, lead + speed.shape[-1:]).reshape(len(work), -1)
    order = np.argsort(-work, axis=1, kind="stable")
    load, world = np.zeros(speed.shape), np.arange(len(work))
    host = np.empty(work.shape, dtype=np.int64)
    for twin in order.T:
        size = work[world, twin]
        chosen = ((load + size[:, None]) / speed).argmin(axis=1)
        load[world, chosen] += size
        host[world, twin] = chosen
    return host.reshape(*lead, -1)


def balanced_hosts(*, cycles: Real, frequency_hz: Real) -> Hosts:
    """Hosts of different twins of one world, with the time of the last station. [P4] S5.

    `longest_first`, then moves and swaps while they help. Arguments as there, `[N]` and `[M]`.
    """
    work, speed = _one_world(cycles, frequency_hz)
    first = longest_first(cycles=work, frequency_hz=speed)
    host, span = improved_hosts(first, work, len(speed), lambda load: (load / speed).max(axis=-1))
    return Hosts(host, Certificate(span, makespan_bound_s(cycles=work, frequency_hz=speed)))


def makespan_bound_s(*, cycles: Real, frequency_hz: Real) -> float:
    """A time before which no hosting of one world is done [s]. [P4] S5.

    All work at all speeds, or the k longest twins on the k fastest stations, for k below M.
    Arguments as in `longest_first`, `[N]` and `[M]`.
    """
    work, speed = _one_world(cycles, frequency_hz)
    longest, fastest = np.sort(work)[::-1].cumsum(), np.sort(speed)[::-1].cumsum()
    few = min(len(longest), len(fastest) - 1)
    return float(max(longest[-1] / fastest[-1], *(longest[:few] / fastest[:few]), 0.0))


def exact_hosts(
    *,
    time_s: npt.ArrayLike,
    cost_s: Real = 0.0,
    twins_max: npt.ArrayLike | None = None,
    budget_s: float = 60.0,
) -> Hosts:
    """Hosts of one world that minimise the last station's time plus all costs. [P4] S6.

    A mixed-integer program for any times: of stations that differ in more than their speed,
    of twins whose access link is a part of their time.

    Args:
        time_s: what a twin adds to a station's time, >= 0 `[N, M]`; infinite where it may
            not be hosted.
        cost_s: what hosting a twin costs besides, >= 0, of a shape that fits `[N, M]`.
        twins_max: of each station, of a shape that fits `[M]`.
        budget_s: > 0, after which the best hosts known are given, with their bound.

    Raises:
        Infeasible: some twin may be hosted nowhere, or limits are too tight.
    """
    time = np.asarray(time_s, dtype=np.float64)
    allowed = time < np.inf
    if time.ndim != 2 or not time.size or np.isnan(time).any() or (time < 0).any():  # noqa: PLR2004
        raise InvalidArgument(f"time_s has the shape {time.shape}; it must be >= 0, [N, M]")
    if not allowed.any(axis=1).all():
        raise Infeasible(f"twin {allowed.any(axis=1).argmin()} may be hosted by no station")
    twins, stations = time.shape
    cost = np.broadcast_to(non_negative("cost_s", cost_s), time.shape)
    finite_time = np.where(allowed, time, 0.0)
    spans = np.hstack([_by_station(finite_time), -np.ones((stations, 1))])
    whole = np.hstack([np.repeat(np.eye(twins), stations, axis=1), np.zeros((twins, 1))])
    counts = np.hstack([_by_station(np.ones(time.shape)), np.zeros((stations, 1))])
    limit = np.broadcast_to(twins if twins_max is None else np.asarray(twins_max), stations)
    found = milp(
        np.append(np.where(allowed, cost, 0.0).ravel(), 1.0),
        integrality=np.append(np.ones(time.size), 0),
        bounds=(np.zeros(time.size + 1), np.append(allowed.ravel().astype(float), np.inf)),
        constraints=[
            LinearConstraint(spans, ub=np.zeros(stations)),
            LinearConstraint(whole, lb=np.ones(twins), ub=np.ones(twins)),
            LinearConstraint(counts, ub=limit),
        ],
        options={"time_limit": float(positive("budget_s", budget_s))},
    )
    if found.status not in {SOLVED, TIMED_OUT} or found.x is None:
        raise Infeasible(f"no hosting keeps to the stations' limits: {found.message}")
    host = found.x[:-1].reshape(time.shape).argmax(axis=1)
    picked = np.arange(twins), host
    span = np.bincount(host, time[picked], minlength=stations).max()
    return Hosts(host, Certificate(float(span + cost[picked].sum()), float(found.mip_dual_bound)))


def _filled(
    start: Array,
    twins: int,
    speed: Array,
    twins_max: npt.ArrayLike | None,
    marginal: Callable[[Array], Array],
) -> Integers:
    """One twin after the other to the least marginal / speed, from a start that is below."""
    room = np.where(speed > 0, np.inf if twins_max is None else np.asarray(twins_max), 0.0)
    if (room.sum(axis=-1) < twins).any():
        raise Infeasible(f"{twins} twins are more than the stations' limits together")
    count = np.clip(start, 0.0, room)
    divisor = np.where(speed > 0, speed, 1.0)
    for _ in range(twins):
        left = twins - count.sum(axis=-1, keepdims=True)
        if not (left > 0).any():
            break
        price = np.where(count < room, marginal(count) / divisor, np.inf)
        chosen = price.argmin(axis=-1)[..., None] == np.arange(price.shape[-1])
        count += chosen & (left > 0)
    return count.astype(np.int64)


def _by_station(values: Array) -> Array:
    """Rows `[M, N * M]` that sum a station's column of x `[N, M]`, weighted."""
    twins, stations = values.shape
    rows = np.zeros((stations, twins, stations))
    station = np.arange(stations)
    rows[station, :, station] = values.T
    return rows.reshape(stations, -1)


def _speeds(frequency_hz: Real) -> Array:
    speed = non_negative("frequency_hz", frequency_hz)
    if not speed.ndim or not speed.sum(axis=-1).all():
        raise InvalidArgument("frequency_hz is 0 for all stations of a world; one must be above 0")
    return speed


def _one_world(cycles: Real, frequency_hz: Real) -> tuple[Array, Array]:
    work, speed = non_negative("cycles", cycles), positive("frequency_hz", frequency_hz)
    if work.ndim != 1 or speed.ndim != 1 or not work.size or not speed.size:
        shapes = f"cycles {work.shape}, frequency_hz {speed.shape}"
        raise InvalidArgument(f"one world has cycles [N] and frequency_hz [M]: {shapes}")
    return work, speed
