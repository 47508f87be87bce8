import pytest

from twin_runtime.physics.arguments import InvalidArgument
from twin_runtime.physics.iteration import (
    aggregation_time_s,
    iteration_time_s,
    participation_energy_j,
)


def test_only_a_scheduled_device_spends() -> None:
    energy = participation_energy_j(scheduled=[1, 0], computing_j=[0.5, 0.6], upload_j=[0.01, 0.02])
    assert energy == pytest.approx([0.51, 0.0])


def test_a_hundred_uploads_take_a_tenth_of_a_second() -> None:
    time = aggregation_time_s(
        uploads=[100, 0], size_bits=5e3, cycles_per_bit=1e4, server_frequency_hz=5e10
    )
    assert time == pytest.approx([0.1, 0.0])


def test_an_iteration_is_the_sum_of_its_stages() -> None:
    assert iteration_time_s(
        slowest_s=0.337, aggregation_s=0.0955, broadcast_s=0.01
    ) == pytest.approx(0.4425)


def test_half_a_device_is_allowed_and_two_are_not() -> None:
    with pytest.raises(InvalidArgument, match=r"scheduled is 2\.0; it must be in \[0, 1\]"):
        participation_energy_j(scheduled=2, computing_j=0, upload_j=0)
