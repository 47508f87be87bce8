"""Baselines and oracles of `subchannels`: [P2] S4, S6, S7.

    random         full speed; one random sub-channel each, every other one to a random participant
    equal          full speed; as many random sub-channels for each, the rest unused
    paper_column   the paper's: its clocks, its start with one order of sub-channels, exploration
    paper_own      the same with each participant's own order
    groups         the paper's clocks, the best division
    fastest        full speed, the best division: the least time
    oracle         clocks and division chosen together: the least cost

With a gate at random `random` and `equal` are the synchronous scheme that [P2] compares with.
All step all worlds at once; the search of the last three loops over those few worlds in which
it needs a matching.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from twin_runtime.physics.arguments import Array, Integers
from twin_runtime.physics.ofdma import UNUSED
from twin_runtime.problems.subchannels import (
    Action,
    cost,
    fastest_hz,
    price_w,
    uplink_at,
    uplink_at_full_speed,
    with_clocks,
    without_slowest,
)
from twin_runtime.problems.subchannels_fleet import State, cycles
from twin_runtime.solvers import subchannel_cost_bound
from twin_runtime.solvers.certificate import Certificate
from twin_runtime.solvers.cpu_frequencies import clocks
from twin_runtime.solvers.subchannel_energy import Trainers, save_energy
from twin_runtime.solvers.subchannel_exploration import explore
from twin_runtime.solvers.subchannel_starts import column_start, own_start
from twin_runtime.solvers.subchannels import assign
from twin_runtime.solvers.uplink import Uplink

Policy = Callable[[State, np.random.Generator], Action]
Start = Callable[[Uplink], Integers]

ORACLE_PASSES: Final = 2  # of clocks and division in turn; more save nothing


def at_random(state: State, generator: np.random.Generator) -> Action:
    """One random sub-channel each, and every other one to a random participant. [P2] S7."""
    uplink = uplink_at_full_speed(state)
    rows = np.arange(len(state.active))
    order = generator.random((len(rows), uplink.rates_bps.shape[-1])).argsort(axis=-1)
    first = (~state.active).argsort(axis=-1, kind="stable")  # participants first
    count = state.active.sum(axis=-1)
    owner = np.full(order.shape, UNUSED, dtype=np.int64)
    held = np.zeros(state.active.shape, dtype=np.int64)
    for turn, channel in enumerate(order.T):
        able = state.active & (held < uplink.subchannels_max)
        drawn = np.where(able, generator.random(able.shape), -1.0).argmax(axis=-1)
        user = np.where(turn < count, first[:, min(turn, first.shape[1] - 1)], drawn)
        gives = able.any(axis=-1)
        owner[rows[gives], channel[gives]] = user[gives]
        held[rows[gives], user[gives]] += 1
    return Action(fastest_hz(state), owner)


def equal(state: State, generator: np.random.Generator) -> Action:
    """floor(K / n) random sub-channels for each participant, the rest unused. [P2] S7."""
    uplink = uplink_at_full_speed(state)
    channels = uplink.rates_bps.shape[-1]
    order = generator.random((len(state.active), channels)).argsort(axis=-1)
    first = (~state.active).argsort(axis=-1, kind="stable")
    count = np.maximum(state.active.sum(axis=-1), 1)
    each = np.minimum(channels // count, uplink.subchannels_max)[:, None]
    turn = np.arange(channels) // each
    used = turn < count[:, None]
    user = np.take_along_axis(first, np.where(used, turn, 0), axis=-1)
    owner = np.full(order.shape, UNUSED, dtype=np.int64)
    np.put_along_axis(owner, order, np.where(used, user, UNUSED), axis=-1)
    return Action(fastest_hz(state), owner)


def paper_column(state: State, generator: np.random.Generator) -> Action:
    """[P2] (31), then Algorithm 2 with one order of sub-channels for all. [P2] S4."""
    return _explored(state, column_start, generator)


def paper_own(state: State, generator: np.random.Generator) -> Action:
    """[P2] (31), then Algorithm 2 with each participant's own order. [P2] S4."""
    return _explored(state, own_start, generator)


def groups(state: State, generator: np.random.Generator) -> Action:
    """[P2] (31), then the best division for these clocks."""
    frequency = group_clocks_hz(state)
    return Action(frequency, assign(uplink_at(state, frequency), generator).owner)


def fastest(state: State, generator: np.random.Generator) -> Action:
    """Full speed and the best division: the least time. [P2] S6."""
    frequency = fastest_hz(state)
    return Action(frequency, assign(uplink_at(state, frequency), generator).owner)


def oracle(state: State, generator: np.random.Generator) -> Action:
    """Division and clocks in turn, each the cheapest for the other. [P2] S6.

    Once from full speed, which is best where time is dear, and once from the paper's clocks.
    """
    best = None
    for start in (fastest(state, generator), groups(state, generator)):
        action = start
        for _ in range(ORACLE_PASSES):
            action = with_clocks(state, uplink_at(state, action.frequency_hz), action.owner)
            action = replace(action, owner=_saving(state, action))
        action = with_clocks(state, uplink_at(state, action.frequency_hz), action.owner)
        best = action if best is None else _cheaper(state, best, action)
    assert best is not None
    return best


def joint_bound_j(state: State, action: Action) -> Array:
    """What no clocks and no division cost less than `[batch]`, given what `action` costs. [P2] S6.

    The oracle's certificate, world by world; `certificate` is that of all together.
    """
    scenario = state.scenario
    return subchannel_cost_bound.joint_bound_j(
        uplink_at_full_speed(state),
        _trainers(state),
        time_price_w=price_w(state),
        subchannel_power_w=scenario.transmit_coefficient * scenario.subchannel_power_w,
        cost_j=cost(state, action).total,
    )


def certificate(state: State, action: Action) -> Certificate:
    """What the action costs in all worlds [J], and what none costs less than."""
    value, bound = cost(state, action).total, joint_bound_j(state, action)
    return Certificate(float(value.sum()), float(bound.sum()))


def group_clocks_hz(state: State) -> Array:
    """The paper's clocks, chosen as if uploads took no time `[batch, participant]`. [P2] (31)."""
    work = np.where(state.active, state.of_participants(cycles(state)), 0.0)
    return clocks(
        cycles=work,
        frequency_min_hz=state.scenario.frequency_min_hz,
        frequency_max_hz=fastest_hz(state),
        capacitance=state.scenario.capacitance,
        time_price_w=price_w(state),
    ).frequency_hz


def in_mean_time(
    policy: Policy, state: State, generator: np.random.Generator
) -> tuple[State, Action]:
    """A policy's action once so many of the slowest are left out that the mean time holds.

    [P2] S4, step 4. The state says who is left.
    """
    action = policy(state, generator)
    for _ in range(state.active.shape[-1]):
        fewer = without_slowest(state, action)
        if (fewer.active == state.active).all():
            break
        state, action = fewer, policy(fewer, generator)
    return state, action


POLICIES: Final[Mapping[str, Policy]] = {
    "random": at_random,
    "equal": equal,
    "paper_column": paper_column,
    "paper_own": paper_own,
    "groups": groups,
    "fastest": fastest,
    "oracle": oracle,
}


def _explored(state: State, start: Start, generator: np.random.Generator) -> Action:
    frequency = group_clocks_hz(state)
    uplink = uplink_at(state, frequency)
    return Action(frequency, explore(uplink, start(uplink), generator))


def _saving(state: State, action: Action) -> Integers:
    """A division that saves energy by the time that the action takes."""
    uplink = uplink_at(state, action.frequency_hz)
    return save_energy(uplink, _trainers(state), action.owner, uplink.makespan_s(action.owner))


def _trainers(state: State) -> Trainers:
    work = np.where(state.active, state.of_participants(cycles(state)), 0.0)
    slowest = np.full(work.shape, state.scenario.frequency_min_hz)
    return Trainers(work, slowest, fastest_hz(state), state.scenario.capacitance)


def _cheaper(state: State, one: Action, other: Action) -> Action:
    better = (cost(state, other).total < cost(state, one).total)[:, None]
    return Action(
        np.where(better, other.frequency_hz, one.frequency_hz),
        np.where(better, other.owner, one.owner),
    )
