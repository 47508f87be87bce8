"""Cooperation of servers that each keep a model of their surroundings fresh: [P5].

In every circle each server asks some of its sensors for data and trains until its model has
converged, by a deadline. Some servers help: they train early and give their parameters to
neighbours, who then have less to train. Decided per server: does it help, how many sensors of
each kind send, and with which received power. All else follows: which helper a recipient
waits for (`star_choice.one_shot`), and how the time is split (`time_split`), exactly.

The cost of a server is its energy and its neighbours', relative to what these would have
spent had nobody helped: raw joules have too heavy a tail to learn from.

All arrays are `[batch, server, ...]`. A server without data, or with data that comes after
the deadline, is *idle*: it trains nothing, neither helps nor is helped, and its model ages.
"""

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
from scipy import special

from twin_runtime.physics.arguments import Array, Booleans, Integers
from twin_runtime.physics.convergency import (
    drifted_fraction,
    merged_fraction,
    missing_fraction,
    set_sizes,
)
from twin_runtime.physics.cooperation import (
    latency_s,
    neighbourhood_energy_j,
    neighbourhood_mean,
    paced_energy_j,
)
from twin_runtime.physics.geometry import distance_m, uniform_in_square
from twin_runtime.problems import cooperation_sensors as sensors_of
from twin_runtime.problems.cooperation_heads import HEADS, best_levels, meaning
from twin_runtime.problems.cooperation_sensors import Asked, Sensors
from twin_runtime.problems.problem import Cost, Observation, Problem, Scores, Spec, Tensor
from twin_runtime.problems.scenarios.wide_area import WideArea
from twin_runtime.solvers.iteration_split import split as iterations
from twin_runtime.solvers.star_choice import one_shot
from twin_runtime.solvers.time_split import split_stars

COUNT_SCALE: Final = 40.0  # sensors of a kind, and neighbours, that a policy sees as 1
DEGREE_SCALE: Final = 5.0
REFERENCE_LEVEL: Final = 0.5  # of the received power, where nobody decides it
_LATE_S: Final = 1e-9  # what sums of times may lose by rounding
_IDLE_CYCLES: Final = 1.0  # the work of who has none: for solvers that divide by it


@dataclass(frozen=True, slots=True)
class State:
    """A circle's start.

    `neighbours` and `usefulness` are `[batch, server, server]`, the latter of the row's model
    for the column's server; `base_fraction` is how far each model has converged; `drift_noise`
    is the weather behind its drift, standard normal.
    """

    scenario: WideArea
    position_m: Array
    neighbours: Booleans
    usefulness: Array
    embb: Sensors
    urllc: Sensors
    base_fraction: Array
    drift_noise: Array


@dataclass(frozen=True, slots=True)
class Action:
    """Who sends, whose parameters each server waits for (its own index: nobody's), and for
    how long it trains then `[batch, server]`."""

    asked: Asked
    helper: Integers
    computing_s: Array


class Circle(NamedTuple):
    """What follows from the data that is collected: when it is there, and the work of each
    server without help; both are of no meaning where a server is idle."""

    ready_s: Array
    work_cycles: Array
    idle: Booleans


class Outcome(NamedTuple):
    """Of each server: energy, when it is done, and how far its model has converged then."""

    energy_j: Array
    latency_s: Array
    fraction: Array


def begin(scenario: WideArea, batch: int, generator: np.random.Generator) -> State:
    """New places, neighbours, sensors and models."""
    shape = (batch, scenario.servers)
    place = uniform_in_square(generator, shape, side_m=scenario.side_m)
    apart = distance_m(source_m=place[..., None, :], target_m=place[..., None, :, :])
    useful = np.triu(generator.uniform(*scenario.usefulness, (*shape, scenario.servers)), 1)
    noise = _spread(scenario, place, generator.standard_normal(shape))
    base = drifted_fraction(fraction=1.0, drift=_drift(scenario, noise))
    embb, urllc = sensors_of.begin(scenario, batch, generator)
    return State(
        scenario=scenario,
        position_m=place,
        neighbours=(apart < scenario.neighbour_distance_m) & ~np.eye(scenario.servers, dtype=bool),
        usefulness=useful + np.swapaxes(useful, -1, -2),
        embb=embb,
        urllc=urllc,
        base_fraction=base,
        drift_noise=noise,
    )


def observe(state: State) -> Observation:
    """Own available sensors and fraction, their mean over neighbours, and how many these are."""
    counts = [state.embb.counts() / COUNT_SCALE, state.urllc.counts() / COUNT_SCALE]
    own = np.stack([*counts, state.base_fraction], axis=-1)
    around = neighbourhood_mean(values=own, neighbours=state.neighbours)
    degree = state.neighbours.sum(axis=-1)[..., None] / DEGREE_SCALE
    return {"servers": np.concatenate([own, around, degree], axis=-1).astype(np.float32)}


def decode(state: State, scores: Scores) -> Action:
    """The most likely answers, made feasible."""
    return act(state, best_levels(scores["logits"]))


def act(state: State, levels: Integers) -> Action:
    """The answers `levels` `[batch, server, 5]`, made feasible. [P5] 4.2, 4.3.

    The fraction is not decided but exactly what is missing: more costs energy and helps
    nobody, and a grid of tenths would cost a quarter more. A learner leaves its head out.
    """
    choice = meaning(
        levels,
        embb=state.embb.counts(),
        urllc=state.urllc.counts(),
        base_fraction=state.base_fraction,
        received_max_w=state.scenario.received_max_w,
        received_min_w=state.scenario.received_min_w,
    )
    counts = (choice.embb, choice.urllc)
    asked = sensors_of.ask(state.scenario, state.embb, state.urllc, counts, choice.received_w)
    circle = collected(state, asked)
    return with_helpers(state, asked, circle, choose_one_shot(state, circle, choice.helps))


def ask_all(state: State) -> Asked:
    """Every available sensor, at the reference power: what baselines do."""
    counts = (state.embb.counts(), state.urllc.counts())
    return sensors_of.ask(
        state.scenario, state.embb, state.urllc, counts, _reference_w(state.scenario, counts[0])
    )


def collected(state: State, asked: Asked) -> Circle:
    """Times and work that follow from who sends. [P5] (8)(9)(10)."""
    ready = sensors_of.collection_s(state.scenario, *asked)
    return _circle(state, asked.embb.sum(axis=-1), asked.urllc.sum(axis=-1), ready)


def choose_one_shot(state: State, circle: Circle, helps: Booleans) -> Integers:
    """The helper that each recipient chooses, if `helps` `[batch, server]` say they help."""
    return one_shot(
        work_cycles=circle.work_cycles,
        ready_s=circle.ready_s,
        usefulness=state.usefulness,
        neighbours=state.neighbours & ~circle.idle[..., None] & ~circle.idle[..., None, :],
        helps=helps,
        deadline_s=state.scenario.deadline_s,
    )


def with_helpers(state: State, asked: Asked, circle: Circle, helper: Integers) -> Action:
    """The action in which each waits for `helper`, with the best split of the time."""
    times = split_stars(
        work_cycles=circle.work_cycles,
        ready_s=circle.ready_s,
        usefulness=state.usefulness,
        helper=helper,
        deadline_s=state.scenario.deadline_s,
    )
    return Action(asked, helper, times.computing_s)


def outcome(state: State, action: Action) -> Outcome:
    """What each server spends, when it is done, and how far it has come. [P5] (12)(14).

    A server whose clock would have to be above the highest is late by as much.
    """
    scenario, circle = state.scenario, collected(state, action.asked)
    fraction, waits = _merged(state, action)
    missing = missing_fraction(base_fraction=state.base_fraction)
    left = missing_fraction(base_fraction=fraction) / np.where(missing > 0, missing, 1.0)
    work = np.where(circle.idle, 0.0, circle.work_cycles * left)
    fastest_s = work / scenario.frequency_max_hz
    computing = np.maximum(action.computing_s, fastest_s)
    done = circle.ready_s + computing
    awaited = np.where(waits, np.take_along_axis(done, action.helper, -1), 0.0)
    return Outcome(
        paced_energy_j(work_cycles=work, time_s=computing, capacitance=scenario.capacitance),
        latency_s(collection_s=circle.ready_s, awaited_s=awaited, computing_s=computing),
        np.where(circle.idle, state.base_fraction, np.maximum(state.base_fraction, 1.0)),
    )


def alone_j(state: State) -> Array:
    """What each server would spend if nobody helped, with all sensors, at the reference power."""
    embb, urllc = state.embb.counts(), state.urllc.counts()
    received = _reference_w(state.scenario, embb)
    ready = sensors_of.collection_of_counts_s(state.scenario, embb, urllc, received)
    circle = _circle(state, embb, urllc, ready)
    time = state.scenario.deadline_s - circle.ready_s
    energy = paced_energy_j(
        work_cycles=circle.work_cycles, time_s=time, capacitance=state.scenario.capacitance
    )
    return np.where(circle.idle, 0.0, energy)


def cost(state: State, action: Action) -> Cost:
    """Energy of each server and its neighbours, relative to theirs alone. [P5] (15)(26).

    A server that has not converged by the deadline pays 1 more: nothing is gained by not
    training.
    """
    got = outcome(state, action)
    alone = alone_j(state)
    around = neighbourhood_energy_j(energy_j=got.energy_j, neighbours=state.neighbours)
    without = neighbourhood_energy_j(energy_j=alone, neighbours=state.neighbours)
    missed = (got.fraction < 1.0) | (got.latency_s > state.scenario.deadline_s + _LATE_S)
    waits = action.helper != np.arange(state.scenario.servers)
    parts = {
        "energy_j": got.energy_j,
        "alone_j": alone,
        "latency_s": got.latency_s,
        "fraction": got.fraction,
        "missed": missed.astype(np.float64),
        "recipient": waits.astype(np.float64),
        "helper": _is_awaited(action.helper, waits).astype(np.float64),
    }
    return Cost(around / np.where(without > 0, without, 1.0) + missed, parts)


def transition(state: State, action: Action, generator: np.random.Generator) -> State:
    """The next circle: batteries as they were used, models as the weather leaves them."""
    scenario, got = state.scenario, outcome(state, action)
    embb, urllc = sensors_of.after(scenario, state.embb, state.urllc, action.asked, generator)
    fresh = _spread(scenario, state.position_m, generator.standard_normal(got.fraction.shape))
    memory = scenario.drift_memory
    noise = memory * state.drift_noise + np.sqrt(1.0 - memory**2) * fresh
    in_time = got.latency_s <= scenario.deadline_s + _LATE_S
    fraction = np.where(in_time, got.fraction, state.base_fraction)
    return replace(
        state,
        embb=embb,
        urllc=urllc,
        base_fraction=drifted_fraction(fraction=fraction, drift=_drift(scenario, noise)),
        drift_noise=noise,
    )


def _circle(state: State, embb: Integers, urllc: Integers, ready_s: Array) -> Circle:
    scenario = state.scenario
    missing = missing_fraction(base_fraction=state.base_fraction)
    idle = ((embb + urllc) == 0) | (missing == 0) | (ready_s >= scenario.deadline_s)
    found = iterations(
        gain=scenario.exponent * np.where(idle, 0.0, missing),
        sizes=set_sizes(samples=scenario.samples, embb=embb, urllc=urllc),
        importance=np.array(scenario.importance) / scenario.importance_scale,
        size_power=scenario.size_power,
        cycles_per_sample=np.array(scenario.cycles_per_sample),
    )
    return Circle(
        np.where(idle, 0.0, ready_s), np.where(idle, _IDLE_CYCLES, found.work_cycles), idle
    )


def _merged(state: State, action: Action) -> tuple[Array, Booleans]:
    """The fraction of each model before its own training, and who waits for parameters."""
    waits = action.helper != np.arange(state.scenario.servers)
    useful = np.take_along_axis(state.usefulness, action.helper[..., None, :], -2)[..., 0, :]
    merged = merged_fraction(
        own=state.base_fraction, given=1.0, usefulness=np.where(waits, useful, 0.0)
    )
    return merged, waits


def _is_awaited(helper: Integers, waits: Booleans) -> Booleans:
    own = np.arange(helper.shape[-1])
    found: Booleans = ((helper[..., None, :] == own[:, None]) & waits[..., None, :]).any(axis=-1)
    return found


def _reference_w(scenario: WideArea, like: Integers) -> Array:
    return np.full(like.shape, REFERENCE_LEVEL * scenario.received_max_w)


def _drift(scenario: WideArea, noise: Array) -> Array:
    """Uniform in its span, from a standard normal."""
    low, high = scenario.drift
    drift: Array = low + (high - low) * special.ndtr(noise)
    return drift


def _spread(scenario: WideArea, place: Array, noise: Array) -> Array:
    """`noise`, correlated over distance as the scenario says; still standard normal."""
    if scenario.drift_distance_m <= 0:
        return noise
    apart = distance_m(source_m=place[..., None, :], target_m=place[..., None, :, :])
    root = np.linalg.cholesky(np.exp(-apart / scenario.drift_distance_m))
    spread: Array = np.matvec(root, noise)
    return spread


_OWN: Final = (("embb_available", "40"), ("urllc_available", "40"), ("base_fraction", "1"))
_AROUND: Final = tuple((f"neighbours_{name}", unit) for name, unit in _OWN)

SPEC: Final = Spec(
    problem="cooperation",
    version=1,
    inputs=(
        Tensor(
            "servers",
            ("batch", "server", "feature"),
            (*_OWN, *_AROUND, ("neighbours", "5")),
        ),
    ),
    outputs=(
        Tensor(
            "logits",
            ("batch", "server", "logit"),
            tuple(
                (f"{head}_{level}", "1") for head, size in HEADS.items() for level in range(size)
            ),
        ),
    ),
)

PROBLEM: Final[Problem[WideArea, State, Action]] = Problem(
    spec=SPEC,
    begin=begin,
    observe=observe,
    decode=decode,
    cost=cost,
    transition=transition,
)
