"""The directory over HTTP: done once durable, refused in words, as problems of RFC 9457."""

import asyncio
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from twin_runtime.adapters.directory_http import directory_router
from twin_runtime.core.effects import (
    Answer,
    EdgeState,
    ListEdges,
    ListTwins,
    Move,
    NewestEvent,
    Refused,
    Request,
    SetEdge,
)
from twin_runtime.core.errors import Unavailable
from twin_runtime.core.limits import PACKET_BYTES_MAX
from twin_runtime.ports import LogEntry

MOVE = {"twin": "d-1", "to": "e-2"}


Said = Answer | Unavailable


def called(
    method: str,
    path: str,
    said: Said = Answer(1),  # noqa: B008 - it is immutable
    *,
    wanted: Request | None = None,
    log: Sequence[LogEntry] = (),
    **request: Any,
) -> httpx.Response:
    """The answer to a request that is put before the machine as `wanted` and answered so."""

    async def ask(asked: Request) -> Answer:
        assert wanted is None or asked == wanted
        if isinstance(said, Unavailable):
            raise said
        return said

    def scan(after: int, limit: int) -> list[LogEntry]:
        return [entry for entry in log if entry.number > after][:limit]

    async def call() -> httpx.Response:
        app = FastAPI()
        app.include_router(directory_router(ask, scan))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://cloud") as client:
            return await client.request(method, f"/api/v1{path}", **request)

    return asyncio.run(call())


def posted(said: Refused | Unavailable | None = None, **request: Any) -> httpx.Response:
    """The answer to a move whose request is answered so."""
    answer = said if isinstance(said, Unavailable) else Answer(1, said)
    return called("POST", "/moves", answer, wanted=Move("d-1", "e-2"), **request)


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


@pytest.mark.parametrize("path", ["/moves", "/edges/e-1/drain", "/edges/e-1/resume"])
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_write_with_a_body_of_another_type_is_refused(path: str, kind: str) -> None:
    never = Unavailable("asked")
    answer = called("POST", path, never, content=b"{}", headers={"Content-Type": kind})
    assert answer.status_code == 415
    assert answer.headers["content-type"] == "application/problem+json"
    assert "Send application/json" in answer.json()["detail"]


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


def test_a_move_has_the_key_of_its_request() -> None:
    move = Move("d-1", "e-2", "k-1")
    headers = {"Idempotency-Key": "k-1"}
    answer = called("POST", "/moves", wanted=move, json=MOVE, headers=headers)
    assert answer.status_code == 202
    refused = Answer(1, Refused("key_reused", "use another"))
    answer = called("POST", "/moves", refused, wanted=move, json=MOVE, headers=headers)
    assert answer.status_code == 422


def test_edges_are_listed() -> None:
    edges = [{"edge": "e-1", "state": "serving", "twins": 3}]
    answer = called("GET", "/edges", Answer(1, value=edges), wanted=ListEdges())
    assert (answer.status_code, answer.json()) == (200, edges)


@pytest.mark.parametrize(
    "query, wanted", [("", ListTwins(0, 1_000)), ("?after=7&limit=2", ListTwins(7, 2))]
)
def test_twins_are_listed_as_they_changed(query: str, wanted: ListTwins) -> None:
    told = {"twins": [{"twin": "d-1", "owner": "e-1"}], "next": 8}
    answer = called("GET", f"/twins{query}", Answer(1, value=told), wanted=wanted)
    assert (answer.status_code, answer.json()) == (200, told)


def test_no_page_of_twins_is_without_bound() -> None:
    assert called("GET", "/twins?limit=1001").status_code in (400, 422)
    assert called("GET", f"/twins?after={2**53}").status_code in (400, 422)
    assert called("GET", f"/events?after={2**53}").status_code in (400, 422)


@pytest.mark.parametrize(
    "verb, state", [("drain", "draining"), ("lost", "lost"), ("resume", "serving")]
)
def test_an_operator_says_what_an_edge_is_to_be(verb: str, state: EdgeState) -> None:
    answer = called("POST", f"/edges/e-1/{verb}", wanted=SetEdge("e-1", state))
    assert (answer.status_code, answer.json()) == (200, {"edge": "e-1", "state": state})
    unknown = Answer(1, Refused("unknown_edge", "no edge e-1"))
    assert called("POST", f"/edges/e-1/{verb}", unknown).status_code == 404


def entry(number: int) -> LogEntry:
    return LogEntry("all", number, b'{"number":%d}' % number)


@pytest.mark.parametrize(
    "query, numbers, following",
    [
        ("", [2, 3, 4], 4),
        ("?limit=2", [3, 4], 4),
        ("?after=0&limit=1", [2], 2),
        ("?after=3", [4], 4),
        ("?after=4", [], 4),
    ],
)
def test_events_are_read_from_anywhere(query: str, numbers: list[int], following: int) -> None:
    kept = [entry(number) for number in (2, 3, 4)]
    answer = called("GET", f"/events{query}", Answer(1, value=4), log=kept)
    assert answer.status_code == 200
    assert [event["number"] for event in answer.json()["events"]] == numbers
    assert answer.json()["next"] == following


def test_the_newest_events_wait_for_a_cloud_that_cannot_answer() -> None:
    answer = called("GET", "/events", Unavailable("the disk is full"), wanted=NewestEvent())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
