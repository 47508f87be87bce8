from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.solvers.access_slots import permuted, random_slot
from twin_runtime.physics.arguments import InvalidArgument
from twin_runtime.physics.queues import Drift
from twin_runtime.solvers.access import select, sweep
from twin_runtime.solvers.access_frequencies import allocate
from twin_runtime.solvers.access_slot import Slot, curves_of
from twin_runtime.solvers.certificate import Infeasible

WEIGHTS = (0.3, 3.0, 30.0, 300.0)
DRIFTS = tuple(Drift)
SEED = st.integers(0, 2**32 - 1)


def small(number: int) -> tuple[Slot, int]:
    """One of many instances that can be enumerated: 6 to 9 devices, of which 2 to 4."""
    generator = np.random.default_rng(number)
    devices, count = 6 + number % 4, 2 + number // 4 % 3
    slot = random_slot(generator, devices, DRIFTS[number % 3], WEIGHTS[number // 3 % 4])
    return slot, count


def enumerated(slot: Slot, count: int) -> float:
    """The least cost of any set at its best clocks."""
    sets = combinations(range(slot.cycles.size), count)
    return min(allocate(slot.take(np.array(devices))).certificate.value for devices in sets)


def test_no_set_of_devices_is_better_than_the_selected_one() -> None:
    for number in range(60):
        slot, count = small(number)
        best = enumerated(slot, count)
        chosen = select(slot, count)
        assert chosen.certificate.value == pytest.approx(best, rel=1e-14, abs=1e-14)
        assert chosen.certificate.bound <= best + 1e-14
        assert chosen.certificate.gap <= 1e-9


def test_a_fine_sweep_finds_the_best_set_of_a_few() -> None:
    for number in range(60, 120):
        slot, count = small(number)
        swept = sweep(slot, count, deadlines=256)
        assert swept.certificate.value == pytest.approx(
            enumerated(slot, count), rel=1e-14, abs=1e-14
        )
        assert swept.certificate.bound <= swept.certificate.value


def test_no_set_and_grid_of_clocks_is_better() -> None:
    for number in range(6):
        generator = np.random.default_rng(1000 + number)
        slot = random_slot(generator, 6, DRIFTS[number % 3], WEIGHTS[number % 4])
        grid = np.array(list(product(np.linspace(0, 1, 41), repeat=2)))
        least = np.inf
        for pair in combinations(range(6), 2):
            some = slot.take(np.array(pair))
            clocks = some.frequency_min_hz + grid * (some.frequency_max_hz - some.frequency_min_hz)
            wide = some.take(np.tile(np.arange(2), (len(grid), 1)))
            least = min(least, wide.objective(clocks).min())
        assert select(slot, 2).certificate.value <= least


@pytest.mark.parametrize("drift", DRIFTS)
@pytest.mark.parametrize("delay_weight", WEIGHTS)
def test_a_thousand_devices_are_certified_and_no_swap_helps(
    drift: Drift, delay_weight: float
) -> None:
    generator = np.random.default_rng(int(delay_weight * 10))
    slot = random_slot(generator, 1000, drift, delay_weight)
    chosen = select(slot, 100)
    assert chosen.certificate.gap <= 1e-9
    cost = slot.take(chosen.devices).objective(chosen.frequency_hz)
    assert chosen.certificate.value == pytest.approx(cost, rel=1e-11)
    others = np.setdiff1d(np.arange(1000), chosen.devices)
    for _ in range(15):
        swapped = chosen.devices.copy()
        swapped[generator.integers(100)] = generator.choice(others)
        swapped_value = allocate(slot.take(swapped)).certificate.value
        assert swapped_value >= chosen.certificate.bound


def test_a_sweep_of_a_thousand_devices_loses_milliseconds() -> None:
    generator = np.random.default_rng(11)
    for drift, deadlines, excess_s in product(DRIFTS, (64, 256), (0.008,)):
        slot = random_slot(generator, 1000, drift, 60.0)
        lost = sweep(slot, 100, deadlines).certificate.value - select(slot, 100).certificate.value
        assert -1e-9 <= lost / slot.delay_weight <= excess_s


def test_all_devices_are_selected_when_all_are_needed() -> None:
    slot = random_slot(np.random.default_rng(12), 7, Drift.EXACT, 3.0)
    assert select(slot, 7).devices.tolist() == list(range(7))
    assert select(slot, 7).certificate.value == pytest.approx(allocate(slot).certificate.value)
    assert sweep(slot, 7).certificate.value == pytest.approx(allocate(slot).certificate.value)


@settings(max_examples=20)
@given(SEED, st.sampled_from(DRIFTS))
def test_the_names_of_devices_do_not_matter(seed: int, drift: Drift) -> None:
    generator = np.random.default_rng(seed)
    slot = random_slot(generator, 25, drift, 3.0)
    order = generator.permutation(25)
    one, other = select(slot, 6), select(permuted(slot, order), 6)
    tolerance = 2e-9 * max(1.0, abs(one.certificate.value))
    assert other.certificate.value == pytest.approx(one.certificate.value, abs=tolerance)


@settings(max_examples=20)
@given(SEED, st.sampled_from(DRIFTS))
def test_one_more_device_to_choose_from_never_costs_more(seed: int, drift: Drift) -> None:
    slot = random_slot(np.random.default_rng(seed), 25, drift, 30.0)
    fewer = select(slot.take(np.arange(24)), 6).certificate
    more = select(slot, 6).certificate
    assert more.bound <= fewer.value
    assert more.value <= fewer.value + 1e-9 * max(1.0, abs(fewer.value))


@settings(max_examples=20)
@given(SEED)
def test_a_device_that_is_owed_much_is_scheduled(seed: int) -> None:
    slot = random_slot(np.random.default_rng(seed), 25, Drift.EXACT, 3.0)
    owed = slot.priority_queue.copy()
    owed[7] = 1e3
    assert 7 in select(replace(slot, priority_queue=owed), 6).devices


@settings(max_examples=30)
@given(SEED, st.sampled_from(DRIFTS))
def test_a_drift_never_rises_with_the_deadline_and_is_convex(seed: int, drift: Drift) -> None:
    curves = curves_of(random_slot(np.random.default_rng(seed), 10, drift, 3.0))
    last = curves.latest_s.max()
    deadlines = np.linspace(curves.earliest_s, last, 200)
    drifts = curves.at(deadlines)
    slopes = np.diff(drifts, axis=0) / np.maximum(np.diff(deadlines, axis=0), 1e-12)
    assert (slopes <= 1e-9).all()
    assert (np.diff(slopes, axis=0) >= -1e-6).all()


def test_an_infeasible_count_is_told_apart_from_a_malformed_one() -> None:
    slot = random_slot(np.random.default_rng(13), 5, Drift.EXACT, 3.0)
    for solve in (select, sweep):
        with pytest.raises(Infeasible, match="6 devices are to be scheduled of 5"):
            solve(slot, 6)
        with pytest.raises(InvalidArgument, match="count is 0; it must be at least 1"):
            solve(slot, 0)
    with pytest.raises(InvalidArgument, match="deadlines is 1; it must be at least 2"):
        sweep(slot, 2, deadlines=1)
    assert sweep(slot, 2, deadlines=2).devices.size == 2
    two_worlds = slot.take(np.array([[0, 1], [2, 3]]))
    with pytest.raises(InvalidArgument, match=r"slot has the shape \(2, 2\)"):
        select(two_worlds, 1)
