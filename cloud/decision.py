"""The decisions of the association, as jobs: [P3]'s problem with what the cloud observed.

There is one world, `batch` 1. The functions are those of every experiment: this module only
lays out what is observed as the problem's `State`, and reads off what was decided.
"""

import hashlib

import numpy as np

from cloud.association import Compared, Decided, Observed
from twin_runtime.physics.mobility import Walk
from twin_runtime.problems.association import PROBLEM, finish
from twin_runtime.problems.association_policies import POLICIES
from twin_runtime.problems.association_state import Action, State, slot_of
from twin_runtime.problems.problem import Observation
from twin_runtime.problems.scenarios.walking_site import walking_site
from twin_runtime.solvers.association_bounds import gain_bound
from twin_runtime.solvers.certificate import Infeasible

EXACT_TWINS_MAX = 9  # 3^9 sets and their subsets for each edge: tens of milliseconds


def state_of(observed: Observed) -> State:
    """What was observed, as the problem states it."""
    scenario = walking_site(len(observed.twins), len(observed.edges))
    position = np.array([[(device.x_m, device.y_m) for device in observed.devices]])
    users, edges = position.shape[:2], (1, scenario.edges)
    middle = sum(scenario.samples) / 2.0
    samples = [middle if device.samples is None else device.samples for device in observed.devices]
    return State(
        scenario=scenario,
        edge_m=np.array([observed.edge_m]),
        walk=Walk(position, position, np.zeros(users), np.zeros(users, dtype=np.int64)),
        new_samples=np.array([samples]),
        old_samples=np.array([observed.old_samples]),
        label_distance=np.full(users, scenario.label_distance[0]),
        twin_bits=np.array([[float(device.twin_bits) for device in observed.devices]]),
        host=np.array([observed.hosts]),
        compute_budget=np.full(edges, scenario.compute_budget[0]),
        synchronisation_budget=np.full(edges, scenario.synchronisation_budget[0]),
        cycles_per_bit=np.full(edges, scenario.cycles_per_bit[0]),
    )


def decide(observed: Observed, policy: str, seed: int) -> Decided:
    """Let the policy decide; say what that costs, and what it would cost to move nobody."""
    state = state_of(observed)
    action = POLICIES[policy](state, np.random.default_rng(seed))
    return Decided(
        hosts=tuple(action.edge[0].tolist()),
        samples=tuple(state.new_samples[0].tolist()),
        spec=PROBLEM.spec.digest,
        observation=_digest(PROBLEM.observe(state)),
        cost=_cost(state, action),
        cost_if_all_stay=_cost(state, finish(state, state.host)),
    )


def compare(observed: Observed) -> Compared:
    """The least cost there is: exactly for as few twins as can be enumerated, else a bound."""
    state = state_of(observed)
    if len(observed.twins) <= EXACT_TWINS_MAX:
        try:
            best = POLICIES["oracle"](state, np.random.default_rng(0))
            return Compared("optimum", _cost(state, best))
        except Infeasible:
            pass  # some edge is overloaded whatever is decided: the bound holds all the same
    return Compared("bound", round(-float(gain_bound(slot_of(state))[0]), 6))


def _cost(state: State, action: Action) -> float:
    return round(float(PROBLEM.cost(state, action).total[0]), 6)


def _digest(observation: Observation) -> str:
    """SHA-256 of what the policy saw: names and bytes, in the order of the names."""
    hashed = hashlib.sha256()
    for name in sorted(observation):
        hashed.update(name.encode() + b"\0" + observation[name].tobytes())
    return hashed.hexdigest()
