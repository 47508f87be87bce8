"""The metrics of edges over HTTP at the cloud: for the page, which reaches no other process.

GET /api/v1/edges/{edge}/metrics   as the edge's own /metrics; 503 while it is away
"""

from collections.abc import Awaitable, Callable
from typing import Annotated

import httpx
from fastapi import APIRouter, Path, Response

from twin_runtime.adapters.http_problem import UNAVAILABLE, problem
from twin_runtime.adapters.process_http import PlainText
from twin_runtime.core import effects
from twin_runtime.core.effects import Answer, ListEdges
from twin_runtime.core.errors import Unavailable
from twin_runtime.core.ids import EDGE_PATTERN
from twin_runtime.core.limits import ANSWER_S

Ask = Callable[[effects.Request], Awaitable[Answer]]
EdgeId = Annotated[str, Path(pattern=EDGE_PATTERN)]


def with_edge_metrics(router: APIRouter, ask: Ask, client: httpx.AsyncClient) -> APIRouter:
    """`router`, whose prefix is `/api/v1`, with this route: `ask` puts a request before the
    cloud's machine, `client` reaches edges."""

    @router.get("/edges/{edge}/metrics", response_class=PlainText)
    async def metrics(edge: EdgeId) -> Response:
        """What an edge counts and measures, in Prometheus' text format."""
        try:
            found = await ask(ListEdges())
        except Unavailable as unavailable:
            return problem(UNAVAILABLE, "unavailable", str(unavailable))
        apis = {each["edge"]: each["api"] for each in found.value}
        if edge not in apis:
            return problem(404, "unknown_edge", f"no edge {edge} has said hello")
        if apis[edge] is None:
            text = f"{edge} has not said where it serves HTTP ([http] advertise)"
            return problem(UNAVAILABLE, "edge_unreachable", text)
        try:
            answer = await client.get(f"{apis[edge]}/metrics", timeout=ANSWER_S)
        except httpx.TransportError:
            return problem(UNAVAILABLE, "edge_unreachable", f"{edge} cannot be reached")
        return PlainText(answer.content, answer.status_code)

    return router
