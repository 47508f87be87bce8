"""The metrics of an edge at the cloud: the edge is asked, and its answer is passed on."""

import asyncio
from collections.abc import Callable

import httpx
import pytest
from fastapi import APIRouter, FastAPI

from twin_runtime.adapters.metrics_forward import with_edge_metrics
from twin_runtime.core.effects import Answer, ListEdges, Request
from twin_runtime.core.errors import Unavailable

API = "http://10.0.0.1:8421"


def asked(
    edge: str,
    serve: Callable[[httpx.Request], httpx.Response],
    *,
    api: str | None = API,
    away: bool = False,
) -> httpx.Response:
    async def ask(request: Request) -> Answer:
        assert request == ListEdges()
        if away:
            raise Unavailable("the disk is full")
        return Answer(1, value=[{"edge": "e-1", "api": api}])

    async def body() -> httpx.Response:
        app = FastAPI()
        edges = httpx.AsyncClient(transport=httpx.MockTransport(serve))
        app.include_router(with_edge_metrics(APIRouter(prefix="/api/v1"), ask, edges))
        transport = httpx.ASGITransport(app)
        async with edges, httpx.AsyncClient(transport=transport, base_url="http://c") as client:
            return await client.get(f"/api/v1/edges/{edge}/metrics")

    return asyncio.run(body())


def _refuse(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


def test_the_metrics_of_an_edge_are_passed_on() -> None:
    def serve(request: httpx.Request) -> httpx.Response:
        assert str(request.url) == f"{API}/metrics"
        return httpx.Response(200, text="diten_ready 1.0\n")

    answer = asked("e-1", serve)
    assert (answer.status_code, answer.text) == (200, "diten_ready 1.0\n")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")


def test_an_edge_nobody_knows_is_404() -> None:
    assert asked("e-9", _refuse).status_code == 404


@pytest.mark.parametrize("api", [API, None])
def test_an_edge_that_cannot_be_reached_is_503_and_named(api: str | None) -> None:
    answer = asked("e-1", _refuse, api=api)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert "e-1" in answer.json()["detail"]


def test_a_cloud_that_cannot_answer_now_says_so() -> None:
    answer = asked("e-1", _refuse, away=True)
    assert (answer.status_code, answer.json()["detail"]) == (503, "the disk is full")
