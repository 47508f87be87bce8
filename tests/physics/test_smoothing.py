import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin_runtime.physics.arguments import InvalidArgument
from twin_runtime.physics.smoothing import smooth_max

VALUES = st.lists(st.floats(-5, 5), min_size=1, max_size=30)


@settings(max_examples=50)
@given(VALUES, st.floats(0.1, 1e4))
def test_it_lies_above_the_maximum_by_no_more_than_its_bound(
    values: list[float], sharpness: float
) -> None:
    above = smooth_max(values=values, sharpness=sharpness) - max(values)
    assert -1e-12 <= above <= np.log(len(values)) / sharpness + 1e-12


@settings(max_examples=50)
@given(VALUES, st.floats(-3, 3))
def test_it_moves_with_its_values_and_not_with_their_order(
    values: list[float], shift: float
) -> None:
    plain = smooth_max(values=values, sharpness=10.0)
    assert smooth_max(values=values[::-1], sharpness=10.0) == pytest.approx(plain)
    moved = smooth_max(values=np.array(values) + shift, sharpness=10.0)
    assert moved == pytest.approx(plain + shift)


def test_a_large_exponent_does_not_overflow() -> None:
    assert smooth_max(values=[0.9, 0.3], sharpness=1e6) == pytest.approx(0.9)


def test_the_maximum_of_nothing_is_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"values has the shape \(0,\)"):
        smooth_max(values=[], sharpness=10)
