"""A slot of access scheduling, before and after its decision [P1].

A live edge fills `State` from its twins: gain, interference and clock as they are estimated.
What only a simulation knows is in `World`.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from twin_runtime.physics.arguments import Array, Booleans, Integers, finite
from twin_runtime.physics.channel import shannon_rate_bps, sinr, upload_energy_j, upload_time_s
from twin_runtime.physics.compute import computing_energy_j, computing_time_s, training_cycles
from twin_runtime.physics.iteration import participation_energy_j
from twin_runtime.physics.packets import packet_error_rate
from twin_runtime.physics.units import db_to_linear, dbm_to_w
from twin_runtime.problems.scenarios.smart_park import Credit, SmartPark
from twin_runtime.solvers.access_slot import Slot


class Link(NamedTuple):
    """A device's uplink in this slot, `[batch, device]`."""

    upload_s: Array
    upload_j: Array
    error_rate: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What only the transition of a simulated park knows, `[batch, device]`."""

    path_gain: Array  # with shadowing
    diffuse: Array  # [batch, device, 2]
    interference_dbm: Array
    load: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A slot before its decision, `[batch, device]` each unless it says otherwise."""

    park: SmartPark
    samples: Array
    rate_min: Array
    energy_budget_j: Array  # per slot
    gain: Array  # of the uplink, linear
    interference_w: Array
    uplink: Link  # that these two make
    frequency_max_hz: Array
    arrives: Booleans  # whether an upload in this slot passes its checksum; no policy sees it
    battery_j: Array
    priority_queue: Array
    energy_queue_j: Array
    slot: int = 0
    scheduled_slots: Array
    credited_slots: Array  # those that count towards the promise, by `park.credit`
    last_scheduled: Array  # the slot, -1 before the first
    spent_j: Array
    promptness: Array  # summed over scheduled slots, each in [0, 1]
    world: World | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """Who trains, and at which clock, `[batch, device]`."""

    scheduled: Booleans
    frequency_hz: Array  # 0 where not scheduled
    close_s: Array  # [batch]: later uploads do not count, and nobody waits for them


class Outcome(NamedTuple):
    """What a device does in this slot, `[batch, device]`; 0 where it is not scheduled."""

    time_s: Array
    energy_j: Array
    arrived: Booleans


def cycles_of(state: State) -> Array:
    """Cycles of one pass over each device's samples."""
    return training_cycles(samples=state.samples, cycles_per_sample=state.park.cycles_per_sample)


def with_channel(state: State, gain: Array, interference_w: Array) -> State:
    """The state with another uplink: what is measured, or what a twin believes."""
    park, power = state.park, dbm_to_w(state.park.power_dbm)
    ratio = sinr(
        received_w=gain * power, noise_w=dbm_to_w(park.noise_dbm), interference_w=interference_w
    )
    rate = shannon_rate_bps(bandwidth_hz=park.bandwidth_hz, sinr=ratio)
    time = upload_time_s(size_bits=park.model_bits, rate_bps=rate)
    lost = packet_error_rate(sinr=ratio, waterfall=db_to_linear(park.waterfall_db))
    uplink = Link(time, upload_energy_j(power_w=power, time_s=time), lost)
    return replace(state, gain=gain, interference_w=interference_w, uplink=uplink)


def available(state: State) -> Booleans:
    """Which devices have the energy for one pass at the lowest clock, and its upload."""
    least = training_energy_j(state, state.park.frequency_min_hz) + state.uplink.upload_j
    return np.asarray(state.battery_j >= least)


def solver_slot(state: State) -> Slot:
    """The state as the solvers take it; nobody may spend more than its battery holds."""
    park, uplink, cycles = state.park, state.uplink, cycles_of(state)
    spare = np.maximum(state.battery_j - uplink.upload_j, 0.0)
    affordable = np.sqrt(spare / (park.capacitance * cycles))
    return Slot(
        cycles=cycles,
        upload_s=uplink.upload_s,
        upload_j=uplink.upload_j,
        frequency_max_hz=np.maximum(
            np.minimum(state.frequency_max_hz, affordable), park.frequency_min_hz
        ),
        priority_queue=state.priority_queue,
        energy_queue_j=state.energy_queue_j,
        rate_min=state.rate_min,
        energy_budget_j=state.energy_budget_j,
        frequency_min_hz=park.frequency_min_hz,
        capacitance=park.capacitance,
        delay_weight=park.delay_weight,
        drift=park.drift,
    )


def best_scored(state: State, score: Array) -> tuple[Integers, Booleans]:
    """The best-scored devices `[batch, scheduled]`, and which of them are available."""
    ready = available(state)
    masked = np.where(ready, finite("score", score), -np.inf)
    devices = np.argpartition(-masked, state.park.scheduled - 1, axis=-1)
    devices = devices[:, : state.park.scheduled]
    return devices, np.take_along_axis(ready, devices, axis=-1)


def credited(park: SmartPark, done: Outcome, scheduled: Booleans) -> Array:
    """Whether the slot counts towards each device's promise, 1 or 0."""
    counts = scheduled if park.credit is Credit.SCHEDULED else done.arrived
    return counts.astype(np.float64)


def action_of(state: State, devices: Integers, there: Booleans, frequency_hz: Array) -> Action:
    """The action of scheduling `devices` `[batch, n]`, as far as they are there."""
    scheduled = np.zeros(state.samples.shape, dtype=np.bool_)
    frequency = np.zeros(state.samples.shape)
    np.put_along_axis(scheduled, devices, there, axis=-1)
    np.put_along_axis(frequency, devices, np.where(there, frequency_hz, 0.0), axis=-1)
    forever = np.full(len(scheduled), np.inf)
    return Action(scheduled=scheduled, frequency_hz=frequency, close_s=forever)


def outcome(state: State, action: Action) -> Outcome:
    """What the scheduled devices do; one whose clock is capped runs at its cap."""
    uplink, scheduled = state.uplink, action.scheduled
    clock = np.minimum(action.frequency_hz, state.frequency_max_hz)
    clock = np.where(scheduled, clock, state.frequency_max_hz)
    computing = computing_time_s(cycles=cycles_of(state), frequency_hz=clock)
    time = np.where(scheduled, computing + uplink.upload_s, 0.0)
    energy = participation_energy_j(
        scheduled=scheduled,
        computing_j=training_energy_j(state, clock),
        upload_j=uplink.upload_j,
    )
    in_time = time <= action.close_s[:, np.newaxis]
    return Outcome(time, energy, scheduled & state.arrives & in_time)


def training_energy_j(state: State, frequency_hz: Array | float) -> Array:
    return computing_energy_j(
        cycles=cycles_of(state),
        frequency_hz=frequency_hz,
        capacitance=state.park.capacitance,
    )
