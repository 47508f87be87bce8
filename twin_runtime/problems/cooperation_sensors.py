"""Sensors of servers, in many worlds: drawn, asked for data, discharged and charged.

Arrays are `[batch, server, sensor]`, filled up to the most that a server may have.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from twin_runtime.physics import sensing, short_packets
from twin_runtime.physics.arguments import Array, Booleans, Integers
from twin_runtime.physics.channel import path_gain
from twin_runtime.physics.geometry import uniform_in_disc
from twin_runtime.problems.scenarios.wide_area import WideArea, packet_power_w


@dataclass(frozen=True, slots=True)
class Sensors:
    """Sensors of one kind: which exist, their path gains, batteries and thresholds."""

    present: Booleans
    gain: Array
    charge_j: Array
    threshold_j: Array

    def available(self) -> Booleans:
        enough = sensing.available(charge_j=self.charge_j, threshold_j=self.threshold_j)
        return self.present & enough

    def counts(self) -> Integers:
        """Available ones of each server `[batch, server]`."""
        counts: Integers = self.available().sum(axis=-1)
        return counts


class Asked(NamedTuple):
    """Who sends `[batch, server, sensor]`, and with which received power `[batch, server]`."""

    embb: Booleans
    urllc: Booleans
    received_w: Array


def begin(
    scenario: WideArea, batch: int, generator: np.random.Generator
) -> tuple[Sensors, Sensors]:
    """EMBB and URLLC sensors around each server, with their first charge."""
    embb_gain, embb_present = _placed(scenario, batch, generator)
    urllc_gain, urllc_present = _placed(scenario, batch, generator)
    embb_start = generator.uniform(*scenario.embb_start_j, embb_gain.shape)
    embb_threshold = np.full_like(embb_gain, scenario.embb_threshold_j)
    urllc_threshold = sensing.packets_energy_j(
        power_w=packet_power_w(scenario, urllc_gain),
        packet_probability=scenario.packet_probability,
        window_s=scenario.window_s,
    )
    urllc_start = urllc_threshold * generator.uniform(*scenario.urllc_start, urllc_gain.shape)
    return (
        Sensors(embb_present, embb_gain, embb_start, embb_threshold),
        Sensors(urllc_present, urllc_gain, urllc_start, urllc_threshold),
    )


def ask(
    scenario: WideArea,
    embb: Sensors,
    urllc: Sensors,
    counts: tuple[Integers, Integers],
    received_w: Array,
) -> Asked:
    """The best `counts` `[batch, server]` of the available sensors. [P5] S3.

    Of those, eMBB sensors whose mean power would be too high, or whose battery would not
    last, are left out; fewer are done sooner, so that ends.
    """
    chosen = sensing.best_sensors(
        score=embb.charge_j * embb.gain, eligible=embb.available(), count=counts[0]
    )
    packets = sensing.best_sensors(
        score=urllc.charge_j / urllc.threshold_j, eligible=urllc.available(), count=counts[1]
    )
    power = mean_power_w(scenario, embb.gain, received_w)
    chosen = chosen & (power <= scenario.sent_max_w)
    for _ in range(chosen.shape[-1]):  # each round but the last takes somebody out
        time = collection_s(scenario, chosen, packets, received_w)
        slots = sensing.collection_slots(time_s=time, slot_s=scenario.slot_s)
        pays = sensing.affordable(
            charge_j=embb.charge_j,
            mean_power_w=power,
            slots=slots[..., None],
            slot_s=scenario.slot_s,
        )
        if not (chosen & ~pays).any():
            break
        chosen = chosen & pays
    return Asked(chosen, packets, received_w)


def collection_s(scenario: WideArea, embb: Booleans, urllc: Booleans, received_w: Array) -> Array:
    """When each server has the data of the sensors that send `[batch, server]`. [P5] (5)(8)."""
    return collection_of_counts_s(scenario, embb.sum(axis=-1), urllc.sum(axis=-1), received_w)


def collection_of_counts_s(
    scenario: WideArea, embb: Integers, urllc: Integers, received_w: Array
) -> Array:
    """The same of so many of each kind: who they are does not matter."""
    rate = short_packets.punctured_rate_bps(
        received_w=received_w,
        noise_w_hz=scenario.noise_w_hz,
        bandwidth_hz=scenario.bandwidth_hz,
        senders=np.maximum(embb, 1),
        punctured=short_packets.punctured_share(
            packet_probability=scenario.packet_probability, active=urllc
        ),
    )
    return short_packets.collection_time_s(
        embb=embb,
        urllc=urllc,
        set_bits=scenario.set_bits,
        rate_bps=rate,
        window_s=scenario.window_s,
    )


def mean_power_w(scenario: WideArea, gain: Array, received_w: Array) -> Array:
    """What eMBB sensors of these gains send with, on average over fading."""
    factor, _ = short_packets.inversion_power_factors(outage_probability=scenario.outage)
    mean: Array = received_w[..., None] / gain * factor
    return mean


def after(
    scenario: WideArea,
    embb: Sensors,
    urllc: Sensors,
    asked: Asked,
    generator: np.random.Generator,
) -> tuple[Sensors, Sensors]:
    """The sensors a circle later: what they sent is spent, and the sun has shone. [P5] (16)(18)."""
    shape = embb.charge_j.shape
    cloud = generator.uniform(*scenario.cloud, (*shape[:-1], 1))
    spent = _bulk_spent_j(scenario, embb, asked, generator)
    sun = cloud * generator.uniform(*scenario.shade, shape)
    bulk = sensing.charge_after_j(
        charge_j=embb.charge_j,
        spent_j=spent,
        harvest_j=scenario.embb_harvest_j * sun,
        capacity_j=scenario.embb_capacity_j,
    )
    sun = cloud * generator.uniform(*scenario.shade, shape)
    packets = sensing.charge_after_j(
        charge_j=urllc.charge_j,
        spent_j=_packets_spent_j(scenario, urllc, asked, generator),
        harvest_j=scenario.urllc_harvest * urllc.threshold_j * sun,
        capacity_j=scenario.urllc_capacity * urllc.threshold_j,
    )
    return replace(embb, charge_j=bulk), replace(urllc, charge_j=packets)


def _placed(
    scenario: WideArea, batch: int, generator: np.random.Generator
) -> tuple[Array, Booleans]:
    fewest, most = scenario.sensors
    shape = (batch, scenario.servers, most)
    place = uniform_in_disc(
        generator, shape, radius_m=scenario.cell_radius_m, hole_m=scenario.cell_hole_m
    )
    gain = path_gain(
        distance_m=np.hypot(place[..., 0], place[..., 1]),
        reference_loss_db=scenario.loss_at_1m_db,
        slope_db=scenario.loss_per_decade_db,
    )
    count = generator.integers(fewest, most + 1, shape[:-1])
    return gain, np.arange(most) < count[..., None]


def _bulk_spent_j(
    scenario: WideArea, embb: Sensors, asked: Asked, generator: np.random.Generator
) -> Array:
    """Energy of channel inversion over the slots of a collection.

    A slot's power is random with the fading, with a known mean and variance; their sum over
    slots is drawn from the Gamma distribution that has the sum's mean and variance.
    """
    mean, square = short_packets.inversion_power_factors(outage_probability=scenario.outage)
    time = collection_s(scenario, asked.embb, asked.urllc, asked.received_w)
    slots = sensing.collection_slots(time_s=time, slot_s=scenario.slot_s)[..., None]
    unit = scenario.slot_s * asked.received_w[..., None] / embb.gain
    shape = np.maximum(slots, 1.0) * mean**2 / (square - mean**2)
    drawn = np.zeros_like(unit)
    drawn[embb.present] = generator.gamma(np.broadcast_to(shape, unit.shape)[embb.present])
    spent: Array = asked.embb * unit * (square - mean**2) / mean * drawn
    return spent


def _packets_spent_j(
    scenario: WideArea, urllc: Sensors, asked: Asked, generator: np.random.Generator
) -> Array:
    """Energy of the packets that came in the window: as many as chance had it."""
    mini_slots = scenario.slots_per_window * scenario.mini_slots_per_slot
    packets = np.zeros_like(urllc.charge_j)
    packets[urllc.present] = generator.binomial(
        mini_slots, scenario.packet_probability, int(urllc.present.sum())
    )
    each = urllc.threshold_j / (mini_slots * scenario.packet_probability)
    spent: Array = asked.urllc * packets * each
    return spent
