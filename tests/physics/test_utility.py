import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_runtime.physics.arguments import InvalidArgument
from twin_runtime.physics.utility import (
    AccuracyFit,
    data_quality,
    data_utility,
    data_utility_curvature,
    data_utility_slope,
    label_distance,
)

SAMPLES = st.floats(1.0, 5000.0)
PHI = st.floats(0.0, 1.5)


@given(SAMPLES, SAMPLES, PHI)
def test_more_data_are_never_less_useful(first: float, second: float, phi: float) -> None:
    few, many = sorted((first, second))
    assert data_utility(samples=few, label_distance=phi) <= data_utility(
        samples=many, label_distance=phi
    )


@given(st.floats(20.0, 4000.0), st.floats(0.0, 0.6))
def test_slope_and_curvature_are_the_derivatives(samples: float, phi: float) -> None:
    step = 1e-3 * samples
    left, right = (
        data_utility(samples=samples + side * step, label_distance=phi) for side in (-1, 1)
    )
    middle = data_utility(samples=samples, label_distance=phi)
    slope = data_utility_slope(samples=samples, label_distance=phi)
    curvature = data_utility_curvature(samples=samples, label_distance=phi)
    assert abs((right - left) / (2 * step) - slope) <= 2e-5 * slope + 1e-12
    assert abs((right - 2 * middle + left) / step**2 - curvature) <= 1e-4 * abs(curvature) + 1e-11
    assert slope > 0 > curvature


@given(PHI)
def test_very_many_samples_lead_to_the_quality(phi: float) -> None:
    many = data_utility(samples=1e12, label_distance=phi)
    assert np.isclose(many, data_quality(label_distance=phi), rtol=0, atol=1e-3)


def test_counting_bits_instead_of_samples_makes_the_utility_flat() -> None:
    bits = data_utility(samples=784 * np.array([200.0, 2000.0]), label_distance=0)
    samples = data_utility(samples=[200.0, 2000.0], label_distance=0)
    assert np.ptp(bits) < 1e-6
    np.testing.assert_allclose(samples, [0.5837, 0.9162], atol=5e-5)


@given(st.lists(st.floats(0.01, 1.0), min_size=2, max_size=8), st.randoms())
def test_label_distance_is_symmetric_bounded_and_heeds_no_order(
    weights: list[float], order: object
) -> None:
    shares = np.array(weights) / np.sum(weights)
    turned = shares[::-1]
    distance = label_distance(shares=shares, reference_shares=turned)
    assert 0 <= distance <= 2
    assert distance == label_distance(shares=turned, reference_shares=shares)
    assert label_distance(shares=shares, reference_shares=shares) == 0


def test_distributions_without_a_common_label_are_two_apart() -> None:
    assert label_distance(shares=[1.0, 0.0], reference_shares=[0.0, 1.0]) == 2.0


def test_bad_arguments_are_named() -> None:
    with pytest.raises(InvalidArgument, match=r"samples is -1\.0"):
        data_utility(samples=-1, label_distance=0)
    with pytest.raises(InvalidArgument, match=r"label_distance is 2\.5"):
        data_utility(samples=1, label_distance=2.5)
    with pytest.raises(InvalidArgument, match=r"samples is 0\.0; it must be finite and > 0"):
        data_utility_slope(samples=0, label_distance=0)
    with pytest.raises(InvalidArgument, match=r"shares is .*; each row must add up to 1"):
        label_distance(shares=[0.5, 0.4], reference_shares=[0.5, 0.5])
    with pytest.raises(InvalidArgument, match="peak is 1"):
        AccuracyFit(peak=1.0)
