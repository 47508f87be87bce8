from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from tests.solvers.access_slots import permuted, random_slot, stacked
from twin_runtime.physics.arguments import Array, InvalidArgument
from twin_runtime.physics.queues import Drift
from twin_runtime.solvers.access_frequencies import allocate, allocate_each
from twin_runtime.solvers.access_slot import Slot

WEIGHTS = (0.3, 3.0, 30.0, 300.0)
DRIFTS = tuple(Drift)


def instances(count: int, devices: int, seed: int) -> list[Slot]:
    """Each drift and each delay weight in turn."""
    generator = np.random.default_rng(seed)
    return [
        random_slot(generator, devices, DRIFTS[k % 3], WEIGHTS[k // 3 % 4]) for k in range(count)
    ]


def by_slsqp(slot: Slot) -> float:
    """The cost of the clocks that SciPy finds on the epigraph of clocks [GHz] and deadline."""

    def cost(point: Array) -> float:
        slowest = (slot.cycles / (point[:-1] * 1e9) + slot.upload_s).max()
        drifts = float(slot.objective(point[:-1] * 1e9)) - slot.delay_weight * slowest
        return float(drifts + slot.delay_weight * point[-1])

    def spare(point: Array) -> Array:
        return np.asarray(point[-1] - slot.cycles / (point[:-1] * 1e9) - slot.upload_s)

    fastest = slot.frequency_max_hz / 1e9
    start = np.append(fastest, (slot.cycles / slot.frequency_max_hz + slot.upload_s).max())
    found = minimize(
        cost,
        start,
        method="SLSQP",
        bounds=[(0.1, top) for top in fastest] + [(0.0, 10.0)],
        constraints={"type": "ineq", "fun": spare},
        options={"ftol": 1e-13, "maxiter": 400},
    )
    return float(slot.objective(found.x[:-1] * 1e9))


def test_no_general_solver_finds_better_clocks() -> None:
    excess = []
    for slot in instances(60, devices=4, seed=0):
        ours, other = allocate(slot).certificate.value, by_slsqp(slot)
        excess.append((other - ours) / max(1.0, abs(ours)))
    assert min(excess) >= -1e-13
    assert np.median(excess) <= 1e-7  # it is a fair opponent


def test_no_grid_of_clocks_is_better_where_spending_is_rewarded() -> None:
    generator = np.random.default_rng(1)
    for weight in WEIGHTS:
        slot = random_slot(generator, 2, Drift.PRINTED, weight)
        slot = replace(slot, energy_queue_j=np.array([0.0, 0.3]))
        steps = np.linspace(0, 1, 601)[:, np.newaxis]
        grids = slot.frequency_min_hz + steps * (slot.frequency_max_hz - slot.frequency_min_hz)
        first, second = np.meshgrid(grids[:, 0], grids[:, 1], indexing="ij")
        clocks = np.stack([first, second], axis=-1)
        wide = slot.take(np.tile(np.arange(2), (*first.shape, 1)))
        assert allocate(slot).certificate.value <= wide.objective(clocks).min()


def test_the_value_is_the_cost_and_its_bound_is_tight() -> None:
    for slot in instances(60, devices=100, seed=2):
        answer = allocate(slot)
        cost = slot.objective(answer.frequency_hz)
        assert answer.certificate.value == pytest.approx(cost, rel=1e-12)
        assert answer.certificate.bound <= answer.certificate.value
        assert answer.certificate.gap <= 1e-9
        assert (answer.frequency_hz >= slot.frequency_min_hz).all()
        assert (answer.frequency_hz <= slot.frequency_max_hz).all()


@pytest.mark.parametrize("drift", DRIFTS)
def test_a_heavier_delay_is_a_shorter_delay(drift: Drift) -> None:
    slot = random_slot(np.random.default_rng(3), 20, drift, 1.0)
    deadlines = [
        allocate(replace(slot, delay_weight=weight)).deadline_s
        for weight in np.geomspace(1e-3, 1e4, 40)
    ]
    assert np.all(np.diff(deadlines) <= 1e-12)
    first = (slot.cycles / slot.frequency_max_hz + slot.upload_s).max()
    assert deadlines[-1] == pytest.approx(first)


def test_where_delay_costs_nothing_all_clocks_are_lowest() -> None:
    slot = random_slot(np.random.default_rng(4), 20, Drift.EXACT, 1e-9)
    slot = replace(slot, energy_queue_j=slot.energy_queue_j + 1.0)
    answer = allocate(slot)
    assert answer.frequency_hz.min() == slot.frequency_min_hz
    assert answer.deadline_s == pytest.approx((slot.cycles / 1e8 + slot.upload_s).max())


def test_equal_uploads_have_the_deadline_in_closed_form() -> None:
    slot = random_slot(np.random.default_rng(5), 8, Drift.STANDARD, 3.0)
    slot = replace(
        slot,
        upload_s=np.full(8, 0.01),
        energy_queue_j=slot.energy_queue_j + 1.0,
        frequency_max_hz=np.full(8, 3e9),
    )
    cubes = 1e-27 * slot.energy_queue_j * slot.cycles**3
    deadline = 0.01 + (2.0 * cubes.sum() / slot.delay_weight) ** (1 / 3)
    assert allocate(slot).deadline_s == pytest.approx(deadline, rel=1e-12)


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.sampled_from(DRIFTS))
def test_the_names_of_devices_do_not_matter(seed: int, drift: Drift) -> None:
    generator = np.random.default_rng(seed)
    slot = random_slot(generator, 12, drift, 3.0)
    order = generator.permutation(12)
    one, other = allocate(slot), allocate(permuted(slot, order))
    assert other.deadline_s == pytest.approx(one.deadline_s, rel=1e-9)
    assert other.frequency_hz == pytest.approx(one.frequency_hz[order], rel=1e-9)


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3), st.sampled_from(DRIFTS))
def test_the_unit_of_time_does_not_matter(seed: int, unit: float, drift: Drift) -> None:
    slot = random_slot(np.random.default_rng(seed), 6, drift, 3.0)
    other = replace(
        slot,
        upload_s=slot.upload_s * unit,
        frequency_max_hz=slot.frequency_max_hz / unit,
        frequency_min_hz=slot.frequency_min_hz / unit,
        capacitance=slot.capacitance * unit**2,
        delay_weight=slot.delay_weight / unit,
    )
    assert allocate(other).deadline_s == pytest.approx(allocate(slot).deadline_s * unit, rel=1e-8)
    value = allocate(slot).certificate.value
    assert allocate(other).certificate.value == pytest.approx(value, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("drift", DRIFTS)
def test_many_worlds_at_once_get_the_clocks_of_each_alone(drift: Drift) -> None:
    generator = np.random.default_rng(6)
    worlds = [random_slot(generator, 30, drift, 30.0) for _ in range(5)]
    together = stacked(worlds)
    devices = np.stack([generator.permutation(30)[:10] for _ in worlds])
    scheduled = np.ones(devices.shape, dtype=bool)
    scheduled[1, 4:] = False
    frequency, deadline = allocate_each(together, devices, scheduled)
    for world, slot in enumerate(worlds):
        alone = allocate(slot.take(devices[world, scheduled[world]]))
        assert frequency[world, scheduled[world]] == pytest.approx(alone.frequency_hz, rel=1e-9)
        assert deadline[world] == pytest.approx(alone.deadline_s, rel=1e-9)
    assert (frequency[1, 4:] == 0).all()


def test_a_malformed_slot_is_named() -> None:
    slot = random_slot(np.random.default_rng(7), 3, Drift.EXACT, 3.0)
    with pytest.raises(InvalidArgument, match=r"upload_s is nan at \[1\]"):
        replace(slot, upload_s=np.array([0.1, np.nan, 0.1]))
    with pytest.raises(
        InvalidArgument, match=r"cycles is 0\.0 at \[0\]; it must be finite and > 0"
    ):
        replace(slot, cycles=np.array([0.0, 1.0, 1.0]))
    with pytest.raises(InvalidArgument, match=r"delay_weight is -3\.0"):
        replace(slot, delay_weight=-3.0)
    with pytest.raises(InvalidArgument, match=r"frequency_max_hz is 50000000\.0 at \[2\]"):
        replace(slot, frequency_max_hz=np.array([1e9, 1e9, 5e7]))
    with pytest.raises(InvalidArgument, match=r"shapes must be equal: .*rate_min \(2,\)"):
        replace(slot, rate_min=np.array([0.1, 0.1]))
    with pytest.raises(InvalidArgument, match="nothing is given"):
        slot.take(np.array([], dtype=np.int64))
