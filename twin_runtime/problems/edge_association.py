"""Which station trains which twin, how large batches are, who gets how much of the uplink.

Stations decide together and pay together: each is an agent, and all have one cost. A round
is training, aggregation and upload with a barrier after each, then what the cloud and the
ledger do; training needs more rounds, the smaller batches are. The cost is the time to the
target accuracy over that of average hosting (twin n at station n mod M, equal shares, the
scenario's batches) on the same state. With batches left as they are the number of rounds
falls out, and it is the round's time over the reference's, [P4] (19).

A policy may score hosts only: shares and batches that it does not score are solved exactly,
which is better than any it could learn (`decode`).
"""

from dataclasses import replace

import numpy as np

from twin_runtime.physics.arguments import Array, Booleans, Integers, InvalidArgument
from twin_runtime.physics.channel import path_gain, shannon_rate_bps, sinr
from twin_runtime.physics.geometry import distance_m, uniform_in_square
from twin_runtime.physics.hierarchy import sums_at_stations
from twin_runtime.physics.units import dbm_to_w
from twin_runtime.problems.edge_association_round import (
    Action,
    State,
    average_action,
    best_fractions,
    best_shares,
    in_turn,
    models_sent,
    round_parts_s,
    rounds_of,
)
from twin_runtime.problems.problem import Cost, Observation, Problem, Scores, Spec, Tensor
from twin_runtime.problems.scenarios.five_stations import FiveStations
from twin_runtime.solvers.certificate import Infeasible

TRAINING_SCALE_S = 10.0  # what a round's training is seen relative to
NEAREST_M = 1.0  # where the path loss begins
PREFERENCE = 1e-3  # of a score beside the load that is left, in twins: it breaks ties


SPEC = Spec(
    problem="edge_association",
    version=1,
    inputs=(
        Tensor("twin", ("batch", "twin", "feature"), (("log samples over mean", "1"),)),
        Tensor(
            "station",
            ("batch", "station", "feature"),
            (
                ("log clock over mean", "1"),
                ("log rate over mean", "1"),
                ("twins before over mean", "1"),
            ),
        ),
        Tensor(
            "pair",
            ("batch", "twin", "station", "feature"),
            (("hosted before", "1"), ("log access rate over mean", "1")),
        ),
        Tensor(
            "channel",
            ("batch", "station", "channel", "feature"),
            (
                ("log rate over mean of all", "1"),
                ("log rate over mean of its station", "1"),
                ("log rate over mean of its sub-channel", "1"),
                ("log rate of its station over mean", "1"),
                ("log stations", "1"),
            ),
        ),
        Tensor(
            "context",
            ("batch", "feature"),
            (("log training over 10 s", "1"), ("log stations", "1")),
        ),
        Tensor("allowed", ("batch", "twin", "station"), dtype="bool"),
    ),
    # A policy may leave out the last two.
    outputs=(
        Tensor("association", ("batch", "twin", "station")),
        Tensor("share", ("batch", "station", "channel")),
        Tensor("fraction", ("batch", "station")),
    ),
)


def begin(scenario: FiveStations, batch: int, generator: np.random.Generator) -> State:
    """Draw worlds: samples, clocks, fading, devices; twins are hosted in turn."""
    shape = (batch, scenario.twins)
    samples = generator.integers(scenario.samples_min, scenario.samples_max + 1, shape)
    frequency, rate, broadcast = _drawn(scenario, batch, generator)
    return State(
        scenario=scenario,
        samples=samples.astype(np.float64),
        host=in_turn(scenario, batch),
        allowed=np.ones((*shape, scenario.stations), dtype=np.bool_),
        frequency_hz=frequency,
        rate_bps=rate,
        broadcast_bps=broadcast,
        access_bps=_access_bps(scenario, batch, generator),
    )


def transition(state: State, action: Action, generator: np.random.Generator) -> State:
    """The next round: twins are where they were put, clocks and fading are new."""
    frequency, rate, broadcast = _drawn(state.scenario, len(state.host), generator)
    return replace(
        state, host=action.host, frequency_hz=frequency, rate_bps=rate, broadcast_bps=broadcast
    )


def observe(state: State) -> Observation:
    """Features that are logarithms of ratios, so one policy serves any numbers and units."""
    rate = state.rate_bps
    total = rate.sum(axis=2)
    stations = np.full(len(rate), np.log(rate.shape[1]))
    work_s = state.samples.sum(axis=1) * state.scenario.fraction
    work_s *= state.scenario.cycles_per_sample / state.frequency_hz.sum(axis=1)
    before = sums_at_stations(values=1.0, host=state.host, stations=rate.shape[1])
    station = [
        _log_over(state.frequency_hz, state.frequency_hz.mean(axis=1, keepdims=True)),
        _log_over(total, total.mean(axis=1, keepdims=True)),
        before / before.mean(axis=1, keepdims=True),
    ]
    channel = [
        _log_over(rate, rate.mean(axis=(1, 2), keepdims=True)),
        _log_over(rate, rate.mean(axis=2, keepdims=True)),
        _log_over(rate, rate.mean(axis=1, keepdims=True)),
        np.broadcast_to(station[1][:, :, None], rate.shape),
        np.broadcast_to(stations[:, None, None], rate.shape),
    ]
    twin = _log_over(state.samples, state.samples.mean(axis=1, keepdims=True))
    pair = state.host[:, :, None] == np.arange(rate.shape[1])
    access = _log_over(state.access_bps, state.access_bps.mean(axis=2, keepdims=True))
    return {
        "twin": _features(twin),
        "station": _features(*station),
        "pair": _features(pair, access),
        "channel": _features(*channel),
        "context": _features(np.log(work_s / TRAINING_SCALE_S), stations),
        "allowed": state.allowed,
    }


def decode(state: State, scores: Scores) -> Action:
    """Scores made feasible. [P4] (1)(18), its projection P1 to P5.

    Hosts: the station loads that a softmax over stations asks for, filled with whole twins,
    the largest first; never each twin's own best station, as twins alike would all choose
    the same one. Shares and fractions: a softmax over participants and a squashed number per
    station where a policy scores them, else the exact optima.

    Args:
        state: B worlds.
        scores: `association` `[B, N, M]`; `share` `[B, M, C]` and `fraction` `[B, M]` if any.

    Raises:
        Infeasible: a twin has no station that is allowed and has room.
    """
    host = hosts_of_scores(state, np.asarray(scores["association"], dtype=np.float64))
    if "share" in scores:
        share = _softmax_shares(state, host, np.asarray(scores["share"], dtype=np.float64))
    else:
        share = best_shares(state, host)
    if "fraction" in scores:
        fraction = _squashed_fractions(state, host, np.asarray(scores["fraction"], np.float64))
    else:
        fraction = best_fractions(state, host, share)
    return Action(host, fraction, share)


def cost(state: State, action: Action) -> Cost:
    """Seconds to the target over the reference's, the same for each station `[B, M]`.

    [P4] (17)(18)(19).
    """
    parts = round_parts_s(state, action)
    rounds = rounds_of(state, action.fraction)
    learning = rounds * parts["round_s"]
    average = average_action(state)
    reference = round_parts_s(replace(state, host=average.host), average)["round_s"]
    ratio = learning / (rounds_of(state, average.fraction) * reference)
    parts |= {"rounds": rounds, "learning_s": learning, "reference_round_s": reference}
    return Cost(np.repeat(ratio[:, None], state.frequency_hz.shape[1], axis=1), parts)


def hosts_of_scores(state: State, logits: Array) -> Integers:
    """Whole twins into the loads that scores ask for, the largest twin first `[B, N]`."""
    if logits.shape != state.allowed.shape or not np.isfinite(logits).all():
        found = f"association has the shape {logits.shape}"
        raise InvalidArgument(f"{found}; it must be finite numbers {state.allowed.shape}")
    wanted = _softmax(np.where(state.allowed, logits, -1e9), axis=2)
    left = (wanted * state.samples[:, :, None]).sum(axis=1)
    room = np.full(left.shape, state.scenario.twins_max or state.samples.shape[1])
    host, world = np.empty(state.host.shape, dtype=np.int64), np.arange(len(left))
    for twin in np.argsort(-state.samples, axis=1, kind="stable").T:
        size = state.samples[world, twin]
        open_to = state.allowed[world, twin] & (room > 0)
        worth = left / size[:, None] + PREFERENCE * wanted[world, twin]
        chosen = np.where(open_to, worth, -np.inf).argmax(axis=1)
        _check_room(open_to[world, chosen], twin)
        host[world, twin] = chosen
        left[world, chosen] -= size
        room[world, chosen] -= 1
    return host


def _drawn(
    scenario: FiveStations, batch: int, generator: np.random.Generator
) -> tuple[Array, Array, Array]:
    """Clocks, uplink rates and broadcast rates of a round."""
    shape = (batch, scenario.stations, scenario.channels)
    free = 1.0 - generator.uniform(0.0, scenario.load_max, shape[:2])
    fading = generator.exponential(1.0, shape) if scenario.fades else np.ones(shape)
    rate = _rate_bps(scenario, scenario.station_power_dbm, fading)
    broadcast = _rate_bps(scenario, scenario.cloud_power_dbm, fading).sum(axis=2)
    return np.array(scenario.frequency_max_hz) * free, rate, broadcast


def _access_bps(scenario: FiveStations, batch: int, generator: np.random.Generator) -> Array:
    """From devices, which are anywhere, to all stations; equal where nobody syncs."""
    shape = (batch, scenario.twins, scenario.stations)
    if scenario.sync_bits == 0:
        return np.full(shape, scenario.access_bandwidth_hz)
    device = uniform_in_square(generator, shape[:2], side_m=scenario.area_side_m)
    apart = distance_m(source_m=device[:, :, None], target_m=scenario.stations_m)
    gain = path_gain(
        distance_m=np.maximum(apart, NEAREST_M),
        reference_loss_db=scenario.path_loss_m_db,
        slope_db=scenario.path_loss_slope_db,
    )
    bandwidth = scenario.access_bandwidth_hz
    ratio = sinr(
        received_w=dbm_to_w(scenario.access_power_dbm) * gain,
        noise_w=dbm_to_w(scenario.noise_density_dbm) * bandwidth,
    )
    return shannon_rate_bps(bandwidth_hz=bandwidth, sinr=ratio)


def _rate_bps(scenario: FiveStations, power_dbm: float, fading: Array) -> Array:
    """Of whole sub-channels between each station and the cloud."""
    gain = path_gain(
        distance_m=scenario.distances_m,
        reference_loss_db=scenario.path_loss_m_db,
        slope_db=scenario.path_loss_slope_db,
    )
    received_w = dbm_to_w(power_dbm) / scenario.channels * gain[:, None] * fading
    ratio = sinr(
        received_w=received_w, noise_w=scenario.noise_w, interference_w=scenario.interference_w
    )
    return shannon_rate_bps(bandwidth_hz=scenario.bandwidth_hz, sinr=ratio)


def _softmax_shares(state: State, host: Integers, logits: Array) -> Array:
    if logits.shape != state.rate_bps.shape or not np.isfinite(logits).all():
        found = f"share has the shape {logits.shape}"
        raise InvalidArgument(f"{found}; it must be finite numbers {state.rate_bps.shape}")
    sends = models_sent(state, host) > 0
    return _softmax(np.where(sends[:, :, None], logits, -np.inf), axis=1)


def _squashed_fractions(state: State, host: Integers, logits: Array) -> Array:
    if logits.shape != state.frequency_hz.shape or np.isnan(logits).any():
        found = f"fraction has the shape {logits.shape}"
        raise InvalidArgument(f"{found}; it must be numbers {state.frequency_hz.shape}")
    least, most = state.scenario.learning.fraction_range
    squashed = least + (most - least) / (1.0 + np.exp(-np.clip(logits, -50.0, 50.0)))
    return np.take_along_axis(squashed, host, axis=1)


def _softmax(logits: Array, axis: int) -> Array:
    raised = np.exp(logits - logits.max(axis=axis, keepdims=True))
    part: Array = raised / raised.sum(axis=axis, keepdims=True)
    return part


def _log_over(value: Array, mean: Array) -> Array:
    ratio: Array = np.log(value / mean)
    return ratio


def _features(*columns: np.ndarray) -> np.ndarray:
    return np.stack(columns, axis=-1).astype(np.float32)


def _check_room(found: Booleans, twin: Integers) -> None:
    if not found.all():
        world = int(found.argmin())
        raise Infeasible(f"twin {twin[world]} of world {world} has no allowed station with room")


PROBLEM = Problem(SPEC, begin, observe, decode, cost, transition)
