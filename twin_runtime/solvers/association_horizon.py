"""The best placements over some slots, all known ahead: Viterbi over all associations.

What an edge is worth depends on who its twins are and where each of them was. For few twins
and edges these cases can be listed, (edges + 1)^twins of them, so that the value of going from
any association to any other is a sum of looked-up numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from twin_runtime.physics.arguments import Array, Integers, InvalidArgument
from twin_runtime.solvers.association import Slot, worth
from twin_runtime.solvers.certificate import Certificate, Infeasible

ASSOCIATIONS_MAX = 1024  # edges^twins: a million transitions a slot
CASES_MAX = 65536  # of one edge, (edges + 1)^twins


@dataclass(frozen=True, slots=True)
class Plan:
    """The edge of each twin `[slots, twins]`, and the gain of each slot."""

    edge: Integers
    value: Array

    @property
    def certificate(self) -> Certificate:
        """Of the mean gain; exact."""
        mean = -float(self.value.mean())
        return Certificate(mean, mean)


def plan(stages: Sequence[Sequence[Slot]]) -> Plan:
    """The path of the largest mean gain. [P3] (23), 6.3.

    Args:
        stages: for each slot the instances, of one world each, in which all twins were on edge
            0, 1, ... before; of the first slot one instance, as the twins are.

    Raises:
        InvalidArgument: too many associations, or not an instance per edge.
        Infeasible: some slot has no placement within the budgets.
    """
    hosts = _associations(stages)
    value = _stage_values(stages[0], hosts, np.zeros((1, hosts.shape[1]), dtype=np.int64))[0]
    best, came_from = value, []
    paths = [value[None]]
    for stage in stages[1:]:
        paths.append(_stage_values(stage, hosts, hosts))
        through = best[:, None] + paths[-1]
        came_from.append(through.argmax(axis=0))
        best = through.max(axis=0)
    if not np.isfinite(best.max()):
        raise Infeasible("some slot has no placement that keeps to the budgets of all edges")
    path = [int(best.argmax())]
    for before in reversed(came_from):
        path.append(int(before[path[-1]]))
    path.reverse()
    earned = [paths[0][0, path[0]]]
    earned += [paths[t][path[t - 1], path[t]] for t in range(1, len(path))]
    return Plan(hosts[path], np.array(earned))


def _associations(stages: Sequence[Sequence[Slot]]) -> Integers:
    if not stages or len(stages[0]) != 1:
        raise InvalidArgument("stages must begin with one instance, the twins as they are")
    twins, edges = stages[0][0].twins, stages[0][0].edges
    if any(len(stage) != edges for stage in stages[1:]):
        raise InvalidArgument(f"each later stage must have an instance for each of {edges} edges")
    if edges**twins > ASSOCIATIONS_MAX or (edges + 1) ** twins > CASES_MAX:
        raise InvalidArgument(f"{twins} twins on {edges} edges are too many to list")
    return np.stack(np.unravel_index(np.arange(edges**twins), (edges,) * twins), axis=1)


def _stage_values(stage: Sequence[Slot], hosts: Integers, before: Integers) -> Array:
    """The gain of going from each association before to each one, `[before, hosts]`."""
    edges, twins = stage[0].edges, stage[0].twins
    origins = len(stage)
    cases = np.arange((origins + 1) ** twins)
    # A digit for each twin: 0 if it is elsewhere, else 1 + where it was.
    digits = cases[:, None] // (origins + 1) ** np.arange(twins) % (origins + 1)
    members = (digits[:, None, :] == 1 + np.arange(origins)[:, None]).reshape(len(cases), -1)
    joined = _joined(stage)
    edge = np.repeat(np.arange(edges), len(cases))
    value = worth(joined, edge, np.tile(members, (edges, 1))).reshape(edges, len(cases))
    power = (origins + 1) ** np.arange(twins)
    total = np.zeros((len(before), len(hosts)))
    for which in range(edges):
        here = hosts == which
        case = ((1 + before)[:, None, :] * here * power).sum(axis=2)
        total += value[which, case]
    return total


def _joined(stage: Sequence[Slot]) -> Slot:
    """One instance with a twin for each twin and origin: it stands for the twin from there."""
    first = stage[0]
    per_twin = (
        *("new_samples", "old_samples", "label_distance", "moving", "synchronisation"),
        *("training", "slope", "compute_slope"),
    )
    joined = {
        name: np.concatenate([getattr(slot, name) for slot in stage], axis=1) for name in per_twin
    }
    return Slot(
        **joined,
        compute_budget=first.compute_budget,
        synchronisation_budget=first.synchronisation_budget,
        valuation=first.valuation,
    )
