"""A long quiet time: what processes hold at its end is what they held when it had just begun.

Devices report, twins move and links fail now and then, in virtual time; nobody restarts, so
that nothing is forgotten by accident. After each hour every object that a machine reaches is
counted, and every row of its disk; logs (histories, events) have bounds of their own.
"""

import asyncio
import gc
import sys
from collections.abc import Callable
from dataclasses import replace
from types import FunctionType, ModuleType
from typing import Any

import pytest

from cloud import moves
from tests.simulation import world as world_module
from tests.simulation.disks import MemoryDisks
from tests.simulation.faults import Faults
from tests.simulation.history import History
from tests.simulation.processes import Process
from tests.simulation.world import World
from twin_runtime.core.effects import Machine
from twin_runtime.core.ids import StoreId
from twin_runtime.testing.memory_store import Disk
from twin_runtime.testing.virtual_loop import VirtualLoop

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

HOUR_S = 3600.0
SAMPLE_PERIOD_S = 10.0
KEYS_MAX = 20  # of requests for moves: reached within the first hour
SETTLED_HOURS = 1  # every twin was at every edge by then
BYTES_SPARE = (
    8_192  # an hour has a thousand reports for each edge, so eight bytes of each are found
)
ROWS_SPARE = 8  # twins come and go, and so do reports that are on their way
FAULTS = Faults(
    *(0.01, 0.01),
    fleets=(4, 4),
    edges=3,
    move_per_s=0.02,
    disconnect_per_s=0.002,
    pause_per_s=0.002,
    cut_per_s=0.002,
)
OPAQUE = (type, ModuleType, FunctionType)


def held_bytes(root: object) -> int:
    """What everything takes that is reached from `root`, code left out."""
    seen, waiting = {id(root)}, [root]
    size = 0
    while waiting:
        each = waiting.pop()
        size += sys.getsizeof(each)
        for other in gc.get_referents(each):
            if id(other) not in seen and not isinstance(other, OPAQUE):
                seen.add(id(other))
                waiting.append(other)
    return size


class Watched:
    """The machines and disks of a world, and what they held after each hour."""

    def __init__(self, world: World, disks: dict[str, Disk]) -> None:
        self.hours: list[dict[str, tuple[int, int]]] = []
        self._machines: dict[str, Machine] = {}
        self._disks = disks
        for process in world.processes():
            process.role = replace(process.role, build=self._remembering(process))

    def _remembering(self, process: Process) -> Callable[[StoreId], Machine]:
        build = process.role.build

        def built(store: StoreId) -> Machine:
            machine = self._machines[process.client_id] = build(store)
            return machine

        return built

    async def look(self) -> None:
        while True:
            await asyncio.sleep(HOUR_S)
            self.hours.append({name: self._held(name) for name in self._machines})

    def _held(self, name: str) -> tuple[int, int]:
        return held_bytes(self._machines[name]), len(self._disks[name].rows)


def lived(hours: int) -> list[dict[str, tuple[int, int]]]:
    """So many hours; for each what every process held: bytes of memory, rows on disk."""
    disks = MemoryDisks()

    async def live() -> Any:
        faults = replace(FAULTS, faults_s=(hours + 0.1) * HOUR_S)
        world = World(11, faults, disks, History())
        watched = Watched(world, disks._disks)
        looking = asyncio.create_task(watched.look())
        failure = await world.live()
        looking.cancel()
        assert failure == ""
        return watched.hours

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        found: list[dict[str, tuple[int, int]]] = runner.run(live())
    return found


@pytest.mark.parametrize("hours", [3, pytest.param(24, marks=pytest.mark.nightly)])
def test_g7_a_day_leaves_no_process_larger_than_an_hour(
    hours: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world_module, "SAMPLE_PERIOD_S", SAMPLE_PERIOD_S)
    monkeypatch.setattr(moves, "MOVE_KEYS_MAX", KEYS_MAX)
    found = lived(hours)
    assert len(found) >= hours
    settled, later = found[SETTLED_HOURS - 1], found[SETTLED_HOURS:]
    for name, (size, rows) in settled.items():
        assert max(each[name][0] for each in later) <= size + BYTES_SPARE, (name, found)
        assert max(each[name][1] for each in later) <= rows + ROWS_SPARE, (name, found)
