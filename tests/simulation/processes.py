"""A process as the simulation runs it: a production machine in the production shell, on
ports that are watched and can be cut off at any instant.

A crash is a power cut. The ports are declared dead first, so that nothing is stored or
sent any more, then the task is cancelled, the store closed without a commit, and all that
was volatile is gone. A start builds the machine from its rows.
"""

import asyncio
from collections.abc import (
    AsyncGenerator,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Protocol

from tests.simulation.faults import Faults
from twin_runtime.adapters.blob_files import BlobFiles
from twin_runtime.adapters.blob_transport import BlobTransport
from twin_runtime.adapters.sqlite_store import LogBound
from twin_runtime.core.effects import (
    Act,
    Acted,
    Asked,
    Effects,
    Event,
    Machine,
    Note,
    Now,
    Row,
    Send,
    Write,
)
from twin_runtime.core.ids import StoreId
from twin_runtime.ports import LogEntry, Ports, Store
from twin_runtime.shell import Inbox, run
from twin_runtime.testing.faulty_store import FaultyStore, StoreFaults
from twin_runtime.testing.memory_bus import MemoryBroker, MemoryBus

COMMITS_BEFORE_A_FAILURE_MAX = 60
HISTORY_BOUND = LogBound(rows_max=10_000, bytes_max=4_000_000)

# Opens the store on the disk of that name, which is empty at first.
Disks = Callable[[str, Mapping[str, LogBound], Callable[[], str]], Store]
Sampler = Callable[[Inbox], Coroutine[Any, Any, None]]


class Witness(Protocol):
    """What the simulation wants to know of each process. All of it happens at once."""

    def heard(self, process: "Process", events: Sequence[Event]) -> None: ...
    def committed(self, process: "Process", writes: Sequence[Write]) -> None: ...
    def sent(self, process: "Process", send: Send) -> None: ...
    def reached(self, process: "Process") -> None: ...
    def obeyed(self, process: "Process", act: Act) -> None: ...
    def ended(self, process: "Process", error: BaseException) -> None: ...


@dataclass(frozen=True, slots=True)
class Role:
    """What a process runs, hears and measures."""

    build: Callable[[StoreId], Machine]
    filters: Sequence[str]
    logs: Mapping[str, LogBound] = field(default_factory=dict)
    twins: Sequence[str] = ()
    sampler: Sampler | None = None
    blobs: Path | None = None  # where it keeps them, if it does


class Wall:
    """A wall clock that may be wrong, and a monotonic one that began when it liked."""

    def __init__(self, started_ms: int) -> None:
        self.offset_ms = started_ms
        self.began_s = 0.0
        self._time_s = asyncio.get_running_loop().time

    def now(self) -> Now:
        elapsed_s = self._time_s()
        return Now(self.began_s + elapsed_s, self.offset_ms + round(elapsed_s * 1000))


class Process:
    """`start` and `crash` it; `pause` and `resume` what it lets the world know."""

    def __init__(
        self,
        name: str,
        role: Role,
        disks: Disks,
        broker: MemoryBroker,
        faults: Faults,
        rng: Random,
        witness: Witness,
    ) -> None:
        self.name = name
        self.role = role
        self.wall = Wall(0)
        self.fx = Effects()
        self.alive = False
        self.disks = 0
        self.store_id = StoreId("")
        self.faults = faults
        self.first_failure: StoreFaults | None = None  # of its first life, if not a drawn one
        self._disks = disks
        self._broker = broker
        self._rng = rng
        self._witness = witness
        self._inbox = Inbox()
        self._running = asyncio.Event()
        self._running.set()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def client_id(self) -> str:
        return f"{self.name}.{self.disks}"

    def start(self) -> None:
        assert not self.alive, f"{self.name} runs already"
        self.alive = True
        self.wall.began_s = self._rng.uniform(0, 1e5)
        inner = self._disks(self.client_id, self.role.logs, self._new_id)
        self.store_id = inner.store_id
        drawn = self._next_failure()
        self.store = FaultyStore(_WatchedStore(inner, self), self.first_failure or drawn)
        self.first_failure = None
        self._bus = bus = MemoryBus(
            self._broker, client_id=self.client_id, filters=self.role.filters
        )
        machine = self.role.build(self.store_id)
        ports = Ports(_WatchedBus(bus, self), self.store, self.wall, _Silent(), act=self._act)
        self._inbox = inbox = Inbox()
        if self.role.blobs is not None:
            self._keep_blobs(self.role.blobs, machine, ports)
        self._begin(run(_WatchedMachine(machine, self), ports, inbox, self._commit), "shell")
        if self.role.sampler is not None:
            self._begin(self.role.sampler(inbox), "sampler")

    def _keep_blobs(self, folder: Path, machine: Any, ports: Ports) -> None:
        self.files = BlobFiles(folder / self.client_id)
        transport = BlobTransport(
            *(ports.bus, self.name, self.files),
            tell=self._inbox.push,
            wanted=machine.wants_blob,
            recorder=ports.recorder,
            offload=self._write_blob,
        )
        ports.bus, ports.fetch = transport, transport.fetch
        self._begin(transport.run(), "blobs")

    async def _write_blob(self, work: Callable[[], None]) -> None:
        await self.gate()
        if not self.alive:
            await asyncio.get_running_loop().create_future()  # it is being cancelled
        work()

    def ask(self, asked: Asked) -> None:
        """Somebody asks for something; nobody waits for the answer."""
        self._inbox.push([asked])

    def say(self, send: Send) -> None:
        """Send something that the machine does not know of."""
        if self.alive and self._bus.connected and not self.paused:
            self.sent(send)
            self._broker.publish(self._bus, [send])

    def _act(self, act: Act) -> None:
        if self.alive:
            self._witness.obeyed(self, act)
            self._inbox.push([Acted(act.twin, act.path, act.number, "done")])

    def crash(self) -> None:
        """Cut the power."""
        self.alive = False
        self._broker.kill(self.client_id)
        for task in self._tasks:
            task.cancel()
        self._tasks = []
        self.resume()
        self.store.close()

    def lose_disk(self) -> None:
        """The next start finds an empty one."""
        assert not self.alive, f"{self.name} runs on it"
        self.disks += 1

    @property
    def paused(self) -> bool:
        return not self._running.is_set()

    def pause(self) -> None:
        self._running.clear()

    def resume(self) -> None:
        self._running.set()

    async def gate(self) -> None:
        """Pass unless the process is paused."""
        await self._running.wait()

    def _new_id(self) -> str:
        return f"{self._rng.getrandbits(64):016x}"

    def _begin(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=f"{self.name}/{name}")
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._witness.ended(self, error)

    def _next_failure(self) -> StoreFaults:
        if self._rng.random() >= self.faults.commit_failure:
            return StoreFaults()
        n = self._rng.randint(1, COMMITS_BEFORE_A_FAILURE_MAX)
        return StoreFaults(fail_before=n) if self._rng.random() < 0.5 else StoreFaults(fail_after=n)

    async def _commit(self, work: Callable[[], None]) -> None:
        """Commit after a while, and know it after another: a crash fits in between."""
        await asyncio.sleep(self._rng.expovariate(1.0 / self.faults.commit_mean_s))
        await self.gate()
        work()
        await asyncio.sleep(self._rng.expovariate(1.0 / self.faults.commit_mean_s))
        await self.gate()

    # --- what the watched ports say -------------------------------------------------------

    def heard(self, events: Sequence[Event]) -> None:
        self._witness.heard(self, events)

    def committed(self, writes: Sequence[Write]) -> None:
        self._witness.committed(self, writes)

    def sent(self, send: Send) -> None:
        self._witness.sent(self, send)

    def reached(self) -> None:
        """A point between two things that others can see: here it may crash."""
        if self.alive:
            self._witness.reached(self)


class _WatchedMachine:
    """The production machine; `process.fx` is what it decided last."""

    def __init__(self, machine: Machine, process: Process) -> None:
        self._machine = machine
        self._process = process

    def restore(self, rows: Iterable[Row], now: Now) -> Effects:
        self._process.fx = self._machine.restore(rows, now)
        return self._process.fx

    def handle(self, events: Sequence[Event], now: Now) -> Effects:
        self._process.heard(events)
        self._process.fx = self._machine.handle(events, now)
        return self._process.fx


class _WatchedStore:
    """The real store: what is told here took effect, whatever the process was told."""

    def __init__(self, store: Store, process: Process) -> None:
        self._store = store
        self._process = process

    @property
    def store_id(self) -> StoreId:
        return self._store.store_id

    def load(self) -> Iterator[Row]:
        return self._store.load()

    def commit(self, writes: Sequence[Write]) -> None:
        self._process.reached()
        if self._process.alive:
            self._store.commit(writes)
            self._process.committed(writes)
            self._process.reached()

    def scan(self, log: str, key: str, after: int = -1, limit: int = 1000) -> list[LogEntry]:
        return self._store.scan(log, key, after, limit)

    def close(self) -> None:
        self._store.close()


class _WatchedBus:
    def __init__(self, bus: MemoryBus, process: Process) -> None:
        self._bus = bus
        self._process = process

    async def publish(self, sends: Sequence[Send]) -> None:
        """Message by message: a pause or a crash may come between any two."""
        for send in sends:
            await self._process.gate()
            if self._process.alive:
                self._process.sent(send)
                await self._bus.publish([send])
                self._process.reached()

    async def messages(self) -> AsyncGenerator[list[Event], None]:
        async with aclosing(self._bus.messages()) as messages:
            async for events in messages:
                await self._process.gate()
                yield events


class _Silent:
    def record(
        self,
        counts: Mapping[tuple[str, str], int],
        observed: Sequence[tuple[str, float]],
        notes: Sequence[Note],
    ) -> None:
        pass
