"""Clocks for scheduled devices: the exact minimum of a convex function of the deadline [P1].

Theory of operation. With the curves of `access_slot`, the cost of a given set is
`G(t) = sum of the drifts + V t`, convex between the first deadline that all can meet and the one
that all meet at their lowest clock. Its minimum is where the drifts fall by V per second; where
they fall slower from the start, the slowest device runs at its highest clock. The *fall* is near
`A / (t - u)^3`, so its cube root's inverse is near a straight line, on which Newton's method
needs a handful of steps; a bracket catches what leaves it, such as the jump where a device
reaches its lowest clock.

A tangent bounds a convex function from below: the slope left at the answer, over what is left of
the bracket, is the certificate.
"""

from typing import NamedTuple

import numpy as np

from twin_runtime.physics.arguments import Array, Booleans, Integers
from twin_runtime.solvers.access_slot import Curves, Slot, clocks_hz, curves_of
from twin_runtime.solvers.certificate import Certificate

STEPS_MAX = 100  # halving a bracket 60 times ends at the last bit; Newton's takes about 6
PRECISION = 1e-13  # of the deadline; the cost, flat at its minimum, is exact long before


class Allocation(NamedTuple):
    """Clocks of the scheduled devices, and when the slowest of them is done uploading."""

    frequency_hz: Array
    deadline_s: float
    certificate: Certificate


def allocate(slot: Slot) -> Allocation:
    """The clocks of least cost when all devices of the slot, `[devices]`, are scheduled.

    [P1] (22)(23), 6.1; no smooth maximum is needed.
    """
    curves = curves_of(slot)
    deadline, low, high = best_deadline(curves, slot.delay_weight)
    frequency = clocks_hz(slot, deadline)
    drifts, falls = curves.falling_at(deadline)
    value = float(drifts.sum() + slot.delay_weight * deadline)
    slope = slot.delay_weight - falls.sum()
    bound = value + min(slope * (low - deadline), slope * (high - deadline), 0.0)
    return Allocation(frequency, float(deadline), Certificate(value, float(bound)))


def allocate_each(slot: Slot, devices: Integers, scheduled: Booleans) -> tuple[Array, Array]:
    """The same for many worlds at once, without a certificate.

    Args:
        slot: `[worlds, devices]`.
        devices: `[worlds, n]`, indices into the devices of each world.
        scheduled: `[worlds, n]`; the others are not, whatever their index.

    Returns:
        Clocks `[worlds, n]`, 0 where not scheduled, and deadlines `[worlds]`.
    """
    chosen = slot.take((np.arange(len(devices))[:, np.newaxis], devices))
    present = curves_of(chosen).among(scheduled)
    deadline, _, _ = best_deadline(present, slot.delay_weight)
    return np.where(scheduled, clocks_hz(chosen, deadline[:, np.newaxis]), 0.0), deadline


def best_deadline(curves: Curves, delay_weight: float) -> tuple[Array, Array, Array]:
    """The deadline `[...]` of least cost for curves `[..., devices]`, and the bracket it is in."""
    low = curves.earliest_s.max(axis=-1)
    high = np.maximum(low, curves.latest_s.max(axis=-1))
    deadline = low
    for _ in range(STEPS_MAX):
        fall, bend = _fall(curves, deadline[..., np.newaxis])
        early = fall > delay_weight
        low, high = np.where(early, deadline, low), np.where(early, high, deadline)
        step = _newton_step(fall, bend, delay_weight)
        settled = np.minimum(np.abs(step), high - low) <= PRECISION * deadline
        if settled.all():
            break
        there = deadline + step
        there = np.where((there > low) & (there < high), there, 0.5 * (low + high))
        deadline = np.where(settled, deadline, there)
    return deadline, low, high


def _fall(curves: Curves, deadline_s: Array) -> tuple[Array, Array]:
    """How fast all drifts together fall, and how fast that does."""
    gap, energy, pressure = curves.spent(deadline_s)
    rate = np.where(curves.falling(energy), energy / gap, 0.0)
    sharper = (6.0 * pressure + 4.0 * energy * (pressure > 0)) if curves.exact else 6.0 * pressure
    return 2.0 * (rate * pressure).sum(axis=-1), (rate / gap * sharper).sum(axis=-1)


def _newton_step(fall: Array, bend: Array, target: float) -> Array:
    """Newton's step towards fall = target on fall^(-1/3); far back where nothing falls."""
    ratio = fall / np.where(bend > 0, bend, 1.0)
    return np.where(fall > 0, 3.0 * ratio * (np.cbrt(fall / target) - 1.0), -np.inf)
