"""The API's description of itself is true: parameters, answers, and every way to ask."""

from typing import Any

import pytest

from tests.adapters.served import a_twin, served

PART = "/api/2/things/{thing_id}/features/{feature_id}/properties/{path}"
GIVEN = {"thing_id": "d-1", "feature_id": "temperature_c", "path": "value"}
CONDITIONAL = {"fields", "condition", "If-Match", "If-None-Match"}


@pytest.fixture(scope="module")
def paths() -> dict[str, Any]:
    with served({}) as client:
        found: dict[str, Any] = client.get("/openapi.json").json()["paths"]
    return found


def names(operation: dict[str, Any], place: str) -> set[str]:
    return {each["name"] for each in operation["parameters"] if each["in"] == place}


def test_each_part_of_a_thing_says_what_it_may_be_asked(paths: dict[str, Any]) -> None:
    for path, operations in paths.items():
        if path.startswith("/api/2/things/"):
            operation = operations["get"]
            assert names(operation, "query") | names(operation, "header") == CONDITIONAL
            assert names(operation, "path") == {name for name in GIVEN if f"{{{name}}}" in path}


def test_a_search_says_what_it_may_be_asked(paths: dict[str, Any]) -> None:
    search = paths["/api/2/search/things"]["get"]
    assert names(search, "query") == {"filter", "option", "fields"}


def test_a_thing_says_that_it_may_be_described(paths: dict[str, Any]) -> None:
    answers = paths["/api/2/things/{thing_id}"]["get"]["responses"]["200"]["content"]
    assert {"application/json", "application/td+json"} <= set(answers)


@pytest.mark.parametrize(
    "query, headers, status",
    [
        ("", {}, 200),
        ("", {"If-None-Match": "*"}, 304),
        ("?fields=(", {}, 400),
        ("?condition=x", {}, 400),
        ("?condition=not(exists(thingId))", {}, 412),
        ("", {"If-Match": '"x"'}, 412),
    ],
)
def test_each_answer_is_one_that_is_documented(
    paths: dict[str, Any], query: str, headers: dict[str, str], status: int
) -> None:
    with served({"d-1": a_twin()}) as client:
        answer = client.get(PART.format(**GIVEN) + query, headers=headers)
        missing = client.get(PART.format(**{**GIVEN, "path": "none"}))
    documented = paths[PART]["get"]["responses"]
    assert answer.status_code == status
    assert {str(status), "404"} <= set(documented)
    assert missing.status_code == 404
    if status >= 400:
        schema = documented[str(status)]["content"]["application/json"]["schema"]
        assert schema == {"$ref": "#/components/schemas/DittoError"}


def test_only_what_is_there_is_documented_and_the_other_way_round(paths: dict[str, Any]) -> None:
    with served({"d-1": a_twin()}) as client:
        for path, operations in paths.items():
            where = path.format(**GIVEN)
            allowed = client.request("TRACE", where).headers["allow"]
            assert {method.lower() for method in allowed.split(", ")} == {*operations, "head"}
