"""What an acknowledgement is worth: how soon it comes, and that it holds.

latency   a real agent with emulated devices at 1 Hz, one store for all of them; from
          taking a sample, before its own commit, to hearing `applied`
kill -9   devices with a backlog; the edge is killed again and again in the middle.
          Lost is what a device was told and then not told any more; beside it, what
          the naive pipeline loses, whose library acknowledges what it has received
burst     every report in a message of its own, all at once
"""

import asyncio
import json
import re
import signal
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.runtime import peers
from benchmarks.runtime.target import Bar, Target
from benchmarks.runtime.testbed import (
    Stopwatch,
    System,
    agent,
    ready,
    running,
    series,
)
from twin_runtime.adapters.broker import start_broker

_APPLIED = 'diten_reports_total{outcome="applied"}'
_POLL_S = 0.1
_QUIET_S = 2.0  # the naive pipeline has stored nothing more for this long: it has ended


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is sent, and for how long."""

    devices: int = 500
    warm_up_s: float = 8.0
    measured_s: float = 30.0
    killed_devices: int = 100
    killed_reports: int = 2_000
    kills: int = 3
    naive_reports: int = 50
    burst_reports: int = 500


async def run(folder: Path, scale: Scale) -> list[Target]:
    """Measure, with scratch files in `folder`; raises `Unavailable` without Mosquitto."""
    for name in ("latency", "kill", "naive"):
        (folder / name).mkdir()
    async with running(folder / "latency") as system:
        targets = await _latency(system, scale)
    async with running(folder / "kill") as system:
        lost = await _lost(system, scale)
        burst = await _burst(system, scale)
    naive = await _naively_lost(folder / "naive", scale)
    return [*targets, _losses(lost, naive, scale), burst]


# --- latency ------------------------------------------------------------------------------


async def _latency(system: System, scale: Scale) -> list[Target]:
    role = agent(system, {"kind": "emulated", "last": scale.devices})
    role.start()
    await asyncio.sleep(scale.warm_up_s + scale.measured_s)
    metrics = await system.edge.metrics()
    await role.stop()
    summary = json.loads((role.folder / "summary.json").read_text())
    # The first ones have waited for their twins to be created.
    latencies_s = sorted(summary["ack_latency_s"][-round(scale.devices * scale.measured_s) :])
    commit_ms = 1000 * median_of_buckets(metrics, "diten_commit_seconds")
    against = f"{len(latencies_s)} reports at {scale.devices}/s; commit p50 {commit_ms:.1f} ms"
    p50, p99 = (1000 * latencies_s[int(share * len(latencies_s))] for share in (0.5, 0.99))
    return [
        Target("ack/p50", p50, "ms", Bar("<=", max(15.0, 4 * commit_ms)), against),
        Target("ack/p99", p99, "ms", Bar("<=", 60.0), against),
    ]


def median_of_buckets(metrics: str, name: str) -> float:
    """The median of a histogram, interpolated within its bucket."""
    found = re.findall(rf'^{name}_bucket{{le="([\d.e+-]+)"}} (\S+)$', metrics, re.MULTILINE)
    half = series(metrics, f"{name}_count") / 2
    buckets = [(0.0, 0.0), *((float(bound), float(count)) for bound, count in found)]
    for (low, below), (high, upto) in pairwise(buckets):
        if upto >= half:
            return low + (high - low) * (half - below) / max(upto - below, 1.0)
    return buckets[-1][0]


# --- kill -9 ------------------------------------------------------------------------------


async def _lost(system: System, scale: Scale) -> dict[str, Any]:
    """What the devices of a burst saw of an edge that was killed in it."""
    spec = _spec(system, scale.killed_devices, scale.killed_reports, session=1, way="windows")
    share = scale.killed_devices * scale.killed_reports // (2 * scale.kills)
    kills = 0
    async with ready("load", spec) as load:
        load.go()
        last_word = asyncio.create_task(load.line(), name="last word")
        while kills < scale.kills and not last_word.done():
            await asyncio.sleep(_POLL_S)
            # Counted since its start, so each kill is as far into a burst of its own.
            if series(await system.edge.metrics(), _APPLIED) >= share:
                await system.edge.stop(signal.SIGKILL)
                system.edge.start()
                await system.edge.ready()
                kills += 1
        found: dict[str, Any] = json.loads(await last_word)
    return {**found, "kills": kills}


async def _naively_lost(folder: Path, scale: Scale) -> int:
    """What the broker took for the naive pipeline that never was stored."""
    count = scale.killed_devices * scale.naive_reports
    async with start_broker("mosquitto", folder=folder) as broker:
        bus = {"host": broker.host, "port": broker.port}
        peer = {**bus, "store": str(folder / "naive.sqlite"), "count": count}
        flood = {
            **bus,
            "devices": scale.killed_devices,
            "reports": scale.naive_reports,
            "session": 1,
            "qos": 1,
        }
        async with ready("peers", peer) as first, ready("flood", flood) as load:
            load.go()
            await _stored(folder / "naive.sqlite", count // 5)
            await first.stop(signal.SIGKILL)
            await load.line()
            async with ready("peers", peer):
                return count - await _stored(folder / "naive.sqlite", count)


async def _stored(store: Path, wanted: int) -> int:
    """How many messages are stored, when there are `wanted` or no more are coming."""
    found, quiet_s = 0, 0.0
    while found < wanted and quiet_s < _QUIET_S:
        await asyncio.sleep(_POLL_S / 10)
        now = await asyncio.to_thread(peers.stored, store)
        quiet_s = 0.0 if now > found else quiet_s + _POLL_S / 10
        found = now
    return found


def _losses(found: dict[str, Any], naive: int, scale: Scale) -> Target:
    sent = scale.killed_devices * scale.killed_reports
    naively = scale.killed_devices * scale.naive_reports
    missing = sent - found["applied"]
    against = (
        f"{sent} reports, {found['kills']} kills, {missing} not applied in the end; "
        f"the naive pipeline lost {naive} of {naively}"
    )
    return Target("kill/acknowledged reports lost", found["lost"], "reports", Bar("<=", 0), against)


# --- burst --------------------------------------------------------------------------------


async def _burst(system: System, scale: Scale) -> Target:
    count = scale.killed_devices * scale.burst_reports
    spec = _spec(system, scale.killed_devices, scale.burst_reports, session=2, way="flood")
    async with ready("load", spec) as load:
        watch = Stopwatch(system.edge.child)
        load.go()
        found = json.loads(await load.line())
        flow = watch.flow(count)
    metrics = await system.edge.metrics()
    gaps = series(metrics, 'diten_reports_total{outcome="gap"}')
    drops = series(metrics, "diten_inbox_drops_total")
    against = (
        f"{count} reports of {scale.killed_devices} devices, {flow}; "
        f"{gaps:.0f} reported as gaps and {drops:.0f} dropped on the way, then sent again"
    )
    missing = count - found["applied"]
    return Target("burst/reports not applied", missing, "reports", Bar("<=", 0), against)


def _spec(system: System, devices: int, reports: int, *, session: int, way: str) -> dict[str, Any]:
    return {
        **system.bus,
        "devices": devices,
        "reports": reports,
        "session": session,
        "way": way,
    }
