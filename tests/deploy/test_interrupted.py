"""Ctrl-C ends `diten` without a word and with exit code 130, at whatever moment it comes."""

import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ENDED_S = 30
INTERRUPTED = 128 + signal.SIGINT
# Runs the program, and presses Ctrl-C at the moment when it begins to load a module.
AT_ITS_MOMENT = """
import os, signal, sys
from deploy.__main__ import start
moment = sys.argv.pop(1)
def press(event, arguments):
    if event == "import" and arguments[0] == moment:
        os.kill(os.getpid(), signal.SIGINT)
sys.addaudithook(press)
start()
"""
PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


@pytest.mark.parametrize(
    "moment",
    ["click", "deploy.twin_commands", "rich.console", "deploy.laptop", "httpx", "anyio"],
)
def test_ctrl_c_while_up_is_loaded_ends_it_without_a_word(moment: str, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    command = [sys.executable, "-c", AT_ITS_MOMENT, moment, "up", "--data-dir", str(data_dir)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=ENDED_S, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr.strip()) == (INTERRUPTED, "", "")
    assert not data_dir.exists()


def test_the_installed_program_begins_where_ctrl_c_is_quiet() -> None:
    scripts = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["scripts"]
    assert scripts["diten"] == "deploy.__main__:start"
