"""Links: gain falls with distance, rate grows with power, and units scale as they must."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_runtime.physics import channel, units
from twin_runtime.physics.arguments import InvalidArgument

POWERS = st.floats(1e-15, 1e3)
RATIOS = st.floats(0, 1e6)


@given(st.floats(1e-30, 1e30))
def test_decibels_and_ratios_are_inverse(ratio: float) -> None:
    assert units.db_to_linear(units.linear_to_db(ratio)) == pytest.approx(ratio, rel=1e-12)


def test_thirty_dbm_is_a_watt_and_minus_174_dbm_per_hertz_is_thermal_noise() -> None:
    assert units.dbm_to_w(30.0) == 1.0
    assert units.dbm_to_w(-174.0) == pytest.approx(3.98107171e-21, rel=1e-9)


def test_loss_is_the_reference_and_a_slope_for_each_decade() -> None:
    gain = channel.path_gain(
        distance_m=[1000.0, 100.0, 10_000.0],
        reference_loss_db=128.1,
        slope_db=37.6,
        reference_distance_m=1000.0,
    )
    assert units.linear_to_db(gain) == pytest.approx([-128.1, -90.5, -165.7])


@given(POWERS, POWERS, POWERS)
def test_interference_counts_as_noise(signal: float, noise: float, other: float) -> None:
    ratio = channel.sinr(received_w=signal, noise_w=noise, interference_w=other)
    assert ratio == pytest.approx(channel.sinr(received_w=signal, noise_w=noise + other))


@given(RATIOS, RATIOS, st.floats(1, 1e9))
def test_rate_grows_with_the_ratio_and_is_proportional_to_bandwidth(
    one: float, other: float, bandwidth_hz: float
) -> None:
    low, high = sorted((one, other))
    rates = channel.shannon_rate_bps(bandwidth_hz=bandwidth_hz, sinr=[low, high])
    assert rates[0] <= rates[1]
    double = channel.shannon_rate_bps(bandwidth_hz=2 * bandwidth_hz, sinr=[low, high])
    assert double == pytest.approx(2 * rates)


def test_rate_keeps_its_precision_where_there_is_almost_no_signal() -> None:
    rate = channel.shannon_rate_bps(bandwidth_hz=1.0, sinr=1e-18)
    assert rate == pytest.approx(1e-18 / np.log(2), rel=1e-12)


@given(st.floats(0, 1e12), st.floats(1, 1e9), POWERS)
def test_an_upload_takes_size_over_rate_and_power_times_that(
    size: float, rate: float, power: float
) -> None:
    time = channel.upload_time_s(size_bits=size, rate_bps=rate)
    assert time == pytest.approx(size / rate)
    energy = channel.upload_energy_j(power_w=power, time_s=time)
    assert energy == pytest.approx(power * size / rate)


def test_bad_links_are_refused_by_name() -> None:
    with pytest.raises(InvalidArgument, match="distance_m is 0"):
        channel.path_gain(distance_m=0, reference_loss_db=100, slope_db=20)
    with pytest.raises(InvalidArgument, match="noise_w is 0"):
        channel.sinr(received_w=1, noise_w=0)
    with pytest.raises(InvalidArgument, match="sinr is -1"):
        channel.shannon_rate_bps(bandwidth_hz=1, sinr=-1)
    with pytest.raises(InvalidArgument, match=r"size_bits \(2,\), rate_bps \(3,\)"):
        channel.upload_time_s(size_bits=[1, 2], rate_bps=[1, 2, 3])
