"""Which edge hosts which twin in one slot: the instance, and what a placement is worth.

The gain (22) of a placement is a sum over edges, each of which only asks who its twins are:
J_s(A), the best gain of edge s with the twins A, from `historical_data`. All solvers of this
decision search over sets of twins: `association_exact` all of them, `association_search` by
moves, `association_horizon` over time. `association_bounds` says what none can exceed.
"""

from dataclasses import dataclass, fields

import numpy as np

from twin_runtime.physics.arguments import (
    Array,
    Booleans,
    Integers,
    InvalidArgument,
    indices,
    non_negative,
    positive,
)
from twin_runtime.physics.relocation import Valuation, sum_by_edge
from twin_runtime.solvers.certificate import Certificate
from twin_runtime.solvers.historical_data import Edges, allocate

ROWS_MAX = 8192  # edges that are allocated in one go: some megabytes


@dataclass(frozen=True, slots=True)
class Slot:
    """One decision in each of some worlds; energies are per twin and edge, at share 0.

    `[worlds, twins]`: samples, label distance. `[worlds, twins, edges]`: the energy of moving a
    twin there, of its synchronisation and its training there, and what its whole history would
    add to all of it (`slope`) and to the training (`compute_slope`). `[worlds, edges]`: budgets.
    """

    new_samples: Array
    old_samples: Array
    label_distance: Array
    moving: Array
    synchronisation: Array
    training: Array
    slope: Array
    compute_slope: Array
    compute_budget: Array
    synchronisation_budget: Array
    valuation: Valuation

    def __post_init__(self) -> None:
        worlds, twins, edges = self._shape()
        wanted = {"_samples": (worlds, twins), "distance": (worlds, twins)}
        wanted |= {"budget": (worlds, edges)}
        for name in _ARRAYS:
            part = next((shape for end, shape in wanted.items() if name.endswith(end)), None)
            shape, expected = getattr(self, name).shape, part or (worlds, twins, edges)
            if shape != expected:
                raise InvalidArgument(f"{name} has the shape {shape}; it must be {expected}")
            check = positive if name.endswith("budget") else non_negative
            check(name, getattr(self, name))

    def _shape(self) -> tuple[int, int, int]:
        shape = self.training.shape
        if len(shape) != 3 or 0 in shape:  # noqa: PLR2004
            raise InvalidArgument(f"training {shape} must be [worlds, twins, edges], none empty")
        return shape

    @property
    def worlds(self) -> int:
        return int(self.training.shape[0])

    @property
    def twins(self) -> int:
        return int(self.training.shape[1])

    @property
    def edges(self) -> int:
        return int(self.training.shape[2])

    @property
    def fixed(self) -> Array:
        """Energy of each twin on each edge if nothing is reused."""
        return self.moving + self.synchronisation + self.training

    def world(self, index: int) -> "Slot":
        """One of the worlds, alone."""
        parts = {name: getattr(self, name)[index : index + 1] for name in _ARRAYS}
        return Slot(**parts, valuation=self.valuation)


_ARRAYS = tuple(field.name for field in fields(Slot) if field.name != "valuation")


@dataclass(frozen=True, slots=True)
class Placement:
    """The host and the share of each twin `[worlds, twins]`, and the gain `[worlds]` they give;
    no placement that the solver speaks of gives more than `bound`."""

    edge: Integers
    share: Array
    value: Array
    bound: Array

    @property
    def certificate(self) -> Certificate:
        return Certificate(-float(self.value.sum()), -float(self.bound.sum()))


def place(slot: Slot, edge: Integers) -> Placement:
    """A given placement `[worlds, twins]` with its best shares. [P3] (22)(23).

    An edge that cannot carry its twins' new data reuses nothing. The bound is over shares.
    """
    host = indices("edge", edge, slot.edges)
    if host.shape != slot.new_samples.shape:
        raise InvalidArgument(f"edge has the shape {host.shape}; it must be [worlds, twins]")
    row = (host + slot.edges * np.arange(slot.worlds)[:, None]).ravel()
    order = row.argsort(kind="stable")
    row = row[order]
    first = _begins(row)
    best = allocate(_edges(slot, order, row % slot.edges, first))
    share = np.empty(host.size)
    share[order] = best.share
    value, bound = np.zeros((2, slot.worlds))
    world = row[first] // slot.edges
    np.add.at(value, world, best.value)
    np.add.at(bound, world, best.bound)
    return Placement(host, share.reshape(host.shape), value, bound)


def worth(slot: Slot, edge: Integers, members: Booleans) -> Array:
    """J of edges `[rows]` with sets of twins `[rows, twins]`, in the only world. [P3] 6.2.

    Minus infinity where the set does not fit, 0 where it is empty.
    """
    _only_world(slot)
    values = np.where(members.any(axis=1), -np.inf, 0.0)
    load = np.einsum("rt,tr->r", members, slot.training[0][:, edge])
    upload = np.einsum("rt,tr->r", members, slot.synchronisation[0][:, edge])
    fits = load <= slot.compute_budget[0, edge]
    fits &= upload <= slot.synchronisation_budget[0, edge]
    todo = np.flatnonzero(fits & members.any(axis=1))
    for start in range(0, len(todo), ROWS_MAX):
        some = todo[start : start + ROWS_MAX]
        row, twin = np.nonzero(members[some])
        first = _begins(row)
        values[some] = allocate(_edges(slot, twin, edge[some][row], first)).value
    return values


def overload(slot: Slot, edge: Integers) -> Array:
    """By how much each edge `[worlds, edges]` exceeds its budgets at share 0, relative to them,
    compute and synchronisation added up. [P3] (23), C2 and C3."""
    load = loads(slot, edge)
    over = np.maximum(load[0] / slot.compute_budget - 1.0, 0.0)
    return over + np.maximum(load[1] / slot.synchronisation_budget - 1.0, 0.0)


def loads(slot: Slot, edge: Integers) -> tuple[Array, Array]:
    """Training and synchronisation energy of each edge `[worlds, edges]` at share 0."""
    host = edge[..., None]
    training = np.take_along_axis(slot.training, host, axis=2)[..., 0]
    upload = np.take_along_axis(slot.synchronisation, host, axis=2)[..., 0]
    return (
        sum_by_edge(values=training, edge=edge, edges=slot.edges),
        sum_by_edge(values=upload, edge=edge, edges=slot.edges),
    )


def _begins(row: Integers) -> Integers:
    """Where each of some sorted numbers stands first."""
    new = np.ones(len(row), dtype=np.bool_)
    np.not_equal(row[1:], row[:-1], out=new[1:])
    return new.nonzero()[0]


def _only_world(slot: Slot) -> None:
    if slot.worlds != 1:
        raise InvalidArgument(f"slot has {slot.worlds} worlds; this is decided one by one")


def _edges(slot: Slot, twin: Integers, edge: Integers, first: Integers) -> Edges:
    """Twins, numbered through all worlds, on these edges of theirs, edge after edge."""
    there = twin * slot.edges + edge
    training = slot.training.ravel()[there]
    fixed = slot.moving.ravel()[there] + slot.synchronisation.ravel()[there] + training
    budget = slot.compute_budget[twin[first] // slot.twins, edge[first]]
    return Edges(
        first=first,
        new_samples=slot.new_samples.ravel()[twin],
        old_samples=slot.old_samples.ravel()[twin],
        label_distance=slot.label_distance.ravel()[twin],
        slope=slot.slope.ravel()[there],
        compute_slope=slot.compute_slope.ravel()[there],
        fixed_energy=np.add.reduceat(fixed, first),
        compute_slack=np.maximum(budget - np.add.reduceat(training, first), 0.0),
        valuation=slot.valuation,
    )
