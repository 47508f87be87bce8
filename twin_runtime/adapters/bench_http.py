"""HTTP for what `diten bench` measured, at the cloud.

    GET /api/v1/bench   the last figure of each target, its bar, and when it was measured

Errors are problems in the sense of RFC 9457.
"""

import asyncio
from pathlib import Path

from fastapi import APIRouter, Response
from pydantic import BaseModel

from twin_runtime.adapters.bench_figures import Figure, kept
from twin_runtime.adapters.http_problem import UNAVAILABLE, problem
from twin_runtime.core.errors import Unavailable


class Figures(BaseModel):
    """What is answered."""

    figures: list[Figure]


def with_bench(router: APIRouter, folder: Path) -> APIRouter:
    """`router`, whose prefix is `/api/v1`, with this route: figures are kept in `folder`."""

    @router.get("/bench", response_model=Figures)
    async def bench() -> Figures | Response:
        """The last figure of each target of `diten bench --keep`; none before it was run."""
        try:
            return Figures(figures=await asyncio.to_thread(kept, folder))
        except Unavailable as unavailable:
            return problem(UNAVAILABLE, "unavailable", str(unavailable))

    return router
