"""Fewer rows for a chart that show the same."""

import math

from hypothesis import given
from hypothesis import strategies as st

from twin_runtime.core.recorded import Position, Recorded, thinned

values = st.one_of(st.none(), st.booleans(), st.text(max_size=3), st.floats(-1e6, 1e6))


def rows_of(values: list[object], step_ms: int = 1000) -> list[Recorded]:
    return [
        Recorded(Position(1, n), n * step_ms, value, "good") for n, value in enumerate(values, 1)
    ]


def test_of_each_bucket_stay_first_smallest_largest_and_last() -> None:
    wave = [math.sin(n / 7) for n in range(1, 1001)]
    kept = thinned(rows_of(list(wave)), 40)
    assert len(kept) <= 40
    assert kept[0].observed_ms == 1000
    assert kept[-1].observed_ms == 1_000_000
    for bucket in range(10):
        part = wave[100 * bucket : 100 * (bucket + 1)]
        of_part = {
            row.value for row in kept if bucket * 100 < row.at.revision <= bucket * 100 + 100
        }
        assert of_part == {part[0], min(part), max(part), part[-1]}


@given(st.lists(values, max_size=80), st.integers(4, 40))
def test_thinned_rows_are_some_of_all_in_their_order(given: list[object], points: int) -> None:
    rows = rows_of(given)
    kept = thinned(rows, points)
    assert len(kept) <= points
    assert kept == [row for row in rows if row in kept]
    numbers = [row.value for row in rows if isinstance(row.value, float)]
    if numbers:
        assert max(numbers) in [row.value for row in kept]


def test_few_rows_stay_as_they_are() -> None:
    rows = rows_of([1.0, 2.0, 3.0])
    assert thinned(rows, 4) == rows
