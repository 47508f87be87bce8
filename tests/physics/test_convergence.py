"""Rounds to a target, the noise of mini-batches, and what a loss is like."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_runtime.physics.arguments import InvalidArgument
from twin_runtime.physics.convergence import (
    contraction,
    global_rounds,
    gradient_noise,
    local_iterations,
    rounds_with_noise,
    smoothness,
    strong_convexity,
)


def test_curvature_of_a_quadratic_lies_between_its_extremes() -> None:
    generator = np.random.default_rng(0)
    bends = np.array([0.5, 2.0, 8.0])
    here, there = generator.normal(size=(2, 200, 3))
    steep = smoothness(
        source=here, target=there, source_gradient=bends * here, target_gradient=bends * there
    )
    bent = strong_convexity(
        source=here,
        target=there,
        source_loss=0.5 * (bends * here**2).sum(axis=1),
        target_loss=0.5 * (bends * there**2).sum(axis=1),
        target_gradient=bends * there,
    )
    for measured in (steep, bent):
        assert measured.min() >= 0.5 - 1e-9
        assert measured.max() <= 8.0 + 1e-9
    assert (bent <= steep + 1e-9).all()


def test_a_flat_quadratic_refutes_a_convexity_of_one() -> None:
    # the digest's counterexample to the paper's (10): F = 0.0005 w^2 has mu = 0.001, not 1
    bent = strong_convexity(
        source=[1.0], target=[0.0], source_loss=0.0005, target_loss=0.0, target_gradient=[0.0]
    )
    assert bent == pytest.approx(0.001)


def test_one_point_is_no_pair_of_points() -> None:
    with pytest.raises(InvalidArgument, match="are one point"):
        smoothness(source=[1.0], target=[1.0], source_gradient=[1.0], target_gradient=[1.0])


def test_rounds_rise_with_the_target_and_with_sloppy_training() -> None:
    assert global_rounds(local_accuracy=0.5, global_target=0.01, constant=10) == pytest.approx(
        92.10340
    )
    rounds = global_rounds(local_accuracy=[0.1, 0.5, 0.9], global_target=0.01, constant=10)
    assert (np.diff(rounds) > 0).all()
    assert global_rounds(local_accuracy=0.5, global_target=1.0, constant=10) == 0.0


def test_a_local_accuracy_of_one_is_never_enough() -> None:
    with pytest.raises(InvalidArgument, match=r"local_accuracy is 1\.0"):
        global_rounds(local_accuracy=1.0, global_target=0.01, constant=10)


def test_local_iterations_halve_the_error_each() -> None:
    assert local_iterations(local_accuracy=[1.0, 0.5, 0.25, 0.2]).tolist() == [1, 1, 2, 3]


@given(st.integers(0, 2**32 - 1))
def test_noise_vanishes_with_full_batches_and_ignores_the_order_of_twins(seed: int) -> None:
    generator = np.random.default_rng(seed)
    samples, fraction = generator.uniform(1, 900, 6), generator.uniform(0.01, 1, 6)
    assert gradient_noise(fraction=np.ones(6), samples=samples) == 0.0
    noise = gradient_noise(fraction=fraction, samples=samples)
    order = generator.permutation(6)
    assert gradient_noise(fraction=fraction[order], samples=samples[order]) == pytest.approx(noise)
    assert gradient_noise(fraction=fraction / 2, samples=samples) > noise


def test_noise_is_the_variance_of_a_gradient_drawn_without_replacement() -> None:
    generator = np.random.default_rng(7)
    samples, batch = np.array([40, 20]), np.array([10, 15])
    draws = np.zeros(20_000)
    for count, taken in zip(samples, batch, strict=True):
        gradients = generator.normal(size=count)
        gradients /= gradients.std(ddof=1)  # sigma is 1
        drawn = generator.permuted(np.tile(gradients, (len(draws), 1)), axis=1)[:, :taken]
        draws += drawn.mean(axis=1) * count / samples.sum()
    noise = gradient_noise(fraction=batch / samples, samples=samples)
    assert draws.var() == pytest.approx(noise / samples.sum(), rel=0.05)


def test_noise_of_no_samples_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="samples has none"):
        gradient_noise(fraction=[0.1, 0.1], samples=[0, 0])


def test_noise_costs_rounds_in_proportion() -> None:
    assert rounds_with_noise(rounds=100.0, noise=[0.0, 9.0], noise_scale=0.02).tolist() == [
        100.0,
        pytest.approx(118.0),
    ]


def test_rounds_of_full_gradient_steps_keep_to_the_contraction() -> None:
    """Two quadratics, curvature 1 at +1 and 10 at -1: L = 10, mu = 1 bound their mean's."""
    rate, at = 0.007, 3.0
    optimum = (1.0 - 10.0) / 11.0

    def loss(place: float) -> float:
        return 0.25 * (place - 1.0) ** 2 + 2.5 * (place + 1.0) ** 2

    begun = loss(at) - loss(optimum)
    for rounds in range(1, 50):
        at -= rate * 0.5 * ((at - 1.0) + 10.0 * (at + 1.0))
        left = contraction(rounds=rounds, learning_rate=rate, smoothness=10.0, strong_convexity=1.0)
        assert loss(at) - loss(optimum) <= left * begun


def test_many_local_steps_in_a_round_converge_elsewhere() -> None:
    at = 3.0
    for _ in range(2000):
        places = [at, at]
        for _ in range(50):
            places[0] -= 0.007 * (places[0] - 1.0)
            places[1] -= 0.007 * 10.0 * (places[1] + 1.0)
        at = float(np.mean(places))
    assert at == pytest.approx(-0.5334, abs=5e-5)


def test_a_contraction_needs_a_small_learning_rate() -> None:
    with pytest.raises(InvalidArgument, match=r"learning_rate is up to 0\.5; .* below 0\.5"):
        contraction(rounds=1, learning_rate=0.5, smoothness=4.0, strong_convexity=1.0)
