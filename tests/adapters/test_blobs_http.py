"""Blobs over HTTP: whole or refused, on the disk before the answer, never all in memory."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from twin_runtime.adapters import blobs_http
from twin_runtime.adapters.blob_files import BlobFiles
from twin_runtime.adapters.blob_threads import BlobThreads
from twin_runtime.adapters.blobs_http import BlobRoutes, Documented
from twin_runtime.core.effects import Answer, Attach, Refused
from twin_runtime.core.errors import BlobsFull, Unavailable
from twin_runtime.core.limits import BLOB_BYTES_MAX, BLOB_PIECE_BYTES, BLOB_UPLOADS_MAX
from twin_runtime.core.messages import BlobRef

CONTENT = os.urandom(2 * BLOB_PIECE_BYTES + 17)
NAME = sha256(CONTENT).hexdigest()
MODEL = "/api/v1/twins/d-1/blobs/model"


@dataclass
class Thing:
    """A twin as readers see it."""

    blobs: dict[str, dict[str, Any]] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        return {"twin": "d-1", **({"blobs": self.blobs} if self.blobs else {})}


class Site:
    """An edge with the twin `d-1`; its machine agrees to everything, or gives `answer`."""

    def __init__(self, folder: Path) -> None:
        self.files = BlobFiles(folder)
        self.thing = Thing()
        self.answer: Answer | Unavailable | None = None
        self.asked: list[Attach] = []
        view: dict[str, Documented] = {"d-1": self.thing}
        self.routes = BlobRoutes(self.files, BlobThreads(), view, self._ask, self._verify)

    async def _ask(self, wanted: Attach) -> Answer:
        self.asked.append(wanted)
        if isinstance(self.answer, Unavailable):
            raise self.answer
        if self.answer is None and wanted.blob is not None:
            assert self.files.size(wanted.blob.sha256) == wanted.blob.bytes, "the bytes come first"
            self.thing.blobs[wanted.name] = wanted.blob.model_dump()
        elif self.answer is None:
            self.thing.blobs.pop(wanted.name, None)
        return self.answer or Answer(1)

    async def _verify(self, sha256: str) -> bool:
        return self.files.verify(sha256)

    def client(self) -> httpx.AsyncClient:
        app = FastAPI()
        app.include_router(blobs_http.writing(self.routes))
        return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://edge")

    def does(self, method: str, path: str = MODEL, **request: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with self.client() as client:
                return await client.request(method, path, **request)

        return asyncio.run(ask())


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def code(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["type"].removeprefix("urn:diten:")


def test_a_blob_is_put_read_and_removed(site: Site) -> None:
    put = site.does("PUT", content=CONTENT)
    assert (put.status_code, put.headers["etag"]) == (201, f'"{NAME}"')
    assert site.asked == [Attach("d-1", "model", BlobRef(sha256=NAME, bytes=len(CONTENT)))]
    got = site.does("GET")
    assert (got.status_code, got.content, got.headers["etag"]) == (200, CONTENT, f'"{NAME}"')
    assert got.headers["content-length"] == str(len(CONTENT))
    assert got.headers["repr-digest"].startswith("sha-256=:")
    head = site.does("HEAD")
    assert (head.content, head.headers["content-length"]) == (b"", str(len(CONTENT)))
    assert site.does("PUT", content=b"other").status_code == 204
    assert site.does("GET").content == b"other"
    assert site.does("DELETE").status_code == 204
    assert code(site.does("GET")) == (404, "unknown_blob")


def test_who_has_the_bytes_already_is_not_sent_them_again(site: Site) -> None:
    site.does("PUT", content=CONTENT)
    got = site.does("GET", headers={"If-None-Match": f'"{NAME}"'})
    assert (got.status_code, got.content) == (304, b"")
    assert site.does("GET", headers={"If-None-Match": '"else"'}).status_code == 200


def test_a_twin_that_is_not_here_is_said_before_its_bytes_are_read(site: Site) -> None:
    async def never() -> AsyncIterator[bytes]:
        pytest.fail("the body was read")
        yield b""

    path = "/api/v1/twins/d-2/blobs/model"
    assert code(site.does("PUT", path, content=never())) == (404, "unknown_twin")
    assert code(site.does("GET", path)) == (404, "unknown_twin")
    assert code(site.does("DELETE", path)) == (404, "unknown_twin")


def test_what_is_too_large_is_refused_as_soon_as_that_is_known(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blobs_http, "BLOB_BYTES_MAX", 3 * BLOB_PIECE_BYTES)
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 100_000
            yield bytes(100_000)

    assert code(site.does("PUT", content=endless())) == (413, "too_large")
    assert sent < 4 * BLOB_PIECE_BYTES
    declared = {"Content-Length": str(BLOB_BYTES_MAX + 1)}
    assert code(site.does("PUT", content=endless(), headers=declared)) == (413, "too_large")
    assert (site.asked, list(tmp_path.iterdir())) == ([], [])


def test_an_empty_body_is_no_blob(site: Site) -> None:
    assert code(site.does("PUT", content=b"")) == (400, "empty")


@pytest.mark.parametrize(
    "refused, status",
    [("unknown_twin", 404), ("moving", 503), ("too_many_blobs", 409), ("unknown_blob", 404)],
)
def test_what_the_machine_refuses_is_answered_in_words(
    site: Site, refused: str, status: int
) -> None:
    site.answer = Answer(1, Refused(refused, "because"))
    for answer in (site.does("PUT", content=b"bytes"), site.does("DELETE")):
        assert code(answer) == (status, refused)
        assert answer.json()["detail"] == "because"
        assert (answer.headers.get("retry-after") == "1") == (status == 503)


def test_a_machine_that_does_not_answer_is_said(site: Site) -> None:
    site.answer = Unavailable("the disk is full")
    assert code(site.does("PUT", content=b"bytes")) == (503, "unavailable")


def test_a_blob_that_was_damaged_on_the_disk_is_not_sent(site: Site, tmp_path: Path) -> None:
    site.does("PUT", content=CONTENT)
    (tmp_path / NAME).write_bytes(bytes(len(CONTENT)))
    assert code(site.does("GET")) == (503, "on_its_way")
    site.does("PUT", content=CONTENT)
    assert site.does("GET").content == CONTENT


def test_a_blob_that_is_on_its_way_is_to_be_asked_for_again(site: Site) -> None:
    site.thing.blobs["model"] = {"sha256": NAME, "bytes": len(CONTENT)}
    answer = site.does("GET")
    assert code(answer) == (503, "on_its_way")
    assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize(
    "error, answered",
    [
        (BlobsFull("no room"), (507, "full")),
        (Unavailable("bad disk"), (503, "unavailable")),
    ],
)
def test_g8_a_disk_that_cannot_take_it_is_said_and_nothing_is_referred_to(
    site: Site, monkeypatch: pytest.MonkeyPatch, error: Unavailable, answered: tuple[int, str]
) -> None:
    def failing(_: int) -> None:
        raise error

    monkeypatch.setattr(site.files, "_grow", failing)
    monkeypatch.setattr("twin_runtime.adapters.blob_files.Upload.abandon", lambda self: None)
    assert code(site.does("PUT", content=CONTENT)) == answered
    assert site.asked == []


def test_g7_few_bodies_are_taken_at_once(site: Site) -> None:
    async def main() -> list[int]:
        go = asyncio.Event()
        begun = 0

        async def slow() -> AsyncIterator[bytes]:
            nonlocal begun
            begun += 1
            if begun == BLOB_UPLOADS_MAX:
                go.set()
            yield b"bytes"
            await go.wait()
            await asyncio.sleep(0.1)

        async with site.client() as client:
            puts = (client.put(MODEL, content=slow()) for _ in range(BLOB_UPLOADS_MAX + 1))
            return [answer.status_code for answer in await asyncio.gather(*puts)]

    answered = sorted(asyncio.run(main()))
    assert answered[-1] == 503
    assert set(answered[:-1]) <= {201, 204}
    assert site.does("PUT", content=b"again").status_code == 204


def test_where_twins_are_only_shown_nothing_is_written(site: Site) -> None:
    app = FastAPI()
    app.include_router(blobs_http.reading(site.routes))

    async def main() -> list[int]:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://cloud"
        ) as client:
            return [
                (await client.put(MODEL, content=b"x")).status_code,
                (await client.delete(MODEL)).status_code,
            ]

    assert asyncio.run(main()) == [405, 405]
