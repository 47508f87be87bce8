"""What a request says wrongly is answered in one sentence, in the dialect of its path."""

import asyncio
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Path, Query

from twin_runtime.adapters.ditto_http import answer_errors
from twin_runtime.core.ids import TWIN_PATTERN

TwinId = Annotated[str, Path(pattern=TWIN_PATTERN)]


def asked(path: str) -> dict[str, Any]:
    router = APIRouter()

    @router.get("/api/v1/twins/{twin}")
    async def ours(twin: TwinId, feature: str, limit: Annotated[int, Query(ge=1)] = 1) -> None:
        pass

    app = FastAPI()
    app.include_router(router)
    answer_errors(app)

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://edge") as client:
            return await client.get(path)

    answer = asyncio.run(ask())
    said: dict[str, Any] = answer.json()
    assert answer.status_code == said["status"]
    return said


@pytest.mark.parametrize("path, status, said", [
    ("/api/v1/twins/d-1", 400, "feature is missing; see /openapi.json"),
    ("/api/v1/twins/d-1?feature=a&limit=0", 400, "limit = '0': Input should be greater"),
    ("/api/v1/twins/nobody?feature=a", 404, "there is no twin 'nobody'"),
    ("/api/v1/twins/" + "a" * 10_000, 404, f"there is no twin '{'a' * 60}'"),
    ("/api/v1/nothing", 404, "GET /api/v1/nothing: not found here; see /openapi.json"),
])  # fmt: skip
def test_what_is_wrong_is_said_in_a_sentence(path: str, status: int, said: str) -> None:
    answer = asked(path)
    assert answer["status"] == status
    assert answer["detail"].startswith(said)
