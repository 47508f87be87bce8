"""Event streams and the past are in the API's description of itself, as they are answered."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic_core import to_json

from tests.adapters.serving import serving
from tests.edge_node.test_recall import LoggedEdge, live_a_little
from twin_runtime.adapters.changes import Changes
from twin_runtime.adapters.events_stream import EventsStream, add_events_stream
from twin_runtime.adapters.history_http import add_past_states, history_router
from twin_runtime.adapters.openapi_before import describe_what_stands_before
from twin_runtime.adapters.stream_http import add_thing_streams
from twin_runtime.adapters.things_http import things_app
from twin_runtime.core.thing import thing_of
from twin_runtime.ports import Health

GIVEN = {"thing_id": "d-1", "feature_id": "level_m", "path": "value"}
STREAM = {"Accept": "text/event-stream"}


async def newest() -> int:
    return 0


def app_of(edge: LoggedEdge) -> FastAPI:
    app = things_app(edge.view, Health(ready=True), lambda: b"", "home", lambda: 0)
    changes = Changes(edge.view, lambda shown: to_json(thing_of(shown.document(), "home")))
    add_thing_streams(app, changes, "home", "life")
    add_past_states(app, edge.recall, edge.view, "home")
    router = history_router(edge.recall, edge.view)
    router.add_api_route("/events", newest)
    app.include_router(router)
    add_events_stream(app, EventsStream("events", lambda *_: [], newest))
    describe_what_stands_before(app, sends_on=True, has_token=False)
    return app


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder: Path = tmp_path_factory.mktemp("edge")
    edge = LoggedEdge(folder)
    edge.own("d-1")
    live_a_little(edge, 1, 20)
    with serving(app_of(edge)) as api, httpx.Client(base_url=api, trust_env=False) as client:
        yield client
    edge.store.close()


@pytest.fixture(scope="module")
def reads(client: httpx.Client) -> dict[str, Any]:
    """What is said of GET, by path."""
    paths = client.get("/openapi.json").json()["paths"]
    return {path: operations["get"] for path, operations in paths.items() if "get" in operations}


def names(operation: dict[str, Any], place: str) -> list[str]:
    return [each["name"] for each in operation.get("parameters", []) if each["in"] == place]


def test_each_event_stream_is_described_where_it_is_answered(
    client: httpx.Client, reads: dict[str, Any]
) -> None:
    streams = {"/api/2/things", "/api/2/things/{thing_id}", "/api/v1/events"}
    for path, operation in reads.items():
        with client.stream("GET", path.format(twin="d-1", **GIVEN), headers=STREAM) as answer:
            is_stream = answer.headers["content-type"].startswith("text/event-stream")
        assert is_stream == (path in streams)
        assert is_stream == ("text/event-stream" in operation["responses"]["200"]["content"])
        assert is_stream == ("Last-Event-ID" in names(operation, "header"))
    for path in streams - {"/api/v1/events"}:
        assert names(reads[path], "query").count("filter") == 1


def test_the_past_is_described_of_each_part_of_a_thing(
    client: httpx.Client, reads: dict[str, Any]
) -> None:
    asked = {"at-historical-revision", "at-historical-timestamp"}
    for path, operation in reads.items():
        is_of_a_thing = path.startswith("/api/2/things/")
        assert (asked <= set(names(operation, "query"))) == is_of_a_thing, path
        answer = client.get(
            path.format(twin="d-1", **GIVEN), params={"at-historical-revision": "7"}
        )
        granularity = answer.headers.get("Historical-Granularity")
        if granularity is not None:
            header = operation["responses"]["200"]["headers"]["Historical-Granularity"]
            assert granularity in header["schema"]["enum"]
        assert (granularity is not None) == (is_of_a_thing and answer.status_code == 200)


def test_rows_are_described_in_both_their_forms(
    client: httpx.Client, reads: dict[str, Any]
) -> None:
    operation = reads["/api/v1/twins/{twin}/history"]
    said = operation["responses"]["200"]
    for kind in ("application/json", "text/csv"):
        answer = client.get(
            "/api/v1/twins/d-1/history?feature=level_m&limit=2", headers={"Accept": kind}
        )
        assert answer.headers["content-type"].partition(";")[0] == kind
        assert kind in said["content"]
        assert set(said["headers"]) == {"Link", "History-First-Revision"}
        assert {name.lower() for name in said["headers"]} <= set(answer.headers)


def test_a_name_with_a_slash_is_found_in_the_past_as_in_the_present(client: httpx.Client) -> None:
    past = "/api/2/things/d-1/attributes/a~1b?at-historical-revision=7"
    assert client.get(past).json()["error"] == "things:attribute.notfound"
    assert "'attributes/a/b'" in client.get(past).json()["message"]
