"""A rig of real processes: a broker, the cloud, edges and an agent of many devices.

Each is a process of its own with a directory of its own, and is killed, started again or
stopped by its name while the others go on. A witness listens on the bus to what devices
are told: evidence that no process under test has written.
"""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import httpx

from deploy.audit import Audit, audit
from tests.system.witness import Position, Witness
from twin_runtime.adapters.broker import Broker, Kind, choose, free_port
from twin_runtime.adapters.child import leashed
from twin_runtime.adapters.sqlite_store import read_rows

POLL_S = 0.05
HEALED_S = 45.0  # noisy machines: an idle one heals within 6 s, most of it back-off
STOPPED_S = 15.0
LOG_TAIL_CHARS = 1_500
CONNECTED = " connected to "  # what a process says of its bus
QUIET_PERIOD_S = 86_400.0  # the longest: an agent restarted with it has its backlog only

# A process on a machine whose wall clock is wrong; its monotonic clock is not.
_SHIFTED = """\
import sys, time
from importlib import import_module
from pathlib import Path
shift_ns, real_ns = int(sys.argv[1]), time.time_ns
time.time_ns = lambda: real_ns() + shift_ns
sys.exit(import_module(sys.argv[2] + ".__main__").start(Path(sys.argv[3])))
"""


def wait_for(what: str, holds: Callable[[], bool], within_s: float = HEALED_S) -> None:
    """Return as soon as `holds()`; fail when it does not in time."""
    deadline_s = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline_s, f"{what}: not within {within_s:g} s"
        time.sleep(POLL_S)


class Part(Protocol):
    """What can be started, killed and stopped."""

    @property
    def pid(self) -> int | None: ...
    def start(self) -> None: ...
    def kill(self) -> None: ...
    def stop(self) -> int: ...


class Process:
    """One role: `settings` become its configuration each time it starts."""

    def __init__(self, name: str, module: str, folder: Path, settings: dict[str, Any]) -> None:
        self.name = name
        self.folder = folder / name
        self.folder.mkdir(exist_ok=True)
        self.settings = {"data_dir": str(self.folder), **settings}
        self.log = folder / f"{name}.log"
        self.wall_shift_s = 0.0
        self.runs_in: tuple[str, ...] = ()  # a test's module and its arguments
        self.within: tuple[str, ...] = ()  # a command that becomes the one that follows it
        self._began = 0
        self._module = module
        self._config = folder / f"{name}.toml"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        if self._process is None or self._process.poll() is not None:
            return None
        return self._process.pid

    def start(self) -> None:
        assert self.pid is None, f"{self.name} runs already"
        self._config.write_text(to_toml(self.settings))
        self._began = len(self.said())
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                leashed([*self.within, sys.executable, *self._command(), str(self._config)]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _command(self) -> list[str]:
        if self.wall_shift_s:
            return ["-c", _SHIFTED, str(int(self.wall_shift_s * 1e9)), self._module]
        if self.runs_in:
            return ["-m", *self.runs_in, self._module]
        return ["-m", self._module, "--config"]

    def kill(self) -> None:
        """`kill -9`."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> int:
        """Ask it to end; return its exit code."""
        if self.pid is not None:
            self.send_signal(signal.SIGTERM)
        return self.ended()

    def ended(self, within_s: float = STOPPED_S) -> int:
        """Its exit code, once it has ended."""
        assert self._process is not None, f"{self.name} was never started"
        return self._process.wait(within_s)

    def send_signal(self, number: int) -> None:
        assert self._process is not None, f"{self.name} was never started"
        self._process.send_signal(number)

    def is_connected(self) -> bool:
        """Whether it has been connected since its start; before, a signal may just end it."""
        return CONNECTED in self.said()[self._began :]

    def said(self) -> str:
        """All it has written to its terminal."""
        return self.log.read_text() if self.log.exists() else ""


class OwnBroker:
    """A broker as a part of the rig; it remembers nothing."""

    def __init__(self, kind: Kind, folder: Path) -> None:
        own = folder / "broker"
        own.mkdir()
        self.port = free_port()
        self._broker = Broker(choose(kind), own, self.port)

    @property
    def pid(self) -> int | None:
        return self._broker.pid

    def start(self) -> None:
        asyncio.run(self._broker.start())

    def kill(self) -> None:
        asyncio.run(self._broker.kill())

    def stop(self) -> int:
        asyncio.run(self._broker.stop())
        return 0


class Rig:
    """Everything of one small site; `parts` by name, in the order of a clean stop."""

    def __init__(
        self,
        folder: Path,
        *,
        devices: int = 40,
        period_s: float = 0.1,
        edges: int = 2,
        outbox: dict[str, int] | None = None,
        broker: Kind = "mosquitto",
    ) -> None:
        self.folder = folder
        self.broker = OwnBroker(broker, folder)
        self.bus = {"host": "127.0.0.1", "port": self.broker.port}
        self.devices = [f"d-emulated-{number:05d}" for number in range(1, devices + 1)]
        source = {"kind": "emulated", "first": 1, "last": devices, "period_s": period_s}
        self.agent = self.make_agent("d-agent", source, outbox or {"keep_stable_reports": 10_000})
        self.edges = [self._server(f"e-{n}", "edge_node") for n in range(1, edges + 1)]
        self.cloud = self._server("cloud", "cloud")
        self.parts: dict[str, Part] = {
            "d-agent": self.agent,
            **{edge.name: edge for edge in self.edges},
            "cloud": self.cloud,
            "broker": self.broker,
        }
        self.witness = Witness(self.broker.port)

    def make_agent(self, name: str, source: dict[str, Any], outbox: dict[str, int]) -> Process:
        settings = {"id": name, "bus": self.bus, "source": source, "outbox": outbox}
        return Process(name, "device_agent", self.folder, settings)

    def _server(self, name: str, module: str) -> Process:
        identity = {} if name == "cloud" else {"id": name}
        settings = {**identity, "bus": self.bus, "http": {"port": free_port()}}
        return Process(name, module, self.folder, settings)

    # --- its life -----------------------------------------------------------------------

    def start(self, *names: str) -> None:
        """Start the named parts, or all; the broker first, so that no back-off is waited for."""
        for name in reversed(list(self.parts)):
            if name in names or not names:
                self.parts[name].start()

    def kill(self, *names: str) -> None:
        """`kill -9` of the named parts, or of all."""
        for name in names or self.parts:
            self.parts[name].kill()

    def stop(self) -> Audit:
        """End all in order, devices first; compare the stores."""
        codes = {name: part.stop() for name, part in self.parts.items()}
        assert not any(codes.values()), f"exit codes {codes}"
        return self.audit()

    def end(self) -> None:
        """Leave nothing behind, whatever has happened."""
        self.witness.close()
        self.kill()

    # --- what it does -------------------------------------------------------------------

    def await_progress(self) -> None:
        """Wait until every device has been told of something new."""
        before = self.told()
        wait_for(
            "every device is acknowledged more",
            lambda: all(self.told().get(twin, NOWHERE) > before.get(twin, NOWHERE)
                        for twin in self.devices),
        )  # fmt: skip

    def await_newest(self) -> None:
        """Wait until the cloud's API shows, of each device, what it measured last."""
        wait_for("readers see the newest", self._shows_the_newest)

    def _shows_the_newest(self) -> bool:
        return not any(self._lags(*kept) for kept in self.outbox().items())

    def _lags(self, twin: str, reports: dict[int, dict[str, Any]]) -> bool:
        shown = get(self.cloud, f"/api/2/things/{twin}").json()["features"]
        values = {name: state["properties"]["value"] for name, state in shown.items()}
        return bool(values != reports[max(reports)]["features"])

    def drain(self) -> dict[str, int]:
        """Stop measuring and wait until all that was measured is applied; return what the
        agent had counted until then. A clean stop makes the rest stable."""
        wait_for("the agent hears signals", self.agent.is_connected)
        assert self.agent.stop() == 0
        counts: dict[str, int] = self._summary()["counts"]
        self.agent.settings["source"]["period_s"] = QUIET_PERIOD_S
        self.agent.start()
        wait_for("it connects", self.agent.is_connected)
        wait_for("the backlog is applied", self._is_drained)
        return counts

    def _summary(self) -> dict[str, Any]:
        summary: dict[str, Any] = json.loads((self.agent.folder / "summary.json").read_text())
        return summary

    def _is_drained(self) -> bool:
        found = self.audit()
        return found.twins > 0 and found.produced == found.applied

    # --- evidence -----------------------------------------------------------------------

    def told(self) -> dict[str, Position]:
        """What each device was told last: `(epoch, session, applied)`."""
        return dict(self.witness.told)

    def stored(self) -> dict[str, Position]:
        """How far each twin reaches on any disk: `(epoch, session, last_seq)`. The cloud's is
        read last: a twin that is handed over is there before it is gone from an edge."""
        found: dict[str, Position] = {}
        stores = [(path, kind) for path in self.edge_stores() for kind in ("twin", "sealed")]
        for path, kind in (*stores, (self.cloud.folder / "cloud.sqlite", "snapshot")):
            for row in read_rows(path, kind):
                twin = json.loads(row.value)
                position = (twin["epoch"], twin["session"], twin["last_seq"])
                found[row.key] = max(position, found.get(row.key, NOWHERE))
        return found

    def outbox(self) -> dict[str, dict[int, dict[str, Any]]]:
        """What each device keeps: its reports by `seq`, from the oldest to the newest."""
        kept: dict[str, dict[int, dict[str, Any]]] = {twin: {} for twin in self.devices}
        for row in read_rows(self.agent.folder / "device.sqlite", "outbox"):
            twin, _, seq = row.key.split("/")
            kept[twin][int(seq)] = json.loads(row.value)
        return {twin: dict(sorted(reports.items())) for twin, reports in kept.items()}

    def told_but_not_stored(self) -> list[str]:
        """Acknowledgements that devices heard and no disk can answer for."""
        told = self.told()
        stored = self.stored()
        return [
            f"{twin} was told {position}, stored is {stored.get(twin)}"
            for twin, position in told.items()
            if stored.get(twin, NOWHERE) < position
        ]

    def known_edges(self) -> int:
        """How many edges have said hello; devices are spread over these."""
        store = self.cloud.folder / "cloud.sqlite"
        return len(list(read_rows(store, "edge"))) if store.exists() else 0

    def last_words(self) -> str:
        """The end of every log, for whoever reads of a failure."""
        processes = (self.agent, *self.edges, self.cloud)
        return "\n".join(f"{each.name}:\n{each.said()[-LOG_TAIL_CHARS:]}" for each in processes)

    def edge_stores(self) -> list[Path]:
        paths = (edge.folder / "edge.sqlite" for edge in self.edges)
        return [path for path in paths if path.exists()]

    def audit(self) -> Audit:
        devices = self.agent.folder / "device.sqlite"
        return audit([devices], self.edge_stores(), self.cloud.folder / "cloud.sqlite")


NOWHERE: Position = (0, 0, 0)


@contextmanager
def running(folder: Path, **options: Any) -> Iterator[Rig]:
    """A new rig in which every device reports and is acknowledged."""
    with started(Rig(folder, **options)) as rig:
        yield rig


@contextmanager
def started(rig: Rig) -> Iterator[Rig]:
    """`rig`, once every device reports and is acknowledged; and ended in any case."""
    try:
        rig.start("broker", "cloud", *(edge.name for edge in rig.edges))
        wait_for("the cloud knows every edge", lambda: rig.known_edges() == len(rig.edges))
        rig.start("d-agent")
        rig.await_progress()
        yield rig
    except BaseException as error:
        error.add_note(rig.last_words())
        raise
    finally:
        rig.end()


def get(process: Process, path: str) -> httpx.Response:
    """Ask a cloud or an edge; one that does not answer is a failed assertion."""
    # Certificates, of which there are none here, would be read for 20 ms each time.
    port = process.settings["http"]["port"]
    return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=5, verify=False)


def metric(process: Process, name: str, label: str = "") -> float:
    """The sum of a metric's samples, or of those with `label` among their labels."""
    total = 0.0
    for line in get(process, "/metrics").text.splitlines():
        series, _, value = line.rpartition(" ")
        if series.partition("{")[0] == name and label in series:
            total += float(value)
    return total


def to_toml(table: dict[str, Any]) -> str:
    """Scalars first, then one level of tables, which JSON and TOML write alike."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in table.items()
             if not isinstance(value, dict)]  # fmt: skip
    for name, inner in table.items():
        if isinstance(inner, dict):
            lines.append(f"[{name}]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in inner.items()]
    return "\n".join(lines) + "\n"
