"""Who else would schedule the park: chance, bandits, priority alone, and the exact answer.

Baselines that know nothing of energy run every device at its highest clock. The bandits learn
how prompt a device is from the slots in which it was scheduled, which the state records.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from twin_runtime.physics.arguments import Array
from twin_runtime.physics.queues import Drift
from twin_runtime.problems.access import decode
from twin_runtime.problems.access_state import (
    Action,
    State,
    action_of,
    available,
    best_scored,
    solver_slot,
)
from twin_runtime.solvers.access import Selection, select, sweep
from twin_runtime.solvers.access_frequencies import allocate
from twin_runtime.solvers.access_slot import Slot

Policy = Callable[[State, np.random.Generator], Action]

UNSEEN = 1e-3  # slots that a bandit takes for none: everybody is tried once before anybody twice
SCORE_DIGITS = 9  # of a queue or an index: what is beyond is rounding
PRIORITY_SHARE = 0.5  # beta of CS-UCB-Q; from 0.02 to 0.5 it changes nothing by 1 %


def random_full_speed(state: State, generator: np.random.Generator) -> Action:
    """Any devices, at their highest clocks."""
    return full_speed(state, generator.random(state.samples.shape))


def round_robin(state: State, generator: np.random.Generator) -> Action:
    """Everybody in turn, at the highest clock; devices are in no order, so any order is random."""
    del generator
    return full_speed(state, _turn(state))


def bandit(state: State, generator: np.random.Generator) -> Action:
    """CS-UCB: the promptest devices, and those known too little; at their highest clocks."""
    seen = np.maximum(state.scheduled_slots, UNSEEN)
    index = bandit_index(_mean_promptness(state), seen, state.slot + 1, state.park.scheduled)
    return full_speed(state, _ties_by_chance(index, generator))


def priority_bandit(state: State, generator: np.random.Generator) -> Action:
    """CS-UCB-Q: the bandit with a queue of promised slots; at the highest clocks."""
    index = priority_bandit_index(
        _mean_promptness(state), state.scheduled_slots, state.slot + 1, state.priority_queue
    )
    return full_speed(state, _ties_by_chance(index, generator))


def random_exact(state: State, generator: np.random.Generator) -> Action:
    """Any devices, at the best clocks for them: what RS-DNN would be without error."""
    return decode(state, {"score": generator.random(state.samples.shape)})


def top_priority(state: State, generator: np.random.Generator) -> Action:
    """The devices that are owed most, at the best clocks for them."""
    owed = state.priority_queue + state.rate_min
    return decode(state, {"score": _ties_by_chance(owed, generator)})


def oracle(state: State, generator: np.random.Generator) -> Action:
    """The certified best of every slot; one world after the other."""
    del generator
    return _solved(state, lambda slot: select(slot, _count(slot, state)))


def swept(state: State, generator: np.random.Generator) -> Action:
    """The sweep's answer for every slot; one world after the other."""
    del generator
    return _solved(state, lambda slot: sweep(slot, _count(slot, state)))


def literal(state: State, generator: np.random.Generator) -> Action:
    """(21) as printed: the delay is summed over all devices when they are chosen, not after."""
    del generator

    def solve(slot: Slot) -> Selection:
        printed = replace(slot, drift=Drift.PRINTED)
        summed = replace(printed, delay_weight=slot.delay_weight * state.park.devices)
        chosen = select(summed, _count(slot, state))
        clocks = allocate(printed.take(chosen.devices))
        return chosen._replace(frequency_hz=clocks.frequency_hz, deadline_s=clocks.deadline_s)

    return _solved(state, solve)


POLICIES: Mapping[str, Policy] = {
    "random": random_full_speed,
    "round-robin": round_robin,
    "cs-ucb": bandit,
    "cs-ucb-q": priority_bandit,
    "random-exact": random_exact,
    "top-priority": top_priority,
    "sweep": swept,
    "oracle": oracle,
    "literal": literal,
}


def bandit_index(mean: Array, count: Array, slot: int, scheduled: int) -> Array:
    """CS-UCB's index of devices that were scheduled `count` > 0 times until slot `slot`. [P1] S7.

    With 100 scheduled devices the bonus is above 1 for 500 slots: it is near to a round robin.
    """
    index: Array = mean + np.sqrt((scheduled + 1) * np.log(slot) / count)
    return index


def priority_bandit_index(mean: Array, count: Array, slot: int, owed: Array) -> Array:
    """CS-UCB-Q's index; a device that was never scheduled counts as prompt. [P1] S7."""
    bonus = np.sqrt(2.0 * np.log(slot) / np.maximum(count, 1.0))
    prompt = np.where(count > 0, np.minimum(mean + bonus, 1.0), 1.0)
    return (1.0 - PRIORITY_SHARE) * prompt + PRIORITY_SHARE * owed


def full_speed(state: State, score: Array) -> Action:
    """The best-scored available devices at their highest clocks."""
    devices, there = best_scored(state, score)
    fastest = np.take_along_axis(solver_slot(state).frequency_max_hz, devices, axis=-1)
    return action_of(state, devices, there, fastest)


def _turn(state: State) -> Array:
    """A score that is highest for the devices whose turn it is."""
    park = state.park
    behind = (np.arange(park.devices) - state.slot * park.scheduled) % park.devices
    return np.broadcast_to(-behind.astype(np.float64), state.samples.shape)


def _ties_by_chance(score: Array, generator: np.random.Generator) -> Array:
    """The score with what is equal but for rounding, such as sums of rates, in any order.

    It matters: devices that wait in the order of their names stay in step, and so does a slot's
    slowest one.
    """
    tie: Array = generator.random(score.shape) * 10.0**-SCORE_DIGITS
    return np.round(score, SCORE_DIGITS) + tie


def _mean_promptness(state: State) -> Array:
    return state.promptness / np.maximum(state.scheduled_slots, 1.0)


def _count(slot: Slot, state: State) -> int:
    return min(state.park.scheduled, slot.cycles.size)


def _solved(state: State, solve: Callable[[Slot], Selection]) -> Action:
    """Each world's answer by `solve`, which sees only the devices that are available."""
    everyone, ready = solver_slot(state), available(state)
    scheduled = np.zeros(ready.shape, dtype=np.bool_)
    frequency = np.zeros(ready.shape)
    for world, there in enumerate(ready):
        devices = np.flatnonzero(there)
        if devices.size:
            answer = solve(everyone.take((world, devices)))
            scheduled[world, devices[answer.devices]] = True
            frequency[world, devices[answer.devices]] = answer.frequency_hz
    forever = np.full(len(ready), np.inf)
    return Action(scheduled=scheduled, frequency_hz=frequency, close_s=forever)
