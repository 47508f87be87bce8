"""Writes at the cloud: sent on to the owner, answered as it answers, or 503."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from twin_runtime.adapters.ditto_http import answer_errors
from twin_runtime.adapters.forward_http import Forwards
from twin_runtime.adapters.writes_http import TWIN_TYPE, writing_router
from twin_runtime.core.effects import Answer, CreateTwin, Learn, Refused, Request, WhoOwns
from twin_runtime.core.limits import EDITED_BYTES_MAX, FORWARDS_MAX

API = "http://10.0.0.1:8421"
THING = "/api/2/things/site:d-1"
ROOM = THING + "/attributes/room"
TWIN = b'{"twin":"d-1"}'


def whole(status: int) -> httpx.Response:
    """What an edge answers the cloud: the tag of what was written, and the twin."""
    headers = {"ETag": '"hash:1"', "Content-Type": TWIN_TYPE}
    return httpx.Response(status, headers=headers, content=TWIN)


class Cloud:
    """A cloud whose directory knows `d-1` at e-1; edges answer as a test says."""

    def __init__(self) -> None:
        self.owned: dict[str, dict[str, Any]] = {
            "d-1": {"twin": "d-1", "phase": "owned", "owner": "e-1", "epoch": 1, "api": API}
        }
        self.is_full = False
        self.sent: list[httpx.Request] = []
        self.learnt: list[Learn] = []
        self.is_fenced = False
        self.edge: Callable[[httpx.Request], httpx.Response] = lambda _: whole(200)

    async def _ask(self, request: Request, within_s: float = 5.0) -> Answer:
        assert within_s > 0
        if isinstance(request, CreateTwin):
            if self.is_full:
                return Answer(1, Refused("no_edge", "no edge can take it"))
            self.owned[request.twin] = {**self.owned["d-1"], "phase": "activating"}
            return Answer(1)
        if isinstance(request, Learn):
            self.learnt.append(request)
            return Answer(1, Refused("not_owner", "another owns it") if self.is_fenced else None)
        assert isinstance(request, WhoOwns)
        where = self.owned.get(request.twin)
        if where is None:
            return Answer(1, Refused("unknown_twin", "there is no such twin"))
        answered = dict(where)
        if request.twin != "d-1":
            where["phase"] = "owned"  # by the next time
        return Answer(1, value=answered)

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request)
        return self.edge(request)

    def does(self, *requests: tuple[str, str], **content: Any) -> list[httpx.Response]:
        """All at once."""
        return self.does_in_turn(requests, **content)

    def does_in_turn(
        self, *rounds: tuple[tuple[str, str], ...], **content: Any
    ) -> list[httpx.Response]:
        """One round after the other, the requests of a round at once."""

        async def ask() -> list[httpx.Response]:
            edges = httpx.AsyncClient(transport=httpx.MockTransport(self._handle))
            app = FastAPI()
            answer_errors(app)
            app.include_router(writing_router(Forwards(self._ask, "site", edges, "secret")))
            transport = httpx.ASGITransport(app)
            async with edges, httpx.AsyncClient(transport=transport, base_url="http://c") as client:
                answers = []
                for requests in rounds:
                    asked = (client.request(*each, **content) for each in requests)
                    answers += await asyncio.gather(*asked)
                return answers

        return asyncio.run(ask())


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


def refused(answer: httpx.Response, status: int, said: str) -> None:
    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert said in answer.text
    if status == 503:
        assert answer.headers["retry-after"] == "1"


def test_a_write_reaches_its_owner_with_all_that_it_says_and_the_token(cloud: Cloud) -> None:
    named = {"condition": "exists(thingId)", "requested-acks": "twin-persisted", "timeout": "3s"}
    headers = {"If-Match": '"hash:0"', "X-Other": "1", "valid-for": "1m", **named}
    path = ROOM + "?requested-acks=twin-persisted&timeout=2s"
    (answer,) = cloud.does(("PUT", path), json={"a": 1}, headers=headers)
    assert (answer.status_code, answer.headers["etag"]) == (204, '"hash:1"')
    (sent,) = cloud.sent
    assert (str(sent.url), sent.method, sent.content) == (API + path, "PUT", b'{"a":1}')
    assert sent.headers["authorization"] == "Bearer secret"
    assert sent.headers["if-match"] == '"hash:0"'
    assert {name: sent.headers[name] for name in named} == named
    assert "valid-for" in sent.headers
    assert "x-other" not in sent.headers


def test_an_owner_is_waited_for_as_long_as_it_was_asked_to_wait_for_the_cloud(cloud: Cloud) -> None:
    cloud.does(("PUT", ROOM + "?requested-acks=twin-persisted&timeout=60s"), json=1)
    cloud.does(("POST", THING + "/inbox/messages/blink?timeout=50s"), json={})
    write, command = (each.extensions["timeout"]["read"] for each in cloud.sent)
    assert write > 60.0
    assert command > 50.0


def test_what_the_owner_answered_with_is_shown_here_before_the_writer_is_answered(
    cloud: Cloud,
) -> None:
    (answer,) = cloud.does(("PUT", ROOM), json=1)
    assert (answer.status_code, answer.content) == (204, b"")
    assert cloud.sent[0].headers["accept"] == TWIN_TYPE
    assert cloud.learnt == [Learn("d-1", TWIN)]


def test_a_write_at_one_who_is_its_owner_no_more_is_not_called_done(cloud: Cloud) -> None:
    cloud.is_fenced = True
    (answer,) = cloud.does(("PUT", ROOM), json=1)
    refused(answer, 503, "read whether it is done")


def test_the_owners_refusal_is_the_answer(cloud: Cloud) -> None:
    body = {"status": 412, "error": "things:precondition.failed", "message": "m"}
    cloud.edge = lambda _: httpx.Response(412, json=body)
    (answer,) = cloud.does(("PUT", ROOM), json=1)
    assert (answer.status_code, answer.json()) == (412, body)
    moving = {"status": 503, "error": "things:thing.unavailable", "message": "m"}
    cloud.edge = lambda _: httpx.Response(503, json=moving, headers={"Retry-After": "7"})
    (answer,) = cloud.does(("PUT", ROOM), json=1)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")


def test_an_attribute_that_was_not_there_is_made_at_our_address(cloud: Cloud) -> None:
    cloud.edge = lambda _: whole(201)
    (answer,) = cloud.does(("PUT", ROOM), json=1)
    assert (answer.status_code, answer.json(), answer.headers["location"]) == (201, 1, ROOM)
    (answer,) = cloud.does(("PUT", ROOM + "%E6%B8%A9"), json=1)
    assert answer.headers["location"] == ROOM + "%E6%B8%A9"


def test_an_owner_that_is_away_is_asked_again_in_a_second(cloud: Cloud) -> None:
    for error, said in (
        (httpx.ConnectError("refused"), "cannot be reached"),
        (httpx.ReadError("reset"), "read whether it is done"),
    ):

        def fail(_: httpx.Request, error: Exception = error) -> httpx.Response:
            raise error

        cloud.edge = fail
        (answer,) = cloud.does(("PUT", ROOM), json=1)
        refused(answer, 503, said)


def test_an_owner_that_has_just_let_go_is_asked_again_in_a_second(cloud: Cloud) -> None:
    gone = {"status": 404, "error": "things:thing.notfound"}
    for answered in (
        httpx.Response(307, headers={"Location": "x"}),
        httpx.Response(404, json=gone),
    ):
        cloud.edge = partial(_always, answered)
        (answer,) = cloud.does(("PUT", ROOM), json=1)
        refused(answer, 503, "just let go")


def test_an_owner_that_serves_nowhere_is_said(cloud: Cloud) -> None:
    del cloud.owned["d-1"]["api"]
    (answer,) = cloud.does(("PUT", ROOM), json=1)
    refused(answer, 503, "advertise")


def test_an_owner_with_another_token_is_the_operators_mistake(cloud: Cloud) -> None:
    body = {"status": 403, "error": "gateway:authentication.forbidden"}
    cloud.edge = lambda _: httpx.Response(403, json=body)
    (answer,) = cloud.does(("PUT", ROOM), json=1)
    refused(answer, 502, "another token")


def test_putting_a_thing_that_nobody_has_heard_of_makes_it(cloud: Cloud) -> None:
    (answer,) = cloud.does(("PUT", "/api/2/things/site:d-new"), json={"attributes": {"a": 1}})
    assert (answer.status_code, answer.headers["location"]) == (201, "/api/2/things/site:d-new")
    assert [str(sent.url) for sent in cloud.sent] == [API + "/api/2/things/site:d-new"]


@pytest.mark.parametrize("method, path, status", [
    ("PUT", "/api/2/things/d-9/attributes/a", 404),
    ("PATCH", "/api/2/things/d-9", 404),
    ("PUT", "/api/2/things/no-device", 404),
    ("PUT", "/api/2/things/d-9?condition=eq(", 400),
    ("PUT", "/api/2/things/d-9?requested-acks=all", 400),
    ("PUT", "/api/2/things/d-9?condition=exists(thingId)", 404),
    ("POST", "/api/2/things/d-9/inbox/messages/blink", 404),
])  # fmt: skip
def test_nothing_else_makes_a_twin(cloud: Cloud, method: str, path: str, status: int) -> None:
    (answer,) = cloud.does((method, path), json={})
    assert answer.status_code == status
    assert (list(cloud.owned), cloud.sent) == (["d-1"], [])


def test_a_thing_that_is_expected_to_be_there_is_not_made(cloud: Cloud) -> None:
    (answer,) = cloud.does(("PUT", "/api/2/things/d-9"), json={}, headers={"If-Match": "*"})
    assert answer.status_code == 404
    assert list(cloud.owned) == ["d-1"]


@pytest.mark.parametrize("body, status", [
    (b"", 400),
    (b"{", 400),
    (b"[]", 400),
    (b'{"thingId": "site:d-1"}', 400),
    (b'{"policyId": "a:b"}', 400),
    (b'{"attributes": {"a/b": 1}}', 400),
    (b'{"features": {"level_m": {"properties": {"value": 1}}}}', 403),
    (b'{"revision": 3}', 403),
    (b'{"attributes": {"a": "%b"}}' % (b"x" * EDITED_BYTES_MAX), 413),
])  # fmt: skip
def test_a_thing_that_is_refused_is_not_made(cloud: Cloud, body: bytes, status: int) -> None:
    headers = {"Content-Type": "application/json"}
    (answer,) = cloud.does(("PUT", "/api/2/things/d-9"), content=body, headers=headers)
    assert answer.status_code == status
    assert {"status", "error", "message", "description"} == answer.json().keys()
    assert (list(cloud.owned), cloud.sent) == (["d-1"], [])


def test_of_two_who_put_a_thing_that_is_not_there_one_makes_it(cloud: Cloud) -> None:
    """Whoever is sent with the tag of an untouched twin is refused by its owner if it is late."""
    only_new = {"If-None-Match": "*"}
    (made,) = cloud.does(("PUT", "/api/2/things/d-9"), json={}, headers=only_new)
    assert made.status_code == 201
    cloud.does(("PUT", "/api/2/things/d-9"), json={}, headers=only_new)
    first, late = (each.headers for each in cloud.sent)
    assert (first.get("if-match"), first.get("if-none-match")) == ('"rev:1.0"', None)
    assert (late.get("if-match"), late.get("if-none-match")) == (None, "*")


def test_a_directory_that_can_make_none_says_why(cloud: Cloud) -> None:
    cloud.is_full = True
    (answer,) = cloud.does(("PUT", "/api/2/things/d-9"), json={})
    refused(answer, 503, "no edge can take it")


def test_a_twin_that_stays_on_its_way_is_given_up(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twin_runtime.adapters.forward_http.FORWARD_PAUSE_S", 0.5)
    cloud.owned["d-1"]["phase"] = "activating"
    (answer,) = cloud.does(("PUT", ROOM), json=1)
    refused(answer, 503, "on its way")


def test_g7_no_more_writes_are_on_their_way_than_edges_take(cloud: Cloud) -> None:
    cloud.owned["d-1"]["phase"] = "activating"
    many = [("PUT", ROOM)] * (FORWARDS_MAX + 1)
    *answers, later = cloud.does_in_turn(tuple(many), (("PUT", ROOM),), json=1)
    busy = [answer for answer in answers if "already" in answer.text]
    assert len(busy) == 1
    assert "already" not in later.text
    refused(busy[0], 503, "on their way to edges")


def test_a_command_is_sent_on_without_a_body_too(cloud: Cloud) -> None:
    cloud.edge = lambda _: httpx.Response(200, json={"outcome": "done"})
    (answer,) = cloud.does(("POST", THING + "/inbox/messages/blink?timeout=3"))
    assert answer.json() == {"outcome": "done"}
    assert cloud.sent[0].content == b""


def _always(answered: httpx.Response, _: httpx.Request) -> httpx.Response:
    return answered
