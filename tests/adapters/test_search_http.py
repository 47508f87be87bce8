"""Searches: what is found, in which order, a page at a time."""

import itertools
import random

import httpx
import pytest

from tests.adapters.served import a_twin, served
from twin_runtime.adapters.reading import Shown
from twin_runtime.core.limits import SEARCH_PAGE_DEFAULT, SEARCHED_PER_TURN

SEARCH = "/api/2/search/things"
VALUE = "features/temperature_c/properties/value"


def twins(count: int) -> dict[str, Shown]:
    """Twins in no order, each room with every third, temperatures that repeat."""
    names = [f"d-{number:04}" for number in range(count)]
    random.Random(5).shuffle(names)
    return {
        name: a_twin(name, float(int(name[2:]) % 7), room=("a", "b", "c")[int(name[2:]) % 3])
        for name in names
    }


def pages(client: httpx.Client, **query: str) -> list[list[str]]:
    """The ids on each page of a search."""
    found, cursor = [], ""
    for _ in range(100):
        option = ",".join(filter(None, (query.get("option"), cursor and f"cursor({cursor})")))
        answer = client.get(SEARCH, params={**query, **({"option": option} if option else {})})
        assert answer.status_code == 200, answer.text
        found.append([thing["thingId"] for thing in answer.json()["items"]])
        cursor = answer.json().get("cursor", "")
        if not cursor:
            return found
    raise AssertionError


def test_things_that_the_filter_holds_for_are_found_in_the_order_of_their_ids() -> None:
    with served(twins(40)) as client:
        query = f'and(eq(attributes/room,"b"),gt({VALUE},3))'
        found = pages(client, filter=query)
        count = client.get(SEARCH + "/count", params={"filter": query}).json()
    expected = [f"home:d-{n:04}" for n in range(40) if n % 3 == 1 and n % 7 > 3]
    assert found == [expected]
    assert count == len(expected)


def test_without_a_filter_all_things_are_found() -> None:
    with served(twins(30)) as client:
        assert len(pages(client)[0]) == SEARCH_PAGE_DEFAULT
        assert client.get(SEARCH + "/count").json() == 30
    with served({}) as client:
        assert client.get(SEARCH).json() == {"items": []}
        assert client.get(SEARCH + "/count").json() == 0


SORTS = ["", f"sort(+{VALUE})", f"sort(-{VALUE},-thingId)", "sort(-_revision)"]


@pytest.mark.parametrize("sort", SORTS)
def test_pages_together_are_everything_once_in_order(sort: str) -> None:
    view = twins(2 * SEARCHED_PER_TURN + 7)
    with served(view) as client:
        found = pages(client, option=",".join(filter(None, (sort, "size(100)"))))
    names = sorted(view)
    if sort == SORTS[1]:
        names.sort(key=lambda name: int(name[2:]) % 7)
    if sort == SORTS[2]:
        names.sort(key=lambda name: (int(name[2:]) % 7, name), reverse=True)
    assert list(itertools.chain(*found)) == [f"home:{name}" for name in names]
    assert [len(page) for page in found[:-1]] == [100] * (len(found) - 1)


def test_values_of_different_types_are_ordered_by_type() -> None:
    values = {"d-a": None, "d-b": True, "d-c": 2, "d-d": 10.5, "d-e": "1", "d-f": {"x": 1}}
    view: dict[str, Shown] = {name: a_twin(name, x=value) for name, value in values.items()}
    view["d-0"] = a_twin("d-0")
    ids = [f"home:{name}" for name in ("d-0", *values)]
    with served(view) as client:
        assert pages(client, option="sort(+attributes/x),size(2)")[0] == ids[:2]
        assert list(itertools.chain(*pages(client, option="sort(attributes/x),size(2)"))) == ids
        back = pages(client, option="sort(-attributes/x),size(2)")
    assert list(itertools.chain(*back)) == ids[::-1]


def test_a_page_goes_on_where_the_last_one_ended_though_things_come_and_go() -> None:
    view = twins(10)
    with served(view) as client:
        first = client.get(SEARCH, params={"option": "size(4)"}).json()
        del view["d-0003"], view["d-0006"]
        view["d-0002x"] = a_twin("d-0002x")
        option = f"cursor({first['cursor']})"
        rest = client.get(SEARCH, params={"option": option}).json()
    assert [each["thingId"][-1] for each in first["items"]] == ["0", "1", "2", "3"]
    assert [each["thingId"][-1] for each in rest["items"]] == ["4", "5", "7", "8", "9"]
    assert "cursor" not in rest


def test_a_cursor_knows_filter_and_order_of_the_first_page() -> None:
    order = f"sort(-{VALUE}),size(5)"
    with served(twins(30)) as client:

        def get(**query: str) -> httpx.Response:
            return client.get(SEARCH, params=query)

        first = get(filter=f"ge({VALUE},1)", option=order).json()
        cursor = f"cursor({first['cursor']})"
        alone = get(option=f"{cursor},size(5)")
        again = get(filter=f"ge({VALUE},1)", option=f"{order},{cursor}")
        others = get(filter="exists(thingId)", option=cursor), get(option=f"sort(thingId),{cursor}")
    assert alone.json() == again.json()
    assert len(alone.json()["items"]) == 5
    for other in others:
        assert (other.status_code, other.json()["error"]) == (
            400,
            "thing-search:search.option.invalid",
        )


def test_fields_select_parts_of_what_is_found() -> None:
    with served({"d-1": a_twin()}) as client:
        found = client.get(SEARCH, params={"fields": "thingId,attributes/room"}).json()
    assert found == {"items": [{"thingId": "home:d-1", "attributes": {"room": "north"}}]}


def test_a_search_looks_into_the_description_and_at_wanted_values_too() -> None:
    view: dict[str, Shown] = {"d-1": a_twin()}
    with served(view) as client:
        for query in (
            'eq(attributes/description/title,"Greenhouse")',
            "eq(features/target_c/desiredProperties/value,19)",
            'eq(features/target_c/desiredState/state,"pending")',
            'and(exists(attributes),like(thingId,"home:d-*"))',
        ):
            assert client.get(SEARCH + "/count", params={"filter": query}).json() == 1


@pytest.mark.parametrize(
    "query, error, said",
    [
        ({"filter": "eq(attributes/a)"}, "rql.expression.invalid", "position 16: expected ','"),
        (
            {"option": "limit(0,5)"},
            "thing-search:search.option.invalid",
            "position 1: expected sort(…), size(…)",
        ),
        (
            {"option": "size(0)"},
            "thing-search:search.option.invalid",
            "position 6: expected a number",
        ),
        ({"option": "size(999)"}, "thing-search:search.option.invalid", "a number from 1 to 200"),
        ({"option": "size(5"}, "thing-search:search.option.invalid", "a number from 1 to 200"),
        (
            {"option": "sort(+nothing)"},
            "thing-search:search.option.invalid",
            "position 7: expected thingId",
        ),
        (
            {"option": "sort(+thingId"},
            "thing-search:search.option.invalid",
            "expected ')', found the end",
        ),
        (
            {"option": "cursor(x)"},
            "thing-search:search.option.invalid",
            "not one that a search gave",
        ),
        (
            {"option": "cursor(W10=)"},
            "thing-search:search.option.invalid",
            "not one that a search gave",
        ),
        ({"fields": "a("}, "json.fieldselector.invalid", "position 3"),
    ],
)
def test_a_mistake_is_told_with_its_position(query: dict[str, str], error: str, said: str) -> None:
    with served({"d-1": a_twin()}) as client:
        answer = client.get(SEARCH, params=query)
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert said in answer.json()["message"]
