"""P1: which devices of a park train, and at which clocks, in a closed loop over a horizon.

A park and its fading depend on the seed alone, so all policies meet the same. A row is a case's
mean over seeds of one metric of a whole run.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np

from benchmarks.papers import legion_learning
from benchmarks.papers.legion_reference import (
    CASES,
    CLAIMS,
    DELAY_BOUND_S,
    DELIVERED,
    HEAD_TO_HEAD,
    METRICS,
    Case,
    Claim,
)
from benchmarks.papers.paper import Paper, Row
from twin_runtime.physics.arguments import Array
from twin_runtime.physics.queues import overspent_j, priority_deficit
from twin_runtime.physics.units import linear_to_db
from twin_runtime.problems.access import PROBLEM
from twin_runtime.problems.access_policies import POLICIES, Policy, oracle
from twin_runtime.problems.access_state import Action, State, solver_slot
from twin_runtime.problems.access_twins import begin_twins, believed, closing, learned
from twin_runtime.problems.environment import Environment
from twin_runtime.problems.scenarios.smart_park import SmartPark
from twin_runtime.solvers.access_dual import delay_bound
from twin_runtime.solvers.access_slot import Slot

NAME: Final = "P1"
PARK: Final = SmartPark()
EARLY_SLOTS: Final = 100  # the paper shows energy at this slot
CAUTION: Final = 1.0  # deviations below the expected gain that a cautious edge plans with
CLOSING_SLACK: Final = 1.2  # of the planned deadline


class Run(NamedTuple):
    """A closed loop: per slot, and the state after the last."""

    device_s: Array
    iteration_s: Array
    energy_j: Array
    end: State


def run(policy: str, seeds: Sequence[int], park: SmartPark = PARK) -> Iterator[Row]:
    """The rows of one policy."""
    if policy == "bound":
        yield _bound_row(seeds, park)
    elif policy == "claims":
        yield from _claim_rows(seeds, park)
    elif policy == legion_learning.NAME:
        yield from legion_learning.rows(seeds, park)
    else:
        for case in CASES:
            if case.policy == policy:
                yield from _rows(case, seeds, park)


def drive(case: Case, seed: int, park: SmartPark) -> Run:
    """One park under one policy, from its first slot to its last."""
    setting = replace(park, drift=case.drift, delay_weight=case.delay_weight, credit=case.credit)
    environment = Environment(PROBLEM, setting, seed)
    decide = _decider(case.policy, environment.state)
    generator = np.random.default_rng([seed, 1])  # of the policy: the park has its own
    slots = []
    for _ in range(park.slots):
        parts = environment.step(decide(environment.state, generator)).cost.parts
        slots.append([parts["device_s"][0], parts["iteration_s"][0], parts["energy_j"][0]])
    device_s, iteration_s, energy_j = np.array(slots).T
    return Run(device_s, iteration_s, energy_j, environment.state)


def measures(done: Run) -> dict[str, float]:
    """Every metric of a run."""
    end, slots = done.end, done.end.park.slots
    deficit = deficits(end)
    over = overspent_j(spent_j=end.spent_j, budget_j=end.energy_budget_j * slots)
    short = np.maximum(deficit, 0.0)
    values = (
        *(done.device_s.mean(), np.quantile(done.device_s, 0.99), done.iteration_s.mean()),
        *(done.energy_j[:EARLY_SLOTS].sum(), done.energy_j.sum()),
        *((over > 0).sum(), over.sum(), short.mean(), short.max()),
        *(deficit.std(), np.ptp(deficit)),
    )
    return {metric: float(value) for metric, value in zip(METRICS, values, strict=True)}


def deficits(end: State) -> Array:
    """How far each device is below its promised share, of what counts towards it."""
    return priority_deficit(
        rate_min=end.rate_min, scheduled=end.credited_slots, slots=end.park.slots
    )


def _rows(case: Case, seeds: Sequence[int], park: SmartPark) -> Iterator[Row]:
    runs = [measures(drive(case, seed, park)) for seed in seeds]
    for metric in METRICS:
        about = NAME, case.policy, case.scenario, metric
        yield Row.of(about, [each[metric] for each in runs], case.reference.get(metric))


def _claim_rows(seeds: Sequence[int], park: SmartPark) -> Iterator[Row]:
    """Ratios to the opponents: of means over seeds, as the paper's are; spread of each seed's."""
    cases = [HEAD_TO_HEAD, *{id(claim.opponent): claim.opponent for claim in CLAIMS}.values()]
    runs = {id(case): [measures(drive(case, seed, park)) for seed in seeds] for case in cases}
    for claim in CLAIMS:
        pairs = zip(runs[id(HEAD_TO_HEAD)], runs[id(claim.opponent)], strict=True)
        yield _claim_row(claim, [(one[claim.metric], two[claim.metric]) for one, two in pairs])


def _claim_row(claim: Claim, pairs: Sequence[tuple[float, float]]) -> Row:
    about = NAME, "claims", f"{HEAD_TO_HEAD.scenario} over {claim.opponent.policy}", claim.metric
    row = Row.of(about, [one / two for one, two in pairs], claim.reference)
    ratio = sum(one for one, _ in pairs) / sum(two for _, two in pairs)
    return replace(row, mean=ratio, paper_value=claim.paper)


def _bound_row(seeds: Sequence[int], park: SmartPark) -> Row:
    """The delay that no policy goes below that keeps every share and every budget."""
    bounds = [delay_bound(list(_trace(park, seed)), park.scheduled).delay_s for seed in seeds]
    return Row.of((NAME, "bound", "smart_park", "device_s"), bounds, DELAY_BOUND_S)


def _trace(park: SmartPark, seed: int) -> Iterator[Slot]:
    """The channel of every slot: it is the same whatever is done."""
    environment = Environment(PROBLEM, park, seed)
    nobody = np.zeros((1, park.devices))
    idle = Action(scheduled=nobody > 0, frequency_hz=nobody, close_s=np.full(1, np.inf))
    for _ in range(park.slots):
        yield solver_slot(environment.state).take((0, np.arange(park.devices)))
        environment.step(idle)


def _decider(policy: str, begin: State) -> Policy:
    """The policy of this name; those that know the channel from twins only begin with `begin`."""
    if policy == "oracle-twin":
        return _twin_oracle(begin, everyone=False, caution=0.0, slack=np.inf)
    if policy == "oracle-heard":
        return _twin_oracle(begin, everyone=True, caution=CAUTION, slack=CLOSING_SLACK)
    return oracle if policy == DELIVERED else POLICIES[policy]


def _twin_oracle(begin: State, *, everyone: bool, caution: float, slack: float) -> Policy:
    """The oracle on what twins believe, which hear the scheduled devices, or everyone's beat."""
    assert begin.world is not None
    twins = begin_twins(begin.park, linear_to_db(begin.world.path_gain))

    def decide(state: State, generator: np.random.Generator) -> Action:
        nonlocal twins
        plan = believed(state, twins, caution)
        action = closing(plan, oracle(plan, generator), slack)
        heard = np.logical_or(action.scheduled, everyone)
        twins = learned(state, twins, heard, generator)
        return action

    return decide


PAPER: Final = Paper(
    name=NAME,
    slug="legion",
    title="Which devices train in a slot, and at which clocks",
    policies=(
        *dict.fromkeys(case.policy for case in CASES),
        "bound",
        "claims",
        legion_learning.NAME,
    ),
    run=run,
)
