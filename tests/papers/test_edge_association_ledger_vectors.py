"""The numbers of section 9 of the digest of [P4], to the digits given there."""

import numpy as np
import pytest

from twin_runtime.physics.channel import path_gain, shannon_rate_bps, sinr
from twin_runtime.physics.consensus import stakes
from twin_runtime.physics.convergence import global_rounds, gradient_noise, rounds_with_noise
from twin_runtime.physics.federated import weighted_mean
from twin_runtime.physics.geometry import distance_m
from twin_runtime.physics.network_size import image_classifier
from twin_runtime.physics.units import dbm_to_w

POSITIONS_M = [(500, 800), (850, 600), (700, 200), (200, 250), (150, 700)]


def approx(expected: object) -> object:
    return pytest.approx(expected, rel=5e-7)


def rate_bps(power_dbm: float) -> np.ndarray:
    """Of one of 5 sub-channels of 30 MHz, without fading, to the cloud in the middle."""
    distance = distance_m(source_m=POSITIONS_M, target_m=(500, 500))
    gain = path_gain(distance_m=distance, reference_loss_db=40.0, slope_db=30.0)
    noise_w = dbm_to_w(-174.0) * 30e6
    ratio = sinr(received_w=dbm_to_w(power_dbm) / 5 * gain, noise_w=noise_w)
    return shannon_rate_bps(bandwidth_hz=30e6, sinr=ratio)


def test_v1_the_cnn_has_this_many_parameters_and_multiplications() -> None:
    assert image_classifier(padding="same")[:2] == (2156490, 17667072)
    assert image_classifier(padding="valid")[:2] == (878538, 7825920)
    assert image_classifier(padding="same").size_bits == 69007680
    assert image_classifier(padding="valid").size_bits == 28113216


def test_v2_aggregates_are_weighted_by_samples_on_both_levels() -> None:
    models = np.array([[1.0, 2], [3, 4], [5, 6], [7, 10]])
    samples = np.array([500.0, 300, 150, 50])
    first = weighted_mean(values=models[:3], weights=samples[:3], fallback=0.0)
    second = weighted_mean(values=models[3:], weights=samples[3:], fallback=0.0)
    assert first == approx([2.263158, 3.263158])
    assert second.tolist() == [7, 10]
    merged = weighted_mean(values=[first, second], weights=[950.0, 50.0], fallback=0.0)
    assert merged == approx([2.5, 3.6])
    printed = samples @ models / 4
    assert printed == approx([625, 900])
    printed_levels = (samples[:3] @ models[:3] / 3 + samples[3:] @ models[3:] / 1) / 2
    assert printed_levels == approx([533.3333, 766.6667])


def test_v3_rates_of_the_sub_channels_and_of_the_broadcast() -> None:
    assert rate_bps(34.0) == approx([121539058, 98434808, 99545852, 90340791, 86750652])
    downlink = 5 * rate_bps(42.0)
    assert downlink == approx([995054059, 871211998, 877286340, 826483029, 806340368])


def test_v7_rounds_of_mini_batches_of_a_tenth() -> None:
    rounds = global_rounds(local_accuracy=0.5, global_target=0.01, constant=10)
    noise = gradient_noise(fraction=0.1, samples=np.full(100, 500))
    assert rounds_with_noise(rounds=rounds, noise=noise, noise_scale=0.02) == approx(108.6820)


def test_v10_first_stakes_are_whole_coins() -> None:
    coins = stakes(samples=np.array([10000, 7000, 14000, 9500, 9501]), coins=1_000_000)
    assert coins.tolist() == [199996, 139997, 279995, 189996, 190016]
