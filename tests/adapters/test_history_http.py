"""The past over HTTP: states and rows, as an edge serves them from a real log."""

import asyncio
import csv
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from io import StringIO
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tests.edge_node.an_edge import WALL_MS
from tests.edge_node.test_recall import LoggedEdge, live_a_little
from twin_runtime.adapters.history_http import add_past_states, history_router
from twin_runtime.adapters.things_http import things_app
from twin_runtime.core import messages, topics
from twin_runtime.core.effects import Message
from twin_runtime.core.messages import Description, FeatureSpec, StateReport, Window
from twin_runtime.ports import Health

ROWS = "/api/v1/twins/d-1/history"
THING = "/api/2/things/home:d-1"


def app_of(edge: LoggedEdge) -> FastAPI:
    app = things_app(edge.view, Health(ready=True), lambda: b"", "home", lambda: 0)
    add_past_states(app, edge.recall, edge.view, "home")
    app.include_router(history_router(edge.recall, edge.view))
    return app


@asynccontextmanager
async def client_of(edge: LoggedEdge) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app_of(edge))
    async with httpx.AsyncClient(transport=transport, base_url="http://edge") as client:
        yield client


def asked(edge: LoggedEdge, path: str, **headers: str) -> httpx.Response:
    async def body() -> httpx.Response:
        async with client_of(edge) as client:
            return await client.get(path, headers=headers)

    return asyncio.run(body())


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoggedEdge]:
    edge = LoggedEdge(tmp_path_factory.mktemp("edge"))
    edge.own("d-1", "d-2")
    live_a_little(edge, 1, 100)
    yield edge
    edge.store.close()


def test_a_thing_is_given_as_it_was_at_a_revision(edge: LoggedEdge) -> None:
    answer = asked(edge, f"{THING}?at-historical-revision=7")
    assert answer.status_code == 200
    assert answer.headers["Historical-Granularity"] == "revision"
    thing = answer.json()
    assert (thing["thingId"], thing["_revision"]) == ("home:d-1", 7)
    assert thing["features"]["level_m"]["properties"]["value"] == 7 / 4


def test_the_past_may_be_asked_for_in_a_header_too(edge: LoggedEdge) -> None:
    answer = asked(edge, THING + "/features/level_m", **{"at-historical-revision": "7"})
    assert answer.json()["properties"]["value"] == 7 / 4
    both = asked(edge, f"{THING}?at-historical-revision=7", **{"at-historical-timestamp": "1"})
    assert both.status_code == 400


@pytest.mark.parametrize(
    "moment", [str(WALL_MS + 10_500), "2025-06-15T15:06:50.500Z", "2025-06-15T15:06:50.5"]
)
def test_a_part_of_a_thing_is_given_as_it_was_at_a_time(edge: LoggedEdge, moment: str) -> None:
    path = f"{THING}/features/level_m/properties/value?at-historical-timestamp={moment}"
    assert asked(edge, path).json() == 2.5


def test_fields_select_of_the_past_too(edge: LoggedEdge) -> None:
    answer = asked(edge, f"{THING}?at-historical-revision=7&fields=_revision")
    assert answer.json() == {"_revision": 7}


def test_a_condition_is_on_what_the_thing_was_then(edge: LoggedEdge) -> None:
    as_of_7 = f"{THING}?at-historical-revision=7&condition=eq(_revision,7)"
    assert asked(edge, as_of_7).json()["_revision"] == 7
    as_of_8 = f"{THING}?at-historical-revision=8&condition=eq(_revision,7)"
    assert asked(edge, as_of_8).status_code == 412


@pytest.mark.parametrize("part", ["", "/features/level_m/properties/value"])
def test_the_past_has_the_tags_of_what_it_was_then(edge: LoggedEdge, part: str) -> None:
    as_of_7, as_of_8 = (f"{THING}{part}?at-historical-revision={number}" for number in (7, 8))
    tag = asked(edge, as_of_7).headers["ETag"]
    assert part or tag == '"rev:1.7"'
    known = asked(edge, as_of_7, **{"If-None-Match": tag})
    assert (known.status_code, known.headers["Historical-Granularity"]) == (304, "revision")
    assert asked(edge, as_of_8, **{"If-None-Match": tag}).status_code == 200
    assert asked(edge, as_of_7, **{"If-Match": tag}).status_code == 200
    assert asked(edge, as_of_8, **{"If-Match": tag}).status_code == 412


@pytest.mark.parametrize(
    "query, status, said",
    [
        ("at-historical-revision=1&fields=(", 400, "expected"),
        ("at-historical-revision=1&condition=eq(", 400, "expected"),
        ("at-historical-revision=100000", 404, "not known here"),
        ("at-historical-timestamp=2001-01-01T00:00:00Z", 404, "not known here"),
        ("at-historical-revision=-1", 400, "no number"),
        ("at-historical-revision=" + "9" * 40, 400, "no number"),
        ("at-historical-timestamp=yesterday", 400, "is no time"),
        ("at-historical-revision=1&at-historical-timestamp=1", 400, "either"),
        ("at-historical-other=1", 400, "either"),
    ],
)
def test_a_past_that_cannot_be_given_is_refused_in_a_sentence(
    edge: LoggedEdge, query: str, status: int, said: str
) -> None:
    answer = asked(edge, f"{THING}?{query}")
    assert answer.status_code == status
    assert said in answer.json()["message"]
    assert {"status", "error", "message", "description"} <= answer.json().keys()


def test_the_past_of_an_unknown_thing_is_404(edge: LoggedEdge) -> None:
    assert asked(edge, "/api/2/things/d-9?at-historical-revision=1").status_code == 404


def test_values_come_oldest_first_in_pages_that_join(edge: LoggedEdge) -> None:
    rows: list[Any] = []
    path = f"{ROWS}?feature=level_m&limit=30"
    while path:
        answer = asked(edge, path)
        rows += answer.json()["rows"]
        path = answer.headers.get("Link", "").partition(">")[0].lstrip("<")
        assert (answer.json()["next"] is None) == (path == "")
    assert rows == [[seq, seq / 4, "good"] for seq in range(1, 101)]


def test_rows_say_what_they_are_of_and_from_where_on_they_are_kept(edge: LoggedEdge) -> None:
    answer = asked(edge, f"{ROWS}?feature=level_m&limit=1")
    assert answer.headers["History-First-Revision"] == "1"
    said = answer.json()
    assert (said["feature"], said["unit"], said["first_revision"]) == ("level_m", "", 1)


def test_a_span_has_both_its_ends(edge: LoggedEdge) -> None:
    rows = asked(edge, f"{ROWS}?feature=level_m&from=10&to=12").json()["rows"]
    assert [row[0] for row in rows] == [10, 11, 12]


def test_a_chart_gets_as_many_points_as_it_wants_and_the_extremes(edge: LoggedEdge) -> None:
    rows = asked(edge, f"{ROWS}?feature=level_m&points=20").json()["rows"]
    assert len(rows) <= 20
    assert rows[0] == [1, 0.25, "good"]
    assert rows[-1] == [100, 25.0, "good"]


def test_rows_are_csv_for_whoever_accepts_it(edge: LoggedEdge) -> None:
    answer = asked(edge, f"{ROWS}?feature=level_m&limit=2", Accept="text/csv")
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.text.splitlines() == ["observed_ms,value,quality", "1,0.25,good", "2,0.5,good"]


def test_a_spreadsheet_calculates_nothing_that_a_device_says(edge: LoggedEdge) -> None:
    text, number = FeatureSpec(type="string"), FeatureSpec(type="number")
    said = Description(features={"mode": text, "level_m": number})
    texts = ["=1+2", "+1", "-1", "@x", "\t=1", "plain", '1,"2']
    reports = tuple(
        StateReport(
            seq=seq, observed_ms=seq, description=said, features={"mode": text, "level_m": -1.5}
        )
        for seq, text in enumerate(texts, 1)
    )
    window = Window(epoch=1, session=7, reports=reports)
    edge.handle(Message(topics.report("e-1", "d-2"), messages.encode(window)))
    path = "/api/v1/twins/d-2/history?feature=mode"
    assert [row[1] for row in asked(edge, path).json()["rows"]] == texts
    cells = csv.reader(StringIO(asked(edge, path, Accept="text/csv").text, newline=""))
    shown = ["'=1+2", "'+1", "'-1", "'@x", "'\t=1", "plain", '1,"2']
    assert [value for _, value, _ in cells] == ["value", *shown]
    numbers = asked(edge, "/api/v1/twins/d-2/history?feature=level_m&limit=1", Accept="text/csv")
    assert numbers.text.splitlines()[1] == "1,-1.5,good"


@pytest.mark.parametrize(
    "path, status",
    [
        (f"{ROWS}?feature=depth_m", 404),
        ("/api/v1/twins/d-9/history?feature=level_m", 404),
        (ROWS, 400),
        (f"{ROWS}?feature=level_m&from=then", 400),
        (f"{ROWS}?feature=level_m&cursor=x", 400),
        (f"{ROWS}?feature=level_m&limit=0", 400),
        (f"{ROWS}?feature=level_m&points=1", 400),
    ],
)
def test_rows_that_cannot_be_given_are_a_problem(edge: LoggedEdge, path: str, status: int) -> None:
    answer = asked(edge, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_few_read_the_past_at_once_and_others_are_told_to_come_later(edge: LoggedEdge) -> None:
    async def body() -> None:
        async with client_of(edge) as client:
            path = f"{ROWS}?feature=level_m"
            answers = await asyncio.gather(*(client.get(path) for _ in range(8)))
            assert sorted({answer.status_code for answer in answers}) == [200, 503]
            assert (await client.get(path)).status_code == 200

    asyncio.run(body())
