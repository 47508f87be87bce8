"""Sensors that live on what they harvest: what sending takes, who can send, who is asked to.

Energies in joules, one entry per sensor, any leading axes. A sensor is available while its
battery is above its threshold, and only available ones are activated: [P5] (1)(4).
"""

import numpy as np

from twin_runtime.physics.arguments import (
    Array,
    Booleans,
    Integers,
    InvalidArgument,
    Real,
    broadcast,
    non_negative,
    positive,
    within,
)


def charge_after_j(*, charge_j: Real, spent_j: Real, harvest_j: Real, capacity_j: Real) -> Array:
    """A battery after a circle: min([charge - spent]^+ + harvest, capacity). [P5] (16)(18)."""
    charge, spent = non_negative("charge_j", charge_j), non_negative("spent_j", spent_j)
    harvest, capacity = non_negative("harvest_j", harvest_j), positive("capacity_j", capacity_j)
    broadcast(charge_j=charge, spent_j=spent, harvest_j=harvest, capacity_j=capacity)
    return np.minimum(np.maximum(charge - spent, 0.0) + harvest, capacity)


def packets_energy_j(*, power_w: Real, packet_probability: Real, window_s: Real) -> Array:
    """Expected energy of a URLLC sensor's packets in a window; it must have it. [P5] (16)(17).

    `power_w` x the share of time in which it sends x `window_s`.
    """
    power, window = non_negative("power_w", power_w), non_negative("window_s", window_s)
    probability = within("packet_probability", packet_probability, 0.0, 1.0)
    broadcast(power_w=power, packet_probability=probability, window_s=window)
    return power * probability * window


def collection_slots(*, time_s: Real, slot_s: Real) -> Array:
    """Whole slots that a collection of `time_s` (>= 0) takes. [P5] (18)."""
    time, slot = non_negative("time_s", time_s), positive("slot_s", slot_s)
    broadcast(time_s=time, slot_s=slot)
    return np.ceil(time / slot)


def slots_energy_j(*, power_w: Real, slot_s: Real) -> Array:
    """Energy of sending with `power_w` `[..., slots]` over slots of `slot_s` [J]. [P5] (18)(20)."""
    energy: Array = positive("slot_s", slot_s) * non_negative("power_w", power_w).sum(axis=-1)
    return energy


def available(*, charge_j: Real, threshold_j: Real) -> Booleans:
    """Who has at least its threshold. [P5] (17)(19)."""
    charge, threshold = non_negative("charge_j", charge_j), non_negative("threshold_j", threshold_j)
    broadcast(charge_j=charge, threshold_j=threshold)
    return np.asarray(charge >= threshold)


def affordable(*, charge_j: Real, mean_power_w: Real, slots: Real, slot_s: Real) -> Booleans:
    """Whose battery pays for `slots` at its mean power. [P5] (20), the paper's C3."""
    charge, power = non_negative("charge_j", charge_j), non_negative("mean_power_w", mean_power_w)
    count, slot = non_negative("slots", slots), positive("slot_s", slot_s)
    broadcast(charge_j=charge, mean_power_w=power, slots=count, slot_s=slot)
    return np.asarray(power * count * slot <= charge)


def best_sensors(*, score: Real, eligible: Booleans, count: Integers) -> Booleans:
    """The `count` `[...]` eligible sensors with the highest score `[..., n]`. [P5] (1)(4).

    Fewer where fewer are eligible. For eMBB the score is charge x gain, the air time that a
    battery affords; for URLLC it is the windows of packets that it affords: [P5] S3.
    """
    value = non_negative("score", score)
    if value.shape != eligible.shape or value.shape[:-1] != np.shape(count):
        shapes = f"score {value.shape}, eligible {eligible.shape}, count {np.shape(count)}"
        raise InvalidArgument(f"count must have the shape of the others less an axis: {shapes}")
    order = np.argsort(np.where(eligible, -value, np.inf), axis=-1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.broadcast_to(np.arange(value.shape[-1]), rank.shape), -1)
    return eligible & (rank < np.asarray(count)[..., None])
