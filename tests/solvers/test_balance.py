"""Work over stations, against enumeration of all hostings."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_runtime.physics.arguments import InvalidArgument
from twin_runtime.physics.channel import upload_time_s
from twin_runtime.solvers.balance import (
    balanced_counts,
    balanced_hosts,
    exact_hosts,
    longest_first,
    makespan_bound_s,
    quadratic_counts,
)
from twin_runtime.solvers.certificate import Infeasible

SEEDS = st.integers(0, 2**32 - 1)


def hostings(twins: int, stations: int) -> np.ndarray:
    return np.array(list(product(range(stations), repeat=twins)))


def counts_of(hosts: np.ndarray, stations: int) -> np.ndarray:
    return np.stack([(hosts == station).sum(axis=1) for station in range(stations)], axis=1)


def makespan(host: np.ndarray, work: np.ndarray, speed: np.ndarray) -> float:
    return float((np.bincount(host, work, minlength=len(speed)) / speed).max())


@pytest.mark.parametrize("seed", range(10))
def test_counts_of_identical_twins_are_the_best_of_all(seed: int) -> None:
    speed = np.random.default_rng(seed).uniform(0.2, 4.0, 3)
    tried = counts_of(hostings(8, 3), 3)
    counts = balanced_counts(twins=8, frequency_hz=speed)
    assert counts.sum() == 8
    assert (counts / speed).max() == (tried / speed).max(axis=1).min()
    squares = quadratic_counts(twins=8, frequency_hz=speed)
    assert squares.sum() == 8
    assert (squares**2 / speed).sum() == pytest.approx(
        (tried**2 / speed).sum(axis=1).min(), rel=1e-15
    )


@pytest.mark.parametrize("seed", range(5))
def test_counts_keep_to_limits_and_are_the_best_of_those_that_do(seed: int) -> None:
    generator = np.random.default_rng(seed)
    speed, limit = generator.uniform(0.2, 4.0, 3), generator.integers(2, 5, 3)
    tried = counts_of(hostings(6, 3), 3)
    tried = tried[(tried <= limit).all(axis=1)]
    counts = balanced_counts(twins=6, frequency_hz=speed, twins_max=limit)
    assert (counts <= limit).all()
    assert (counts / speed).max() == (tried / speed).max(axis=1).min()


@given(SEEDS, st.integers(0, 300))
def test_counts_are_worlds_by_themselves_and_scale_free(seed: int, twins: int) -> None:
    speed = np.random.default_rng(seed).uniform(0.2, 4.0, (3, 6))
    counts = balanced_counts(twins=twins, frequency_hz=speed)
    assert (counts.sum(axis=1) == twins).all()
    for world in range(3):
        alone = balanced_counts(twins=twins, frequency_hz=speed[world])
        assert alone.tolist() == counts[world].tolist()
    span = (counts / speed).max(axis=1)
    faster = balanced_counts(twins=twins, frequency_hz=1e9 * speed)
    assert (faster / speed).max(axis=1) == pytest.approx(span)


def test_of_equal_stations_the_lower_index_gets_a_twin_first() -> None:
    assert balanced_counts(twins=4, frequency_hz=[1.0, 1.0, 1.0]).tolist() == [2, 1, 1]


def test_a_station_of_speed_zero_gets_no_twin() -> None:
    assert balanced_counts(twins=3, frequency_hz=[0.0, 1.0]).tolist() == [0, 3]
    assert quadratic_counts(twins=3, frequency_hz=[0.0, 1.0]).tolist() == [0, 3]


@pytest.mark.parametrize("seed", range(12))
def test_the_longest_first_stays_near_the_best_and_exchanges_bring_it_nearer(seed: int) -> None:
    generator = np.random.default_rng(seed)
    work, speed = generator.uniform(1.0, 4.0, 8), generator.uniform(1.0, 4.0, 3)
    loads = np.stack([(hostings(8, 3) == m) @ work for m in range(3)], axis=1)
    best = (loads / speed).max(axis=1).min()
    first = longest_first(cycles=work, frequency_hz=speed)
    hosts = balanced_hosts(cycles=work, frequency_hz=speed)
    assert best <= hosts.certificate.value * (1 + 1e-12)
    assert hosts.certificate.value <= makespan(first, work, speed) <= 1.58 * best
    assert makespan_bound_s(cycles=work, frequency_hz=speed) <= best * (1 + 1e-12)
    assert makespan(hosts.host, work, speed) == pytest.approx(hosts.certificate.value)


def test_a_hundred_different_twins_end_within_a_hundredth_of_a_percent_of_the_bound() -> None:
    generator = np.random.default_rng(1)
    speed = np.array([2.6, 1.8, 3.6, 2.4, 2.4])
    gaps = []
    for _ in range(3):
        work = generator.uniform(200, 800, 100)
        bound = makespan_bound_s(cycles=work, frequency_hz=speed)
        first = longest_first(cycles=work, frequency_hz=speed)
        value = balanced_hosts(cycles=work, frequency_hz=speed).certificate.value
        gaps.append((makespan(first, work, speed) / bound - 1, value / bound - 1))
    lpt, swapped = np.mean(gaps, axis=0)
    assert 0.001 < lpt < 0.02
    assert swapped < 1e-4


@pytest.mark.parametrize("seed", range(6))
def test_the_program_is_the_best_of_all_hostings(seed: int) -> None:
    generator = np.random.default_rng(seed)
    time, cost = generator.uniform(1, 5, (6, 3)), generator.uniform(0, 1, (6, 3))
    time[generator.integers(6), generator.integers(3)] = np.inf
    tried = hostings(6, 3)
    twin = np.arange(6)
    spans = np.stack(
        [np.where(tried == m, time[twin, m], 0.0).sum(axis=1) for m in range(3)], axis=1
    )
    values = spans.max(axis=1) + cost[twin, tried].sum(axis=1)
    hosts = exact_hosts(time_s=time, cost_s=cost)
    assert hosts.certificate.value == pytest.approx(values.min(), rel=1e-9)
    assert values[(tried == hosts.host).all(axis=1)][0] == pytest.approx(hosts.certificate.value)
    assert hosts.certificate.gap <= 2e-4


def test_a_slow_access_link_keeps_a_twin_away_from_a_fast_station() -> None:
    """The digest's access-link extension: a twin's time includes its synchronisation."""
    training = np.tile([1.0, 1.5], (4, 1))
    rate = np.full((4, 2), 1e7)
    rate[0, 0] = 1e5
    sync = upload_time_s(size_bits=1e6, rate_bps=rate)
    assert np.bincount(exact_hosts(time_s=training).host).tolist() == [2, 2]
    hosts = exact_hosts(time_s=training + sync)
    assert hosts.host[0] == 1
    assert hosts.certificate.value == pytest.approx(3.2)


def test_the_program_keeps_to_limits() -> None:
    hosts = exact_hosts(time_s=np.tile([1.0, 5.0], (4, 1)), twins_max=[2, 2])
    assert np.bincount(hosts.host).tolist() == [2, 2]
    assert hosts.certificate.value == 10.0


@given(SEEDS)
def test_hosts_do_not_depend_on_the_unit_of_work(seed: int) -> None:
    generator = np.random.default_rng(seed)
    work, speed = generator.uniform(1.0, 4.0, (2, 9)), generator.uniform(1.0, 4.0, (2, 3))
    once = longest_first(cycles=work, frequency_hz=speed)
    assert once.tolist() == longest_first(cycles=2**30 * work, frequency_hz=2.0 * speed).tolist()
    assert once[1].tolist() == longest_first(cycles=work[1], frequency_hz=speed[1]).tolist()


def test_too_many_twins_are_infeasible_and_no_stations_are_malformed() -> None:
    with pytest.raises(Infeasible, match="5 twins are more"):
        balanced_counts(twins=5, frequency_hz=[1.0, 1.0], twins_max=2)
    with pytest.raises(Infeasible, match="twin 1 may be hosted by no station"):
        exact_hosts(time_s=np.array([[1.0, 2.0], [np.inf, np.inf]]))
    with pytest.raises(Infeasible, match="no hosting keeps to"):
        exact_hosts(time_s=np.ones((3, 2)), twins_max=1)
    with pytest.raises(InvalidArgument, match="frequency_hz is 0 for all"):
        balanced_counts(twins=1, frequency_hz=[0.0, 0.0])
    with pytest.raises(InvalidArgument, match=r"cycles \(2, 2\)"):
        balanced_hosts(cycles=np.ones((2, 2)), frequency_hz=[1.0])
    with pytest.raises(InvalidArgument, match=r"time_s has the shape \(3,\)"):
        exact_hosts(time_s=[1.0, 2.0, 3.0])
