"""Baselines and oracles of edge association: `policy(state, generator) -> action`.

The baselines are the paper's, random and average hosting, and rules between them and the
oracle. None but the last three decides batches: they are the scenario's, or all samples.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from twin_runtime.physics.arguments import Array, Integers, InvalidArgument
from twin_runtime.physics.compute import computing_time_s, training_cycles
from twin_runtime.problems.edge_association_round import (
    Action,
    State,
    average_action,
    best_fractions,
    best_shares,
    models_sent,
    round_parts_s,
    sync_s,
)
from twin_runtime.solvers.balance import longest_first
from twin_runtime.solvers.bandwidth import flat_shares, whole_channels
from twin_runtime.solvers.edge_association import Stations, joint_association
from twin_runtime.solvers.learning_association import learning_association
from twin_runtime.solvers.per_twin_upload import unlike_per_twin
from twin_runtime.solvers.unlike_twins import UnlikeAssociation, unlike_association

Policy = Callable[[State, np.random.Generator], Action]


def random_equal(state: State, generator: np.random.Generator) -> Action:
    """Each twin at any station, equal shares."""
    scenario = state.scenario
    host = generator.integers(0, scenario.stations, state.samples.shape)
    return replace(average_action(state), host=host)


def average_equal(state: State, generator: np.random.Generator) -> Action:  # noqa: ARG001
    """Twins in turn, equal shares."""
    return average_action(state)


def average_flat(state: State, generator: np.random.Generator) -> Action:
    """Twins in turn, shares as if the channel were flat."""
    action = average_equal(state, generator)
    return replace(action, share=_flat_shares(state, action.host))


def average_best(state: State, generator: np.random.Generator) -> Action:
    """Twins in turn, the best shares."""
    action = average_equal(state, generator)
    return replace(action, share=best_shares(state, action.host))


def average_whole(state: State, generator: np.random.Generator) -> Action:
    """Twins in turn, each sub-channel as a whole to one station: the text under (18)."""
    action = average_equal(state, generator)
    bits = state.scenario.upload_bits * models_sent(state, action.host)
    return replace(action, share=whole_channels(demand_bits=bits, rate_bps=state.rate_bps).share)


def nominal_equal(state: State, generator: np.random.Generator) -> Action:
    """Twins by what stations' clocks are on paper, equal shares."""
    host = longest_first(
        cycles=state.samples, frequency_hz=np.array(state.scenario.frequency_max_hz)
    )
    return replace(average_equal(state, generator), host=host)


def live_flat(state: State, generator: np.random.Generator) -> Action:
    """Twins by what stations' clocks are now, shares as if the channel were flat."""
    host = longest_first(cycles=state.samples, frequency_hz=state.frequency_hz)
    return replace(average_equal(state, generator), host=host, share=_flat_shares(state, host))


def oracle(state: State, generator: np.random.Generator) -> Action:  # noqa: ARG001
    """Hosts and shares of the shortest round, for batches as they are; see `best_round`."""
    return best_round(state).action


class Best(NamedTuple):
    """An action, and what its training, aggregation, upload and verification take beside what
    those of any action do `[B]` each."""

    action: Action
    value_s: Array
    bound_s: Array


def best_round(state: State) -> Best:
    """The shortest round for batches as they are, and how far it may be from the shortest.

    Twins that are alike and upload one model a station are solved for all worlds at once,
    exactly. Where twins differ, in samples, links or where they may be, and where each
    uploads its own model, each world is a search or a mixed-integer program of its own, one
    after the other.
    """
    if state.scenario.upload == "per_twin":
        solved = [_per_twin(state, world) for world in range(len(state.samples))]
    elif _alike(state):
        return _best_alike(state)
    else:
        solved = [_unlike(state, world) for world in range(len(state.samples))]
    action = replace(
        average_action(state),
        host=np.stack([each.host for each in solved]),
        share=np.stack([each.share for each in solved]),
    )
    certificates = np.array([each.certificate for each in solved])
    return Best(action, certificates[:, 0], certificates[:, 1])


def full_data(state: State, generator: np.random.Generator) -> Action:
    """Twins in turn, equal shares, all samples in each iteration."""
    action = average_equal(state, generator)
    return replace(action, fraction=np.ones_like(action.fraction))


def average_adaptive(state: State, generator: np.random.Generator) -> Action:
    """Twins in turn, equal shares, the best batches."""
    action = average_equal(state, generator)
    fraction = best_fractions(state, action.host, action.share)
    return replace(action, fraction=fraction)


def oracle_best_batches(state: State, generator: np.random.Generator) -> Action:
    """The oracle's hosts and shares, then the batches that are best for them."""
    action = oracle(state, generator)
    return replace(action, fraction=best_fractions(state, action.host, action.share))


def oracle_adaptive(state: State, generator: np.random.Generator) -> Action:  # noqa: ARG001
    """Hosts, shares and batches of the shortest training, of one world after the other.

    For twins that are alike and stations that upload one model.
    """
    if not _alike(state) or state.scenario.upload != "one_model":
        raise InvalidArgument("this oracle is for twins that are alike and one upload a station")
    found = [_learning(state, world) for world in range(len(state.samples))]
    count, share, of_station = (np.stack(each) for each in zip(*found, strict=True))
    host = _hosts(count)
    return Action(host, np.take_along_axis(of_station, host, axis=1), share)


POLICIES: Mapping[str, Policy] = {
    "random": random_equal,
    "average": average_equal,
    "average_flat": average_flat,
    "average_best": average_best,
    "average_whole": average_whole,
    "nominal": nominal_equal,
    "live_flat": live_flat,
    "oracle": oracle,
    "full_data": full_data,
    "average_adaptive": average_adaptive,
    "oracle_best_batches": oracle_best_batches,
    "oracle_adaptive": oracle_adaptive,
}


def stations_of(state: State) -> Stations:
    """What solvers are asked about."""
    scenario = state.scenario
    return Stations(
        frequency_hz=state.frequency_hz,
        rate_bps=state.rate_bps,
        upload_bits=scenario.upload_bits,
        verification_cycles=scenario.verification_cycles,
        aggregation_cycles=scenario.aggregation_cycles,
    )


def _cycles(state: State) -> float:
    """Of training one of the twins alike for a round, with the scenario's batches."""
    scenario = state.scenario
    samples = float(state.samples[0, 0]) * scenario.fraction
    return samples * scenario.cycles_per_sample * scenario.iterations


def _alike(state: State) -> bool:
    free = state.scenario.sync_bits == 0 and state.allowed.all()
    return bool(free and (state.samples == state.samples[0, 0]).all())


def _flat_shares(state: State, host: Integers) -> Array:
    rate = state.rate_bps.sum(axis=2)
    bits = state.scenario.upload_bits * models_sent(state, host)
    share = flat_shares(demand_s=bits / rate).share
    return np.repeat(share[:, :, None], state.rate_bps.shape[2], axis=2)


def _best_alike(state: State) -> Best:
    found = joint_association(
        stations=stations_of(state), twins=state.samples.shape[1], cycles=_cycles(state)
    )
    action = replace(average_action(state), host=_hosts(found.count), share=found.share)
    return Best(action, found.value_s, found.bound_s)


def _per_twin(state: State, world: int) -> UnlikeAssociation:
    """For twins that differ in samples only; those that are alike are solved exactly."""
    if state.scenario.sync_bits > 0 or not state.allowed[world].all():
        raise InvalidArgument("one upload per twin is for twins without syncs, allowed anywhere")
    cycles = state.samples[world] * state.scenario.fraction * state.scenario.iterations
    return unlike_per_twin(
        stations=_stations_of(state, world), cycles=cycles * state.scenario.cycles_per_sample
    )


def _unlike(state: State, world: int) -> UnlikeAssociation:
    scenario = state.scenario
    cycles = training_cycles(
        samples=scenario.iterations * scenario.fraction * state.samples[world],
        cycles_per_sample=scenario.cycles_per_sample,
    )
    computing = computing_time_s(cycles=cycles[:, None], frequency_hz=state.frequency_hz[world])
    time = np.where(state.allowed[world], computing + sync_s(state)[world], np.inf)
    return unlike_association(stations=_stations_of(state, world), time_s=time)


def _stations_of(state: State, world: int) -> Stations:
    return replace(
        stations_of(state), frequency_hz=state.frequency_hz[world], rate_bps=state.rate_bps[world]
    )


def _learning(state: State, world: int) -> tuple[Integers, Array, Array]:
    parts = round_parts_s(state, average_action(state))
    always = parts["block_s"] + parts["download_s"] + parts["sequencing_s"]
    found = learning_association(
        stations=_stations_of(state, world),
        twins=state.samples.shape[1],
        samples=float(state.samples[world, 0]),
        constant_s=float(always[world]),
        learning=state.scenario.learning,
    )
    return found.count, found.share, found.batches.fraction


def _hosts(count: Integers) -> Integers:
    """Counts `[B, M]` as hosts `[B, N]`: the first twins at the first station, and so on."""
    ends = count.cumsum(axis=1)
    twin = np.arange(int(ends[0, -1]))
    host: Integers = (twin[None, :, None] >= ends[:, None, :]).sum(axis=2)
    return host
