"""Baselines and oracles of edge association: `policy(state, generator) -> action`.

The baselines are the paper's, random and average hosting, and rules between them and the
oracle. None but the last three decides batches: they are the scenario's, or all samples.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from twin_runtime.physics.arguments import Array, Integers, InvalidArgument
from twin_runtime.problems.edge_association_round import (
    Action,
    State,
    average_action,
    best_fractions,
    best_shares,
    models_sent,
    round_parts_s,
)
from twin_runtime.solvers.balance import longest_first
from twin_runtime.solvers.bandwidth import flat_shares
from twin_runtime.solvers.edge_association import Stations, joint_association
from twin_runtime.solvers.learning_association import learning_association
from twin_runtime.solvers.per_twin_upload import joint_per_twin_selective

Policy = Callable[[State, np.random.Generator], Action]

FAR_TOO_SLOW = 1e-9  # times a clock: no twin is hosted there


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


def oracle(state: State, generator: np.random.Generator) -> Action:
    """Hosts and shares of the shortest round, for batches as they are.

    Exact for twins that are alike; else participants are those of the mean twin, and twins
    are hosted among them the longest first. With one upload per twin it solves a
    mixed-integer program per world, one after the other.
    """
    action = average_equal(state, generator)
    if state.scenario.upload == "per_twin":
        count, share = _per_twin(state)
    else:
        found = joint_association(
            stations=stations_of(state), twins=state.samples.shape[1], cycles=_cycles(state)
        )
        count, share = found.count, found.share
    if _alike(state):
        return replace(action, host=_hosts(count), share=share)
    taking_part = np.where(count > 0, state.frequency_hz, state.frequency_hz * FAR_TOO_SLOW)
    host = longest_first(cycles=state.samples, frequency_hz=taking_part)
    return replace(action, host=host, share=best_shares(state, host))


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
    """Of training the mean twin for a round, with the scenario's batches."""
    scenario = state.scenario
    samples = float(state.samples.mean()) * scenario.fraction
    return samples * scenario.cycles_per_sample * scenario.iterations


def _alike(state: State) -> bool:
    return bool((state.samples == state.samples[0, 0]).all())


def _flat_shares(state: State, host: Integers) -> Array:
    rate = state.rate_bps.sum(axis=2)
    bits = state.scenario.upload_bits * models_sent(state, host)
    share = flat_shares(demand_s=bits / rate).share
    return np.repeat(share[:, :, None], state.rate_bps.shape[2], axis=2)


def _per_twin(state: State) -> tuple[Integers, Array]:
    solved = [
        joint_per_twin_selective(
            stations=replace(stations_of(state), frequency_hz=speed, rate_bps=rate),
            twins=state.samples.shape[1],
            cycles=_cycles(state),
        )
        for speed, rate in zip(state.frequency_hz, state.rate_bps, strict=True)
    ]
    return np.stack([each.count for each in solved]), np.stack([each.share for each in solved])


def _learning(state: State, world: int) -> tuple[Integers, Array, Array]:
    stations = stations_of(state)
    parts = round_parts_s(state, average_action(state))
    always = parts["block_s"] + parts["download_s"] + parts["sequencing_s"]
    found = learning_association(
        stations=replace(
            stations, frequency_hz=state.frequency_hz[world], rate_bps=state.rate_bps[world]
        ),
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
