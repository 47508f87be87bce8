"""Reads of one thing at an edge, beside a bare FastAPI handler that returns the same bytes.

Both are processes with the same server. They take turns with the same client, which has
several connections, so that the server never waits for it.
"""

import asyncio
from statistics import median

import httpx

from benchmarks.runtime.keep_alive import answers_s
from benchmarks.runtime.target import Bar, Flow, Target, middle
from benchmarks.runtime.testbed import Child, Stopwatch, System, own

CONNECTIONS = 8
_PATH = "/api/2/things/{}"


async def run(system: System, twin: str, repeats: int, reads: int) -> list[Target]:
    """Read the thing of `twin`, `reads` times in each of `repeats` turns."""
    path = _PATH.format(twin)
    async with httpx.AsyncClient() as client:
        body = (await client.get(system.edge.url(path.removeprefix("/")))).text
    bare = own("bare_api", {"body": body})
    try:
        bare_port = int(await bare.line())
        pairs = [
            (
                await _turn(bare, bare_port, path, reads),
                await _turn(system.edge.child, system.edge.http_port, path, reads),
            )
            for _ in range(repeats + 1)
        ][1:]  # the first one warms both up
    finally:
        await bare.stop()
    return [_target(pairs, len(body))]


async def _turn(child: Child, port: int, path: str, reads: int) -> Flow:
    watch = Stopwatch(child)
    await asyncio.to_thread(answers_s, port, path, CONNECTIONS, reads)
    return watch.flow(reads)


def _target(pairs: list[tuple[Flow, Flow]], body_bytes: int) -> Target:
    ratio = median(edge.rate / bare.rate for bare, edge in pairs)
    cpu = median(bare.cpu_s / edge.cpu_s for bare, edge in pairs)
    bare, edge = (middle(flows) for flows in zip(*pairs, strict=True))
    return Target("api/reads", ratio, "ratio", Bar(">=", 0.6), (
        f"{body_bytes} bytes: {_said(edge)}, a bare FastAPI handler {_said(bare)};"
        f" by CPU {cpu:.2f}"
    ))  # fmt: skip


def _said(flow: Flow) -> str:
    return f"{flow.rate:,.0f}/s at {flow.cpu_s_per_100k * 10:.0f} µs of CPU"
