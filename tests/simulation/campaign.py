"""Many seeds, shared by some processes."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from tests.simulation.world import Outcome, simulate

SEEDS_PER_TASK = 20


def failures(seeds: Sequence[int], jobs: int) -> Iterator[Outcome | None]:
    """For each seed in order the run that broke a promise, or None."""
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        yield from pool.map(_failure, seeds, chunksize=SEEDS_PER_TASK)


def _failure(seed: int) -> Outcome | None:
    outcome = simulate(seed)
    return outcome if outcome.failure else None
