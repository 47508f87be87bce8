"""HTTP for reading: things in the dialect of Ditto, lists of them, health, metrics."""

import asyncio

import httpx
import pytest

from tests.adapters.served import WALL_MS, Committed, a_twin, served
from twin_runtime.adapters.directory_http import directory_router
from twin_runtime.adapters.process_http import METRICS_TYPE
from twin_runtime.adapters.reading import Shown
from twin_runtime.adapters.things_http import things_app
from twin_runtime.core import messages
from twin_runtime.core.effects import Answer, Request
from twin_runtime.core.limits import THINGS_PAGE_MAX
from twin_runtime.core.messages import DesiredValue, FeatureState, TwinDocument
from twin_runtime.core.thing import thing_of
from twin_runtime.ports import Health


def test_a_thing_has_dittos_shape() -> None:
    with served({"d-1": a_twin()}) as client:
        response = client.get("/api/2/things/home:d-1")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    thing = response.json()
    assert thing["thingId"] == "home:d-1"
    assert thing["_revision"] == thing["revision"] == 7
    assert thing["epoch"] == 2
    assert thing["_modified"] == "2030-03-17T17:46:40.000Z"
    assert thing["features"]["temperature_c"] == {
        "properties": {"value": 21.5, "observed_ms": WALL_MS - 100, "quality": "good"}
    }


def test_a_thing_carries_the_devices_description_among_its_attributes() -> None:
    with served({"d-1": a_twin()}) as client:
        attributes = client.get("/api/2/things/home:d-1").json()["attributes"]
    assert attributes["room"] == "north"
    description = attributes["description"]
    assert description["title"] == "Greenhouse"
    assert description["position"] == {"x_m": 1.5, "y_m": 2.0, "z_m": 0.0}
    assert description["features"]["temperature_c"]["unit"] == "Cel"


def test_a_desired_value_stands_beside_what_is_reported_or_alone() -> None:
    entry = DesiredValue(number=1, value=19.0).model_dump()
    desired = {f"features/{name}/value": entry for name in ("temperature_c", "target_c")}
    thing = thing_of({**a_twin().document(), "desired": desired}, "home")
    assert thing["features"]["temperature_c"]["desiredProperties"] == {"value": 19.0}
    assert thing["features"]["temperature_c"]["properties"]["value"] == 21.5
    assert thing["features"]["target_c"]["desiredProperties"] == {"value": 19.0}


@pytest.mark.parametrize(
    "reported_ms, modified",
    [
        (-62_135_596_800_001, None),
        (-62_135_596_800_000, "0001-01-01T00:00:00.000Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        (253_402_300_800_000, None),
        (2**53 - 1, None),
    ],
)
def test_g14_a_report_dated_beyond_every_calendar_has_no_date(
    reported_ms: int, modified: str | None
) -> None:
    document = {**a_twin().document(), "reported_wall_ms": reported_ms}
    assert thing_of(document, "home").get("_modified") == modified


def test_a_twin_that_never_reported_is_a_thing_without_features() -> None:
    new = TwinDocument(twin="d-1", epoch=1, revision=0)
    thing = thing_of(messages.load(messages.encode(new)), "home")
    assert thing == {
        "thingId": "home:d-1",
        "epoch": 1,
        "revision": 0,
        "_revision": 0,
        "attributes": {},
        "features": {},
    }


def test_the_bare_twin_id_names_the_thing_too() -> None:
    with served({"d-1": a_twin()}) as client:
        assert client.get("/api/2/things/d-1").json()["thingId"] == "home:d-1"


@pytest.mark.parametrize("tag", ['"rev:2.7"', 'W/"rev:2.7"', '"rev:2.0", "rev:2.7"', "*"])
def test_a_thing_the_reader_already_has_is_not_sent_again(tag: str) -> None:
    with served({"d-1": a_twin()}) as client:
        response = client.get("/api/2/things/d-1", headers={"If-None-Match": tag})
    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["etag"] == '"rev:2.7"'


def test_a_thing_that_has_changed_is_sent_again() -> None:
    with served({"d-1": a_twin()}) as client:
        response = client.get("/api/2/things/d-1", headers={"If-None-Match": '"rev:2.0"'})
    assert response.status_code == 200
    assert response.headers["etag"] == '"rev:2.7"'


def with_live(value: float) -> Committed:
    """The twin, of which no commit has changed anything, with a live value."""
    content = a_twin().content
    wave = FeatureState(value=value, observed_ms=WALL_MS, quality="live")
    return Committed(content.model_copy(update={"features": {**content.features, "wave": wave}}))


def test_a_live_value_that_has_changed_is_sent_though_the_revision_is_the_same() -> None:
    view: dict[str, Shown] = {"d-1": a_twin()}
    with served(view) as client:

        def get(tag: str) -> tuple[int, str]:
            answer = client.get("/api/2/things/d-1", headers={"If-None-Match": tag})
            return answer.status_code, answer.headers["etag"]

        view["d-1"] = with_live(1.0)
        status, first = get('"rev:2.7"')
        assert (status, first.startswith('"rev:2.7.')) == (200, True)
        assert get(first) == (304, first)
        view["d-1"] = with_live(2.0)
        status, second = get(first)
        assert status == 200
        assert second != first
        view["d-1"] = a_twin()
        assert get(second) == (200, '"rev:2.7"')


@pytest.mark.parametrize(
    "method, path, status, error",
    [
        ("GET", "/api/2/things/home:d-2", 404, "things:thing.notfound"),
        ("GET", "/api/2/things/elsewhere:d-1", 404, "things:thing.notfound"),
        ("GET", "/api/2/nothing", 404, "api:not.found"),
        ("GET", "/docs", 404, "api:not.found"),
        ("DELETE", "/api/2/things/home:d-1", 405, "gateway:method.notallowed"),
        ("GET", "/api/2/things?limit=0", 400, "things:query.invalid"),
        ("GET", f"/api/2/things?limit={THINGS_PAGE_MAX + 1}", 400, "things:query.invalid"),
        ("GET", "/api/2/things?limit=many", 400, "things:query.invalid"),
    ],
)
def test_every_refusal_has_dittos_body(method: str, path: str, status: int, error: str) -> None:
    with served({"d-1": a_twin()}) as client:
        response = client.request(method, path)
    assert response.status_code == status
    body = response.json()
    assert set(body) == {"status", "error", "message", "description"}
    assert (body["status"], body["error"]) == (status, error)


def test_a_wrong_method_is_told_the_right_one() -> None:
    with served({}) as client:
        assert client.put("/api/2/things/d-1").headers["allow"] == "GET, HEAD"


def test_a_refused_query_names_parameter_and_value() -> None:
    with served({}) as client:
        message = client.get("/api/2/things?limit=many").json()["message"]
    assert "limit = 'many'" in message


def test_more_ids_than_a_page_are_refused() -> None:
    ids = ",".join(f"d-{number}" for number in range(THINGS_PAGE_MAX + 1))
    with served({}) as client:
        response = client.get("/api/2/things", params={"ids": ids})
    assert response.status_code == 400
    assert f"at most {THINGS_PAGE_MAX}" in response.json()["message"]


def test_things_asked_for_by_id_come_in_that_order_as_far_as_they_exist() -> None:
    view: dict[str, Shown] = {name: a_twin(name) for name in ("d-1", "d-2", "d-3")}
    with served(view) as client:
        things = client.get("/api/2/things", params={"ids": "d-3,home:d-9,home:d-1"}).json()
    assert [thing["thingId"] for thing in things] == ["home:d-3", "home:d-1"]


def test_pages_together_are_all_things_once_in_the_order_of_their_ids() -> None:
    view: dict[str, Shown] = {f"d-{i * 7 % 25:02}": a_twin(f"d-{i * 7 % 25:02}") for i in range(25)}
    seen, path = [], "/api/2/things?limit=10"
    with served(view) as client:
        for _ in range(3):
            response = client.get(path)
            seen += [thing["thingId"] for thing in response.json()]
            path = response.links.get("next", {}).get("url", "")
    assert path == ""
    assert seen == [f"home:d-{number:02}" for number in range(25)]


def test_a_page_that_ends_exactly_at_the_last_thing_has_no_next() -> None:
    with served({"d-1": a_twin()}) as client:
        assert "link" not in client.get("/api/2/things?limit=1").headers


def test_a_cursor_may_be_a_thing_that_is_gone() -> None:
    with served({"d-1": a_twin("d-1"), "d-3": a_twin("d-3")}) as client:
        things = client.get("/api/2/things?cursor=home:d-2").json()
    assert [thing["thingId"] for thing in things] == ["home:d-3"]


def test_an_empty_view_is_an_empty_list() -> None:
    with served({}) as client:
        assert client.get("/api/2/things").json() == []


def test_a_change_of_the_view_is_seen_by_the_next_request() -> None:
    view: dict[str, Shown] = {}
    with served(view) as client:
        assert client.get("/api/2/things/d-1").status_code == 404
        view["d-1"] = a_twin()
        assert client.get("/api/2/things/d-1").status_code == 200


def test_a_process_is_alive_before_it_is_ready() -> None:
    health = Health(ready=False, reason="the disk is full")
    with served({}, health) as client:
        assert client.get("/healthz").status_code == 200
        waiting = client.get("/readyz")
        health.ready = True
        ready = client.get("/readyz")
    assert waiting.status_code == 503
    assert waiting.json() == {"ready": False, "reason": "the disk is full"}
    assert (ready.status_code, ready.json()) == (200, {"ready": True})


def test_metrics_are_served_as_rendered() -> None:
    with served({}, metrics=b"diten_bus_connected 1.0\n") as client:
        response = client.get("/metrics")
    assert response.content == b"diten_bus_connected 1.0\n"
    assert response.headers["content-type"] == METRICS_TYPE


def test_the_api_describes_itself() -> None:
    with served({}) as client:
        paths = client.get("/openapi.json").json()["paths"]
    thing = "/api/2/things/{thing_id}"
    description = "/api/v1/twins/{thing_id}/td"
    feature = thing + "/features/{feature_id}"
    parts = {thing + "/attributes", thing + "/attributes/{path}", thing + "/features", feature}
    parts |= {f"{feature}/{name}" for name in ("properties", "desiredProperties")}
    parts |= {f"{feature}/{name}/{{path}}" for name in ("properties", "desiredProperties")}
    lists = {"/api/2/things", "/api/2/search/things", "/api/2/search/things/count"}
    assert set(paths) == {thing, description, "/healthz", "/readyz", "/metrics"} | parts | lists


@pytest.mark.parametrize(
    "path, status, detail",
    [
        ("/api/v1/events?after=x", 400, "after = 'x': Input should be a valid integer"),
        ("/api/v1/nothing", 404, "GET /api/v1/nothing: not found here; see /openapi.json"),
    ],
)
def test_below_our_own_prefix_errors_are_problems(path: str, status: int, detail: str) -> None:
    async def ask(_: Request) -> Answer:
        raise AssertionError

    app = things_app({}, Health(ready=True), lambda: b"", "home", lambda: WALL_MS)
    app.include_router(directory_router(ask, lambda _after, _limit: []))

    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://cloud") as client:
            return await client.get(path)

    answer = asyncio.run(get())
    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert answer.headers["content-type"] == "application/problem+json"
    assert detail in answer.json()["detail"]


@pytest.mark.parametrize("known_ms, age", [(None, None), (0, "0"), (2_500, "2"), (-9_000, "0")])
def test_the_age_of_what_its_owner_did_not_answer_is_said(
    known_ms: int | None, age: str | None
) -> None:
    known_wall_ms = None if known_ms is None else WALL_MS - known_ms
    twin = Committed(a_twin().content, known_wall_ms)
    with served({"d-1": twin}) as client:
        assert client.get("/api/2/things/d-1").headers.get("Age") == age
