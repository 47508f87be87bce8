"""How long an exact decision takes, beside what one would use otherwise, in one process.

Every instance is a state of its problem's own closed loop, not a random matrix. A figure is CPU
time of the deciding thread, which others on the machine hardly change, the median over
instances; `against` has what stands beside it in the same run: another solver, what its answer
costs, and the gap that the certificate leaves.

    access          1,000 devices of which 100 train, delay weight 60
    association     200 twins on 20 edges, all shares at once, beside SciPy's SLSQP from one start
    subchannels     100 sub-channels, beside the linear bound and an integer programme's incumbent
    cooperation     50 servers, beside the integer programme
    environments    64 worlds stepped at once, beside one after the other
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from typing import Any

import numpy as np
from scipy.optimize import minimize

from benchmarks.runtime.target import Bar, Target
from twin_runtime.physics.arguments import Array, Integers
from twin_runtime.problems import (
    access,
    access_policies,
    association,
    association_policies,
    cooperation,
    cooperation_policies,
    edge_association,
    subchannels,
    subchannels_policies,
)
from twin_runtime.problems.access_state import available, solver_slot
from twin_runtime.problems.association_state import slot_of
from twin_runtime.problems.environment import Environment
from twin_runtime.problems.problem import Observation, Problem
from twin_runtime.problems.scenarios.five_stations import FiveStations
from twin_runtime.problems.scenarios.industrial_iot import IndustrialIot
from twin_runtime.problems.scenarios.mobile_users import MobileUsers
from twin_runtime.problems.scenarios.smart_park import HEAD_TO_HEAD_WEIGHT, SmartPark
from twin_runtime.problems.scenarios.wide_area import WideArea
from twin_runtime.solvers import access as access_solver
from twin_runtime.solvers import star_partition, star_search
from twin_runtime.solvers.access_frequencies import allocate
from twin_runtime.solvers.access_slot import Slot as AccessSlot
from twin_runtime.solvers.association import Slot, place
from twin_runtime.solvers.cooperation import Servers
from twin_runtime.solvers.historical_data import Edges, gain
from twin_runtime.solvers.subchannel_bounds import fractional_bound_s
from twin_runtime.solvers.subchannel_exact import programmed
from twin_runtime.solvers.subchannels import assign
from twin_runtime.solvers.uplink import Uplink


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured; an integer programme may take a minute."""

    instances: int = 8
    repeats: int = 5
    devices: int = 1000
    scheduled: int = 100
    twins: int = 200
    edges: int = 20
    servers: int = 50
    participants: tuple[int, ...] = (50, 90)
    programme_s: float = 60.0
    worlds: int = 64
    steps: int = 5


def run(scale: Scale) -> Iterator[Target]:
    """Measure, and yield targets as they are done."""
    yield from _access(scale)
    yield _association(scale)
    for participants in scale.participants:
        yield from _subchannels(scale, participants)
    yield _cooperation(scale)
    yield from _environments(scale)


def times_ms(work: Callable[[], Any], repeats: int) -> float:
    """The median of some repeats; one before that does not count."""
    work()
    took_ms = []
    for _ in range(repeats):
        began_s = time.thread_time()
        work()
        took_ms.append(1000 * (time.thread_time() - began_s))
    return median(took_ms)


# --- access: which devices train, at which clocks -------------------------------------------


def _access(scale: Scale) -> Iterator[Target]:
    count, slots = scale.scheduled, _access_slots(scale)
    certified = [times_ms(partial(access_solver.select, each, count), scale.repeats)
                 for each in slots]  # fmt: skip
    swept = [times_ms(partial(access_solver.sweep, each, count), scale.repeats)
             for each in slots]  # fmt: skip
    best = [access_solver.select(each, count) for each in slots]
    near = [access_solver.sweep(each, count) for each in slots]
    chosen = [each.take(found.devices) for each, found in zip(slots, best, strict=True)]
    clocks = [times_ms(partial(allocate, each), scale.repeats) for each in chosen]
    gap = max(found.certificate.gap for found in best)
    excess_ms = max(
        1000 * (rough.certificate.value - found.certificate.value) / HEAD_TO_HEAD_WEIGHT
        for rough, found in zip(near, best, strict=True)
    )
    what = f"{scale.devices} devices, {count} scheduled"
    ratio = median(certified) / median(swept)
    yield _time("decide/access certified", certified, 10.0,
                f"{what}; {ratio:.1f} x the sweep; gap {gap:.1e}")  # fmt: skip
    yield _time("decide/access sweep", swept, 3.0,
                f"{what}; worth at most {excess_ms:.2f} ms of delay more")  # fmt: skip
    yield _time("decide/access frequencies", clocks, 0.3, f"{count} devices")


def _access_slots(scale: Scale) -> list[AccessSlot]:
    park = replace(
        SmartPark(), devices=scale.devices, scheduled=scale.scheduled,
        delay_weight=HEAD_TO_HEAD_WEIGHT,
    )  # fmt: skip
    environment = Environment(access.PROBLEM, park, seed=0)
    slots = []
    for _ in range(scale.instances):
        for _ in range(5):
            action = access_policies.POLICIES["sweep"](environment.state, environment.generator)
            environment.step(action)
        ready = np.flatnonzero(available(environment.state)[0])
        slots.append(solver_slot(environment.state).take((0, ready)))
    return slots


# --- association: how much of last slot's data is trained on again --------------------------


def _association(scale: Scale) -> Target:
    slots = _association_slots(scale)
    exact = [times_ms(partial(place, *each), scale.repeats) for each in slots]
    peers = [_single_start(slot, edge) for slot, edge in slots]
    missed = [
        float(place(slot, edge).value[0]) - value
        for (slot, edge), (_, value) in zip(slots, peers, strict=True)
    ]
    gap = max(place(slot, edge).certificate.gap for slot, edge in slots)
    slsqp_ms = median(took_ms for took_ms, _ in peers)
    against = (
        f"{scale.twins} twins on {scale.edges} edges; SLSQP from one start takes {slsqp_ms:.0f} ms,"
        f" {slsqp_ms / median(exact):.0f} x, and gains up to {max(missed):.1e} less; gap {gap:.0e}"
    )
    return _time("decide/association shares", exact, 1.0, against)


def _association_slots(scale: Scale) -> list[tuple[Slot, Integers]]:
    crowd = scale.twins / scale.edges / (20 / 9)  # against the paper's 20 twins on 9 edges
    users = MobileUsers(
        users=scale.twins,
        edges=scale.edges,
        payload="paper",
        compute_budget=(1400.0 * crowd, 1500.0 * crowd),
        synchronisation_budget=(120.0 * crowd, 130.0 * crowd),
    )
    environment = Environment(association.PROBLEM, users, seed=0)
    slots = []
    for _ in range(scale.instances):
        for _ in range(3):
            action = association_policies.nearest(environment.state, environment.generator)
            environment.step(action)
        state = environment.state
        edge = association_policies.nearest(state, environment.generator).edge
        slots.append((slot_of(state), edge))
    return slots


def _single_start(slot: Slot, edge: Integers) -> tuple[float, float]:
    """What SLSQP takes [ms] and gains, edge by edge from shares of a half."""
    began_s, value = time.thread_time(), 0.0
    for each in np.unique(edge[0]):
        members = edge[0] == each
        one = _one_edge(slot, int(each), members)

        def loss(share: Array, one: Edges = one) -> float:
            return -float(gain(one, np.clip(share, 0.0, 1.0))[0])

        def slack(share: Array, one: Edges = one) -> float:
            return float(one.compute_slack[0] - one.compute_slope @ share)

        found = minimize(
            loss, np.full(int(members.sum()), 0.5), method="SLSQP",
            bounds=[(0.0, 1.0)] * int(members.sum()),
            constraints={"type": "ineq", "fun": slack},
        )  # fmt: skip
        value -= loss(found.x)
    return 1000 * (time.thread_time() - began_s), value


def _one_edge(slot: Slot, edge: int, members: Array) -> Edges:
    training = slot.training[0, members, edge].sum()
    return Edges(
        first=np.zeros(1, dtype=np.int64),
        new_samples=slot.new_samples[0, members],
        old_samples=slot.old_samples[0, members],
        label_distance=slot.label_distance[0, members],
        slope=slot.slope[0, members, edge],
        compute_slope=slot.compute_slope[0, members, edge],
        fixed_energy=slot.fixed[0, members, edge].sum(keepdims=True),
        compute_slack=np.atleast_1d(slot.compute_budget[0, edge] - training),
        valuation=slot.valuation,
    )


# --- subchannels: who uploads on which ------------------------------------------------------


def _subchannels(scale: Scale, participants: int) -> Iterator[Target]:
    uplinks = _uplinks(scale, participants)
    generator = np.random.default_rng(0)
    took = [times_ms(partial(assign, each, generator), scale.repeats) for each in uplinks]
    found = [assign(each, generator) for each in uplinks]
    linear = [
        float(each.makespan_s) / fractional_bound_s(uplink)
        for each, uplink in zip(found, uplinks, strict=True)
    ]
    what = f"{participants} users on {uplinks[0].rates_bps.shape[-1]} sub-channels"
    yield _time(f"decide/subchannels {participants}", took, 20.0,
                f"{what}; {median(linear):.4f} of the linear bound")  # fmt: skip
    uplink, own = uplinks[0], found[0]
    best = programmed(uplink, own.owner, scale.programme_s)
    ratio = float(own.makespan_s) / float(best.makespan_s)
    yield Target(
        f"decide/subchannels {participants} gap", 100 * (ratio - 1), "%", Bar("<=", 1.0),
        f"to an integer programme's incumbent after {scale.programme_s:g} s; {what}",
    )  # fmt: skip


def _uplinks(scale: Scale, participants: int) -> list[Uplink]:
    factory = IndustrialIot(participants=participants)
    environment = Environment(subchannels.PROBLEM, factory, seed=0)
    uplinks = []
    for _ in range(scale.instances):
        state = environment.state
        whole = subchannels.uplink_at_full_speed(state)
        uplinks.append(
            replace(
                whole,
                rates_bps=whole.rates_bps[0],
                computing_s=whole.computing_s[0],
                active=whole.active[0],
            )
        )
        environment.step(subchannels_policies.fastest(state, environment.generator))
    return uplinks


# --- cooperation: who helps whom ------------------------------------------------------------


def _cooperation(scale: Scale) -> Target:
    servers = _servers(scale)
    searched = [times_ms(partial(star_search.local_search, each), scale.repeats)
                for each in servers]  # fmt: skip
    began_s = time.thread_time()
    exact = [star_partition.optimal(each).certificate.value for each in servers]
    programme_ms = 1000 * (time.thread_time() - began_s) / len(servers)
    found = [star_search.local_search(each).certificate.value for each in servers]
    against = (
        f"{scale.servers} servers; the integer programme takes {programme_ms:.0f} ms,"
        f" {programme_ms / median(searched):.0f} x; energy {sum(found) / sum(exact):.4f} of its"
    )
    return _time("decide/cooperation search", searched, 50.0, against)


def _servers(scale: Scale) -> list[Servers]:
    area = replace(WideArea(), servers=scale.servers)
    state = Environment(cooperation.PROBLEM, area, seed=0, batch=scale.instances).state
    circle = cooperation.collected(state, cooperation.ask_all(state))
    return cooperation_policies.worlds(state, circle)


# --- environments: many worlds at once ------------------------------------------------------

_PROBLEMS: Mapping[str, tuple[Problem[Any, Any, Any], Any]] = {
    "access": (access.PROBLEM, SmartPark()),
    "subchannels": (subchannels.PROBLEM, IndustrialIot()),
    "association": (association.PROBLEM, MobileUsers()),
    "edge association": (edge_association.PROBLEM, FiveStations()),
    "cooperation": (cooperation.PROBLEM, WideArea()),
}


def _environments(scale: Scale) -> Iterator[Target]:
    for name, (problem, scenario) in _PROBLEMS.items():
        together = _steps_per_s(problem, scenario, scale.worlds, scale.steps)
        alone = _steps_per_s(problem, scenario, 1, scale.steps)
        yield Target(
            f"decide/steps {name}", together, "worlds/s", Bar(">=", alone),
            f"{scale.worlds} at once, {together / alone:.1f} x one after the other",
        )  # fmt: skip


def _steps_per_s(problem: Problem[Any, Any, Any], scenario: Any, worlds: int, steps: int) -> float:
    """Steps of worlds per second: observed, decided by chance, projected, paid, moved on."""
    environment = Environment(problem, scenario, seed=0, batch=worlds)

    def step() -> None:
        observation = problem.observe(environment.state)
        scores = _scores(problem, observation, environment.generator)
        environment.step(problem.decode(environment.state, scores))

    return 1000 * worlds / times_ms(step, steps)


def _scores(
    problem: Problem[Any, Any, Any], observation: Observation, generator: np.random.Generator
) -> dict[str, Array]:
    """Any numbers, of the shape that a policy would answer with."""
    sizes: dict[str, int] = {}
    for tensor in problem.spec.inputs:
        sizes |= dict(zip(tensor.axes, observation[tensor.name].shape, strict=True))
    scores = {}
    for tensor in problem.spec.outputs:
        shape = [sizes.get(axis, len(tensor.features)) for axis in tensor.axes]
        scores[tensor.name] = generator.random(shape)
    return scores


def _time(name: str, took_ms: list[float], bar_ms: float, against: str) -> Target:
    return Target(name, median(took_ms), "ms", Bar("<=", bar_ms), against)
