"""Association where a station uploads one model per twin, as the paper's (15) is printed.

Then hosting a twin costs the uplink, too, and a station with a good channel is worth more
than a fast one. On a flat channel the sum of all uploads is what counts, and a scan over the
possible training times is exact. On a selective channel it is one small mixed-integer
program in counts, airtimes and the three phases' ends.
"""

import numpy as np
from scipy.optimize import LinearConstraint, milp

from twin_runtime.physics.arguments import Array, InvalidArgument, positive
from twin_runtime.solvers.certificate import Infeasible
from twin_runtime.solvers.edge_association import (
    Association,
    Stations,
    all_sets,
    best_of_sets,
    check_twins,
)

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
    if stations.frequency_hz.ndim != 1:
        raise InvalidArgument("stations are of many worlds; this program takes one")
    each, _ = _per_twin(stations, twins, cycles)
    rate = stations.rate_bps / stations.upload_bits  # models per second
    found = milp(
        np.concatenate([np.zeros(each.size + each.size + rate.size), np.ones(3)]),
        integrality=np.concatenate([np.ones(2 * each.size), np.zeros(rate.size + 3)]),
        bounds=(0.0, np.concatenate([np.full(each.size, twins), _ones(each), _free(rate)])),
        constraints=_constraints(each, rate, stations, twins),
        options={"time_limit": float(positive("budget_s", budget_s)), "mip_rel_gap": 1e-9},
    )
    if found.x is None:
        raise Infeasible(f"no counts and shares were found: {found.message}")
    count = np.rint(found.x[: each.size]).astype(np.int64)
    airtime = np.maximum(found.x[2 * each.size : -3].reshape(rate.shape), 0.0)
    share = airtime / np.maximum(airtime.sum(axis=0), np.finfo(float).tiny)
    return Association(count, share, np.array(found.fun), np.array(found.mip_dual_bound))


def _constraints(
    each: Array, rate: Array, stations: Stations, twins: int
) -> list[LinearConstraint]:
    """Rows over counts, participation, airtimes, and the ends of the three phases."""
    count, channels = rate.shape
    eye, none = np.eye(count), np.zeros((count, count))
    links, no_links = np.kron(eye, np.ones(channels)) * rate.ravel(), np.zeros((count, rate.size))
    phase = np.eye(3)[:, None, :] * np.ones((count, 1))  # each [M, 3]
    scoring = (stations.verification_cycles / stations.frequency_hz)[:, None] * (1.0 - eye)
    trained = np.hstack([np.diag(each), none, no_links, -phase[0]])
    uploaded = np.hstack([eye, none, -links, 0.0 * phase[0]])
    joined = np.hstack([eye, -twins * eye, no_links, 0.0 * phase[0]])
    scored = np.hstack([none, scoring, no_links, -phase[2]])
    spent = np.hstack(
        [
            np.zeros((channels, 2 * count)),
            np.kron(np.ones(count), np.eye(channels)),
            np.tile([0.0, -1.0, 0.0], (channels, 1)),
        ]
    )
    whole = np.concatenate([np.ones(count), np.zeros(count + rate.size + 3)])[None]
    at_most_zero = np.vstack([trained, uploaded, joined, scored, spent])
    return [
        LinearConstraint(at_most_zero, ub=np.zeros(len(at_most_zero))),
        LinearConstraint(whole, lb=[twins], ub=[twins]),
    ]


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


def _ones(each: Array) -> Array:
    return np.ones(each.size)


def _free(rate: Array) -> Array:
    return np.full(rate.size + 3, np.inf)
