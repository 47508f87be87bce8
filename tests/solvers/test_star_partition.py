from dataclasses import replace

import numpy as np
import pytest

from tests.solvers.a_neighbourhood import enumerated_j, servers_at_random
from twin_runtime.physics.arguments import InvalidArgument
from twin_runtime.problems.cooperation import PROBLEM
from twin_runtime.problems.cooperation_policies import POLICIES
from twin_runtime.problems.environment import Environment
from twin_runtime.problems.scenarios.wide_area import FULL
from twin_runtime.solvers import cooperation, star_partition


@pytest.mark.parametrize("count, instances", [(6, 8), (7, 12)])
def test_the_best_partition_is_the_best_of_all(count: int, instances: int) -> None:
    generator = np.random.default_rng(count)
    for _ in range(instances):
        servers = servers_at_random(generator, count)
        best = star_partition.optimal(servers)
        assert best.certificate.value == pytest.approx(enumerated_j(servers), rel=1e-12)
        assert best.certificate.gap < 1e-9


@pytest.mark.parametrize("count, degree, seed", [(5, 3.0, 82), (6, 3.0, 337), (7, 3.0, 22)])
def test_where_the_relaxation_is_not_whole_branch_and_bound_closes_the_gap(
    count: int, degree: float, seed: int
) -> None:
    servers = servers_at_random(np.random.default_rng(seed), count, degree=degree)
    best = star_partition.optimal(servers)
    assert star_partition.relaxation(servers) < best.certificate.value * (1 - 1e-3)
    assert best.certificate.value == pytest.approx(enumerated_j(servers), rel=1e-12)
    assert best.certificate.gap < 1e-9


def test_columns_of_the_best_are_kept_where_prices_are_rounded() -> None:
    """A relaxation here is halves, and by rounding 1e-7 above the best partition."""
    environment = Environment(PROBLEM, FULL, 333, 24)
    state, generator = environment.state, environment.generator
    best, searched = (
        PROBLEM.cost(state, POLICIES[name](state, generator)).parts["energy_j"].sum(axis=-1)
        for name in ("oracle", "local_search")
    )
    assert (best <= searched * (1 + 1e-9)).all()


def test_late_recipients_do_not_break_it() -> None:
    generator = np.random.default_rng(1)
    for _ in range(6):
        servers = servers_at_random(generator, 6, late_s=4.5)
        best = star_partition.optimal(servers)
        assert best.certificate.value == pytest.approx(enumerated_j(servers), rel=1e-12)


def test_bounds_are_below_the_best_and_the_relaxation_is_tight() -> None:
    generator = np.random.default_rng(2)
    gaps = []
    for _ in range(12):
        servers = servers_at_random(generator, 30)
        best = star_partition.optimal(servers).certificate.value
        assert cooperation.free_help_bound(servers) <= best
        relaxed = star_partition.relaxation(servers)
        assert relaxed <= best * (1 + 1e-9)
        gaps.append(best / relaxed - 1.0)
    assert np.mean(gaps) <= 2e-4


def test_an_answer_says_what_it_costs_each_server() -> None:
    servers = servers_at_random(np.random.default_rng(3), 30)
    best = star_partition.optimal(servers)
    np.testing.assert_allclose(best.energy_j, cooperation.price(servers, best.helper))
    assert best.certificate.value == pytest.approx(float(best.energy_j.sum()))


def test_renumbering_servers_renumbers_the_answer() -> None:
    servers = servers_at_random(np.random.default_rng(4), 20)
    order = np.random.default_rng(5).permutation(20)
    renumbered = cooperation.Servers(
        work_cycles=servers.work_cycles[order],
        ready_s=servers.ready_s[order],
        neighbours=servers.neighbours[np.ix_(order, order)],
        usefulness=servers.usefulness[np.ix_(order, order)],
        deadline_s=servers.deadline_s,
        capacitance=servers.capacitance,
    )
    first, second = star_partition.optimal(servers), star_partition.optimal(renumbered)
    np.testing.assert_allclose(second.energy_j, first.energy_j[order], rtol=1e-9)


def test_energies_scale_with_the_capacitance() -> None:
    servers = servers_at_random(np.random.default_rng(6), 20)
    best = star_partition.optimal(servers)
    doubled = star_partition.optimal(replace(servers, capacitance=2e-28))
    assert doubled.helper.tolist() == best.helper.tolist()
    assert doubled.certificate.value == pytest.approx(2.0 * best.certificate.value)


def test_more_useful_models_never_cost_more() -> None:
    servers = servers_at_random(np.random.default_rng(7), 20)
    better = replace(servers, usefulness=np.minimum(servers.usefulness + 0.1, 1.0))
    before = star_partition.optimal(servers).certificate.value
    assert star_partition.optimal(better).certificate.value <= before * (1 + 1e-9)


def test_a_server_alone_in_the_world_trains_alone() -> None:
    servers = servers_at_random(np.random.default_rng(8), 1)
    assert star_partition.optimal(servers).helper.tolist() == [0]


def test_too_many_neighbours_are_refused() -> None:
    crowded = servers_at_random(np.random.default_rng(9), 20, degree=19.0)
    with pytest.raises(InvalidArgument, match="19 neighbours; at most 18"):
        star_partition.optimal(crowded)
