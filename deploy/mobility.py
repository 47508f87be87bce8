"""`diten up --mobility`: devices that walk about a site, and twins that follow them.

The site, the walk and the policy are those of [P3]'s problem. Where the edges stand is drawn
from `SITE_SEED`, as a paper's experiment draws it; an edge more leaves the others in place.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx

SITE_SEED = 2  # its first edges stand well apart
PERIOD_S_MIN = 0.5  # between two decisions, however fast devices walk
FOLLOW_PERIOD_S = 1.0
SAY_PERIOD_S = 5.0  # what changes every second is no news
_EVENTS_PAGE = 1_000


def edge_places(edges: int) -> list[dict[str, float]]:
    """Where the edges of the site stand."""
    import numpy as np

    from twin_runtime.problems.association import PROBLEM
    from twin_runtime.problems.scenarios.walking_site import walking_site

    site = PROBLEM.begin(walking_site(1, edges), 1, np.random.default_rng(SITE_SEED))
    return [{"x_m": round(float(x), 1), "y_m": round(float(y), 1)} for x, y in site.edge_m[0]]


def association(speed: float) -> dict[str, Any]:
    """The cloud's `[association]`: a decision a slot, as long as walkers take for one."""
    from twin_runtime.problems.scenarios.walking_site import walking_site

    slot_s = walking_site(1, 1).slot_s
    return {"policy": "pack_and_hold", "period_s": max(slot_s / speed, PERIOD_S_MIN)}


async def follow(url: str, say: Callable[[str], None]) -> None:
    """Say now and then how many moves there were, and how many twins each edge has."""
    async with httpx.AsyncClient(base_url=url, timeout=FOLLOW_PERIOD_S, trust_env=False) as client:
        after, moves, said = await _newest(client), 0, ""
        while True:
            await asyncio.sleep(SAY_PERIOD_S)
            try:
                more, after = await _moves_since(client, after)
                moves += more
                line = f"{moves} moves; twins: {await _twins(client)}"
            except (httpx.TransportError, httpx.HTTPStatusError):
                continue  # the cloud restarts; the next look counts what was missed
            if line != said:
                say(line)
            said = line


async def _newest(client: httpx.AsyncClient) -> int:
    """The number of the last event of an earlier run, once the cloud answers."""
    while True:
        try:
            events = await _asked(client, "/api/v1/events?limit=1")
            return int(events["next"])
        except (httpx.TransportError, httpx.HTTPStatusError):
            await asyncio.sleep(FOLLOW_PERIOD_S)


async def _moves_since(client: httpx.AsyncClient, after: int) -> tuple[int, int]:
    """The moves that ended after an event, and the number of the last one."""
    page = await _asked(client, f"/api/v1/events?after={after}&limit={_EVENTS_PAGE}")
    ended = [event for event in page["events"] if event["kind"] == "owned" and "from" in event]
    return len(ended), int(page["next"])


async def _twins(client: httpx.AsyncClient) -> str:
    edges = await _asked(client, "/api/v1/edges")
    return ", ".join(f"{edge['edge']} {edge['twins']}" for edge in edges)


async def _asked(client: httpx.AsyncClient, path: str) -> Any:
    response = await client.get(path)
    response.raise_for_status()
    return response.json()
