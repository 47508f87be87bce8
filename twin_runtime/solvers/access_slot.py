"""One slot of access scheduling [P1]: what is known when devices and clocks are chosen.

Scheduling the set S at the clocks f costs, with E the energy and u the upload time of a device,

    sum over S of drift(E) + V max over S of (cycles / f + u)

Given a *deadline* for the slowest device, the best clock of each is the least that meets it,
for its drift never falls with its energy; only under the printed drift, which rewards spending
while a device's queue is short, it is the highest. So all depends on one number. `Curves` holds
a device's drift over the deadline t as

    E = max(cube / (t - u)^2, floor)
    offset + ((weight + E)+)^2 / 2     exact drift
    offset + weight E                  the two linear ones

which is convex and never rises from `earliest`, the first deadline that the device can meet,
and is flat from `latest`, where its clock is the lowest. A device that is rewarded for spending
has cube 0, and its energy at the highest clock as floor.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np

from twin_runtime.physics.arguments import (
    Array,
    Booleans,
    Integers,
    non_negative,
    positive,
    same_shape,
    within,
)
from twin_runtime.physics.compute import computing_energy_j
from twin_runtime.physics.queues import Drift, drift

Index = Integers | Booleans | tuple[int | Integers, Integers]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """Devices, `[..., devices]` each, and what holds for all of them.

    Upload times and energies are a twin's estimates where the channel is not known.
    """

    cycles: Array  # of one training pass
    upload_s: Array
    upload_j: Array
    frequency_max_hz: Array
    priority_queue: Array  # F
    energy_queue_j: Array  # Y
    rate_min: Array  # e, the promised share of slots
    energy_budget_j: Array  # b, per slot
    frequency_min_hz: float
    capacitance: float  # W s^3/cycle^3
    delay_weight: float  # V, per second
    drift: Drift = Drift.EXACT

    def __post_init__(self) -> None:
        """Name the first argument that is malformed."""
        same_shape(**{name: getattr(self, name) for name in PER_DEVICE})
        for name in ("cycles", "frequency_min_hz", "capacitance", "delay_weight"):
            positive(name, getattr(self, name))
        for name in PER_DEVICE:
            non_negative(name, getattr(self, name))
        within("rate_min", self.rate_min, 0, 1)
        within("frequency_max_hz", self.frequency_max_hz, self.frequency_min_hz, np.inf)

    def take(self, devices: Index) -> Self:
        """The same slot with only some of its devices, by index or mask as arrays take them."""
        return replace(self, **{name: getattr(self, name)[devices] for name in PER_DEVICE})

    def objective(self, frequency_hz: Array) -> Array:
        """The cost `[...]` of scheduling all of these devices at these clocks. [P1] (21)."""
        energy = self.upload_j + computing_energy_j(
            cycles=self.cycles, frequency_hz=frequency_hz, capacitance=self.capacitance
        )
        queues = drift(
            self.drift,
            priority_queue=self.priority_queue,
            energy_queue_j=self.energy_queue_j,
            rate_min=self.rate_min,
            energy_budget_j=self.energy_budget_j,
            energy_j=energy,
        )
        slowest = (self.cycles / frequency_hz + self.upload_s).max(axis=-1)
        cost: Array = queues.sum(axis=-1) + self.delay_weight * slowest
        return cost


PER_DEVICE = (
    *("cycles", "upload_s", "upload_j", "frequency_max_hz"),
    *("priority_queue", "energy_queue_j", "rate_min", "energy_budget_j"),
)


class Curves(NamedTuple):
    """Each device's drift over the deadline, `[..., devices]`; see the module."""

    offset: Array
    weight: Array
    cube: Array
    floor_j: Array
    upload_s: Array
    earliest_s: Array
    latest_s: Array
    exact: bool

    def take(self, devices: Integers) -> "Curves":
        """The curves of some devices, of the shape of their indices."""
        return self._replace(**{name: getattr(self, name)[devices] for name in PER_CURVE})

    def among(self, there: Booleans) -> "Curves":
        """The curves with those of absent devices 0, and these ready before any deadline."""
        present = self._replace(**{name: getattr(self, name) * there for name in PER_CURVE})
        return present._replace(upload_s=np.where(there, self.upload_s, -1.0))

    def at(self, deadline_s: Array) -> Array:
        """The drifts at a deadline after every upload."""
        _, energy, pressure = self.spent(deadline_s)
        return self._drift(energy, pressure)

    def falling_at(self, deadline_s: Array) -> tuple[Array, Array]:
        """The same, and how fast they fall [1/s]."""
        gap, energy, pressure = self.spent(deadline_s)
        falls = self.falling(energy) * (2.0 * pressure * energy / gap)
        return self._drift(energy, pressure), falls

    def spent(self, deadline_s: Array) -> tuple[Array, Array, Array]:
        """Time for computing [s], its energy [J], and what one more joule adds to the drift."""
        gap = deadline_s - self.upload_s
        energy = np.maximum(self.cube / (gap * gap), self.floor_j)
        pressure = np.maximum(self.weight + energy, 0.0) if self.exact else self.weight
        return gap, energy, pressure

    def falling(self, energy: Array) -> Booleans:
        """Which devices a later deadline would save energy."""
        return np.asarray(energy > self.floor_j)

    def _drift(self, energy: Array, pressure: Array) -> Array:
        return self.offset + pressure * (0.5 * pressure if self.exact else energy)


PER_CURVE = Curves._fields[:-1]


def curves_of(slot: Slot) -> Curves:
    """The curves of all devices of a slot."""
    cube = slot.capacitance * slot.cycles**3
    floor = slot.capacitance * slot.cycles * slot.frequency_min_hz**2
    earliest = slot.cycles / slot.frequency_max_hz + slot.upload_s
    latest = slot.cycles / slot.frequency_min_hz + slot.upload_s
    offset, weight = _queues(slot)
    rewarded = spends_most(slot)
    if rewarded.any():
        ceiling = slot.capacitance * slot.cycles * slot.frequency_max_hz**2
        cube, floor = np.where(rewarded, 0.0, cube), np.where(rewarded, ceiling, floor)
        latest = np.where(rewarded, earliest, latest)
    exact = slot.drift is Drift.EXACT
    return Curves(offset, weight, cube, floor, slot.upload_s, earliest, latest, exact)


def spends_most(slot: Slot) -> Booleans:
    """Which devices the printed drift rewards for spending: they run at their highest clock."""
    if slot.drift is not Drift.PRINTED:
        return np.zeros(slot.cycles.shape, dtype=np.bool_)
    return np.asarray(slot.energy_queue_j < slot.energy_budget_j)


def clocks_hz(slot: Slot, deadline_s: Array | float) -> Array:
    """The best clock of each device for a deadline `[..., 1]` that it can meet [Hz]."""
    needed = slot.cycles / (deadline_s - slot.upload_s)
    clock = np.clip(needed, slot.frequency_min_hz, slot.frequency_max_hz)
    return np.where(spends_most(slot), slot.frequency_max_hz, clock)


def _queues(slot: Slot) -> tuple[Array, Array]:
    """Offset and weight of the curves: the drift as a function of computing energy alone."""
    idle = drift(
        slot.drift,
        priority_queue=slot.priority_queue,
        energy_queue_j=slot.energy_queue_j,
        rate_min=slot.rate_min,
        energy_budget_j=slot.energy_budget_j,
        energy_j=0.0,
    )
    match slot.drift:
        case Drift.STANDARD:
            return idle + slot.energy_queue_j * slot.upload_j, slot.energy_queue_j
        case Drift.PRINTED:
            weight = slot.energy_queue_j - slot.energy_budget_j
            return idle + weight * slot.upload_j, weight
        case Drift.EXACT:
            surplus = slot.energy_queue_j - slot.energy_budget_j
            return idle - 0.5 * np.maximum(surplus, 0.0) ** 2, surplus + slot.upload_j
