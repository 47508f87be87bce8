"""HTTP for the receipts of the association's decisions, at the cloud.

    GET /api/v1/decisions?after=N   receipts after number N, in order; without `after` the newest

Errors are problems in the sense of RFC 9457.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Query, Response

from twin_runtime.adapters.http_problem import UNAVAILABLE, problem
from twin_runtime.core.effects import Answer, NewestDecision, Request
from twin_runtime.core.errors import Unavailable
from twin_runtime.core.limits import DECISIONS_PAGE_MAX
from twin_runtime.core.scalar import INTEGER_MAX
from twin_runtime.ports import LogEntry

_DEFAULT = 20

Ask = Callable[[Request], Awaitable[Answer]]
Scan = Callable[[int, int], list[LogEntry]]


def with_decisions(router: APIRouter, ask: Ask, scan: Scan) -> APIRouter:
    """`router`, whose prefix is `/api/v1`, with this route: `ask` puts a request before the
    machine, `scan(after, limit)` reads the log."""

    @router.get("/decisions")
    async def decisions(
        after: Annotated[int | None, Query(ge=0, le=INTEGER_MAX)] = None,
        limit: Annotated[int, Query(ge=1, le=DECISIONS_PAGE_MAX)] = _DEFAULT,
    ) -> Response:
        """Receipts in order; ask on with `next` as `after`."""
        if after is None:
            try:
                newest = await ask(NewestDecision())
            except Unavailable as unavailable:
                return problem(UNAVAILABLE, "unavailable", str(unavailable))
            after = max(newest.value - limit, 0)
        found = await asyncio.to_thread(scan, after, limit)
        receipts = b",".join(entry.value for entry in found)
        last = found[-1].number if found else after
        body = b'{"decisions":[%b],"next":%d}' % (receipts, last)
        return Response(body, media_type="application/json")

    return router
