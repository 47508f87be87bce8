"""Instances of access scheduling for tests."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from twin_runtime.physics.arguments import Integers
from twin_runtime.physics.queues import Drift
from twin_runtime.solvers.access_slot import PER_DEVICE, Slot


def shared_instance(drift: Drift) -> Slot:
    """The instance of test vectors V6 and V7."""
    upload_s = np.array([0.012, 0.007, 0.030, 0.009, 0.060, 0.008])
    return Slot(
        cycles=np.array([120.0, 180.0, 240.0, 300.0, 360.0, 400.0]) * 1e6,
        upload_s=upload_s,
        upload_j=0.2 * upload_s,
        frequency_max_hz=np.full(6, 1.5e9),
        priority_queue=np.array([0.30, 0.90, 1.20, 0.10, 2.40, 1.60]),
        energy_queue_j=np.array([0, 0.40, 0.02, 1.50, 0.80, 0.30]),
        rate_min=np.array([0.05, 0.10, 0.30, 0.05, 0.50, 0.30]),
        energy_budget_j=np.array([0.05, 0.10, 0.15, 0.20, 0.25, 0.06]),
        frequency_min_hz=1e8,
        capacitance=1e-27,
        delay_weight=3.0,
        drift=drift,
    )


def random_slot(
    generator: np.random.Generator, devices: int, drift: Drift, delay_weight: float
) -> Slot:
    """Devices as they are in the park, some of them with a bad channel or empty queues."""
    upload_s = generator.lognormal(np.log(8e-3), 0.9, devices)
    return Slot(
        cycles=1e6 * generator.integers(100, 401, devices).astype(np.float64),
        upload_s=upload_s,
        upload_j=0.2 * upload_s,
        frequency_max_hz=1.5e9 * generator.uniform(0.7, 1.0, devices),
        priority_queue=generator.exponential(1.0, devices) * (generator.random(devices) < 0.8),
        energy_queue_j=generator.exponential(0.5, devices) * (generator.random(devices) < 0.7),
        rate_min=generator.choice([0.5, 0.3, 0.1, 0.05], devices),
        energy_budget_j=generator.uniform(0.05, 0.25, devices),
        frequency_min_hz=1e8,
        capacitance=1e-27,
        delay_weight=delay_weight,
        drift=drift,
    )


def permuted(slot: Slot, order: Integers) -> Slot:
    """The same devices under other names."""
    return slot.take(order)


def stacked(worlds: Sequence[Slot]) -> Slot:
    """Slots that differ in their devices only, as one `[worlds, devices]`."""
    arrays: dict[str, Any] = {
        name: np.stack([getattr(world, name) for world in worlds]) for name in PER_DEVICE
    }
    return replace(worlds[0], **arrays)
