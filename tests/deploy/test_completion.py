"""What Tab offers, in a real bash, as docs/installation.md sets it up."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.adapters.served import a_twin, served
from twin_runtime.adapters.broker import free_port

SHELL = shutil.which("bash")
BIN = Path(sys.executable).parent
# The script that click writes needs bash 4.4; macOS ships 3.2.
pytestmark = pytest.mark.skipif(
    SHELL is None or sys.platform == "darwin", reason="there is no bash of today"
)
PRESS_TAB = """\
source <(_DITEN_COMPLETE=bash_source diten)
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_diten_completion diten
printf '%s\\n' "${COMPREPLY[@]}"
"""


def offered(*words: str, api: str = "http://127.0.0.1:1") -> set[str]:
    """What bash offers for the last of these words."""
    ended = subprocess.run(
        [str(SHELL), "-c", PRESS_TAB, "bash", "diten", *words],
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "DITEN_API": api},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stderr == ""
    return set(ended.stdout.split())


def test_commands_and_options_are_offered() -> None:
    assert {"twin", "edge", "doctor", "up"} <= offered("")
    assert offered("twin", "hi") == {"history"}
    assert offered("twin", "ls", "--j") == {"--json"}


def test_twins_are_offered_by_the_beginning_of_their_ids() -> None:
    view = {name: a_twin(name) for name in ("d-hall-1", "d-hall-2", "d-lab-1")}
    with served(dict(view)) as client:
        api = str(client.base_url)
        assert offered("twin", "get", "d-h", api=api) == {"d-hall-1", "d-hall-2"}
        assert offered("twin", "move", "", api=api) == set(view)
        assert offered("twin", "get", "--api", api, "d-l") == {"d-lab-1"}


def test_features_are_offered_of_the_twin_that_was_named() -> None:
    with served({"d-lab-1": a_twin("d-lab-1")}) as client:
        api = str(client.base_url)
        assert offered("twin", "history", "d-lab-1", "te", api=api) == {"temperature_c"}
        assert offered("twin", "history", "d-lab-2", "", api=api) == set()


@pytest.mark.parametrize("begun", ["d-", "*", '")', "D"])
def test_where_nobody_answers_nothing_is_offered(begun: str) -> None:
    api = f"http://127.0.0.1:{free_port()}"
    assert offered("twin", "get", begun, api=api) == set()
    assert offered("edge", "drain", begun, api=api) == set()


@pytest.mark.parametrize("shell, typed, offer", [
    ("zsh", {"COMP_WORDS": "diten twin hi", "COMP_CWORD": "2"}, "plain\nhistory\n"),
    ("fish", {"COMP_WORDS": "diten twin hi", "COMP_CWORD": "hi"}, "plain,history\t"),
])  # fmt: skip
def test_other_shells_are_answered_in_their_own_way(
    shell: str, typed: dict[str, str], offer: str
) -> None:
    """What the script of each shell asks when Tab is pressed; the shells need not be there."""

    def diten(**asked: str) -> str:
        ended = subprocess.run(
            [BIN / "diten"], env={**os.environ, **asked}, capture_output=True, text=True, check=True
        )
        return ended.stdout

    assert f"_DITEN_COMPLETE={shell}_complete" in diten(_DITEN_COMPLETE=f"{shell}_source")
    assert diten(_DITEN_COMPLETE=f"{shell}_complete", **typed).startswith(offer)
