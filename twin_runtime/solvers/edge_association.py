"""Which station trains how many twins, and how stations share the uplink, decided as one.

Twins are identical here, and a station sends one model however many twins it hosts. So it
matters who takes part, and given that set P the rest falls apart: counts that end training
early (`balance.py`), shares that end the upload early (`bandwidth.py`), and a verification
in which everyone scores all others' models, its time rising with the size of P.

Up to `ENUMERATED_MAX` stations all sets are tried, which is exact; beyond, stations are
dropped one by one while that helps. All sets of all worlds are one array.
"""

from dataclasses import dataclass

import numpy as np

from twin_runtime.physics.arguments import (
    Array,
    Booleans,
    Integers,
    InvalidArgument,
    non_negative,
    positive,
)
from twin_runtime.physics.consensus import verification_time_s
from twin_runtime.solvers.balance import balanced_counts
from twin_runtime.solvers.bandwidth import flat_shares, selective_shares
from twin_runtime.solvers.certificate import Certificate, Infeasible

ENUMERATED_MAX = 12  # stations: 4095 sets
ROUNDS_MAX = 100  # of counts and finish in turn; 4 are usual


@dataclass(frozen=True, slots=True)
class Association:
    """Counts `[..., M]`, shares `[..., M, C]` (flat: `[..., M]`), and the time they take.

    `value_s` and `bound_s` are `[...]`: of training, aggregation, upload and verification.
    The certificate is of all worlds' sum.
    """

    count: Integers
    share: Array
    value_s: Array
    bound_s: Array

    @property
    def certificate(self) -> Certificate:
        return Certificate(float(self.value_s.sum()), float(self.bound_s.sum()))


@dataclass(frozen=True, slots=True)
class Stations:
    """What association is decided upon, of one or many worlds.

    frequency_hz: > 0 `[..., M]`.
    rate_bps: of a whole sub-channel to the cloud, >= 0 `[..., M, C]`.
    upload_bits: > 0, that one model costs, with whatever a broadcast multiplies it by.
    verification_cycles: >= 0, of scoring one model.
    aggregation_cycles: >= 0, of adding one twin's model to its station's.
    """

    frequency_hz: Array
    rate_bps: Array
    upload_bits: float
    verification_cycles: float
    aggregation_cycles: float = 0.0

    def __post_init__(self) -> None:
        speed = positive("frequency_hz", self.frequency_hz)
        rate = non_negative("rate_bps", self.rate_bps)
        positive("upload_bits", self.upload_bits)
        non_negative("verification_cycles", self.verification_cycles)
        non_negative("aggregation_cycles", self.aggregation_cycles)
        if not speed.size or speed.shape != rate.shape[:-1] or not rate.size:
            shapes = f"frequency_hz {speed.shape}, rate_bps {rate.shape}"
            raise InvalidArgument(f"they must be [..., M] and [..., M, C]: {shapes}")

    def verification_s(self, takes_part: Booleans) -> Array:
        """Of sets `[..., S, M]`."""
        return verification_time_s(
            takes_part=takes_part,
            samples=1,
            cycles_per_sample=self.verification_cycles,
            frequency_hz=self.frequency_hz[..., None, :],
        )


def joint_association(*, stations: Stations, twins: int, cycles: float) -> Association:
    """Counts and shares of the shortest round of three phases. [P4] S8.

    Args:
        stations: of one or many worlds.
        twins: > 0, identical ones.
        cycles: > 0, that training one twin costs its station per round.
    """
    check_twins(twins, cycles)
    tried = all_sets(stations.frequency_hz.shape[-1])
    if tried is not None:
        return best_of_sets(stations, _evaluated(stations, tried, twins, cycles))
    return _dropped(stations, twins, cycles)


def joint_pipelined(*, stations: Stations, twins: int, cycles: float) -> Association:
    """Counts and flat shares of the shortest pipelined round. [P4] S9.

    A station's rate is its whole uplink's, the sum over sub-channels. For a finish T the best
    counts are greedy, as their need of the uplink is convex; for counts the earliest T is a
    root. In turn these end at the least T, exactly: there no counts need less than all of it.
    Arguments as in `joint_association`.

    Raises:
        Infeasible: more stations than `ENUMERATED_MAX`.
    """
    check_twins(twins, cycles)
    speed = stations.frequency_hz
    tried = all_sets(speed.shape[-1])
    if tried is None:
        raise Infeasible(f"{speed.shape[-1]} stations; pipelined sets are tried up to 12")
    tried = tried[tried.sum(axis=1) <= twins]
    each = ((cycles + stations.aggregation_cycles) / speed)[..., None, :]
    demand = (stations.upload_bits / stations.rate_bps.sum(axis=-1))[..., None, :] * tried
    masked = np.where(tried, speed[..., None, :], 0.0)
    count = _at_least_each(balanced_counts(twins=twins, frequency_hz=masked), tried, twins)
    shares = flat_shares(demand_s=demand, ready_s=count * each)
    for _ in range(ROUNDS_MAX):
        offered = _greedy_counts(shares.finish_s, demand, each, twins)
        better = flat_shares(demand_s=demand, ready_s=offered * each)
        earlier = better.finish_s < shares.finish_s
        if not earlier.any():
            break
        count = np.where(earlier[..., None], offered, count)
        shares = flat_shares(demand_s=demand, ready_s=count * each)
    value = shares.finish_s + stations.verification_s(tried)
    return best_of_sets(stations, Association(count, shares.share, value, value))


def all_sets(stations: int) -> Booleans | None:
    """All non-empty sets `[S, M]`, the full one first; None where they are too many."""
    if stations > ENUMERATED_MAX:
        return None
    numbers = np.arange(2**stations - 1, 0, -1)
    sets: Booleans = (numbers[:, None] >> np.arange(stations)) & 1 == 1
    return sets


def _evaluated(stations: Stations, tried: Booleans, twins: int, cycles: float) -> Association:
    """Each set's best, `[..., S]`."""
    speed = stations.frequency_hz[..., None, :]
    count = balanced_counts(twins=twins, frequency_hz=np.where(tried, speed, 0.0))
    training = (count * (cycles + stations.aggregation_cycles) / speed).max(axis=-1)
    demand = stations.upload_bits * (count > 0)
    shares = selective_shares(demand_bits=demand, rate_bps=stations.rate_bps[..., None, :, :])
    other = training + stations.verification_s(count > 0)
    return Association(count, shares.share, other + shares.finish_s, other + shares.bound_s)


def best_of_sets(stations: Stations, tried: Association) -> Association:
    """The best of all sets `[..., S]`, in each world; its bound is the least of all bounds."""
    lead = stations.frequency_hz.shape[:-1]
    worlds, sets = int(np.prod(lead, dtype=np.int64)), tried.value_s.shape[-1]
    value = tried.value_s.reshape(worlds, sets)
    chosen = np.arange(worlds), value.argmin(axis=1)
    count = np.broadcast_to(tried.count, (*tried.value_s.shape, tried.count.shape[-1]))
    count = count.reshape(worlds, sets, -1)[chosen].reshape(*lead, -1)
    links = tried.share.shape[len(lead) + 1 :]
    share = tried.share.reshape(worlds, sets, *links)[chosen].reshape(*lead, *links)
    return Association(count, share, value[chosen].reshape(lead), tried.bound_s.min(axis=-1))


def _dropped(stations: Stations, twins: int, cycles: float) -> Association:
    """From all stations, drop the one whose leaving helps most, while one does."""
    speed = stations.frequency_hz
    members = np.ones((*speed.shape[:-1], 1, speed.shape[-1]), dtype=np.bool_)
    best = best_of_sets(stations, _evaluated(stations, members, twins, cycles))
    bound = twins * cycles / speed.sum(axis=-1) + fastest_alone(stations)
    for _ in range(speed.shape[-1] - 1):
        without = members & ~np.eye(speed.shape[-1], dtype=np.bool_)
        without = np.where(without.any(axis=-1, keepdims=True), without, members)
        found = best_of_sets(stations, _evaluated(stations, without, twins, cycles))
        better = found.value_s < best.value_s
        if not better.any():
            break
        wide = better[..., None]
        count = np.where(wide, found.count, best.count)
        share = np.where(wide[..., None], found.share, best.share)
        best = Association(count, share, np.minimum(found.value_s, best.value_s), bound)
        members = (count > 0)[..., None, :]
    return Association(best.count, best.share, best.value_s, bound)


def fastest_alone(stations: Stations) -> Array:
    """The upload of one station that has the whole uplink `[...]`; no round's is shorter."""
    alone: Array = (stations.upload_bits / stations.rate_bps.sum(axis=-1)).min(axis=-1)
    return alone


def _at_least_each(count: Integers, tried: Booleans, twins: int) -> Integers:
    """Counts in which every member of a set hosts a twin: the largest gives where one is bare."""
    count = np.maximum(count, tried)
    for _ in range(tried.shape[-1]):
        excess = count.sum(axis=-1, keepdims=True) - twins
        largest = count.argmax(axis=-1)[..., None] == np.arange(count.shape[-1])
        count = count - (largest & (excess > 0))
    return count


def _greedy_counts(finish: Array, demand: Array, each: Array, twins: int) -> Integers:
    """Counts, one for each member at least, that need least of the uplink to end at `finish`."""
    number = np.arange(1, twins + 1)
    room = finish[..., None, None] - number * each[..., None]
    need = np.where(room > 0, demand[..., None] / np.where(room > 0, room, 1.0), np.inf)
    rise = need[..., 1:] - np.where(np.isfinite(need[..., :-1]), need[..., :-1], 0.0)
    rise = np.where((demand > 0)[..., None], rise, np.inf)
    members = np.broadcast_to(demand > 0, rise.shape[:-1])
    left = twins - members.sum(axis=-1)
    flat = rise.reshape(*rise.shape[:-2], -1)
    rank = flat.argsort(axis=-1, kind="stable").argsort(axis=-1).reshape(rise.shape)
    more: Integers = (rank < left[..., None, None]).sum(axis=-1)
    return members + more


def check_twins(twins: int, cost: float) -> None:
    """Name a number of twins, or what one costs, that is not above 0."""
    if twins < 1:
        raise InvalidArgument(f"twins is {twins}; it must be at least 1")
    positive("what a twin costs", cost)
