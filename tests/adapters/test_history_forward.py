"""The history of a twin at the cloud: its owner is asked, and its answer is passed on."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI

from twin_runtime.adapters.history_forward import with_forwarded_history
from twin_runtime.core.effects import Answer, Refused, Request, WhoOwns

API = "http://10.0.0.1:8421"
ROWS = "/api/v1/twins/d-1/history?feature=a"
OWNED: dict[str, Any] = {"twin": "d-1", "owner": "e-1", "api": API}


def asked(
    path: str,
    edge: Callable[[httpx.Request], httpx.Response],
    where: dict[str, Any] = OWNED,
    **headers: str,
) -> httpx.Response:
    async def ask(request: Request) -> Answer:
        assert isinstance(request, WhoOwns)
        if request.twin != "d-1":
            return Answer(1, Refused("unknown_twin", "there is no such twin"))
        return Answer(1, value=where)

    async def body() -> httpx.Response:
        app = FastAPI()
        edges = httpx.AsyncClient(transport=httpx.MockTransport(edge))
        app.include_router(with_forwarded_history(APIRouter(prefix="/api/v1"), ask, edges))
        transport = httpx.ASGITransport(app)
        async with edges, httpx.AsyncClient(transport=transport, base_url="http://c") as client:
            return await client.get(path, headers=headers)

    return asyncio.run(body())


def test_the_owner_gets_the_question_as_it_was_asked() -> None:
    seen: list[httpx.Request] = []

    def edge(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        headers = {"History-First-Revision": "7", "Link": '<x>; rel="next"'}
        return httpx.Response(200, headers=headers, text="observed_ms,value,quality\r\n")

    answer = asked(f"{ROWS}&from=2026-01-01T00:00:00Z&points=9", edge, Accept="text/csv")
    assert str(seen[0].url) == f"{API}{ROWS}&from=2026-01-01T00:00:00Z&points=9"
    assert seen[0].headers["Accept"] == "text/csv"
    assert answer.text == "observed_ms,value,quality\r\n"
    assert (answer.headers["History-First-Revision"], answer.headers["Link"]) == (
        *("7", '<x>; rel="next"'),
    )


def test_the_owners_problem_is_passed_on() -> None:
    answer = asked(ROWS, lambda _: httpx.Response(404, json={"detail": "no feature"}))
    assert (answer.status_code, answer.json()) == (404, {"detail": "no feature"})


def test_a_twin_nobody_knows_is_404() -> None:
    answer = asked("/api/v1/twins/d-9/history?feature=a", lambda _: httpx.Response(200))
    assert (answer.status_code, answer.json()["detail"]) == (404, "there is no such twin")


def _refuse(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


@pytest.mark.parametrize(
    "edge, where",
    [
        (_refuse, OWNED),
        (lambda _: httpx.Response(307, headers={"Location": "http://e-2"}), OWNED),
        (lambda _: httpx.Response(200), {"twin": "d-1", "owner": "e-1"}),
    ],
)
def test_an_owner_that_is_away_is_503_and_named(
    edge: Callable[[httpx.Request], httpx.Response], where: dict[str, Any]
) -> None:
    answer = asked(ROWS, edge, where)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert "e-1" in answer.json()["detail"]
