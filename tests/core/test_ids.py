"""Names are believed only in one form: a role's prefix, then a few plain characters."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_runtime.core.errors import MalformedMessage
from twin_runtime.core.ids import parse_edge_id, parse_twin_id

PARSERS: list[tuple[Callable[[str], str], str]] = [(parse_twin_id, "d-"), (parse_edge_id, "e-")]


@pytest.mark.parametrize("parse, prefix", PARSERS)
@given(rest=st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=62))
def test_a_well_formed_id_is_returned_as_it_is(
    parse: Callable[[str], str], prefix: str, rest: str
) -> None:
    assert parse(prefix + rest) == prefix + rest


@pytest.mark.parametrize("parse, prefix", PARSERS)
@pytest.mark.parametrize("rest", ["", "A", "a_b", "a/b", "a\n", "+", "#", "ä", "\x00", "a" * 63])
def test_an_id_of_any_other_form_is_refused(
    parse: Callable[[str], str], prefix: str, rest: str
) -> None:
    with pytest.raises(MalformedMessage) as refused:
        parse(prefix + rest)
    assert refused.value.code == "bad_id"


def test_a_device_is_not_an_edge_and_an_edge_is_not_a_device() -> None:
    with pytest.raises(MalformedMessage):
        parse_edge_id("d-1")
    with pytest.raises(MalformedMessage):
        parse_twin_id("e-1")


def test_a_refused_id_is_quoted_only_in_part() -> None:
    with pytest.raises(MalformedMessage) as refused:
        parse_twin_id("x" * 10_000)
    assert len(refused.value.message) < 200
