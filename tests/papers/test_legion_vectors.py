"""The test vectors of [P1], to the digits that its digest gives."""

import numpy as np
import pytest

from tests.solvers.access_slots import shared_instance
from twin_runtime.physics.channel import (
    path_gain,
    shannon_rate_bps,
    sinr,
    upload_energy_j,
    upload_time_s,
)
from twin_runtime.physics.compute import computing_energy_j, computing_time_s, training_cycles
from twin_runtime.physics.estimation import Estimate, kalman_predict, kalman_update
from twin_runtime.physics.federated import weighted_mean
from twin_runtime.physics.iteration import aggregation_time_s, iteration_time_s
from twin_runtime.physics.packets import packet_error_rate
from twin_runtime.physics.queues import Drift, priority_deficit, virtual_queue
from twin_runtime.physics.rounds import round_time_s
from twin_runtime.physics.smoothing import smooth_max
from twin_runtime.physics.units import db_to_linear, dbm_to_w, linear_to_db
from twin_runtime.problems.access_policies import bandit_index, priority_bandit_index
from twin_runtime.solvers.access import select
from twin_runtime.solvers.access_frequencies import allocate

DIGITS = 5e-7  # relative: 7 significant digits


@pytest.mark.parametrize(
    "samples, frequency_hz, energy_j, time_s",
    [(400, 1.5e9, 0.9, 0.2666667), (137, 0.83e9, 0.0943793, 0.1650602)],
)
def test_v1_training_takes_its_energy_and_time(
    samples: int, frequency_hz: float, energy_j: float, time_s: float
) -> None:
    cycles = training_cycles(samples=samples, cycles_per_sample=1e6)
    energy = computing_energy_j(cycles=cycles, frequency_hz=frequency_hz, capacitance=1e-27)
    assert energy == pytest.approx(energy_j, rel=DIGITS)
    time = computing_time_s(cycles=cycles, frequency_hz=frequency_hz)
    assert time == pytest.approx(time_s, rel=DIGITS)


def test_v2_an_upload_over_250_m_is_fast_and_safe() -> None:
    gain = path_gain(
        distance_m=250, reference_loss_db=128.1, slope_db=37.6, reference_distance_m=1000
    )
    assert -linear_to_db(gain) == pytest.approx(105.4625, rel=DIGITS)
    power_w, noise_w, interference_w = dbm_to_w([23, -114, -110])
    ratio = sinr(received_w=gain * power_w, noise_w=noise_w, interference_w=interference_w)
    assert ratio == pytest.approx(405.7001, rel=DIGITS)
    rate = shannon_rate_bps(bandwidth_hz=1e5, sinr=ratio)
    assert rate == pytest.approx(866782.2, rel=DIGITS)
    time = upload_time_s(size_bits=5e3, rate_bps=rate)
    assert time == pytest.approx(5.768462e-3, rel=DIGITS)
    energy = upload_energy_j(power_w=power_w, time_s=time)
    assert energy == pytest.approx(1.150960e-3, rel=DIGITS)
    lost = packet_error_rate(sinr=ratio, waterfall=db_to_linear(0.023))
    assert lost == pytest.approx(2.474896e-3, rel=DIGITS)


def test_v2_a_deep_fade_makes_it_slow_and_unsafe() -> None:
    ratio = 405.7001 * db_to_linear(-25)
    assert ratio == pytest.approx(1.282936, rel=DIGITS)
    rate = shannon_rate_bps(bandwidth_hz=1e5, sinr=ratio)
    assert upload_time_s(size_bits=5e3, rate_bps=rate) == pytest.approx(0.04198538, rel=DIGITS)
    lost = packet_error_rate(sinr=ratio, waterfall=db_to_linear(0.023))
    assert lost == pytest.approx(0.5432417, rel=DIGITS)


def test_v3_what_arrived_is_averaged_by_samples() -> None:
    samples, arrived = np.array([100.0, 250.0, 400.0]), np.array([1.0, 0.0, 1.0])
    models = [[0.10, -0.20], [0.90, 0.90], [0.30, 0.50]]
    mean = weighted_mean(values=models, weights=samples * arrived, fallback=0.0)
    assert mean == pytest.approx([0.26, 0.36], rel=DIGITS)
    loss = weighted_mean(values=[0.08, 0.05, 0.04], weights=samples * arrived, fallback=0.0)
    assert loss == pytest.approx(0.048, rel=DIGITS)
    aggregation = aggregation_time_s(
        uploads=arrived.sum(), size_bits=5e3, cycles_per_bit=1e4, server_frequency_hz=5e10
    )
    assert aggregation == pytest.approx(0.002, rel=DIGITS)


def test_v3_a_round_waits_for_the_slowest_that_is_scheduled() -> None:
    slowest = round_time_s(time_s=[0.31, 0.9, 0.274], participates=[1, 0, 1])
    time = iteration_time_s(slowest_s=slowest, aggregation_s=1e-3, broadcast_s=0.01)
    assert time == pytest.approx(0.321, rel=DIGITS)


def test_v4_queues_grow_by_what_is_owed_and_spent() -> None:
    priority = virtual_queue(backlog=[0, 0.3, 1.2], arrival=[0.5, 0.3, 0.05], service=[1, 0, 1])
    assert priority == pytest.approx([0, 0.6, 0.25], rel=DIGITS)
    energy = virtual_queue(backlog=[0, 0.02, 0.4], arrival=[0.9, 0, 0.1], service=[0.25, 0.05, 0.1])
    assert energy == pytest.approx([0.65, 0, 0.4], rel=DIGITS)


def test_v5_the_smooth_maximum_is_a_little_above_the_maximum() -> None:
    three = smooth_max(values=[0.30, 0.25, 0.10], sharpness=100)
    assert three == pytest.approx(0.3000672, rel=DIGITS)
    hundred = smooth_max(values=np.full(100, 0.3), sharpness=2000)
    assert hundred == pytest.approx(0.3023026, rel=DIGITS)


@pytest.mark.parametrize(
    "drift, clocks_ghz, deadline_s, cost",
    [
        (Drift.STANDARD, [0.4772528, 1.110567, 1.063381], 0.3841586, -3.229583),
        (Drift.PRINTED, [0.5269152, 1.247354, 1.17436], 0.3486109, -4.291308),
        (Drift.EXACT, [0.4347599, 0.9971701, 0.9684723], 0.4210216, -2.592357),
    ],
)
def test_v6_three_given_devices_have_these_clocks(
    drift: Drift, clocks_ghz: list[float], deadline_s: float, cost: float
) -> None:
    slot = shared_instance(drift).take(np.array([1, 4, 5]))
    answer = allocate(slot)
    assert answer.frequency_hz / 1e9 == pytest.approx(clocks_ghz, rel=DIGITS)
    assert answer.deadline_s == pytest.approx(deadline_s, rel=DIGITS)
    assert answer.certificate.value == pytest.approx(cost, rel=DIGITS)
    assert slot.objective(answer.frequency_hz) == pytest.approx(cost, rel=DIGITS)


@pytest.mark.parametrize(
    "drift, clocks_ghz, deadline_s, cost, full_speed_cost",
    [
        (Drift.STANDARD, [0.6830682, 1.120253, 1.071364], 0.3813558, -3.544324, -3.361),
        (Drift.PRINTED, [1.5, 1.260293, 1.184666], 0.3456478, -4.877832, -4.802496),
        (Drift.EXACT, [0.6165894, 1.002121, 0.9726728], 0.419238, -3.10366, -2.400705),
    ],
)
def test_v7_the_best_three_devices_have_these_clocks(
    drift: Drift, clocks_ghz: list[float], deadline_s: float, cost: float, full_speed_cost: float
) -> None:
    slot = shared_instance(drift)
    answer = select(slot, 3)
    assert answer.devices.tolist() == [2, 4, 5]
    assert answer.frequency_hz / 1e9 == pytest.approx(clocks_ghz, rel=DIGITS)
    assert answer.deadline_s == pytest.approx(deadline_s, rel=DIGITS)
    assert answer.certificate.value == pytest.approx(cost, rel=DIGITS)
    fastest = slot.take(answer.devices).objective(np.full(3, 1.5e9))
    assert fastest == pytest.approx(full_speed_cost, rel=DIGITS)


def test_v8_an_estimate_decays_and_is_pulled_back() -> None:
    estimate = Estimate(np.array(-100.0), np.array(9.0))
    steps = []
    for reading in (-95.0, None, -97.0):
        estimate = kalman_predict(estimate, mean=-100, deviation=3, correlation=0.9)
        steps.append(estimate)
        estimate = kalman_update(
            estimate, observed=reading or 0.0, noise_variance=1.0, seen=reading is not None
        )
        steps.append(estimate)
    assert np.array(steps) == pytest.approx(
        np.array(
            [
                (-100, 9),
                (-95.5, 0.9),
                (-95.95, 2.439),
                (-95.95, 2.439),
                (-96.355, 3.68559),
                (-96.86234, 0.7865797),
            ]
        ),
        rel=DIGITS,
    )


def test_v9_bandits_prefer_the_prompt_the_unknown_and_the_owed() -> None:
    index = bandit_index(np.array([0.6, 0.7]), np.array([3.0, 9.0]), slot=50, scheduled=4)
    assert index == pytest.approx([3.153437, 2.174227], rel=DIGITS)
    index = priority_bandit_index(
        np.array([0.6, 0.7, 0.0]),
        np.array([30.0, 90.0, 0.0]),
        slot=50,
        owed=np.array([0.4, 0, 0.2]),
    )
    assert index == pytest.approx([0.7, 0.4974227, 0.6], rel=DIGITS)


def test_v10_a_deficit_is_what_was_promised_less_what_was_given() -> None:
    deficit = priority_deficit(rate_min=[0.5, 0.3, 0.05], scheduled=[240, 160, 20], slots=500)
    assert deficit == pytest.approx([0.02, -0.02, 0.01], rel=DIGITS)
