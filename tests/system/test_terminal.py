"""What an operator gets wrong: one sentence on the terminal, and an exit code that says it."""

import gzip
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.rig import Process, Rig, get, running, to_toml, wait_for

pytestmark = pytest.mark.system

FAILED, USAGE, UNREACHABLE = 1, 2, 3
ENDED_S = 30
DITEN = Path(sys.executable).with_name("diten")
MOSQUITTO_SUB = shutil.which("mosquitto_sub")
NO_CONNECTION = "no connection to the broker"
CONNECTED = " connected to "


def run_role(noun: str, config: Path) -> tuple[int, str]:
    """The exit code of `diten NOUN run`, and what it said."""
    ended = subprocess.run(
        [DITEN, noun, "run", "--config", config],
        capture_output=True,
        text=True,
        timeout=ENDED_S,
        check=False,
    )
    assert ended.stdout == ""
    return ended.returncode, ended.stderr


def run_device(folder: Path, **settings: Any) -> tuple[int, str]:
    config = folder / "device.toml"
    settings = {"id": "d-1", "data_dir": str(folder / "data"), **settings}
    config.write_text(to_toml(settings))
    return run_role("device", config)


def is_one_sentence(said: str) -> bool:
    return said.count("\n") == 1 and " error: " in said


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "a misspelt key": ({"outbox": {"report_max": 1}}, "did you mean outbox.reports_max?"),
    "a value out of range": ({"bus": {"port": 70_000}}, "bus.port = 70000 is refused"),
    "a value of another type": ({"source": {"speed": "fast"}}, "source.speed = 'fast' is refused"),
    "an id that is none": ({"id": "greenhouse"}, "id = 'greenhouse' is refused"),
    "an unknown source": ({"source": {"kind": "oracle"}}, "'oracle' is unknown"),
    "no directory to replay": ({"source": {"kind": "replay:nowhere"}}, "cannot be read"),
    "too many devices": ({"source": {"kind": "emulated", "last": 9_999}}, "need a second process"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_configuration_is_one_sentence_and_code_2(mistake: str, tmp_path: Path) -> None:
    settings, expected = MISTAKES[mistake]
    code, said = run_device(tmp_path, **settings)
    assert code == USAGE
    assert is_one_sentence(said)
    assert expected in said


@pytest.mark.parametrize("noun", ["device", "edge", "cloud"])
def test_a_configuration_that_is_not_there_is_named(noun: str, tmp_path: Path) -> None:
    code, said = run_role(noun, tmp_path / "nothing.toml")
    assert code == USAGE
    assert is_one_sentence(said)
    assert "nothing.toml cannot be read (No such file or directory)" in said


def test_a_trace_that_is_broken_is_named_with_its_line(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "library1_readings.csv.gz", "wt") as readings:
        readings.write("time_s,node\n1,2\n")
    code, said = run_device(tmp_path, source={"kind": f"replay:{tmp_path}"})
    assert code == USAGE
    assert is_one_sentence(said)
    assert "library1_readings.csv.gz" in said


def test_a_data_directory_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    code, said = run_device(tmp_path)
    assert code == USAGE
    assert is_one_sentence(said)
    assert f"{tmp_path / 'data'} is not a directory" in said


def test_a_data_directory_that_is_not_writable_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o500)
    if os.geteuid() == 0:  # root may write everywhere but to a file system that takes nothing
        folder = Path("/sys/diten")
    code, said = run_device(tmp_path, data_dir=str(folder))
    assert code == USAGE
    assert is_one_sentence(said)
    assert f"{folder} is not writable" in said


def test_a_store_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with sqlite3.connect(tmp_path / "data" / "device.sqlite") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    code, said = run_device(tmp_path)
    assert code == USAGE
    assert is_one_sentence(said)
    assert "schema version 99" in said


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    config = tmp_path / "edge.toml"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = {"id": "e-1", "data_dir": str(tmp_path / "data"), "http": {"port": port}}
        config.write_text(to_toml(settings))
        code, said = run_role("edge", config)
    assert code == USAGE
    assert is_one_sentence(said)
    assert f"port {port} on 127.0.0.1 is in use" in said


# --- beside others ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with running(tmp_path_factory.mktemp("rig"), devices=10, period_s=0.5, edges=1) as rig:
        yield rig


def test_a_directory_in_use_is_refused_with_the_pid_that_uses_it(rig: Rig, tmp_path: Path) -> None:
    code, said = run_device(tmp_path, data_dir=str(rig.agent.folder))
    assert code == UNREACHABLE
    assert is_one_sentence(said)
    assert f"another process (pid {rig.agent.pid}) uses it" in said


def test_the_older_of_two_agents_with_one_id_halts_and_says_why(rig: Rig) -> None:
    source = {"kind": "emulated", "first": 99, "last": 99, "period_s": 0.2}
    older, newer = (rig.make_agent(name, source, {}) for name in ("d-older", "d-newer"))
    newer.settings["id"] = older.settings["id"]
    twin = "d-emulated-00099"
    try:
        older.start()
        wait_for("the older is acknowledged", lambda: twin in rig.told())
        session = rig.told()[twin][1]
        newer.start()
        assert older.ended(ENDED_S) == USAGE
        wait_for("the newer is acknowledged", lambda: rig.told()[twin][1] > session)
        assert newer.stop() == 0
    finally:
        older.kill()
        newer.kill()
    words = [line for line in older.said().splitlines() if " error: " in line]
    assert len(words) == 1
    assert "another agent with this id" in words[0]
    assert "Give each device an id and a data directory of its own." in words[0]


@pytest.mark.skipif(MOSQUITTO_SUB is None, reason="needs mosquitto_sub (mosquitto-clients)")
def test_anybody_can_read_the_twins_with_a_client_of_their_own(rig: Rig) -> None:
    heard = subprocess.run(
        [
            str(MOSQUITTO_SUB),
            "-p",
            str(rig.broker.port),
            "-t",
            "dt/v1/twin/+",
            "-C",
            "10",
            "-W",
            "10",
        ],
        capture_output=True,
        text=True,
        timeout=ENDED_S,
        check=True,
    ).stdout
    documents = {found["twin"]: found for found in map(json.loads, heard.splitlines())}
    assert set(rig.devices) <= {*documents, "d-emulated-00099"}
    document = documents[rig.devices[0]]
    assert {"v", "twin", "epoch", "revision", "features"} <= set(document)
    shown = get(rig.cloud, f"/api/2/things/{rig.devices[0]}").json()
    assert set(document["features"]) == set(shown["features"])


def test_an_agent_waits_for_a_broker_that_is_not_there_and_says_so_once(tmp_path: Path) -> None:
    rig = Rig(tmp_path, devices=1, period_s=0.2, edges=1)
    try:
        rig.start("cloud", "e-1", "d-agent")
        processes: list[Process] = [rig.agent, rig.cloud, *rig.edges]
        wait_for("all miss it", lambda: all(NO_CONNECTION in each.said() for each in processes))
        wait_for("the device goes on measuring", lambda: len(rig.outbox()[rig.devices[0]]) > 10)
        rig.start("broker")
        rig.await_progress()
        assert [each.said().count(NO_CONNECTION) for each in processes] == [1, 1, 1]
        rig.kill("broker")
        wait_for(
            "all miss it again",
            lambda: all(each.said().count(NO_CONNECTION) == 2 for each in processes),
        )
        rig.start("broker")
        rig.await_progress()
        assert [each.said().count(CONNECTED) for each in processes] == [2, 2, 2]
        assert [each.said().count(NO_CONNECTION) for each in processes] == [2, 2, 2]
    finally:
        rig.end()
