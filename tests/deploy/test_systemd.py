"""The units: systemd accepts them, they keep to themselves, and what they run speaks to it."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import BaseModel

from cloud.config import CloudConfig
from device_agent.config import DeviceConfig
from edge_node.config import EdgeConfig
from twin_runtime.adapters.config import load_config
from twin_runtime.adapters.process import EXIT_USAGE

ROOT = Path(__file__).parents[2]
UNITS = sorted((ROOT / "deploy/systemd").glob("*.service"))
DITEN = Path(sys.executable).with_name("diten")
HEREDOC = re.MULTILINE | re.DOTALL
EXPOSURE_MAX = 1.5  # of 10; without its filter of system calls, or a user of its own, it is more
ANSWERED_S = 30.0
BEATS_WAITING_MAX = 20  # what a datagram socket holds before its reader looks is less
EDGE = 'id = "e-1"\ndata_dir = "{folder}"\n[bus]\nport = 1\n[http]\nport = 0\n'
CLOUD = 'data_dir = "{folder}"\n[bus]\nport = 1\n[http]\nport = 0\n'
DEVICE = 'id = "d-1"\ndata_dir = "{folder}"\n[bus]\nport = 1\n'


@pytest.fixture(scope="module")
def analyze() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("systemd-analyze is not installed (Debian: systemd)")
    return found


@contextmanager
def running(role: str, config: str, folder: Path) -> Iterator[tuple[socket.socket, int]]:
    """A process as systemd would start it; the socket on which it says how it is."""
    path = folder / "role.toml"
    path.write_text(config.format(folder=folder / "data"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(folder / "notify"))
        heard.settimeout(ANSWERED_S)
        environ = {**os.environ, "NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": "200000"}
        command = [sys.executable, "-m", role, "--config", str(path)]
        process = subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL)
        try:
            yield heard, process.pid
        finally:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            process.wait(ANSWERED_S)


def words(heard: socket.socket) -> list[str]:
    return heard.recv(4096).decode().splitlines()


def is_silent(heard: socket.socket) -> bool:
    try:
        words(heard)
    except TimeoutError:
        return True
    return False


@pytest.mark.parametrize(
    "role, config", [("cloud", CLOUD), ("edge_node", EDGE), ("device_agent", DEVICE)]
)
def test_a_role_says_that_it_is_ready_then_that_it_lives_then_that_it_stops(
    role: str, config: str, tmp_path: Path
) -> None:
    with running(role, config, tmp_path) as (heard, pid):
        assert words(heard) == ["READY=1", "STATUS=ready"]
        assert words(heard) == ["WATCHDOG=1", "STATUS=ready"]
        assert words(heard) == ["WATCHDOG=1", "STATUS=ready"]
        os.kill(pid, signal.SIGTERM)
        said = (words(heard) for _ in range(BEATS_WAITING_MAX))
        assert next(each for each in said if each[0] != "WATCHDOG=1") == ["STOPPING=1"]


def test_a_role_that_hangs_says_nothing_more(tmp_path: Path) -> None:
    with running("edge_node", EDGE, tmp_path) as (heard, pid):
        assert words(heard)[0] == "READY=1"
        os.kill(pid, signal.SIGSTOP)
        heard.settimeout(0.5)  # five beats
        for _ in range(BEATS_WAITING_MAX):  # said before it was stopped
            if is_silent(heard):
                return
        pytest.fail("it goes on")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_accepts_a_unit_without_a_word(analyze: str, unit: Path, tmp_path: Path) -> None:
    """With the command as it is here: systemd looks whether it is there."""
    text = unit.read_text().replace("/opt/diten/bin/diten", str(DITEN))
    copy = tmp_path / unit.name.replace("@", "@e-1")
    copy.write_text(text)
    done = subprocess.run(
        [analyze, "verify", "--man=no", copy], capture_output=True, text=True, check=False
    )
    # Of units that are no business of ours it complains as well.
    about = [line for line in (done.stdout + done.stderr).splitlines() if "diten" in line]
    assert (done.returncode, about) == (0, [])


def test_a_misspelt_line_of_a_unit_is_found(analyze: str, tmp_path: Path) -> None:
    unit = tmp_path / "diten-misspelt.service"
    unit.write_text(f"[Service]\nExecStart={DITEN}\nWatchdogSecs=20\n")
    done = subprocess.run([analyze, "verify", unit], capture_output=True, text=True, check=False)
    assert "WatchdogSecs" in done.stdout + done.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_may_do_little_beyond_its_work(analyze: str, unit: Path) -> None:
    done = subprocess.run(
        [analyze, "security", "--offline=yes", f"--threshold={EXPOSURE_MAX * 10:.0f}", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert exposure is not None
    assert float(exposure[1]) <= EXPOSURE_MAX


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_runs_a_command_that_exists_and_does_not_repeat_a_mistake(unit: Path) -> None:
    text = unit.read_text()
    command = re.search(
        r"^ExecStart=/opt/diten/bin/diten (\w+) run --config %d", text, re.MULTILINE
    )
    assert command is not None
    done = subprocess.run([DITEN, command[1], "run", "--help"], capture_output=True, check=False)
    assert done.returncode == 0
    assert f"\nRestartPreventExitStatus={EXIT_USAGE}\n" in text


def test_the_configurations_of_the_installation_guide_are_taken(tmp_path: Path) -> None:
    models: dict[str, tuple[str, type[BaseModel]]] = {
        "cloud": ("cloud", CloudConfig),
        "e-1": ("edge", EdgeConfig),
        "device": ("device", DeviceConfig),
    }
    guide = (ROOT / "docs/installation.md").read_text(encoding="utf-8")
    written = re.findall(r"tee /etc/diten/([\w-]+)\.toml <<END\n(.*?)END$", guide, HEREDOC)
    assert {name for name, _ in written} == set(models)
    for name, text in written:
        role, model = models[name]
        path = tmp_path / f"{name}.toml"
        path.write_text(text)
        settings = load_config(model, role, path, {}, {})
        [directory] = [unit.read_text() for unit in UNITS if f"diten-{role}" in unit.name]
        kept = re.search(r"^StateDirectory=(.*)$", directory, re.MULTILINE)
        assert kept is not None
        assert f"/var/lib/{kept[1].replace('%i', name)}" == str(dict(settings)["data_dir"])
