"""Hosts and shares of the shortest round where twins differ: in samples, or in their links.

A set of participants fixes the upload and the verification, exactly as for twins that are
alike (`edge_association.py`). What is left is to host the twins so that the last participant
is done early, which is hard in theory; so each set has a bound, sets are taken in the order
of their bounds, and hosts are searched for in each until the next bound is no shorter than
the best round found. The least of all sets' bounds bounds the joint decision.

A set's bound is by prices p >= 0 of its stations that sum to 1: whatever the hosts, the last
station is no earlier than the mean of all weighted by p, and that mean is at least
sum_n min_m p[m] time[n, m]. Where twins differ in size only, prices as the speeds are the best
ones: all work at all speeds. Else the linear program's are, whose optimum the bound then is.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.optimize import linprog

from twin_runtime.physics.arguments import Array, Integers, InvalidArgument
from twin_runtime.solvers.bandwidth import selective_shares
from twin_runtime.solvers.certificate import Certificate, Infeasible
from twin_runtime.solvers.edge_association import ENUMERATED_MAX, Stations, all_sets
from twin_runtime.solvers.host_search import improved_hosts


@dataclass(frozen=True, slots=True)
class UnlikeAssociation:
    """Hosts `[N]` and shares `[M, C]` of one world; the certificate is of training,
    aggregation, upload and verification together [s]."""

    host: Integers
    share: Array
    certificate: Certificate


def unlike_association(*, stations: Stations, time_s: npt.ArrayLike) -> UnlikeAssociation:
    """Hosts and shares of one world's shortest round of three phases. [P4] S5, S6, S8.

    Args:
        stations: of one world.
        time_s: what a twin adds to a station's training, >= 0 `[N, M]`: computing, and what
            its link takes if it has one; infinite where it may not be hosted.

    Raises:
        Infeasible: some twin may be hosted nowhere; more stations than `ENUMERATED_MAX`.
    """
    time = _checked(stations, time_s)
    tried = all_sets(time.shape[1])
    if tried is None:
        raise Infeasible(f"{time.shape[1]} stations; sets are tried up to {ENUMERATED_MAX}")
    adding = stations.aggregation_cycles / stations.frequency_hz
    shares = selective_shares(demand_bits=stations.upload_bits * tried, rate_bps=stations.rate_bps)
    scoring = stations.verification_s(tried)
    rest, rest_bound = shares.finish_s + scoring, shares.bound_s + scoring
    quick = [_priced_s(time[:, members] + adding[members]) for members in tried]
    bound = rest_bound + np.array(quick)
    value, chosen, host = np.inf, 0, np.zeros(len(time), dtype=np.int64)
    for one in np.argsort(bound, kind="stable"):
        if bound[one] >= value:
            break
        members = np.flatnonzero(tried[one])
        each, more = time[:, members], adding[members]
        at_least, rounded = _relaxed(each + more)
        bound[one] = max(bound[one], rest_bound[one] + at_least)
        for start in (_longest_first(each + more), rounded):
            found = _searched(each + more, start)
            ends = rest[one] + _phases_s(found, each, more)
            if ends < value:
                value, chosen, host = ends, int(one), members[found]
    certificate = Certificate(float(value), float(min(value, bound.min())))
    return UnlikeAssociation(host, shares.share[chosen], certificate)


def _priced_s(time: Array) -> float:
    """The bound of prices as the stations' speeds, a station's time for all twins inverted."""
    whole = np.where(np.isfinite(time), time, 0.0).sum(axis=0)
    price = 1.0 / np.maximum(whole, np.finfo(float).tiny)
    return _bound_s(time, price)


def _relaxed(time: Array) -> tuple[float, Integers]:
    """The bound of the linear program in which twins may be split, and its hosts `[N]`, each
    twin where most of it is; all but a few are whole."""
    twins, stations = time.shape
    allowed = np.isfinite(time)
    spans = sparse.hstack(
        [
            sparse.coo_array(
                (np.where(allowed, time, 0.0).ravel(), (_column(time), np.arange(time.size))),
            ),
            -np.ones((stations, 1)),
        ]
    )
    whole = sparse.hstack([sparse.kron(sparse.eye_array(twins), np.ones(stations)), _none(twins)])
    found = linprog(
        np.append(np.zeros(time.size), 1.0),
        A_ub=spans,
        b_ub=np.zeros(stations),
        A_eq=whole,
        b_eq=np.ones(twins),
        bounds=np.column_stack([np.zeros(time.size + 1), np.append(allowed.ravel(), np.inf)]),
    )
    host = found.x[:-1].reshape(time.shape).argmax(axis=1)
    return _bound_s(time, np.maximum(-found.ineqlin.marginals, 0.0)), host


def _bound_s(time: Array, price: Array) -> float:
    """sum_n min_m price[m] time[n, m], prices scaled to sum to 1; the price 0 forbids nothing."""
    part = price / price.sum()
    paid = np.where(np.isfinite(time), part * np.where(np.isfinite(time), time, 0.0), np.inf)
    return float(paid.min(axis=1).sum())


def _searched(time: Array, start: Integers) -> Integers:
    """Hosts `[N]` after moves and swaps, while the last station is done earlier by them."""
    return improved_hosts(start, time, time.shape[1], lambda load: load.max(axis=-1))[0]


def _longest_first(time: Array) -> Integers:
    """Each twin where it is done first, that with the longest time at its best station first."""
    load, host = np.zeros(time.shape[1]), np.empty(len(time), dtype=np.int64)
    for twin in np.argsort(-time.min(axis=1), kind="stable"):
        host[twin] = (load + time[twin]).argmin()
        load[host[twin]] += time[twin, host[twin]]
    return host


def _phases_s(host: Integers, time: Array, adding: Array) -> float:
    """When the last station has trained, and the last has aggregated then."""
    stations = time.shape[1]
    trained = np.bincount(host, time[np.arange(len(host)), host], minlength=stations)
    counted = np.bincount(host, minlength=stations) * adding
    return float(trained.max() + counted.max())


def _checked(stations: Stations, time_s: npt.ArrayLike) -> Array:
    time = np.asarray(time_s, dtype=np.float64)
    if stations.frequency_hz.ndim != 1:
        raise InvalidArgument("stations are of many worlds; this search takes one")
    if time.ndim != 2 or time.shape[1:] != stations.frequency_hz.shape or not time.size:  # noqa: PLR2004
        raise InvalidArgument(f"time_s has the shape {time.shape}; it must be [N, M]")
    if np.isnan(time).any() or (time < 0).any():
        worst = np.nan if np.isnan(time).any() else time.min()
        raise InvalidArgument(f"time_s is {worst:g}; it must be >= 0, or infinite")
    nowhere = np.isinf(time).all(axis=1)
    if nowhere.any():
        raise Infeasible(f"twin {nowhere.argmax()} may be hosted by no station")
    return time


def _column(time: Array) -> Integers:
    return np.tile(np.arange(time.shape[1]), len(time))


def _none(twins: int) -> Array:
    return np.zeros((twins, 1))
