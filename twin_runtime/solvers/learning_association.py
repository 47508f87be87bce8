"""Hosts, shares and batches of the shortest training, rather than of the shortest round.

With batches that may differ from station to station, a slow station is not waited for: it
takes smaller batches, at the price of more rounds. So hosts are judged by the value of the
batches that are then best (`batches.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from twin_runtime.physics.arguments import Array, Integers, Real, non_negative, positive
from twin_runtime.physics.hierarchy import sums_at_stations
from twin_runtime.solvers.balance import Hosts, balanced_counts, longest_first, quadratic_counts
from twin_runtime.solvers.bandwidth import selective_shares
from twin_runtime.solvers.batches import Batches, Learning, batch_fractions
from twin_runtime.solvers.certificate import Certificate, Infeasible
from twin_runtime.solvers.edge_association import (
    ENUMERATED_MAX,
    Stations,
    all_sets,
    check_twins,
    fastest_alone,
)
from twin_runtime.solvers.host_search import improved_hosts

HOSTINGS_MAX = 4096  # of few different twins, all of which are tried


@dataclass(frozen=True, slots=True)
class LearningAssociation:
    """Counts `[M]`, shares `[M, C]` and batches of one world's training.

    The certificate is of its seconds per exact round.
    """

    count: Integers
    share: Array
    batches: Batches
    certificate: Certificate


def learning_association(
    *,
    stations: Stations,
    twins: int,
    samples: float,
    constant_s: float,
    learning: Learning,
) -> LearningAssociation:
    """Counts, shares and batches of the shortest training of one world. [P4] S10.

    While batches fit the stations, counts should minimise sum K^2 / f; where they reach their
    least or largest, max K / f. Both are tried in each set of participants, and the best of
    all is taken. The bound is of samples split as the speeds are, and of a lone upload.

    Args:
        stations: of one world.
        twins: > 0, identical ones.
        samples: > 0, of each twin.
        constant_s: >= 0, seconds of a round besides training, upload and verification.
        learning: what batches are weighed by.
    """
    check_twins(twins, samples)
    speed = stations.frequency_hz
    tried = all_sets(len(speed))
    if tried is None:
        raise Infeasible(f"{len(speed)} stations; sets are tried up to {ENUMERATED_MAX}")
    taking_part = np.where(tried, speed, 0.0)
    even = balanced_counts(twins=twins, frequency_hz=taking_part)
    square = quadratic_counts(twins=twins, frequency_hz=taking_part)
    count = np.concatenate([even, square])
    shares, rest = _after_training(stations, count)
    batches = batch_fractions(
        samples=samples * count,
        frequency_hz=speed,
        constant_s=constant_s + rest,
        learning=learning,
    )
    best = int(batches.value_s.argmin())
    chosen = Batches(batches.fraction[best], batches.training_s[best], batches.value_s[best])
    ideal = batch_fractions(
        samples=samples * twins * speed / speed.sum(),
        frequency_hz=speed,
        constant_s=constant_s + fastest_alone(stations),
        learning=learning,
    )
    certificate = Certificate(float(chosen.value_s), float(ideal.value_s))
    return LearningAssociation(count[best], shares[best], chosen, certificate)


def learning_hosts(
    *, samples: Real, frequency_hz: Real, constant_s: float, learning: Learning
) -> Hosts:
    """Hosts of different twins of one world for the shortest training. [P4] S11.

    All hostings are tried where they are few; else the longest first, then moves and swaps by
    the value of the batches that then are best. The bound is of samples split as speeds are.

    Args:
        samples: of each twin, >= 0 `[N]`.
        frequency_hz: of the stations, > 0 `[M]`.
        constant_s: >= 0, the seconds of a round besides training.
        learning: what batches are weighed by.
    """
    held, speed = non_negative("samples", samples), positive("frequency_hz", frequency_hz)

    def value_s(loads: Array) -> Array:
        return batch_fractions(
            samples=loads, frequency_hz=speed, constant_s=constant_s, learning=learning
        ).value_s

    host, value = _improved_or_tried(held, speed, value_s)
    ideal = value_s(held.sum() * speed[None] / speed.sum())
    return Hosts(host, Certificate(value, float(ideal[0])))


def _after_training(stations: Stations, count: Integers) -> tuple[Array, Array]:
    """Shares of each set of one world, and the seconds of aggregation, upload, verification."""
    demand = stations.upload_bits * (count > 0)
    shares = selective_shares(demand_bits=demand, rate_bps=stations.rate_bps)
    aggregation = (count * stations.aggregation_cycles / stations.frequency_hz).max(axis=-1)
    return shares.share, aggregation + shares.finish_s + stations.verification_s(count > 0)


def _improved_or_tried(
    held: Array, speed: Array, value_s: Callable[[Array], Array]
) -> tuple[Integers, float]:
    stations, twins = len(speed), len(held)
    if stations**twins > HOSTINGS_MAX:
        first = longest_first(cycles=held, frequency_hz=speed)
        return improved_hosts(first, held, stations, value_s)
    tried = np.arange(stations**twins)[:, None] // stations ** np.arange(twins) % stations
    values = value_s(sums_at_stations(values=held, host=tried, stations=stations))
    best = int(values.argmin())
    return tried[best], float(values[best])
