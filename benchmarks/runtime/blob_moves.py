"""Pauses of twins with a blob, copied ahead of the move and, beside it, within the pause.

The second is a system of its own (`stop_and_copy`), and the only one of the two that makes
its twins wait for their bytes. Each move carries new bytes: an edge that had a twin before
keeps its blobs for an hour, and would have nothing to copy.
"""

import asyncio
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from statistics import median

import httpx

from benchmarks.runtime.site import EDGES, QUICK, Site, other, site, started, twin_id
from benchmarks.runtime.target import Bar, Target
from benchmarks.runtime.testbed import POLL_S, READY_S, WAIT_S
from benchmarks.runtime.watch import Watch, watching

PEER = "benchmarks.runtime.stop_and_copy"


@dataclass(frozen=True, slots=True)
class Scale:
    """How many twins move how often, with how much."""

    twins: int = 10
    rounds: int = 4
    blob_bytes: int = 1024 * 1024
    period_s: float = 0.02


async def run(folder: Path, scale: Scale) -> list[Target]:
    """Measure, with scratch files in `folder`."""
    for name in ("ahead", "within"):
        (folder / name).mkdir()
    async with site(folder / "ahead", len(EDGES)) as ours:
        ahead_ms = await _pauses_ms(ours, scale)
    peer = site(folder / "within", len(EDGES), cloud_module=PEER, edge_module=PEER)
    async with peer as theirs:
        within_ms = await _pauses_ms(theirs, scale)
    ours_ms, theirs_ms = median(ahead_ms), median(within_ms)
    against = (
        f"{len(ahead_ms)} moves with {scale.blob_bytes / 2**20:g} MiB each: {ours_ms:.1f} ms (p50),"
        f" {max(ahead_ms):.1f} ms at most; stop-and-copy {theirs_ms:.1f} and {max(within_ms):.1f}"
    )
    ratio = ours_ms / theirs_ms
    return [Target("move/pause with blobs", ratio, "of stop-and-copy", Bar("<=", 1.0), against)]


async def _pauses_ms(moving: Site, scale: Scale) -> list[float]:
    """What devices saw, of a system whose twins are all given new blobs and then moved."""
    await started(moving.edges)
    twins = [twin_id(number + 1) for number in range(scale.twins)]
    source = {"kind": "emulated", "last": scale.twins, "period_s": scale.period_s}
    agent = moving.agent("d-blobs", source, QUICK)
    async with watching(moving.broker) as watch:
        await watch.acknowledged(scale.twins)
        for _ in range(scale.rounds):
            await _give(moving, twins, scale.blob_bytes)
            await _change_edges(moving, twins, watch)
    await agent.stop()
    pauses_s = json.loads((agent.folder / "summary.json").read_text())["move_pause_s"]
    return [1000 * pause_s for pause_s in pauses_s]


async def _give(moving: Site, twins: Sequence[str], blob_bytes: int) -> None:
    """Give each twin bytes of its own, and return when the cloud has them."""
    edges = {edge.folder.name: edge for edge in moving.edges}
    async with httpx.AsyncClient(timeout=READY_S, trust_env=False) as client:
        for twin in twins:
            path = f"api/v1/twins/{twin}/blobs/model"
            content = secrets.token_bytes(blob_bytes)
            owner = edges[await moving.owner(twin)]
            (await client.put(owner.url(path), content=content)).raise_for_status()
            await _kept(client, moving.cloud.url(path), sha256(content).hexdigest())


async def _kept(client: httpx.AsyncClient, url: str, digest: str) -> None:
    async with asyncio.timeout(WAIT_S):
        while True:
            answer = await client.head(url)
            if answer.is_success and digest in answer.headers["ETag"]:
                return
            await asyncio.sleep(POLL_S)


async def _change_edges(moving: Site, twins: Sequence[str], watch: Watch) -> None:
    """Move the twins one by one, each when the one before has arrived."""
    for twin in twins:
        edge = other(await moving.owner(twin))
        await moving.move(twin, edge)
        await moving.owned_by(twin, edge)
        await watch.beyond({twin: watch.applied[twin]})
