"""The `diten` command: what it refuses, with which words and which exit code."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from deploy.cli import main
from deploy.duration import Duration
from deploy.plan import PORT_MAX, free_ports

DITEN = Path(sys.executable).with_name("diten")
USAGE, UNREACHABLE = 2, 3
ENDED_S = 30

# Options of `diten up`, and what it says of them before it starts anything.
REFUSED: dict[str, tuple[list[str], str]] = {
    "a source that is none": (["--source", "oracle"], "write host, replay:DIR or none"),
    "a replay of nothing": (["--source", "replay:nowhere"], "there is no directory 'nowhere'"),
    "a broker that is none": (["--broker", "rabbit"], "write HOST:PORT, mosquitto or nats"),
    "a broker without a host": (["--broker", ":1883"], "mosquitto, nats or HOST:PORT"),
    "a broker's port as text": (["--broker", "here:mqtt"], "mosquitto, nats or HOST:PORT"),
    "a broker's port too high": (["--broker", "here:70000"], "the port 1 to 65535"),
}


def run_up(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [str(DITEN), "up", "--data-dir", str(folder), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=ENDED_S, check=False)


@pytest.mark.parametrize("mistake", REFUSED)
def test_up_refuses_in_one_sentence_before_anything_runs(mistake: str, tmp_path: Path) -> None:
    options, expected = REFUSED[mistake]
    ended = run_up(tmp_path / "data", *options)
    assert ended.returncode == USAGE
    assert ended.stdout == ""
    assert ended.stderr.startswith("diten: ")
    assert ended.stderr.count("\n") == 1
    assert expected in ended.stderr


def test_up_says_that_nobody_answers_where_the_broker_should_be(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    ended = run_up(tmp_path / "data", "--broker", f"127.0.0.1:{port}")
    assert ended.returncode == UNREACHABLE
    assert ended.stderr.count("\n") == 1
    assert f"no MQTT broker lets us in at 127.0.0.1:{port} ([Errno " in ended.stderr
    assert "refused): start it" in ended.stderr


def test_up_refuses_a_data_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    ended = run_up(tmp_path / "data")
    assert ended.returncode == USAGE
    assert ended.stderr.count("\n") == 1
    assert "is not a directory" in ended.stderr


def test_above_the_last_port_there_is_the_edges_take_any_other() -> None:
    ports = free_ports(PORT_MAX, 3)
    assert len(set(ports)) == 3
    assert max(ports) <= PORT_MAX


@pytest.mark.parametrize(
    "option",
    [["--edges", "0"], ["--edges", "17"], ["--devices", "-1"], ["--speed", "0"],
     ["--api-port", "65536"], ["--duration", "5"], ["--duration", "-1s"], ["--duration", "1w"],
     ["--fleet"]],
    ids=" ".join,
)  # fmt: skip
def test_an_option_out_of_its_range_is_a_usage_error(option: list[str]) -> None:
    ended = CliRunner().invoke(main, ["up", *option])
    assert ended.exit_code == USAGE
    assert option[0] in ended.output


@pytest.mark.parametrize(
    "text,seconds", [("30s", 30.0), ("2m", 120.0), ("1.5h", 5400.0), ("1d", 86400.0)]
)
def test_a_duration_is_a_number_with_its_unit(text: str, seconds: float) -> None:
    assert Duration().convert(text, None, None) == seconds


def test_a_duration_that_is_too_short_is_said_so() -> None:
    ended = CliRunner().invoke(main, ["chaos", "run", "--every", "0s"])
    assert ended.exit_code == USAGE
    assert "'0s' is too short: 1s at least" in ended.stderr


def test_every_command_says_what_it_does() -> None:
    assert [name for name, command in main.commands.items() if not command.help] == []
    assert CliRunner().invoke(main, ["--help"]).exit_code == 0
