"""Shares of an uplink against SciPy's solvers, and what must hold of any shares."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, linprog, minimize

from twin_runtime.physics.arguments import InvalidArgument
from twin_runtime.solvers.bandwidth import (
    flat_shares,
    selective_shares,
    selective_shares_after,
    whole_channels,
)
from twin_runtime.solvers.certificate import Infeasible

SEEDS = st.integers(0, 2**32 - 1)


def linear_program(demand: np.ndarray, rate: np.ndarray) -> float:
    """The finish by HiGHS."""
    stations, channels = rate.shape
    cost = np.zeros(rate.size + 1)
    cost[-1] = -1.0
    serve = np.zeros((stations, rate.size + 1))
    for m in range(stations):
        serve[m, m * channels : (m + 1) * channels] = -rate[m] / demand[m]
    serve[:, -1] = 1.0
    spend = np.hstack([np.tile(np.eye(channels), stations), np.zeros((channels, 1))])
    found = linprog(cost, A_ub=np.vstack([serve, spend]), b_ub=[0.0] * stations + [1.0] * channels)
    return float(-1.0 / found.fun)


def nonlinear(demand: np.ndarray, ready: np.ndarray) -> float:
    """The finish by SLSQP over shares and T."""
    count = len(demand)
    start = np.append(np.full(count, 1 / count), (ready + count * demand).max())
    found = minimize(
        lambda x: x[-1],
        start,
        jac=lambda x: np.append(np.zeros(count), 1.0),
        bounds=[(1e-9, 1.0)] * count + [(0.0, None)],
        constraints=[
            {"type": "eq", "fun": lambda x: x[:-1].sum() - 1.0},
            {"type": "ineq", "fun": lambda x: x[-1] - ready - demand / x[:-1]},
        ],
        options={"ftol": 1e-15, "maxiter": 500},
    )
    return float(found.fun)


@pytest.mark.parametrize("seed", range(20))
def test_flat_shares_are_those_of_a_linear_program_and_of_slsqp(seed: int) -> None:
    demand = np.random.default_rng(seed).uniform(0.1, 3.0, 5)
    shares = flat_shares(demand_s=demand)
    assert shares.finish_s == pytest.approx(linear_program(demand, np.ones((5, 1))), rel=1e-14)
    assert shares.finish_s == pytest.approx(nonlinear(demand, np.zeros(5)), rel=1e-9)
    assert shares.share == pytest.approx(demand / demand.sum(), rel=1e-14)


@pytest.mark.parametrize("seed", range(20))
def test_shares_with_ready_times_are_those_of_brentq_and_of_slsqp(seed: int) -> None:
    generator = np.random.default_rng(seed)
    demand, ready = generator.uniform(0.1, 3.0, 5), generator.uniform(0.0, 5.0, 5)
    shares = flat_shares(demand_s=demand, ready_s=ready)
    root = brentq(
        lambda finish: (demand / (finish - ready)).sum() - 1.0,
        (ready + demand).max(),
        ready.max() + demand.sum(),
        xtol=1e-15,
        rtol=1e-15,
    )
    assert shares.finish_s == pytest.approx(root, rel=3e-15)
    assert shares.finish_s == pytest.approx(nonlinear(demand, ready), rel=1e-9)
    assert shares.certificate.gap <= 1e-14


@pytest.mark.parametrize("seed", range(20))
def test_selective_shares_are_those_of_a_linear_program(seed: int) -> None:
    generator = np.random.default_rng(seed)
    demand = generator.uniform(0.1, 3.0, 5) * 1e8
    rate = generator.exponential(1e8, (5, 4))
    shares = selective_shares(demand_bits=demand, rate_bps=rate)
    assert shares.finish_s == pytest.approx(linear_program(demand, rate), rel=2e-11)
    assert shares.certificate.gap <= 2e-11
    assert (demand / (shares.share * rate).sum(axis=1)).max() == pytest.approx(shares.finish_s)


@pytest.mark.parametrize("seed", range(10))
def test_whole_channels_are_the_best_of_all_ways_to_give_them_away(seed: int) -> None:
    generator = np.random.default_rng(seed)
    demand = generator.uniform(0.1, 3.0, 3) * 1e8
    rate = generator.exponential(1e8, (3, 4))
    shares = whole_channels(demand_bits=demand, rate_bps=rate)
    owner = np.array(list(product(range(3), repeat=4)))
    got = ((owner[:, None] == np.arange(3)[:, None]) * rate).sum(axis=2)
    served = got.min(axis=1) > 0
    best = (demand / got[served]).max(axis=1).min()
    assert shares.finish_s == pytest.approx(best, rel=1e-9)
    assert shares.bound_s == pytest.approx(best, rel=1e-8)
    assert set(shares.share.ravel().tolist()) <= {0.0, 1.0}
    assert shares.share.sum(axis=0).max() == 1.0
    divided = selective_shares(demand_bits=demand, rate_bps=rate)
    assert divided.finish_s <= shares.finish_s * (1 + 1e-9)


def test_whole_channels_of_many_worlds_leave_out_who_sends_nothing() -> None:
    demand = np.array([[1.0, 0.0], [0.0, 0.0], [1.0, 2.0]])
    rate = np.array([[1.0, 3.0], [2.0, 1.0]])
    shares = whole_channels(demand_bits=demand, rate_bps=rate)
    assert shares.finish_s == pytest.approx([0.25, 0.0, 1.0])
    assert shares.share[0].sum(axis=1).tolist() == [2.0, 0.0]
    assert not shares.share[1].any()


def test_fewer_whole_channels_than_stations_are_infeasible() -> None:
    with pytest.raises(Infeasible, match="1 whole sub-channels do not serve 2 stations"):
        whole_channels(demand_bits=[1.0, 1.0], rate_bps=np.ones((2, 1)))


@pytest.mark.parametrize("seed", range(5))
def test_selective_shares_with_ready_times_are_those_of_a_bisection_over_programs(
    seed: int,
) -> None:
    generator = np.random.default_rng(seed)
    demand, ready = generator.uniform(0.1, 3.0, 4), generator.uniform(0.0, 5.0, 4)
    rate = generator.exponential(1.0, (4, 3))
    shares = selective_shares_after(demand_bits=demand, rate_bps=rate, ready_s=ready)
    root = brentq(
        lambda finish: linear_program(demand / (finish - ready), rate) - 1.0,
        (ready + demand / rate.sum(axis=1)).max() * (1 + 1e-12),
        ready.max() + linear_program(demand, rate) + 1.0,
        xtol=1e-12,
    )
    assert shares.finish_s == pytest.approx(root, rel=1e-9)
    assert shares.certificate.gap <= 1e-9


@given(SEEDS)
def test_a_flat_channel_makes_selective_shares_flat(seed: int) -> None:
    generator = np.random.default_rng(seed)
    demand, rate = generator.uniform(0.1, 3.0, (4, 5)), generator.uniform(0.5, 2.0, (4, 5))
    ready = generator.uniform(0.0, 2.0, (4, 5))
    flat = flat_shares(demand_s=demand / (3 * rate), ready_s=ready)
    links = np.repeat(rate[:, :, None], 3, axis=2)
    one = selective_shares_after(demand_bits=demand, rate_bps=links, ready_s=ready)
    assert one.finish_s == pytest.approx(flat.finish_s, rel=1e-9)


@given(SEEDS)
@settings(max_examples=40)
def test_worlds_do_not_see_each_other_and_stations_may_be_renamed(seed: int) -> None:
    generator = np.random.default_rng(seed)
    demand = generator.uniform(0.1, 3.0, (3, 4)) * (generator.random((3, 4)) < 0.7)
    rate = generator.exponential(1.0, (3, 4, 2))
    together = selective_shares(demand_bits=demand, rate_bps=rate)
    order = generator.permutation(4)
    for world in range(3):
        alone = selective_shares(demand_bits=demand[world, order], rate_bps=rate[world, order])
        assert alone.finish_s == pytest.approx(together.finish_s[world], rel=1e-9)


@given(SEEDS, st.floats(1e-9, 1e9))
@settings(max_examples=40)
def test_a_finish_scales_with_bits_and_rates(seed: int, scale: float) -> None:
    generator = np.random.default_rng(seed)
    demand, rate = generator.uniform(0.1, 3.0, 4), generator.exponential(1.0, (4, 3))
    once = selective_shares(demand_bits=demand, rate_bps=rate).finish_s
    more = selective_shares(demand_bits=scale * demand, rate_bps=rate).finish_s
    both = selective_shares(demand_bits=scale * demand, rate_bps=scale * rate).finish_s
    assert more == pytest.approx(scale * once, rel=1e-9)
    assert both == pytest.approx(once, rel=1e-9)


@given(SEEDS)
@settings(max_examples=40)
def test_more_demand_or_a_later_start_never_ends_earlier(seed: int) -> None:
    generator = np.random.default_rng(seed)
    demand, ready, rate = *generator.uniform(0.1, 3.0, (2, 4)), generator.exponential(1.0, (4, 3))
    more = generator.uniform(1.0, 2.0, 4)

    def finish(demand: np.ndarray, ready: np.ndarray) -> float:
        shares = selective_shares_after(demand_bits=demand, rate_bps=rate, ready_s=ready)
        assert (shares.share >= 0).all()
        assert shares.share.sum(axis=0) == pytest.approx(1.0)
        return float(shares.finish_s)

    assert finish(demand * more, ready) >= finish(demand, ready) * (1 - 1e-9)
    assert finish(demand, ready * more) >= finish(demand, ready) * (1 - 1e-9)


def test_gains_of_twelve_orders_of_magnitude_are_certified_all_the_same() -> None:
    rate = 10 ** np.random.default_rng(0).uniform(-6, 6, (50, 5, 5))
    shares = selective_shares(demand_bits=np.ones((50, 5)), rate_bps=rate)
    assert (shares.finish_s <= shares.bound_s * (1 + 1e-9)).all()


def test_who_is_ready_late_and_sends_little_is_certified_all_the_same() -> None:
    """A hair's breadth of the finish is a large part of what the late one has left."""
    shares = selective_shares_after(
        demand_bits=[0.001, 0.0548],
        rate_bps=[[3.865, 25.84], [0.6283, 2.01]],
        ready_s=[4.397, 0.3867],
    )
    assert shares.finish_s <= shares.bound_s * (1 + 1.1e-10)


def test_who_demands_nothing_gets_nothing_and_delays_nobody() -> None:
    demand, ready = [2.0, 0.0, 1.0], [0.0, 100.0, 0.0]
    flat = flat_shares(demand_s=demand, ready_s=ready)
    assert flat.finish_s == 3.0
    assert flat.share == pytest.approx([2 / 3, 0, 1 / 3])
    links = selective_shares_after(demand_bits=demand, rate_bps=np.ones((3, 2)), ready_s=ready)
    assert links.finish_s == pytest.approx(1.5)
    assert links.share[1].tolist() == [0, 0]


def test_where_nobody_demands_anything_all_are_done_at_once() -> None:
    assert flat_shares(demand_s=[0.0, 0.0]).finish_s == 0.0
    shares = selective_shares(demand_bits=np.array([[0, 0], [1, 1]]), rate_bps=np.ones((2, 2, 3)))
    assert shares.finish_s.tolist() == [0.0, pytest.approx(2 / 3)]
    assert not shares.share[0].any()


def test_a_station_without_any_rate_makes_the_instance_infeasible() -> None:
    with pytest.raises(Infeasible, match="station 1 of world 0 demands"):
        selective_shares(demand_bits=[1.0, 1.0], rate_bps=[[1.0, 1.0], [0.0, 0.0]])


def test_malformed_links_are_named() -> None:
    with pytest.raises(InvalidArgument, match=r"demand_bits \(2,\), rate_bps \(3, 2\)"):
        selective_shares(demand_bits=[1.0, 1.0], rate_bps=np.ones((3, 2)))
    with pytest.raises(InvalidArgument, match="demand_s is nan"):
        flat_shares(demand_s=[1.0, np.nan])
