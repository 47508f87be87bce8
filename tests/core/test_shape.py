"""The shape of a twin: shared, strict about types, and bounded in bytes before it is accepted."""

from math import inf, nan
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_runtime.core import messages
from twin_runtime.core import twin as core
from twin_runtime.core.features import features_of
from twin_runtime.core.ids import TwinId
from twin_runtime.core.limits import SHAPES_MAX, STRING_CHARS_MAX
from twin_runtime.core.messages import Description, FeatureSpec
from twin_runtime.core.scalar import INTEGER_MAX
from twin_runtime.core.shape import Kind, accepts, shape_of, shared, worst_case_bytes
from twin_runtime.core.twin import Twin

KINDS: tuple[Kind, ...] = get_args(Kind)
NAMES = st.from_regex(r"[a-z0-9_]{1,64}", fullmatch=True)
# One strategy per kind, leaning to what takes the most bytes.
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "number": st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([-1.7976931348623157e308, -2.2250738585072014e-308, INTEGER_MAX]),
    "integer": st.sampled_from([-INTEGER_MAX, INTEGER_MAX, 0]),
    "boolean": st.booleans(),
    "string": st.sampled_from(["\x00", "\U0001f600", '"', "\\", "ü", "a"]).map(
        lambda character: character * STRING_CHARS_MAX
    ),
}


@pytest.mark.parametrize(
    "value, kinds",
    [
        (1, {"number", "integer"}),
        (1.0, {"number"}),
        (True, {"boolean"}),
        ("1", {"string"}),
        (None, set(KINDS)),
        (nan, set()),
        (inf, set()),
        (INTEGER_MAX, {"number", "integer"}),
        (INTEGER_MAX + 1, set()),
        (-INTEGER_MAX - 1, set()),
        ("x" * STRING_CHARS_MAX, {"string"}),
        ("x" * (STRING_CHARS_MAX + 1), set()),
        ([1], set()),
        ({"a": 1}, set()),
    ],
)
def test_a_value_is_accepted_by_its_kind_alone(value: Any, kinds: set[str]) -> None:
    assert {kind for kind in KINDS if accepts(kind, value)} == kinds


def test_equal_declarations_are_one_object() -> None:
    one = shape_of({"t": FeatureSpec(type="number", unit="°C")})
    two = shape_of({"t": FeatureSpec(type="number", unit="°C")})
    other = shape_of({"t": FeatureSpec(type="number", unit="K")})
    assert one is two
    assert one is not other


def test_a_shape_knows_its_kinds_and_its_json() -> None:
    features = {"t": FeatureSpec(type="number"), "on": FeatureSpec(type="boolean", writable=True)}
    shape = shape_of(features)
    assert shape.features == features
    assert shape.kinds == {"t": "number", "on": "boolean"}
    assert messages.load(shape.json)["on"]["writable"] is True


@given(data=st.data())
def test_the_worst_case_bounds_the_row_and_the_document_for_any_values(data: st.DataObject) -> None:
    kinds = data.draw(st.dictionaries(NAMES, st.sampled_from(KINDS), max_size=8))
    description = Description(
        title=data.draw(st.sampled_from(["", "x" * 128, "\x01" * 128])),
        features={
            name: FeatureSpec(type=kind, title="\x02" * 128, unit="ü" * 32)
            for name, kind in kinds.items()
        },
        position=data.draw(
            st.none() | st.builds(messages.Place, x_m=VALUES["number"], y_m=st.just(-1.5))
        ),
    )
    features = {
        name: (data.draw(st.none() | VALUES[kind]), -INTEGER_MAX, "uncertain")
        for name, kind in kinds.items()
    }
    shape = shape_of(description.features)
    twin = Twin(
        twin=TwinId("d-" + "x" * 62),
        epoch=INTEGER_MAX,
        session=INTEGER_MAX,
        last_seq=INTEGER_MAX,
        former=(INTEGER_MAX, INTEGER_MAX),
        revision=INTEGER_MAX,
        reported_wall_ms=-INTEGER_MAX,
        written_wall_ms=-INTEGER_MAX,
        title=description.title,
        position=description.position,
        shape=shape,
        features=features_of(shape, features),
    )
    assert len(core.encode(twin)) <= worst_case_bytes(description)
    assert len(core.encode_document(twin, features)) <= worst_case_bytes(description)


def test_a_name_that_is_no_text_is_no_string() -> None:
    assert accepts("string", "caf\u00e9")
    assert not accepts("string", "caf\udce9")


def test_g7_equal_titles_are_one_object_and_those_of_long_ago_are_forgotten() -> None:
    first, second = (f"Room {number}" for number in (7, 7))
    assert first is not second
    assert shared(first) is shared(second)
    for number in range(2 * SHAPES_MAX):
        shared(f"title {number}")
    assert shared.cache_info().currsize == SHAPES_MAX
