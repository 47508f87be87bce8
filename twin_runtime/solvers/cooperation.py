"""Who helps whom: servers, the price of a star of them, and what no partition can beat.

The servers are partitioned into stars: a helper with recipients among its neighbours, or a
server alone. A star's energy is that of the best time split (`time_split`), here in plain
floats, since a search prices many small stars one by one. A server without work has nothing
to train: it neither helps nor is helped.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from twin_runtime.physics.arguments import (
    Array,
    Booleans,
    Integers,
    InvalidArgument,
    non_negative,
    positive,
    within,
)
from twin_runtime.solvers.certificate import Certificate, Infeasible

# Stars of one helper are enumerated up to this many neighbours: 262,144 of them, which takes
# a second. The paper's densest area has 16 at most in hundreds of worlds, mostly below 13.
DEGREE_MAX = 18


@dataclass(frozen=True, slots=True)
class Servers:
    """One circle of `n` servers, as far as their cooperation goes.

    Args:
        work_cycles: >= 0 `[n]`, what each has to train without help.
        ready_s: >= 0 `[n]`, when its data is there.
        neighbours: `[n, n]`, symmetric, nobody its own.
        usefulness: in [0, 1] `[n, n]`, of the row's model for the column's server.
        deadline_s: > 0.
        capacitance: > 0 [W s^3/cycle^3].

    Raises:
        Infeasible: a server's data comes at or after the deadline.
    """

    work_cycles: Array
    ready_s: Array
    neighbours: Booleans
    usefulness: Array
    deadline_s: float
    capacitance: float

    def __post_init__(self) -> None:
        work = non_negative("work_cycles", self.work_cycles)
        ready = non_negative("ready_s", self.ready_s)
        square = (*work.shape, *work.shape)
        if work.ndim != 1 or not work.size or ready.shape != work.shape:
            raise InvalidArgument(f"work_cycles {work.shape} and ready_s {ready.shape} must be [n]")
        for name, pairs in (("neighbours", self.neighbours), ("usefulness", self.usefulness)):
            if pairs.shape != square:
                raise InvalidArgument(f"{name} is {pairs.shape}; it must be {square}")
        within("usefulness", self.usefulness, 0.0, 1.0)
        if (self.neighbours != self.neighbours.T).any() or self.neighbours.diagonal().any():
            raise InvalidArgument("neighbours must be symmetric, and nobody its own neighbour")
        positive("deadline_s", self.deadline_s)
        positive("capacitance", self.capacitance)
        if (ready >= self.deadline_s).any():
            late = int(np.argmax(ready))
            raise Infeasible(f"server {late} has its data after {ready[late]:g} s, too late")

    def __len__(self) -> int:
        return self.work_cycles.size

    def links(self) -> list[list[int]]:
        """The neighbours of each that could help it or be helped by it."""
        working = self.work_cycles > 0
        linked = self.neighbours & working & working[:, None]
        return [[int(j) for j in np.flatnonzero(row)] for row in linked]


class Partition(NamedTuple):
    """Stars: whose parameters each server waits for, its own index if nobody's; energies [J]."""

    helper: Integers
    energy_j: Array
    certificate: Certificate


class Prices:
    """Energies of stars, and what they are computed from, as plain lists of floats."""

    def __init__(self, servers: Servers) -> None:
        self.links = servers.links()
        self.work: list[float] = servers.work_cycles.tolist()
        self.ready: list[float] = servers.ready_s.tolist()
        merged = servers.work_cycles * (1.0 - servers.usefulness)
        self.cubes: list[list[float]] = (merged**3).tolist()
        self.deadline_s = servers.deadline_s
        self.capacitance = servers.capacitance
        alone = servers.work_cycles**3 / (servers.deadline_s - servers.ready_s) ** 2
        self.alone: list[float] = (servers.capacitance * alone).tolist()

    def star(self, helper: int, recipients: Collection[int]) -> float:
        """Energy of a helper with its recipients at the best split of the time [J]."""
        if not recipients:
            return self.alone[helper]
        cubes, work = self.cubes[helper], self.work[helper]
        time = self.deadline_s - self.ready[helper]
        norm = sum([cubes[j] for j in recipients]) ** (1 / 3)
        done = self.deadline_s - time * norm / (work + norm)
        if max([self.ready[j] for j in recipients]) <= done:
            energy: float = self.capacitance * (work + norm) ** 3 / time**2
            return energy
        return sum(self.shares(helper, sorted(recipients)))

    def shares(self, helper: int, recipients: list[int]) -> list[float]:
        """Energies of the helper and then of its recipients [J]."""
        cubes, ready = self.cubes[helper], self.ready[helper]
        if not recipients:
            return [self.alone[helper]]
        done = ready + self._helper_time(helper, recipients)
        left = [self.deadline_s - max(done, self.ready[j]) for j in recipients]
        own = self.work[helper] ** 3 / (done - ready) ** 2
        parts = [cubes[j] / time**2 for j, time in zip(recipients, left, strict=True)]
        return [self.capacitance * part for part in (own, *parts)]

    def _helper_time(self, helper: int, recipients: list[int]) -> float:
        """min_k max(x_k, tau_k, 0): `time_split` says why."""
        work, ready = self.work[helper], self.ready[helper]
        time = self.deadline_s - ready
        total, earliest = 0.0, time
        for j in sorted(recipients, key=self.ready.__getitem__):
            total += self.cubes[helper][j]
            inner = work * time / (work + total ** (1 / 3))
            earliest = min(earliest, max(inner, self.ready[j] - ready))
        return earliest


def price(servers: Servers, helper: Integers) -> Array:
    """Energy of each server `[n]` in the partition that `helper` `[n]` says [J]. [P5] (15)(38).

    Raises:
        Infeasible: `helper` says no stars of neighbours: whoever is waited for waits itself,
            or is no neighbour, or somebody has no work.
    """
    return priced(Prices(servers), stars_of(servers, helper), len(servers))


def priced(prices: Prices, stars: dict[int, list[int]], count: int) -> Array:
    """Energy of each of `count` servers in `stars` [J]."""
    energy = np.zeros(count)
    for center, recipients in stars.items():
        energy[[center, *recipients]] = prices.shares(center, recipients)
    return energy


def stars_of(servers: Servers, helper: Integers) -> dict[int, list[int]]:
    """The recipients of each helper and of each server alone, by its index."""
    links = servers.links()
    stars: dict[int, list[int]] = {i: [] for i in range(len(servers)) if helper[i] == i}
    for j, i in enumerate(helper.tolist()):
        if i == j:
            continue
        if i not in stars or j not in links[i]:
            raise Infeasible(f"server {j} cannot be helped by {i}: no helper, or no neighbour")
        stars[i].append(j)
    return stars


def free_help_bound(servers: Servers) -> float:
    """What all would pay at least, were each helped by its most useful neighbour for nothing.

    [P5] 6.3. It is quick and far from tight; `star_partition.relaxation` is tight.
    """
    linked = servers.neighbours & (servers.work_cycles > 0)[:, None]
    useful = np.max(np.where(linked, servers.usefulness, 0.0), axis=0, initial=0.0)
    work = servers.work_cycles * (1.0 - useful)
    bound = servers.capacitance * work**3 / (servers.deadline_s - servers.ready_s) ** 2
    return float(bound.sum())


def partition(servers: Servers, prices: Prices, stars: dict[int, list[int]]) -> Partition:
    """The answer of a heuristic: certified by `free_help_bound`."""
    helper = np.arange(len(servers))
    for center, recipients in stars.items():
        helper[recipients] = center
    energy = priced(prices, stars, len(servers))
    certificate = Certificate(float(energy.sum()), free_help_bound(servers))
    return Partition(helper, energy, certificate)
