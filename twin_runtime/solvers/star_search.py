"""Good partitions into stars, quickly: greedy by marginal saving, then local search.

The search walks over partitions as dictionaries of sets: a star is its center and its
recipients, a server alone is a center without any. A move takes a server out of its star and
puts it into another; its worth is the difference of two stars' energies before and after.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Final

import numpy as np

from twin_runtime.physics.arguments import Booleans
from twin_runtime.solvers.cooperation import Partition, Prices, Servers, partition

Move = Callable[["Search", int], "Search"]

GAIN_MIN: Final = 1e-9  # relative: a smaller improvement is rounding
SWEEPS_MAX: Final = 100  # over all servers; each improves, and a handful is enough


class Search:
    """A partition that moves: stars by their center, and the center of each server."""

    def __init__(self, prices: Prices, stars: Mapping[int, Collection[int]]) -> None:
        self.prices = prices
        self.center = list(range(len(prices.work)))
        self.stars: dict[int, set[int]] = {}
        self.energy: dict[int, float] = {}
        self.place(stars)

    def total(self) -> float:
        return sum(self.energy.values())

    def copy(self) -> "Search":
        other = Search.__new__(Search)
        other.prices, other.center = self.prices, list(self.center)
        other.stars = {i: set(members) for i, members in self.stars.items()}
        other.energy = dict(self.energy)
        return other

    def place(self, stars: Mapping[int, Collection[int]]) -> None:
        """Add stars of servers that are in none."""
        for center, recipients in stars.items():
            self.stars[center] = set(recipients)
            self.energy[center] = self.prices.star(center, recipients)
            for j in (center, *recipients):
                self.center[j] = center

    def dissolve(self, near: Collection[int]) -> set[int]:
        """Take out the whole stars of `near`, and say who was in them."""
        centers = {self.center[j] for j in near}
        freed = centers.union(*(self.stars[center] for center in centers))
        for center in centers:
            del self.stars[center], self.energy[center]
        return freed

    def joined(self, j: int, i: int) -> float:
        """What star `i` costs more with `j` in it."""
        return self.prices.star(i, [*self.stars[i], j]) - self.energy[i]

    def saved(self, j: int, i: int) -> float:
        """What it saves that `j`, alone, comes into star `i`."""
        return self.prices.alone[j] - self.joined(j, i)

    def leave(self, j: int) -> float:
        """Take recipient `j` out of its star, or a server alone out of its own; what it saves."""
        i = self.center[j]
        before = self.energy[i]
        if i == j:
            del self.stars[j], self.energy[j]
            return before
        self.stars[i].remove(j)
        self.energy[i] = self.prices.star(i, self.stars[i])
        return before - self.energy[i]

    def join(self, j: int, i: int) -> None:
        """Put `j`, which has left, into star `i`, or alone if `i` is `j`."""
        self.center[j] = i
        self.stars.setdefault(i, set())
        if i != j:
            self.stars[i].add(j)
        self.energy[i] = self.prices.star(i, self.stars[i])

    def settle(self, j: int, allowed: list[int]) -> bool:
        """Move `j` (no helper) to where it costs least: one of `allowed` stars, or alone."""
        before = self.center[j]
        saved = self.leave(j)
        best, least = j, self.prices.alone[j]
        for i in allowed:
            cost = self.joined(j, i)
            if cost < least:
                best, least = i, cost
        better = best != before and saved - least > GAIN_MIN * abs(saved)
        self.join(j, best if better else before)
        return better


def greedy_marginal(servers: Servers) -> Partition:
    """Open the star that saves most, of servers that are in none, until none saves. [P5] 6.3."""
    prices = Prices(servers)
    return partition(servers, prices, _greedy(prices, set(range(len(servers)))))


def greedy_disjoint(servers: Servers) -> Partition:
    """Open stars in the order of what they would save were everybody free. [P5] 6.3.

    A star that has lost a member to an earlier one is not opened, nor computed anew.
    """
    prices = Prices(servers)
    stars: dict[int, list[int]] = {i: [] for i in range(len(servers))}
    offers = [(*best_saving(prices, i, linked), i) for i, linked in enumerate(prices.links)]
    free = set(stars)
    for saving, recipients, center in sorted(offers, key=lambda offer: -offer[0]):
        members = {center, *recipients}
        if saving > 0.0 and members <= free:
            stars[center] = recipients
            free -= members
    taken = {j for recipients in stars.values() for j in recipients}
    return partition(servers, prices, {i: stars[i] for i in stars if i not in taken})


def greedy_pairs(servers: Servers) -> Partition:
    """Put the server into the star where that saves most, until nothing saves.

    One recipient at a time, so a star of one recipient may still be opened next to a large one
    that could have had it. A server that helps, or is helped, is not moved again.
    """
    search = Search(Prices(servers), {i: [] for i in range(len(servers))})
    links = search.prices.links
    saving = {(i, j): search.saved(j, i) for i, linked in enumerate(links) for j in linked}
    while saving:
        i, j = max(saving, key=saving.__getitem__)
        if saving[i, j] <= 0.0:
            break
        search.leave(j)
        search.join(j, i)
        # i never joins a star again and j is in one: what is left are recipients of i
        for other in {pair for pair in saving if i == pair[1] or j in pair}:
            del saving[other]
        for k in links[i]:
            if (i, k) in saving:
                saving[i, k] = search.saved(k, i)
    return partition(servers, search.prices, _sorted(search))


def local_search(servers: Servers) -> Partition:
    """Improve greedy's partition until no move of one server or one helper does. [P5] 6.3.

    Moves: a server joins another star or goes alone; a server becomes a helper and draws
    neighbours to it; a helper closes, and its star finds other places. Where none of these
    improves, all stars around a server are dissolved and built anew with it as a helper.
    """
    prices = Prices(servers)
    search = Search(prices, _greedy(prices, set(range(len(servers)))))
    for _ in range(SWEEPS_MAX):
        moved = _sweep(search)
        search, changed = _improved(search, (_opened, _closed))
        if not (moved or changed):
            search, changed = _improved(search, (_rebuilt,))
        if not (moved or changed):
            break
    return partition(servers, prices, _sorted(search))


def best_response(servers: Servers, helps: Booleans) -> Partition:
    """Recipients in turn choose the best of their helpers `helps` `[n]`, or none, until nobody
    would change. [P5] 6.4.
    """
    prices = Prices(servers)
    search = Search(prices, {i: [] for i in range(len(servers))})
    helpers = set(np.flatnonzero(helps).tolist())
    recipients = [j for j in range(len(servers)) if j not in helpers]
    for _ in range(SWEEPS_MAX):
        moves = [search.settle(j, [i for i in prices.links[j] if i in helpers]) for j in recipients]
        if not any(moves):
            break
    return partition(servers, prices, _sorted(search))


def best_saving(prices: Prices, helper: int, candidates: list[int]) -> tuple[float, list[int]]:
    """What a helper's star saves at best, and its recipients among `candidates`.

    They are taken in order of what they cost alone, each that makes the saving larger.
    """
    chosen: list[int] = []
    saving = 0.0
    alone = prices.alone[helper]
    for j in sorted(candidates, key=prices.alone.__getitem__, reverse=True):
        alone_with = alone + prices.alone[j]
        larger = alone_with - prices.star(helper, [*chosen, j])
        if larger > saving:
            chosen, saving, alone = [*chosen, j], larger, alone_with
    return saving, chosen


def local_maxima(servers: Servers) -> Booleans:
    """Who becomes a helper by the local-max protocol. [P5] 6.4.

    Each server tells its neighbours what its best star would save; who would save more than
    all of them helps. It needs one message a neighbour, and no learning.
    """
    prices = Prices(servers)
    savings = [best_saving(prices, i, linked)[0] for i, linked in enumerate(prices.links)]
    helps = [
        saving > 0.0 and all(saving > savings[j] for j in linked)
        for saving, linked in zip(savings, prices.links, strict=True)
    ]
    return np.array(helps)


def _greedy(prices: Prices, servers: set[int]) -> dict[int, list[int]]:
    """Stars of `servers` only, the one that saves most first; the rest stay alone."""
    free = set(servers)
    stars: dict[int, list[int]] = {i: [] for i in free}
    best = {i: best_saving(prices, i, [j for j in prices.links[i] if j in free]) for i in free}
    while best:
        center = max(best, key=lambda i: best[i][0])
        saving, recipients = best[center]
        if saving <= 0.0:
            break
        stars[center] = recipients
        for j in recipients:
            del stars[j]
        taken = {center, *recipients}
        free -= taken
        for j in taken:
            del best[j]
        for i in {i for j in taken for i in prices.links[j] if i in free}:
            best[i] = best_saving(prices, i, [j for j in prices.links[i] if j in free])
    return stars


def _sweep(search: Search) -> bool:
    """Let each server that helps nobody find its best place; whether any has moved."""
    moved = False
    for j, linked in enumerate(search.prices.links):
        if search.stars.get(j):
            continue
        moved |= search.settle(j, [i for i in linked if i in search.stars])
    return moved


def _improved(search: Search, moves: tuple[Move, ...]) -> tuple[Search, bool]:
    """Try each move at each server once, keeping what improves; whether anything has."""
    changed = False
    for i in range(len(search.center)):
        if not search.prices.links[i]:
            continue
        for move in moves:
            attempt = move(search, i)
            if attempt.total() < search.total() * (1.0 - GAIN_MIN):
                search, changed = attempt, True
    return search, changed


def _opened(search: Search, i: int) -> Search:
    """The partition with `i` a helper of those neighbours who save by coming."""
    trial = search.copy()
    if trial.center[i] != i:
        trial.leave(i)
        trial.join(i, i)
    prices = search.prices
    for j in sorted(prices.links[i], key=prices.alone.__getitem__, reverse=True):
        if trial.center[j] != i and not trial.stars.get(j):
            trial.settle(j, [k for k in (trial.center[j], i) if k != j])
    return trial


def _closed(search: Search, i: int) -> Search:
    """The partition with the star of `i` dissolved: each member finds another place, then `i`."""
    trial = search.copy()
    links = search.prices.links
    for j in sorted(search.stars.get(i, ()), key=search.prices.alone.__getitem__, reverse=True):
        trial.leave(j)
        trial.join(j, j)
        trial.settle(j, [k for k in links[j] if k in trial.stars and k != i])
    if trial.center[i] == i and not trial.stars[i]:
        trial.settle(i, [k for k in links[i] if k in trial.stars])
    return trial


def _rebuilt(search: Search, i: int) -> Search:
    """The partition with all stars around `i` dissolved and built anew, its own best one first."""
    trial, prices = search.copy(), search.prices
    freed = trial.dissolve([i, *prices.links[i]])
    _, recipients = best_saving(prices, i, [j for j in prices.links[i] if j in freed])
    trial.place({i: recipients})
    trial.place(_greedy(prices, freed - {i, *recipients}))
    for j in sorted(freed):
        if not trial.stars.get(j):
            trial.settle(j, [k for k in prices.links[j] if k in trial.stars])
    return trial


def _sorted(search: Search) -> dict[int, list[int]]:
    return {i: sorted(members) for i, members in search.stars.items()}
