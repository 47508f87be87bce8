from dataclasses import replace

import numpy as np
import pytest

from tests.solvers.access_slots import random_slot
from twin_runtime.physics.arguments import Array, InvalidArgument
from twin_runtime.physics.queues import Drift, virtual_queue
from twin_runtime.solvers.access import select
from twin_runtime.solvers.access_dual import DELAY_WEIGHT, delay_bound
from twin_runtime.solvers.access_slot import Slot

DEVICES, COUNT, SLOTS = 12, 3, 60


def trace(seed: int, *, rate: float, budget_j: float) -> list[Slot]:
    """A park of which only the channel changes."""
    generator = np.random.default_rng(seed)
    first = random_slot(generator, DEVICES, Drift.EXACT, 30.0)
    first = replace(
        first,
        rate_min=np.full(DEVICES, rate),
        energy_budget_j=np.full(DEVICES, budget_j),
        priority_queue=np.zeros(DEVICES),
        energy_queue_j=np.zeros(DEVICES),
    )
    uploads = generator.lognormal(np.log(8e-3), 0.5, (SLOTS, DEVICES))
    return [replace(first, upload_s=upload, upload_j=0.2 * upload) for upload in uploads]


def driven(slots: list[Slot]) -> tuple[float, Array, Array]:
    """Mean delay of the slot's optimum, and how far it breaks each rate and budget."""
    priority = energy = np.zeros(DEVICES)
    delays, served, spent = [], np.zeros(DEVICES), np.zeros(DEVICES)
    for slot in slots:
        now = replace(slot, priority_queue=priority, energy_queue_j=energy)
        chosen = select(now, COUNT)
        taken = now.take(chosen.devices)
        paid = np.zeros(DEVICES)
        paid[chosen.devices] = (
            taken.upload_j + taken.capacitance * taken.cycles * chosen.frequency_hz**2
        )
        here = np.isin(np.arange(DEVICES), chosen.devices).astype(float)
        delays.append(chosen.deadline_s)
        served, spent = served + here, spent + paid
        priority = virtual_queue(backlog=priority, arrival=slot.rate_min, service=here)
        energy = virtual_queue(backlog=energy, arrival=paid, service=slot.energy_budget_j)
    short = slots[0].rate_min - served / len(slots)
    over = spent / len(slots) - slots[0].energy_budget_j
    return float(np.mean(delays)), short, over


def test_without_a_promise_or_a_limit_the_bound_is_the_shortest_possible_delay() -> None:
    slots = trace(0, rate=0.0, budget_j=100.0)
    shortest = [
        np.sort(slot.cycles / slot.frequency_max_hz + slot.upload_s)[COUNT - 1] for slot in slots
    ]
    assert delay_bound(slots, COUNT).delay_s == pytest.approx(np.mean(shortest), rel=1e-6)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_policy_is_faster_than_the_bound_but_for_the_price_of_what_it_breaks(seed: int) -> None:
    slots = trace(seed, rate=0.2, budget_j=0.12)
    delay_s, short, over = driven(slots)
    for passes in (0, 1, 6):
        bound = delay_bound(slots, COUNT, passes=passes)
        broken = bound.slot_price @ short + bound.energy_price @ over
        assert bound.delay_s <= delay_s + broken / DELAY_WEIGHT + 1e-9


def test_prices_raise_the_bound_above_the_shortest_possible_delay() -> None:
    slots = trace(1, rate=0.2, budget_j=0.12)
    assert delay_bound(slots, COUNT).delay_s > 1.1 * delay_bound(slots, COUNT, passes=0).delay_s


def test_less_energy_is_a_longer_delay() -> None:
    bounds = [
        delay_bound(trace(4, rate=0.2, budget_j=budget_j), COUNT).delay_s
        for budget_j in (0.06, 0.1, 0.2)
    ]
    assert bounds == sorted(bounds, reverse=True)


def test_a_trace_without_slots_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="trace is empty"):
        delay_bound([], COUNT)
