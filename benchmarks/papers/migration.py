"""P3: where users' twins live and what they train on again, in a closed loop over slots.

Users, edges and data depend on the seed alone, so all policies meet the same. The large cases
are the paper's, of 20 users; the small ones can be enumerated, and judge search and look-ahead.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from benchmarks.papers.migration_reference import (
    CASES,
    GAP_BUDGETS,
    GAP_METRICS,
    GAPS,
    HORIZON,
    HORIZON_BUDGET,
    METRICS,
    UPPER_BOUND,
    Case,
    profile,
)
from benchmarks.papers.paper import Paper, Row
from twin_runtime.physics.arguments import Array
from twin_runtime.problems.association import PROBLEM
from twin_runtime.problems.association_policies import POLICIES
from twin_runtime.problems.association_state import Action, State, slot_of
from twin_runtime.problems.environment import Environment
from twin_runtime.problems.scenarios.mobile_users import MobileUsers
from twin_runtime.solvers.association_bounds import gain_bound, without_moves
from twin_runtime.solvers.association_exact import place_exactly
from twin_runtime.solvers.association_horizon import Plan, plan
from twin_runtime.solvers.association_search import search_widely

NAME: Final = "P3"
SLOTS: Final = 750
SEARCHED_SLOTS: Final = 250  # where each slot is searched, for 30 to 100 ms
SEARCHING: Final = ("greedy", "plain_greedy", "pack_and_hold")
GAP_SLOTS: Final = 30
HORIZON_SLOTS: Final = 12
WIDE_ROUNDS: Final = 8


def run(policy: str, seeds: Sequence[int]) -> Iterator[Row]:
    """The rows of one policy."""
    slots = SEARCHED_SLOTS if policy in SEARCHING else SLOTS
    for case in CASES:
        if case.policy == policy:
            yield from case_rows(case, seeds, slots)
    if policy == "bound":
        yield from bound_rows(seeds, SLOTS)
    for name in ("T2", "causal", "BAL"):
        if (name, policy) in GAPS:
            for path in dict.fromkeys((policy, "nearest")):
                yield from gap_rows(name, policy, seeds, GAP_SLOTS, path)
    for name in ("T2", "BAL"):
        if (name, policy) in HORIZON:
            yield from horizon_rows(name, policy, seeds, HORIZON_SLOTS)


def case_rows(case: Case, seeds: Sequence[int], slots: int) -> Iterator[Row]:
    """A policy in one of the paper's cases."""
    runs = [drive(case.policy, case.scenario, seed, slots) for seed in seeds]
    for metric in METRICS:
        about = NAME, case.policy, case.name, metric
        values = [float(each[metric].mean()) for each in runs]
        yield Row.of(about, values, case.reference.get(metric))


def drive(policy: str, scenario: MobileUsers, seed: int, slots: int) -> dict[str, Array]:
    """Every part of the cost, slot by slot."""
    environment = Environment(PROBLEM, scenario, seed)
    generator = np.random.default_rng([seed, 1])  # of the policy: the world has its own
    parts: dict[str, list[float]] = {}
    for _ in range(slots):
        action = POLICIES[policy](environment.state, generator)
        for name, value in environment.step(action).cost.parts.items():
            parts.setdefault(name, []).append(float(value[0]))
    return {name: np.array(values) for name, values in parts.items()}


def bound_rows(seeds: Sequence[int], slots: int) -> Iterator[Row]:
    """What no policy gains; it does not depend on moves, so both profiles share it."""
    for edges, reference in UPPER_BOUND.items():
        scenario = profile("BAL", edges=edges)
        means = []
        for seed in seeds:
            states = course(scenario, seed, slots)
            means.append(float(np.mean([gain_bound(slot_of(state)) for state in states])))
        yield Row.of((NAME, "bound", f"any S={edges}", "gain"), means, reference)


def gap_rows(name: str, policy: str, seeds: Sequence[int], slots: int, path: str) -> Iterator[Row]:
    """How far a policy's gain is below the best of a slot, where twins are put as `path` does."""
    found = [
        np.concatenate([gaps(name, policy, budget, seed, slots, path) for budget in GAP_BUDGETS])
        for seed in seeds
    ]
    measured = {
        "gap_mean": [float(gap.mean()) for gap in found],
        "gap_max": [float(gap.max()) for gap in found],
        "exact_share": [float((gap < 1e-9).mean()) for gap in found],
    }
    scenario = f"{name} U=8 S=4" + ("" if path == policy else f" after {path}")
    for metric in GAP_METRICS:
        reference = GAPS[name, policy].get(metric)
        yield Row.of((NAME, policy, scenario, metric), measured[metric], reference)


def gaps(name: str, policy: str, budget: float, seed: int, slots: int, path: str) -> Array:
    """The gap in each slot."""
    environment = Environment(PROBLEM, small(name, 8, 4, budget), seed)
    generator = np.random.default_rng([seed, 1])
    found = []
    for _ in range(slots):
        state = environment.state
        best = POLICIES["oracle"](state, generator)
        mine = _decided(policy, state, generator)
        worse, better = (PROBLEM.cost(state, action).total[0] for action in (mine, best))
        found.append(worse - better)
        environment.step(mine if path == policy else _decided(path, state, generator))
    return np.array(found)


def _decided(policy: str, state: State, generator: np.random.Generator) -> Action:
    decide = _wide if policy == "wide" else POLICIES[policy]
    return decide(state, generator)


def horizon_rows(name: str, policy: str, seeds: Sequence[int], slots: int) -> Iterator[Row]:
    """The mean gain over a few slots of few twins: known ahead, decided at once, or bounded."""
    scenario = small(name, 4, 3, HORIZON_BUDGET)
    means = [float(np.mean(_horizon(policy, scenario, seed, slots))) for seed in seeds]
    about = NAME, policy, f"{name} U=4 S=3 T={slots}", "gain"
    yield Row.of(about, means, HORIZON[name, policy])


def _horizon(policy: str, scenario: MobileUsers, seed: int, slots: int) -> Array:
    if policy == "clairvoyant":
        return clairvoyant(course(scenario, seed, slots)).value
    if policy == "bound":
        free = [without_moves(slot_of(state)) for state in course(scenario, seed, slots)]
        return np.array([place_exactly(slot).value[0] for slot in free])
    return drive(policy, scenario, seed, slots)["gain"]


def clairvoyant(states: Sequence[State]) -> Plan:
    """The best path through all slots."""
    edges = states[0].scenario.edges
    stages = [[slot_of(states[0])]]
    for state in states[1:]:
        hosts = [np.full_like(state.host, edge) for edge in range(edges)]
        stages.append([slot_of(replace(state, host=host)) for host in hosts])
    return plan(stages)


def course(scenario: MobileUsers, seed: int, slots: int) -> list[State]:
    """The world of every slot; but for where twins are, it is the same whatever is done."""
    environment = Environment(PROBLEM, scenario, seed)
    states = []
    for _ in range(slots):
        states.append(environment.state)
        anywhere = np.zeros_like(environment.state.host)
        environment.state = PROBLEM.transition(
            environment.state, Action(anywhere, anywhere.astype(np.float64)), environment.generator
        )
    return states


def small(name: str, users: int, edges: int, budget: float) -> MobileUsers:
    """Few twins on few edges, with budgets as scarce as in the large cases."""
    low, high = profile(name, edges=edges).compute_budget
    scaled = (budget * low, budget * high)
    return replace(profile(name, edges=edges), users=users, compute_budget=scaled)


def _wide(state: State, generator: np.random.Generator) -> Action:
    placed = search_widely(slot_of(state), state.host[0], generator, WIDE_ROUNDS)
    return Action(placed.edge, placed.share)


PAPER: Final = Paper(
    name=NAME,
    slug="migration",
    title="Energy-Efficient Federated Learning and Migration in Digital Twin Edge Networks",
    policies=(
        *("nearest_random", "nearest", "hold", "pack_and_hold", "plain_greedy"),
        *("greedy", "wide", "oracle", "clairvoyant", "bound"),
    ),
    run=run,
)
