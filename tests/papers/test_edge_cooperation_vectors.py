"""The test vectors of the digest of P5, section 9, to the digits given."""

import numpy as np
import numpy.typing as npt
import pytest

from twin_runtime.physics import channel, convergency, cooperation, sensing, short_packets, units
from twin_runtime.physics.advantage import generalised_advantages
from twin_runtime.physics.arguments import Array
from twin_runtime.problems import cooperation_heads
from twin_runtime.solvers import cooperation as partitions
from twin_runtime.solvers import iteration_split, time_split
from twin_runtime.solvers.star_choice import one_shot
from twin_runtime.solvers.star_partition import optimal, relaxation
from twin_runtime.solvers.star_search import (
    best_response,
    greedy_disjoint,
    greedy_marginal,
    local_maxima,
    local_search,
)

KAPPA = 1e-28
NOISE_W_HZ = float(units.dbm_to_w(-174.0))
MARGIN_DB = 20.0
BANDWIDTH_HZ = 1e7
SLOT_S = 1e-4
NEEDED = float(convergency.exponent(convergency=0.9))


def close(value: npt.ArrayLike, expected: npt.ArrayLike) -> None:
    np.testing.assert_allclose(np.asarray(value), np.asarray(expected), rtol=1e-6)


def gain_at(distance_m: float) -> Array:
    return channel.path_gain(distance_m=distance_m, reference_loss_db=38.46, slope_db=20.0)


def rate_of_20(link_margin_db: float) -> Array:
    return short_packets.punctured_rate_bps(
        received_w=5e-11,
        noise_w_hz=NOISE_W_HZ * units.db_to_linear(link_margin_db),
        bandwidth_hz=BANDWIDTH_HZ,
        senders=20,
        punctured=short_packets.punctured_share(packet_probability=1e-3, active=20),
    )


def collection_s() -> Array:
    return short_packets.collection_time_s(
        embb=20, urllc=20, set_bits=1e6, rate_bps=rate_of_20(MARGIN_DB), window_s=1.0
    )


def test_vector_1_noise_and_path_gains() -> None:
    close(NOISE_W_HZ, 3.98107171e-21)
    close([gain_at(100.0), gain_at(200.0)], [1.42560759e-08, 3.56401898e-09])


def test_vector_1_short_packets_rate_and_power() -> None:
    rate = short_packets.short_packet_rate_bps(
        sinr=2.0, bandwidth_hz=BANDWIDTH_HZ, slot_s=SLOT_S, error_probability=1e-5
    )
    close(rate, 14015173.7)
    needed = short_packets.short_packet_sinr(
        rate_bps=short_packets.packet_rate_bps(samples=10, bits_per_sample=100, slot_s=SLOT_S),
        bandwidth_hz=BANDWIDTH_HZ,
        slot_s=SLOT_S,
        error_probability=1e-5,
    )
    close(needed, 1.25704205)
    margin = short_packets.fading_margin(outage_probability=1e-5, branches=4)
    close(margin, 7.83214852)
    noise = NOISE_W_HZ * units.db_to_linear(MARGIN_DB) * BANDWIDTH_HZ
    power = short_packets.short_packet_power_w(
        noise_w=noise, sinr=needed, margin=margin, gain=gain_at(100.0)
    )
    close(power, 2.74935437e-3)


def test_vector_2_punctured_rate_and_collection_time() -> None:
    close(short_packets.punctured_share(packet_probability=1e-3, active=20), 0.02)
    close(rate_of_20(MARGIN_DB), 3909396.15)
    close(rate_of_20(0.0), 7162105.12)
    close(collection_s(), 0.25579398)


def test_vector_2_mean_power_and_planned_energy() -> None:
    factor, _ = short_packets.inversion_power_factors(outage_probability=1e-3)
    mean_w = 5e-11 / gain_at(100.0) * factor
    close(mean_w, 0.0222047066)
    slots = sensing.collection_slots(time_s=collection_s(), slot_s=10 * SLOT_S)
    assert slots == 256
    energy = sensing.slots_energy_j(power_w=np.full(int(slots), mean_w), slot_s=10 * SLOT_S)
    close(energy, 5.68440488e-3)


@pytest.mark.parametrize(
    "importance, embb, urllc, kind, iterations, work, energy",
    [
        ((1, 1, 2), 30, 10, iteration_split.EMBB, 12280.4538, 3.68413615e10, 246.934623),
        ((1, 1, 2), 20, 20, iteration_split.INTEGRATED, 13815.5106, 2.76310211e10, 104.175544),
        ((1, 1, 2), 5, 40, iteration_split.URLLC, 6907.75528, 2.76310211e10, 104.175544),
        ((5, 1, 6), 30, 10, iteration_split.EMBB, 2456.09077, 7.36827230e9, 1.97547698),
        ((5, 1, 6), 30, 26, iteration_split.INTEGRATED, 2724.95277, 7.08487721e9, 1.75619184),
    ],
)
def test_vector_3_iterations_and_their_work(
    importance: tuple[int, int, int],
    embb: int,
    urllc: int,
    kind: int,
    iterations: float,
    work: float,
    energy: float,
) -> None:
    sizes = convergency.set_sizes(samples=100, embb=embb, urllc=urllc)
    weight = np.array(importance) / 8e10
    found = iteration_split.split(
        gain=0.6 * NEEDED,
        sizes=sizes,
        importance=weight,
        size_power=2.0,
        cycles_per_sample=np.full(3, 1000.0),
    )
    assert found.kind == kind
    close(found.iterations[kind], iterations)
    close(found.work_cycles, work)
    close(
        cooperation.paced_energy_j(work_cycles=found.work_cycles, time_s=4.5, capacitance=KAPPA),
        energy,
    )
    gain = convergency.training_gain(
        iterations=found.iterations, sizes=sizes, importance=weight, size_power=2.0
    )
    close(convergency.trained_convergency(base_exponent=0.4 * NEEDED, gain=gain), 0.9)


def test_vector_4_a_star_with_equal_times() -> None:
    recipients = np.array([2.4, 3.1, 3.6, 3.9]) * 1e10
    norm = cooperation.cube_norm(work_cycles=recipients)
    close(norm, 5.30844743e10)
    helper, others = cooperation.star_energy_j(
        helper_cycles=1.6746e10, recipients_cycles=norm, time_s=4.5, capacitance=KAPPA
    )
    close([helper, others], [403.251548, 1278.29908])
    split = time_split.split(
        helper_cycles=1.6746e10,
        helper_ready_s=0.5,
        recipients_cycles=recipients,
        recipients_ready_s=np.zeros(4),
        deadline_s=5.0,
        capacitance=KAPPA,
    )
    close(split.computing_s, 1.07914203)
    close(1.6746e10 / split.computing_s, 1.55178832e10)
    close([split.helper_energy_j, split.recipients_energy_j.sum()], [403.251548, 1278.29908])
    alone = cooperation.paced_energy_j(work_cycles=1.6746e10, time_s=4.5, capacitance=KAPPA)
    close(alone, 23.1903996)


def late_star(work: list[float], ready_s: list[float]) -> time_split.TimeSplit:
    return time_split.split(
        helper_cycles=3e10,
        helper_ready_s=0.3,
        recipients_cycles=np.array(work) * 1e10,
        recipients_ready_s=ready_s,
        deadline_s=5.0,
        capacitance=KAPPA,
    )


def test_vector_5_a_star_with_late_recipients() -> None:
    split = late_star([5.0, 2.0, 4.0], [0.2, 1.5, 3.0])
    close(split.computing_s, 1.73978091)
    close(split.helper_energy_j, 892.020099)
    close(split.recipients_energy_j, [1426.46889, 91.2940089, 1600.0])
    close(split.certificate.value, 4009.783)


def test_vector_5_the_printed_split_costs_more() -> None:
    printed_s = 1.59888457
    norm = cooperation.cube_norm(work_cycles=np.array([5.0, 2.0, 4.0]) * 1e10)
    close(3e10 * 4.7 / (3e10 + norm), printed_s)
    left = 5.0 - np.maximum([0.2, 1.5, 3.0], 0.3 + printed_s)
    recipients = KAPPA * (np.array([5.0, 2.0, 4.0]) * 1e10) ** 3 / left**2
    close(KAPPA * 3e10**3 / printed_s**2 + recipients.sum(), 4039.13919)


def test_vector_5_an_optimum_on_a_kink() -> None:
    split = late_star([1.0, 5.0], [0.1, 2.6])
    close(split.computing_s, 2.3)
    close(split.certificate.value, 2697.89698)


def test_vector_6_when_helping_pays() -> None:
    threshold = cooperation.helping_threshold(left_over=[0.2, 0.4, 0.6, 0.8])
    close(threshold, [1.18970281, 0.705538514, 0.424952106, 0.202771377])


def test_vector_6_fallbacks_and_pretraining() -> None:
    alone = cooperation.fallback_energy_j(
        work_cycles=5e10, now_s=2.2, collection_s=0.0, deadline_s=5.0, capacitance=KAPPA
    )
    close(alone, 1594.38776)
    late = cooperation.late_parameters_energy_j(
        work_cycles=5e10,
        started_s=2.2,
        arrived_s=3.0,
        usefulness=0.6,
        deadline_s=5.0,
        capacitance=KAPPA,
    )
    close(late, 528.425656)
    early, energy = cooperation.pretraining(
        work_cycles=5e10, wait_s=1.9, time_s=2.8, usefulness=0.6, capacitance=KAPPA
    )
    close([early, energy], [7.32574079e9, 74.330302])


def test_vector_7_batteries_after_a_circle() -> None:
    needed = sensing.packets_energy_j(power_w=5e-3, packet_probability=1e-3, window_s=1.0)
    charge = sensing.charge_after_j(
        charge_j=[3e-5, 4e-6, 1e-6],
        spent_j=needed * np.array([1.0, 1.0, 0.0]),
        harvest_j=2e-6,
        capacity_j=2.5e-5,
    )
    close(charge, [2.5e-5, 2e-6, 3e-6])
    assert sensing.available(charge_j=charge, threshold_j=needed).tolist() == [True, False, False]
    power = np.array([[0.05], [0.15]]) * np.ones(256)
    bulk = sensing.charge_after_j(
        charge_j=[1.2, 1.01],
        spent_j=sensing.slots_energy_j(power_w=power, slot_s=1e-3),
        harvest_j=0.01,
        capacity_j=2.0,
    )
    close(bulk, [1.1972, 0.9816])
    assert sensing.available(charge_j=bulk, threshold_j=1.0).tolist() == [True, False]


def test_vector_8_the_printed_penalty_and_mean_observation() -> None:
    close(convergency.shortfall_penalty(base_fraction=0.4, trained=0.3), 1.5)
    neighbours = np.array([[False, True, True], [True, False, False], [True, False, False]])
    mean = cooperation.neighbourhood_mean(
        values=[[10.0, 5.0, 0.2], [20.0, 40.0, 0.6], [3.0, 9.0, 0.4]], neighbours=neighbours
    )
    close(mean[0], [11.5, 24.5, 0.5])


def test_vector_8_advantages_by_the_backward_recursion() -> None:
    advantages = generalised_advantages(
        rewards=[-1.0, -2.0, -0.5, -3.0],
        values=[-2.0, -1.5, -1.0, -2.5],
        bootstrap=-1.0,
        discount=0.99,
        decay=0.95,
    )
    close(advantages, [-4.87285805, -4.66545247, -3.376345, -1.49])


def test_vector_8_probability_and_entropy_of_an_answer() -> None:
    logits = np.arange(46) / 10.0
    levels = np.array([1, 10, 0, 5, 3])
    close(cooperation_heads.log_probabilities(logits, levels).sum(), -10.6339826)
    close(cooperation_heads.entropies(logits).sum(), 10.0893906)


def test_vector_8_levels_made_feasible() -> None:
    choice = cooperation_heads.meaning(
        np.array([1, 7, 5, 0, 4]),
        embb=np.array(33),
        urllc=np.array(9),
        base_fraction=0.35,
        received_max_w=1e-10,
        received_min_w=1e-12,
    )
    close([float(value) for value in choice], [1, 23, 5, 1e-12, 0.65])


LINKS = {
    (0, 1): 0.65,
    (0, 2): 0.80,
    (1, 3): 0.49,
    (2, 3): 0.46,
    (3, 4): 0.65,
    (4, 5): 0.42,
    (1, 5): 0.41,
    (2, 4): 0.61,
}


def six_servers() -> partitions.Servers:
    base = np.array([0.20, 0.53, 0.52, 0.39, 0.32, 0.31])
    neighbours, usefulness = np.zeros((6, 6), dtype=bool), np.zeros((6, 6))
    for (i, j), useful in LINKS.items():
        neighbours[i, j] = neighbours[j, i] = True
        usefulness[i, j] = usefulness[j, i] = useful
    return partitions.Servers(
        work_cycles=np.array([122, 244, 179, 44, 54, 230]) * 1e9 * (1.0 - base),
        ready_s=np.array([0.19, 0.29, 0.33, 0.35, 0.60, 0.49]),
        neighbours=neighbours,
        usefulness=usefulness,
        deadline_s=5.0,
        capacitance=KAPPA,
    )


def test_vector_9_the_best_stars_and_their_bounds() -> None:
    servers = six_servers()
    close(partitions.price(servers, np.arange(6)).sum(), 33721.2989)
    best = optimal(servers)
    assert best.helper.tolist() == [0, 3, 4, 3, 4, 4]
    close(best.certificate, [18298.2207, 18298.2207])
    close(
        best.energy_j,
        [4018.45677, 1969.34983, 376.960043, 903.748362, 3216.42453, 7813.28117],
    )
    close(relaxation(servers), 18298.2207)
    close(partitions.free_help_bound(servers), 4195.7891)


def test_vector_9_heuristics_on_six_servers() -> None:
    servers = six_servers()
    close(local_search(servers).certificate.value, 18298.2207)
    greedy = (greedy_marginal(servers), greedy_disjoint(servers))
    for found in (*greedy, best_response(servers, local_maxima(servers))):
        close(found.certificate.value, 22232.0547)
        assert found.helper.tolist() == [0, 1, 4, 4, 4, 4]


def expected_energy_j(helps: list[int]) -> float:
    """What stars cost on average when each recipient takes a helper at random."""
    servers = six_servers()
    choices = [
        [i for i in np.flatnonzero(servers.neighbours[j]).tolist() if helps[i] and not helps[j]]
        or [j]
        for j in range(6)
    ]
    grid = np.stack(np.meshgrid(*choices, indexing="ij"), axis=-1).reshape(-1, 6)
    return float(np.mean([partitions.price(servers, helper).sum() for helper in grid]))


def test_vector_9_forced_random_choice() -> None:
    identities = [[int(b) for b in f"{m:06b}"] for m in range(64)]
    best = min(identities, key=expected_energy_j)
    assert best == [0, 0, 0, 1, 1, 0]
    close(expected_energy_j(best), 18579.4929)
    close(expected_energy_j([1, 0, 0, 1, 0, 0]), 30214.6279)


def test_vector_9_rewards_at_the_best_stars() -> None:
    servers = six_servers()
    energy = optimal(servers).energy_j
    reward = -cooperation.neighbourhood_energy_j(energy_j=energy, neighbours=servers.neighbours)
    close(
        reward,
        [-6364.76665, -14704.8361, -8515.5897, -6466.48277, -12310.4141, -12999.0555],
    )


def test_vector_9_one_shot_choice_of_the_best_helpers_finds_the_best_stars() -> None:
    servers = six_servers()
    helper = one_shot(
        work_cycles=servers.work_cycles,
        ready_s=servers.ready_s,
        usefulness=servers.usefulness,
        neighbours=servers.neighbours,
        helps=np.array([0, 0, 0, 1, 1, 0], dtype=bool),
        deadline_s=5.0,
    )
    assert helper.tolist() == [0, 3, 4, 3, 4, 4]
