"""The live page as it is served: whole, from here alone, under a policy that browsers hold."""

import asyncio
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter, FastAPI

from twin_runtime.adapters.web_http import FOLDER, with_page

UPLOT = FOLDER / "vendor/uplot"
# What hands text to a parser of HTML or of scripts.
PARSES = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function")
ELSEWHERE = re.compile(r"https?://(?!www\.w3\.org/2000/svg)")


def asked(path: str, method: str = "GET", **headers: str) -> httpx.Response:
    async def call() -> httpx.Response:
        app = FastAPI()
        app.include_router(with_page(APIRouter()))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://cloud") as client:
            return await client.request(method, path, headers=headers)

    return asyncio.run(call())


def ours() -> Iterator[Path]:
    return (path for path in FOLDER.iterdir() if path.suffix in {".js", ".css", ".html", ".svg"})


def test_the_page_and_all_that_it_names_are_served() -> None:
    page = asked("/")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    named = re.findall(r'(?:src|href)="(/web/[^"]+)"', page.text)
    assert len(named) > 5
    assert {asked(path).status_code for path in named} == {200}


def test_every_module_that_a_module_imports_is_there() -> None:
    for path in FOLDER.glob("*.js"):
        imported = re.findall(r'(?:from |import\()"(\./[^"]+)"', path.read_text())
        assert [name for name in imported if not (FOLDER / name).is_file()] == [], path.name


@pytest.mark.parametrize("path", ["/", "/web/main.js", "/web/page.css"])
def test_every_file_is_under_the_policy(path: str) -> None:
    headers = asked(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"


def test_an_unchanged_file_is_not_sent_again() -> None:
    first = asked("/web/main.js")
    assert first.headers["cache-control"] == "no-cache"
    again = asked("/web/main.js", **{"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "path",
    ["/web/nothing.js", "/web/", "/web/vendor", "/web/..%2Fports.py", "/web/%2Fetc%2Fpasswd"],
)
def test_nothing_but_the_files_of_the_page_is_served(path: str) -> None:
    assert asked(path).status_code == 404


def test_the_page_is_read_only() -> None:
    assert asked("/web/main.js", "PUT").status_code == 405
    assert asked("/", "HEAD").content == b""


def test_no_text_is_handed_to_a_parser_and_nothing_is_loaded_from_elsewhere() -> None:
    for path in ours():
        text = path.read_text()
        assert not PARSES.search(text), path.name
        if path.suffix != ".svg":
            assert not ELSEWHERE.search(text), path.name


def test_what_is_vendored_is_what_its_digests_say() -> None:
    lines = (UPLOT / "SHA256SUMS").read_text().splitlines()
    vendored = {path for path in UPLOT.iterdir() if path.name not in {"SHA256SUMS", "README.md"}}
    digests = {f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" for path in vendored}
    assert set(lines) == digests
