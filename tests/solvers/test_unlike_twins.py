"""Twins that differ, against enumeration of all hostings."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from twin_runtime.physics.arguments import InvalidArgument
from twin_runtime.solvers.bandwidth import selective_shares
from twin_runtime.solvers.certificate import Infeasible
from twin_runtime.solvers.edge_association import Stations, joint_association
from twin_runtime.solvers.per_twin_upload import joint_per_twin_selective, unlike_per_twin
from twin_runtime.solvers.unlike_twins import unlike_association

TWINS, COUNT = 7, 3


def some_stations(seed: int, count: int = COUNT) -> Stations:
    generator = np.random.default_rng(seed)
    return Stations(
        frequency_hz=generator.uniform(0.5, 4.0, count),
        rate_bps=generator.exponential(1.0, (count, 2)) + 0.01,
        upload_bits=2.0,
        verification_cycles=0.5,
        aggregation_cycles=0.1,
    )


def best_of_all(stations: Stations, time: np.ndarray, *, per_twin: bool = False) -> float:
    """The shortest of all hostings' rounds, by their definition."""
    hosts = np.array(list(product(range(COUNT), repeat=len(time))))
    here = hosts[:, :, None] == np.arange(COUNT)
    count = here.sum(axis=1)
    training = np.where(here, time, 0.0).sum(axis=1).max(axis=1)
    aggregation = (count * 0.1 / stations.frequency_hz).max(axis=1)
    sent = 2.0 * (count if per_twin else count > 0)
    upload = selective_shares(demand_bits=sent, rate_bps=stations.rate_bps).finish_s
    others = (count > 0).sum(axis=1, keepdims=True) - (count > 0)
    scoring = (others * 0.5 / stations.frequency_hz).max(axis=1)
    return float((training + aggregation + upload + scoring).min())


def times(seed: int, stations: Stations, link_s: float) -> np.ndarray:
    generator = np.random.default_rng(seed)
    time = generator.uniform(0.4, 1.6, (TWINS, 1)) / stations.frequency_hz
    return time + generator.exponential(1.0, time.shape) * link_s


@pytest.mark.parametrize("link_s", [0.0, 0.3], ids=["sizes", "links"])
@pytest.mark.parametrize("seed", range(6))
def test_hosts_are_near_the_best_of_all_and_the_bound_is_below_it(seed: int, link_s: float) -> None:
    stations = some_stations(seed)
    time = times(seed, stations, link_s)
    best = best_of_all(stations, time)
    found = unlike_association(stations=stations, time_s=time)
    assert found.certificate.bound <= best * (1 + 1e-9)
    assert best * (1 - 1e-9) <= found.certificate.value <= best * 1.02
    assert found.share.sum(axis=0) == pytest.approx(1.0)


@pytest.mark.parametrize("seed", range(3))
def test_the_bound_of_many_twins_is_tight(seed: int) -> None:
    stations = replace(some_stations(seed), aggregation_cycles=0.0)
    time = np.random.default_rng(seed).uniform(0.4, 1.6, (200, 1)) / stations.frequency_hz
    assert unlike_association(stations=stations, time_s=time).certificate.gap <= 1e-3
    time = time + np.random.default_rng(seed).exponential(0.3, time.shape)
    assert unlike_association(stations=stations, time_s=time).certificate.gap <= 1e-2


@pytest.mark.parametrize("seed", range(3))
def test_twins_alike_are_hosted_as_the_exact_solver_does(seed: int) -> None:
    stations = some_stations(seed)
    exact = joint_association(stations=stations, twins=TWINS, cycles=1.0).value_s
    time = np.ones((TWINS, 1)) / stations.frequency_hz
    found = unlike_association(stations=stations, time_s=time).certificate
    assert found.bound <= float(exact) * (1 + 1e-9)
    assert found.value == pytest.approx(float(exact), rel=1e-9)


def test_a_twin_stays_where_it_may_be_hosted() -> None:
    stations = some_stations(0)
    time = np.ones((TWINS, 1)) / stations.frequency_hz
    time[2, [0, 1]] = np.inf
    time[3, [1, 2]] = np.inf
    host = unlike_association(stations=stations, time_s=time).host
    assert host[[2, 3]].tolist() == [2, 0]


@pytest.mark.parametrize("seed", range(6))
def test_one_upload_per_twin_is_near_the_best_of_all_hostings(seed: int) -> None:
    stations = some_stations(seed)
    work = np.random.default_rng(seed).uniform(0.4, 1.6, TWINS)
    best = best_of_all(stations, work[:, None] / stations.frequency_hz, per_twin=True)
    found = unlike_per_twin(stations=stations, cycles=work)
    assert found.certificate.bound <= best * (1 + 1e-9)
    assert best * (1 - 1e-9) <= found.certificate.value <= best * 1.05


def test_one_upload_of_each_twin_alike_is_what_the_program_of_counts_says() -> None:
    stations = some_stations(4)
    counts = joint_per_twin_selective(stations=stations, twins=TWINS, cycles=1.0)
    found = unlike_per_twin(stations=stations, cycles=np.ones(TWINS))
    assert found.certificate.value == pytest.approx(float(counts.value_s), rel=1e-9)
    assert np.bincount(found.host, minlength=COUNT).tolist() == counts.count.tolist()


def test_the_program_of_different_twins_does_not_depend_on_their_unit() -> None:
    stations = some_stations(5)
    work = np.random.default_rng(5).uniform(0.4, 1.6, 20)
    scaled = replace(
        stations,
        frequency_hz=1e9 * stations.frequency_hz,
        verification_cycles=1e9 * stations.verification_cycles,
        aggregation_cycles=1e9 * stations.aggregation_cycles,
    )
    one = unlike_per_twin(stations=stations, cycles=work).certificate
    other = unlike_per_twin(stations=scaled, cycles=1e9 * work).certificate
    assert other.bound == pytest.approx(one.bound, rel=1e-6)


def test_malformed_twins_are_named_and_those_without_a_host_are_infeasible() -> None:
    stations = some_stations(0)
    for time, named in (
        (np.ones((4, 2)), r"time_s has the shape \(4, 2\)"),
        (-np.ones((4, 3)), "time_s is -1"),
        (np.full((4, 3), np.nan), "time_s is nan"),
    ):
        with pytest.raises(InvalidArgument, match=named):
            unlike_association(stations=stations, time_s=time)
    with pytest.raises(InvalidArgument, match=r"cycles has the shape \(2, 2\)"):
        unlike_per_twin(stations=stations, cycles=np.ones((2, 2)))
    nowhere = np.ones((4, 3))
    nowhere[1] = np.inf
    with pytest.raises(Infeasible, match="twin 1 may be hosted by no station"):
        unlike_association(stations=stations, time_s=nowhere)
    with pytest.raises(Infeasible, match="14 stations"):
        unlike_association(stations=some_stations(0, 14), time_s=np.ones((4, 14)))
