"""Log lines: one event is one line on stderr."""

import re
import subprocess
import sys

PROGRAM = """
from twin_runtime.adapters.log import configure_log, log_notes
from twin_runtime.core.effects import Note
configure_log("e-1")
log_notes([Note("info", "hello"), Note("error", "two\\nlines, 100%")])
"""


def test_an_event_is_one_line_on_stderr() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=30
    )
    hello, broken = done.stderr.splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z e-1 info: hello", hello)
    assert broken.endswith("Z e-1 error: two | lines, 100%")
    assert done.stdout == ""
