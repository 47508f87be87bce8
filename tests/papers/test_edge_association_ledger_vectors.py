"""The numbers of section 9 of the digest of [P4], to the digits given there, and some that its
other sections state as evidence."""

import numpy as np
import pytest

from twin_runtime.physics.channel import path_gain, shannon_rate_bps, sinr
from twin_runtime.physics.consensus import stakes
from twin_runtime.physics.convergence import global_rounds, gradient_noise, rounds_with_noise
from twin_runtime.physics.federated import weighted_mean
from twin_runtime.physics.geometry import distance_m
from twin_runtime.physics.network_size import image_classifier
from twin_runtime.physics.reinforcement import discounted_return
from twin_runtime.physics.units import dbm_to_w, linear_to_db
from twin_runtime.problems.edge_association import PROBLEM
from twin_runtime.problems.edge_association_round import average_action, round_parts_s, rounds_of
from twin_runtime.problems.environment import Environment
from twin_runtime.problems.scenarios.five_stations import FiveStations
from twin_runtime.solvers.balance import (
    balanced_counts,
    exact_hosts,
    longest_first,
    makespan_bound_s,
)
from twin_runtime.solvers.bandwidth import flat_shares, selective_shares
from twin_runtime.solvers.batches import Learning, batch_fractions, local_accuracy
from twin_runtime.solvers.edge_association import Stations, joint_association, joint_pipelined

SPEEDS_HZ = np.array([2.6, 1.8, 3.6, 2.4, 2.4]) * 1e9
COUNTS = np.array([20, 14, 28, 19, 19])
H5 = np.log2(5)
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


def test_v4_a_round_of_average_hosting_by_its_parts() -> None:
    world = Environment(PROBLEM, FiveStations(load_max=0.0, fades=False), seed=0)
    assert world.state.rate_bps[0, :, 0] == approx(
        [121539058, 98434808, 99545852, 90340791, 86750652]
    )
    assert world.state.broadcast_bps[0] == approx(
        [995054059, 871211998, 877286340, 826483029, 806340368]
    )
    action = average_action(world.state)
    parts = {
        name: float(value[0]) for name, value in PROBLEM.cost(world.state, action).parts.items()
    }
    assert parts["training_s"] == approx(5.555556)
    assert parts["aggregation_s"] == pytest.approx(0.047922, abs=5e-7)
    assert parts["upload_s"] == approx(1.847028)
    assert parts["block_s"] == approx(0.01874499)
    assert parts["verification_s"] == approx(1.481481)
    assert parts["download_s"] == approx(0.08558133)
    assert parts["round_s"] == approx(9.036313)
    assert parts["pipelined_s"] == approx(8.817072)


def test_v4_the_printed_form_uploads_one_model_per_twin_and_leaves_out_what_follows() -> None:
    scenario = FiveStations(load_max=0.0, fades=False, upload="per_twin")
    world = Environment(PROBLEM, scenario, seed=0)
    parts = round_parts_s(world.state, average_action(world.state))
    assert parts["upload_s"] == approx(36.94056)
    printed = parts["training_s"] + parts["upload_s"] + parts["block_s"]
    assert printed == approx(42.51486)


def test_v5_shares_of_the_uplink() -> None:
    demand_s = H5 * 69007680 / 5 / rate_bps(34.0)
    flat = flat_shares(demand_s=demand_s)
    assert flat.share == approx([0.1612381, 0.1990833, 0.1968613, 0.2169200, 0.2258972])
    assert flat.finish_s == approx(1.635282)
    after = flat_shares(demand_s=demand_s, ready_s=COUNTS * 5e8 / SPEEDS_HZ)
    assert after.share == approx([0.1548257, 0.1960863, 0.1938978, 0.2229812, 0.2322091])
    assert after.finish_s == approx(5.549165)
    rates = np.array([[100, 20], [30, 90], [50, 60]]) * 1e6
    bits = np.array([69, 69, 138]) * 1e6
    selective = selective_shares(demand_bits=bits, rate_bps=rates)
    assert selective.finish_s == approx(1.986364)
    assert flat_shares(demand_s=bits / rates.sum(axis=1)).finish_s == approx(2.404545)


def test_v6_counts_of_identical_twins_and_hosts_of_different_ones() -> None:
    counts = balanced_counts(twins=100, frequency_hz=SPEEDS_HZ)
    assert counts.tolist() == COUNTS.tolist()
    assert (counts * 5e8 / SPEEDS_HZ).max() == approx(3.958333)
    cycles = np.array([700, 650, 600, 500, 450, 400, 350, 300, 250, 200]) * 0.1 * 1e7
    host = longest_first(cycles=cycles, frequency_hz=SPEEDS_HZ[:3])
    assert host.tolist() == [2, 0, 1, 2, 0, 2, 1, 2, 0, 2]
    assert (np.bincount(host, cycles) / SPEEDS_HZ[:3]).max() == approx(0.5833333)
    assert makespan_bound_s(cycles=cycles, frequency_hz=SPEEDS_HZ[:3]) == approx(0.55)
    exact = exact_hosts(time_s=cycles[:, None] / SPEEDS_HZ[:3])
    assert exact.certificate.value == approx(0.5555556)


def test_v7_batches_rounds_and_the_local_accuracy() -> None:
    batches = batch_fractions(
        samples=500.0 * COUNTS,
        frequency_hz=SPEEDS_HZ,
        constant_s=3.25,
        learning=Learning(cycles_per_sample=1e7, noise_scale=0.02, fraction_range=(0.02, 1.0)),
    )
    assert 1e7 / 5e4 * ((500.0 * COUNTS) ** 2 / SPEEDS_HZ).sum() == approx(39.06731)
    assert batches.training_s == approx(1.609720)
    assert batches.fraction == approx([0.04185272, 0.04139280, 0.04139280, 0.04066661, 0.04066661])
    assert batches.value_s == approx(7.121398)
    accuracy = local_accuracy(iteration_s=3.958333, constant_s=3.25)
    assert accuracy.local_accuracy == approx(0.4039444)
    rounds = global_rounds(local_accuracy=0.5, global_target=0.01, constant=10)
    noise = gradient_noise(fraction=0.1, samples=np.full(100, 500))
    assert rounds_with_noise(rounds=rounds, noise=noise, noise_scale=0.02) == approx(108.6820)
    world = Environment(PROBLEM, FiveStations(), seed=0)
    assert rounds_of(world.state, average_action(world.state).fraction) == approx([108.6820])


def test_v10_first_stakes_are_whole_coins() -> None:
    coins = stakes(samples=np.array([10000, 7000, 14000, 9500, 9501]), coins=1_000_000)
    assert coins.tolist() == [199996, 139997, 279995, 189996, 190016]


def test_section_2_ratios_of_signal_to_noise_without_fading() -> None:
    distance = distance_m(source_m=POSITIONS_M, target_m=(500, 500))
    gain = path_gain(distance_m=distance, reference_loss_db=40.0, slope_db=30.0)
    noise_w = dbm_to_w(-174.0) * 30e6
    assert linear_to_db(noise_w) + 30 == pytest.approx(-99.23, abs=0.005)
    ratio = linear_to_db(sinr(received_w=dbm_to_w(34.0) / 5 * gain, noise_w=noise_w))
    assert ratio == pytest.approx([11.9, 9.4, 9.5, 8.5, 8.1], abs=0.05)


def test_section_6_interference_falls_with_the_distance_of_the_interferer() -> None:
    """As printed, both of two links interfere alike: 0 dB; by distance it is 18.1 and -18.1."""
    near, far = path_gain(distance_m=[200.0, 800.0], reference_loss_db=40.0, slope_db=30.0)
    of_near = sinr(received_w=near, interference_w=far, noise_w=1e-30)
    of_far = sinr(received_w=far, interference_w=near, noise_w=1e-30)
    assert linear_to_db(of_near) == pytest.approx(18.1, abs=0.05)
    assert linear_to_db(of_far) == pytest.approx(-18.1, abs=0.05)


def test_section_6_a_barrier_after_each_phase_costs_a_little() -> None:
    stations = Stations(
        frequency_hz=SPEEDS_HZ,
        rate_bps=np.repeat(rate_bps(34.0)[:, None], 5, axis=1),
        upload_bits=H5 * 69007680,
        verification_cycles=0.0,
    )
    phased = joint_association(stations=stations, twins=100, cycles=5e8)
    assert phased.value_s == pytest.approx(5.59, abs=0.005)
    pipelined = joint_pipelined(stations=stations, twins=100, cycles=5e8)
    assert pipelined.value_s == pytest.approx(5.51, abs=0.005)


@pytest.mark.parametrize("fraction, seconds", [(0.02, 38.1), (0.1, 42.5), (1.0, 92.5)])
def test_section_6_without_noise_the_printed_objective_wants_the_smallest_batch(
    fraction: float, seconds: float
) -> None:
    scenario = FiveStations(load_max=0.0, fades=False, upload="per_twin", fraction=fraction)
    world = Environment(PROBLEM, scenario, seed=0)
    parts = round_parts_s(world.state, average_action(world.state))
    printed = parts["training_s"] + parts["upload_s"] + parts["block_s"]
    assert printed == pytest.approx(seconds, abs=0.05)


def test_section_6_discounting_twenty_steps_of_minus_one() -> None:
    assert discounted_return(rewards=-np.ones(20), discount=0.9) == pytest.approx(-8.78, abs=0.005)
