"""Servers drawn at random, as in the digest's comparisons of solvers, and every partition."""

import itertools
from collections.abc import Iterator

import numpy as np

from twin_runtime.solvers.cooperation import Prices, Servers, stars_of


def servers_at_random(
    generator: np.random.Generator, count: int, *, degree: float = 3.5, late_s: float = 0.6
) -> Servers:
    """Work with a heavy tail, data up to `late_s` after the tick."""
    near = np.triu(generator.random((count, count)) < degree / max(count - 1, 1), 1)
    useful = np.triu(generator.uniform(0.4, 0.8, (count, count)), 1)
    return Servers(
        work_cycles=generator.uniform(0.4, 0.8, count) * 1.84e12 / generator.integers(4, 60, count),
        ready_s=generator.uniform(0.02, late_s, count),
        neighbours=near | near.T,
        usefulness=useful + useful.T,
        deadline_s=5.0,
        capacitance=1e-28,
    )


def all_partitions(servers: Servers) -> Iterator[dict[int, list[int]]]:
    """Every partition into stars."""
    links = servers.links()
    choices = [[j, *links[j]] for j in range(len(servers))]
    for helper in itertools.product(*choices):
        if all(helper[i] == i for i in helper):
            yield stars_of(servers, np.array(helper))


def enumerated_j(servers: Servers) -> float:
    """The least energy of all partitions [J]."""
    prices = Prices(servers)
    return min(
        sum(prices.star(center, recipients) for center, recipients in stars.items())
        for stars in all_partitions(servers)
    )
