"""Writes of blobs at the cloud: sent on to the owner as they come, over real connections."""

import asyncio
import os
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI

from tests.adapters.serving import serving
from tests.adapters.test_blobs_http import Site
from twin_runtime.adapters import blobs_http
from twin_runtime.adapters.blobs_forward import with_forwarded_blobs
from twin_runtime.adapters.forward_http import Forwards, edge_client
from twin_runtime.adapters.tokens import TokenGuard
from twin_runtime.core.effects import Answer, Learn, Refused, Request, WhoOwns
from twin_runtime.core.limits import BLOB_BYTES_MAX, BLOB_PIECE_BYTES, BLOB_UPLOADS_MAX

CONTENT = os.urandom(5 * BLOB_PIECE_BYTES + 17)
NAME = sha256(CONTENT).hexdigest()
MODEL = "/api/v1/twins/d-1/blobs/model"
TWIN = b'{"twin":"d-1"}'
TOKEN = "a-token-of-some-length"


class Cloud:
    """A cloud in front of an edge that serves for real."""

    def __init__(self, folder: Path) -> None:
        self.edge = Site(folder)
        self.edge.answer = Answer(1, value=TWIN)
        self.learnt: list[Learn] = []
        self.token: str | None = None
        self.uploads = 0

    async def _ask(self, request: Request, within_s: float = 5.0) -> Answer:
        assert within_s > 0
        if isinstance(request, Learn):
            self.learnt.append(request)
            return Answer(1)
        assert isinstance(request, WhoOwns)
        if request.twin not in ("d-1", "d-2"):
            return Answer(1, Refused("unknown_twin", "there is no such twin"))
        return Answer(1, value={"owner": "e-1", "phase": "owned", "api": self.api})

    def does(self, method: str, path: str = MODEL, **request: Any) -> httpx.Response:
        (answer,) = self.do((method, path), **request)
        return answer

    def do(self, *requests: tuple[str, str], **request: Any) -> list[httpx.Response]:
        """All at once."""
        edge = FastAPI()
        edge.include_router(blobs_http.writing(self.edge.routes))
        if self.token is not None:
            edge.add_middleware(TokenGuard, token=self.token)

        async def ask() -> list[httpx.Response]:
            app = FastAPI()
            edges = edge_client()
            forwards = Forwards(self._ask, "site", edges, TOKEN)
            app.include_router(with_forwarded_blobs(APIRouter(), forwards))
            transport = httpx.ASGITransport(app)
            async with edges, httpx.AsyncClient(transport=transport, base_url="http://c") as client:
                asked = (client.request(*each, **request) for each in requests)
                return list(await asyncio.gather(*asked))

        with serving(edge) as self.api:
            return asyncio.run(ask())


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    return Cloud(tmp_path)


def problem(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["type"].removeprefix("urn:diten:")


def test_a_blob_is_put_and_removed_through_the_cloud_which_learns_of_it(cloud: Cloud) -> None:
    put = cloud.does("PUT", content=CONTENT)
    assert (put.status_code, put.content, put.headers["etag"]) == (201, b"", f'"{NAME}"')
    assert cloud.edge.files.size(NAME) == len(CONTENT)
    removed = cloud.does("DELETE")
    assert (removed.status_code, removed.content) == (204, b"")
    assert [wanted.name for wanted in cloud.edge.asked] == ["model", "model"]
    assert cloud.learnt == [Learn("d-1", TWIN)] * 2


def test_the_owners_refusal_is_the_answer(cloud: Cloud) -> None:
    cloud.edge.answer = Answer(1, Refused("too_many_blobs", "it refers to 16 already"))
    assert problem(cloud.does("PUT", content=CONTENT)) == (409, "too_many_blobs")
    assert problem(cloud.does("PUT", content=b"")) == (400, "empty")


def test_what_is_too_large_is_refused_before_it_is_sent(cloud: Cloud) -> None:
    async def never() -> AsyncIterator[bytes]:
        pytest.fail("the body was read")
        yield b""

    headers = {"Content-Length": str(BLOB_BYTES_MAX + 1)}
    assert problem(cloud.does("PUT", content=never(), headers=headers)) == (413, "too_large")
    assert cloud.edge.asked == []


def test_a_body_without_a_length_is_refused_once_it_is_too_large(cloud: Cloud) -> None:
    async def without_end() -> AsyncIterator[bytes]:
        for _ in range(BLOB_BYTES_MAX // len(CONTENT) + 1):
            yield CONTENT

    assert problem(cloud.does("PUT", content=without_end())) == (413, "too_large")
    assert cloud.edge.asked == []


def test_an_owner_that_does_not_know_it_has_just_let_go(cloud: Cloud) -> None:
    answer = cloud.does("PUT", "/api/v1/twins/d-2/blobs/model", content=CONTENT)
    assert (problem(answer), answer.headers["retry-after"]) == ((503, "unavailable"), "1")


def test_what_nobody_owns_is_not_known(cloud: Cloud) -> None:
    path = "/api/v1/twins/d-9/blobs/model"
    assert problem(cloud.does("PUT", path, content=CONTENT)) == (404, "unknown_twin")
    assert problem(cloud.does("DELETE", path)) == (404, "unknown_twin")


def test_an_owner_with_another_token_is_the_operators_mistake(cloud: Cloud) -> None:
    cloud.token = "another-token-of-some-length"
    assert problem(cloud.does("PUT", content=CONTENT)) == (502, "token")
    cloud.token = TOKEN
    assert cloud.does("PUT", content=CONTENT).status_code == 201


def test_g7_no_more_bodies_are_on_their_way_than_an_edge_takes(cloud: Cloud) -> None:
    answers = cloud.do(*[("PUT", MODEL)] * (BLOB_UPLOADS_MAX + 1), content=CONTENT)
    assert [answer.status_code for answer in answers].count(503) == 1
