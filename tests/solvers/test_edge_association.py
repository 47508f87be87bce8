"""Joint decisions against enumeration of counts, sets and hostings."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin_runtime.physics.arguments import InvalidArgument
from twin_runtime.solvers.balance import Hosts
from twin_runtime.solvers.bandwidth import flat_shares, selective_shares
from twin_runtime.solvers.batches import Learning, batch_fractions
from twin_runtime.solvers.certificate import Infeasible
from twin_runtime.solvers.edge_association import (
    Stations,
    joint_association,
    joint_pipelined,
)
from twin_runtime.solvers.learning_association import learning_association, learning_hosts
from twin_runtime.solvers.per_twin_upload import joint_per_twin, joint_per_twin_selective

SEEDS = st.integers(0, 2**32 - 1)


def some_stations(seed: int, *lead: int, count: int = 3, channels: int = 2) -> Stations:
    generator = np.random.default_rng(seed)
    return Stations(
        frequency_hz=generator.uniform(0.5, 4.0, (*lead, count)),
        rate_bps=generator.exponential(1.0, (*lead, count, channels)) + 0.01,
        upload_bits=2.0,
        verification_cycles=float(generator.choice([0.0, 0.5, 2.0])),
        aggregation_cycles=0.1,
    )


def all_counts(twins: int, stations: int) -> np.ndarray:
    counts = np.array(list(product(range(twins + 1), repeat=stations)))
    return np.array([count for count in counts if count.sum() == twins])


def phases(stations: Stations, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Training with aggregation per station, and verification, of counts `[K, M]`; p is 1."""
    takes_part = counts > 0
    others = takes_part.sum(axis=1, keepdims=True) - takes_part
    scoring = (others * stations.verification_cycles / stations.frequency_hz).max(axis=1)
    return counts * 1.1 / stations.frequency_hz, scoring


@pytest.mark.parametrize("seed", range(8))
def test_the_joint_round_is_the_best_of_all_counts(seed: int) -> None:
    stations = some_stations(seed)
    counts = all_counts(7, 3)
    training, scoring = phases(stations, counts)
    uploads = selective_shares(demand_bits=2.0 * (counts > 0), rate_bps=stations.rate_bps)
    best = (training.max(axis=1) + uploads.finish_s + scoring).min()
    found = joint_association(stations=stations, twins=7, cycles=1.0)
    assert found.value_s == pytest.approx(best, rel=2e-11)
    assert found.certificate.gap <= 2e-11
    training, scoring = phases(stations, found.count[None])
    rate = (found.share * stations.rate_bps).sum(axis=1)
    upload = max(2.0 / rate[m] for m in range(3) if found.count[m])
    assert found.value_s == pytest.approx(training.max() + upload + scoring[0])


@pytest.mark.parametrize("seed", range(8))
def test_the_pipelined_round_is_the_best_of_all_counts(seed: int) -> None:
    stations = some_stations(seed)
    counts = all_counts(7, 3)
    training, scoring = phases(stations, counts)
    demand = np.where(counts > 0, 2.0 / stations.rate_bps.sum(axis=1), 0.0)
    best = (flat_shares(demand_s=demand, ready_s=training).finish_s + scoring).min()
    found = joint_pipelined(stations=stations, twins=7, cycles=1.0)
    assert found.value_s == pytest.approx(best, rel=1e-13)
    assert found.count.sum() == 7


@pytest.mark.parametrize("seed", range(8))
def test_the_round_of_one_upload_per_twin_is_the_best_of_all_counts(seed: int) -> None:
    stations = some_stations(seed)
    counts = all_counts(7, 3)
    training, scoring = phases(stations, counts)
    airtime = (counts * 2.0 / stations.rate_bps.sum(axis=1)).sum(axis=1)
    best = (training.max(axis=1) + airtime + scoring).min()
    found = joint_per_twin(stations=stations, twins=7, cycles=1.0)
    assert found.value_s == pytest.approx(best, rel=1e-14)


@pytest.mark.parametrize("seed", range(4))
def test_the_program_of_one_upload_per_twin_is_the_best_of_all_counts(seed: int) -> None:
    stations = some_stations(seed)
    counts = all_counts(6, 3)
    training, scoring = phases(stations, counts)
    uploads = selective_shares(demand_bits=2.0 * counts, rate_bps=stations.rate_bps)
    best = (training.max(axis=1) + uploads.finish_s + scoring).min()
    found = joint_per_twin_selective(stations=stations, twins=6, cycles=1.0)
    assert found.value_s == pytest.approx(best, rel=1e-9)
    assert found.bound_s == pytest.approx(best, rel=1e-8)
    rate = (found.share * stations.rate_bps).sum(axis=1)
    upload = max(2.0 * found.count[m] / rate[m] for m in range(3) if found.count[m])
    training, scoring = phases(stations, found.count[None])
    assert training.max() + upload + scoring[0] == pytest.approx(best)


def test_the_program_agrees_with_the_scan_on_a_flat_channel() -> None:
    stations = some_stations(3, channels=1)
    scan = joint_per_twin(stations=stations, twins=20, cycles=1.0)
    program = joint_per_twin_selective(stations=stations, twins=20, cycles=1.0)
    assert program.value_s == pytest.approx(scan.value_s, rel=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_hosts_for_learning_are_the_best_of_all_and_a_search_comes_near(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = np.random.default_rng(seed)
    samples, speed = generator.uniform(200, 800, 7), generator.uniform(1, 4, 2)
    learning = Learning(1e-3, 0.02, (0.02, 1.0))
    tried = np.array(list(product(range(2), repeat=7)))
    loads = np.stack([(tried == m) @ samples for m in range(2)], axis=1)

    def hosts_of() -> Hosts:
        return learning_hosts(
            samples=samples, frequency_hz=speed, constant_s=0.5, learning=learning
        )

    values = batch_fractions(
        samples=loads, frequency_hz=speed, constant_s=0.5, learning=learning
    ).value_s
    hosts = hosts_of()
    assert hosts.certificate.value == pytest.approx(values.min(), rel=1e-12)
    assert hosts.certificate.bound <= values.min() * (1 + 1e-12)
    monkeypatch.setattr("twin_runtime.solvers.learning_association.HOSTINGS_MAX", 0)
    assert hosts_of().certificate.value <= values.min() * 1.0002


@pytest.mark.parametrize("least", [1e-6, 0.1])
@pytest.mark.parametrize("seed", range(6))
def test_the_association_for_learning_is_near_the_best_of_all_counts(
    seed: int, least: float
) -> None:
    stations = some_stations(seed)
    counts = all_counts(7, 3)
    training, scoring = phases(stations, counts)
    uploads = selective_shares(demand_bits=2.0 * (counts > 0), rate_bps=stations.rate_bps)
    aggregation = (training / 11.0).max(axis=1)
    learning = Learning(1.0, 0.02, (least, 1.0))
    values = batch_fractions(
        samples=counts.astype(float),
        frequency_hz=stations.frequency_hz,
        constant_s=0.2 + uploads.finish_s + scoring + aggregation,
        learning=learning,
    ).value_s
    found = learning_association(
        stations=stations, twins=7, samples=1.0, constant_s=0.2, learning=learning
    )
    assert found.certificate.value == pytest.approx(values.min(), rel=1e-3)
    assert found.certificate.value >= values.min() * (1 - 1e-9)
    assert found.certificate.bound <= values.min()


@given(SEEDS)
@settings(max_examples=30)
def test_worlds_are_solved_together_as_they_are_alone(seed: int) -> None:
    stations = some_stations(seed, 3)
    for solve in (joint_association, joint_pipelined, joint_per_twin):
        together = solve(stations=stations, twins=9, cycles=1.0)
        for world in range(3):
            alone = Stations(
                stations.frequency_hz[world],
                stations.rate_bps[world],
                stations.upload_bits,
                stations.verification_cycles,
                stations.aggregation_cycles,
            )
            value = solve(stations=alone, twins=9, cycles=1.0).value_s
            assert value == pytest.approx(together.value_s[world], rel=1e-9)


@given(SEEDS)
@settings(max_examples=30)
def test_pipelining_and_faster_stations_never_make_a_round_longer(seed: int) -> None:
    stations = some_stations(seed, channels=1)
    phased = joint_association(stations=stations, twins=9, cycles=1.0).value_s
    pipelined = joint_pipelined(stations=stations, twins=9, cycles=1.0).value_s
    assert pipelined <= phased * (1 + 1e-9)
    faster = Stations(1.5 * stations.frequency_hz, stations.rate_bps, 2.0, 0.0, 0.1)
    for solve in (joint_association, joint_pipelined, joint_per_twin):
        before = solve(stations=stations, twins=9, cycles=1.0).value_s
        assert solve(stations=faster, twins=9, cycles=1.0).value_s <= before * (1 + 1e-9)


@given(SEEDS)
@settings(max_examples=30)
def test_stations_may_be_named_in_any_order(seed: int) -> None:
    stations = some_stations(seed)
    order = np.random.default_rng(seed).permutation(3)
    other = Stations(
        stations.frequency_hz[order],
        stations.rate_bps[order],
        stations.upload_bits,
        stations.verification_cycles,
        stations.aggregation_cycles,
    )
    for solve in (joint_association, joint_pipelined, joint_per_twin):
        one = solve(stations=stations, twins=9, cycles=1.0).value_s
        assert solve(stations=other, twins=9, cycles=1.0).value_s == pytest.approx(one, rel=1e-9)


def test_beyond_twelve_stations_a_round_is_near_its_bound_and_near_the_best() -> None:
    found = joint_association(stations=some_stations(0, 2, count=14), twins=60, cycles=1.0)
    assert (found.count.sum(axis=1) == 60).all()
    assert (found.value_s >= found.bound_s).all()


def test_dropping_stations_one_by_one_ends_near_the_best_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stations = some_stations(1, 20, count=5)
    best = joint_association(stations=stations, twins=30, cycles=1.0)
    monkeypatch.setattr("twin_runtime.solvers.edge_association.ENUMERATED_MAX", 4)
    dropped = joint_association(stations=stations, twins=30, cycles=1.0)
    assert (dropped.value_s >= best.value_s * (1 - 1e-9)).all()
    assert (dropped.value_s <= best.value_s * 1.1).all()
    assert (dropped.bound_s <= best.value_s * (1 + 1e-9)).all()
    demand = stations.upload_bits * (dropped.count > 0)
    shares = selective_shares(demand_bits=demand, rate_bps=stations.rate_bps)
    assert shares.finish_s == pytest.approx(
        (demand / np.maximum((dropped.share * stations.rate_bps).sum(axis=2), 1e-12)).max(axis=1)
    )


def test_malformed_stations_are_named_and_too_many_are_infeasible() -> None:
    with pytest.raises(InvalidArgument, match=r"frequency_hz \(2,\), rate_bps \(3, 1\)"):
        Stations(np.ones(2), np.ones((3, 1)), 1.0, 0.0)
    with pytest.raises(InvalidArgument, match="twins is 0"):
        joint_association(stations=some_stations(0), twins=0, cycles=1.0)
    with pytest.raises(Infeasible, match="14 stations"):
        joint_pipelined(stations=some_stations(0, count=14), twins=3, cycles=1.0)
