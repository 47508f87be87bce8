"""Virtual queues: long-run constraints as backlogs, and what an action adds to them.

A constraint on an average (a device is served at least so often, and spends at most so much)
becomes a queue that grows while the constraint is broken. Half the sum of the squared queues
is the Lyapunov function; an action that keeps its one-slot change, the *drift*, small keeps
every average within its limit. Three forms of the drift are in use:

- `STANDARD` bounds it by what is linear in the action: -F x + Y E.
- `PRINTED` is [P1]'s (21): -(F + e) x + (Y - b) E. It drops E^2 / 2, and while Y < b it
  rewards spending.
- `EXACT` is the change itself. It is convex and never decreases in E.
"""

from enum import StrEnum
from typing import assert_never

import numpy as np

from twin_runtime.physics.arguments import (
    Array,
    Real,
    broadcast,
    finite,
    non_negative,
    positive,
    within,
)


class Drift(StrEnum):
    """A form of the drift, under the name that the digest of [P1] gives it."""

    STANDARD = "std"
    PRINTED = "paper"
    EXACT = "exact"


def virtual_queue(*, backlog: Real, arrival: Real, service: Real) -> Array:
    """The backlog one slot later, max(backlog + arrival - service, 0). [P1] (17)(18).

    The priority queue F gains the promised rate e and loses 1 when its device is scheduled;
    the energy queue Y gains the joules spent and loses the budget of one slot. All >= 0, of
    one unit, any shapes that fit.
    """
    before, gained = non_negative("backlog", backlog), non_negative("arrival", arrival)
    lost = non_negative("service", service)
    broadcast(backlog=before, arrival=gained, service=lost)
    return np.maximum(before + gained - lost, 0.0)


def drift(
    form: Drift,
    *,
    priority_queue: Real,
    energy_queue_j: Real,
    rate_min: Real,
    energy_budget_j: Real,
    energy_j: Real,
) -> Array:
    """What scheduling a device adds to the drift, s of [P1] (21)(22)(23).

    Args:
        form: see the module.
        priority_queue: F >= 0, any shape.
        energy_queue_j: Y >= 0 [J].
        rate_min: e in [0, 1], the promised share of slots.
        energy_budget_j: b >= 0, allowed per slot [J].
        energy_j: E >= 0, what the device spends when scheduled [J].
    """
    owed, spent = non_negative("priority_queue", priority_queue), non_negative("energy_j", energy_j)
    backlog, rate = (
        non_negative("energy_queue_j", energy_queue_j),
        within("rate_min", rate_min, 0, 1),
    )
    budget = non_negative("energy_budget_j", energy_budget_j)
    broadcast(
        priority_queue=owed,
        energy_queue_j=backlog,
        rate_min=rate,
        energy_budget_j=budget,
        energy_j=spent,
    )
    match form:
        case Drift.STANDARD:
            return -owed + backlog * spent
        case Drift.PRINTED:
            return -(owed + rate) + (backlog - budget) * spent
        case Drift.EXACT:
            served = _half_square(owed + rate - 1.0) - _half_square(owed + rate)
            return served + _half_square(backlog - budget + spent) - _half_square(backlog - budget)
        case _:
            assert_never(form)


def priority_deficit(*, rate_min: Real, scheduled: Real, slots: Real) -> Array:
    """How far a device is below its promised rate after `slots`; below 0 it got more. [P1] (14).

    Args:
        rate_min: in [0, 1], any shape.
        scheduled: >= 0, slots in which the device was scheduled.
        slots: > 0, slots in all.
    """
    rate, served = within("rate_min", rate_min, 0, 1), non_negative("scheduled", scheduled)
    count = positive("slots", slots)
    broadcast(rate_min=rate, scheduled=served, slots=count)
    return rate - served / count


def overspent_j(*, spent_j: Real, budget_j: Real) -> Array:
    """Energy over the budget of the whole horizon, 0 when it holds [J]. [P1] (15)."""
    spent, budget = finite("spent_j", spent_j), non_negative("budget_j", budget_j)
    broadcast(spent_j=spent, budget_j=budget)
    return np.maximum(spent - budget, 0.0)


def _half_square(value: Array) -> Array:
    """Half the square of what is above 0."""
    above: Array = np.maximum(value, 0.0)
    return 0.5 * above * above
