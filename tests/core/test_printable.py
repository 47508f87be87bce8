"""What others wrote moves no cursor."""

import pytest

from twin_runtime.core.printable import printable


@pytest.mark.parametrize("text", ["", "a b", "21.5 °C", "温度", "a\u00a0b", "\U0001f6cc"])
def test_what_can_be_seen_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize("text, shown", [
    ("\x1b[2J", r"\x1b[2J"),
    ("a\r\nb\tc", r"a\r\nb\tc"),
    ("\x9b31m", r"\x9b31m"),
    ("a\u202eb", r"a\u202eb"),
    ("a\u2028b", r"a\u2028b"),
    ("\ud800", r"\ud800"),
])  # fmt: skip
def test_what_a_terminal_would_obey_is_written_out(text: str, shown: str) -> None:
    assert printable(text) == shown
