import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin_runtime.physics.arguments import InvalidArgument
from twin_runtime.physics.packets import delivered, packet_error_rate
from twin_runtime.physics.units import db_to_linear

RATIO = st.floats(1e-3, 1e6)


@settings(max_examples=50)
@given(RATIO, RATIO)
def test_a_better_link_loses_fewer_packets(one: float, other: float) -> None:
    low, high = sorted([one, other])
    rates = packet_error_rate(sinr=[low, high], waterfall=1.0053)
    assert 0 <= rates[1] <= rates[0] <= 1


def test_the_threshold_is_a_ratio_and_not_its_decibels() -> None:
    assert packet_error_rate(sinr=10, waterfall=db_to_linear(0.023)) == pytest.approx(
        0.0956, abs=5e-5
    )
    assert packet_error_rate(sinr=10, waterfall=0.023) == pytest.approx(0.0023, abs=5e-5)


def test_a_good_link_loses_in_proportion_to_the_threshold_over_its_sinr() -> None:
    assert packet_error_rate(sinr=1e9, waterfall=1.0) == pytest.approx(1e-9)


def test_as_many_packets_are_lost_as_the_rate_says() -> None:
    draw = np.random.default_rng(0).random(100_000)
    assert delivered(draw=draw, error_rate=0.2).mean() == pytest.approx(0.8, abs=0.005)
    assert delivered(draw=draw, error_rate=0.0).all()
    assert not delivered(draw=draw, error_rate=1.0).any()


def test_no_signal_at_all_is_no_packet() -> None:
    with pytest.raises(InvalidArgument, match=r"sinr is 0\.0; it must be finite and > 0"):
        packet_error_rate(sinr=0, waterfall=1)
    with pytest.raises(InvalidArgument, match=r"draw is 1\.5 at \[1\]; it must be in \[0, 1\]"):
        delivered(draw=[0.5, 1.5], error_rate=0.1)
