"""Receipts over HTTP: the newest, or all after a number, in order."""

import asyncio
from typing import Any

import httpx
from fastapi import APIRouter, FastAPI

from twin_runtime.adapters.decisions_http import with_decisions
from twin_runtime.core.effects import Answer, NewestDecision, Request
from twin_runtime.core.errors import Unavailable
from twin_runtime.core.limits import DECISIONS_PAGE_MAX
from twin_runtime.ports import LogEntry

LOG = [LogEntry("all", number, b'{"number":%d}' % number) for number in range(1, 31)]


def called(path: str, *, away: bool = False) -> httpx.Response:
    async def ask(request: Request) -> Answer:
        assert request == NewestDecision()
        if away:
            raise Unavailable("no answer within 5 s")
        return Answer(1, value=LOG[-1].number)

    def scan(after: int, limit: int) -> list[LogEntry]:
        return [entry for entry in LOG if entry.number > after][:limit]

    async def call() -> httpx.Response:
        app = FastAPI()
        app.include_router(with_decisions(APIRouter(prefix="/api/v1"), ask, scan))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://cloud") as client:
            return await client.get(f"/api/v1/decisions{path}")

    return asyncio.run(call())


def numbers(page: dict[str, Any]) -> list[int]:
    return [receipt["number"] for receipt in page["decisions"]]


def test_without_a_number_the_newest_receipts_are_given() -> None:
    page = called("").json()
    assert (numbers(page), page["next"]) == (list(range(11, 31)), 30)


def test_receipts_are_read_page_by_page_until_there_are_no_more() -> None:
    first = called("?after=0&limit=20").json()
    second = called(f"?after={first['next']}&limit=20").json()
    last = called(f"?after={second['next']}&limit=20").json()
    assert numbers(first) + numbers(second) == list(range(1, 31))
    assert last == {"decisions": [], "next": 30}


def test_what_cannot_be_a_page_is_refused() -> None:
    for query in ("?after=-1", "?limit=0", f"?limit={DECISIONS_PAGE_MAX + 1}", "?after=x"):
        assert called(query).status_code == 422, query


def test_a_cloud_that_cannot_answer_now_says_when_to_ask_again() -> None:
    answer = called("", away=True)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "no answer within 5 s" in answer.json()["detail"]
