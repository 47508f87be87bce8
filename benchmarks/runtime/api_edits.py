"""From a wish to its report: PATCH of a desired property, device, report, event to a reader.

The clock runs from the first byte of the request until a reader of the thing's changes has
the event in which the device reports what was wished for. Nothing else happens meanwhile, and
between two wishes there is time enough for all that follows of one.
"""

import asyncio
import json
import time
from statistics import median, quantiles

from benchmarks.runtime.target import Bar, Target
from benchmarks.runtime.testbed import READY_S, Role
from twin_runtime.core.thing import part_of

FEATURE = "sample_period_s"
_VALUE = ("features", FEATURE, "properties", "value")


async def run(edge: Role, cloud: Role, twin: str, times: int, pause_s: float) -> list[Target]:
    """Wish `times` at the edge that owns `twin`, and as often through the cloud."""
    periods_s = [3600.0 + number for number in range(2 * times + 2)]
    at_edge = await _took_ms(edge, twin, periods_s[: times + 1], pause_s)
    at_cloud = await _took_ms(cloud, twin, periods_s[times + 1 :], pause_s)
    return [_target("api/edit, edge", at_edge), _target("api/edit, cloud", at_cloud)]


async def _took_ms(role: Role, twin: str, periods_s: list[float], pause_s: float) -> list[float]:
    """Wish for each of these sample periods; how long all but the first took, in ms."""
    took_ms = []
    events, following = await asyncio.open_connection("127.0.0.1", role.http_port)
    answers, writing = await asyncio.open_connection("127.0.0.1", role.http_port)
    following.write(_head("GET", twin, "Accept: text/event-stream"))
    assert b" 200 " in await events.readuntil(b"\r\n\r\n")
    for period_s in periods_s:
        await asyncio.sleep(pause_s)
        body = json.dumps({FEATURE: {"desiredProperties": {"value": period_s}}})
        length = f"Content-Length: {len(body)}"
        began_s = time.monotonic()
        writing.write(_head("PATCH", f"{twin}/features", length) + body.encode())
        await _reported(events, period_s)
        took_ms.append(1000 * (time.monotonic() - began_s))
        head = await answers.readuntil(b"\r\n\r\n")
        assert b" 204 " in head, head
    for connection in (following, writing):
        connection.close()
    return took_ms[1:]


def _target(name: str, took_ms: list[float]) -> Target:
    p99_ms = quantiles(took_ms, n=100, method="inclusive")[98]
    said = f"{len(took_ms)} wishes, one by one: p99 {p99_ms:.0f} ms, least {min(took_ms):.0f} ms"
    return Target(name, median(took_ms), "ms", Bar("<=", 50.0), said)


async def _reported(events: asyncio.StreamReader, period_s: float) -> None:
    """Return at the event in which the device has this sample period."""
    async with asyncio.timeout(READY_S):
        while True:
            line = await events.readline()
            if line.startswith(b"data: "):
                thing = json.loads(line.removeprefix(b"data: "))
                if part_of(thing, _VALUE) == period_s:
                    return
            assert line, "the stream ended"


def _head(method: str, path: str, header: str) -> bytes:
    lines = (f"{method} /api/2/things/{path} HTTP/1.1", "Host: diten", header)
    return "\r\n".join((*lines, "\r\n")).encode()
