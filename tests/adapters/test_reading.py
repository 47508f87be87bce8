"""Parts of things: their paths, their tags, what is wanted of them and when."""

from typing import Any

import pytest

from tests.adapters.served import WALL_MS, Committed, a_twin, served
from twin_runtime.adapters.reading import Shown
from twin_runtime.core.etag import part_tag
from twin_runtime.core.messages import FeatureState

THING = "/api/2/things/home:d-1"
FEATURE = THING + "/features/temperature_c"
STATE = {"value": 21.5, "observed_ms": WALL_MS - 100, "quality": "good"}


def get(path: str, twin: Committed | None = None, **headers: str) -> tuple[int, Any, Any]:
    """Status, body and entity tag."""
    view: dict[str, Shown] = {"d-1": twin or a_twin()}
    with served(view) as client:
        answer = client.get(path, headers={k.replace("_", "-"): v for k, v in headers.items()})
    return answer.status_code, answer.json() if answer.content else None, answer.headers.get("etag")


@pytest.mark.parametrize(
    "path, part",
    [
        (THING + "/attributes/room", "north"),
        (THING + "/attributes/description/title", "Greenhouse"),
        (THING + "/attributes/description/features/temperature_c/unit", "Cel"),
        (FEATURE, {"properties": STATE}),
        (FEATURE + "/properties", STATE),
        (FEATURE + "/properties/value", 21.5),
        (FEATURE + "/properties/quality", "good"),
        (THING + "/features/target_c/desiredProperties", {"value": 19.0}),
        (THING + "/features/target_c/desiredProperties/value", 19.0),
    ],
)
def test_each_part_of_a_thing_has_a_path_and_a_tag_of_its_own(path: str, part: Any) -> None:
    assert get(path) == (200, part, part_tag(part))


def test_all_features_are_read_together() -> None:
    _, features, _ = get(THING + "/features")
    assert features["temperature_c"] == {"properties": STATE}
    assert features["target_c"]["desiredState"] == {"state": "pending", "number": 6}


def test_a_name_with_a_tilde_is_written_as_in_a_json_pointer() -> None:
    twin = a_twin(at={"~": 1, "a b": 2})
    assert get(THING + "/attributes/at/~0", twin)[:2] == (200, 1)
    assert get(THING + "/attributes/at/a%20b", twin)[:2] == (200, 2)


@pytest.mark.parametrize(
    "path, error",
    [
        ("/api/2/things/home:d-2/attributes", "things:thing.notfound"),
        (THING + "/attributes/none", "things:attribute.notfound"),
        (THING + "/attributes/room/none", "things:attribute.notfound"),
        (THING + "/features/none", "things:feature.notfound"),
        (FEATURE + "/properties/none", "things:feature.property.notfound"),
        (FEATURE + "/desiredProperties", "things:feature.desiredProperties.notfound"),
        (FEATURE + "/desiredProperties/value", "things:feature.desiredProperties.notfound"),
        (
            THING + "/features/target_c/desiredProperties/x",
            "things:feature.desiredProperty.notfound",
        ),
        (THING + "/features/target_c/properties/value", "things:feature.properties.notfound"),
        (THING + "/features/none/properties/value", "things:feature.notfound"),
        (FEATURE + "/none", "api:not.found"),
        (THING + "/attributes/..%2f..%2fetc", "things:attribute.notfound"),
        (THING + "/attributes/%3Cscript%3E" + "x" * 9_000, "things:attribute.notfound"),
    ],
)
def test_what_is_not_there_is_told_in_dittos_words(path: str, error: str) -> None:
    status, body, _ = get(path)
    assert (status, body["error"]) == (404, error)
    assert len(body["message"]) < 300


def test_head_answers_as_get_without_the_body() -> None:
    with served({"d-1": a_twin()}) as client:
        got, head = client.get(FEATURE), client.head(FEATURE)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("etag", "content-length", "content-type"):
        assert head.headers[name] == got.headers[name]


def test_a_part_that_the_reader_has_is_not_sent_again_though_the_thing_has_changed() -> None:
    later = a_twin()
    later = Committed(later.content.model_copy(update={"revision": 8}))
    _, _, tag = get(FEATURE)
    assert get(FEATURE, later, If_None_Match=tag) == (304, None, tag)
    assert get(THING, later, If_None_Match='"rev:2.7"')[0] == 200


def test_a_live_value_changes_the_tag_of_what_it_is_in() -> None:
    waves = (FeatureState(value=v, observed_ms=WALL_MS, quality="live") for v in (1.0, 2.0))
    twins = [Committed(a_twin().content.model_copy(update={"features": {"w": w}})) for w in waves]
    for path in (THING, THING + "/features", THING + "/features/w/properties/value"):
        assert get(path, twins[0])[2] != get(path, twins[1])[2]


@pytest.mark.parametrize(
    "path, tag, status",
    [
        (THING, '"rev:2.7"', 200),
        (THING, '"rev:2.6"', 412),
        (THING, '"rev:1.7"', 412),
        (THING, "*", 200),
        (THING + "/attributes/room", part_tag("north"), 200),
        (THING + "/attributes/room", part_tag("south"), 412),
        (THING + "/attributes/none", "*", 412),
    ],
)
def test_a_read_may_ask_for_a_state(path: str, tag: str, status: int) -> None:
    assert get(path, If_Match=tag)[0] == status


@pytest.mark.parametrize("path", [THING, FEATURE + "/properties/value"])
def test_a_read_may_have_a_condition(path: str) -> None:
    holds = "gt(features/temperature_c/properties/value,21)"
    assert get(f"{path}?condition={holds}")[0] == 200
    status, body, _ = get(f"{path}?condition=not({holds})")
    assert (status, body["error"]) == (412, "things:condition.failed")


def test_fields_select_parts_of_a_thing_and_of_parts() -> None:
    assert get(THING + "?fields=thingId,attributes(room,none)")[1] == {
        "thingId": "home:d-1",
        "attributes": {"room": "north"},
    }
    assert get(THING + "/features?fields=*/properties/value")[1] == {
        "temperature_c": {"properties": {"value": 21.5}}
    }
    assert get(THING + "?fields=nothing")[1] == {}


@pytest.mark.parametrize(
    "query, error, said",
    [
        ("fields=a(b", "json.fieldselector.invalid", "position 4"),
        ("condition=eq(thingId)", "rql.expression.invalid", "position 11"),
    ],
)
def test_a_mistake_in_a_query_is_told_with_its_position(query: str, error: str, said: str) -> None:
    for path in (THING, "/api/2/things/home:d-2"):
        status, body, _ = get(f"{path}?{query}")
        if path == THING or error.startswith("json"):
            assert (status, body["error"]) == (400, error)
            assert said in body["message"]


def test_lists_are_selected_by_fields_too_on_every_page() -> None:
    view: dict[str, Shown] = {f"d-{number}": a_twin(f"d-{number}") for number in range(4)}
    path, seen = "/api/2/things?fields=thingId&limit=3", []
    with served(view) as client:
        while path:
            answer = client.get(path)
            seen += answer.json()
            path = answer.links.get("next", {}).get("url", "")
        named = client.get("/api/2/things?ids=d-2&fields=attributes/room").json()
    assert seen == [{"thingId": f"home:d-{number}"} for number in range(4)]
    assert named == [{"attributes": {"room": "north"}}]
