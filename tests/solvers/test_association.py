import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin_runtime.physics.arguments import Integers, InvalidArgument
from twin_runtime.problems.association import PROBLEM
from twin_runtime.problems.association_policies import POLICIES
from twin_runtime.problems.association_state import State, slot_of
from twin_runtime.problems.environment import Environment
from twin_runtime.problems.scenarios.mobile_users import MobileUsers
from twin_runtime.solvers.association import Slot, loads, overload, place, worth
from twin_runtime.solvers.association_bounds import (
    chord_bound,
    gain_bound,
    packing_bound,
    without_moves,
)
from twin_runtime.solvers.association_exact import place_exactly
from twin_runtime.solvers.association_horizon import plan
from twin_runtime.solvers.association_repair import (
    begin_residual,
    fits,
    largest_first,
    pack,
    place_in_turn,
    repair,
    take,
)
from twin_runtime.solvers.association_search import (
    SetValues,
    descend,
    neighbours,
    relocations,
    search,
    search_packed,
    search_plainly,
    search_widely,
)
from twin_runtime.solvers.certificate import Infeasible

PROFILES = {
    "T2": MobileUsers.table_ii(),
    "causal": MobileUsers(),
    "BAL": MobileUsers.balanced(),
}


def small(name: str, users: int, edges: int, budget: float) -> MobileUsers:
    compute = (1400.0 * budget, 1500.0 * budget)
    return replace(PROFILES[name], users=users, edges=edges, compute_budget=compute)


def states(scenario: MobileUsers, slots: int, seed: int, policy: str) -> Iterator[State]:
    """Slots after the first, along the path of a policy."""
    environment = Environment(PROBLEM, scenario, seed)
    generator = np.random.default_rng(seed)
    for _ in range(slots):
        environment.step(POLICIES[policy](environment.state, generator))
        yield environment.state


@pytest.mark.parametrize("name", PROFILES)
def test_the_dynamic_programme_finds_what_enumeration_finds(name: str) -> None:
    for state in states(small(name, 5, 3, 0.5), 2, 3, "hold"):
        slot = slot_of(state)
        hosts = np.array(list(itertools.product(range(3), repeat=5)))
        totals = SetValues(slot).totals(hosts)
        best = place_exactly(slot)
        assert best.value[0] == pytest.approx(totals.max(), abs=1e-15)
        assert (best.edge[0] == hosts[totals.argmax()]).all()
        assert best.certificate.gap < 1e-15


@pytest.mark.parametrize("name, mean_gap", [("T2", 0.0047), ("causal", 0.0019), ("BAL", 0.0017)])
def test_search_loses_no_more_than_the_digest_saw(name: str, mean_gap: float) -> None:
    lost, lost_widely = [], []
    generator = np.random.default_rng(0)
    for budget in (0.4, 0.7):
        for state in states(small(name, 7, 4, budget), 2, 1, "oracle"):
            slot = slot_of(state)
            best = place_exactly(slot).value[0]
            lost.append(best - search(slot, state.host[0]).value[0])
            widely = search_widely(slot, state.host[0], generator, 2)
            lost_widely.append(best - widely.value[0])
    assert 0 <= np.mean(lost) <= mean_gap
    assert -1e-15 <= np.mean(lost_widely) <= np.mean(lost) + 1e-15


@pytest.mark.parametrize("name", PROFILES)
def test_no_placement_gains_more_than_the_bounds(name: str) -> None:
    for state in states(small(name, 6, 3, 0.5), 3, 5, "hold"):
        slot = slot_of(state)
        best, free = place_exactly(slot), place_exactly(without_moves(slot))
        assert best.value[0] <= free.value[0] + 1e-15
        assert free.value[0] <= chord_bound(slot)[0]
        assert free.value[0] <= packing_bound(slot)[0]
        assert gain_bound(slot)[0] == min(chord_bound(slot)[0], packing_bound(slot)[0])


def test_a_search_of_the_papers_size_ends_within_its_bound_and_its_budgets() -> None:
    for state in states(MobileUsers.table_ii(), 2, 0, "nearest"):
        slot = slot_of(state)
        found = search(slot, state.host[0])
        assert found.value[0] <= found.bound[0]
        assert found.certificate.gap < 0.03
        assert (overload(slot, found.edge) == 0).all()
        assert found.value[0] > place(slot, state.host).value[0]


def test_the_plain_search_loses_nothing_and_the_other_gains_more() -> None:
    plain, full = [], []
    for seed in range(4):
        for state in states(small("T2", 8, 4, 0.5), 4, seed, "hold"):
            slot, host = slot_of(state), state.host[0]
            plain.append(search_plainly(slot, host).value[0])
            full.append(search(slot, host).value[0])
            assert plain[-1] >= SetValues(slot).totals(host[None])[0] - 1e-15
    assert np.mean(full) > np.mean(plain)


def test_a_search_from_packed_placements_keeps_to_the_budgets_and_beats_them() -> None:
    slot = slot_of(Environment(PROBLEM, MobileUsers.balanced(), 4).state)
    found = search_packed(slot)
    assert (overload(slot, found.edge) == 0).all()
    packed = pack(slot, np.zeros(slot.training.shape))
    assert place(slot, packed).value[0] <= found.value[0] <= found.bound[0]


@settings(max_examples=10)
@given(st.integers(0, 1000))
def test_neither_the_order_of_twins_nor_that_of_edges_matters(seed: int) -> None:
    state = next(states(small("BAL", 5, 3, 0.5), 1, seed, "hold"))
    slot, generator = slot_of(state), np.random.default_rng(seed)
    twins, edges = generator.permutation(5), generator.permutation(3)
    turned = turn(slot, twins, edges)
    first, second = place_exactly(slot), place_exactly(turned)
    assert second.value[0] == pytest.approx(first.value[0], abs=1e-14)


def turn(slot: Slot, twins: Integers, edges: Integers) -> Slot:
    return replace(
        slot,
        new_samples=slot.new_samples[:, twins],
        old_samples=slot.old_samples[:, twins],
        label_distance=slot.label_distance[:, twins],
        moving=slot.moving[:, twins][:, :, edges],
        synchronisation=slot.synchronisation[:, twins][:, :, edges],
        training=slot.training[:, twins][:, :, edges],
        slope=slot.slope[:, twins][:, :, edges],
        compute_slope=slot.compute_slope[:, twins][:, :, edges],
        compute_budget=slot.compute_budget[:, edges],
        synchronisation_budget=slot.synchronisation_budget[:, edges],
    )


def test_a_descent_ends_where_no_neighbour_is_better() -> None:
    state = next(states(small("T2", 8, 4, 0.6), 1, 2, "nearest"))
    slot = slot_of(state)
    values = SetValues(slot)
    end = descend(values, state.host[0])
    best = values.totals(end[None])[0]
    assert values.totals(neighbours(slot, end)).max() <= best + 1e-12


def test_relocations_move_one_twin_or_all_of_an_edge_to_one_other_that_fits_them() -> None:
    state = next(states(MobileUsers.table_ii(), 1, 2, "nearest"))
    slot, host = slot_of(state), state.host[0]
    whole = 0
    for tried in relocations(slot, host):
        moved = tried != host
        left = np.unique(host[moved])
        assert len(left) == len(np.unique(tried[moved])) == 1
        assert (overload(slot, tried[None]) == 0).all()
        whole += int(moved.sum() > 1)
        assert moved.sum() == 1 or (moved == (host == left)).all()
    assert whole > 0


def test_all_worlds_are_repaired_from_scores_that_all_prefer_one_edge() -> None:
    """The digest: 100 of 100 feasible, 20 twins, 9 edges."""
    state = Environment(PROBLEM, MobileUsers.table_ii(), 4, batch=100).state
    slot = slot_of(state)
    scores = np.random.default_rng(0).normal(size=slot.training.shape)
    scores[:, :, 3] += 10.0
    edge = repair(slot, scores.argmax(axis=2), scores)
    assert (overload(slot, edge) == 0).all()
    assert (edge == 3).any(axis=1).all()  # some stay where they wanted to be


def test_what_fits_is_not_repaired() -> None:
    state = Environment(PROBLEM, MobileUsers.table_ii(), 4, batch=10).state
    slot = slot_of(state)
    edge = np.tile(np.arange(20) % 9, (10, 1))
    scores = np.zeros(slot.training.shape)
    assert (overload(slot, edge) == 0).all()
    assert (repair(slot, edge, scores) == edge).all()


def test_synchronisation_binds_when_its_budget_is_small() -> None:
    """At table II's it never does; near 7 it does."""
    tight = replace(MobileUsers.table_ii(), synchronisation_budget=(7.0, 8.0))
    slot = slot_of(Environment(PROBLEM, tight, 4, batch=20).state)
    scores = np.zeros(slot.training.shape)
    scores[:, :, 0] = 1.0
    packed = np.zeros((20, 20), dtype=np.int64)
    assert (overload(slot, packed)[:, 0] > 0).all()
    spread = repair(slot, packed, scores)
    upload = loads(slot, spread)[1]
    assert (overload(slot, spread).sum(axis=1) < overload(slot, packed).sum(axis=1)).all()
    assert (upload <= slot.synchronisation_budget).mean() > 0.95


def test_twins_in_turn_take_their_best_edge_among_those_that_fit() -> None:
    slot = slot_of(Environment(PROBLEM, MobileUsers.table_ii(), 4, batch=3).state)
    scores = np.random.default_rng(0).normal(size=slot.training.shape)
    order = largest_first(slot)
    edge = place_in_turn(slot, scores, order)
    left, world = begin_residual(slot), np.arange(3)
    for twin in order.T:
        fit = fits(slot, twin, left)
        best = np.where(fit, scores[world, twin], -np.inf).argmax(axis=1)
        assert (edge[world, twin] == best).all()
        left = take(slot, twin, edge[world, twin], left)
    assert (np.diff(np.take_along_axis(slot.new_samples, order, axis=1), axis=1) <= 0).all()


def test_packing_uses_few_edges_and_keeps_to_the_budgets() -> None:
    slot = slot_of(Environment(PROBLEM, MobileUsers.table_ii(), 4, batch=20).state)
    edge = pack(slot, np.zeros(slot.training.shape))
    load = loads(slot, edge)[0]
    assert (overload(slot, edge) == 0).all()
    least = np.ceil(load.sum(axis=1) / slot.compute_budget.max(axis=1))
    assert ((load > 0).sum(axis=1) <= least + 1).all()


def test_a_placement_in_many_worlds_is_that_of_each() -> None:
    scenario = replace(MobileUsers.balanced(), users=7, edges=4)
    state = Environment(PROBLEM, scenario, 4, batch=6).state
    state = replace(state, old_samples=state.new_samples[:, ::-1].copy())
    slot = slot_of(state)
    edge = np.random.default_rng(0).integers(0, 4, (6, 7))
    together = place(slot, edge)
    for world in range(6):
        alone = place(slot.world(world), edge[world : world + 1])
        assert together.value[world] == pytest.approx(alone.value[0], abs=1e-15)
        np.testing.assert_allclose(together.share[world], alone.share[0], atol=1e-9)


def test_an_edge_is_worth_nothing_without_twins_and_cannot_take_too_many() -> None:
    slot = slot_of(Environment(PROBLEM, MobileUsers.table_ii(), 4).state)
    members = np.array([[False] * 20, [True] * 20, [True] + [False] * 19])
    values = worth(slot, np.zeros(3, dtype=np.int64), members)
    assert values[0] == 0
    assert values[1] == -np.inf
    assert np.isfinite(values[2])


def stages(scenario: MobileUsers, slots: int) -> list[list[Slot]]:
    environment = Environment(PROBLEM, scenario, 6)
    generator = np.random.default_rng(0)
    found = [[slot_of(environment.state)]]
    for _ in range(slots - 1):
        environment.step(POLICIES["hold"](environment.state, generator))
        state = environment.state
        hosts = [np.full_like(state.host, edge) for edge in range(scenario.edges)]
        found.append([slot_of(replace(state, host=host)) for host in hosts])
    return found


@pytest.mark.parametrize("name", PROFILES)
def test_the_plan_is_the_best_of_all_paths(name: str) -> None:
    course = stages(small(name, 2, 2, 0.35), 3)
    placements = list(itertools.product(range(2), repeat=2))
    best = -np.inf
    for path in itertools.product(placements, repeat=3):
        total = 0.0
        for slot, before, host in zip(course, (None, *path[:-1]), path, strict=True):
            here = slot[0] if before is None else origins(slot, before)
            total += SetValues(here).totals(np.array([host]))[0]
        best = max(best, total)
    assert plan(course).value.sum() == pytest.approx(best, abs=1e-14)


def origins(stage: list[Slot], before: tuple[int, ...]) -> Slot:
    """The slot of twins that were on these edges."""
    moving = [stage[edge].moving[:, twin] for twin, edge in enumerate(before)]
    slope = [stage[edge].slope[:, twin] for twin, edge in enumerate(before)]
    return replace(stage[0], moving=np.stack(moving, axis=1), slope=np.stack(slope, axis=1))


def test_what_cannot_be_hosted_is_infeasible_and_what_is_malformed_is_not() -> None:
    slot = slot_of(Environment(PROBLEM, small("T2", 4, 2, 0.05), 1).state)
    with pytest.raises(Infeasible, match="no placement"):
        place_exactly(slot)
    with pytest.raises(Infeasible, match="some slot"):
        plan([[slot]])
    with pytest.raises(InvalidArgument, match="13"):
        place_exactly(slot_of(Environment(PROBLEM, MobileUsers.table_ii(), 1).state))
    with pytest.raises(InvalidArgument, match="has 2 worlds"):
        worth(
            slot_of(Environment(PROBLEM, small("T2", 4, 2, 1), 1, batch=2).state),
            np.zeros(1, dtype=np.int64),
            np.ones((1, 4), dtype=bool),
        )
    with pytest.raises(InvalidArgument, match="moving has the shape"):
        replace(slot, moving=slot.moving[:, :1])
    with pytest.raises(InvalidArgument, match="compute_budget is -1"):
        replace(slot, compute_budget=-np.ones_like(slot.compute_budget))
    with pytest.raises(InvalidArgument, match="edge is 2"):
        place(slot, np.array([[0, 1, 2, 0]]))
    with pytest.raises(InvalidArgument, match="scores"):
        repair(slot, np.zeros((1, 4), dtype=np.int64), np.zeros((1, 4, 3)))
    with pytest.raises(InvalidArgument, match="too many to list"):
        plan([[slot_of(Environment(PROBLEM, MobileUsers.table_ii(), 1).state)]])
    with pytest.raises(InvalidArgument, match="an instance for each of 2 edges"):
        plan([[slot], [slot]])
