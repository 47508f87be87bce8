"""How an agent is started by hand, or by a supervisor."""

import subprocess
import sys
from pathlib import Path

import psutil
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


def test_the_command_line_hands_over_to_the_agent_and_leaves_no_trace_in_its_memory(
    tmp_path: Path,
) -> None:
    (tmp_path / "random.py").write_text("raise SystemExit('a stranger was imported')")
    config = tmp_path / "device.toml"
    config.write_text('id = "d-1"\ndata_dir = "data"\n[bus]\nport = 1\n')
    diten = "from deploy.cli import main; main()"
    agent = subprocess.Popen(
        [sys.executable, "-P", "-c", diten, "device", "run", "--config", str(config)],
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    try:
        assert agent.stderr is not None
        assert "no connection" in agent.stderr.readline()
        assert psutil.Process(agent.pid).cmdline()[2:] == [
            *("-m", "device_agent", "--config", str(config))
        ]
    finally:
        agent.terminate()
        _, said = agent.communicate(timeout=20)
    assert agent.returncode == 0, said
