"""What the cloud knows when it decides who hosts whom, what it may do, and what that would cost."""

from dataclasses import dataclass

import numpy as np

from twin_runtime.physics import relocation
from twin_runtime.physics.arguments import Array, Integers, Real
from twin_runtime.physics.geometry import manhattan_distance_m
from twin_runtime.physics.mobility import Walk
from twin_runtime.problems.scenarios.mobile_users import MobileUsers
from twin_runtime.solvers.association import Slot

NOWHERE = -1  # the host of a twin that does not exist yet; its first placement moves nothing


@dataclass(frozen=True, slots=True)
class State:
    """Worlds at the start of a slot, before the association is decided.

    `walk`: the users, `[batch, users]`. `edge_m`: `[batch, edges, 2]`. `[batch, users]`:
    `new_samples` announced, `old_samples` of last slot, `label_distance`, `twin_bits`, and
    `host`, the edge of each twin so far or `NOWHERE`. `[batch, edges]`: budgets, cycles per bit.
    """

    scenario: MobileUsers
    walk: Walk
    edge_m: Array
    new_samples: Array
    old_samples: Array
    label_distance: Array
    twin_bits: Array
    host: Integers
    compute_budget: Array
    synchronisation_budget: Array
    cycles_per_bit: Array


@dataclass(frozen=True, slots=True)
class Action:
    """The edge of each twin, and the share of last slot's data that it reuses; `[batch, users]`."""

    edge: Integers
    share: Array


def slot_of(state: State) -> Slot:
    """The instance of the solvers: what each twin would cost on each edge. [P3] (13)(14)(15)."""
    scenario = state.scenario
    bits = scenario.bits_per_sample
    new_bits = bits * state.new_samples[..., None]
    training: dict[str, Real] = {
        "cycles_per_bit": state.cycles_per_bit[:, None],
        "epochs": scenario.epochs,
        "energy_per_cycle": scenario.energy_per_cycle,
    }
    far = move_distance_m(state)
    slopes = [
        relocation.energy_slope(
            old_bits=bits * state.old_samples[..., None],
            distance_m=metres,
            energy_per_bit_m=scenario.energy_per_bit_m,
            **training,
        )
        for metres in (far, np.zeros_like(far))
    ]
    return Slot(
        new_samples=state.new_samples,
        old_samples=state.old_samples,
        label_distance=state.label_distance,
        moving=relocation.migration_energy(
            payload_bits=new_bits if scenario.payload == "paper" else 0.0,
            twin_bits=state.twin_bits[..., None],
            distance_m=far,
            energy_per_bit_m=scenario.energy_per_bit_m,
        ),
        synchronisation=relocation.synchronisation_energy(
            size_bits=new_bits,
            rate_bps=scenario.rate_bps,
            distance_m=link_distance_m(state),
            energy_per_s_m=scenario.energy_per_s_m,
        ),
        training=relocation.training_energy(size_bits=new_bits, **training),
        slope=slopes[0],
        compute_slope=slopes[1],
        compute_budget=state.compute_budget,
        synchronisation_budget=state.synchronisation_budget,
        valuation=scenario.valuation,
    )


def link_distance_m(state: State) -> Array:
    """From each user to each edge `[batch, users, edges]`, along streets."""
    users = state.walk.position_m[:, :, None]
    return manhattan_distance_m(source_m=users, target_m=state.edge_m[:, None])


def move_distance_m(state: State) -> Array:
    """From each twin's edge to each edge `[batch, users, edges]`; 0 for one that is nowhere."""
    world = np.arange(len(state.host))[:, None]
    here = state.edge_m[world, np.maximum(state.host, 0)][:, :, None]
    distance = manhattan_distance_m(source_m=here, target_m=state.edge_m[:, None])
    return np.where((state.host == NOWHERE)[..., None], 0.0, distance)
