from dataclasses import replace

import numpy as np
import pytest

from tests.solvers.a_neighbourhood import servers_at_random
from twin_runtime.physics.arguments import InvalidArgument
from twin_runtime.solvers import cooperation, time_split
from twin_runtime.solvers.certificate import Infeasible


def drawn(seed: int, count: int = 8, late_s: float = 0.6) -> cooperation.Servers:
    generator = np.random.default_rng(seed)
    return servers_at_random(generator, count, late_s=late_s)


@pytest.mark.parametrize("late_s", [0.6, 4.5])
def test_a_star_costs_what_the_time_split_says(late_s: float) -> None:
    for seed in range(30):
        servers = drawn(seed, late_s=late_s)
        prices = cooperation.Prices(servers)
        for helper, linked in enumerate(servers.links()):
            found = time_split.split(
                helper_cycles=servers.work_cycles[helper],
                helper_ready_s=servers.ready_s[helper],
                recipients_cycles=servers.work_cycles[linked]
                * (1.0 - servers.usefulness[helper, linked]),
                recipients_ready_s=servers.ready_s[linked],
                deadline_s=5.0,
                capacitance=1e-28,
            )
            assert prices.star(helper, linked) == pytest.approx(found.certificate.value)
            shares = prices.shares(helper, linked)
            np.testing.assert_allclose(shares[1:], found.recipients_energy_j)


def test_everybody_alone_costs_what_each_does() -> None:
    servers = drawn(1)
    energy = cooperation.price(servers, np.arange(8))
    alone = 1e-28 * servers.work_cycles**3 / (5.0 - servers.ready_s) ** 2
    np.testing.assert_allclose(energy, alone)


def test_a_server_without_work_neither_helps_nor_is_helped() -> None:
    servers = drawn(2)
    work = servers.work_cycles.copy()
    work[3] = 0.0
    idle = replace(servers, work_cycles=work)
    assert idle.links()[3] == []
    assert all(3 not in linked for linked in idle.links())
    assert cooperation.price(idle, np.arange(8))[3] == 0.0


def test_free_help_is_a_bound_and_nothing_is_free_without_neighbours() -> None:
    servers = drawn(4)
    lonely = replace(servers, neighbours=np.zeros((8, 8), dtype=bool))
    alone = cooperation.price(servers, np.arange(8)).sum()
    assert cooperation.free_help_bound(servers) < alone
    assert cooperation.free_help_bound(lonely) == pytest.approx(alone)


def test_what_is_no_partition_into_stars_is_infeasible() -> None:
    neighbours = np.ones((3, 3), dtype=bool) ^ np.eye(3, dtype=bool)
    servers = replace(drawn(5, count=3), neighbours=neighbours)
    with pytest.raises(Infeasible, match="server 0 cannot be helped by 1"):
        cooperation.price(servers, np.array([1, 2, 2]))
    with pytest.raises(Infeasible, match="no neighbour"):
        cooperation.price(
            replace(servers, neighbours=np.zeros((3, 3), dtype=bool)), np.array([1, 1, 2])
        )


def test_data_after_the_deadline_are_infeasible() -> None:
    servers = drawn(6)
    with pytest.raises(Infeasible, match="too late"):
        replace(servers, ready_s=servers.ready_s + 5.0)


def test_malformed_servers_are_named() -> None:
    servers = drawn(7)
    with pytest.raises(InvalidArgument, match="work_cycles is -1"):
        replace(servers, work_cycles=np.full(8, -1.0))
    with pytest.raises(InvalidArgument, match="symmetric"):
        replace(servers, neighbours=np.triu(np.ones((8, 8), dtype=bool), 1))
    with pytest.raises(InvalidArgument, match=r"usefulness is 1\.5"):
        replace(servers, usefulness=np.full((8, 8), 1.5))
    with pytest.raises(InvalidArgument, match="neighbours is"):
        replace(servers, neighbours=np.zeros((7, 7), dtype=bool))
    with pytest.raises(InvalidArgument, match=r"must be \[n\]"):
        replace(servers, ready_s=np.zeros(7))
    with pytest.raises(InvalidArgument, match="deadline_s is 0"):
        replace(servers, deadline_s=0.0)
