"""Association where a station uploads one model per twin, as the paper's (15) is printed.

Then hosting a twin costs the uplink, too, and a station with a good channel is worth more
than a fast one. On a flat channel the sum of all uploads is what counts, and a scan over the
possible training times is exact. On a selective channel it is one small mixed-integer
program in counts, loads, airtimes and the three phases' ends.
"""

import numpy as np
from scipy.optimize import LinearConstraint, milp

from twin_runtime.physics.arguments import Array, Integers, InvalidArgument, Real, positive
from twin_runtime.solvers.bandwidth import selective_shares
from twin_runtime.solvers.certificate import Certificate, Infeasible
from twin_runtime.solvers.edge_association import (
    Association,
    Stations,
    all_sets,
    best_of_sets,
    check_twins,
)
from twin_runtime.solvers.host_search import improved_hosts
from twin_runtime.solvers.unlike_twins import UnlikeAssociation

LINES_MAX = 16  # below the weight of the k smallest twins
SETS_OF_MAX = 6  # stations: rows for 63 sets of them
WHOLE = 1e-9  # twins: a time that is k twins' is enough for k, whatever its rounding


def joint_per_twin(*, stations: Stations, twins: int, cycles: float) -> Association:
    """Counts and flat shares of the shortest round of three phases. [P4] S7.

    For each set of participants and each time k twins may train on some station, all stations
    take as many as that time allows, those with the cheapest upload first.

    Args:
        stations: of one or many worlds; a station's rate is the sum over its sub-channels.
        twins: > 0, identical ones.
        cycles: > 0, that training one twin costs its station per round.

    Raises:
        Infeasible: more stations than all sets can be tried of.
    """
    speed = stations.frequency_hz
    tried = all_sets(speed.shape[-1])
    if tried is None:
        raise Infeasible(f"{speed.shape[-1]} stations; sets are tried up to 12")
    each, airtime = _per_twin(stations, twins, cycles)
    number = np.arange(1, twins + 1)
    limit = (number * each[..., None]).reshape(*each.shape[:-1], 1, -1, 1)
    room = np.minimum(np.floor(limit / each[..., None, None, :] + WHOLE), twins)
    count = _cheapest_first(room * tried[:, None, :], airtime[..., None, None, :], twins)
    complete = count.sum(axis=-1) == twins
    wait = (count * each[..., None, None, :]).max(axis=-1)
    value = wait + (count * airtime[..., None, None, :]).sum(axis=-1)
    value = np.where(complete, value, np.inf)
    chosen = value.argmin(axis=-1)[..., None]
    best = np.take_along_axis(count, chosen[..., None], axis=-2)[..., 0, :]
    value = np.take_along_axis(value, chosen, axis=-1)[..., 0] + stations.verification_s(tried)
    need = best * airtime[..., None, :]
    share = need / np.maximum(need.sum(axis=-1, keepdims=True), np.finfo(float).tiny)
    return best_of_sets(stations, Association(best.astype(np.int64), share, value, value))


def joint_per_twin_selective(
    *, stations: Stations, twins: int, cycles: float, budget_s: float = 60.0
) -> Association:
    """Counts and shares of one world's shortest round, by a mixed-integer program. [P4] S7.

    Arguments as in `joint_per_twin`; after `budget_s` the best known is given, with its bound.
    """
    check_twins(twins, cycles)
    return _solved(stations, np.full(twins, float(cycles)), budget_s)


def unlike_per_twin(
    *, stations: Stations, cycles: Real, budget_s: float = 60.0
) -> UnlikeAssociation:
    """Hosts and shares of one world's round, for twins that differ in size. [P4] S5, S7.

    A station with K twins trains at least the K smallest; with that alone the program's end is
    a bound, and its counts are then filled, the longest twin first. The value is of the hosts.

    Args:
        stations: of one world.
        cycles: > 0, what each twin costs its station per round `[N]`.
        budget_s: > 0, after which the best counts known are taken.
    """
    work = positive("cycles", cycles)
    if work.ndim != 1 or not work.size:
        raise InvalidArgument(f"cycles has the shape {work.shape}; it must be [N]")
    program = _solved(stations, work, budget_s)
    host = _filled(program.count, work, stations.frequency_hz)
    load = np.bincount(host, work, minlength=len(program.count)) / stations.frequency_hz
    adding = program.count * stations.aggregation_cycles / stations.frequency_hz
    demand = stations.upload_bits * program.count
    upload = selective_shares(demand_bits=demand, rate_bps=stations.rate_bps)
    scoring = float(stations.verification_s(program.count > 0)[0])
    value = float(load.max() + adding.max() + upload.finish_s) + scoring
    return UnlikeAssociation(host, upload.share, Certificate(value, float(program.bound_s)))


def _solved(stations: Stations, work: Array, budget_s: float) -> Association:
    """The program's answer for twins of `work` `[N]`; its value is of loads that may be split."""
    if stations.frequency_hz.ndim != 1:
        raise InvalidArgument("stations are of many worlds; this program takes one")
    rate = stations.rate_bps / stations.upload_bits  # models per second
    count, whole = len(rate), np.ones(2 * len(rate))
    found = milp(
        np.concatenate([np.zeros(2 * count + rate.size), np.ones(3), np.zeros(count)]),
        integrality=np.concatenate([whole, np.zeros(rate.size + 3 + count)]),
        bounds=(0.0, np.concatenate([whole[:count] * len(work), whole[count:], _free(rate)])),
        constraints=_constraints(rate, stations, work),
        options={"time_limit": float(positive("budget_s", budget_s)), "mip_rel_gap": 1e-9},
    )
    if found.x is None:
        raise Infeasible(f"no counts and shares were found: {found.message}")
    airtime = np.maximum(found.x[2 * count : 2 * count + rate.size].reshape(rate.shape), 0.0)
    share = airtime / np.maximum(airtime.sum(axis=0), np.finfo(float).tiny)
    hosted = np.rint(found.x[:count]).astype(np.int64)
    return Association(hosted, share, np.array(found.fun), np.array(found.mip_dual_bound))


def _filled(count: Integers, work: Array, speed: Array) -> Integers:
    """Hosts `[N]` of so many twins each: the longest first, where there is room and it is done
    first; then twins are swapped while the last station is done earlier by that."""
    room, load = count.copy(), np.zeros(len(count))
    host = np.empty(len(work), dtype=np.int64)
    for twin in np.argsort(-work, kind="stable"):
        host[twin] = np.where(room > 0, (load + work[twin]) / speed, np.inf).argmin()
        load[host[twin]] += work[twin]
        room[host[twin]] -= 1
    more_than_all = 2.0 * work.sum()  # each twin weighs that much more: loads tell their counts

    def last_s(loads: Array) -> Array:
        held = np.floor(loads / more_than_all)
        ends = ((loads - held * more_than_all) / speed).max(axis=-1)
        return np.where((held == count).all(axis=-1), ends, np.inf)

    return improved_hosts(host, work + more_than_all, len(count), last_s)[0]


def _constraints(rate: Array, stations: Stations, work: Array) -> list[LinearConstraint]:
    """Rows over counts, participation, airtimes, the ends of the three phases, and loads."""
    (count, channels), twins = rate.shape, len(work)
    eye, none = np.eye(count), np.zeros((count, count))
    links, no_links = np.kron(eye, np.ones(channels)) * rate.ravel(), np.zeros((count, rate.size))
    phase = np.eye(3)[:, None, :] * np.ones((count, 1))  # each [M, 3]
    unit = work.mean()  # loads are counted in mean twins, near 1 as all else
    inverse = np.diag(unit / stations.frequency_hz)
    scoring = stations.verification_cycles / unit * inverse @ (1.0 - eye)
    adding = stations.aggregation_cycles / unit * inverse
    trained = np.hstack([adding, none, no_links, -phase[0], inverse])
    uploaded = np.hstack([eye, none, -links, 0.0 * phase[0], none])
    joined = np.hstack([eye, -twins * eye, no_links, 0.0 * phase[0], none])
    scored = np.hstack([none, scoring, no_links, -phase[2], none])
    spent = np.hstack(
        [
            np.zeros((channels, 2 * count)),
            np.kron(np.ones(count), np.eye(channels)),
            np.tile([0.0, -1.0, 0.0], (channels, 1)),
            np.zeros((channels, count)),
        ]
    )
    zeros, ones = np.zeros(count + rate.size + 3), np.ones(count)
    at_most_zero = np.vstack([trained, uploaded, joined, scored, spent])
    whole = np.array([[*ones, *zeros, *(0.0 * ones)], [*(0.0 * ones), *zeros, *ones]])
    return [
        LinearConstraint(at_most_zero, ub=np.zeros(len(at_most_zero))),
        LinearConstraint(whole, lb=[twins, twins], ub=[twins, twins]),
        _least_loads(rate, work / unit),
    ]


def _least_loads(rate: Array, work: Array) -> LinearConstraint:
    """Any stations together have at least as many of the smallest twins as they host.

    What k of the smallest weigh is convex in k: a line per size is below it, and `LINES_MAX`
    of the lines are enough. Sets of stations matter as they cannot all have the smallest ones;
    where there are too many, single stations are what is left.
    """
    rising = np.sort(work)
    slope, first = np.unique(rising, return_index=True)
    some = np.unique(np.linspace(0, len(slope) - 1, LINES_MAX).astype(np.int64))
    slope, first = slope[some], first[some]
    offset = (rising.cumsum() - rising * np.arange(1, len(work) + 1))[first]
    tried = all_sets(len(rate)) if len(rate) <= SETS_OF_MAX else None
    members = (np.eye(len(rate), dtype=np.bool_) if tried is None else tried).astype(np.float64)
    others = np.zeros((len(members), len(rate) + rate.size + 3))
    rows = np.vstack([np.hstack([-each * members, others, members]) for each in slope])
    return LinearConstraint(rows, lb=np.repeat(offset, len(members)))


def _per_twin(stations: Stations, twins: int, cycles: float) -> tuple[Array, Array]:
    """What a twin takes at each station: seconds of training, and of the whole uplink."""
    check_twins(twins, cycles)
    whole = cycles + stations.aggregation_cycles
    airtime = stations.upload_bits / stations.rate_bps.sum(axis=-1)
    return whole / stations.frequency_hz, airtime


def _cheapest_first(room: Array, price: Array, twins: int) -> Array:
    order = np.broadcast_to(price, room.shape).argsort(axis=-1, kind="stable")
    sorted_room = np.take_along_axis(room, order, axis=-1)
    before = sorted_room.cumsum(axis=-1) - sorted_room
    taken = np.clip(twins - before, 0, sorted_room)
    count = np.empty_like(taken)
    np.put_along_axis(count, order, taken, axis=-1)
    return count


def _free(rate: Array) -> Array:
    return np.full(rate.size + 3 + len(rate), np.inf)
