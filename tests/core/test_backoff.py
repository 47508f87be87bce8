"""The delay before an attempt: it grows, it is capped, and it is spread out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_runtime.core.backoff import backoff_s


def test_it_doubles_up_to_its_cap() -> None:
    fulls = [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    for attempt, full_s in enumerate(fulls):
        assert full_s / 2 <= backoff_s("a", attempt, 0.1, 1.0) <= full_s


@given(st.text(), st.integers(0, 10**9))
def test_any_number_of_attempts_stays_within_the_cap(who: str, attempt: int) -> None:
    assert 0.05 <= backoff_s(who, attempt, 0.1, 5.0) <= 5.0


def test_a_fleet_spreads_over_half_of_the_delay() -> None:
    delays = [backoff_s(f"d-{number}", 3, 1.0, 8.0) for number in range(1_000)]
    for quarter in range(4):
        share = sum(4.0 + quarter <= each < 5.0 + quarter for each in delays)
        assert share == pytest.approx(250, abs=60)
    assert delays == [backoff_s(f"d-{number}", 3, 1.0, 8.0) for number in range(1_000)]
