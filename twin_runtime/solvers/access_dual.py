"""A bound on every scheduling policy over a horizon, clairvoyant ones included [P1].

Theory of operation. Take any prices: `mu` for each promised slot that a device did not get, and
`lam` for each joule over its budget. A policy that keeps all promises and budgets on a trace
gains nothing from being charged for breaking them, so its mean delay is at least the mean over
slots of the least *priced* cost, which each slot attains on its own:

    V (mean delay) >= mean over t of min {V t + sum x (-mu + lam E)} + mu e - lam b

The inner minimum is `access.select` with the standard drift and the prices as queues. Any prices
give a true bound; dual ascent finds good ones. A price moves with what was broken at the least
priced cost, first in long steps, then in ever shorter ones, and is averaged over the last pass.
The Lyapunov bound of drift-plus-penalty, optimum + B / V, is void here: B is about 500.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from twin_runtime.physics.arguments import Array, InvalidArgument
from twin_runtime.physics.compute import computing_energy_j
from twin_runtime.physics.queues import Drift
from twin_runtime.solvers.access import Selection, select, sweep
from twin_runtime.solvers.access_slot import Slot

PASSES = 6  # over the trace: the bound of a park rises by 2 % from five to six
DELAY_WEIGHT = 1000.0  # V: only the scale of the prices
SLOT_STEP = 32.0  # by which a price moves in the first pass for a slot short of the promise
ENERGY_STEP = 320.0  # and for a joule over the budget
STEP_RATIO = 0.25  # of a pass to the one before


class DelayBound(NamedTuple):
    """A mean delay that no policy can go below, and the prices `[devices]` that prove it."""

    delay_s: float
    slot_price: Array
    energy_price: Array


def delay_bound(trace: Sequence[Slot], count: int, *, passes: int = PASSES) -> DelayBound:
    """The bound for policies that schedule `count` devices in each slot of the trace. [P1] 6.3.

    Args:
        trace: one slot after the other; their queues are not read.
        count: as in `access.select`, which says what it raises.
        passes: of the ascent.
    """
    if not trace:
        raise InvalidArgument("trace is empty; it must have a slot")
    slot_price, energy_price = _good_prices(trace, count, passes)
    priced = (_priced(slot, slot_price, energy_price) for slot in trace)
    least = np.mean([select(slot, count).certificate.bound for slot in priced])
    charged = slot_price @ trace[0].rate_min - energy_price @ trace[0].energy_budget_j
    return DelayBound(float(least + charged) / DELAY_WEIGHT, slot_price, energy_price)


def _good_prices(trace: Sequence[Slot], count: int, passes: int) -> tuple[Array, Array]:
    """Prices by ascent, the mean of those of the last pass."""
    mean = prices = np.zeros((2, trace[0].cycles.size))
    for turn in range(passes):
        mean = np.zeros_like(prices)
        for slot in trace:
            priced = _priced(slot, *prices)
            step = STEP_RATIO**turn * _broken(priced, sweep(priced, count))
            prices = np.maximum(prices + step, 0.0)
            mean += prices / len(trace)
    slot_price, energy_price = mean
    return slot_price, energy_price


def _priced(slot: Slot, slot_price: Array, energy_price: Array) -> Slot:
    return replace(
        slot,
        priority_queue=slot_price,
        energy_queue_j=energy_price,
        drift=Drift.STANDARD,
        delay_weight=DELAY_WEIGHT,
    )


def _broken(slot: Slot, chosen: Selection) -> Array:
    """The steps `[2, devices]` of both prices: what was not given, and what was overspent."""
    taken = slot.take(chosen.devices)
    short, over = slot.rate_min.copy(), -slot.energy_budget_j
    short[chosen.devices] -= 1.0
    over[chosen.devices] += taken.upload_j + computing_energy_j(
        cycles=taken.cycles, frequency_hz=chosen.frequency_hz, capacitance=slot.capacitance
    )
    return np.stack([SLOT_STEP * short, ENERGY_STEP * over])
