"""What the API costs the process that serves it, and how soon it answers.

Everything is one system of real processes, in which first nothing happens, and then more:

    edit      one quiet device: from a wish to the event in which it reports what was wished
              for, at its edge and, forwarded, at the cloud
    reads     of one thing, beside a bare FastAPI handler that returns the same bytes
    fan-out   devices at 1 Hz and readers who follow all changes; what it takes with them, and
              how much of that they are: the same edge without them, just before
    page      the first paint of the page with a fleet that reports
    search    among many twins, by a filter and in the order of a value
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.runtime import api_edits, api_reads, api_search
from benchmarks.runtime.target import Bar, Flow, Target
from benchmarks.runtime.testbed import POLL_S, WAIT_S, Role, Stopwatch, System, ready, running

TWIN = "d-emulated-00001"


@dataclass(frozen=True, slots=True)
class Scale:
    """How many read and write, and for how long."""

    edits: int = 30
    pause_s: float = 1.2  # between two of them: all that follows of one is over then
    read_turns: int = 7
    reads: int = 5_000
    devices: int = 10
    readers: int = 1_000
    measured_s: float = 15.0
    shown: int = 1_000
    loads: int = 5
    look_ms: int = 5_000
    searched: int = 10_000  # with those shown
    settled_s: float = 10.0  # until checkpoints of them are over
    searches: int = 15


async def run(folder: Path, scale: Scale) -> list[Target]:
    """Measure, with scratch files in `folder`; raises `Unavailable` without Mosquitto."""
    async with running(folder) as system:
        async with _devices(system, 1, period_s=3600.0, revision=0):
            targets = await api_edits.run(
                system.edge, system.cloud, TWIN, scale.edits, scale.pause_s
            )
        async with _devices(system, scale.devices):
            targets += await api_reads.run(system, TWIN, scale.read_turns, scale.reads)
            targets += await _fan_out(system, scale)
        async with _devices(system, scale.shown):
            targets.append(await asyncio.to_thread(_first_paint, system.cloud, scale))
        await api_search.load(system, scale.searched - scale.shown)
        await asyncio.sleep(scale.settled_s)
        targets += await api_search.run(system, scale.searches)
    return targets


@asynccontextmanager
async def _devices(
    system: System, count: int, *, period_s: float = 1.0, revision: int = 1
) -> AsyncIterator[None]:
    """Emulated devices, once the edge owns the twin of each at this revision."""
    role = Role("device_agent", system.folder / f"agent-{count}")
    source: Mapping[str, Any] = {"kind": "emulated", "last": count, "period_s": period_s}
    role.configure({"id": f"d-agent-{count}"}, bus=system.bus, source=source)
    role.start()
    try:
        url = system.edge.url(f"api/2/search/things/count?filter=ge(_revision,{revision})")
        async with asyncio.timeout(WAIT_S), httpx.AsyncClient() as client:
            while int((await client.get(url)).text) < count:  # noqa: ASYNC110 - a process
                await asyncio.sleep(POLL_S)
        yield
    finally:
        await role.stop()


def _first_paint(cloud: Role, scale: Scale) -> Target:
    from benchmarks.runtime import page  # Playwright is not needed for the others

    return page.target(cloud.url(""), scale.loads, scale.look_ms)


async def _fan_out(system: System, scale: Scale) -> list[Target]:
    alone = Stopwatch(system.edge.child)
    await asyncio.sleep(scale.measured_s)
    idle = alone.flow(1)
    spec = {
        "port": system.edge.http_port,
        "readers": scale.readers,
        "measured_s": scale.measured_s,
    }
    async with ready("listeners", spec) as listeners:
        watch = Stopwatch(system.edge.child)
        listeners.go()
        delivered = int(await listeners.line())
        flow = watch.flow(max(delivered, 1))
    share = flow.rate / (scale.devices * scale.readers)  # each reports once a second
    return [
        Target("api/fan-out", _cores(flow), "cores", Bar("<=", 1.0), _said(flow, idle, scale)),
        Target("api/fan-out heard", share, "of all", Bar(">=", 0.95), "events, by their readers"),
    ]


def _said(flow: Flow, idle: Flow, scale: Scale) -> str:
    each_us = (_cores(flow) - _cores(idle)) * flow.wall_s / flow.messages * 1e6
    return (
        f"{flow.rate:,.0f} events/s to {scale.readers} readers, {each_us:.0f} µs of CPU each;"
        f" {_cores(idle):.3f} cores without them"
    )


def _cores(flow: Flow) -> float:
    return flow.cpu_s / flow.wall_s
