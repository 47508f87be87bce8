"""Ditto's field selector."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_runtime.core.errors import MalformedMessage
from twin_runtime.core.limits import FIELDS_CHARS_MAX, QUERY_DEPTH_MAX
from twin_runtime.core.selector import fields_of, selected
from twin_runtime.core.thing import ABSENT

THING = {
    "thingId": "home:d-1",
    "_revision": 7,
    "attributes": {"room": "north", "floor": 2, "at": {"x": 1, "y": 2, "z": None}},
    "features": {
        "temperature_c": {"properties": {"value": 21.5, "quality": "good"}},
        "mode": {"properties": {"value": "auto"}, "desiredProperties": {"value": "off"}},
    },
}


@pytest.mark.parametrize(
    "text, part",
    [
        ("thingId", {"thingId": "home:d-1"}),
        ("thingId,_revision", {"thingId": "home:d-1", "_revision": 7}),
        ("attributes", {"attributes": THING["attributes"]}),
        ("/attributes/room", {"attributes": {"room": "north"}}),
        ("attributes(room,floor)", {"attributes": {"room": "north", "floor": 2}}),
        ("attributes(room,at(x,z))", {"attributes": {"room": "north", "at": {"x": 1, "z": None}}}),
        ("attributes/at(x),attributes/room", {"attributes": {"room": "north", "at": {"x": 1}}}),
        ("attributes/room, attributes", {"attributes": THING["attributes"]}),
        ("attributes,attributes/room", {"attributes": THING["attributes"]}),
        (
            "features/*/properties/value",
            {
                "features": {
                    "temperature_c": {"properties": {"value": 21.5}},
                    "mode": {"properties": {"value": "auto"}},
                }
            },
        ),
        (
            "features(*/desiredProperties,mode/properties)",
            {
                "features": {
                    "mode": {
                        "properties": {"value": "auto"},
                        "desiredProperties": {"value": "off"},
                    }
                }
            },
        ),
        ("thingId,attributes/none,attributes/room/none", {"thingId": "home:d-1"}),
    ],
)
def test_a_selector_selects_what_dittos_does(text: str, part: dict[str, Any]) -> None:
    assert selected(THING, fields_of(text)) == part


def test_of_what_is_not_there_nothing_is_selected() -> None:
    assert selected(THING, fields_of("attributes/none,nothing")) is ABSENT


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "position 1: expected a name, found the end"),
        ("a,", "position 3: expected a name, found the end"),
        ("a,,b", "position 3: expected a name, found ','"),
        ("a(b", "position 4: expected ',' or ')', found the end"),
        ("a(b))", "position 5: expected the end, found ')'"),
        ("a()", "position 3: expected a name, found ')'"),
        ("a b", "position 3: expected the end, found 'b'"),
        ("a//b", "position 2: expected the end, found '//b'"),
        ("a(" * 20 + "b" + ")" * 20, f"at most {QUERY_DEPTH_MAX} names below each other"),
        ("a/" * 20 + "b", f"at most {QUERY_DEPTH_MAX} names below each other"),
        ("a" * (FIELDS_CHARS_MAX + 1), f"at most {FIELDS_CHARS_MAX} are read"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_what_was_expected(text: str, message: str) -> None:
    with pytest.raises(MalformedMessage) as caught:
        fields_of(text)
    assert message in caught.value.message
    assert caught.value.code == "bad_fields"


names = st.sampled_from(["a", "b", "c"])
values = st.recursive(
    st.integers(), lambda inner: st.dictionaries(names, inner, min_size=1), max_leaves=10
)
paths = st.lists(st.lists(names, min_size=1, max_size=4).map(tuple), min_size=1, max_size=4)


def leaves(value: Any, above: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    if not isinstance(value, dict):
        return {above}
    return {leaf for name, part in value.items() for leaf in leaves(part, (*above, name))}


@given(values, paths)
def test_exactly_what_lies_below_a_path_is_selected(
    value: Any, wanted: list[tuple[str, ...]]
) -> None:
    part = selected(value, fields_of(",".join("/".join(path) for path in wanted)))
    expected = {leaf for leaf in leaves(value) if any(leaf[: len(p)] == p for p in wanted)}
    assert (set() if part is ABSENT else leaves(part)) == expected


@given(st.text("ab/(),* ", max_size=30))
def test_any_text_is_a_selector_or_a_mistake(text: str) -> None:
    with suppress(MalformedMessage):
        selected(THING, fields_of(text))
