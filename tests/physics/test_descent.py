"""Convergence diagnostics, on quadratics whose constants are known: eigenvalues."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_runtime.physics.arguments import InvalidArgument
from twin_runtime.physics.convergence import (
    contraction_factor,
    descent_bound,
    gap_bound,
    smoothness,
    strong_convexity,
)
from twin_runtime.physics.estimation import cycles_per_sample
from twin_runtime.physics.federated import gradient_step

CURVATURES = np.array([0.5, 2.0, 10.0])  # of F = 1/2 sum c w^2, whose minimum is 0
MU, L = 0.5, 10.0
POINTS = st.tuples(*[st.floats(-5.0, 5.0)] * 3).map(np.array)


def loss(model: np.ndarray) -> float:
    return float(0.5 * (CURVATURES * model**2).sum())


def gradient(model: np.ndarray) -> np.ndarray:
    return np.asarray(CURVATURES * model)


@given(POINTS, st.floats(0.001, 0.3))
def test_a_step_stays_below_the_descent_bound(model: np.ndarray, rate: float) -> None:
    after = gradient_step(model=model, gradient=gradient(model), learning_rate=rate)
    bound = descent_bound(
        loss=loss(model),
        gradient_norm=np.linalg.norm(gradient(model)),
        learning_rate=rate,
        smoothness=L,
    )
    assert loss(after) <= bound + 1e-9


@given(POINTS, st.floats(0.001, 0.199))
def test_a_step_leaves_no_more_of_the_gap_than_the_factor(model: np.ndarray, rate: float) -> None:
    after = gradient_step(model=model, gradient=gradient(model), learning_rate=rate)
    factor = contraction_factor(learning_rate=rate, smoothness=L, strong_convexity=MU)
    assert 0.0 <= factor < 1.0
    assert loss(after) <= factor * loss(model) + 1e-9


@given(POINTS)
def test_no_point_is_further_above_the_minimum_than_its_gradient_says(model: np.ndarray) -> None:
    bound = gap_bound(gradient_norm=np.linalg.norm(gradient(model)), strong_convexity=MU)
    assert loss(model) <= bound + 1e-9


@given(POINTS, POINTS)
def test_two_points_show_constants_between_the_eigenvalues(u: np.ndarray, v: np.ndarray) -> None:
    if np.linalg.norm(u - v) < 1e-3:
        return
    steep = smoothness(source=u, target=v, source_gradient=gradient(u), target_gradient=gradient(v))
    bent = strong_convexity(
        source=u,
        target=v,
        source_loss=loss(u),
        target_loss=loss(v),
        target_gradient=gradient(v),
    )
    assert MU * (1 - 1e-6) <= steep <= L * (1 + 1e-6)
    assert MU * (1 - 1e-6) <= bent <= L * (1 + 1e-6)


def test_the_printed_constants_hold_at_one_learning_rate_only() -> None:
    def drop(rate: float) -> float:
        bound = descent_bound(loss=0.0, gradient_norm=1.0, learning_rate=rate, smoothness=10.0)
        return -float(bound)

    assert drop(0.1) == pytest.approx(0.05)
    assert drop(0.05) == pytest.approx(0.0375)
    best = contraction_factor(learning_rate=0.1, smoothness=10.0, strong_convexity=0.5)
    assert best == pytest.approx(1 - 0.5 / 10.0)


def test_more_curvature_up_than_is_smooth_is_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"strong_convexity is up to 3\.0, smoothness 2\.0"):
        contraction_factor(learning_rate=0.1, smoothness=2.0, strong_convexity=3.0)
    with pytest.raises(InvalidArgument, match="learning_rate is 0"):
        descent_bound(loss=1.0, gradient_norm=1.0, learning_rate=0.0, smoothness=1.0)


@given(st.floats(0.2, 5.0), st.integers(1, 4))
def test_the_cost_of_a_sample_is_learned_from_timings(time_s: float, epochs: int) -> None:
    believed = np.array(1e6)
    for _ in range(60):
        believed = cycles_per_sample(
            believed=believed, computing_s=time_s, frequency_hz=1e9, samples=500.0, epochs=epochs
        )
    assert believed == pytest.approx(time_s * 1e9 / (500 * epochs), rel=1e-6)
    with pytest.raises(InvalidArgument, match="samples is 0"):
        cycles_per_sample(believed=1.0, computing_s=1.0, frequency_hz=1.0, samples=0)
