"""What diten needs while it does next to nothing: memory, pauses, and CPU at rest.

The edge is given its twins as in the field: devices announce themselves, the cloud
places them, each describes itself (twelve numbers) and reports. Then it is looked at from
outside, and by the watch on its garbage collector while reports flow again.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import httpx

from benchmarks.runtime.observed_edge import COLLECTIONS
from benchmarks.runtime.target import Bar, Target
from benchmarks.runtime.testbed import (
    POLL_S,
    WAIT_S,
    Child,
    Role,
    Stopwatch,
    System,
    agent,
    ready,
    running,
)
from twin_runtime.adapters.broker import free_port
from twin_runtime.adapters.child import leashed


@dataclass(frozen=True, slots=True)
class Scale:
    """How many twins and devices, and for how long an agent is watched."""

    twins: int = 100_000
    scrapes: int = 9
    imports: int = 5
    settled_s: float = 10.0
    idle_s: float = 30.0
    emulated: int = 2_000
    starts: int = 3


async def run(folder: Path, scale: Scale) -> list[Target]:
    """Measure, with scratch files in `folder`; raises `Unavailable` without Mosquitto."""
    for name in ("edge", "board", "fleet", "one"):
        (folder / name).mkdir()
    targets = await _edge(folder / "edge", scale)
    async with running(folder / "board") as system:
        targets += await _board(system, scale)
    async with running(folder / "fleet") as fleet, running(folder / "one") as one:
        targets.append(await _emulated(fleet, one, scale))
    targets.append(await _up(folder, scale))
    return targets


# --- an edge full of twins ----------------------------------------------------------------


async def _edge(folder: Path, scale: Scale) -> list[Target]:
    async with running(folder, "benchmarks.runtime.observed_edge") as system:
        empty_bytes = system.edge.child.resident_bytes()
        await _report(system, scale, session=1)
        twins_bytes = system.edge.child.resident_bytes() - empty_bytes
        full_s = time.time()
        await _report(system, scale, session=2)
        scrapes_ms = await _scrapes_ms(system.edge, scale.scrapes)
    collections = json.loads((system.edge.folder / COLLECTIONS).read_text())
    pauses_ms = [1000 * took_s for ended_s, _, took_s in collections if ended_s > full_s]
    many = f"{scale.twins} twins of 12 features"
    return [
        Target("edge/memory per twin", twins_bytes / scale.twins / 1000, "KB", Bar("<=", 2.5),
               f"{many}, {empty_bytes / 1e6:.0f} MB without any"),
        Target("edge/longest GC pause", max(pauses_ms, default=0.0), "ms", Bar("<=", 5.0),
               f"{len(pauses_ms)} collections while {many} reported"),
        Target("edge/scrape", median(scrapes_ms), "ms", Bar("<=", 20.0), many),
    ]  # fmt: skip


async def _report(system: System, scale: Scale, *, session: int) -> None:
    spec = {
        **system.bus,
        "devices": scale.twins,
        "reports": 2,
        "session": session,
        "board": True,
    }
    async with ready("load", spec) as load:
        load.go()
        applied = json.loads(await load.line())["applied"]
    assert applied == 2 * scale.twins, f"{applied} of {2 * scale.twins} reports were applied"


async def _scrapes_ms(edge: Role, times: int) -> list[float]:
    """As Prometheus does it, on a connection that stays open."""
    async with httpx.AsyncClient(timeout=WAIT_S) as client:
        await client.get(edge.url("metrics"))
        took_ms = []
        for _ in range(times):
            began_s = time.monotonic()
            await client.get(edge.url("metrics"))
            took_ms.append(1000 * (time.monotonic() - began_s))
    return took_ms


# --- an agent on a board ------------------------------------------------------------------


async def _board(system: System, scale: Scale) -> list[Target]:
    bare_s = await asyncio.to_thread(_import_s, "pass", scale.imports)
    whole_s = await asyncio.to_thread(_import_s, "import device_agent.__main__", scale.imports)
    role = agent(system, {"kind": "board"})
    role.start()
    try:
        await asyncio.sleep(scale.settled_s)
        watch = Stopwatch(role.child)
        await asyncio.sleep(scale.idle_s)
        flow = watch.flow(1)
        resident_bytes = role.child.resident_bytes()
    finally:
        await role.stop()
    what = f"this machine at 1 Hz for {flow.wall_s:.0f} s"
    return [
        Target("agent/resident memory", resident_bytes / 1e6, "MB", Bar("<=", 40.0), what),
        Target("agent/import CPU", whole_s - bare_s, "s", Bar("<=", 0.25),
               f"beyond the {bare_s:.3f} s of a bare interpreter"),
        Target("agent/idle CPU", 100 * flow.cpu_s / flow.wall_s, "% of a core", Bar("<=", 1.0),
               what),
    ]  # fmt: skip


def _import_s(program: str, times: int) -> float:
    """Median CPU time of a process that runs `program`."""
    used_s = []
    for _ in range(times):
        process = subprocess.Popen([sys.executable, "-c", program])
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        used_s.append(usage.ru_utime + usage.ru_stime)
    return median(used_s)


# --- many devices in one process ----------------------------------------------------------


async def _emulated(fleet: System, one: System, scale: Scale) -> Target:
    many_bytes = await _resident_bytes(fleet, scale.emulated, scale)
    one_bytes = await _resident_bytes(one, 1, scale)
    each_kb = (many_bytes - one_bytes) / (scale.emulated - 1) / 1000
    against = f"{scale.emulated} connected devices, {many_bytes / 1e6:.0f} MB in all"
    return Target("fleet/memory per device", each_kb, "KB", Bar("<=", 20.0), against)


async def _resident_bytes(system: System, devices: int, scale: Scale) -> int:
    role = agent(system, {"kind": "emulated", "last": devices})
    role.start()
    try:
        await asyncio.sleep(scale.settled_s)
        return role.child.resident_bytes()
    finally:
        await role.stop()


# --- a whole system -----------------------------------------------------------------------


async def _up(folder: Path, scale: Scale) -> Target:
    took_s = [await _first_value_s(folder / f"up-{n}") for n in range(scale.starts)]
    against = f"the API, from the start of the process; {scale.starts} starts on empty disks"
    return Target("up/first value", median(took_s), "s", Bar("<=", 5.0), against)


async def _first_value_s(data_dir: Path) -> float:
    port = free_port()
    diten = [sys.executable, "-c", "from deploy.cli import main; main()"]
    command = [*diten, "up", "--data-dir", str(data_dir), "--api-port", str(port)]
    began_s = time.monotonic()
    child = _quiet(command)
    try:
        await _until_a_value(f"http://127.0.0.1:{port}/api/2/things")
        return time.monotonic() - began_s
    finally:
        await child.stop(signal.SIGINT)


def _quiet(command: list[str]) -> Child:
    quiet = subprocess.DEVNULL
    return Child(subprocess.Popen(leashed(command), stdin=quiet, stdout=quiet, stderr=quiet))


async def _until_a_value(url: str) -> None:
    """Return when some thing there has a feature."""
    async with asyncio.timeout(WAIT_S), httpx.AsyncClient() as client:
        while True:
            with suppress(httpx.TransportError):
                if any(thing.get("features") for thing in (await client.get(url)).json()):
                    return
            await asyncio.sleep(POLL_S)
