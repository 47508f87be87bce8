"""Batch fractions against SLSQP over every twin's own, and against their closed form."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from twin_runtime.physics.arguments import InvalidArgument
from twin_runtime.physics.convergence import gradient_noise
from twin_runtime.solvers.batches import Batches, Learning, batch_fractions, local_accuracy

SEEDS = st.integers(0, 2**32 - 1)
CHI = 0.02


def fractions(
    samples: np.ndarray, speed: np.ndarray, constant: float, bounds: tuple[float, float]
) -> Batches:
    return batch_fractions(
        samples=samples,
        frequency_hz=speed,
        constant_s=constant,
        learning=Learning(cycles_per_sample=1.0, noise_scale=CHI, fraction_range=bounds),
    )


@pytest.mark.parametrize("seed", range(10))
def test_one_fraction_per_station_is_as_good_as_one_per_twin(seed: int) -> None:
    generator = np.random.default_rng(seed)
    held, host = generator.uniform(0.2, 0.8, 9), generator.permutation(np.arange(9) % 3)
    speed, constant = generator.uniform(1, 4, 3), generator.uniform(0.1, 3)
    bounds = [(0.02, 1.0), (0.1, 0.3)][seed % 2]
    loads = np.bincount(host, held)
    ours = fractions(loads, speed, constant, bounds)

    def spent(x: np.ndarray) -> np.ndarray:
        return np.bincount(host, held * x[:-1]) / speed

    def value(x: np.ndarray) -> float:
        noise = (held * (1 / x[:-1] - 1)).sum() / held.sum()
        return float((x[-1] + constant) * (1 + CHI * noise))

    start = np.append(ours.fraction[host] * 0.9 + 0.1 * bounds[1], 2.0)
    found = minimize(
        value,
        start,
        bounds=[bounds] * 9 + [(1e-6, None)],
        constraints={"type": "ineq", "fun": lambda x: x[-1] - spent(x)},
        options={"ftol": 1e-15, "maxiter": 1000},
    )
    assert ours.value_s == pytest.approx(found.fun, rel=1e-9)
    assert (loads * ours.fraction / speed).max() == pytest.approx(ours.training_s)


@given(SEEDS)
def test_within_borders_the_closed_form_holds(seed: int) -> None:
    generator = np.random.default_rng(seed)
    loads, speed = generator.uniform(1, 9, 4), generator.uniform(1, 4, 4)
    batches = fractions(loads, speed, constant := float(generator.uniform(0.05, 0.3)), (1e-9, 1.0))
    need = (loads**2 / speed).sum() / loads.sum()
    closed = (np.sqrt((1 - CHI) * constant) + np.sqrt(CHI * need)) ** 2
    assert batches.value_s == pytest.approx(closed, rel=1e-14)
    assert batches.training_s == pytest.approx(np.sqrt(constant * CHI * need / (1 - CHI)))


@given(SEEDS)
def test_no_fractions_on_a_grid_of_times_are_better(seed: int) -> None:
    generator = np.random.default_rng(seed)
    loads, speed = generator.uniform(0, 9, 4), generator.uniform(0.2, 4, 4)
    constant, bounds = generator.uniform(0, 20), (0.05, generator.uniform(0.06, 1))
    ours = fractions(loads, speed, constant, bounds)
    whole = loads / speed
    time = np.linspace(bounds[0] * whole.max(), bounds[1] * whole.max(), 500)
    each = np.clip(time[:, None] / whole, *bounds)
    noise = gradient_noise(fraction=each, samples=loads)
    assert ours.value_s <= ((time + constant) * (1 + CHI * noise)).min() * (1 + 1e-12)
    assert (ours.fraction >= bounds[0]).all()
    assert (ours.fraction <= bounds[1]).all()
    noise = gradient_noise(fraction=ours.fraction, samples=loads)
    assert ours.value_s == pytest.approx((ours.training_s + constant) * (1 + CHI * noise))


@given(SEEDS, st.floats(1e-3, 1e3))
def test_fractions_do_not_depend_on_the_unit_of_time(seed: int, scale: float) -> None:
    generator = np.random.default_rng(seed)
    loads, speed = generator.uniform(1, 9, (2, 4)), generator.uniform(1, 4, (2, 4))
    once = fractions(loads, speed, 2.0, (0.02, 1.0))
    slow = fractions(loads, speed / scale, 2.0 * scale, (0.02, 1.0))
    assert slow.fraction == pytest.approx(once.fraction)
    assert slow.value_s == pytest.approx(scale * once.value_s)
    assert fractions(loads[1], speed[1], 2.0, (0.02, 1.0)).value_s == pytest.approx(once.value_s[1])


def test_free_rounds_call_for_the_smallest_batches_and_dear_ones_for_the_largest() -> None:
    loads, speed = np.array([4.0, 0.0, 4.0]), np.array([1.0, 1.0, 1.0])
    assert fractions(loads, speed, 0.0, (0.02, 1.0)).fraction.tolist() == [0.02, 1.0, 0.02]
    assert fractions(loads, speed, 1e9, (0.02, 1.0)).fraction.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("seed", range(5))
def test_the_local_accuracy_is_the_best_of_a_grid(seed: int) -> None:
    each, rest = np.random.default_rng(seed).uniform(0.01, 10, 2)
    grid = np.arange(1e-4, 1.0, 1e-4)
    value = (each * np.log2(1 / grid) + rest) / (1 - grid)
    found = local_accuracy(iteration_s=each, constant_s=rest)
    assert found.local_accuracy == pytest.approx(grid[value.argmin()], abs=2e-4)
    assert found.value_s <= value.min()


@given(st.floats(1e-6, 1e6), st.floats(1e-6, 1e6))
def test_the_local_accuracy_solves_its_equation(each: float, rest: float) -> None:
    theta = float(local_accuracy(iteration_s=each, constant_s=rest).local_accuracy)
    left = np.expm1(-np.log(theta)) + np.log(theta)
    assert left == pytest.approx(rest * np.log(2) / each, rel=1e-4)


def test_dearer_rounds_call_for_more_local_work() -> None:
    found = local_accuracy(iteration_s=1.0, constant_s=[0.1, 1.0, 10.0, 1e6])
    assert (np.diff(found.local_accuracy) < 0).all()


def test_malformed_batches_are_named() -> None:
    with pytest.raises(InvalidArgument, match="samples has none"):
        fractions(np.zeros(2), np.ones(2), 1.0, (0.1, 1.0))
    with pytest.raises(InvalidArgument, match="frequency_hz is 0"):
        fractions(np.ones(2), np.zeros(2), 1.0, (0.1, 1.0))
    with pytest.raises(InvalidArgument, match=r"fraction_range is \(0.5, 0.1\)"):
        fractions(np.ones(2), np.ones(2), 1.0, (0.5, 0.1))
    with pytest.raises(InvalidArgument, match="constant_s is 0"):
        local_accuracy(iteration_s=1.0, constant_s=0.0)
