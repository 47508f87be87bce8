"""What a twin's host costs: moving the twin, bringing it up to date, training on its data.

Energies are in one arbitrary unit, that of the budgets. Sizes are bits: `bits per sample`
times samples. An edge's energy enters the gain through `saturation`, which is concave: a unit
more costs an edge that already spends much almost nothing. That is why packing pays, and why
the gain is not concave in the shares of reused data.
"""

from dataclasses import dataclass

import numpy as np

from twin_runtime.physics.arguments import (
    Array,
    InvalidArgument,
    Real,
    broadcast,
    finite,
    indices,
    non_negative,
    positive,
    same_shape,
    within,
)
from twin_runtime.physics.utility import FITTED, AccuracyFit, data_utility_curvature

BARRIER_MAX = 5.0  # a reward's worst penalty per edge, where the barrier would be infinite


@dataclass(frozen=True, slots=True)
class Valuation:
    """What one twin's utility and one edge's saturated energy are worth.

    In a system of U twins and S edges that weighs them with beta_1 and beta_2, these are
    beta_1 / U and beta_2 / S; `scale` is the saturation's [energy].
    """

    utility_weight: float
    energy_weight: float
    scale: float
    fit: AccuracyFit = FITTED

    def __post_init__(self) -> None:
        for name in ("utility_weight", "energy_weight", "scale"):
            positive(name, getattr(self, name))


def training_samples(*, new_samples: Real, old_samples: Real, share: Real) -> Array:
    """Samples n + gamma h of one training: the new and a share of last slot's. [P3] (3).

    Args:
        new_samples: n >= 0 [samples], any shape.
        old_samples: h >= 0 [samples], any shape that fits.
        share: gamma in [0, 1], any shape that fits.
    """
    new, old = non_negative("new_samples", new_samples), non_negative("old_samples", old_samples)
    reused = within("share", share, 0.0, 1.0)
    broadcast(new_samples=new, old_samples=old, share=reused)
    return new + reused * old


def migration_energy(
    *, payload_bits: Real, twin_bits: Real, distance_m: Real, energy_per_bit_m: Real
) -> Array:
    """Energy of moving a twin and what it carries to another edge [energy]. [P3] (13).

    Args:
        payload_bits: >= 0; as printed all data that is trained on, really only the reused:
            the new data reach the new edge from the device.
        twin_bits: >= 0, the twin itself.
        distance_m: >= 0 between the edges; 0 where the twin stays, or is new.
        energy_per_bit_m: >= 0 [energy/(bit m)].
    """
    payload = non_negative("payload_bits", payload_bits)
    twin = non_negative("twin_bits", twin_bits)
    distance = non_negative("distance_m", distance_m)
    unit = non_negative("energy_per_bit_m", energy_per_bit_m)
    broadcast(payload_bits=payload, twin_bits=twin, distance_m=distance, energy_per_bit_m=unit)
    return unit * distance * (payload + twin)


def synchronisation_energy(
    *, size_bits: Real, rate_bps: Real, distance_m: Real, energy_per_s_m: Real
) -> Array:
    """Energy of a device's upload to its twin's edge [energy]. [P3] (14).

    As printed, it is per second and metre: more power raises the rate and so lowers it.

    Args:
        size_bits: >= 0.
        rate_bps: > 0.
        distance_m: >= 0, device to edge.
        energy_per_s_m: >= 0 [energy/(s m)].
    """
    size, rate = non_negative("size_bits", size_bits), positive("rate_bps", rate_bps)
    distance = non_negative("distance_m", distance_m)
    unit = non_negative("energy_per_s_m", energy_per_s_m)
    broadcast(size_bits=size, rate_bps=rate, distance_m=distance, energy_per_s_m=unit)
    return unit * size / rate * distance


def training_energy(
    *, size_bits: Real, cycles_per_bit: Real, epochs: Real, energy_per_cycle: Real
) -> Array:
    """Energy of `epochs` passes over a twin's data [energy]. [P3] (15).

    Args:
        size_bits: >= 0.
        cycles_per_bit: >= 0 [cycle/bit].
        epochs: >= 0, training and fine-tuning together.
        energy_per_cycle: >= 0 [energy/cycle].
    """
    size = non_negative("size_bits", size_bits)
    cycles = non_negative("cycles_per_bit", cycles_per_bit)
    passes = non_negative("epochs", epochs)
    unit = non_negative("energy_per_cycle", energy_per_cycle)
    broadcast(size_bits=size, cycles_per_bit=cycles, epochs=passes, energy_per_cycle=unit)
    return unit * cycles * size * passes


def energy_slope(
    *,
    old_bits: Real,
    distance_m: Real,
    energy_per_bit_m: Real,
    cycles_per_bit: Real,
    epochs: Real,
    energy_per_cycle: Real,
) -> Array:
    """Energy per share of a twin reused: what all its last data would add [energy]. [P3] (31).

    With `distance_m` 0 it is the part that counts against the edge's compute budget.

    Args:
        old_bits: >= 0, last slot's data.
        distance_m: >= 0 that the twin moves.
        energy_per_bit_m: >= 0 [energy/(bit m)].
        cycles_per_bit: >= 0 [cycle/bit].
        epochs: >= 0, training and fine-tuning together.
        energy_per_cycle: >= 0 [energy/cycle].
    """
    moved = migration_energy(
        payload_bits=old_bits,
        twin_bits=0.0,
        distance_m=distance_m,
        energy_per_bit_m=energy_per_bit_m,
    )
    trained = training_energy(
        size_bits=old_bits,
        cycles_per_bit=cycles_per_bit,
        epochs=epochs,
        energy_per_cycle=energy_per_cycle,
    )
    broadcast(distance_m=moved, cycles_per_bit=trained)
    return moved + trained


def sum_by_edge(*, values: Real, edge: Real, edges: int) -> Array:
    """Sums over the twins that an edge hosts, `[..., edges]`; an edge without any has 0.

    Args:
        values: `[..., twins]`, finite.
        edge: `[..., twins]`, whole numbers from 0 to `edges - 1`.
        edges: how many there are.
    """
    each, host = finite("values", values), indices("edge", np.asarray(edge), edges)
    twins = same_shape(values=each, edge=host)[-1]
    rows = each.size // twins
    slot = host.reshape(rows, twins) + edges * np.arange(rows)[:, None]
    sums = np.bincount(slot.ravel(), weights=each.ravel(), minlength=rows * edges)
    return sums.astype(np.float64, copy=False).reshape(*each.shape[:-1], edges)


def edge_energy(
    *, migration: Real, synchronisation: Real, training: Real, edge: Real, edges: int
) -> Array:
    """Energy `[..., edges]` of each edge's twins, each charged to where it is now. [P3] (21).

    Args:
        migration: >= 0, `[..., twins]`, as are the next two [energy].
        synchronisation: >= 0.
        training: >= 0.
        edge: `[..., twins]`, the host of each.
        edges: how many there are.
    """
    moved = non_negative("migration", migration)
    synchronised = non_negative("synchronisation", synchronisation)
    trained = non_negative("training", training)
    same_shape(migration=moved, synchronisation=synchronised, training=trained)
    return sum_by_edge(values=moved + synchronised + trained, edge=edge, edges=edges)


def saturation(*, energy: Real, scale: Real) -> Array:
    """Norm of an energy (>= 0), in [0, 1): tanh(energy / (4 scale)), scale > 0. [P3] (22)."""
    spent, unit = non_negative("energy", energy), positive("scale", scale)
    broadcast(energy=spent, scale=unit)
    return saturation_level(spent, unit)


def saturation_level(energy: Array, scale: Array | float) -> Array:
    """`saturation` of what has been checked, for the inner loops of solvers."""
    level: Array = np.tanh(energy / (4.0 * scale))
    return level


def saturation_slope(*, energy: Real, scale: Real) -> Array:
    """Slope of Norm, > 0 [1/energy], arguments as in `saturation`. [P3] (22)."""
    return saturation_derivatives(level=saturation(energy=energy, scale=scale), scale=scale)[0]


def saturation_curvature(*, energy: Real, scale: Real) -> Array:
    """Second derivative of Norm, <= 0; printed with the wrong sign. [P3] (30)."""
    return saturation_derivatives(level=saturation(energy=energy, scale=scale), scale=scale)[1]


def saturation_derivatives(*, level: Array, scale: Real) -> tuple[Array, Array]:
    """Slope and second derivative where Norm is `level`, a `saturation`. [P3] (22)(30).

    Unchecked: who has a level has checked the scale.
    """
    unit = 4.0 * np.asarray(scale)
    slope: Array = (1.0 - level * level) / unit
    curvature: Array = -2.0 * level * slope / unit
    return slope, curvature


def association_gain(
    *, utility: Real, energy: Real, utility_weight: Real, energy_weight: Real, scale: Real
) -> Array:
    """What one slot is worth, `[...]`: mean utility less mean saturation. [P3] (22)(23).

    Args:
        utility: `[..., twins]`, data utilities.
        energy: `[..., edges]`, >= 0; an edge without twins counts too.
        utility_weight: beta_1 >= 0, for the mean over twins.
        energy_weight: beta_2 >= 0, for the mean over edges.
        scale: > 0, of the saturation [energy].
    """
    useful = finite("utility", utility).mean(axis=-1)
    spent = saturation(energy=energy, scale=scale).mean(axis=-1)
    broadcast(utility=useful, energy=spent)
    first = non_negative("utility_weight", utility_weight)
    gain: Array = first * useful - non_negative("energy_weight", energy_weight) * spent
    return gain


def gain_hessian(
    *,
    samples: Real,
    old_samples: Real,
    label_distance: Real,
    slope: Real,
    energy: Real,
    valuation: Valuation,
) -> Array:
    """Hessian `[..., twins, twins]` of minus one edge's gain in its twins' shares. [P3] (27).

    The first term is a positive diagonal, the second a negative matrix of rank one: indefinite,
    so a local solver may end in a worse optimum. As printed, (27)-(30) have no second matrix,
    the new samples in the place of the old, and the sign of the curvature reversed.

    Args:
        samples: `[..., twins]`, > 0, trained on at these shares.
        old_samples: `[..., twins]`, >= 0, last slot's.
        label_distance: `[..., twins]`, in [0, 2].
        slope: `[..., twins]`, `energy_slope` of each.
        energy: `[...]`, of the edge at these shares.
        valuation: what utility and energy are worth.
    """
    each, per_share = finite("slope", slope), non_negative("old_samples", old_samples)
    bend = data_utility_curvature(samples=samples, label_distance=label_distance, fit=valuation.fit)
    if bend.shape != same_shape(slope=each, old_samples=per_share):
        raise InvalidArgument(f"slope has the shape {each.shape}; it must be {bend.shape}")
    diagonal = -valuation.utility_weight * bend * per_share**2
    curvature = saturation_curvature(energy=energy, scale=valuation.scale)[..., None, None]
    coupled = valuation.energy_weight * curvature * each[..., :, None] * each[..., None, :]
    hessian: Array = diagonal[..., None] * np.eye(each.shape[-1]) + coupled
    return hessian


def capacity_barrier(*, load: Real, capacity: Real, sharpness: Real = 1000.0) -> Array:
    """Penalty in [0, 5] of a load (>= 0) under a capacity (> 0), 0 at none. [P3] (24)(25).

    -ln(1 - load / capacity) / sharpness; as printed, -ln(capacity - load) / sharpness, an idle
    edge is paid for its slack, and more edges are worth more than a better policy.
    """
    used = non_negative("load", load) / positive("capacity", capacity)
    steep = positive("sharpness", sharpness)
    broadcast(load=used, sharpness=steep)
    inside = np.minimum(used, 1.0 - np.finfo(np.float64).eps)
    barrier = np.minimum(-np.log1p(-inside) / steep, BARRIER_MAX)
    return np.where(used < 1.0, barrier, BARRIER_MAX)
