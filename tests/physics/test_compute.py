"""Work, its time and its energy: faster is dearer, by the square of the clock."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_runtime.physics import compute
from twin_runtime.physics.arguments import InvalidArgument

CYCLES = st.floats(0, 1e12)
CLOCKS = st.floats(1e6, 1e10)


def test_work_is_samples_by_cycles_by_epochs() -> None:
    assert compute.training_cycles(samples=600, cycles_per_sample=1e6, epochs=2) == 1.2e9
    assert compute.training_cycles(samples=[1, 2], cycles_per_sample=10).tolist() == [10, 20]


@given(CYCLES, CLOCKS, st.floats(1, 10))
def test_a_faster_clock_saves_time_and_costs_its_square(
    cycles: float, clock: float, factor: float
) -> None:
    slow = compute.computing_time_s(cycles=cycles, frequency_hz=clock)
    fast = compute.computing_time_s(cycles=cycles, frequency_hz=factor * clock)
    assert slow == pytest.approx(factor * fast)
    least = compute.computing_energy_j(cycles=cycles, frequency_hz=clock, capacitance=1e-27)
    most = compute.computing_energy_j(cycles=cycles, frequency_hz=factor * clock, capacitance=1e-27)
    assert most == pytest.approx(factor**2 * least)


def test_bad_work_is_refused_by_name() -> None:
    with pytest.raises(InvalidArgument, match="samples is -1"):
        compute.training_cycles(samples=-1, cycles_per_sample=1)
    with pytest.raises(InvalidArgument, match="frequency_hz is 0"):
        compute.computing_time_s(cycles=1, frequency_hz=0)
    with pytest.raises(InvalidArgument, match="capacitance is nan"):
        compute.computing_energy_j(cycles=1, frequency_hz=1, capacitance=float("nan"))
