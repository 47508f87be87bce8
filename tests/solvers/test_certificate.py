"""A certificate says how far an answer may be from the best."""

import pytest

from twin_runtime.solvers.certificate import Certificate


@pytest.mark.parametrize(
    "value, bound, gap",
    [(10.0, 9.0, 0.1), (0.5, 0.25, 0.25), (-8.0, -10.0, 0.25), (3.0, 3.0, 0.0), (3.0, 3.1, 0.0)],
)
def test_the_gap_is_relative_to_the_value_or_to_one(value: float, bound: float, gap: float) -> None:
    assert Certificate(value, bound).gap == pytest.approx(gap)
