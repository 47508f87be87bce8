"""A page of another site cannot make its reader's browser write here."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI, Response

from twin_runtime.adapters.cross_site import CrossSiteGuard

HERE = "http://edge:8421"


def asked(method: str, path: str = "/api/v1/edges/e-1/drain", **headers: str) -> httpx.Response:
    app = FastAPI()

    @app.api_route("/{path:path}", methods=["GET", "POST", "PUT"])
    async def done(path: str) -> Response:
        return Response(path)

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(CrossSiteGuard(app))
        async with httpx.AsyncClient(transport=transport, base_url=HERE) as client:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return await client.request(method, path, headers=named)

    return asyncio.run(ask())


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "http://edge", "null", "http://["])
def test_a_page_of_another_site_may_not_write(origin: str) -> None:
    answer = asked("POST", origin=origin)
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"
    assert origin in answer.json()["detail"]


def test_it_is_told_so_in_the_dialect_that_it_speaks() -> None:
    answer = asked("PUT", "/api/2/things/d-1", origin="null")
    assert (answer.status_code, answer.json()["error"]) == (
        403,
        "gateway:authentication.cross_site",
    )


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": HERE},
        {"origin": "https://twins.example", "sec_fetch_site": "same-origin"},
    ],
    ids=["no browser", "our own page", "our own page behind a proxy"],
)
def test_everybody_else_may(headers: dict[str, str]) -> None:
    assert asked("POST", **headers).status_code == 200


def test_pages_of_other_sites_may_ask_for_what_changes_nothing() -> None:
    assert asked("GET", origin="https://elsewhere.example").status_code == 200
