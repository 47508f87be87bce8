"""Moves over HTTP: accepted once durable, refused in words, as problems of RFC 9457."""

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from twin_runtime.adapters.moves_http import moves_router
from twin_runtime.core.effects import Move, Refused
from twin_runtime.core.errors import Unavailable
from twin_runtime.core.limits import PACKET_BYTES_MAX

MOVE = {"twin": "d-1", "to": "e-2"}


def posted(answer: Refused | Unavailable | None = None, **request: Any) -> httpx.Response:
    """The answer to a request whose move is answered so."""

    async def ask(move: Move) -> Refused | None:
        assert move == Move("d-1", "e-2")
        if isinstance(answer, Unavailable):
            raise answer
        return answer

    async def post() -> httpx.Response:
        app = FastAPI()
        app.include_router(moves_router(ask))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://cloud") as client:
            return await client.post("/api/v1/moves", **request)

    return asyncio.run(post())


def test_a_move_is_accepted() -> None:
    answer = posted(json=MOVE)
    assert (answer.status_code, answer.json()) == (202, MOVE)


@pytest.mark.parametrize(
    "code, status", [("unknown_twin", 404), ("unknown_edge", 404), ("busy", 409)]
)
def test_a_move_that_is_refused_says_why(code: str, status: int) -> None:
    answer = posted(Refused(code, "because"), json=MOVE)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": f"urn:diten:{code}",
        "title": code.replace("_", " "),
        "status": status,
        "detail": "because",
    }


def test_a_cloud_that_cannot_answer_says_when_to_ask_again() -> None:
    answer = posted(Unavailable("the disk is full"), json=MOVE)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["detail"] == "the disk is full"


@pytest.mark.parametrize(
    "body, said",
    [
        (b"{", "the body: Invalid JSON"),
        (b'{"twin": "d-1"}', "to: Field required"),
        (b'{"twin": "host", "to": "e-2"}', "twin: String should match pattern"),
        (b'{"twin": "d-1", "to": "e-2", "at": 1}', "at: Extra inputs are not permitted"),
    ],
)
def test_a_request_that_cannot_be_read_is_answered_with_an_example(body: bytes, said: str) -> None:
    answer = posted(content=body)
    assert answer.status_code == 400
    assert said in answer.json()["detail"]
    assert answer.json()["detail"].endswith('send {"twin": "d-1", "to": "e-2"}')


def test_a_request_larger_than_any_message_is_not_looked_at() -> None:
    assert posted(content=b" " * (PACKET_BYTES_MAX + 1)).status_code == 413
