"""Local search over hosts: move a twin or swap two of them, as long as a value falls.

Each step evaluates all moves and all swaps as one array of stations' loads and takes the
best, so any value of loads can be improved, and the end is a local optimum of both.
"""

from collections.abc import Callable

import numpy as np

from twin_runtime.physics.arguments import Array, Integers

STEPS_MAX = 1000  # each is strictly better; 100 twins need some tens
BETTER_BY = 1e-12  # relative: less is rounding


def improved_hosts(
    host: Integers, weight: Array, stations: int, value: Callable[[Array], Array]
) -> tuple[Integers, float]:
    """A local optimum from `host` `[N]`, with its value.

    Args:
        host: the station of each twin, of one world.
        weight: what each twin adds to a station's load, `[N]`, or `[N, M]` if that depends on
            the station, too; infinite where it may not be hosted.
        stations: M.
        value: of loads `[K, M]`; gives `[K]`.
    """
    host, twin = host.copy(), np.arange(len(host))
    adds = np.broadcast_to(weight.T, (stations, len(host))).T
    load = np.bincount(host, adds[twin, host], minlength=stations).astype(np.float64)
    best = float(value(load[None])[0])
    for _ in range(STEPS_MAX):
        first, second, target = _exchanges(host, stations)
        if not first.size:
            break  # one station has all
        loads = _loads_after(load, host, adds, (first, second, target))
        values = value(loads)
        chosen = int(values.argmin())
        if values[chosen] >= best * (1.0 - BETTER_BY):
            break
        if second[chosen] >= 0:
            host[second[chosen]] = host[first[chosen]]
        host[first[chosen]] = target[chosen]
        load = np.bincount(host, adds[twin, host], minlength=stations).astype(np.float64)
        best = float(values[chosen])
    return host, best


def _exchanges(host: Integers, stations: int) -> tuple[Integers, Integers, Integers]:
    """All moves and swaps between two stations: who, with whom (-1 for a move), to where."""
    twins = len(host)
    mover, goal = np.divmod(np.arange(twins * stations), stations)
    away = host[mover] != goal
    one, other = np.triu_indices(twins, k=1)
    apart = host[one] != host[other]
    first = np.concatenate([mover[away], one[apart]])
    second = np.concatenate([np.full(away.sum(), -1), other[apart]])
    return first, second, np.concatenate([goal[away], host[other[apart]]])


def _loads_after(
    load: Array, host: Integers, adds: Array, exchange: tuple[Integers, Integers, Integers]
) -> Array:
    """Loads `[K, M]` after each exchange: one goes to the target, the other where one was."""
    first, second, target = exchange
    swapped, row, source = second >= 0, np.arange(len(first)), host[first]
    loads = np.repeat(load[None], len(first), axis=0)
    loads[row, source] += np.where(swapped, adds[second, source], 0.0) - adds[first, source]
    loads[row, target] += adds[first, target] - np.where(swapped, adds[second, target], 0.0)
    return loads
