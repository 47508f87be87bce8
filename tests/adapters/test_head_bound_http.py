"""What is too large to be the head of a request is said to be, in the dialect of its path."""

import httpx
import pytest

from tests.adapters.served import a_twin
from tests.adapters.serving import serving
from twin_runtime.adapters.head_bound_http import HeadBound
from twin_runtime.adapters.things_http import things_app
from twin_runtime.core.limits import HTTP_HEAD_BYTES_MAX
from twin_runtime.ports import Health

THING = "/api/2/things/d-1"
MUCH = "h" * HTTP_HEAD_BYTES_MAX


def asked(path: str, **headers: str) -> httpx.Response:
    app = things_app({"d-1": a_twin()}, Health(), lambda: b"", "home", lambda: 0)
    app.add_middleware(HeadBound)
    with serving(app) as api:
        return httpx.get(api + path, headers=headers, trust_env=False)


@pytest.mark.parametrize("header", ["If-Match", "X-Any"])
def test_a_header_that_is_too_large_is_refused(header: str) -> None:
    answer = asked(THING, **{header: MUCH})
    assert (answer.status_code, answer.json()["error"]) == (431, "gateway:head.toolarge")
    assert str(HTTP_HEAD_BYTES_MAX) in answer.json()["description"]
    assert len(answer.content) < 1_000


def test_an_address_that_is_too_large_is_a_problem_below_our_own_prefix() -> None:
    answer = asked(f"/api/v1/twins/d-1/td?x={MUCH}")
    assert answer.status_code == 431
    assert answer.headers["content-type"] == "application/problem+json"


def test_what_fits_is_answered() -> None:
    assert asked(THING, **{"If-None-Match": MUCH[:-2_000]}).status_code == 200
