"""Baselines and oracles of `cooperation`, all with every available sensor: [P5] S6, S7.

A name says who helps, and, after the underscore, how recipients choose: at random if nothing
is said, which is how the paper does it; in one shot; or by best response, in rounds.

    alone                   nobody helps
    random, greedy          half of the servers; those with more sensors than the mean
    threshold               those with clearly less to train than their neighbours
    local_max               the local maxima of what a star would save
    greedy_marginal         the star that saves most, again and again
    greedy_disjoint         the same, but what stars save is never computed anew
    greedy_pairs            the recipient that saves most, again and again
    local_search, oracle    near-exact and exact; they see all servers at once

`alone`, `random` and `greedy` and their choices are arrays over worlds; the others loop over
worlds, since each is a search of its own.
"""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from twin_runtime.physics.arguments import Booleans, Integers
from twin_runtime.physics.convergency import missing_fraction, set_sizes
from twin_runtime.physics.cooperation import neighbourhood_mean
from twin_runtime.problems.cooperation import (
    Action,
    Circle,
    State,
    ask_all,
    choose_one_shot,
    collected,
    with_helpers,
)
from twin_runtime.solvers import star_partition, star_search
from twin_runtime.solvers.cooperation import Partition, Servers
from twin_runtime.solvers.iteration_split import unit_costs
from twin_runtime.solvers.star_choice import at_random

Policy = Callable[[State, np.random.Generator], Action]
Helpers = Callable[[State, Circle, np.random.Generator], Booleans]
Choice = Callable[[State, Circle, Booleans, np.random.Generator], Integers]
Solver = Callable[[Servers], Partition]

THRESHOLD: Final = 0.9  # the best of those that the digest tries


def worlds(state: State, circle: Circle) -> list[Servers]:
    """What a solver sees of each world: an idle server is one without work."""
    scenario = state.scenario
    work = np.where(circle.idle, 0.0, circle.work_cycles)
    return [
        Servers(
            work_cycles=work[world],
            ready_s=circle.ready_s[world],
            neighbours=state.neighbours[world],
            usefulness=state.usefulness[world],
            deadline_s=scenario.deadline_s,
            capacitance=scenario.capacitance,
        )
        for world in range(len(work))
    ]


def nobody(state: State, circle: Circle, generator: np.random.Generator) -> Booleans:
    del state, generator
    return np.zeros(circle.idle.shape, dtype=bool)


def half(state: State, circle: Circle, generator: np.random.Generator) -> Booleans:
    del state
    return generator.random(circle.idle.shape) < 0.5  # noqa: PLR2004 - one half


def rich_in_sensors(state: State, circle: Circle, generator: np.random.Generator) -> Booleans:
    """Who has more available sensors than the mean of its world."""
    del circle, generator
    count = state.embb.counts() + state.urllc.counts()
    return np.asarray(count > count.mean(axis=-1, keepdims=True))


def light_in_work(state: State, circle: Circle, generator: np.random.Generator) -> Booleans:
    """Whose work is below `THRESHOLD` of that of a server with its neighbours' mean
    observation: the least that a policy of the observation can do. [P5] 6.4.
    """
    del circle, generator
    own = np.stack([state.embb.counts(), state.urllc.counts(), state.base_fraction], axis=-1)
    around = neighbourhood_mean(values=own, neighbours=state.neighbours)
    sides = []
    for seen in (own, around):
        costs = unit_costs(
            sizes=set_sizes(samples=state.scenario.samples, embb=seen[..., 0], urllc=seen[..., 1]),
            importance=np.array(state.scenario.importance),
            size_power=state.scenario.size_power,
            cycles_per_sample=np.array(state.scenario.cycles_per_sample),
        )
        sides.append(missing_fraction(base_fraction=seen[..., 2]) * costs.min(axis=-1))
    return np.asarray(sides[0] < THRESHOLD * sides[1])


def local_maxima(state: State, circle: Circle, generator: np.random.Generator) -> Booleans:
    del generator
    return np.stack([star_search.local_maxima(servers) for servers in worlds(state, circle)])


def any_helper(
    state: State, circle: Circle, helps: Booleans, generator: np.random.Generator
) -> Integers:
    active = ~circle.idle
    linked = state.neighbours & active[..., None] & active[..., None, :]
    return at_random(neighbours=linked, helps=helps, generator=generator)


def one_shot(
    state: State, circle: Circle, helps: Booleans, generator: np.random.Generator
) -> Integers:
    del generator
    return choose_one_shot(state, circle, helps)


def best_response(
    state: State, circle: Circle, helps: Booleans, generator: np.random.Generator
) -> Integers:
    del generator
    pairs = zip(worlds(state, circle), helps, strict=True)
    return np.stack([star_search.best_response(servers, row).helper for servers, row in pairs])


def rule(who: Helpers, choice: Choice) -> Policy:
    """A policy of two rules: who helps, and which helper a recipient takes."""

    def policy(state: State, generator: np.random.Generator) -> Action:
        asked = ask_all(state)
        circle = collected(state, asked)
        helps = who(state, circle, generator)
        return with_helpers(state, asked, circle, choice(state, circle, helps, generator))

    return policy


def solved(solver: Solver) -> Policy:
    """A policy that takes a solver's partition, world by world."""

    def policy(state: State, generator: np.random.Generator) -> Action:
        del generator
        asked = ask_all(state)
        circle = collected(state, asked)
        helper = np.stack([solver(servers).helper for servers in worlds(state, circle)])
        return with_helpers(state, asked, circle, helper)

    return policy


POLICIES: Final[Mapping[str, Policy]] = {
    "alone": rule(nobody, one_shot),
    "random": rule(half, any_helper),
    "random_one_shot": rule(half, one_shot),
    "greedy": rule(rich_in_sensors, any_helper),
    "greedy_one_shot": rule(rich_in_sensors, one_shot),
    "greedy_best_response": rule(rich_in_sensors, best_response),
    "threshold": rule(light_in_work, any_helper),
    "threshold_one_shot": rule(light_in_work, one_shot),
    "threshold_best_response": rule(light_in_work, best_response),
    "local_max": rule(local_maxima, best_response),
    "local_max_one_shot": rule(local_maxima, one_shot),
    "greedy_marginal": solved(star_search.greedy_marginal),
    "greedy_disjoint": solved(star_search.greedy_disjoint),
    "greedy_pairs": solved(star_search.greedy_pairs),
    "local_search": solved(star_search.local_search),
    "oracle": solved(star_partition.optimal),
}
