"""What the API costs the process that serves it.

fan-out   a real edge with devices at 1 Hz and readers who follow all changes; what it takes
          with them, and how much of that they are: the same edge without them, just before
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from benchmarks.runtime.target import Bar, Flow, Target
from benchmarks.runtime.testbed import Stopwatch, System, agent, ready, running


@dataclass(frozen=True, slots=True)
class Scale:
    """How many read and write, and for how long."""

    devices: int = 10
    readers: int = 1_000
    warm_up_s: float = 8.0
    measured_s: float = 15.0


async def run(folder: Path, scale: Scale) -> list[Target]:
    """Measure, with scratch files in `folder`; raises `Unavailable` without Mosquitto."""
    async with running(folder) as system:
        role = agent(system, {"kind": "emulated", "last": scale.devices})
        role.start()
        await asyncio.sleep(scale.warm_up_s)
        target = await _fan_out(system, scale)
        await role.stop()
    return [target]


async def _fan_out(system: System, scale: Scale) -> Target:
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
    return Target("api/fan-out", _cores(flow), "cores", Bar("<=", 1.0), _said(flow, idle, scale))


def _said(flow: Flow, idle: Flow, scale: Scale) -> str:
    each_us = (_cores(flow) - _cores(idle)) * flow.wall_s / flow.messages * 1e6
    return (
        f"{flow.rate:,.0f} events/s to {scale.readers} readers, {each_us:.0f} µs of CPU each;"
        f" {_cores(idle):.3f} cores without them"
    )


def _cores(flow: Flow) -> float:
    return flow.cpu_s / flow.wall_s
