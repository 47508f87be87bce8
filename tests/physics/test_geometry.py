"""Places and distances: symmetric, inside their bounds, and uniform by area."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_runtime.physics import geometry
from twin_runtime.physics.arguments import InvalidArgument

PLACES = st.tuples(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4))


def test_a_triangle_of_three_and_four_has_five_and_seven() -> None:
    source, target = [0.0, 0.0], [3.0, -4.0]
    assert geometry.distance_m(source_m=source, target_m=target) == 5
    assert geometry.manhattan_distance_m(source_m=source, target_m=target) == 7


@given(PLACES, PLACES)
def test_distances_are_symmetric_and_straight_is_shortest(
    one: tuple[float, float], other: tuple[float, float]
) -> None:
    straight = geometry.distance_m(source_m=one, target_m=other)
    assert straight == geometry.distance_m(source_m=other, target_m=one)
    along = geometry.manhattan_distance_m(source_m=one, target_m=other)
    assert straight <= along * (1 + 1e-12)
    assert along <= np.sqrt(2) * straight * (1 + 1e-12)


def test_a_disc_is_filled_by_area_and_its_hole_is_left_out() -> None:
    places = geometry.uniform_in_disc(np.random.default_rng(1), (4, 5000), radius_m=500, hole_m=100)
    assert places.shape == (4, 5000, 2)
    radius = np.hypot(places[..., 0], places[..., 1])
    assert radius.min() >= 100
    assert radius.max() <= 500
    inner = (radius < 300).mean()
    assert inner == pytest.approx((300**2 - 100**2) / (500**2 - 100**2), abs=0.01)


def test_a_square_is_filled_from_its_corner() -> None:
    places = geometry.uniform_in_square(np.random.default_rng(1), (3000,), side_m=120)
    assert places.min() >= 0
    assert places.max() <= 120
    assert places.mean(axis=0) == pytest.approx([60, 60], abs=3)


def test_a_hole_as_wide_as_its_disc_is_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"hole_m is 5; it must be in \[0, 5\)"):
        geometry.uniform_in_disc(np.random.default_rng(1), (1,), radius_m=5, hole_m=5)
    with pytest.raises(InvalidArgument, match="side_m is -1"):
        geometry.uniform_in_square(np.random.default_rng(1), (1,), side_m=-1)
