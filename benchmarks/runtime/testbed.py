"""The system under test, and what is done to it: every one a process of its own.

Nothing of diten is a stand-in: broker, cloud, edge and agent are started as an operator
starts them, from a configuration file, and looked at from outside: CPU time and memory by
the kernel, counters by `/metrics`.
"""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.runtime.target import Flow
from benchmarks.runtime.traffic import EDGE
from twin_runtime.adapters.broker import Broker, free_port, start_broker
from twin_runtime.adapters.child import leashed

READY_S = 30.0
POLL_S = 0.01
WAIT_S = 300.0  # what any one step may take


class Child:
    """A process that runs until it is stopped, or until it has done its work."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid = process.pid

    def cpu_s(self) -> float:
        """CPU time used so far; also of one that has ended and was not stopped yet."""
        times = psutil.Process(self.pid).cpu_times()
        return times.user + times.system

    def resident_bytes(self) -> int:
        size: int = psutil.Process(self.pid).memory_info().rss
        return size

    def go(self) -> None:
        """Say the word that a child of the benchmark's own waits for."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()

    async def line(self) -> str:
        """The next line it writes, `ready` or what it found out."""
        assert self._process.stdout is not None
        async with asyncio.timeout(WAIT_S):
            line = await asyncio.to_thread(self._process.stdout.readline)
        assert line, f"{self._process.args!r} ended without a word"
        return line.decode().strip()

    async def ended(self) -> None:
        """Return when it has ended by itself; its CPU time can still be read."""
        async with asyncio.timeout(WAIT_S):
            await asyncio.to_thread(os.waitid, os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)

    async def stop(self, number: int = signal.SIGTERM) -> None:
        """End it with a signal, and wait."""
        if self._process.poll() is None:
            self._process.send_signal(number)
        await asyncio.to_thread(self._process.wait, WAIT_S)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


class Role:
    """A role with its folder: configured once, started as often as it is killed."""

    def __init__(self, module: str, folder: Path) -> None:
        self.module = module
        self.folder = folder
        self.http_port = free_port()
        self._child: Child | None = None

    @property
    def child(self) -> Child:
        assert self._child is not None, f"{self.module} is not running"
        return self._child

    def url(self, page: str) -> str:
        return f"http://127.0.0.1:{self.http_port}/{page}"

    def configure(self, top: Mapping[str, Any], **tables: Mapping[str, Any]) -> None:
        """Write its configuration: flat values, which JSON and TOML write alike."""
        self.folder.mkdir()
        lines = _lines({**top, "data_dir": str(self.folder)})
        for name, table in tables.items():
            lines += [f"[{name}]", *_lines(table)]
        (self.folder / "config.toml").write_text("\n".join(lines) + "\n")

    def start(self) -> None:
        command = [sys.executable, "-m", self.module, "--config", str(self.folder / "config.toml")]
        with (self.folder / "log").open("ab") as log:
            self._child = Child(
                subprocess.Popen(leashed(command), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            )

    async def ready(self) -> None:
        """Return when it answers that it can do its work."""
        async with asyncio.timeout(READY_S), httpx.AsyncClient() as client:
            while True:
                with suppress(httpx.TransportError):
                    if (await client.get(self.url("readyz"))).is_success:
                        return
                await asyncio.sleep(POLL_S)

    async def metrics(self) -> str:
        async with httpx.AsyncClient(timeout=READY_S) as client:
            return (await client.get(self.url("metrics"))).text

    async def stop(self, number: int = signal.SIGTERM) -> None:
        if self._child is not None:
            await self._child.stop(number)
            self._child = None


@dataclass(frozen=True, slots=True)
class System:
    """A broker with one cloud and one edge."""

    folder: Path
    broker: Broker
    cloud: Role
    edge: Role

    @property
    def bus(self) -> dict[str, Any]:
        return {"host": self.broker.host, "port": self.broker.port}


@asynccontextmanager
async def running(folder: Path, edge_module: str = "edge_node") -> AsyncIterator[System]:
    """Run a whole system in the directory `folder`, ready to take devices on."""
    async with start_broker("mosquitto", folder=folder) as broker:
        cloud, edge = Role("cloud", folder / "cloud"), Role(edge_module, folder / EDGE)
        system = System(folder, broker, cloud, edge)
        cloud.configure({}, bus=system.bus, http={"port": cloud.http_port})
        edge.configure({"id": EDGE}, bus=system.bus, http={"port": edge.http_port})
        try:
            for role in (cloud, edge):
                role.start()
                await role.ready()
            yield system
        finally:
            for role in (edge, cloud):
                await role.stop()


def agent(system: System, source: Mapping[str, Any]) -> Role:
    """A device agent of `system`, not started."""
    role = Role("device_agent", system.folder / "agent")
    role.configure({"id": "d-agent"}, bus=system.bus, source=source)
    return role


def own(module: str, spec: Mapping[str, Any]) -> Child:
    """Start a process of the benchmark's own: it says `ready`, waits for the word, works,
    and says what it found."""
    command = [sys.executable, "-m", f"benchmarks.runtime.{module}", json.dumps(spec)]
    return Child(subprocess.Popen(leashed(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE))


@asynccontextmanager
async def ready(module: str, spec: Mapping[str, Any]) -> AsyncIterator[Child]:
    """`own`, once it is ready, for as long as it is needed."""
    child = own(module, spec)
    try:
        said = await child.line()
        assert said == "ready", f"{module} said {said!r}"
        yield child
    finally:
        await child.stop()


class Stopwatch:
    """Wall and CPU time from now on, of one process."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self._cpu_s = child.cpu_s()
        self._began_s = time.monotonic()

    def flow(self, count: int) -> Flow:
        """What `count` messages took until now."""
        wall_s = time.monotonic() - self._began_s
        return Flow(count, wall_s, self._child.cpu_s() - self._cpu_s)


def series(metrics: str, name: str) -> float:
    """The number of one series, `name` as `/metrics` prints it."""
    found = re.search(rf"^{re.escape(name)} (\S+)$", metrics, re.MULTILINE)
    assert found, f"no series {name} in the metrics"
    return float(found[1])


def _lines(table: Mapping[str, Any]) -> list[str]:
    return [f"{key} = {json.dumps(value)}" for key, value in table.items()]
