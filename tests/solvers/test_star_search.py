import numpy as np
import pytest

from tests.solvers.a_neighbourhood import servers_at_random
from twin_runtime.solvers import cooperation, star_partition, star_search
from twin_runtime.solvers.star_choice import one_shot


def test_local_search_is_near_the_best_and_above_its_bounds() -> None:
    generator = np.random.default_rng(1)
    found, best = [], []
    for _ in range(12):
        servers = servers_at_random(generator, 40)
        searched = star_search.local_search(servers)
        greedy = star_search.greedy_marginal(servers)
        assert searched.certificate.value <= greedy.certificate.value * (1 + 1e-9)
        assert searched.certificate.bound <= searched.certificate.value
        np.testing.assert_allclose(searched.energy_j, cooperation.price(servers, searched.helper))
        found.append(searched.certificate.value)
        best.append(star_partition.optimal(servers).certificate.value)
        assert found[-1] >= best[-1] * (1 - 1e-9)
    assert sum(found) <= 1.01 * sum(best)


def test_local_search_finds_the_best_of_seven() -> None:
    generator = np.random.default_rng(2)
    found, best = 0.0, 0.0
    for _ in range(20):
        servers = servers_at_random(generator, 7)
        found += star_search.local_search(servers).certificate.value
        best += star_partition.optimal(servers).certificate.value
    assert found == pytest.approx(best, rel=2e-3)


def test_the_greedy_orders_are_bounded_by_the_best_and_agree_on_its_price() -> None:
    generator = np.random.default_rng(9)
    total = dict.fromkeys(("disjoint", "marginal", "pairs", "best"), 0.0)
    for _ in range(20):
        servers = servers_at_random(generator, 40)
        for name in ("disjoint", "marginal", "pairs"):
            found = getattr(star_search, f"greedy_{name}")(servers)
            np.testing.assert_allclose(found.energy_j, cooperation.price(servers, found.helper))
            total[name] += found.certificate.value
        total["best"] += star_partition.optimal(servers).certificate.value
    assert total["best"] < total["pairs"] < total["marginal"] < total["disjoint"]
    assert total["pairs"] < 1.02 * total["best"]


def test_a_star_that_has_lost_a_member_is_not_opened() -> None:
    """Of three in a row the middle saves most; its neighbours' own stars would be worse."""
    servers = servers_at_random(np.random.default_rng(10), 25)
    helper = star_search.greedy_disjoint(servers).helper
    prices = cooperation.Prices(servers)
    for i in set(helper[helper != np.arange(25)].tolist()):
        _, wanted = star_search.best_saving(prices, i, prices.links[i])
        assert sorted(wanted) == np.flatnonzero((helper == i) & (np.arange(25) != i)).tolist()


def test_no_recipient_would_change_after_best_responses() -> None:
    generator = np.random.default_rng(3)
    for _ in range(10):
        servers = servers_at_random(generator, 12)
        helps = generator.random(12) < 0.4
        found = star_search.best_response(servers, helps)
        links, total = servers.links(), found.certificate.value
        for j in np.flatnonzero(~helps).tolist():
            for i in [j, *[k for k in links[j] if helps[k]]]:
                other = found.helper.copy()
                other[j] = i
                assert cooperation.price(servers, other).sum() >= total * (1 - 1e-8)


def test_best_responses_cost_no_more_than_one_shot_choices_on_average() -> None:
    generator = np.random.default_rng(4)
    responses, shots = 0.0, 0.0
    for _ in range(20):
        servers = servers_at_random(generator, 25)
        helps = star_search.local_maxima(servers)
        helper = one_shot(
            work_cycles=servers.work_cycles,
            ready_s=servers.ready_s,
            usefulness=servers.usefulness,
            neighbours=servers.neighbours,
            helps=helps,
            deadline_s=5.0,
        )
        shots += cooperation.price(servers, helper).sum()
        responses += star_search.best_response(servers, helps).certificate.value
    assert responses <= shots


def test_no_two_neighbours_are_both_local_maxima() -> None:
    generator = np.random.default_rng(5)
    for _ in range(10):
        servers = servers_at_random(generator, 25)
        helps = star_search.local_maxima(servers)
        assert helps.any()
        assert not (servers.neighbours & helps & helps[:, None]).any()


def test_a_best_star_saves_what_its_price_says() -> None:
    servers = servers_at_random(np.random.default_rng(6), 12)
    prices = cooperation.Prices(servers)
    for i, linked in enumerate(servers.links()):
        saving, recipients = star_search.best_saving(prices, i, linked)
        alone = sum(prices.alone[j] for j in [i, *recipients])
        assert saving == pytest.approx(alone - prices.star(i, recipients), abs=1e-6 * alone)
        assert saving >= 0.0


def test_servers_without_neighbours_all_stay_alone() -> None:
    servers = servers_at_random(np.random.default_rng(7), 6, degree=0.0)
    for solver in (star_search.greedy_marginal, star_search.local_search, star_partition.optimal):
        assert solver(servers).helper.tolist() == list(range(6))
    assert not star_search.local_maxima(servers).any()
