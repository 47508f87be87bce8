import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, special

from twin_runtime.physics import short_packets
from twin_runtime.physics.arguments import InvalidArgument

NOISE_W_HZ = 3.98107171e-19
BAND = {"bandwidth_hz": 1e7, "slot_s": 1e-4}


@given(error=st.floats(1e-9, 0.4), rate_bps=st.floats(1e5, 1e8))
def test_the_sinr_for_a_rate_gives_that_rate(error: float, rate_bps: float) -> None:
    needed = short_packets.short_packet_sinr(rate_bps=rate_bps, error_probability=error, **BAND)
    rate = short_packets.short_packet_rate_bps(sinr=needed, error_probability=error, **BAND)
    assert rate == pytest.approx(rate_bps, rel=1e-9)


@given(sinr=st.floats(0.01, 1e4), error=st.floats(1e-9, 0.4))
def test_a_short_packet_carries_less_than_capacity_and_more_when_longer(
    sinr: float, error: float
) -> None:
    rates = [
        short_packets.short_packet_rate_bps(
            sinr=sinr, bandwidth_hz=1e7, slot_s=slot, error_probability=error
        )
        for slot in (1e-5, 1e-4, 1e-1)
    ]
    capacity = 1e7 * np.log2(1.0 + sinr)
    assert rates[0] < rates[1] < rates[2] < capacity


def test_an_even_chance_of_error_costs_no_rate() -> None:
    rate = short_packets.short_packet_rate_bps(sinr=3.0, error_probability=0.5, **BAND)
    assert rate == pytest.approx(2e7)


def test_a_margin_leaves_the_outage_it_was_made_for() -> None:
    margin = short_packets.fading_margin(outage_probability=1e-3, branches=np.array([1, 2, 4]))
    np.testing.assert_allclose(special.gammainc([1, 2, 4], 1.0 / margin), 1e-3, rtol=1e-9)
    assert (np.diff(margin) < 0).all()


def test_a_share_of_punctured_slots_stays_below_one() -> None:
    share = short_packets.punctured_share(packet_probability=0.5, active=[0, 1, 10])
    np.testing.assert_allclose(share, [0.0, 0.5, 0.999])


@given(time_s=st.floats(0.05, 5.0), senders=st.integers(1, 40), punctured=st.floats(0.0, 0.9))
def test_the_received_power_for_a_time_gives_that_time(
    time_s: float, senders: int, punctured: float
) -> None:
    channel = {
        "noise_w_hz": NOISE_W_HZ,
        "bandwidth_hz": 1e7,
        "senders": senders,
        "punctured": punctured,
    }
    power = short_packets.received_power_w(time_s=time_s, set_bits=1e6, **channel)
    rate = short_packets.punctured_rate_bps(received_w=power, **channel)
    time = short_packets.collection_time_s(
        embb=senders, urllc=0, set_bits=1e6, rate_bps=rate, window_s=1.0
    )
    assert time == pytest.approx(time_s, rel=1e-9)


def test_power_for_half_a_second_is_what_the_digest_says() -> None:
    power = short_packets.received_power_w(
        time_s=0.5,
        set_bits=1e6,
        noise_w_hz=NOISE_W_HZ,
        bandwidth_hz=1e7,
        senders=[20, 40, 40],
        punctured=[0.0, 0.0, 0.04],
    )
    np.testing.assert_allclose(power, [2.986e-12, 2.538e-11, 3.200e-11], rtol=5e-4)


def test_packets_alone_take_the_whole_window_and_nothing_takes_no_time() -> None:
    time = short_packets.collection_time_s(
        embb=[2, 0, 0], urllc=[3, 3, 0], set_bits=1e6, rate_bps=4e6, window_s=1.0
    )
    np.testing.assert_allclose(time, [0.25, 1.0, 0.0])


def test_active_senders_need_a_rate() -> None:
    with pytest.raises(InvalidArgument, match="rate_bps is 0"):
        short_packets.collection_time_s(embb=1, urllc=0, set_bits=1.0, rate_bps=0.0, window_s=1.0)


def test_a_fade_too_deep_is_not_inverted() -> None:
    power = short_packets.inversion_power_w(
        received_w=1e-11, gain=1e-9, fading=[0.0, 1e-4, 0.5, 2.0], outage_probability=1e-3
    )
    np.testing.assert_allclose(power, [0.0, 0.0, 0.02, 0.005])


def test_the_factors_are_the_moments_of_inverted_fading() -> None:
    deepest = -np.log1p(-0.01)
    mean, square = short_packets.inversion_power_factors(outage_probability=0.01)
    for power, factor in ((1, mean), (2, square)):
        moment, _ = integrate.quad(lambda h, n=power: np.exp(-h) / h**n, deepest, np.inf, limit=200)
        assert factor == pytest.approx(moment, rel=1e-6)


def test_bad_arguments_of_short_packets_are_named() -> None:
    with pytest.raises(InvalidArgument, match=r"error_probability is 0\.7"):
        short_packets.short_packet_rate_bps(sinr=1.0, error_probability=0.7, **BAND)
    with pytest.raises(InvalidArgument, match=r"packet_probability is 1\.5"):
        short_packets.punctured_share(packet_probability=1.5, active=1)
    with pytest.raises(InvalidArgument, match=r"senders is 0\.5"):
        short_packets.punctured_rate_bps(
            received_w=1e-11, noise_w_hz=NOISE_W_HZ, bandwidth_hz=1e7, senders=0.5, punctured=0.0
        )
    with pytest.raises(InvalidArgument, match="gain is -1"):
        short_packets.short_packet_power_w(noise_w=1e-12, sinr=1.0, margin=1.0, gain=-1.0)
    with pytest.raises(InvalidArgument, match="outage_probability is 0"):
        short_packets.inversion_power_factors(outage_probability=0.0)
