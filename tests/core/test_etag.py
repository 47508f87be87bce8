"""Entity tags: which state somebody has seen."""

from typing import Any

import pytest

from twin_runtime.core.etag import is_match, is_none_match, part_tag, thing_tag

TAG = '"rev:2.7"'


def a_document(epoch: int = 2, revision: int = 7, **live: float) -> dict[str, Any]:
    features = {name: {"value": value, "quality": "live"} for name, value in live.items()}
    steady = {"temperature_c": {"value": 21.5, "quality": "good"}}
    return {"epoch": epoch, "revision": revision, "features": {**steady, **features}}


def test_a_thing_is_told_by_epoch_and_revision() -> None:
    assert thing_tag(a_document()) == TAG
    assert len({thing_tag(a_document(e, n)) for e in (1, 11) for n in (1, 11)}) == 4


def test_live_values_tell_states_of_one_revision_apart() -> None:
    tags = [thing_tag(document) for document in (a_document(wave=1.0), a_document(wave=2.0))]
    assert tags[0].startswith('"rev:2.7.')
    assert len({TAG, *tags}) == 3


def test_the_order_of_names_makes_no_other_state() -> None:
    assert thing_tag(a_document(a=1.0, b=2.0)) == thing_tag(a_document(b=2.0, a=1.0))
    assert part_tag({"a": 1, "b": {"c": 2, "d": 3}}) == part_tag({"b": {"d": 3, "c": 2}, "a": 1})


@pytest.mark.parametrize("part", [None, True, 1, 1.5, "1", "", {}, {"a": 1}, [1], "é"])
def test_a_part_is_told_by_its_value(part: Any) -> None:
    others = [each for each in (None, False, 2, 1.25, "2", {"a": 2}) if each != part]
    assert part_tag(part) not in {part_tag(other) for other in others}
    assert part_tag(part).startswith('"hash:')


@pytest.mark.parametrize(
    "header, tag, passes",
    [
        (TAG, TAG, True),
        (f'"rev:2.6", {TAG}', TAG, True),
        ("*", TAG, True),
        ("*", None, False),
        (TAG, None, False),
        ('"rev:2.6"', TAG, False),
        (f"W/{TAG}", TAG, False),
        ("", TAG, False),
    ],
)
def test_if_match_passes_what_is_the_same(header: str, tag: str | None, passes: bool) -> None:  # noqa: FBT001
    assert is_match(header, tag) is passes


@pytest.mark.parametrize(
    "header, tag, passes",
    [
        (TAG, TAG, False),
        (f"W/{TAG}", TAG, False),
        ("*", TAG, False),
        ("*", None, True),
        (TAG, None, True),
        ('"rev:2.6", "rev:2.5"', TAG, True),
    ],
)
def test_if_none_match_passes_what_is_new(header: str, tag: str | None, passes: bool) -> None:  # noqa: FBT001
    assert is_none_match(header, tag) is passes
