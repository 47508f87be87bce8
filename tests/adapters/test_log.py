"""Log lines: one event is one line on stderr."""

import re
import subprocess
import sys

PROGRAM = """
from twin_runtime.adapters.log import configure_log, log_notes
from twin_runtime.core.effects import Note
configure_log("e-1")
log_notes([Note("info", "hello"), Note("error", "two\\nlines, 100%")])
log_notes([Note("warning", "e-1: halts"), Note("warning", "e-12: halts")])
"""


def logged() -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_an_event_is_one_line_on_stderr() -> None:
    hello, broken, *_ = logged()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z e-1 info: hello", hello)
    assert broken.endswith("Z e-1 error: two | lines, 100%")


def test_a_line_says_its_name_once() -> None:
    *_, own, other = logged()
    assert own.endswith("Z e-1 warning: halts")
    assert other.endswith("Z e-1 warning: e-12: halts")
