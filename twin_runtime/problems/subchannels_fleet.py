"""The users of `subchannels`: what they are, how their links fade, and whose update weighs most.

All arrays are `[batch, user, ...]`. Nothing here is decided: the gate is the scenario's.
"""

from dataclasses import dataclass, replace

import numpy as np

from twin_runtime.physics import asynchronous as asyn
from twin_runtime.physics.arguments import Array, Booleans, Integers
from twin_runtime.physics.channel import (
    path_gain,
    shannon_rate_bps,
    sinr,
    upload_energy_j,
    upload_time_s,
)
from twin_runtime.physics.compute import computing_time_s, training_cycles
from twin_runtime.physics.geometry import distance_m, uniform_in_disc
from twin_runtime.physics.markov_channel import next_states, snr_states
from twin_runtime.physics.units import db_to_linear, dbm_to_w
from twin_runtime.problems.scenarios.industrial_iot import Fading, Gate, IndustrialIot
from twin_runtime.solvers.cpu_frequencies import energy_capped_frequency_hz


@dataclass(frozen=True, slots=True)
class State:
    """A round's start, when all have trained and it is known who takes part.

    `mean_snr`, `samples`, `cycles_per_sample`, `frequency_max_hz`, `gap_rounds` (since a user
    was last aggregated) and `change` (how far its training moved the model) are `[batch, user]`;
    `fading` `[batch, user, sub-channel]` is an index of the SNR's states. `participants`
    `[batch, participant]` are users, `active` says which of them have not been left out.
    """

    scenario: IndustrialIot
    mean_snr: Array
    samples: Array
    cycles_per_sample: Array
    frequency_max_hz: Array
    fading: Integers
    gap_rounds: Array
    change: Array
    participants: Integers
    active: Booleans

    def of_participants(self, each: Array) -> Array:
        """`[batch, user, ...]` as `[batch, participant, ...]`."""
        return np.asarray(each[np.arange(len(each))[:, None], self.participants])


def begin(scenario: IndustrialIot, batch: int, generator: np.random.Generator) -> State:
    """New users, in their first round."""
    shape = (batch, scenario.users)
    samples = _clipped(generator, shape, scenario, "samples")
    fading = generator.integers(0, scenario.snr_states, (*shape, _fadings(scenario)))
    fleet = State(
        scenario=scenario,
        mean_snr=_mean_snr(scenario, shape, generator),
        samples=samples * scenario.samples_mean / samples.mean(axis=-1, keepdims=True),
        cycles_per_sample=_clipped(generator, shape, scenario, "cycles"),
        frequency_max_hz=np.clip(
            generator.normal(scenario.frequency_mean_hz, scenario.frequency_deviation_hz, shape),
            scenario.frequency_low_hz,
            scenario.frequency_high_hz,
        ),
        fading=np.broadcast_to(fading, (*shape, scenario.subchannels)),
        gap_rounds=np.ones(shape),
        change=np.zeros(shape),
        participants=np.zeros((batch, scenario.participants), dtype=np.int64),
        active=np.ones((batch, scenario.participants), dtype=np.bool_),
    )
    return select(fleet, drawn_change(fleet, generator), generator)


def next_round(state: State, generator: np.random.Generator) -> State:
    """Links and gaps one round later; who takes part then is not decided yet."""
    scenario = state.scenario
    fading = next_states(
        generator,
        state.fading[..., : _fadings(scenario)],
        states=scenario.snr_states,
        stay=scenario.stay,
    )
    gap = state.gap_rounds + 1.0
    world, place = np.nonzero(state.active)
    gap[world, state.participants[world, place]] = 1.0
    return replace(state, fading=np.broadcast_to(fading, state.fading.shape), gap_rounds=gap)


def drawn_change(state: State, generator: np.random.Generator) -> Array:
    """How far training moves each user's model, where no model is trained `[batch, user]`."""
    scenario = state.scenario
    size = (state.samples / scenario.samples_mean) ** scenario.change_exponent
    spread = np.exp(scenario.change_spread * generator.standard_normal(size.shape))
    return np.asarray(scenario.change_median * size * spread)


def select(state: State, change: Array, generator: np.random.Generator) -> State:
    """The round in which training moved each user's model by `change`, and who takes part."""
    scenario = state.scenario
    trained = replace(state, change=change)
    if scenario.gate is Gate.RANDOM:
        order = generator.random(change.shape).argsort(axis=-1)
        chosen = order[:, : scenario.participants]
    else:
        chosen = asyn.leading_users(
            update_weight=update_weight(trained),
            gap_rounds=state.gap_rounds,
            count=scenario.participants,
            gap_rounds_max=scenario.gap_rounds_max,
        )
    return replace(trained, participants=chosen, active=np.ones(chosen.shape, dtype=np.bool_))


def update_weight(state: State) -> Array:
    """Every user's tau, at its fastest clock and its mean rate `[batch, user]`. [P2] (21)."""
    scenario = state.scenario
    rate = np.take_along_axis(rate_table_bps(state), state.fading, axis=-1).mean(axis=-1)
    clock = capped_hz(scenario, cycles(state), state.frequency_max_hz, rate)
    if scenario.gate is Gate.SPEED:
        fair = rate * scenario.subchannels / scenario.participants
        time = computing_time_s(cycles=cycles(state), frequency_hz=clock)
        time = time + upload_time_s(size_bits=scenario.model_bits, rate_bps=fair)
        usual = np.median(time, axis=-1, keepdims=True)
        speed = asyn.turnaround_speed(time_s=time, reference_time_s=usual)
    else:
        speed = asyn.link_speed(
            rate_bps=rate,
            frequency_hz=clock,
            reference_rate_bps=np.median(rate, axis=-1, keepdims=True),
            reference_frequency_hz=np.median(clock, axis=-1, keepdims=True),
        )
    return asyn.update_weight(gap_rounds=state.gap_rounds, change=state.change, speed=speed)


def participant_rates_bps(state: State) -> Array:
    """`[batch, participant, sub-channel]`."""
    table = state.of_participants(rate_table_bps(state))
    rows = np.arange(len(table))[:, None]
    return np.take_along_axis(table, state.fading[rows, state.participants], axis=-1)


def rate_table_bps(state: State) -> Array:
    """Each user's rate on a sub-channel in each state of its SNR `[batch, user, state]`."""
    scenario = state.scenario
    means = snr_states(scenario.snr_states).means
    ratio = np.minimum(state.mean_snr[..., None] * means, scenario.snr_max)
    width = scenario.bandwidth_hz / scenario.subchannels
    return shannon_rate_bps(bandwidth_hz=width, sinr=ratio)


def cycles(state: State) -> Array:
    """What each user has to compute in a round `[batch, user]`."""
    return training_cycles(
        samples=state.samples,
        cycles_per_sample=state.cycles_per_sample,
        epochs=state.scenario.epochs,
    )


def capped_hz(
    scenario: IndustrialIot, work: Array, frequency_max_hz: Array, rate_bps: Array
) -> Array:
    """The fastest clocks for this work that leave energy for an upload at this rate; any shape."""
    power = scenario.transmit_coefficient * scenario.subchannel_power_w
    time = upload_time_s(size_bits=scenario.model_bits, rate_bps=rate_bps)
    return energy_capped_frequency_hz(
        cycles=work,
        frequency_max_hz=frequency_max_hz,
        capacitance=scenario.capacitance,
        energy_max_j=scenario.energy_max_j,
        upload_energy_j=upload_energy_j(power_w=power, time_s=time),
    )


def _fadings(scenario: IndustrialIot) -> int:
    """How many sub-channels of a user fade on their own."""
    return 1 if scenario.fading is Fading.FLAT else scenario.subchannels


def _clipped(
    generator: np.random.Generator, shape: tuple[int, ...], scenario: IndustrialIot, name: str
) -> Array:
    mean, deviation, low, high = (
        getattr(scenario, f"{name}_{part}") for part in ("mean", "deviation", "min", "max")
    )
    return np.clip(generator.normal(mean, deviation, shape), low, high)


def _mean_snr(
    scenario: IndustrialIot, shape: tuple[int, ...], generator: np.random.Generator
) -> Array:
    place = uniform_in_disc(
        generator, shape, radius_m=scenario.radius_m, hole_m=scenario.distance_min_m
    )
    gain = path_gain(
        distance_m=distance_m(source_m=place, target_m=(0.0, 0.0)),
        reference_loss_db=scenario.path_loss_km_db,
        slope_db=scenario.path_loss_slope_db,
        reference_distance_m=1000.0,
    )
    width = scenario.bandwidth_hz / scenario.subchannels
    noise = dbm_to_w(scenario.noise_dbm_per_hz) * db_to_linear(scenario.noise_figure_db) * width
    return sinr(received_w=scenario.subchannel_power_w * gain, noise_w=noise)
