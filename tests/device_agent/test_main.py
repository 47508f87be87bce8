"""How an agent is started by hand, or by a supervisor."""

import subprocess
import sys
from pathlib import Path

import pytest

from twin_runtime.adapters.process import EXIT_USAGE

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param([], id="nothing"),
        pytest.param(["--config"], id="no file"),
        pytest.param(["device.toml"], id="a file alone"),
        pytest.param(["--help"], id="a question"),
    ],
)
def test_an_agent_that_is_not_told_its_configuration_says_how(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "device_agent", *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert (done.returncode, done.stdout) == (EXIT_USAGE, "")
    assert done.stderr == "usage: python -m device_agent --config FILE\n"
