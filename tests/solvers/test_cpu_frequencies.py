from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize, minimize_scalar

from twin_runtime.physics.arguments import InvalidArgument
from twin_runtime.solvers.certificate import Infeasible
from twin_runtime.solvers.cpu_frequencies import (
    BOTTLENECK,
    IN_TIME,
    SLOWEST,
    Clocks,
    clock_groups,
    clocks,
    clocks_with_uploads,
    energy_capped_frequency_hz,
)

Array = npt.NDArray[np.float64]
CAPACITANCE = 1e-27
SEEDS = st.integers(0, 10**6)


class Instance:
    """Random users, as broad as the digest's: 1 to 59 of them, prices over four decades."""

    def __init__(self, seed: int, users: int | None = None) -> None:
        generator = np.random.default_rng(seed)
        n = users or int(generator.integers(1, 60))
        self.cycles = generator.uniform(1e8, 2e9, n)
        self.slowest = generator.uniform(1e8, 4e8, n)
        self.fastest = self.slowest * generator.uniform(1.0, 8.0, n)
        self.price_w = float(10 ** generator.uniform(-2.0, 2.0))
        self.wait_s = generator.uniform(0.0, 2.0, n)

    def solve(self, wait_s: Array | None = None) -> Clocks:
        own: dict[str, Any] = {
            "cycles": self.cycles,
            "frequency_min_hz": self.slowest,
            "frequency_max_hz": self.fastest,
            "capacitance": CAPACITANCE,
            "time_price_w": self.price_w,
        }
        return clocks(**own) if wait_s is None else clocks_with_uploads(**own, upload_s=wait_s)

    def cost(self, deadline_s: float, wait_s: Array | float = 0.0) -> float:
        clock = np.clip(self.cycles / (deadline_s - wait_s), self.slowest, self.fastest)
        return float(self.price_w * deadline_s + (CAPACITANCE * self.cycles * clock**2).sum())

    def by_scipy(self, wait_s: Array | float = 0.0) -> float:
        low = float((self.cycles / self.fastest + wait_s).max())
        high = float((self.cycles / self.slowest + wait_s).max())
        ends = min(self.cost(low, wait_s), self.cost(max(low, high), wait_s))
        if high <= low:
            return ends
        inner = minimize_scalar(
            self.cost,
            bounds=(low, high),
            args=(wait_s,),
            method="bounded",
            options={"xatol": 1e-12},
        )
        return min(ends, float(inner.fun))


@given(SEEDS)
def test_no_search_finds_cheaper_clocks_and_the_bound_proves_it(seed: int) -> None:
    instance = Instance(seed)
    for wait_s in (None, instance.wait_s):
        found = instance.solve(wait_s)
        value = found.certificate.value
        assert value <= instance.by_scipy(0.0 if wait_s is None else wait_s) * (1 + 1e-14)
        assert value - found.certificate.bound <= 1e-14 * value


def test_five_hundred_instances_match_scipy_to_rounding() -> None:
    excess = [
        instance.solve(wait).certificate.value / instance.by_scipy(0.0 if wait is None else wait)
        for instance in map(Instance, range(250))
        for wait in (None, instance.wait_s)
    ]
    assert max(excess) - 1.0 <= 4.5e-16


def test_a_general_solver_of_all_variables_finds_the_same_cost() -> None:
    for seed in range(8):
        instance = Instance(seed, users=4)
        found = instance.solve(instance.wait_s)
        scale = np.append(instance.fastest, found.deadline_s)
        low = (instance.cycles / instance.fastest + instance.wait_s).max()

        def cost(x: Array, of: Instance = instance, by: Array = scale) -> float:
            clock = (x * by)[:-1]
            energy = (CAPACITANCE * of.cycles * clock**2).sum()
            return float(energy + of.price_w * (x * by)[-1])

        def spare_s(x: Array, of: Instance = instance, by: Array = scale) -> Array:
            return np.asarray((x * by)[-1] - of.cycles / (x * by)[:-1] - of.wait_s)

        bounds = [*zip(instance.slowest / instance.fastest, np.ones(4), strict=True), (0, None)]
        start = np.append(np.ones(4), 1.01 * low / found.deadline_s)
        general = minimize(
            cost,
            start,
            method="SLSQP",
            bounds=bounds,
            constraints=[{"type": "ineq", "fun": spare_s}],
            options={"ftol": 1e-15, "maxiter": 500},
        )
        assert found.certificate.value == pytest.approx(general.fun, rel=1e-7)


@given(SEEDS)
def test_clocks_are_in_time_and_within_their_limits(seed: int) -> None:
    instance = Instance(seed)
    found = instance.solve(instance.wait_s)
    done = instance.cycles / found.frequency_hz + instance.wait_s
    assert done.max() <= found.deadline_s * (1 + 1e-12)
    assert (found.frequency_hz >= instance.slowest).all()
    assert (found.frequency_hz <= instance.fastest).all()


@given(SEEDS)
def test_the_closed_form_is_the_joint_step_without_uploads(seed: int) -> None:
    instance = Instance(seed)
    still = instance.solve(np.zeros_like(instance.cycles))
    assert instance.solve().deadline_s == pytest.approx(still.deadline_s, rel=1e-9)
    assert instance.solve().frequency_hz == pytest.approx(still.frequency_hz, rel=1e-9)


@given(SEEDS)
def test_dearer_time_never_makes_a_round_longer(seed: int) -> None:
    instance = Instance(seed)
    before = instance.solve().deadline_s
    instance.price_w *= 3.0
    assert instance.solve().deadline_s <= before * (1 + 1e-12)


@given(SEEDS)
def test_users_in_another_order_get_the_same_clocks(seed: int) -> None:
    instance = Instance(seed)
    before = instance.solve().frequency_hz
    order = np.random.default_rng(seed).permutation(before.size)
    for name in ("cycles", "slowest", "fastest"):
        setattr(instance, name, getattr(instance, name)[order])
    assert instance.solve().frequency_hz == pytest.approx(before[order], rel=1e-12)


@given(SEEDS)
def test_many_worlds_at_once_are_each_world_alone(seed: int) -> None:
    worlds = [Instance(seed + each, users=7) for each in range(3)]
    together = clocks_with_uploads(
        cycles=[world.cycles for world in worlds],
        frequency_min_hz=[world.slowest for world in worlds],
        frequency_max_hz=[world.fastest for world in worlds],
        capacitance=CAPACITANCE,
        time_price_w=[world.price_w for world in worlds],
        upload_s=[world.wait_s for world in worlds],
    )
    for row, world in enumerate(worlds):
        alone = world.solve(world.wait_s)
        assert together.frequency_hz[row] == pytest.approx(alone.frequency_hz)
        assert together.deadline_s[row] == pytest.approx(alone.deadline_s)


def test_a_user_that_takes_no_part_changes_nothing() -> None:
    instance = Instance(5, users=6)
    before = instance.solve(instance.wait_s)
    for name, value in (("cycles", 0.0), ("slowest", 1e8), ("fastest", 2e8), ("wait_s", 0.0)):
        setattr(instance, name, np.append(getattr(instance, name), value))
    after = instance.solve(instance.wait_s)
    assert after.deadline_s == before.deadline_s
    assert after.certificate.value == pytest.approx(before.certificate.value, rel=1e-14)
    assert after.frequency_hz[-1] == 1e8


def test_groups_tell_who_waits_and_who_is_waited_for() -> None:
    groups = clock_groups(
        frequency_hz=[9e8, 2e8, 5e8], frequency_min_hz=2e8, frequency_max_hz=[9e8, 9e8, 9e8]
    )
    assert groups.tolist() == [BOTTLENECK, SLOWEST, IN_TIME]


@given(st.floats(1e7, 1e10), st.floats(0.0, 1.9))
def test_a_capped_clock_spends_no_more_than_is_left(cycles: float, upload_j: float) -> None:
    clock = energy_capped_frequency_hz(
        cycles=cycles,
        frequency_max_hz=2e9,
        capacitance=CAPACITANCE,
        energy_max_j=2.0,
        upload_energy_j=upload_j,
    )
    assert CAPACITANCE * cycles * clock**2 + upload_j <= 2.0 * (1 + 1e-12)
    assert 0 < clock <= 2e9


def test_what_cannot_be_done_is_told_from_what_makes_no_sense() -> None:
    users: dict[str, Any] = {
        "cycles": [1e9, 1e9],
        "frequency_max_hz": [1e9, 1e8],
        "capacitance": CAPACITANCE,
    }
    with pytest.raises(Infeasible, match=r"user \[1\] must run at 2e\+08 Hz or more"):
        clocks(**users, frequency_min_hz=2e8, time_price_w=1.0)
    with pytest.raises(InvalidArgument, match="time_price_w is -1"):
        clocks(**users, frequency_min_hz=1e7, time_price_w=-1.0)
    with pytest.raises(InvalidArgument, match=r"cycles \(2,\).*frequency_min_hz \(3,\)"):
        clocks(**users, frequency_min_hz=[1e7] * 3, time_price_w=1.0)
    with pytest.raises(Infeasible, match="an upload takes up to 3 J, the limit is 2 J"):
        energy_capped_frequency_hz(
            cycles=1e9,
            frequency_max_hz=1e9,
            capacitance=CAPACITANCE,
            energy_max_j=2.0,
            upload_energy_j=3.0,
        )
