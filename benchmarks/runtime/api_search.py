"""Searches among many twins, at an edge and at the cloud: the first page of what is found."""

import time
from statistics import median
from urllib.parse import quote

import httpx

from benchmarks.runtime.target import Bar, Target
from benchmarks.runtime.testbed import WAIT_S, Role, Stopwatch, System, ready

_VALUE = "features/channel_{:02}/properties/value"
# Three in a thousand are found, so that all are looked at.
_FEW = f"and(gt({_VALUE.format(0)},3.29),lt({_VALUE.format(1)},3))"
SEARCHES = {
    "search": f"filter={quote(_FEW)}",
    "search sorted": f"option={quote(f'sort(-{_VALUE.format(0)})')}",
}


async def load(system: System, twins: int) -> None:
    """Let `twins` come into being, twelve numbers each."""
    spec = {**system.bus, "devices": twins, "reports": 1, "session": 1, "board": True}
    async with ready("load", spec) as devices:
        devices.go()
        await devices.line()


async def run(system: System, times: int) -> list[Target]:
    """Search all twins that there are, so many times each."""
    roles = {"edge": system.edge, "cloud": system.cloud}
    return [
        await _searched(f"api/{name}, {place}", role, query, times)
        for name, query in SEARCHES.items()
        for place, role in roles.items()
    ]


async def _searched(name: str, role: Role, query: str, times: int) -> Target:
    url = role.url("api/2/search/things")
    async with httpx.AsyncClient(timeout=WAIT_S) as client:
        among = (await client.get(f"{url}/count")).text
        watch, took_ms = Stopwatch(role.child), []
        for _ in range(times):
            began_s = time.monotonic()
            (await client.get(f"{url}?{query}")).raise_for_status()
            took_ms.append(1000 * (time.monotonic() - began_s))
    cpu_ms = watch.flow(times).cpu_s_per_100k / 100
    said = (
        f"among {among} twins, {times} times: least {min(took_ms):.0f} ms, {cpu_ms:.0f} ms of CPU"
    )
    return Target(name, median(took_ms), "ms", Bar("<=", 50.0), said)
