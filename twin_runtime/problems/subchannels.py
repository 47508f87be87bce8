"""Uploads of a federated round: who has which sub-channels, and which clock [P2].

In every round all users train; those whose update weighs most take part, upload their models,
and are aggregated. Decided for these participants: the clock each trains at, and which
sub-channels carry its upload. A policy decides the sub-channels; what remains is exact: its
shares are projected, improved by a few moves, and the cheapest clocks follow.

Arrays of a round are `[batch, participant, ...]`; `owner` names participants by their place in
`State.participants`.

In a simulation the participants are known when clocks are chosen. A live edge chooses clocks
before it knows the update weights, for the participants it expects, and grants sub-channels
when it knows them: the same functions, called one after the other. The last owners, which
[P2] (37) lists among what a policy sees, change nothing that can be decided, and are left out.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from twin_runtime.physics.arguments import Array, Integers
from twin_runtime.physics.channel import upload_energy_j
from twin_runtime.physics.compute import computing_energy_j, computing_time_s
from twin_runtime.physics.ofdma import subchannel_counts, subchannels_max
from twin_runtime.physics.rounds import (
    mean_absolute_deviation_s,
    mean_time_s,
    round_time_s,
    time_variance_s2,
)
from twin_runtime.problems.problem import Cost, Observation, Problem, Scores, Spec, Tensor
from twin_runtime.problems.scenarios.industrial_iot import IndustrialIot
from twin_runtime.problems.subchannels_fleet import (
    State,
    begin,
    capped_hz,
    cycles,
    drawn_change,
    next_round,
    participant_rates_bps,
    select,
)
from twin_runtime.solvers.cpu_frequencies import clocks_with_uploads
from twin_runtime.solvers.subchannel_projection import project
from twin_runtime.solvers.subchannel_search import best_of, improve
from twin_runtime.solvers.subchannel_starts import own_start
from twin_runtime.solvers.uplink import Uplink

DECODE_MOVES_MAX: Final = 20  # after these a division is nearly as good as a long search's


@dataclass(frozen=True, slots=True)
class Action:
    """Clocks `[batch, participant]`, and the participant that has each sub-channel, or
    `ofdma.UNUSED` `[batch, sub-channel]`."""

    frequency_hz: Array
    owner: Integers


def observe(state: State) -> Observation:
    """What a policy sees of each participant and sub-channel. [P2] (1)(37).

    Logarithms of the rate over three means, times over a reference time, and how many share.
    Means are over participants that take part; for others a policy answers what it likes.
    """
    uplink, bits = uplink_at_full_speed(state), state.scenario.model_bits
    part = uplink.active[..., None]
    count = np.maximum(part.sum(axis=-2, keepdims=True), 1)
    rate, computing = uplink.rates_bps, uplink.computing_s[..., None]
    own = rate.mean(axis=-1, keepdims=True)
    column = (rate * part).sum(axis=-2, keepdims=True) / count
    mean = column.mean(axis=-1, keepdims=True)
    crowd = count / rate.shape[-1]
    usual = (computing * part).sum(axis=-2, keepdims=True) / count + bits * crowd / mean
    features = (
        np.log(rate / mean),
        np.log(rate / own),
        np.log(rate / column),
        computing / usual,
        bits * crowd / own / usual,
        crowd,
    )
    pairs = np.empty((*rate.shape, len(features)), dtype=np.float32)
    for number, feature in enumerate(features):
        pairs[..., number] = feature
    return {"pairs": pairs, "participates": uplink.active}


def decode(state: State, scores: Scores) -> Action:
    """Shares of each sub-channel, made a good division, with the cheapest clocks. [P2] (38).

    The better of two: from the projected shares, and from the start that needs no policy. Loops
    over worlds in one place, the projection's assignment.
    """
    uplink = uplink_at_full_speed(state)
    return with_clocks(state, uplink, best_of(uplink, divisions(uplink, scores)))


def divisions(uplink: Uplink, scores: Scores) -> Integers:
    """The two that `decode` chooses from, after a few moves: `[batch, 2, sub-channel]`.

    The first is the policy's; how often it is the better one is what a policy is worth.
    """
    starts = (project(uplink, scores["shares"]), own_start(uplink))
    worlds = np.arange(len(uplink.computing_s))
    improved = [improve(uplink, start, worlds, DECODE_MOVES_MAX) for start in starts]
    return np.stack(improved, axis=1)


def uplink_at_full_speed(state: State) -> Uplink:
    """The assignment when participants train as fast as their energy lets them."""
    return uplink_at(state, fastest_hz(state))


def uplink_at(state: State, frequency_hz: Array) -> Uplink:
    """The assignment when participants train at these clocks `[batch, participant]`."""
    scenario = state.scenario
    most = subchannels_max(
        power_max_w=scenario.power_max_w, subchannel_power_w=scenario.subchannel_power_w
    )
    work = state.of_participants(cycles(state))
    return Uplink(
        rates_bps=participant_rates_bps(state),
        computing_s=computing_time_s(cycles=work, frequency_hz=frequency_hz),
        model_bits=scenario.model_bits,
        subchannels_max=int(most),
        active=state.active,
    )


def fastest_hz(state: State) -> Array:
    """Each participant's fastest clock within its energy `[batch, participant]`."""
    return capped_hz(
        state.scenario,
        state.of_participants(cycles(state)),
        state.of_participants(state.frequency_max_hz),
        participant_rates_bps(state).mean(axis=-1),
    )


def price_w(state: State) -> Array:
    """What a second of the round is worth `[batch]`: the more, the more wait for it."""
    waiting = np.maximum(state.active.sum(axis=-1), 1)
    return np.asarray(state.scenario.time_price_w * waiting)


def with_clocks(state: State, uplink: Uplink, owner: Integers) -> Action:
    """The division, and the clocks that are cheapest for it: the joint step of [P2] S6."""
    work = state.of_participants(cycles(state))
    upload = np.where(state.active, uplink.time_s(owner) - uplink.computing_s, 0.0)
    found = clocks_with_uploads(
        cycles=np.where(state.active, work, 0.0),
        frequency_min_hz=state.scenario.frequency_min_hz,
        frequency_max_hz=fastest_hz(state),
        capacitance=state.scenario.capacitance,
        time_price_w=price_w(state),
        upload_s=upload,
    )
    return Action(found.frequency_hz, owner)


def cost(state: State, action: Action) -> Cost:
    """Energy of the participants, and the round's time at its price [J]. [P2] (28)(31)."""
    scenario, uplink = state.scenario, uplink_at(state, action.frequency_hz)
    time = np.where(state.active, uplink.time_s(action.owner), 0.0)
    counts = subchannel_counts(owner=action.owner, users=time.shape[-1])
    work = np.where(state.active, state.of_participants(cycles(state)), 0.0)
    computing = computing_energy_j(
        cycles=work, frequency_hz=action.frequency_hz, capacitance=scenario.capacitance
    )
    sending = upload_energy_j(
        power_w=scenario.transmit_coefficient * scenario.subchannel_power_w * counts,
        time_s=np.where(state.active, time - uplink.computing_s, 0.0),
    )
    energy: Array = (computing + sending).sum(axis=-1)
    part = state.active.astype(np.float64)
    round_s = round_time_s(time_s=time, participates=part)
    parts = {
        "time_s": round_s,
        "mean_time_s": mean_time_s(time_s=time, participates=part),
        "time_deviation_s": mean_absolute_deviation_s(time_s=time, participates=part),
        "time_variance_s2": time_variance_s2(time_s=time, participates=part),
        "energy_j": energy,
        "upload_energy_j": sending.sum(axis=-1),
        "gap_rounds": state.gap_rounds.max(axis=-1),
    }
    return Cost(price_w(state) * round_s + energy, parts)


def transition(state: State, action: Action, generator: np.random.Generator) -> State:
    """The next round: links fade, gaps grow, and other updates weigh most.

    Whoever takes part is aggregated, whatever the action.
    """
    del action
    later = next_round(state, generator)
    return select(later, drawn_change(later, generator), generator)


def without_slowest(state: State, action: Action) -> State:
    """Leave out the slowest participant where the mean time is too long. [P2] (28), S4.

    To be repeated with a new action until nobody is left out; never below `participants_min`.
    """
    scenario = state.scenario
    time = uplink_at(state, action.frequency_hz).time_s(action.owner)
    mean = mean_time_s(time_s=time, participates=state.active)
    drops = mean > scenario.mean_time_max_s
    drops &= state.active.sum(axis=-1) > scenario.participants_min
    slowest = np.where(state.active, time, -np.inf).argmax(axis=-1)
    active = state.active.copy()
    active[drops, slowest[drops]] = False
    return replace(state, active=active)


SPEC: Final = Spec(
    problem="subchannels",
    version=1,
    inputs=(
        Tensor(
            "pairs",
            ("batch", "participant", "subchannel", "feature"),
            (
                ("log_rate_over_mean", "1"),
                ("log_rate_over_own_mean", "1"),
                ("log_rate_over_subchannel_mean", "1"),
                ("computing_time", "reference time"),
                ("fair_upload_time", "reference time"),
                ("participants_per_subchannel", "1"),
            ),
        ),
        Tensor("participates", ("batch", "participant"), dtype="bool"),
    ),
    outputs=(Tensor("shares", ("batch", "participant", "subchannel")),),
)

PROBLEM: Final[Problem[IndustrialIot, State, Action]] = Problem(
    spec=SPEC,
    begin=begin,
    observe=observe,
    decode=decode,
    cost=cost,
    transition=transition,
)
