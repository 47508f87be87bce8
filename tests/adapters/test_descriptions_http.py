"""Thing Descriptions over HTTP: asked for by Accept, with the addresses of whoever asks."""

import asyncio
from dataclasses import replace
from typing import Any

import httpx

from tests.adapters.served import WALL_MS, a_twin, served
from twin_runtime.adapters.reading import Shown
from twin_runtime.adapters.things_http import things_app
from twin_runtime.core.thing_description import TD_TYPE, WHOLE_TWIN, Access
from twin_runtime.ports import Health

THING = "/api/2/things/home:d-1"
ACCEPT = {"Accept": f"{TD_TYPE}, application/json;q=0.5"}


def described(url: str, access: Access) -> dict[str, Any]:
    """What is described to whoever comes by `url`."""
    view: dict[str, Shown] = {"d-1": a_twin()}
    app = things_app(view, Health(ready=True), lambda: b"", "home", lambda: WALL_MS, access)

    async def get() -> dict[str, Any]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=url) as client:
            description: dict[str, Any] = (await client.get(THING, headers=ACCEPT)).json()
            return description

    return asyncio.run(get())


def test_a_thing_is_described_to_whoever_accepts_that() -> None:
    with served({"d-1": a_twin()}) as client:
        thing, description = client.get(THING), client.get(THING, headers=ACCEPT)
        tag = description.headers["etag"]
        known = client.get(THING, headers={**ACCEPT, "If-None-Match": tag})
        unknown = client.get(THING + "0", headers=ACCEPT)
    assert thing.headers["content-type"] == "application/json"
    assert description.headers["content-type"] == TD_TYPE
    assert thing.headers["vary"] == description.headers["vary"] == "Accept"
    assert description.json()["title"] == "Greenhouse"
    assert (known.status_code, known.headers["etag"]) == (304, tag)
    assert unknown.status_code == 404


def test_each_form_of_a_description_leads_somewhere() -> None:
    with served({"d-1": a_twin()}) as client:
        description = client.get(THING, headers=ACCEPT).json()
        for name in ("temperature_c", "target_c"):
            for form in description["properties"][name]["forms"]:
                where = httpx.URL(description["base"]).join(form["href"])
                assert client.options(where).status_code == 405
                if form["op"] == "readproperty" and name == "temperature_c":
                    assert client.get(where).json() == 21.5
        assert client.get(description["base"] + description["links"][0]["href"]).json()


def test_a_reader_from_elsewhere_is_not_sent_to_its_own_loopback() -> None:
    description = described("http://gateway:8420", Access("", "mqtt://127.0.0.1:1883"))
    assert description["base"] == "http://gateway:8420/"
    (form,) = description["properties"][WHOLE_TWIN]["forms"]
    assert form["href"] == "mqtt://gateway:1883/dt/v1/twin/d-1"


def test_a_broker_on_another_machine_is_named_as_it_is_configured() -> None:
    access = Access("https://twins.example", "mqtt://broker:1884")
    description = described("http://10.0.0.1:8420", access)
    assert description["base"] == "https://twins.example/"
    (form,) = description["properties"][WHOLE_TWIN]["forms"]
    assert form["href"].startswith("mqtt://broker:1884/")


def test_a_plain_url_gives_the_description_to_whoever_asks() -> None:
    with served({"d-1": a_twin()}) as client:
        accepted = client.get(THING, headers=ACCEPT)
        plain = client.get("/api/v1/twins/d-1/td")
        known = client.get("/api/v1/twins/d-1/td", headers={"If-None-Match": plain.headers["etag"]})
        unknown = client.get("/api/v1/twins/d-2/td")
    assert plain.json() == accepted.json()
    assert plain.headers["content-type"] == TD_TYPE
    assert known.status_code == 304
    assert (unknown.status_code, unknown.json()["type"]) == (404, "urn:diten:unknown_twin")


def test_a_twin_that_nobody_has_described_is_not_described_as_empty() -> None:
    twin = a_twin()
    bare = replace(twin, content=twin.content.model_copy(update={"description": None}))
    with served({"d-1": bare}) as client:
        accepted = client.get(THING, headers=ACCEPT)
        plain = client.get("/api/v1/twins/d-1/td")
        assert client.get(THING).status_code == 200
    assert accepted.json()["error"] == "things:thing.description.unavailable"
    assert plain.json()["type"] == "urn:diten:not_described"
    for answer in (accepted, plain):
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
