import numpy as np
import pytest

from twin_runtime.physics.arguments import InvalidArgument
from twin_runtime.physics.fading import DIFFUSE_DEVIATION, ar1_start, ar1_step, rician_gain

SLOTS = 400


def process(generator: np.random.Generator, *, deviation: float = 3.0) -> np.ndarray:
    values = [ar1_start(generator, (500,), mean=-110, deviation=deviation)]
    for _ in range(SLOTS - 1):
        step = ar1_step(generator, values[-1], mean=-110, deviation=deviation, correlation=0.9)
        values.append(step)
    return np.stack(values)


def test_an_ar1_process_keeps_its_mean_deviation_and_correlation() -> None:
    values = process(np.random.default_rng(0)) + 110.0
    assert values.mean() == pytest.approx(0.0, abs=0.1)
    assert values.std() == pytest.approx(3.0, rel=0.02)
    lagged = (values[1:] * values[:-1]).mean() / (values**2).mean()
    assert lagged == pytest.approx(0.9, abs=0.01)


def test_an_ar1_process_without_deviation_stays_at_its_mean() -> None:
    assert (process(np.random.default_rng(0), deviation=0.0) == -110).all()


def test_a_rician_gain_is_one_on_average() -> None:
    diffuse = ar1_start(np.random.default_rng(1), (200_000, 2), mean=0, deviation=DIFFUSE_DEVIATION)
    gain = rician_gain(diffuse=diffuse, k_factor_db=6)
    assert gain.mean() == pytest.approx(1.0, rel=0.01)
    # in dB it is less: the digest's long-run mean of the Kalman filters
    assert (10 * np.log10(gain)).mean() == pytest.approx(-0.95, abs=0.03)
    assert (10 * np.log10(gain)).std() == pytest.approx(3.3, abs=0.1)


def test_without_scattering_the_line_of_sight_is_all() -> None:
    gain = rician_gain(diffuse=[[1.0, -1.0], [0.0, 2.0]], k_factor_db=200)
    assert gain == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize(
    "diffuse, message",
    [([0.1, 0.2, 0.3], r"diffuse has the shape \(3,\)"), ([np.nan, 0.0], "diffuse is nan at")],
)
def test_a_malformed_diffuse_part_is_named(diffuse: list[float], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        rician_gain(diffuse=diffuse, k_factor_db=6)


def test_a_correlation_above_one_is_named() -> None:
    with pytest.raises(InvalidArgument, match=r"correlation is 1\.2; it must be in \[0, 1\]"):
        ar1_step(np.random.default_rng(0), [0.0], mean=0, deviation=1, correlation=1.2)
