"""A body that stands still is given up, so that nobody holds a place for ever."""

import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI

from tests.adapters.serving import serving
from tests.adapters.test_blobs_http import Site
from twin_runtime.adapters import blobs_http, http_problem
from twin_runtime.adapters.directory_http import directory_router
from twin_runtime.core.effects import Answer
from twin_runtime.core.limits import BLOB_UPLOADS_MAX

STALLED_S = 0.2


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_problem, "BODY_STALLED_S", STALLED_S)


def begun(url: str, method: str, path: str) -> socket.socket:
    """A request of whose 100 bytes ten come."""
    place = urlsplit(url)
    assert place.hostname is not None
    connection = socket.create_connection((place.hostname, place.port or 80), timeout=10)
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
    connection.sendall(head.encode() + b"0123456789")
    return connection


def answered(connection: socket.socket) -> bytes:
    answer = b""
    with connection:
        while not answer.endswith(b"}"):
            part = connection.recv(4096)
            assert part, f"only {answer!r}"
            answer += part
    return answer


def test_an_upload_that_stands_still_leaves_its_place_to_others(tmp_path: Path) -> None:
    site = Site(tmp_path)
    app = FastAPI()
    app.include_router(blobs_http.writing(site.routes))
    path = "/api/v1/twins/d-1/blobs/model"
    with serving(app) as url:
        began_s = time.monotonic()
        stalled = [begun(url, "PUT", path) for _ in range(BLOB_UPLOADS_MAX)]
        answers = [answered(each) for each in stalled]
        assert all(b" 400 " in each and b"cut_off" in each for each in answers), answers
        assert time.monotonic() - began_s >= STALLED_S
    assert site.asked == []
    assert site.routes._uploads == 0


def test_a_request_that_stands_still_is_answered() -> None:
    async def never(request: object) -> Answer:
        pytest.fail("it was asked")

    app = FastAPI()
    app.include_router(directory_router(never, lambda after, limit: []))
    with serving(app) as url:
        assert b"cut_off" in answered(begun(url, "POST", "/api/v1/moves"))
