"""The test vectors of [P2]: worked out apart from this code, and held to their digits."""

import numpy as np
import pytest

from twin_runtime.physics import asynchronous as asyn
from twin_runtime.physics.channel import (
    path_gain,
    shannon_rate_bps,
    sinr,
    upload_energy_j,
    upload_time_s,
)
from twin_runtime.physics.compute import computing_energy_j, computing_time_s, training_cycles
from twin_runtime.physics.estimation import cycles_per_sample
from twin_runtime.physics.federated import weighted_mean
from twin_runtime.physics.markov_channel import (
    next_states,
    predicted_rate_bps,
    snr_states,
    transition_matrix,
)
from twin_runtime.physics.ofdma import (
    UNUSED,
    assigned_rate_bps,
    subchannel_counts,
    subchannels_max,
)
from twin_runtime.physics.rounds import (
    mean_absolute_deviation_s,
    mean_time_s,
    round_time_s,
    squared_deviations_s2,
    time_variance_s2,
    uplink_traffic_bits,
    user_time_s,
)
from twin_runtime.physics.units import dbm_to_w
from twin_runtime.solvers.cpu_frequencies import (
    Clocks,
    clock_groups,
    clocks,
    clocks_with_uploads,
    energy_capped_frequency_hz,
)
from twin_runtime.solvers.subchannel_exact import enumerated, one_each
from twin_runtime.solvers.subchannel_exploration import deviations_s2
from twin_runtime.solvers.subchannel_projection import project
from twin_runtime.solvers.subchannel_starts import column_start, flat_counts, own_start
from twin_runtime.solvers.subchannels import assign
from twin_runtime.solvers.uplink import Uplink

DIGITS = 5e-7  # relative: the vectors have 7 significant digits

CYCLES = np.array([2.0, 6.0, 9.0, 15.0]) * 1e8
FASTEST_HZ = np.array([1.0, 1.2, 1.5, 1.0]) * 1e9
RATES = 1e6 * np.array(
    [[1.2, 0.3, 0.9, 2, 0.5, 0.8], [0.4, 1.5, 0.7, 1, 1.1, 0.2], [2.2, 0.6, 1.4, 0.9, 0.3, 1]]
)
UPLINK = Uplink.of(RATES, np.array([0.9, 0.3, 0.6]), 1e6, 20)


def near(expected: object) -> object:
    return pytest.approx(expected, rel=DIGITS)


def test_vector_1_one_upload() -> None:
    rate = shannon_rate_bps(bandwidth_hz=3 / 100 * 20e6, sinr=15)
    assert rate == near(2_400_000)
    upload = upload_time_s(size_bits=698_880, rate_bps=rate)
    assert upload == near(0.2912)
    cycles = training_cycles(samples=600, cycles_per_sample=1e6)
    assert computing_time_s(cycles=cycles, frequency_hz=1.2e9) == near(0.5)
    energy = computing_energy_j(cycles=cycles, frequency_hz=1.2e9, capacitance=1e-27)
    assert energy == near(0.864)
    assert upload_energy_j(power_w=3 * 0.01, time_s=upload) == near(0.008736)
    assert user_time_s(computing_s=0.5, model_bits=698_880, rate_bps=rate) == near(0.7912)


def test_vector_2_a_channel_of_four_states() -> None:
    edges, means = snr_states(4)
    assert edges == near([0, 0.2876821, 0.6931472, 1.386294, np.inf])
    assert means == near([0.1369538, 0.4767519, 1, 2.386294])
    gain = path_gain(
        distance_m=250, reference_loss_db=128.1, slope_db=37.6, reference_distance_m=1000
    )
    noise = dbm_to_w(-174 + 7) * 20e6 / 100
    mean_snr = sinr(received_w=0.01 * gain, noise_w=noise)
    assert mean_snr == near(71.23863)
    rates = shannon_rate_bps(bandwidth_hz=2e5, sinr=mean_snr * means)
    assert rates == near([685424.7, 1025553, 1234940, 1483564])
    matrix = transition_matrix(states=4, stay=0.7)
    law = np.linalg.matrix_power(matrix, 2)[0]
    assert law == pytest.approx([0.745, 0.2325, 0.0225, 0])
    expected = predicted_rate_bps(state=np.array(0), age=2, matrix=matrix, rates_bps=rates)
    assert expected == near(776868.5)


def test_vector_2_the_eight_states_of_the_scenario() -> None:
    expected = [0.0652803, 0.2086273, 0.3760743, 0.5774294, 0.8301010, 1.169899, 1.693147, 3.079442]
    assert snr_states(8).means == pytest.approx(expected, rel=1e-6)
    ends = next_states(np.random.default_rng(0), np.array([0, 7]), states=8, stay=1.0)
    assert ends.tolist() == [0, 7]


GLOBAL = np.array([1.0, 2.0, 2.0])
TRAINED = np.array([[1.0, 2.0, 3.5], [1.6, 2.0, 2.8]])
SAMPLES = np.array([600.0, 400.0])


def test_vector_3_update_weights_and_aggregation() -> None:
    change = asyn.relative_change(trained=TRAINED, model=GLOBAL)
    assert change == near([0.5, 0.3333333])
    speed = asyn.link_speed(
        rate_bps=[2e6, 5e5],
        frequency_hz=[1e9, 2e9],
        reference_rate_bps=1e6,
        reference_frequency_hz=1.25e9,
    )
    assert speed == near([2.5, 0.3125])
    tau = asyn.update_weight(gap_rounds=[2, 3], change=change, speed=speed)
    assert tau == near([2.5, 0.3125])
    printed = asyn.printed_weights(samples=SAMPLES, update_weight=tau)
    assert printed == near([0.550749, 0.1073537])
    assert printed.sum() == near(0.6581027)
    share = asyn.aggregation_weights(samples=SAMPLES, update_weight=tau)
    assert share == near([0.8368739, 0.1631261])
    merged = asyn.aggregate(model=GLOBAL, trained=TRAINED, bases=GLOBAL, weights=share)
    assert merged == near([1.097876, 2, 3.385812])
    shrunk = weighted_mean(values=TRAINED, weights=printed, fallback=GLOBAL) * printed.sum()
    assert shrunk == near([0.722515, 1.316205, 2.228212])
    residual = asyn.aggregate_residual(
        model=GLOBAL, trained=TRAINED, samples=SAMPLES, update_weight=tau
    )
    assert residual == near([1.064412, 2, 2.912006])


def test_vector_4_a_late_update_and_a_slower_server() -> None:
    share = asyn.aggregation_weights(
        samples=SAMPLES, update_weight=[2.5, 0.3125], lateness_rounds=[0, 3]
    )
    assert share == near([0.9111936, 0.08880638])
    merged = asyn.aggregate(
        model=GLOBAL, trained=TRAINED, bases=GLOBAL, weights=share, server_rate=0.8
    )
    assert merged == near([1.042627, 2, 3.150268])
    bases = np.array([GLOBAL, [0.9, 2.1, 2.0]])
    merged = asyn.aggregate(
        model=GLOBAL, trained=TRAINED, bases=bases, weights=share, server_rate=0.8
    )
    assert merged == near([1.049732, 1.992895, 3.150268])


def test_vector_5_times_of_participants() -> None:
    times = {"time_s": [1, 2, 4, 9], "participates": [1, 1, 1, 0]}
    assert mean_time_s(**times) == near(2.333333)
    assert mean_absolute_deviation_s(**times) == near(1.111111)
    assert time_variance_s2(**times) == near(1.555556)
    assert squared_deviations_s2(**times) == near(4.666667)
    assert round_time_s(**times) == 4
    printed = (1 + 2 + 4) / 4
    assert sum((time - printed) ** 2 for time in (1, 2, 4)) == near(5.6875)


def clocks_at(price_w: float) -> Clocks:
    return clocks(
        cycles=CYCLES,
        frequency_min_hz=2e8,
        frequency_max_hz=FASTEST_HZ,
        capacitance=1e-27,
        time_price_w=price_w,
    )


@pytest.mark.parametrize(
    "price_w, deadline_s, frequencies, cost_j, groups",
    [
        (40.0, 1.5, [2e8, 4e8, 6e8, 1e9], 61.928, [2, 3, 3, 1]),
        (1.0, 2.051971, [2e8, 2.924018e8, 4.386027e8, 7.310044e8], 3.085957, [2, 3, 3, 3]),
        (0.31, 3.0, [2e8, 2e8, 3e8, 5e8], 1.418, [2, 2, 3, 3]),
    ],
)
def test_vector_6_clocks(
    price_w: float,
    deadline_s: float,
    frequencies: list[float],
    cost_j: float,
    groups: list[int],
) -> None:
    found = clocks_at(price_w)
    assert found.deadline_s == near(deadline_s)
    assert found.frequency_hz == near(frequencies)
    assert found.certificate.value == near(cost_j)
    sorted_out = clock_groups(
        frequency_hz=found.frequency_hz, frequency_min_hz=2e8, frequency_max_hz=FASTEST_HZ
    )
    assert sorted_out.tolist() == groups


def test_vector_6_clocks_with_uploads() -> None:
    def joint(price_w: float) -> Clocks:
        return clocks_with_uploads(
            cycles=CYCLES,
            frequency_min_hz=2e8,
            frequency_max_hz=FASTEST_HZ,
            capacitance=1e-27,
            time_price_w=price_w,
            upload_s=[0.5, 0.2, 1, 0.4],
        )

    found = joint(1.0)
    assert found.deadline_s == near(2.613643)
    assert found.frequency_hz == near([2e8, 2.485868e8, 5.57744e8, 6.776159e8])
    assert found.certificate.value == near(3.627436)
    assert joint(40.0).deadline_s == near(1.9)
    assert joint(40.0).certificate.value == near(78.48274)
    blind = clocks_at(1.0).frequency_hz
    late = float((CYCLES / blind + [0.5, 0.2, 1, 0.4]).max())
    assert late == near(3.051971)
    assert (1e-27 * CYCLES * blind**2).sum() + late == near(4.085957)


def test_vector_7_flat_channels() -> None:
    counts, certificate = flat_counts(
        rate_bps=[1e6, 0.5e6, 2e6],
        computing_s=[0.2, 0.6, 1.5],
        model_bits=1e6,
        subchannels=8,
        subchannels_max=20,
    )
    assert counts.tolist() == [1, 2, 5]
    assert certificate.value == near(1.6)


def test_vector_8_the_best_division() -> None:
    best = enumerated(UPLINK)
    assert best.owner.tolist() == [2, 1, 0, 0, 0, 0]
    assert UPLINK.time_s(best.owner) == near([1.138095, 0.9666667, 1.054545])
    assert assign(UPLINK, np.random.default_rng(0)).owner.tolist() == best.owner.tolist()
    rates = assigned_rate_bps(owner=best.owner, rates_bps=RATES)
    assert rates == near([4.2e6, 1.5e6, 2.2e6])


def test_vector_8_starts_and_matching() -> None:
    assert own_start(UPLINK).tolist() == [2, 1, 0, 0, 0, 0]
    column = column_start(UPLINK)
    assert column.tolist() == [2, 1, 1, 0, 0, 0]
    assert UPLINK.makespan_s(column) == near(1.20303)
    assert deviations_s2(UPLINK, column) == near(0.1043955)
    matched = one_each(UPLINK)
    assert matched.owner.tolist() == [2, 1, UNUSED, 0, UNUSED, UNUSED]
    assert matched.makespan_s == near(1.4)


def test_vector_8_the_variance_s_own_optimum_is_late() -> None:
    numbers = np.arange(4**6)[:, None] // 4 ** np.arange(6) % 4 + UNUSED
    served = numbers[(subchannel_counts(owner=numbers, users=3) >= 1).all(axis=-1)]
    assert len(served) == 2100
    many = Uplink.of(np.tile(RATES, (2100, 1, 1)), np.tile([0.9, 0.3, 0.6], (2100, 1)), 1e6, 20)
    assert many.feasible(served).all()
    best = served[deviations_s2(many, served).argmin()]
    assert best.tolist() == [0, UNUSED, 2, 1, 0, 0]
    assert UPLINK.makespan_s(best) == near(1.314286)
    variance = time_variance_s2(time_s=UPLINK.time_s(best), participates=np.ones(3))
    assert variance == pytest.approx(4.535147e-05, rel=1e-6)


def test_vector_9_asynchronous_baselines_and_traffic() -> None:
    late = asyn.polynomial_staleness(delay_versions=3)
    mixed = asyn.fedasync_step(model=[1, 2], trained=[3, 0], mixing=0.6, staleness=late)
    assert mixed == near([1.6, 1.4])
    later = asyn.hinge_staleness(delay_versions=7)
    mixed = asyn.fedasync_step(model=[1, 2], trained=[3, 0], mixing=0.6, staleness=later)
    assert mixed == near([1.03870968, 1.96129032])
    changes = [[0.4, -0.2], [0.1, 0.3]]
    buffered = asyn.fedbuff_step(model=[1, 2], changes=changes, delay_versions=[0, 3])
    assert buffered == near([0.775, 2.025])
    traffic = uplink_traffic_bits(
        participates=np.full(50, 30), model_bits=698_880, users=100, state_bits=8192
    )
    assert traffic == near(1.08928e9)


def test_vector_10_the_gate() -> None:
    tau, gaps = [0.12, 0.7, 0.31, 0.31, 0.05], [1, 2, 1, 3, 16]
    passing = asyn.passes_gate(update_weight=tau, gap_rounds=gaps, threshold=0.3, gap_rounds_max=15)
    assert np.flatnonzero(passing).tolist() == [1, 2, 3, 4]
    leading = asyn.leading_users(update_weight=tau, gap_rounds=gaps, count=3, gap_rounds_max=15)
    assert sorted(leading.tolist()) == [1, 2, 4]
    moved = asyn.next_threshold(threshold=0.2, uploads=62, uploads_wanted=50, users=100)
    assert moved == near(0.2123673)


def test_vector_10_projection() -> None:
    shares = np.array([[0.5, 0.1, 0.8, 0.3], [0.3, 0.2, 0.1, 0.4], [0.2, 0.7, 0.1, 0.3]])
    uplink = Uplink.of(np.full((3, 4), 1e6), np.zeros(3), 1e6, 20)
    assert project(uplink, shares).tolist() == [0, 2, 0, 1]


def test_vector_10_an_energy_cap_and_a_learned_cost() -> None:
    capped = energy_capped_frequency_hz(
        cycles=6e8,
        frequency_max_hz=9e9,
        capacitance=1e-27,
        energy_max_j=2,
        upload_energy_j=0.02,
    )
    assert capped == near(1.81659e9)
    learned = cycles_per_sample(believed=1e6, computing_s=0.7, frequency_hz=1.2e9, samples=600)
    assert learned == near(1.12e6)
    assert subchannels_max(power_max_w=0.2, subchannel_power_w=0.01) == 20


def test_erratum_losses_are_weighed_before_they_are_summed() -> None:
    assert weighted_mean(values=[1.0, 2.0], weights=[400.0, 800.0], fallback=0.0) == near(1.666667)
