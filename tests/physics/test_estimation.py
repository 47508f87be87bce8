import numpy as np
import pytest

from twin_runtime.physics.arguments import InvalidArgument
from twin_runtime.physics.estimation import (
    Estimate,
    frequency_cap_hz,
    identify_process,
    kalman_predict,
    kalman_update,
)
from twin_runtime.physics.fading import ar1_start, ar1_step

MEAN, DEVIATION, CORRELATION, NOISE = -100.0, 3.0, 0.9, 1.0


def readings(generator: np.random.Generator, slots: int) -> tuple[np.ndarray, np.ndarray]:
    """The truth `[devices, slots]` and what is read of it."""
    truth = [ar1_start(generator, (300,), mean=MEAN, deviation=DEVIATION)]
    for _ in range(slots - 1):
        step = ar1_step(
            generator, truth[-1], mean=MEAN, deviation=DEVIATION, correlation=CORRELATION
        )
        truth.append(step)
    values = np.stack(truth, axis=-1)
    return values, values + generator.normal(0.0, NOISE**0.5, values.shape)


def test_the_filter_is_as_wrong_as_its_variance_says() -> None:
    truth, seen = readings(np.random.default_rng(0), slots=100)
    estimate = Estimate(np.full(300, MEAN), np.full(300, DEVIATION**2))
    errors = []
    for slot in range(100):
        estimate = kalman_predict(estimate, mean=MEAN, deviation=DEVIATION, correlation=CORRELATION)
        estimate = kalman_update(estimate, observed=seen[:, slot], noise_variance=NOISE)
        errors.append(estimate.mean - truth[:, slot])
    late = np.stack(errors[20:])
    assert (late**2).mean() == pytest.approx(estimate.variance.mean(), rel=0.05)
    assert (late**2).mean() < NOISE


def test_an_unseen_device_falls_back_to_its_long_run_mean() -> None:
    estimate = Estimate(np.array([-90.0]), np.array([0.1]))
    for _ in range(200):
        estimate = kalman_predict(estimate, mean=MEAN, deviation=DEVIATION, correlation=CORRELATION)
        estimate = kalman_update(estimate, observed=0.0, noise_variance=NOISE, seen=[False])
    assert estimate.mean == pytest.approx([MEAN])
    assert estimate.variance == pytest.approx([DEVIATION**2])


def test_a_process_is_recovered_from_its_noisy_readings() -> None:
    _, seen = readings(np.random.default_rng(1), slots=2000)
    process = identify_process(values=seen, noise_variance=NOISE)
    assert process.mean.mean() == pytest.approx(MEAN, abs=0.1)
    assert process.deviation.mean() == pytest.approx(DEVIATION, rel=0.02)
    assert process.correlation.mean() == pytest.approx(CORRELATION, abs=0.01)


def test_a_constant_has_no_deviation_and_no_correlation() -> None:
    process = identify_process(values=[-3.0] * 5, noise_variance=0.5)
    assert np.stack(process) == pytest.approx([-3.0, 0.0, 0.0])


def test_two_readings_are_too_few_for_a_process() -> None:
    with pytest.raises(InvalidArgument, match=r"values has the shape \(2,\)"):
        identify_process(values=[1.0, 2.0])


def test_a_cap_is_the_lower_of_what_was_reported_and_what_was_reached() -> None:
    ratios = np.full((4, 25), np.nan)
    ratios[0, -20:] = 0.9
    ratios[1, -20:] = 1.0
    ratios[2, :5] = 0.1  # too long ago to count
    ratios[3, -5:] = [0.6, 0.7, 0.8, 0.9, 1.0]
    cap = frequency_cap_hz(
        reported_hz=[1.5e9, 1.2e9, 1.5e9, 1.5e9], speed_ratios=ratios, nominal_hz=1.5e9
    )
    assert cap == pytest.approx([1.35e9, 1.2e9, 1.5e9, 1.02e9])


def test_a_device_that_never_ran_is_taken_at_its_word() -> None:
    cap = frequency_cap_hz(reported_hz=1.4e9, speed_ratios=np.zeros(0), nominal_hz=1.5e9)
    assert cap == 1.4e9


def test_a_ratio_of_zero_and_a_negative_variance_are_named() -> None:
    with pytest.raises(InvalidArgument, match=r"speed_ratios is 0\.0 at \[1\]"):
        frequency_cap_hz(reported_hz=1e9, speed_ratios=[1.0, 0.0], nominal_hz=1e9)
    with pytest.raises(InvalidArgument, match=r"variance is -1\.0"):
        kalman_predict(
            Estimate(np.array(0.0), np.array(-1.0)), mean=0, deviation=1, correlation=0.5
        )
