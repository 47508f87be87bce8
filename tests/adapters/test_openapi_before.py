"""What stands before all routes is in the API's description of itself."""

from typing import Any

import pytest
from fastapi import APIRouter, FastAPI

from twin_runtime.adapters.openapi_before import describe_what_stands_before


def described(*, sends_on: bool, has_token: bool) -> dict[str, Any]:
    router = APIRouter(prefix="/api")

    @router.get("/2/things/{thing_id}/features")
    @router.put("/2/things/{thing_id}/features", responses={403: {"description": "ours"}})
    async def part(thing_id: str) -> None: ...

    @router.post("/v1/moves")
    async def move() -> None: ...

    app = FastAPI()
    describe_what_stands_before(app, sends_on=sends_on, has_token=has_token)
    app.include_router(router)
    assert app.openapi() == app.openapi()
    return app.openapi()


def answers(description: dict[str, Any], method: str, path: str) -> set[str]:
    operation = description["paths"][path][method]
    return {status for status in operation["responses"] if status in ("307", "401", "403")}


FEATURES = "/api/2/things/{thing_id}/features"


def test_an_edge_may_send_on_whoever_asks_for_a_twin() -> None:
    edge = described(sends_on=True, has_token=False)
    assert answers(edge, "get", FEATURES) == {"307"}
    assert answers(edge, "put", FEATURES) == {"307", "403"}
    assert answers(edge, "post", "/api/v1/moves") == set()
    assert answers(described(sends_on=False, has_token=False), "get", FEATURES) == set()


def test_no_operation_promises_what_only_the_framework_would_answer() -> None:
    description = described(sends_on=False, has_token=False)
    assert set(description["paths"][FEATURES]["get"]["responses"]) == {"200"}
    assert set(description["components"]["schemas"]) == {"Anything"}


@pytest.mark.parametrize("method, path", [("put", FEATURES), ("post", "/api/v1/moves")])
def test_a_write_says_that_it_needs_the_token(method: str, path: str) -> None:
    guarded = described(sends_on=False, has_token=True)
    assert answers(guarded, method, path) == {"401", "403"}
    assert guarded["paths"][path][method]["security"] == [{"token": []}]
    assert guarded["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert guarded["paths"][FEATURES]["put"]["responses"]["403"]["description"] == "ours"
    assert answers(guarded, "get", FEATURES) == set()
