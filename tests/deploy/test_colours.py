"""Colours are for people at a terminal: a pipe, NO_COLOR and a dumb terminal get none."""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.deploy.test_twin_commands import Committed, served

DITEN = Path(sys.executable).with_name("diten")
ENDED_S = 30.0
ESCAPE = "\x1b"
COLOUR = re.compile(r"\x1b\[(?:\d+;)*[349][0-7](?:;\d+)*m")
# What would decide for a terminal, or against one, wherever these tests run.
DECIDING = ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLORTERM")
COMMANDS = (("doctor",), ("twin", "get", "home:d-1"), ("twin", "ls"))


@pytest.fixture(scope="module")
def api() -> Iterator[str]:
    with served(Committed("d-1")) as url:
        yield url


def environment(api: str, **told: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in DECIDING}
    return {**kept, "TERM": "xterm-256color", "DITEN_API": api, **told}


def on_a_terminal(api: str, *arguments: str, **told: str) -> str:
    """What a person sees, escape sequences and all."""
    ours, theirs = pty.openpty()
    environ = environment(api, **told)
    process = subprocess.Popen(
        [DITEN, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=environ
    )
    os.close(theirs)
    said = b""
    with suppress(OSError), os.fdopen(ours, "rb", buffering=0) as screen:  # EIO is its end
        while heard := screen.read(4096):
            said += heard
    assert process.wait(ENDED_S) == 0, said
    return said.decode()


def in_a_pipe(api: str, *arguments: str, **told: str) -> str:
    environ = environment(api, **told)
    return subprocess.run(
        [DITEN, *arguments],
        capture_output=True,
        text=True,
        timeout=ENDED_S,
        check=True,
        env=environ,
    ).stdout


@pytest.mark.parametrize("command", COMMANDS[:2], ids=" ".join)
def test_verdicts_and_qualities_are_coloured_on_a_terminal(
    command: tuple[str, ...], api: str
) -> None:
    assert COLOUR.search(on_a_terminal(api, *command))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_pipe_gets_text_alone(command: tuple[str, ...], api: str) -> None:
    said = in_a_pipe(api, *command)
    assert said
    assert ESCAPE not in said


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_color_is_heeded_on_a_terminal(command: tuple[str, ...], api: str) -> None:
    assert not COLOUR.search(on_a_terminal(api, *command, NO_COLOR="1"))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_terminal_that_knows_no_colours_gets_text_alone(
    command: tuple[str, ...], api: str
) -> None:
    assert ESCAPE not in on_a_terminal(api, *command, TERM="dumb")


def test_json_is_never_coloured(api: str) -> None:
    assert ESCAPE not in on_a_terminal(api, "twin", "get", "home:d-1", "--json")
