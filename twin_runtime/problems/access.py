"""Which devices train in a slot, and at which clocks, so that rounds are short [P1].

A device is promised a share of the slots and a budget of energy; both promises are virtual
queues, and what a slot costs is the queues' drift plus the weighted time of its slowest device.
A policy scores devices; the best `scheduled` of those that have battery left are taken, and
their clocks are exact.

Rewards of bandit baselines and what reports show (shares, energy) are kept in the state, too.
"""

from dataclasses import replace

import numpy as np

from twin_runtime.physics.arguments import Array
from twin_runtime.physics.channel import path_gain
from twin_runtime.physics.compute import computing_time_s
from twin_runtime.physics.fading import DIFFUSE_DEVIATION, ar1_start, ar1_step, rician_gain
from twin_runtime.physics.geometry import distance_m, uniform_in_disc
from twin_runtime.physics.iteration import aggregation_time_s, iteration_time_s
from twin_runtime.physics.packets import delivered
from twin_runtime.physics.queues import drift, virtual_queue
from twin_runtime.physics.rounds import round_time_s
from twin_runtime.physics.units import db_to_linear, dbm_to_w
from twin_runtime.problems.access_state import (
    Action,
    Link,
    State,
    World,
    action_of,
    available,
    best_scored,
    credited,
    cycles_of,
    outcome,
    solver_slot,
    training_energy_j,
    with_channel,
)
from twin_runtime.problems.problem import Cost, Observation, Problem, Scores, Spec, Tensor
from twin_runtime.problems.scenarios.smart_park import SmartPark
from twin_runtime.solvers.access_frequencies import allocate_each

REFERENCE_S = 1.0  # a device this slow, or slower, is no prompt one
UPLOAD_CLIP_S = 2.0  # features stay near 1: beyond these a device is merely slow, or poor
ENERGY_CLIP = 20.0
AGE_SLOTS = 50.0
BUDGET_J = 0.25  # the largest budget of a slot


FEATURES = (
    ("log1p priority queue", "1"),
    ("promised rate", "1"),
    ("log1p energy queue over budget", "1"),
    ("energy budget over 0.25 J", "1"),
    ("training time at the highest clock", "s"),
    ("upload time, at most 2 s", "s"),
    ("training energy at the highest clock over budget, at most 20", "1"),
    ("packet error rate", "1"),
    ("slots since last scheduled over 50", "1"),
    ("scheduled over available devices", "1"),
)
SPEC = Spec(
    problem="access",
    version=1,
    inputs=(
        Tensor("features", ("batch", "device", "feature"), FEATURES),
        Tensor("available", ("batch", "device"), dtype="bool"),
        Tensor("log10_delay_weight", ("batch", "feature"), (("log10 delay weight", "1"),)),
    ),
    outputs=(Tensor("score", ("batch", "device")),),
)


def begin(park: SmartPark, batch: int, generator: np.random.Generator) -> State:
    """Draw parks: where devices are, what they hold and what they are promised."""
    shape = (batch, park.devices)
    world = _world(park, shape, generator)
    rates = generator.permuted(np.broadcast_to(park.device_rates(), shape), axis=-1)
    budget = generator.uniform(park.energy_budget_min_j, park.energy_budget_max_j, shape)
    charge = generator.uniform(park.battery_start_min, 1.0, shape)
    nothing = np.zeros(shape)
    state = State(
        park=park,
        samples=generator.integers(park.samples_min, park.samples_max + 1, shape).astype(
            np.float64
        ),
        rate_min=rates,
        energy_budget_j=budget / park.slots,
        gain=nothing,
        interference_w=nothing,
        uplink=Link(nothing, nothing, nothing),
        frequency_max_hz=nothing,
        arrives=np.zeros(shape, dtype=np.bool_),
        battery_j=charge * park.battery_j,
        priority_queue=nothing,
        energy_queue_j=nothing,
        scheduled_slots=nothing,
        credited_slots=nothing,
        last_scheduled=np.full(shape, -1.0),
        spent_j=nothing,
        promptness=nothing,
    )
    return _seen(state, world, generator)


def observe(state: State) -> Observation:
    """The size-agnostic features of each device: `SPEC` names them."""
    park, uplink, ready = state.park, state.uplink, available(state)
    cycles = cycles_of(state)
    training_j = training_energy_j(state, state.frequency_max_hz)
    share = park.scheduled / np.maximum(ready.sum(axis=-1, keepdims=True), 1)
    columns = [
        np.log1p(state.priority_queue),
        state.rate_min,
        np.log1p(state.energy_queue_j / state.energy_budget_j),
        state.energy_budget_j / BUDGET_J,
        computing_time_s(cycles=cycles, frequency_hz=state.frequency_max_hz),
        np.minimum(uplink.upload_s, UPLOAD_CLIP_S),
        np.minimum(training_j / state.energy_budget_j, ENERGY_CLIP),
        uplink.error_rate,
        (state.slot - state.last_scheduled) / AGE_SLOTS,
        np.broadcast_to(share, cycles.shape),
    ]
    weight = np.full((len(cycles), 1), np.log10(park.delay_weight), dtype=np.float32)
    features = np.stack(columns, axis=-1).astype(np.float32)
    return {"features": features, "available": ready, "log10_delay_weight": weight}


def decode(state: State, scores: Scores) -> Action:
    """Take the best-scored available devices, at the clocks that are optimal for them."""
    devices, there = best_scored(state, scores["score"])
    frequency, _ = allocate_each(solver_slot(state), devices, there)
    return action_of(state, devices, there, frequency)


def cost(state: State, action: Action) -> Cost:
    """The drift plus the weighted time of the slowest device. [P1] (21).

    The server's own time is in the parts only: it is less the more uploads are lost.
    """
    park, done = state.park, outcome(state, action)
    added = drift(
        park.drift,
        priority_queue=state.priority_queue,
        energy_queue_j=state.energy_queue_j,
        rate_min=state.rate_min,
        energy_budget_j=state.energy_budget_j,
        energy_j=done.energy_j,
    )
    slowest = round_time_s(time_s=done.time_s, participates=action.scheduled)
    device_s = np.minimum(slowest, action.close_s)
    arrived = done.arrived.sum(axis=-1).astype(np.float64)
    aggregation = aggregation_time_s(
        uploads=arrived,
        size_bits=park.model_bits,
        cycles_per_bit=park.aggregation_cycles_per_bit,
        server_frequency_hz=park.server_frequency_hz,
    )
    whole = iteration_time_s(
        slowest_s=device_s, aggregation_s=aggregation, broadcast_s=park.broadcast_s
    )
    total = np.where(action.scheduled, added, 0.0).sum(axis=-1) + park.delay_weight * device_s
    parts = {"device_s": device_s, "iteration_s": whole, "energy_j": done.energy_j.sum(axis=-1)}
    return Cost(total, parts | {"arrived": arrived})


def transition(state: State, action: Action, generator: np.random.Generator) -> State:
    """Pay, count, and draw the next slot; the draws are the same whatever was done."""
    assert state.world is not None, "a live edge has no transition: reality is it"
    done, served = outcome(state, action), action.scheduled.astype(np.float64)
    counted = credited(state.park, done, action.scheduled)
    prompt = served * (1.0 - np.minimum(done.time_s, REFERENCE_S) / REFERENCE_S)
    after = replace(
        state,
        battery_j=np.maximum(state.battery_j - done.energy_j, 0.0),
        priority_queue=virtual_queue(
            backlog=state.priority_queue, arrival=state.rate_min, service=counted
        ),
        energy_queue_j=virtual_queue(
            backlog=state.energy_queue_j, arrival=done.energy_j, service=state.energy_budget_j
        ),
        slot=state.slot + 1,
        scheduled_slots=state.scheduled_slots + served,
        credited_slots=state.credited_slots + counted,
        last_scheduled=np.where(action.scheduled, state.slot, state.last_scheduled),
        spent_j=state.spent_j + done.energy_j,
        promptness=state.promptness + prompt,
    )
    return _seen(after, _drifted(state.park, state.world, generator), generator)


def _world(park: SmartPark, shape: tuple[int, int], generator: np.random.Generator) -> World:
    """Place the devices, and start what changes from slot to slot."""
    place = uniform_in_disc(generator, shape, radius_m=park.radius_m, hole_m=park.distance_min_m)
    gain = path_gain(
        distance_m=distance_m(source_m=place, target_m=np.zeros(2)),
        reference_loss_db=park.path_loss_km_db,
        slope_db=park.path_loss_slope_db,
        reference_distance_m=1000.0,
    )
    shadowing = ar1_start(generator, shape, mean=0.0, deviation=park.shadowing_db)
    return World(
        path_gain=gain * db_to_linear(shadowing),
        diffuse=ar1_start(generator, (*shape, 2), mean=0.0, deviation=DIFFUSE_DEVIATION),
        interference_dbm=ar1_start(
            generator, shape, mean=park.interference_dbm, deviation=park.interference_db
        ),
        load=ar1_start(generator, shape, mean=park.load_max / 2, deviation=park.load_max / 4),
    )


def _drifted(park: SmartPark, world: World, generator: np.random.Generator) -> World:
    """The world one slot later."""

    def step(previous: Array, mean: float, deviation: float) -> Array:
        return ar1_step(
            generator, previous, mean=mean, deviation=deviation, correlation=park.correlation
        )

    return replace(
        world,
        diffuse=step(world.diffuse, 0.0, DIFFUSE_DEVIATION),
        interference_dbm=step(world.interference_dbm, park.interference_dbm, park.interference_db),
        load=step(world.load, park.load_max / 2, park.load_max / 4),
    )


def _seen(state: State, world: World, generator: np.random.Generator) -> State:
    """The state with this slot's channel, clocks and checksums."""
    park = state.park
    gain = world.path_gain * rician_gain(diffuse=world.diffuse, k_factor_db=park.rician_db)
    state = with_channel(state, gain, dbm_to_w(world.interference_dbm))
    draw = generator.random(gain.shape)
    return replace(
        state,
        world=world,
        frequency_max_hz=park.frequency_max_hz * (1.0 - np.clip(world.load, 0.0, park.load_max)),
        arrives=delivered(draw=draw, error_rate=state.uplink.error_rate),
    )


PROBLEM = Problem(SPEC, begin, observe, decode, cost, transition)
