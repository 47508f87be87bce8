"""Good placements in one slot where sets are too many to enumerate: search by moves.

A move is tried twice: in theory, with the shares of now, which costs a few additions, and, if
it is among the most promising, in truth, with the best shares of all edges that it changes.
What an edge is worth with a set of twins is remembered.

Single moves alone get stuck: since Norm is concave, the way from a spread placement to a
packed one leads through worse ones. So a whole edge may be evacuated at once, and the search
begins from a placement packed onto few edges as well as from that of now.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from twin_runtime.physics.arguments import Array, Booleans, Integers
from twin_runtime.physics.relocation import saturation_level, sum_by_edge
from twin_runtime.solvers.association import Placement, Slot, place, worth
from twin_runtime.solvers.association_bounds import gain_bound
from twin_runtime.solvers.association_repair import pack, repair

MOVES_MAX = 200  # of one descent; a move never comes back, and tens suffice
TRIED_MAX = 24  # moves that are tried in truth, of each kind
IMPROVEMENT_MIN = 1e-12  # of a gain: less is rounding
DISRUPTIONS = 16  # placements torn open in one round
TORN_TWINS = 3
TORN_EDGES_MAX = 3
NOTHING_LEFT = 1e-9  # of the budget of an edge that is to stay empty
RESPLIT_TWINS_MAX = 10  # 2^10 ways to share twins between two edges


class SetValues:
    """What edges are worth with sets of twins, in the only world; each is worked out once."""

    def __init__(self, slot: Slot) -> None:
        self.slot = slot
        self._known: dict[tuple[int, bytes], float] = {}

    def totals(self, hosts: Integers) -> Array:
        """The gain of placements `[placements, twins]`; minus infinity where one does not fit."""
        edges = np.arange(self.slot.edges)
        members = hosts[:, None, :] == edges[:, None]
        flat = members.reshape(-1, self.slot.twins)
        values = self.of(np.tile(edges, len(hosts)), flat)
        total: Array = values.reshape(len(hosts), -1).sum(axis=1)
        return total

    def of(self, edge: Integers, members: Booleans) -> Array:
        """J of edges `[rows]` with sets `[rows, twins]`."""
        keys = [(int(which), row.tobytes()) for which, row in zip(edge, members, strict=True)]
        missing = {key: row for row, key in enumerate(keys) if key not in self._known}
        if missing:
            rows = np.fromiter(missing.values(), dtype=np.int64)
            found = worth(self.slot, edge[rows], members[rows])
            self._known.update(zip(missing, found.tolist(), strict=True))
        return np.array([self._known[key] for key in keys])


def search(slot: Slot, host: Integers) -> Placement:
    """The best that moves reach in the only world, from where the twins are and from two packed
    placements. [P3] (23), 6.2.

    Args:
        slot: one world.
        host: `[twins]`, the edge of each so far, -1 of a new one.
    """
    values = SetValues(slot)
    found = [descend(values, start) for start in _starts(slot, host)]
    return _certified(slot, values, found)


def search_widely(
    slot: Slot, host: Integers, generator: np.random.Generator, rounds: int
) -> Placement:
    """As `search`, then `rounds` of tearing the best placement open in many ways, closing each
    greedily and descending from the best. [P3] 6.2, "LNS"."""
    values = SetValues(slot)
    found = [descend(values, start) for start in _starts(slot, host)]
    best = found[int(np.argmax(values.totals(np.stack(found))))]
    for _ in range(rounds):
        torn = np.concatenate([_torn(slot, best, generator), _resplit(values, best)])
        promising = torn[int(np.argmax(values.totals(torn)))]
        best = _better(values, best, descend(values, promising))
    return _certified(slot, values, [best])


def search_packed(slot: Slot) -> Placement:
    """The best that moves reach in the only world from the two packed placements, of twins that
    are nowhere yet: for many twins a small part of what `search` takes."""
    values = SetValues(slot)
    nowhere = np.full(slot.twins, -1)
    found = [descend(values, start) for start in _starts(slot, nowhere)[1:]]
    return _certified(slot, values, found)


def search_plainly(slot: Slot, host: Integers) -> Placement:
    """What the plainest reading of the search gives: from where the twins are alone, relocations
    first, all twins of an edge moved to one other where none helps, and swaps where neither does.
    Of each kind, only the move that promises most with the shares of now is tried. [P3] 6.2."""
    values = SetValues(slot)
    here = _starts(slot, host)[0]
    for _ in range(MOVES_MAX):
        moved = _moved_plainly(values, here)
        if (moved == here).all():
            break
        here = moved
    return _certified(slot, values, [here])


def descend(values: SetValues, host: Integers) -> Integers:
    """The best move, again and again, while one improves; from a placement `[twins]`."""
    best = float(values.totals(host[None])[0])
    for _ in range(MOVES_MAX):
        tried = neighbours(values.slot, host)
        if not len(tried):
            break
        totals = values.totals(tried)
        top = int(np.argmax(totals))
        if not totals[top] > best + IMPROVEMENT_MIN:
            break
        host, best = tried[top], float(totals[top])
    return host


def neighbours(slot: Slot, host: Integers) -> Integers:
    """Promising placements `[some, twins]` one move away: a twin relocated, two swapped, or an
    edge evacuated."""
    energy = _energy_now(slot, host)
    tried = np.concatenate([kind(slot, host, energy) for kind in (_relocated, _swapped, _emptied)])
    changed: Integers = tried[(tried != host).any(axis=1)]
    return changed


def relocations(slot: Slot, host: Integers) -> Integers:
    """Promising placements `[some, twins]` in which one twin is elsewhere, or all twins of an edge
    are on one other."""
    energy = _energy_now(slot, host)
    tried = np.concatenate([_relocated(slot, host, energy), _merged(slot, host, energy)])
    changed: Integers = tried[(tried != host).any(axis=1)]
    return changed


def _moved_plainly(values: SetValues, host: Integers) -> Integers:
    energy = _energy_now(values.slot, host)
    for kind in (_relocated, _merged, _swapped):
        tried = np.concatenate([host[None], kind(values.slot, host, energy)])
        moved = _better(values, host, _most_promised(values.slot, tried, energy))
        if (moved != host).any():
            return moved
    return host


def _most_promised(slot: Slot, tried: Integers, energy: Array) -> Integers:
    """The placement `[twins]` that saturates edges least at these energies of twins on edges."""
    own = energy[np.arange(slot.twins), tried]
    spent = sum_by_edge(values=own, edge=tried, edges=slot.edges)
    best: Integers = tried[_level(slot, spent).sum(axis=1).argmin()]
    return best


def _starts(slot: Slot, host: Integers) -> list[Integers]:
    """Where twins are, made to fit; and packed onto the busiest edges, as few as may suffice."""
    here = host[:, None] == np.arange(slot.edges)
    nearness = -slot.synchronisation[0] / slot.synchronisation.max()
    stay = np.where((host < 0)[:, None], nearness, np.where(here, 1.0, nearness - 1.0))[None]
    stayed = repair(slot, stay.argmax(axis=2), stay)
    busy = np.bincount(stayed[0], slot.training[0].mean(axis=1), minlength=slot.edges)
    order = np.argsort(-busy, kind="stable")
    load = slot.training[0][:, order[:1]].sum()
    least = 1 + int(np.searchsorted(np.cumsum(slot.compute_budget[0, order]), load))
    packed = [_packed(slot, order[:some]) for some in (least, least + 1)]
    return [stayed[0], *packed]


def _packed(slot: Slot, onto: Integers) -> Integers:
    """Best-fit decreasing onto some edges, all others as good as full; mended if it overflows."""
    kept = np.isin(np.arange(slot.edges), onto)
    scores = np.broadcast_to(np.where(kept, 1.0, 0.0), slot.training.shape)
    budget = slot.compute_budget * np.where(kept, 1.0, NOTHING_LEFT)
    narrow = replace(slot, compute_budget=budget)
    mended: Integers = repair(slot, pack(narrow, scores), scores)[0]
    return mended


def _energy_now(slot: Slot, host: Integers) -> Array:
    """Energy of each twin on each edge `[twins, edges]` at the shares of now."""
    share = place(slot, host[None]).share[0]
    energy: Array = slot.fixed[0] + slot.slope[0] * share[:, None]
    return energy


def _spent(slot: Slot, host: Integers, energy: Array) -> Array:
    own = energy[np.arange(slot.twins), host]
    spent = np.zeros(slot.edges)
    np.add.at(spent, host, own)
    return spent


def _relocated(slot: Slot, host: Integers, energy: Array) -> Integers:
    twin = np.arange(slot.twins)
    spent, own = _spent(slot, host, energy), energy[twin, host]
    level = _level(slot, spent)
    released = level[host] - _level(slot, np.maximum(spent[host] - own, 0.0))
    added = _level(slot, spent + energy) - level
    fit = _room(slot, host)[0] >= slot.training[0]
    fit &= _room(slot, host)[1] >= slot.synchronisation[0]
    fit[twin, host] = False
    promise = np.where(fit, released[:, None] - added, -np.inf)
    some = _most_promising(promise)
    tried = np.repeat(host[None], len(some), axis=0)
    tried[np.arange(len(some)), some // slot.edges] = some % slot.edges
    return tried


def _swapped(slot: Slot, host: Integers, energy: Array) -> Integers:
    twin = np.arange(slot.twins)
    spent, own = _spent(slot, host, energy), energy[twin, host]
    level = _level(slot, spent)
    there = np.maximum(spent[host] - own, 0.0) + energy[:, host]  # [comer, who leaves]
    change = _level(slot, there) - level[host]
    fit = np.ones_like(change, dtype=bool)
    rooms = _room(slot, host)
    for load, room in zip((slot.training[0], slot.synchronisation[0]), rooms, strict=True):
        fit &= load[:, host] <= room[host] + load[twin, host]
    both = fit & fit.T & (host[:, None] < host)
    promise = np.where(both, -change - change.T, -np.inf)
    some = _most_promising(promise)
    first, second = some // slot.twins, some % slot.twins
    tried = np.repeat(host[None], len(some), axis=0)
    row = np.arange(len(some))
    tried[row, first], tried[row, second] = host[second], host[first]
    return tried


def _emptied(slot: Slot, host: Integers, energy: Array) -> Integers:
    largest = np.argsort(-slot.new_samples[0], kind="stable")
    emptied = [
        _close(slot, host, largest[host[largest] == edge], energy, (int(edge),))
        for edge in np.unique(host)
    ]
    return np.stack(emptied)


def _merged(slot: Slot, host: Integers, energy: Array) -> Integers:
    """Promising placements `[some, twins]` with all twins of an edge on another one."""
    used, edges = np.unique(host)[:, None, None], np.arange(slot.edges)[:, None]
    tried = np.where(host == used, edges, host).reshape(-1, slot.twins)
    loads = np.stack([slot.training[0], slot.synchronisation[0], energy])
    load, upload, spent = np.einsum("set,bte->bse", tried[:, None] == edges, loads)
    fit = (load <= slot.compute_budget).all(axis=1)
    fit &= (upload <= slot.synchronisation_budget).all(axis=1)
    some = _most_promising(np.where(fit, -_level(slot, spent).sum(axis=1), -np.inf))
    merged: Integers = tried[some]
    return merged


def _most_promising(promise: Array) -> Integers:
    flat = promise.ravel()
    some = np.argsort(-flat, kind="stable")[:TRIED_MAX]
    return some[np.isfinite(flat[some])]


def _level(slot: Slot, energy: Array) -> Array:
    return saturation_level(energy, slot.valuation.scale)


def _room(slot: Slot, host: Integers) -> tuple[Array, Array]:
    """What is left of both budgets `[edges]`."""
    return (
        slot.compute_budget[0] - _spent(slot, host, slot.training[0]),
        slot.synchronisation_budget[0] - _spent(slot, host, slot.synchronisation[0]),
    )


def _close(
    slot: Slot, host: Integers, out: Integers, energy: Array, banned: Sequence[int]
) -> Integers:
    """Twins that are out, in this order, each where it saturates least; not where it is banned.

    Where one fits nowhere, the placement stays as it was.
    """
    placed = host.copy()
    inside = np.isin(np.arange(slot.twins), out, invert=True)
    spent = np.zeros(slot.edges)
    np.add.at(spent, host[inside], energy[np.arange(slot.twins), host][inside])
    room = np.stack([slot.compute_budget[0], slot.synchronisation_budget[0]])
    loads = np.stack([slot.training[0], slot.synchronisation[0]])
    for twin in np.flatnonzero(inside):
        room[:, host[twin]] -= loads[:, twin, host[twin]]
    room[:, list(banned)] = -1.0
    for twin in out:
        fit = (loads[:, twin] <= room).all(axis=0)
        if not fit.any():
            return host
        added = _level(slot, spent + energy[twin]) - _level(slot, spent)
        edge = int(np.where(fit, added, np.inf).argmin())
        placed[twin] = edge
        spent[edge] += energy[twin, edge]
        room[:, edge] -= loads[:, twin, edge]
    return placed


def _torn(slot: Slot, host: Integers, generator: np.random.Generator) -> Integers:
    """Placements with a few edges, or a few twins, torn out and put back in any order."""
    energy = _energy_now(slot, host)
    used = np.unique(host)
    closed = [host]
    for _ in range(DISRUPTIONS):
        shuffled = generator.permutation(slot.twins)
        torn = generator.permutation(used)[: int(generator.integers(TORN_EDGES_MAX + 1))]
        out = shuffled[np.isin(host[shuffled], torn)] if torn.size else shuffled[:TORN_TWINS]
        banned = tuple(torn[: int(generator.integers(len(torn) + 1))].tolist())
        closed.append(_close(slot, host, out, energy, banned))
    return np.stack(closed)


def _resplit(values: SetValues, host: Integers) -> Integers:
    """The twins of each pair of edges shared out between them in the best of all ways."""
    slot, best = values.slot, [host]
    for first in range(slot.edges):
        for second in range(first):
            twins = np.flatnonzero((host == first) | (host == second))
            if 0 < len(twins) <= RESPLIT_TWINS_MAX:
                best.append(_split_between(values, host, twins, (first, second)))
    return np.stack(best)


def _split_between(
    values: SetValues, host: Integers, twins: Integers, pair: tuple[int, int]
) -> Integers:
    ways = (np.arange(2 ** len(twins))[:, None] >> np.arange(len(twins))) & 1 > 0
    members = np.zeros((2, len(ways), len(host)), dtype=bool)
    members[0][:, twins], members[1][:, twins] = ways, ~ways
    edge = np.full(len(ways), pair[0]), np.full(len(ways), pair[1])
    total = values.of(edge[0], members[0]) + values.of(edge[1], members[1])
    way = ways[int(np.argmax(total))]
    split = host.copy()
    split[twins] = np.where(way, pair[0], pair[1])
    return split


def _better(values: SetValues, first: Integers, second: Integers) -> Integers:
    totals = values.totals(np.stack([first, second]))
    return second if totals[1] > totals[0] + IMPROVEMENT_MIN else first


def _certified(slot: Slot, values: SetValues, found: list[Integers]) -> Placement:
    best = found[int(np.argmax(values.totals(np.stack(found))))]
    placed = place(slot, best[None])
    return Placement(placed.edge, placed.share, placed.value, gain_bound(slot))
