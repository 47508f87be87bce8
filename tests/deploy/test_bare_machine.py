"""`diten up` on a machine that lacks something: Mosquitto, or room on its disk."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from tests.system.small_disk import fill, small_disk
from twin_runtime.adapters.broker import choose
from twin_runtime.core.errors import Unavailable

pytestmark = pytest.mark.system

DITEN = Path(sys.executable).with_name("diten")
OK, UNREACHABLE = 0, 3
DEVICES = 10
ENDED_S = 60
GONE_S = 5.0
# The command on a machine without the folders where a system keeps its servers: there is
# no other way to hide a Mosquitto that is installed.
BARE = """\
from twin_runtime.adapters import broker
broker._SYSTEM_FOLDERS = ()
from deploy.cli import main
main()
"""


def run_up(
    command: Sequence[str | Path], folder: Path, *options: str, path: str | None = None
) -> subprocess.CompletedProcess[str]:
    """A `diten up` that ends by itself, with `path` for PATH."""
    environment = {**os.environ, "PATH": path or os.environ["PATH"]}
    options = ("--source", "none", "--devices", str(DEVICES), "--json", *options)
    return subprocess.run(
        [*command, "up", "--data-dir", folder, *options],
        capture_output=True,
        text=True,
        timeout=ENDED_S,
        check=False,
        env=environment,
    )


def left_behind(folder: Path) -> list[psutil.Process]:
    """Processes with a configuration in `folder` that do not end."""
    named = [
        process
        for process in psutil.process_iter(["cmdline"])
        if str(folder) in " ".join(process.info["cmdline"] or ())
    ]
    return psutil.wait_procs(named, timeout=GONE_S)[1]


@pytest.fixture
def no_programs(tmp_path: Path) -> str:
    """A PATH on which there is nothing; without an embedded broker a test of it is skipped,
    but never in CI."""
    try:
        choose("nats")
    except Unavailable as reason:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(reason))
    folder = tmp_path / "bin"
    folder.mkdir()
    return str(folder)


def test_without_mosquitto_up_runs_the_embedded_broker_and_says_why(
    no_programs: str, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    ended = run_up([sys.executable, "-c", BARE], folder, "--duration", "4s", path=no_programs)
    assert ended.returncode == OK, ended.stderr
    first = ended.stderr.splitlines()[0]
    assert first.startswith("broker ")
    assert first.endswith(" (no Mosquitto was found)")
    summary = json.loads(ended.stdout)
    assert summary["broker"].startswith("nats ")
    assert summary["broker"] in first
    assert summary["twins"] == DEVICES
    reports = summary["reports"]
    assert reports["produced"] == reports["applied"] == reports["stable"] >= DEVICES
    assert (reports["lost"], reports["twice"]) == (0, 0)
    assert left_behind(folder) == []


def test_on_a_full_disk_up_ends_with_one_sentence(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "1m") as disk:
        fill(disk / "filler")
        folder = disk / "data"
        ended = run_up([DITEN], folder)
        assert ended.returncode == UNREACHABLE
        assert ended.stdout == ""
        assert ended.stderr == f"diten: {folder}: its disk is full: free some space\n"
        assert left_behind(folder) == []
