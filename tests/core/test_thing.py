"""A twin's document as a thing: its dates, and the way to its parts."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from twin_runtime.core.thing import ABSENT, part_of, path_of, thing_of, timestamp

THING = {"attributes": {"room": "north", "a/b": None}, "features": {"f": {"properties": {}}}}


@given(st.integers(-62_135_596_800_000, 253_402_300_799_999))
@example(951_782_400_000)  # 2000-02-29
@example(-2_203_891_200_001)  # the last millisecond of 1900-02-28, which has no leap day after it
def test_a_date_is_that_of_the_calendar(wall_ms: int) -> None:
    if wall_ms:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=wall_ms)
        expected = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        assert timestamp(wall_ms) == expected


def test_a_twin_that_never_reported_has_no_date() -> None:
    assert timestamp(0) is None


@pytest.mark.parametrize(
    "path, part",
    [
        ((), THING),
        (("attributes", "room"), "north"),
        (("attributes", "a/b"), None),
        (("attributes", "floor"), ABSENT),
        (("attributes", "room", "length"), ABSENT),
        (("features", "f", "properties"), {}),
    ],
)
def test_a_part_is_what_stands_at_its_path(path: tuple[str, ...], part: object) -> None:
    assert part_of(THING, path) == part


@pytest.mark.parametrize(
    "pointer, path",
    [
        ("", ()),
        ("attributes/a~1b", ("attributes", "a/b")),
        ("/a/~01", ("a", "~1")),
        ("a//b", ("a", "", "b")),
    ],
)
def test_a_pointer_names_a_path_with_or_without_its_first_slash(
    pointer: str, path: tuple[str, ...]
) -> None:
    assert path_of(pointer) == path


def test_what_became_of_a_desired_value_stands_beside_it() -> None:
    wish = {"number": 4, "value": 30, "state": "rejected", "reason": "below 1 s"}
    document = {"twin": "d-1", "epoch": 1, "revision": 4, "features": {}}
    thing = thing_of({**document, "desired": {"features/f/value": wish}}, "home")
    assert thing["features"]["f"] == {
        "desiredProperties": {"value": 30},
        "desiredState": {"state": "rejected", "number": 4, "reason": "below 1 s"},
    }
