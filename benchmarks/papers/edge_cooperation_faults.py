"""P5, beyond the paper's protocol: what the exact best costs if something is different.

Energies of the exact best stars, relative to them: when the helpers plan without knowing how
useful their models are, when one helper in twenty fails, and when recipients train while
they wait.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np

from twin_runtime.physics.arguments import Integers
from twin_runtime.physics.cooperation import fallback_energy_j, paced_energy_j
from twin_runtime.problems.cooperation import Circle, State, ask_all, collected
from twin_runtime.problems.cooperation_policies import worlds
from twin_runtime.problems.scenarios.wide_area import WideArea
from twin_runtime.solvers import time_split
from twin_runtime.solvers.cooperation import Prices, Servers, stars_of
from twin_runtime.solvers.star_partition import optimal

GUESS: Final = 0.6  # the usefulness that a helper plans with before it has seen any
FAILED: Final = 0.05  # share of helpers
NOTICED_S: Final = 0.75  # two missed messages of progress
PATIENCE_S: Final = 0.2  # beyond the announced time, if nobody sends progress


def faults(state: State) -> dict[str, tuple[float, float | None]]:
    """Energy relative to the exact best, and what the reference simulation gave, by case."""
    solved = [(servers, optimal(servers)) for servers in worlds(state, _circle(state))]
    best = sum(found.certificate.value for _, found in solved)
    cases = [list(_cases(servers, found.helper)) for servers, found in solved]
    sums = [sum(values) / best for values in zip(*cases, strict=True)]
    names = {
        "planned_with_0.6": 1.059,
        "chosen_and_planned_with_0.6": None,
        "pretraining": 0.86,
        "failures_known_at_once": 1.32,
        "failures_known_by_progress": 1.44,
        "failures_known_by_silence": 2.00,
    }
    return {
        name: (value, reference)
        for (name, reference), value in zip(names.items(), sums, strict=True)
    }


def _cases(servers: Servers, helper: Integers) -> Iterator[float]:
    guessed = replace(servers, usefulness=np.full_like(servers.usefulness, GUESS))
    yield _realised_j(guessed, servers, helper)
    yield _realised_j(guessed, servers, optimal(guessed).helper)
    yield _pretraining_j(servers, helper)
    yield _failing_j(servers, helper, noticed_s=0.0)
    yield _failing_j(servers, helper, noticed_s=NOTICED_S)
    yield _failing_j(servers, helper, noticed_s=None)


def _realised_j(guessed: Servers, servers: Servers, helper: Integers) -> float:
    """Energy of stars whose times were planned with `guessed`."""
    times = time_split.split_stars(
        work_cycles=guessed.work_cycles,
        ready_s=guessed.ready_s,
        usefulness=guessed.usefulness,
        helper=helper,
        deadline_s=guessed.deadline_s,
    )
    own = np.arange(len(servers))
    useful = np.where(helper != own, servers.usefulness[helper, own], 0.0)
    energy = paced_energy_j(
        work_cycles=servers.work_cycles * (1.0 - useful),
        time_s=times.computing_s,
        capacitance=servers.capacitance,
    )
    return float(energy.sum())


def _pretraining_j(servers: Servers, helper: Integers) -> float:
    return sum(
        time_split.split_with_pretraining(
            helper_cycles=servers.work_cycles[center],
            helper_ready_s=servers.ready_s[center],
            recipients_cycles=servers.work_cycles[recipients],
            recipients_ready_s=servers.ready_s[recipients],
            usefulness=servers.usefulness[center, recipients],
            deadline_s=servers.deadline_s,
            capacitance=servers.capacitance,
        ).certificate.value
        for center, recipients in stars_of(servers, helper).items()
    )


def _failing_j(servers: Servers, helper: Integers, noticed_s: float | None) -> float:
    """Expected energy if each helper fails with `FAILED`; its recipients go on alone from
    `noticed_s`, or else from when the parameters are overdue, but never later than is safe."""
    prices, total = Prices(servers), 0.0
    for center, recipients in stars_of(servers, helper).items():
        own, *others = prices.shares(center, recipients)
        work, ready = servers.work_cycles[center], servers.ready_s[center]
        due = ready + float(np.sqrt(servers.capacitance * work**3 / own))
        now = due + PATIENCE_S if noticed_s is None else noticed_s
        work_alone = servers.work_cycles[recipients]
        safe_s = servers.deadline_s - work_alone / WideArea().frequency_max_hz
        alone = fallback_energy_j(
            work_cycles=work_alone,
            now_s=np.minimum(now, safe_s),
            collection_s=servers.ready_s[recipients],
            deadline_s=servers.deadline_s,
            capacitance=servers.capacitance,
        )
        total += own + (1.0 - FAILED) * sum(others) + FAILED * float(alone.sum())
    return total


def _circle(state: State) -> Circle:
    return collected(state, ask_all(state))
