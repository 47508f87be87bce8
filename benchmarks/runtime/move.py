"""What a move costs those who move, and how soon twins are back whose edge has died.

pause     devices of a real agent at 50 reports/s, whose twins move between two edges that
          hold a thousand others each; from the last acknowledgement by one edge to the
          first by the next, as the devices hear them
rate      a thousand twins change edges as fast as they are asked to, and as fast as an
          edge drains
blobs     twins with a blob each, beside a system that copies it within the pause
recovery  an edge with a thousand twins is killed: started again at once, as a supervisor
          does, or called lost, so that another edge takes over; until each of its twins
          was acknowledged further than before
"""

import asyncio
import json
import signal
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.runtime import blob_moves
from benchmarks.runtime.ack import median_of_buckets
from benchmarks.runtime.disk import Syncs, syncing
from benchmarks.runtime.site import EDGES, QUICK, Site, other, site, started, twin_id
from benchmarks.runtime.target import Bar, Target
from benchmarks.runtime.testbed import POLL_S, WAIT_S, Role, series
from benchmarks.runtime.watch import Watch, moves_s, watching

_ON_THE_WAY = ("sealing", "activating")
_DONE = 'diten_moves_total{result="done"}'
STALL_S = 0.025  # of a sync that takes 0.4 ms: a move has five in a row
_PARTS = ("the owner seals", "cloud", "target", "cloud", "device and its report")


@dataclass(frozen=True, slots=True)
class Scale:
    """How many twins there are on each edge, how many move, and how often."""

    residents: int = 1_000
    resident_period_s: float = 10.0
    movers: int = 5  # 250 reports/s: more, and the machine would not be idle
    mover_period_s: float = 0.02
    moves: int = 400
    moves_per_s: float = 10.0
    blobs: blob_moves.Scale = field(default_factory=blob_moves.Scale)
    kills: int = 3


async def run(folder: Path, scale: Scale) -> list[Target]:
    """Measure, with scratch files in `folder`; raises `Unavailable` without Mosquitto."""
    for name in ("moves", "blobs", "recovery"):
        (folder / name).mkdir()
    async with site(folder / "moves", len(EDGES)) as moving:
        await started(moving.edges)
        async with watching(moving.broker) as watch:
            residents = await _resident(moving, watch, scale)
            targets = await _pauses(moving, watch, scale)
            targets += await _rates(moving, scale)
            await residents.stop()
    targets += await blob_moves.run(folder / "blobs", scale.blobs)
    async with site(folder / "recovery", len(EDGES)) as dying:
        targets += await _recoveries(dying, scale)
    return targets


async def _resident(moving: Site, watch: Watch, scale: Scale) -> Role:
    """An agent with the twins that stay: as many on each edge."""
    count = len(EDGES) * scale.residents
    source = {"kind": "emulated", "last": count, "period_s": scale.resident_period_s}
    agent = moving.agent("d-residents", source)
    await watch.acknowledged(count)
    return agent


# --- pauses ---------------------------------------------------------------------------------


async def _pauses(moving: Site, watch: Watch, scale: Scale) -> list[Target]:
    first = len(EDGES) * scale.residents + 1
    movers = range(first, first + scale.movers)
    source = {"kind": "emulated", "first": first, "last": movers[-1]}
    agent = moving.agent("d-movers", source | {"period_s": scale.mover_period_s}, QUICK)
    await watch.acknowledged(first - 1 + scale.movers)
    twins = [twin_id(number) for number in movers]
    watch.follow(twins)
    with syncing(agent.folder) as syncs:
        await _wander(moving, twins, scale)
        await _arrived(moving, twins, watch)
    moves = [times_s for twin in twins for times_s in moves_s(watch.steps[twin])]
    await agent.stop()
    commit_ms = 1000 * median_of_buckets(await moving.edges[0].metrics(), "diten_commit_seconds")
    pauses_s = json.loads((agent.folder / "summary.json").read_text())["move_pause_s"]
    p50, p99 = (1000 * _quantile(pauses_s, share) for share in (0.5, 0.99))
    against = f"{len(pauses_s)} moves, {scale.residents} twins on each edge"
    return [
        Target("move/pause p50", p50, "ms", Bar("<=", max(25.0, 8 * commit_ms)),
               f"{against}; commit p50 {commit_ms:.1f} ms; {_where(moves)}"),
        Target("move/pause p99", p99, "ms", Bar("<=", 100.0), f"{against}; {_held(moves, syncs)}"),
    ]  # fmt: skip


async def _wander(moving: Site, twins: Sequence[str], scale: Scale) -> None:
    """Let the twins move to and fro in turn, at an even pace."""
    began_s = time.monotonic()
    for number in range(scale.moves):
        await asyncio.sleep(began_s + number / scale.moves_per_s - time.monotonic())
        twin = twins[number % len(twins)]
        await moving.move(twin, other(await moving.owner(twin)))


async def _arrived(moving: Site, twins: Sequence[str], watch: Watch) -> None:
    """Return when all are owned, and their devices have heard of it."""
    for twin in twins:
        await moving.owner(twin)
    await watch.beyond({twin: watch.applied[twin] for twin in twins})


def _where(moves: Sequence[tuple[float, ...]]) -> str:
    """Where the pause goes: the median of each part, as heard at the broker."""
    parts_s = zip(*([b - a for a, b in pairwise(times_s)] for times_s in moves), strict=True)
    return ", ".join(
        f"{name} {1000 * median(part_s):.1f}" for name, part_s in zip(_PARTS, parts_s, strict=True)
    )


def _held(moves: Sequence[tuple[float, ...]], syncs: Syncs) -> str:
    """What the disk had to do with it: its own slowest syncs, and the moves that met none."""
    bare = [1000 * syncs.quantile_s(share) for share in (0.5, 0.99, 1.0)]
    free = [times_s[-1] - times_s[0] for times_s in moves
            if syncs.longest_s(times_s[0], times_s[-1]) < STALL_S]  # fmt: skip
    said = "a bare sync of the disk took {:.1f} (p50), {:.0f} (p99), {:.0f} ms (longest)"
    rest = f"the {len(free)} moves without one of {1000 * STALL_S:.0f} ms or more: p99 "
    return f"{said.format(*bare)}; {rest}{1000 * _quantile(free, 0.99):.0f} ms"


def _quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(int(share * len(values)), len(values) - 1)]


# --- rates ----------------------------------------------------------------------------------


async def _rates(moving: Site, scale: Scale) -> list[Target]:
    """All residents change edges, then one edge drains; neither is paced by anybody."""
    twins = [twin_id(number + 1) for number in range(len(EDGES) * scale.residents)]
    there = [(twin, other(await moving.owner(twin))) for twin in twins]
    asked = await _rate(moving, "asked", moving.move_all(there))
    drained = await _rate(moving, "drained", moving.say("e-1", "drain"))
    return [asked, drained]


async def _rate(moving: Site, name: str, beginning: Coroutine[Any, Any, None]) -> Target:
    """How many moves there are in a second until all that `beginning` begins have ended."""
    used_s, began_s, before = moving.cpu_s(), time.monotonic(), await _moves(moving)
    await beginning
    moves = await _ended(moving) - before
    wall_s = time.monotonic() - began_s
    each_ms = {who: 1000 * (s - used_s[who]) / moves for who, s in moving.cpu_s().items()}
    cost = ", ".join(f"{who} {ms:.2f}" for who, ms in each_ms.items())
    against = f"{moves:.0f} moves; CPU ms for each: {cost}"
    return Target(f"move/rate {name}", moves / wall_s, "moves/s", Bar(">=", 100.0), against)


async def _ended(moving: Site) -> float:
    """How many moves there were, as soon as no twin is to move any more."""
    async with asyncio.timeout(WAIT_S):
        while True:
            metrics = await moving.cloud.metrics()
            counts = [series(metrics, f'diten_twins{{phase="{each}"}}') for each in _ON_THE_WAY]
            drained = all(
                entry["twins"] == 0
                for entry in (await moving.api.get("edges")).json()
                if entry["state"] == "draining"
            )
            if drained and not any(counts):
                return series(metrics, _DONE)
            await asyncio.sleep(POLL_S)


async def _moves(moving: Site) -> float:
    return series(await moving.cloud.metrics(), _DONE)


# --- recovery -------------------------------------------------------------------------------


async def _recoveries(dying: Site, scale: Scale) -> list[Target]:
    first, second = dying.edges
    await started([first])  # alone, so that it gets all twins
    async with watching(dying.broker) as watch:
        agent = dying.agent("d-recovered", {"kind": "emulated", "last": scale.residents})
        await watch.acknowledged(scale.residents)
        returns_s = [await _returned(first, watch) for _ in range(scale.kills)]
        await started([second])
        over_s = await _taken_over(dying, first, watch)
        await agent.stop()
    many = f"{scale.residents} twins at 1 Hz, from the kill"
    each = ", ".join(f"{took_s:.1f}" for took_s in returns_s)
    return [
        Target("recovery/started again", max(returns_s), "s", Bar("<=", 5.0), f"{many}; {each}"),
        Target("recovery/called lost", over_s, "s", Bar("<=", 5.0), many),
    ]


async def _returned(edge: Role, watch: Watch) -> float:
    began_s = time.monotonic()
    await edge.stop(signal.SIGKILL)
    before = dict(watch.applied)
    edge.start()
    await watch.beyond(before)
    return time.monotonic() - began_s


async def _taken_over(dying: Site, edge: Role, watch: Watch) -> float:
    began_s = time.monotonic()
    await edge.stop(signal.SIGKILL)
    before = dict(watch.applied)
    await dying.say(edge.folder.name, "lost")
    await watch.beyond(before)
    return time.monotonic() - began_s
