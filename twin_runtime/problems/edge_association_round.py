"""A round of edge association: what its state is, what an action makes it take, and the
shares and batches that are best for given hosts."""

from dataclasses import dataclass

import numpy as np

from twin_runtime.physics.arguments import Array, Booleans, Integers, InvalidArgument, indices
from twin_runtime.physics.channel import upload_time_s
from twin_runtime.physics.compute import computing_time_s, training_cycles
from twin_runtime.physics.consensus import block_time_s, verification_time_s
from twin_runtime.physics.convergence import gradient_noise, rounds_with_noise
from twin_runtime.physics.hierarchy import (
    phased_round_time_s,
    pipelined_round_time_s,
    station_upload_time_s,
    sums_at_stations,
)
from twin_runtime.problems.scenarios.five_stations import FiveStations
from twin_runtime.solvers.bandwidth import selective_shares
from twin_runtime.solvers.batches import batch_fractions


@dataclass(frozen=True, slots=True)
class State:
    """`batch` worlds before a round; B worlds, N twins, M stations, C sub-channels.

    samples: of each twin `[B, N]`.
    host: of each twin, of the round before `[B, N]`.
    allowed: where a twin may be hosted `[B, N, M]`.
    frequency_hz: what stations have to give `[B, M]`.
    rate_bps: of a whole sub-channel from a station to the cloud `[B, M, C]`.
    broadcast_bps: from the cloud to a station, all sub-channels together `[B, M]`.
    access_bps: from a twin's device to a station, alone on the station's band `[B, N, M]`.
    """

    scenario: FiveStations
    samples: Array
    host: Integers
    allowed: Booleans
    frequency_hz: Array
    rate_bps: Array
    broadcast_bps: Array
    access_bps: Array


@dataclass(frozen=True, slots=True)
class Action:
    """The station of each twin `[B, N]`, the fraction of its samples per iteration `[B, N]`,
    and each station's share of each sub-channel `[B, M, C]`."""

    host: Integers
    fraction: Array
    share: Array


def round_parts_s(state: State, action: Action) -> dict[str, Array]:
    """What a round takes, whole and in parts, `[B]` each. [P4] (7)(8)(12)(13)(14)(15)(16)(17)."""
    scenario = state.scenario
    _check(state, action)
    training, aggregation, upload = _phases_s(state, action)
    count = sums_at_stations(values=1.0, host=action.host, stations=scenario.stations)
    cloud = _cloud_parts_s(state, count > 0)
    moved = (action.host != state.host).sum(axis=1)
    cloud["migration_s"] = upload_time_s(
        size_bits=moved * scenario.bundle_bits, rate_bps=scenario.backhaul_bps
    )
    phases = {
        "training_s": training,
        "aggregation_s": aggregation,
        "upload_s": upload,
        "cloud_s": np.sum(list(cloud.values()), axis=0),
    }
    return {
        "round_s": phased_round_time_s(**phases),
        "pipelined_s": pipelined_round_time_s(**phases),
        "training_s": training.max(axis=1),
        "aggregation_s": aggregation.max(axis=1),
        "upload_s": upload.max(axis=1),
        **cloud,
    }


def rounds_of(state: State, fraction: Array) -> Array:
    """Rounds to the target with these batches `[B]`. [P4] (11)."""
    noise = gradient_noise(fraction=fraction, samples=state.samples)
    scenario = state.scenario
    return rounds_with_noise(
        rounds=scenario.exact_rounds, noise=noise, noise_scale=scenario.noise_scale
    )


def in_turn(scenario: FiveStations, batch: int) -> Integers:
    """Average hosting: twin n at station n mod M `[B, N]`."""
    turn = np.arange(scenario.twins, dtype=np.int64) % scenario.stations
    return np.repeat(turn[None], batch, axis=0)


def average_action(state: State) -> Action:
    """The reference: twins in turn, equal shares, the scenario's batches."""
    share = np.full(state.rate_bps.shape, 1.0 / state.rate_bps.shape[1])
    fraction = np.full(state.samples.shape, state.scenario.fraction)
    return Action(in_turn(state.scenario, len(state.samples)), fraction, share)


def sync_s(state: State) -> Array:
    """What syncing a twin takes of its station's time `[B, N, M]`. [P4] (1)(12).

    The shares of a station's band by which all its devices are done together make its time
    the sum of what each would take alone. The digest's extension: the paper never uses its R.
    """
    return upload_time_s(size_bits=state.scenario.sync_bits, rate_bps=state.access_bps)


def models_sent(state: State, host: Integers) -> Array:
    """How many models each station uploads `[B, M]`."""
    count = sums_at_stations(values=1.0, host=host, stations=state.scenario.stations)
    return count if state.scenario.upload == "per_twin" else np.minimum(count, 1.0)


def best_shares(state: State, host: Integers) -> Array:
    """The shares by which uploads of these hosts end first `[B, M, C]`."""
    bits = state.scenario.upload_bits * models_sent(state, host)
    return selective_shares(demand_bits=bits, rate_bps=state.rate_bps).share


def best_fractions(state: State, host: Integers, share: Array) -> Array:
    """The batch fractions by which training with these hosts and shares ends first `[B, N]`.

    Where devices sync, the slowest station's sync counts as time in which nobody computes:
    then they are near the best ones only.
    """
    scenario = state.scenario
    action = Action(host, np.full(host.shape, scenario.fraction), share)
    round_s = round_parts_s(state, action)["round_s"]
    samples = sums_at_stations(values=state.samples, host=host, stations=scenario.stations)
    batches = batch_fractions(
        samples=samples,
        frequency_hz=state.frequency_hz,
        constant_s=round_s - _computing_s(state, action).max(axis=1),
        learning=scenario.learning,
    )
    return np.take_along_axis(batches.fraction, host, axis=1)


def _phases_s(state: State, action: Action) -> tuple[Array, Array, Array]:
    """Training, syncs before it, aggregation and upload of each station `[B, M]`."""
    scenario, stations = state.scenario, state.scenario.stations
    sync = np.take_along_axis(sync_s(state), action.host[:, :, None], axis=2)[:, :, 0]
    synced = sums_at_stations(values=sync, host=action.host, stations=stations)
    count = sums_at_stations(values=1.0, host=action.host, stations=stations)
    upload = station_upload_time_s(
        model_bits=scenario.model_bits,
        models=models_sent(state, action.host),
        rate_bps=(action.share * state.rate_bps).sum(axis=2),
        factor=scenario.broadcast_factor,
    )
    return (
        _computing_s(state, action) + synced,
        computing_time_s(
            cycles=count * scenario.aggregation_cycles, frequency_hz=state.frequency_hz
        ),
        upload,
    )


def _computing_s(state: State, action: Action) -> Array:
    """All local iterations of each station `[B, M]`."""
    scenario = state.scenario
    work = training_cycles(
        samples=action.fraction * state.samples, cycles_per_sample=scenario.cycles_per_sample
    )
    trained = sums_at_stations(values=work, host=action.host, stations=scenario.stations)
    each = computing_time_s(cycles=trained, frequency_hz=state.frequency_hz)
    return scenario.iterations * each


def _cloud_parts_s(state: State, takes_part: Booleans) -> dict[str, Array]:
    """What follows the upload, `[B]` each."""
    scenario = state.scenario
    return {
        "verification_s": verification_time_s(
            takes_part=takes_part,
            samples=scenario.verification_samples,
            cycles_per_sample=scenario.inference_cycles_per_sample,
            frequency_hz=state.frequency_hz,
        ),
        "block_s": block_time_s(
            block_bits=scenario.block_bits,
            rate_bps=state.broadcast_bps[:, : scenario.delegates],
            frequency_hz=state.frequency_hz[:, : scenario.delegates],
            cycles_per_bit=scenario.validation_cycles_per_bit,
            factor=scenario.broadcast_factor,
        ),
        "download_s": upload_time_s(
            size_bits=scenario.model_bits, rate_bps=state.broadcast_bps.min(axis=1)
        ),
        "sequencing_s": np.full(len(takes_part), scenario.sequencing_s),
    }


def _check(state: State, action: Action) -> None:
    """An action that breaks a constraint is a mistake of whoever made it."""
    host = indices("host", action.host, state.scenario.stations)
    if host.shape != state.samples.shape or action.share.shape != state.rate_bps.shape:
        shapes = f"host {host.shape}, share {action.share.shape}"
        given = f"samples {state.samples.shape}, rate_bps {state.rate_bps.shape}"
        raise InvalidArgument(f"{shapes} must be those of {given}")
    over = action.share.sum(axis=1).max()
    if over > 1.0 + 1e-9 or action.share.min() < 0:
        raise InvalidArgument(f"share sums to {over:g} on a sub-channel; at most 1, none below 0")
    if not np.take_along_axis(state.allowed, host[:, :, None], axis=2).all():
        raise InvalidArgument("host puts a twin where it is not allowed")
