"""The bar of a run of known length, and what is said while it is shown."""

import os
import pty
import re
import subprocess
import sys
from contextlib import suppress

import pytest

RUN = """
import asyncio
from deploy.progress import progress, say

async def run():
    async with progress(60.0):
        await asyncio.sleep(1)
        say("e-1 runs again", err={err})
        await asyncio.sleep(0.5)

asyncio.run(run())
"""
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_a_terminal(program: str, stdout: int | None) -> tuple[str, bytes]:
    """What a terminal is written, and what comes out of a pipe if stdout is one."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", program]
    environ = {**os.environ, "TERM": "xterm-256color"}
    process = subprocess.Popen(
        command, stdout=theirs if stdout is None else stdout, stderr=theirs, env=environ
    )
    os.close(theirs)
    said = b""
    with suppress(OSError), os.fdopen(ours, "rb", buffering=0) as screen:  # EIO is its end
        while heard := screen.read(4096):
            said += heard
    piped, _ = process.communicate(timeout=30)
    assert process.returncode == 0, said
    return said.decode(), piped or b""


@pytest.mark.parametrize("err", ["False", "True"])
def test_a_line_stands_above_the_bar_and_not_behind_it(err: str) -> None:
    said, _ = on_a_terminal(RUN.format(err=err), None)
    assert "running" in said
    before, _ = said.split("e-1 runs again")
    assert ESCAPES.sub("", re.split("[\r\n]", before)[-1]) == ""


def test_lines_go_to_a_file_if_one_is_asked_for() -> None:
    said, piped = on_a_terminal(RUN.format(err="False"), subprocess.PIPE)
    assert "running" in said
    assert piped == b"e-1 runs again\n"


def test_what_is_said_where_every_stream_is_closed_is_heard_by_nobody() -> None:
    line = f"exec {sys.executable} -c '{RUN.format(err=False)}' >&- 2>&-"
    assert subprocess.run(["sh", "-c", line], timeout=30, check=False).returncode == 0
