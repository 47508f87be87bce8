"""Values of a feature over HTTP at the cloud: asked of the edge that owns the twin.

GET /api/v1/twins/{id}/history   answered as the owner answers; 503 while it is away
"""

from collections.abc import Awaitable, Callable
from typing import Annotated

import httpx
from fastapi import APIRouter, Query, Request, Response

from twin_runtime.adapters.history_http import ROWS, Asked
from twin_runtime.adapters.http_problem import UNAVAILABLE, problem
from twin_runtime.core import effects
from twin_runtime.core.effects import Answer, WhoOwns
from twin_runtime.core.errors import Unavailable
from twin_runtime.core.limits import ANSWER_S

Ask = Callable[[effects.Request], Awaitable[Answer]]

_ANSWERED = ("content-type", "link", "history-first-revision", "retry-after")


def with_forwarded_history(router: APIRouter, ask: Ask, client: httpx.AsyncClient) -> APIRouter:
    """`router`, whose prefix is `/api/v1`, with this route: `ask` puts a request before the
    cloud's machine, `client` reaches edges."""

    @router.get("/twins/{twin}/history", responses=ROWS)
    async def history(request: Request, twin: str, asked: Annotated[Asked, Query()]) -> Response:
        """What was reported of a feature, oldest first, with when it was observed."""
        del asked  # the owner reads it, too
        try:
            found = await ask(WhoOwns(twin))
        except Unavailable as unavailable:
            return problem(UNAVAILABLE, "unavailable", str(unavailable))
        if found.refused is not None:
            return problem(404, *found.refused)
        api = found.value.get("api")
        if api is None:
            return _away(found.value["owner"])
        headers = {"Accept": request.headers.get("accept", "*/*")}
        url = httpx.URL(api + request.url.path, query=request.url.query.encode())
        try:
            answer = await client.get(url, headers=headers, timeout=2 * ANSWER_S)
        except httpx.TransportError:
            return _away(found.value["owner"])
        if answer.is_redirect:
            return _away(found.value["owner"])  # it has just let go of the twin
        relayed = {name: answer.headers[name] for name in _ANSWERED if name in answer.headers}
        return Response(answer.content, answer.status_code, relayed)

    return router


def _away(edge: str) -> Response:
    text = f"{edge} has the history of this twin and cannot be reached: ask again"
    return problem(UNAVAILABLE, "owner_unreachable", text)
