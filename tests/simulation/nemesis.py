"""Whoever makes things go wrong, at random times and as often as the faults say.

Each action may hit any process, one that is in trouble already included. What lasts (a
cut, a clog, a pause, an outage, a full disk) is undone after a drawn while; links are cut
and healed one by one, in random order.
"""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Protocol, get_args

from tests.simulation.blobs import NAMES
from tests.simulation.faults import Faults
from tests.simulation.processes import Process
from twin_runtime.core.effects import EdgeState, Move, Request, SetEdge
from twin_runtime.testing.memory_bus import MemoryBroker

EDGE_STATES: tuple[EdgeState, ...] = get_args(EdgeState)
FREEZE_MEAN_S = 30.0
CLOCK_JUMP_YEARS_MAX = 10
YEAR_MS = 365 * 24 * 3600 * 1000


class Victims(Protocol):
    """What the nemesis may touch."""

    broker: MemoryBroker

    def processes(self) -> list[Process]: ...
    def edges(self) -> list[Process]: ...
    def fleets(self) -> list[Process]: ...
    def did(self, node: str, what: str) -> None: ...
    def crash(self, process: Process) -> None: ...
    def lose_disk(self, process: Process) -> None: ...
    def usurp(self, process: Process) -> None: ...
    def twins(self) -> list[str]: ...
    def attach(self, twin: str, name: str, rng: Random) -> None: ...
    def ask(self, request: Request) -> None: ...
    def command(self, edge: Process, twin: str) -> None: ...


class Nemesis:
    """Strikes `victims` until it is cancelled."""

    def __init__(self, victims: Victims, faults: Faults, rng: Random) -> None:
        self._victims = victims
        self._broker = victims.broker
        self._faults = faults
        self._rng = rng
        self._asked = 0
        self._last = Move("", "")

    async def strike(self) -> None:
        faults = self._faults
        kinds: list[tuple[float, Callable[[], None]]] = [
            (faults.crash_per_s, self._crash),
            (faults.cut_per_s, self._cut),
            (faults.clog_per_s, self._clog),
            (faults.disconnect_per_s, self._disconnect),
            (faults.broker_failure_per_s, self._fail_broker),
            (faults.pause_per_s, self._pause),
            (faults.full_disk_per_s, self._fill_disk),
            (faults.clock_jump_per_s, self._jump_clock),
            (faults.edge_disk_loss_per_s, self._lose_edge_disk),
            (faults.device_disk_loss_per_s, self._lose_device_disk),
            (faults.usurper_per_s, self._usurp),
            (faults.move_per_s, self._move),
            (faults.operator_per_s, self._set_edge),
            (faults.freeze_per_s, self._freeze),
            (faults.blob_per_s, self._attach),
            (faults.command_per_s, self._command),
        ]
        rates = [rate for rate, _ in kinds]
        while sum(rates) > 0:
            await asyncio.sleep(self._rng.expovariate(sum(rates)))
            [(_, act)] = self._rng.choices(kinds, rates)
            act()

    def _attach(self) -> None:
        twin = self._rng.choice(self._victims.twins())
        self._victims.attach(twin, self._rng.choice(NAMES), self._rng)

    def _command(self) -> None:
        twin = self._rng.choice(self._victims.twins())
        self._victims.command(self._rng.choice(self._victims.edges()), twin)

    def _any(self) -> Process:
        return self._rng.choice(self._victims.processes())

    def _later(self, undo: Callable[[], None]) -> None:
        delay_s = self._rng.expovariate(1.0 / self._faults.trouble_mean_s)
        asyncio.get_running_loop().call_later(delay_s, undo)

    def _crash(self) -> None:
        self._victims.crash(self._any())

    def _cut(self) -> None:
        victim = self._any().client_id
        direction = self._rng.choice(("up", "down"))
        self._victims.did(victim, f"cut {direction}")
        self._broker.cut(victim, "up" if direction == "up" else "down")
        self._later(self._broker.heal)

    def _clog(self) -> None:
        victim = self._any().client_id
        self._victims.did(victim, "clogged")
        self._broker.clog(victim, self._rng.expovariate(1.0 / self._faults.trouble_mean_s))

    def _disconnect(self) -> None:
        victim = self._any().client_id
        self._victims.did(victim, "disconnected")
        self._broker.disconnect(victim)

    def _fail_broker(self) -> None:
        self._victims.did("broker", "fails")
        self._broker.fail()
        self._later(self._broker.recover)

    def _pause(self) -> None:
        victim = self._any()
        self._victims.did(victim.client_id, "paused")
        victim.pause()
        self._later(victim.resume)

    def _fill_disk(self) -> None:
        victim = self._any()
        if victim.alive:
            self._victims.did(victim.client_id, "disk full")
            victim.store.fill()
            self._later(victim.store.free)

    def _jump_clock(self) -> None:
        victim = self._any()
        jump_ms = self._rng.randint(-CLOCK_JUMP_YEARS_MAX * YEAR_MS, CLOCK_JUMP_YEARS_MAX * YEAR_MS)
        self._victims.did(victim.client_id, f"clock {jump_ms:+d} ms")
        victim.wall.offset_ms += jump_ms

    def _lose_edge_disk(self) -> None:
        self._victims.lose_disk(self._rng.choice(self._victims.edges()))

    def _lose_device_disk(self) -> None:
        self._victims.lose_disk(self._rng.choice(self._victims.fleets()))

    def _usurp(self) -> None:
        self._victims.usurp(self._rng.choice(self._victims.edges()))

    def _move(self) -> None:
        """Ask for a move, or once more for the last one, as one does who heard no answer."""
        if self._asked == 0 or self._rng.random() < 0.8:
            self._asked += 1
            twin = self._rng.choice(self._victims.twins())
            target = self._rng.choice(self._victims.edges()).name
            self._last = Move(twin, target, f"k-{self._asked}")
        self._victims.ask(self._last)

    def _set_edge(self) -> None:
        edge = self._rng.choice(self._victims.edges()).name
        self._victims.ask(SetEdge(edge, self._rng.choice(EDGE_STATES)))

    def _freeze(self) -> None:
        """Stop a process, as SIGSTOP does: when it wakes its connection is long gone."""
        victim = self._any()
        self._victims.did(victim.client_id, "frozen")
        victim.pause()
        self._broker.cut(victim.client_id, "down")

        def wake() -> None:
            if victim.paused:  # and not healed meanwhile
                self._broker.disconnect(victim.client_id)
                self._broker.heal()
                victim.resume()

        delay_s = self._rng.expovariate(1.0 / FREEZE_MEAN_S)
        asyncio.get_running_loop().call_later(delay_s, wake)
