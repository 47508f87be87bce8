import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from twin_runtime.physics.arguments import Array, InvalidArgument
from twin_runtime.physics.relocation import Valuation
from twin_runtime.solvers.certificate import Infeasible
from twin_runtime.solvers.historical_data import (
    Edges,
    allocate,
    allocate_two_ended,
    gain,
)

PER_SAMPLE = 784.0 * 1e-7 * 55.0 * 60.0  # training energy
NEVER_BEATEN = 4e-17


def random_edge(generator: np.random.Generator, twins: int, family: str) -> Edges:
    """One edge: its twins resident, or half of them moved here over 10 to 120 m."""
    new, old = generator.integers(200, 1001, (2, twins)).astype(float)
    moved = generator.uniform(10, 120, twins) * (generator.uniform(size=twins) < 0.5)
    unit = {"resident": 0.0, "paper": 1e-4, "causal": 1e-4, "balanced": 1e-6}[family]
    payload = 784.0 * new if family == "paper" else 0.0
    compute = PER_SAMPLE * old
    load = float(PER_SAMPLE * new.sum())
    budget = max(generator.uniform(1400, 1500), load * generator.uniform(1.0, 1.3))
    energy = 12.0 + load + (unit * moved * (payload + 4500.0)).sum()
    edges = int(generator.integers(4, 22))
    return Edges(
        first=np.zeros(1, dtype=np.int64),
        new_samples=new,
        old_samples=old,
        label_distance=generator.choice([0.0, 0.2, 0.4, 0.6], twins),
        slope=compute + 784.0 * unit * moved * old,
        compute_slope=compute,
        fixed_energy=np.array([energy]),
        compute_slack=np.array([budget - load]),
        valuation=Valuation(0.3 / 20, 0.7 / edges, 200.0),
    )


def polished(edges: Edges, start: Array) -> float:
    """The gain that SLSQP reaches from a start, made feasible."""

    def loss(share: Array) -> float:
        return -float(gain(edges, share)[0])

    slack, compute = edges.compute_slack[0], edges.compute_slope
    found = minimize(
        loss,
        start,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * len(start),
        constraints={"type": "ineq", "fun": lambda share: 1.0 - share @ compute / max(slack, 1.0)},
        options={"ftol": 1e-14, "maxiter": 200},
    )
    share = np.clip(found.x, 0.0, 1.0)
    return -loss(share * min(1.0, slack / max(share @ compute, 1e-12)))


def best_on_a_grid(edges: Edges, points: int) -> tuple[float, Array]:
    grid = np.array(list(itertools.product(np.linspace(0, 1, points), repeat=len(edges.slope))))
    grid = grid[grid @ edges.compute_slope <= edges.compute_slack[0]]
    values = gain(edges, grid)[:, 0]
    return float(values.max()), grid[values.argmax()]


@pytest.mark.parametrize("family", ["resident", "paper", "causal", "balanced"])
def test_no_point_of_a_grid_polished_beats_the_answer(family: str) -> None:
    generator = np.random.default_rng(31)
    for _ in range(12):
        edges = random_edge(generator, int(generator.integers(1, 4)), family)
        answer = allocate(edges)
        value, start = best_on_a_grid(edges, 31)
        assert value <= answer.value[0] + NEVER_BEATEN
        assert polished(edges, start) <= answer.value[0] + NEVER_BEATEN
        assert answer.value[0] <= answer.bound[0] <= answer.value[0] + 1e-17


@pytest.mark.parametrize("family", ["resident", "paper", "causal", "balanced"])
def test_no_start_of_a_local_solver_beats_the_answer(family: str) -> None:
    generator = np.random.default_rng(8)
    for _ in range(6):
        edges = random_edge(generator, int(generator.integers(2, 7)), family)
        twins = len(edges.slope)
        starts = [np.zeros(twins), np.ones(twins), *generator.uniform(0, 1, (4, twins))]
        best = max(polished(edges, start) for start in starts)
        assert best <= allocate(edges).value[0] + NEVER_BEATEN


def test_a_local_solver_from_the_middle_often_ends_in_a_worse_optimum() -> None:
    """Causal payload, half of the twins moved: the digest saw 60 % of its instances."""
    generator = np.random.default_rng(5)
    worse = 0
    for _ in range(40):
        edges = random_edge(generator, int(generator.integers(2, 7)), "causal")
        reached = polished(edges, np.full(len(edges.slope), 0.5))
        worse += reached < allocate(edges).value[0] - 1e-6
    assert worse >= 12


@pytest.mark.parametrize("family", ["resident", "paper", "causal", "balanced"])
def test_the_two_ended_form_loses_next_to_nothing(family: str) -> None:
    generator = np.random.default_rng(13)
    for _ in range(40):
        edges = random_edge(generator, int(generator.integers(1, 9)), family)
        exact, fast = allocate(edges), allocate_two_ended(edges)
        assert exact.value[0] - 1e-7 <= fast.value[0] <= exact.value[0] + 1e-15
        assert fast.value[0] <= fast.bound[0]


def stacked(edges: list[Edges]) -> Edges:
    """Edges of different sizes, one after the other."""
    names = [*("new_samples", "old_samples", "label_distance", "slope", "compute_slope")]
    names += ["fixed_energy", "compute_slack"]
    counts = [len(edge.slope) for edge in edges]
    return Edges(
        first=np.cumsum([0, *counts[:-1]]),
        **{name: np.concatenate([getattr(edge, name) for edge in edges]) for name in names},
        valuation=edges[0].valuation,
    )


def test_many_edges_at_once_are_answered_as_one_by_one() -> None:
    generator = np.random.default_rng(3)
    families = ["resident", "paper", "causal", "balanced"]
    singles = [
        dataclasses.replace(
            random_edge(generator, int(generator.integers(1, 9)), families[k % 4]),
            valuation=Valuation(0.3 / 20, 0.7 / 9, 200.0),
        )
        for k in range(40)
    ]
    alone = [allocate(single) for single in singles]
    together = allocate(stacked(singles))
    values, shares = ([getattr(each, name) for each in alone] for name in ("value", "share"))
    np.testing.assert_allclose(together.value, np.concatenate(values), rtol=0, atol=1e-15)
    np.testing.assert_allclose(together.share, np.concatenate(shares), rtol=0, atol=1e-6)


@given(st.integers(0, 10_000), st.sampled_from(["resident", "causal", "balanced"]))
def test_the_order_of_twins_does_not_matter(seed: int, family: str) -> None:
    generator = np.random.default_rng(seed)
    edges = random_edge(generator, 5, family)
    turn = generator.permutation(5)
    names = ("new_samples", "old_samples", "label_distance", "slope", "compute_slope")
    turned = dataclasses.replace(edges, **{name: getattr(edges, name)[turn] for name in names})
    assert allocate(turned).value[0] == pytest.approx(allocate(edges).value[0], abs=1e-14)


@given(st.integers(0, 10_000), st.floats(1.0, 500.0))
def test_a_larger_budget_is_never_worth_less(seed: int, more: float) -> None:
    edges = random_edge(np.random.default_rng(seed), 5, "balanced")
    richer = dataclasses.replace(edges, compute_slack=edges.compute_slack + more)
    assert allocate(richer).value[0] >= allocate(edges).value[0] - 1e-15


@given(st.integers(0, 10_000))
def test_shares_keep_to_the_budget_and_to_what_there_is(seed: int) -> None:
    edges = random_edge(np.random.default_rng(seed), 6, "paper")
    share = allocate(edges).share
    assert (share >= 0).all()
    assert (share <= 1).all()
    assert share @ edges.compute_slope <= edges.compute_slack[0] * (1 + 1e-12)


@given(st.integers(0, 10_000), st.floats(0.01, 100.0))
def test_the_unit_of_energy_does_not_matter(seed: int, unit: float) -> None:
    edges = random_edge(np.random.default_rng(seed), 4, "balanced")
    scaled = dataclasses.replace(
        edges,
        slope=edges.slope * unit,
        compute_slope=edges.compute_slope * unit,
        fixed_energy=edges.fixed_energy * unit,
        compute_slack=edges.compute_slack * unit,
        valuation=dataclasses.replace(edges.valuation, scale=200.0 * unit),
    )
    assert allocate(scaled).value[0] == pytest.approx(allocate(edges).value[0], abs=1e-13)


def test_an_edge_without_history_reuses_nothing() -> None:
    edges = random_edge(np.random.default_rng(1), 3, "resident")
    none = np.zeros(3)
    fresh = dataclasses.replace(edges, old_samples=none, slope=none, compute_slope=none)
    answer = allocate(fresh)
    assert (answer.share == 0).all()
    assert answer.value[0] == gain(fresh, none)[0]


def test_a_budget_just_used_up_leaves_nothing_to_reuse() -> None:
    edges = random_edge(np.random.default_rng(2), 4, "resident")
    full = dataclasses.replace(edges, compute_slack=np.zeros(1))
    assert (allocate(full).share == 0).all()


def test_energy_that_costs_nothing_more_is_all_used() -> None:
    """A saturated edge: Norm is 1 to the last digit, and all history is worth having."""
    edges = random_edge(np.random.default_rng(2), 3, "resident")
    saturated = dataclasses.replace(
        edges, fixed_energy=np.array([1e6]), compute_slack=np.array([1e6])
    )
    assert (allocate(saturated).share == 1).all()


def test_a_budget_is_met_where_newtons_method_would_go_round_in_a_circle() -> None:
    old = np.array([413.0, 652.0, 792.0, 766.0, 347.0, 511.0, 749.0])
    new = np.array([853.0, 304.0, 740.0, 685.0, 675.0, 784.0, 684.0])
    compute = 0.257737402 * old
    slope = compute.copy()
    slope[0] = 832.354258
    edges = Edges(
        first=np.zeros(1, dtype=np.int64),
        new_samples=new,
        old_samples=old,
        label_distance=np.zeros(7),
        slope=slope,
        compute_slope=compute,
        fixed_energy=np.array([2745.085667]),
        compute_slack=np.array([270.321489]),
        valuation=Valuation(0.3 / 20, 0.7 / 9, 200.0),
    )
    answer = allocate(edges)
    start = np.full(7, 0.2)
    assert polished(edges, start) <= answer.value[0] + NEVER_BEATEN
    assert answer.share @ compute == pytest.approx(270.321489)
    assert allocate_two_ended(edges).value[0] == pytest.approx(answer.value[0], abs=1e-15)


def test_an_overloaded_edge_is_infeasible_and_a_malformed_one_is_not() -> None:
    edges = random_edge(np.random.default_rng(2), 3, "resident")
    with pytest.raises(Infeasible, match=r"edge 0 lacks 3 of its budget"):
        allocate(dataclasses.replace(edges, compute_slack=np.array([-3.0])))
    with pytest.raises(InvalidArgument, match=r"slope is -1\.0"):
        dataclasses.replace(edges, slope=np.array([-1.0, 0.0, 0.0]))
    with pytest.raises(InvalidArgument, match="shapes must be equal"):
        dataclasses.replace(edges, old_samples=np.zeros(2))
    with pytest.raises(InvalidArgument, match="shapes must be equal"):
        dataclasses.replace(edges, fixed_energy=np.zeros(2))
    with pytest.raises(InvalidArgument, match="it must rise from 0, below 3"):
        dataclasses.replace(
            edges, first=np.array([0, 3]), fixed_energy=np.zeros(2), compute_slack=np.zeros(2)
        )
