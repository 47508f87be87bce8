"""Writing over HTTP, before a real machine: statuses, entity tags, bad input, waiting."""

import asyncio
import re
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from tests.adapters.serving import serving
from tests.edge_node.an_edge import Edge, activate, stable
from tests.edge_node.test_desires import DESCRIPTION
from twin_runtime.adapters import things_http
from twin_runtime.adapters.commits_http import Commits
from twin_runtime.adapters.elsewhere_http import Elsewhere
from twin_runtime.adapters.tokens import TokenGuard
from twin_runtime.adapters.writes_http import THING as THING_PATH
from twin_runtime.adapters.writes_http import TWIN_TYPE, writing_router
from twin_runtime.core import messages, topics
from twin_runtime.core.effects import (
    Answer,
    Asked,
    Connected,
    Effects,
    Message,
    Request,
)
from twin_runtime.core.errors import Unavailable
from twin_runtime.core.limits import EDITED_BYTES_MAX, PACKET_BYTES_MAX
from twin_runtime.core.messages import Outcome, StateReport, Window
from twin_runtime.core.orders import Release, Seal
from twin_runtime.ports import Health

THING = "/api/2/things/site:d-1"
ROOM = THING + "/attributes/room"
PERIOD = THING + "/features/period_s/desiredProperties/value"
TOKEN = "a-token-of-some-length"


class Site:
    """An edge with `d-1`, its HTTP, and a cloud that does what a test says."""

    def __init__(self) -> None:
        self.edge = Edge()
        self.view: dict[str, Any] = {}
        self.handle(activate("d-1"), Connected())
        said = StateReport(seq=1, observed_ms=5, description=DESCRIPTION, features={"mode": "eco"})
        window = Window(epoch=1, session=7, reports=(said,))
        self.handle(Message(topics.report("e-1", "d-1"), messages.encode(window)))
        self.then: list[Message] = []  # heard after each question
        self.waits_s: list[float] = []  # how long each question may take
        self.app = things_http.things_app(
            self.view, Health(ready=True), lambda: b"", "site", lambda: 0
        )
        self.app.include_router(writing_router(Commits(self._ask, "site")))

    def handle(self, *events: Any) -> Effects:
        fx = self.edge.handle(*events)
        for key, value in fx.shown:
            self.view[key] = value
            if value is None:
                del self.view[key]
        return fx

    async def _ask(self, request: Request, within_s: float = 5.0) -> Answer:
        self.waits_s.append(within_s)
        answers = self.handle(Asked(7, request)).answers
        if not answers:
            answers = self.handle(*self.then).answers
        if not answers:
            raise Unavailable(f"no answer within {within_s:g} s: ask again")
        (answer,) = answers
        return answer

    def does(self, method: str, path: str, app: Any = None, **request: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app or self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://edge") as client:
                return await client.request(method, path, **request)

        return asyncio.run(ask())


@pytest.fixture
def site() -> Site:
    return Site()


def test_what_is_put_is_read_with_the_tag_that_was_answered(site: Site) -> None:
    put = site.does("PUT", ROOM, json={"name": "north"})
    assert (put.status_code, put.json()) == (201, {"name": "north"})
    assert put.headers["location"] == ROOM
    got = site.does("GET", ROOM)
    assert (got.json(), got.headers["etag"]) == ({"name": "north"}, put.headers["etag"])
    again = site.does("PUT", ROOM, json="south")
    assert (again.status_code, again.content) == (204, b"")
    assert site.does("DELETE", ROOM).status_code == 204
    assert site.does("GET", ROOM).status_code == 404


def test_when_all_attributes_are_deleted_the_devices_own_stays(site: Site) -> None:
    site.does("PUT", ROOM, json="north")
    assert site.does("DELETE", THING + "/attributes").status_code == 204
    assert set(site.does("GET", THING + "/attributes").json()) == {"description"}


def test_the_cloud_is_answered_with_the_whole_twin(site: Site) -> None:
    for status in (201, 200):
        put = site.does("PUT", ROOM, json={"name": status}, headers={"Accept": TWIN_TYPE})
        assert (put.status_code, put.headers["content-type"]) == (status, TWIN_TYPE)
        assert put.content == site.edge.document("d-1")
        assert put.headers["etag"] == site.does("GET", ROOM).headers["etag"]


def test_a_thing_is_patched_by_the_tag_of_its_epoch_and_revision(site: Site) -> None:
    merge = {"Content-Type": "application/merge-patch+json"}
    seen = site.does("GET", THING).headers["etag"]
    patch = {"attributes": {"room": "north"}}
    done = site.does("PATCH", THING, json=patch, headers={**merge, "If-Match": seen})
    assert (done.status_code, done.headers["etag"]) == (204, '"rev:1.2"')
    stale = site.does("PATCH", THING, json={"attributes": {"a": 1}}, headers={"If-Match": seen})
    assert (stale.status_code, stale.json()["error"]) == (412, "things:precondition.failed")
    assert site.does("GET", THING).json()["attributes"]["room"] == "north"


def test_what_is_there_is_not_made_again(site: Site) -> None:
    first = site.does("PUT", ROOM, json=1, headers={"If-None-Match": "*"})
    again = site.does("PUT", ROOM, json=2, headers={"If-None-Match": "*"})
    assert (first.status_code, again.status_code) == (201, 412)


def test_a_condition_is_an_expression_on_the_thing(site: Site) -> None:
    eco = {"condition": 'eq(features/mode/properties/value,"eco")'}
    assert site.does("PUT", ROOM, json=1, params=eco).status_code == 201
    other = {"condition": 'eq(features/mode/properties/value,"x")'}
    assert site.does("PUT", ROOM, json=2, params=other).status_code == 412
    bad = site.does("PUT", ROOM, json=2, params={"condition": "eq(features"})
    assert (bad.status_code, bad.json()["error"]) == (400, "rql.expression.invalid")


def test_what_may_be_a_parameter_may_be_a_header_as_in_ditto(site: Site) -> None:
    never = {"condition": "not(exists(thingId))"}
    assert site.does("PUT", ROOM, json=1, headers=never).status_code == 412
    wait = {"requested-acks": "twin-persisted", "timeout": "500ms"}
    assert site.does("PUT", ROOM, json=1, headers=wait).status_code == 408
    for header in ({"timeout": "soon"}, {"valid-for": "soon"}, {"condition": "eq("}):
        assert site.does("PUT", ROOM, json=2, headers=header).status_code == 400
    assert site.does("GET", ROOM, headers=never).status_code == 412
    assert site.does("GET", ROOM + "?condition=exists(thingId)", headers=never).json() == 1


def test_a_desired_value_is_shown_as_pending(site: Site) -> None:
    assert site.does("PUT", PERIOD, json=2).status_code == 201
    feature = site.does("GET", THING).json()["features"]["period_s"]
    assert feature["desiredProperties"] == {"value": 2}
    said = {"state": "pending", "number": 2, "wanted_ms": site.edge.now.wall_ms}
    assert feature["desiredState"] == said


def test_a_wish_may_be_for_a_while(site: Site) -> None:
    assert site.does("PUT", PERIOD + "?valid-for=2m", json=2).status_code == 201
    site.edge.now_s += 120.0
    site.handle()
    feature = site.does("GET", THING).json()["features"]["period_s"]
    assert feature["desiredState"]["state"] == "expired"
    assert site.does("PUT", PERIOD + "?valid-for=48h", json=2).status_code == 400


def test_a_thing_may_name_itself_and_no_other(site: Site) -> None:
    mine = {"thingId": "site:d-1", "attributes": {"a": 1}}
    assert site.does("PUT", THING, json=mine).status_code == 204
    other = site.does("PUT", THING, json={**mine, "thingId": "site:d-2"})
    assert (other.status_code, other.json()["error"]) == (400, "things:id.notsettable")


@pytest.mark.parametrize("method, path, body, status", [
    ("PUT", THING + "/features/mode/properties/value", '"x"', 403),
    ("PUT", THING + "/features/mode", "{}", 403),
    ("PUT", THING + "/attributes/description", "{}", 403),
    ("PUT", THING + "/features/none/desiredProperties/value", "1", 404),
    ("PUT", THING + "/features/mode/desiredProperties/value", "1", 400),
    ("PUT", ROOM, '{"a": NaN}', 400),
    ("PUT", ROOM, "{", 400),
    ("PUT", ROOM, "", 400),
    ("PUT", ROOM, "[" * 500 + "]" * 500, 400),
    ("PUT", ROOM, '"\\ud800"', 400),
    ("PUT", THING + "/attributes/..%2F..%2Fetc", "1", 201),
    ("PUT", THING + "/attributes/" + "x" * 10_000, "1", 400),
    ("PUT", THING + "/attributes/a%00b", "1", 400),
    ("PUT", THING + "/attributes/a%0D%0ASet-Cookie:b", "1", 404),
    ("PUT", ROOM, '"' + "x" * EDITED_BYTES_MAX + '"', 413),
    ("PUT", ROOM, " " * (PACKET_BYTES_MAX + 1), 413),
    ("DELETE", ROOM, None, 404),
    ("PUT", "/api/2/things/d-2/attributes/a", "1", 404),
    ("PUT", "/api/2/things/<script>/attributes/a", "1", 404),
    ("PUT", "/api/2/things/other:d-1/attributes/a", "1", 404),
    ("DELETE", THING, None, 405),
    ("PUT", ROOM + "?requested-acks=search-persisted", "1", 400),
    ("PUT", ROOM + "?requested-acks=twin-persisted&timeout=1h", "1", 400),
])  # fmt: skip
def test_g9_bad_input_has_one_clear_answer(
    site: Site, method: str, path: str, body: str | None, status: int
) -> None:
    headers = {} if body is None else {"Content-Type": "application/json"}
    answer = site.does(method, path, content=body, headers=headers)
    assert answer.status_code == status, answer.text
    if status >= 400:
        assert answer.json()["status"] == status
        assert set(answer.json()) == {"status", "error", "message", "description"}
        assert len(answer.content) < 1_000


MODE = THING + "/features/mode"


@pytest.mark.parametrize("method, path, body, status, error", [
    ("PUT", MODE, {}, 403, "things:feature.notmodifiable"),
    ("PUT", MODE + "/properties", {}, 403, "things:feature.properties.notmodifiable"),
    ("PUT", MODE + "/properties/value", 1, 403, "things:feature.property.notmodifiable"),
    ("DELETE", THING + "/features", None, 403, "things:features.notmodifiable"),
    ("PUT", THING + "/attributes/description", {}, 403, "things:attribute.notmodifiable"),
    ("PATCH", THING, {"revision": 1}, 403, "things:thing.notmodifiable"),
    ("PATCH", THING, {"features": {"x": {"desiredProperties": {"value": 1}}}}, 404,
     "things:feature.notfound"),
    ("PUT", THING + "/features/x/desiredProperties/value", 1, 404, "things:feature.notfound"),
    ("DELETE", ROOM, None, 404, "things:attribute.notfound"),
    ("DELETE", MODE + "/desiredProperties", None, 404,
     "things:feature.desiredProperties.notfound"),
    ("DELETE", PERIOD, None, 404, "things:feature.desiredProperty.notfound"),
    ("DELETE", THING + "/features/x/desiredProperties", None, 404, "things:feature.notfound"),
    ("DELETE", THING + "/features/x/desiredProperties/value", None, 404,
     "things:feature.notfound"),
    ("DELETE", THING + "/features/x/desiredProperties/x", None, 404, "things:feature.notfound"),
    ("PUT", THING, {"thingId": {}}, 400, "things:id.notsettable"),
    ("PUT", ROOM + "?timeout=x", 1, 400, "timeout.invalid"),
    ("PUT", MODE + "/desiredProperties/x", 1, 404, "things:feature.desiredProperty.notfound"),
    ("PUT", MODE + "/x", 1, 404, "api:not.found"),
    ("PUT", ROOM + "?condition=not(exists(thingId))", 1, 412, "things:condition.failed"),
    ("PUT", ROOM + "?requested-acks=twin-persisted&timeout=x", 1, 400, "timeout.invalid"),
])  # fmt: skip
def test_a_write_is_refused_in_dittos_words(
    site: Site, method: str, path: str, body: Any, status: int, error: str
) -> None:
    with serving(site.app) as api:
        answer = httpx.request(method, api + path, json=body, trust_env=False)
    assert (answer.status_code, answer.json()["error"]) == (status, error)


def test_a_body_that_is_no_json_is_refused_in_dittos_words(site: Site) -> None:
    answer = site.does("PUT", ROOM, content="{", headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]) == (400, "json.invalid")


@pytest.mark.parametrize(
    "patch, status",
    [
        ("null", 400),
        ('"x"', 400),
        ("[]", 400),
        ("{", 400),
        ('{"attributes": 1}', 400),
        ('{"nothing": {}}', 400),
        ('{"features": {"mode": {"properties": {"value": 1}}}}', 403),
        ('{"features": {"none": {"desiredProperties": {"value": 1}}}}', 404),
    ],
)
def test_g9_a_malformed_patch_has_one_clear_answer_and_changes_nothing(
    site: Site, patch: str, status: int
) -> None:
    before = site.does("GET", THING).content
    headers = {"Content-Type": "application/merge-patch+json"}
    answer = site.does("PATCH", THING, content=patch, headers=headers)
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"status", "error", "message", "description"}
    assert "None" not in answer.text  # of Python
    assert site.does("GET", THING).content == before


@pytest.mark.parametrize("name", ["%E6%B8%A9%E5%BA%A6", "a%20b", "%F0%9B%AD%8C", "a%3Fb"])
def test_an_attribute_of_any_name_is_found_at_the_address_that_is_given(
    site: Site, name: str
) -> None:
    put = site.does("PUT", f"{THING}/attributes/{name}", json=1)
    assert put.status_code == 201
    assert site.does("DELETE", put.headers["location"]).status_code == 204


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "a" * 300])
def test_a_body_of_another_type_is_refused(site: Site, kind: str) -> None:
    answer = site.does("PUT", ROOM, content="1", headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["error"]) == (415, "mediatype.unsupported")
    patch = site.does("PUT", ROOM, json=1, headers={"Content-Type": "application/merge-patch+json"})
    assert patch.status_code == 415


def test_a_twin_that_moves_is_to_be_asked_again_in_a_second(site: Site) -> None:
    order = Seal(store="s-1", twin="d-1", epoch=1)
    site.handle(Message(topics.order("e-1"), messages.encode(order)))
    answer = site.does("PUT", ROOM, json=1)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


def test_a_persisted_write_is_answered_when_the_cloud_has_it(site: Site) -> None:
    wait = {"requested-acks": "twin-persisted", "timeout": "500ms"}
    late = site.does("PUT", ROOM, json=1, params=wait)
    assert (late.status_code, late.json()["error"]) == (408, "acknowledgement:request.timeout")
    assert site.waits_s[-1] == 0.5
    assert site.does("GET", ROOM).json() == 1, "the write stands"
    site.then = [stable(2)]
    assert site.does("PUT", ROOM, json=1, params=wait).status_code == 204


def test_who_asks_for_a_twin_that_left_is_sent_after_it(site: Site) -> None:
    order = Release(store="s-1", twin="d-1", epoch=2, api="http://10.0.0.2:8421")
    site.handle(Message(topics.order("e-1"), messages.encode(order)))
    app = Elsewhere(site.app, site.edge.machine.elsewhere, "site")
    twin = "/api/v1/twins/d-1"
    for method, path in (
        ("GET", THING),
        ("PUT", ROOM + "?timeout=5"),
        ("POST", THING + "/inbox/messages/blink"),
        ("GET", THING + "/features?at-historical-revision=3"),
        ("GET", twin + "/history?feature=mode&points=9"),
        ("DELETE", twin + "/blobs/model"),
        ("GET", twin),
    ):
        answer = site.does(method, path, app, json=1)
        assert answer.status_code == 307
        assert answer.headers["location"] == "http://10.0.0.2:8421" + path
    assert site.does("GET", "/api/2/things/d-3", app).status_code == 404


def test_a_token_guards_every_write_and_no_read(site: Site) -> None:
    app = TokenGuard(site.app, TOKEN)
    assert site.does("GET", THING, app).status_code == 200
    said = site.does("PUT", ROOM, app).json()["error"]
    assert said == "gateway:authentication.failed"
    for path in (ROOM, "/api/v1/moves", "/nothing"):
        without = site.does("POST", path, app)
        assert (without.status_code, without.headers["www-authenticate"][:6]) == (401, "Bearer")
        for wrong in ("Bearer no", f"Basic {TOKEN}", TOKEN, "Bearer \xe9"):
            headers = {"Authorization": wrong.encode("latin-1")}
            assert site.does("POST", path, app, headers=headers).status_code == 403
    right = {"Authorization": f"Bearer {TOKEN}"}
    assert site.does("PUT", ROOM, app, json=1, headers=right).status_code == 201


def test_every_write_is_documented_once(site: Site) -> None:
    paths = site.app.openapi()["paths"]
    assert {"put", "patch", "get"} <= set(paths["/api/2/things/{thing_id}"])
    asked = [said["operationId"] for path in paths.values() for said in path.values()]
    assert len(asked) == len(set(asked))


@pytest.mark.parametrize("path, status", [
    ("a/b", 201),
    ("/a", 201),
    ("~0" * 64, 201),
    ("/".join("a" * 8), 201),
    ("a%09", 400),
    ("a/b%7F", 400),
    ("a%C2%9B31m", 400),
    ("a%C2%A0", 201),
])  # fmt: skip
def test_an_attributes_path_is_documented_as_it_is_checked(
    site: Site, path: str, status: int
) -> None:
    put = site.app.openapi()["paths"][THING_PATH + "/attributes/{path}"]["put"]
    (said,) = (each["schema"] for each in put["parameters"] if each["name"] == "path")
    assert bool(re.search(said["pattern"], unquote(path))) is (status == 201)
    answer = site.does("PUT", f"{THING}/attributes/{path}", json=1)
    assert answer.status_code == status, answer.text


BLINK = THING + "/inbox/messages/blink"


@pytest.mark.parametrize("outcome, status", [("done", 200), ("rejected", 409), ("expired", 409)])
def test_a_command_is_answered_with_its_outcome(site: Site, outcome: Any, status: int) -> None:
    said = Outcome(number=2, outcome=outcome, reason="so")
    told = StateReport(seq=2, observed_ms=6, outcomes={"commands/blink": said})
    window = Window(epoch=1, session=7, reports=(told,))
    site.then = [Message(topics.report("e-1", "d-1"), messages.encode(window))]
    answer = site.does("POST", BLINK, json={"times": 3})
    assert answer.status_code == status
    assert "so" in answer.text


@pytest.mark.parametrize("path, body, status", [
    (BLINK, [1], 400),
    (BLINK, {"a": {"b": 1}}, 400),
    (BLINK, {"a": "x" * 300}, 400),
    (BLINK + "?timeout=0", {}, 400),
    (BLINK + "?timeout=3600", {}, 400),
    (THING + "/inbox/messages/Blink!", {}, 400),
    ("/api/2/things/d-9/inbox/messages/blink", {}, 404),
])  # fmt: skip
def test_g9_a_bad_command_is_not_sent(site: Site, path: str, body: Any, status: int) -> None:
    assert site.does("POST", path, json=body).status_code == status


def test_a_command_that_nobody_answers_is_given_up(site: Site) -> None:
    assert site.does("POST", BLINK).status_code == 503
