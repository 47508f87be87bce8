"""RQL: what an expression means, against a naive reading of it, and how mistakes are told."""

import operator
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_runtime.core import messages
from twin_runtime.core.errors import MalformedMessage
from twin_runtime.core.limits import QUERY_DEPTH_MAX, RQL_CHARS_MAX
from twin_runtime.core.look import Look, in_state, in_thing, state_of
from twin_runtime.core.rql import query_of
from twin_runtime.core.thing import ABSENT, part_of, path_of, thing_of

DOCUMENT = {
    "twin": "d-1",
    "epoch": 2,
    "revision": 7,
    "reported_wall_ms": 1_763_728_000_123,
    "attributes": {"room": "north", "floor": 2, "open": True, "note": None, "at": {"x": 1.5}},
    "description": {"title": "Greenhouse", "features": {"temperature_c": {"type": "number"}}},
    "features": {
        "temperature_c": {"value": 21.5, "observed_ms": 5, "quality": "good"},
        "mode": {"value": "auto*", "observed_ms": 5, "quality": "uncertain"},
    },
    "desired": {"features/mode/value": {"value": "off", "number": 3, "state": "pending"}},
}
THING = thing_of(DOCUMENT, "home")
STATE = state_of(messages.TwinDocument.model_validate(DOCUMENT))


def in_state_or_thing(path: tuple[str, ...]) -> Look:
    """Into a pair of both: into the state as far as that has it."""
    in_held, in_whole = in_state("home", path), in_thing(path)
    return lambda pair: in_held(pair[0]) if in_held else in_whole(pair[1])


@pytest.mark.parametrize(
    "text, holds",
    [
        ('eq(attributes/room,"north")', True),
        ("eq(/attributes/room,'north')", True),
        ('eq(thingId,"home:d-1")', True),
        ("eq(attributes/floor,2)", True),
        ("eq(attributes/floor,2.0)", True),
        ('eq(attributes/floor,"2")', False),
        ("eq(attributes/open,true)", True),
        ("eq(attributes/open,1)", False),
        ("eq(attributes/note,null)", True),
        ("eq(attributes/none,null)", False),
        ("ne(attributes/floor,3)", True),
        ('ne(attributes/floor,"x")', True),
        ("ne(attributes/none,3)", False),
        ("not(eq(attributes/none,3))", True),
        ("gt(features/temperature_c/properties/value,21.4)", True),
        ("ge(features/temperature_c/properties/value,21.5)", True),
        ("lt(features/temperature_c/properties/value,21.5)", False),
        ("le(features/temperature_c/properties/value,2.15e1)", True),
        ('gt(features/temperature_c/properties/value,"0")', False),
        ("gt(attributes/open,false)", True),
        ('gt(_modified,"2025-01-01")', True),
        ("ge(_revision,7)", True),
        ('in(attributes/room,"south","north")', True),
        ("in(attributes/floor,1,3)", False),
        ('like(attributes/room,"n*th")', True),
        ('like(attributes/room,"n?rth")', True),
        ('like(attributes/room,"north?")', False),
        ('like(attributes/room,"*")', True),
        ('like(attributes/floor,"*")', False),
        ('like(features/mode/properties/value,"auto.")', False),
        ("exists(features/mode)", True),
        ("exists(attributes/none)", False),
        ("exists(attributes/note)", True),
        ('eq(features/mode/desiredProperties/value,"off")', True),
        ('eq(features/mode/desiredState/state,"pending")', True),
        ('eq(attributes/description/title,"Greenhouse")', True),
        ("eq(attributes/at/x,1.5)", True),
        (" and ( eq( attributes/floor , 2 ) , exists(attributes) ) ", True),
        ("or(eq(attributes/floor,1),eq(attributes/floor,2))", True),
        ("and(eq(attributes/floor,2),eq(attributes/floor,1))", False),
        (r'eq(attributes/room,"nor\"th")', False),
        (r'ne(attributes/room,"nor\\th")', True),
    ],
)
def test_an_expression_says_of_a_thing_what_dittos_says(text: str, holds: bool) -> None:  # noqa: FBT001
    assert query_of(text)(THING) is holds
    assert query_of(text, in_state_or_thing)((STATE, THING)) is holds


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "position 1: expected one of eq, ne, gt, ge, lt, le, in, like, exists, and, or, not"),
        ("eq", "position 1: expected one of eq"),
        ("equal(attributes/a,1)", "found 'equal'"),
        ("eq(attribute/a,1)", "position 4: expected thingId, attributes/…"),
        ("eq()", "position 4: expected thingId"),
        ("eq(attributes/a)", "position 16: expected ',', found ')'"),
        ("eq(attributes/a,)", "position 17: expected a number"),
        ("eq(attributes/a,north)", 'position 17: expected a number, "text"'),
        ("eq(attributes/a,'north)", "position 17: expected a number"),
        ("eq(attributes/a,1", "position 17: expected a number"),
        ("eq(attributes/a,1,2)", "position 18: expected ')', found ','"),
        ("eq(attributes/a,1))", "position 19: expected the end, found ')'"),
        ("gt(attributes/a,null)", "null cannot"),
        ("like(attributes/a,1)", "position 19: expected a pattern in quotes"),
        ("and()", "position 5: expected one of eq"),
        ("not(exists(attributes/a),exists(attributes/b))", "position 25: expected ')'"),
        ("and(exists(attributes/a) exists(attributes/b))", "position 26: expected ',' or ')'"),
        ("exists(attributes/a) and", "position 22: expected the end, found 'and'"),
        ("not(" * QUERY_DEPTH_MAX + "exists(attributes)" + ")" * QUERY_DEPTH_MAX, "at most 16 op"),
        ("x" * (RQL_CHARS_MAX + 1), "2049 characters; at most 2048"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_what_was_expected(text: str, message: str) -> None:
    with pytest.raises(MalformedMessage) as caught:
        query_of(text)
    assert message in caught.value.message
    assert caught.value.code == "bad_query"


@given(st.text("eqnotadlik(),'\"*?0.1 /\\", max_size=40) | st.text(max_size=40))
def test_any_text_is_an_expression_or_a_mistake(text: str) -> None:
    with suppress(MalformedMessage):
        query_of(text)(THING)


# --- against a naive interpreter ------------------------------------------------------


@dataclass(frozen=True)
class Relation:
    name: str
    path: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Logic:
    name: str
    parts: tuple[Any, ...]


PATHS = """
    thingId _revision revision epoch _modified attributes features
    attributes/room attributes/floor attributes/open attributes/note attributes/none
    attributes/at attributes/at/x attributes/description/title
    features/temperature_c/properties/value features/mode/properties/value
    features/mode/properties features/mode features/mode/desiredProperties/value
"""
paths = st.sampled_from(PATHS.split())
texts = st.sampled_from(["north", "home:d-1", "auto*", "off", "", 'a"b', "a\\b", "it's"])
scalars = st.none() | st.booleans() | st.integers(-3, 30) | st.sampled_from([1.5, 21.5]) | texts
patterns = st.text("north*?:.", max_size=8)
orderable = scalars.filter(lambda value: value is not None)
relations = st.one_of(
    st.builds(Relation, st.sampled_from(["eq", "ne"]), paths, st.tuples(scalars)),
    st.builds(Relation, st.sampled_from(["gt", "ge", "lt", "le"]), paths, st.tuples(orderable)),
    st.builds(Relation, st.just("in"), paths, st.lists(scalars, min_size=1, max_size=3).map(tuple)),
    st.builds(Relation, st.just("like"), paths, st.tuples(patterns)),
    st.builds(Relation, st.just("exists"), paths, st.just(())),
)
expressions = st.recursive(
    relations,
    lambda inner: st.one_of(
        st.builds(
            Logic,
            st.sampled_from(["and", "or"]),
            st.lists(inner, min_size=1, max_size=3).map(tuple),
        ),
        st.builds(Logic, st.just("not"), st.tuples(inner)),
    ),
    max_leaves=6,
)


def written(expression: Relation | Logic) -> str:
    if isinstance(expression, Logic):
        return f"{expression.name}({','.join(written(part) for part in expression.parts)})"
    arguments = [expression.path, *(_literal(value) for value in expression.values)]
    return f"{expression.name}({','.join(arguments)})"


def _literal(value: Any) -> str:
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value)


def meant(expression: Relation | Logic) -> bool:
    if isinstance(expression, Logic):
        parts = [meant(part) for part in expression.parts]
        return {"and": all(parts), "or": any(parts), "not": not parts[0]}[expression.name]
    found = part_of(THING, path_of(expression.path))
    return related(expression.name, found, expression.values)


def related(name: str, found: Any, values: tuple[Any, ...]) -> bool:
    if found is ABSENT or name == "exists":
        return found is not ABSENT
    if name == "ne":
        return not same(found, values[0])
    if name in ("eq", "in"):
        return any(same(found, value) for value in values)
    if name == "like":
        return isinstance(found, str) and fits(found, values[0])
    return kind(found) == kind(values[0]) and getattr(operator, name)(found, values[0])


def kind(value: Any) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return "number" if number else type(value).__name__


def same(found: Any, value: Any) -> bool:
    return kind(found) == kind(value) and found == value


def fits(text: str, pattern: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(fits(text[start:], pattern[1:]) for start in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and fits(text[1:], pattern[1:])


@given(expressions)
def test_an_expression_means_what_a_naive_interpreter_says(expression: Relation | Logic) -> None:
    text = written(expression)
    assert query_of(text)(THING) is meant(expression)
    assert query_of(text, in_state_or_thing)((STATE, THING)) is meant(expression)


@given(st.text("ab", max_size=12), st.text("ab*?", max_size=8))
def test_a_pattern_fits_what_its_definition_says(text: str, pattern: str) -> None:
    thing = {"attributes": {"a": text}}
    assert query_of(f'like(attributes/a,"{pattern}")')(thing) is fits(text, pattern)


def test_a_pattern_of_many_stars_takes_no_time() -> None:
    query = query_of(f'like(attributes/a,"{"*a" * 200}b")')
    began_s = time.process_time()
    assert not query({"attributes": {"a": "a" * 256}})
    assert time.process_time() - began_s < 0.1  # backtracking would take years


@given(paths)
def test_what_is_held_of_a_twin_is_what_its_thing_says(path: str) -> None:
    look = in_state("home", path_of(path))
    assert look is None or look(STATE) == part_of(THING, path_of(path))


def test_most_that_is_looked_for_is_held() -> None:
    held = [path for path in PATHS.split() if in_state("home", path_of(path)) is not None]
    assert "features/temperature_c/properties/value" in held
    assert len(held) >= 12
