"""A crash at every point of one history: before and after each commit and each message.

The history is short and has everything in it: first contact, reports, a move, an edge that is
called lost. Between any two things that a process lets the world know there is a point; the
run is repeated with a crash at each of them, and at pairs of them. In the same way each commit
of each process fails, before or after it took effect, until there is none left to fail.
"""

import asyncio
from collections.abc import Collection
from functools import partial
from itertools import count
from random import Random
from typing import NamedTuple

import pytest

from tests.simulation.disks import MemoryDisks
from tests.simulation.faults import Faults
from tests.simulation.history import History
from tests.simulation.world import World
from twin_runtime.core.effects import Move, Request, SetEdge
from twin_runtime.testing.faulty_store import StoreFaults
from twin_runtime.testing.virtual_loop import VirtualLoop

SEED = 1
FAULTS = Faults(fleets=(1,), edges=2, faults_s=5.0)
SCRIPT: tuple[tuple[float, Request], ...] = (
    (2.0, Move("d-0", "e-1", "k-1")),
    (3.5, SetEdge("e-1", "lost")),
)
PAIRS = 200
PROCESSES = ("cloud", "e-0", "e-1", "fleet-0")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


class Told(NamedTuple):
    """How a run went: what was violated, or ''; how many points it had; what happened."""

    failure: str
    points: int
    digest: str
    epoch: int


async def ask_all(world: World) -> None:
    """Ask as the script says, thrice, since the cloud may be down."""
    loop = asyncio.get_running_loop()
    for at_s, request in SCRIPT:
        for again_s in (0.0, 0.5, 1.0):
            loop.call_at(at_s + again_s, world.ask, request)


def run(
    crash_at: Collection[int] = (), failing: str = "", failure: StoreFaults | None = None
) -> Told:
    """The history, with a crash at these points, or a failing commit of one process."""
    history = History()

    async def live() -> Told:
        world = World(SEED, FAULTS, MemoryDisks(), history)
        world.strike = partial(ask_all, world)
        world.crash_at = crash_at
        for process in world.processes():
            if process.name == failing:
                process.first_failure = failure
        broken = await world.live()
        epoch = world.checkers.placements.get("d-0", {"epoch": 0})["epoch"]
        return Told(broken, world.points, history.digest, epoch)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(live())


@pytest.fixture(scope="module")
def points() -> range:
    return range(1, run().points + 1)


def test_the_history_has_a_first_contact_a_move_and_a_failover(points: range) -> None:
    told = run()
    assert (told.failure, told.epoch) == ("", 3)
    assert len(points) > 120


def test_g1_g5_a_crash_at_any_point_breaks_no_promise(points: range) -> None:
    failures = {point: run({point}).failure for point in points}
    assert {point: failure for point, failure in failures.items() if failure} == {}


def test_g1_g5_two_crashes_at_any_points_break_no_promise(points: range) -> None:
    rng = Random(SEED)
    pairs = [frozenset(rng.sample(points, 2)) for _ in range(PAIRS)]
    failures = {tuple(sorted(pair)): run(pair).failure for pair in pairs}
    assert {pair: failure for pair, failure in failures.items() if failure} == {}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("process", PROCESSES)
def test_g8_a_commit_that_fails_breaks_no_promise_whichever_it_is(process: str, when: str) -> None:
    unharmed = run().digest
    for n in count(1):
        failure = StoreFaults(fail_before=n) if when == "before" else StoreFaults(fail_after=n)
        told = run(failing=process, failure=failure)
        assert told.failure == "", f"commit {n} of {process} fails {when} it takes effect"
        if told.digest == unharmed:
            break
    assert n > 3
