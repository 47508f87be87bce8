"""One seed, one history: a cloud, some edges, some device processes, and a broker.

A run has two phases. First the nemesis strikes for `faults_s` while devices measure;
checkers look at every step. Then everything is healed and started, the devices measure
for a little longer, and within `CONVERGENCE_S_MAX` the system must have become what it
promises to become. All of it in virtual time, in one thread, from one number.
"""

import asyncio
import subprocess
from collections.abc import Callable, Container, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from tests.simulation import roles
from tests.simulation.blobs import REMOVED, damaged, has, put, some_content
from tests.simulation.checkers import Checkers
from tests.simulation.commands import Commands
from tests.simulation.disks import MemoryDisks
from tests.simulation.faults import Faults, draw
from tests.simulation.history import Happening, History, shown
from tests.simulation.lineage import Violation
from tests.simulation.nemesis import Nemesis
from tests.simulation.processes import Disks, Process, Role
from twin_runtime.core import messages, topics
from twin_runtime.core.effects import (
    Act,
    Asked,
    Attach,
    Event,
    Message,
    Request,
    Sample,
    Send,
    SetEdge,
    Write,
)
from twin_runtime.core.ids import CLOUD
from twin_runtime.core.messages import BlobRef
from twin_runtime.shell import Inbox
from twin_runtime.testing import memory_bus
from twin_runtime.testing.faulty_store import StoreFaults
from twin_runtime.testing.memory_bus import MemoryBroker
from twin_runtime.testing.virtual_loop import VirtualLoop

MEASURED_AFTER_S = 5.0
SAMPLE_PERIOD_S = 0.7  # of each device, on average
# Heartbeats come every 30 s, checkpoints are repeated after up to 60 s, orders after 30 s:
# what was missed is said again within this, twice over.
CONVERGENCE_S_MAX = 200.0
DOWN_MEAN_S = 1.0
MEMORY = Path("/dev/shm")
HERE = Path(__file__).parent
STARTED_MS = 1_750_000_000_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: `failure` is empty when every promise was kept."""

    seed: int
    faults: Faults
    failure: str
    digest: str
    last: Sequence[Happening]

    def report(self) -> str:
        last = "\n".join(map(str, self.last))
        which = f"seed {self.seed} at {_commit()}"
        return f"{last}\n{which}\n{self.faults}\n{self.failure or 'every promise kept'}"


def simulate(
    seed: int,
    faults: Faults | None = None,
    show: Callable[[Happening], None] | None = None,
    disks: Disks | None = None,
) -> Outcome:
    """Run the world of `seed`, with its own faults or those given, on disks in memory or
    those given."""
    chosen = faults if faults is not None else draw(Random(f"{seed}/faults"))
    history = History(show)

    async def live() -> str:
        return await World(seed, chosen, disks or MemoryDisks(), history).live()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        failure = runner.run(live())
    return Outcome(seed, chosen, failure, history.digest, tuple(history.last))


class World:
    """All processes of a run, what they do to each other, and what is done to them."""

    def __init__(self, seed: int, faults: Faults, disks: Disks, history: History) -> None:
        self.broker = MemoryBroker(Random(f"{seed}/broker"), _on_the_wire(faults))
        self._seed = seed
        self._faults = faults
        self._disks = disks
        self._folder = _folder() if faults.blob_per_s else None
        self._history = history
        self._rng = Random(f"{seed}/world")
        self._loop = asyncio.get_running_loop()
        self._measuring = True
        self._failure = ""
        self._life: asyncio.Task[None] | None = None
        self._loop.set_exception_handler(lambda _, context: self._fail(context["exception"]))
        fleets = _fleets(faults.fleets)
        twins = [twin for each in fleets for twin in each]
        self.checkers = Checkers(twins, faults.outbox_reports_max)
        self._cloud = self._process(CLOUD, self._keeper(roles.cloud()))
        edges = map(roles.edge, (f"e-{n}" for n in range(faults.edges)))
        self._edges = [self._process(name, self._keeper(role)) for name, role in edges]
        self._fleets = [
            self._process(f"fleet-{n}", self._fleet(n, twins)) for n, twins in enumerate(fleets)
        ]
        self._deposed: list[Process] = []
        self.strike = Nemesis(self, faults, Random(f"{seed}/nemesis")).strike
        self.commands = Commands()
        self.crash_at: Container[int] = ()
        self.points = 0
        self._requests = 0

    async def live(self) -> str:
        """Go through both phases; return what was violated, or ''."""
        self._life = asyncio.create_task(self._both_phases())
        with suppress(asyncio.CancelledError):
            try:
                await self._life
            except Violation as violation:
                self._fail(violation)
        self._measuring = False
        for process in [*self.processes(), *self._deposed]:
            if process.alive:
                process.crash()
        if self._folder is not None:
            self._folder.cleanup()
        return self._failure

    async def _both_phases(self) -> None:
        for process in self.processes():
            process.start()
        nemesis = asyncio.create_task(self.strike())
        nemesis.add_done_callback(self._struck)
        await asyncio.sleep(self._faults.faults_s)
        nemesis.cancel()
        self._heal()
        await asyncio.sleep(MEASURED_AFTER_S)
        self._measuring = False
        await self._converge()

    def _heal(self) -> None:
        self.did("all", "healed")
        self.broker.faults = memory_bus.Faults(delay_mean_s=0.005)
        self.broker.recover()
        self.broker.heal()
        for deposed in self._deposed:
            if deposed.alive:
                deposed.crash()
        for process in self.processes():
            process.faults = replace(process.faults, commit_failure=0.0, commit_mean_s=0.001)
            process.resume()
            if process.alive:
                process.store.free()
                process.store.faults = StoreFaults()
            else:
                process.start()
        self.ask(SetEdge(self._edges[0].name, "serving"))  # else twins may have nowhere to go

    async def _converge(self) -> None:
        until_s = self._loop.time() + CONVERGENCE_S_MAX
        while waiting := self.checkers.unsettled() or self._lacking():
            if self._loop.time() >= until_s:
                raise Violation(f"{'; '.join(waiting)} {CONVERGENCE_S_MAX} s after all faults")
            await asyncio.sleep(1.0)
        if self._folder is not None and (wrong := damaged(Path(self._folder.name))):
            raise Violation(f"G3: {wrong} are damaged")

    def _lacking(self) -> list[str]:
        """Blobs that an owner or the cloud refers to and lacks, though somebody has them; those
        that nobody has must have gone with an edge's disk."""
        if self._folder is None:
            return []
        lacking = []
        for twin, ref in self._refs():
            holders = [each for each in (self._cloud, *self._edges) if has(each.files, ref)]
            if not (holders or self.checkers.has_lost_disks or self._deposed):
                raise Violation(f"G3: {ref.sha256[:8]} of {twin} is nowhere")
            owner = self.checkers.placements[twin]["owner"]
            who = [self._cloud, *(each for each in self._edges if each.name == owner)]
            lacking += [f"G5: {each.name} lacks {ref.sha256[:8]} of {twin}"
                        for each in who if holders and each not in holders]  # fmt: skip
        return lacking

    def _refs(self) -> list[tuple[str, BlobRef]]:
        return [
            (twin, BlobRef(**ref))
            for twin in self.twins()
            for ref in self.checkers.blobs(twin).values()
        ]

    # --- what runs ------------------------------------------------------------------------

    def _process(self, name: str, role: Role, disks: int = 0) -> Process:
        rng = Random(f"{self._seed}/{name}.{disks}")
        process = Process(name, role, self._disks, self.broker, self._faults, rng, self)
        process.disks = disks
        process.wall.offset_ms = STARTED_MS
        return process

    def _keeper(self, role: Role) -> Role:
        return role if self._folder is None else replace(role, blobs=Path(self._folder.name))

    def _fleet(self, n: int, twins: Sequence[str]) -> Role:
        reports_max = self._faults.outbox_reports_max
        return roles.fleet(f"fleet-{n}", twins, reports_max, partial(self._measure, n))

    async def _measure(self, n: int, inbox: Inbox) -> None:
        """Measure at random times, and each device once more at the end: what was measured
        before that may have been lost with the memory of its process."""
        rng = Random(f"{self._seed}/fleet-{n}/{self._history.events}")
        twins = self._fleets[n].role.twins
        while self._measuring:
            await asyncio.sleep(rng.expovariate(len(twins) / SAMPLE_PERIOD_S))
            await inbox.put([self._sample(n, rng.choice(twins), rng)])
        for twin in twins:
            await inbox.put([self._sample(n, twin, rng)])

    def _sample(self, n: int, twin: str, rng: Random) -> Sample:
        device = self.checkers.devices[twin]
        device.newest += 1
        features = {"token": device.newest}
        if rng.random() < 0.3:
            features["level"] = device.newest
        return Sample(twin, self._fleets[n].wall.now().wall_ms, features)

    # --- what processes tell --------------------------------------------------------------

    def heard(self, process: Process, events: Sequence[Event]) -> None:
        for event in events:
            topic, payload = event if isinstance(event, Message) else (repr(event), b"")
            self._happened(process.client_id, "hears", topic, payload)
            if process.role.twins and topic.endswith("/ack"):
                twin = topics.parse(topic).twin
                self.checkers.device_heard(twin, messages.parse(messages.ACK, payload))

    def committed(self, process: Process, writes: Sequence[Write]) -> None:
        for write in writes:
            self._happened(process.client_id, type(write).__name__.lower(), *shown(write))
        if process.role.twins:
            unprotected = process.fx.counts.get(("reports_unprotected_total", ""), 0)
            self.checkers.device_committed(writes, unprotected)
            self.commands.committed(writes)
        elif process.name == CLOUD:
            self.checkers.cloud_committed(writes)
        else:
            self.checkers.edge_committed(process.name, process.store_id, writes)

    def sent(self, process: Process, send: Send) -> None:
        self._happened(process.client_id, "sends", send.topic, send.payload)
        if process.role.twins and "/status/" in send.topic and send.payload:
            status = messages.parse(messages.STATUS, send.payload)
            self.checkers.device_said(topics.parse(send.topic).twin, status)

    def obeyed(self, process: Process, act: Act) -> None:
        self._happened(process.client_id, "obeys", repr(act))
        self.commands.obeyed(act)

    def reached(self, process: Process) -> None:
        """Crash it at each point of the run, by number, that is in `crash_at`."""
        self.points += 1
        if self.points in self.crash_at:
            self.crash(process)

    def ended(self, process: Process, error: BaseException) -> None:
        """A process whose commit failed must end; no other end is allowed."""
        causes = _causes(error)
        if process.alive and all(isinstance(cause, OSError) for cause in causes):
            self.crash(process)
        elif process.alive:
            self._fail(causes[0])

    # --- what is done to them (see `nemesis.Victims`) -------------------------------------

    def processes(self) -> list[Process]:
        return [self._cloud, *self._edges, *self._fleets]

    def edges(self) -> list[Process]:
        return self._edges

    def fleets(self) -> list[Process]:
        return self._fleets

    def did(self, node: str, what: str) -> None:
        self._happened(node, what)

    def crash(self, process: Process) -> None:
        """Cut its power, if it has any, and let it start again soon."""
        if process.alive:
            self.did(process.client_id, "crashes")
            process.crash()
            delay_s = self._rng.expovariate(1.0 / DOWN_MEAN_S)
            self._loop.call_later(delay_s, self._start, process)

    def lose_disk(self, process: Process) -> None:
        self.crash(process)
        self.did(process.client_id, "loses its disk")
        process.lose_disk()
        self._tell_of_loss(process)

    def usurp(self, process: Process) -> None:
        """Replace an edge by one with an empty disk; the old one does not know, and goes on."""
        if not process.alive:
            return
        self.did(process.client_id, "usurped")
        self._deposed.append(process)
        usurper = self._process(process.name, process.role, process.disks + 1)
        self._edges[self._edges.index(process)] = usurper
        usurper.start()

    def twins(self) -> list[str]:
        return list(self.checkers.devices)

    def attach(self, twin: str, name: str, rng: Random) -> None:
        """Put a blob at the edge that may own the twin, or take one away there."""
        placement = self.checkers.placements.get(twin)
        owner = placement["owner"] if placement else ""
        for edge in self._edges:
            if edge.name == owner and edge.alive:
                ref = None if rng.random() < REMOVED else put(edge.files, some_content(rng))
                self.checkers.devices[twin].changes_asked += 1
                self._requests += 1
                self.did(edge.client_id, f"is to let {twin} refer to {ref}")
                edge.ask(Asked(self._requests, Attach(twin, name, ref)))

    def ask(self, request: Request) -> None:
        """Ask the cloud for something; one that is down hears nothing."""
        self._requests += 1
        if self._cloud.alive:
            self.did(self._cloud.client_id, f"is asked for {request}")
            self._cloud.ask(Asked(self._requests, request))

    def command(self, edge: Process, twin: str) -> None:
        """Let an edge command a device, if it believes to own its twin."""
        epoch = self.checkers.epoch_at(edge.store_id, twin)
        if epoch:
            edge.say(self.commands.give(edge.name, twin, epoch))

    def _start(self, process: Process) -> None:
        if not process.alive and process not in self._deposed:
            self.did(process.client_id, "starts")
            process.start()

    def _tell_of_loss(self, process: Process) -> None:
        if not process.role.twins:
            self.checkers.edge_disk_lost(process.store_id)
        for twin in process.role.twins:
            self.checkers.device_disk_lost(twin)
            self.commands.disk_lost(twin)

    # --- violations -----------------------------------------------------------------------

    def _happened(self, node: str, what: str, topic: str = "", payload: bytes = b"") -> None:
        self._history.add(Happening(self._loop.time(), node, what, topic, payload))

    def _struck(self, nemesis: "asyncio.Task[None]") -> None:
        if not nemesis.cancelled() and (error := nemesis.exception()) is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if not self._failure:
            self._failure = f"{type(error).__name__}: {error}"
            if self._life is not None:
                self._life.cancel()


def _on_the_wire(faults: Faults) -> memory_bus.Faults:
    return memory_bus.Faults(faults.loss, faults.duplication, faults.delay_mean_s)


def _folder() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="diten-", dir=MEMORY if MEMORY.is_dir() else None)


def _fleets(sizes: Sequence[int]) -> list[list[str]]:
    numbers = count()
    return [[f"d-{next(numbers)}" for _ in range(size)] for size in sizes]


def _commit() -> str:
    """What was tested, as git names it: a seed makes another history of other code."""
    asked = ["git", "describe", "--always", "--dirty"]
    try:
        said = subprocess.run(asked, check=True, capture_output=True, text=True, cwd=HERE)
    except (OSError, subprocess.CalledProcessError):
        return "no commit"  # a copy without its history
    return said.stdout.strip()


def _causes(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [cause for inner in error.exceptions for cause in _causes(inner)]
    return [error]
