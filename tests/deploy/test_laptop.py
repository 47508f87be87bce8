"""`diten up` as a user runs it: starts, is stopped, killed, started again and misused."""

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from device_agent.trace import Trace, load_trace
from tests.deploy.an_up import DITEN, STOPPED_S, Up, reported, up
from tests.system import history
from twin_runtime.adapters.sqlite_store import read_rows

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("DITEN_DATA_DIR", ROOT / ".." / "shared" / "data")) / "ulb_library"
GONE_S = 5.0
OK, USAGE, UNREACHABLE = 0, 2, 3
DEVICES = 10
ROLES = ["broker", "cloud", "e-1", "e-2", "d-emulated-fleet-1"]
SUMMARY = {"twins", "reports", "ack_ms", "move_pause_ms", "roles", "broker", "problems"}
REPORTS = {"produced", "applied", "stable", "lost", "twice", "compared"}
EMULATED = ("--source", "none", "--devices", str(DEVICES))


def edge_stores(folder: Path) -> list[Path]:
    return sorted(folder.glob("e-*/edge.sqlite"))


def run_up(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """A `diten up` that ends by itself."""
    command = [str(DITEN), "up", "--data-dir", str(folder), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


# --- started, stopped, started again ------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TwoRuns:
    """A run ended by Ctrl-C, and a second one on its directory."""

    first_said: str
    first_code: int
    survivors: list[psutil.Process]
    second: subprocess.CompletedProcess[str]
    folder: Path

    @property
    def summary(self) -> dict[str, Any]:
        summary: dict[str, Any] = json.loads(self.second.stdout)
        return summary


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> TwoRuns:
    folder = tmp_path_factory.mktemp("runs") / "data"
    with up(folder, *EMULATED) as first:
        first.await_twins(DEVICES)
        children = first.children()
        code = first.stop()
        _, survivors = psutil.wait_procs(children, timeout=GONE_S)
        said = first.said()
    second = run_up(folder, *EMULATED, "--duration", "4s", "--json")
    return TwoRuns(said, code, survivors, second, folder)


def test_up_says_one_line_for_each_role_and_where_the_api_is(two_runs: TwoRuns) -> None:
    lines = two_runs.first_said.splitlines()
    assert [line.split()[0] for line in lines[: len(ROLES)]] == ROLES
    assert re.fullmatch(r"API +http://127\.0\.0\.1:\d+/api/2/things", lines[len(ROLES)])


def test_ctrl_c_ends_everything_cleanly(two_runs: TwoRuns) -> None:
    assert two_runs.first_code == OK
    assert two_runs.survivors == []
    assert "Traceback" not in two_runs.first_said
    assert "lost 0, applied twice 0" in two_runs.first_said


def test_a_clean_stop_leaves_all_that_was_measured_stable(two_runs: TwoRuns) -> None:
    found = re.search(
        r"(\d+) produced, (\d+) applied, (\d+) stable", two_runs.first_said.replace(",\n", ", ")
    )
    assert found
    assert found[1] == found[2] == found[3]
    reports = two_runs.summary["reports"]
    assert reports["produced"] == reports["applied"] == reports["stable"] > int(found[1])


def test_a_second_up_goes_on_where_the_first_stopped(two_runs: TwoRuns) -> None:
    assert two_runs.second.returncode == OK
    assert two_runs.summary["twins"] == DEVICES
    assert history.out_of_order(edge_stores(two_runs.folder)) == []
    sessions = {(entry.twin, entry.session) for entry in history.entries(
        edge_stores(two_runs.folder))}  # fmt: skip
    assert len(sessions) == DEVICES


def test_g1_an_up_that_was_stopped_and_started_has_lost_nothing(two_runs: TwoRuns) -> None:
    reports = two_runs.summary["reports"]
    assert (reports["lost"], reports["twice"]) == (0, 0)
    assert reports["compared"] > DEVICES


def test_json_is_one_object_with_the_promised_keys(two_runs: TwoRuns) -> None:
    assert two_runs.second.stdout.count("\n") == 1
    summary = two_runs.summary
    assert set(summary) == SUMMARY
    assert set(summary["reports"]) == REPORTS
    assert set(summary["ack_ms"]) == set(summary["move_pause_ms"]) == {"count", "p50", "p99"}
    assert [role["id"] for role in summary["roles"]] == ROLES[1:]
    assert {key for role in summary["roles"] for key in role} == {
        *("id", "pid", "rss_mb", "cpu_s", "restarts")
    }


# --- while it runs ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with up(tmp_path_factory.mktemp("running") / "data", *EMULATED) as one:
        one.await_twins(DEVICES)
        yield one


def test_a_second_up_on_one_directory_refuses_in_one_sentence(running: Up) -> None:
    second = run_up(running.folder, *EMULATED)
    assert second.returncode == UNREACHABLE
    assert second.stdout == ""
    assert second.stderr.count("\n") == 1
    assert f"another process (pid {running.process.pid}) uses it" in second.stderr


@pytest.mark.parametrize("role", ["broker", "cloud", "e-1", "d-emulated-fleet-1"])
def test_a_role_that_is_killed_is_started_again_and_that_is_said(running: Up, role: str) -> None:
    pid = running.pid_of(role)
    psutil.Process(pid).kill()
    running.await_said(
        "the broker ended; starting it again"
        if role == "broker"
        else f"{role} ended with signal 9; starting it again"
    )
    revisions = {thing["thingId"]: thing["_revision"] for thing in settled_things(running)}
    running.wait_for("every twin goes on", lambda: has_gone_on(running, revisions))
    assert running.pid_of(role) != pid


def settled_things(one: Up) -> list[dict[str, Any]]:
    """The things, as soon as the API answers with all of them."""
    found: list[dict[str, Any]] = []

    def answers() -> bool:
        with suppress(httpx.TransportError):
            found[:] = one.things()
        return len(reported(found)) == DEVICES

    one.wait_for("the API shows all twins", answers)
    return found


def has_gone_on(one: Up, since: dict[str, int]) -> bool:
    return all(thing["_revision"] > since[thing["thingId"]] for thing in settled_things(one))


# --- killed -------------------------------------------------------------------------------


def test_kill_9_of_up_leaves_no_process_and_no_lock(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with up(folder, *EMULATED) as one:
        one.await_twins(DEVICES)
        children = one.children()
        assert len(children) == len(ROLES)
        one.process.kill()
        one.process.wait()
        _, survivors = psutil.wait_procs(children, timeout=GONE_S)
    assert survivors == []
    again = run_up(folder, *EMULATED, "--duration", "2s", "--json")
    assert again.returncode == OK, again.stderr
    reports = json.loads(again.stdout)["reports"]
    assert (reports["lost"], reports["twice"]) == (0, 0)
    assert reports["produced"] == reports["applied"] == reports["stable"]


@pytest.mark.parametrize("after_s", [0.0, 0.4, 0.9, 1.6])
def test_ctrl_c_during_the_start_ends_everything_as_well(tmp_path: Path, after_s: float) -> None:
    with up(tmp_path / "data", *EMULATED) as one:
        # Before that, Python itself is starting, and says so.
        one.wait_for("its first folder", (tmp_path / "data" / "logs").exists)
        asked_s = time.monotonic() + after_s
        one.wait_for("the moment", lambda: time.monotonic() >= asked_s)
        children = one.children()
        one.stop()
        _, survivors = psutil.wait_procs(children, timeout=GONE_S)
        assert survivors == []
        assert "Traceback" not in one.said()
        assert "SQLITE" not in one.said()


# --- ports --------------------------------------------------------------------------------


def test_a_port_asked_for_that_is_in_use_is_an_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run_up(tmp_path / "data", *EMULATED, "--api-port", str(port))
    assert ended.returncode == USAGE
    assert ended.stderr.count("\n") == 1
    assert f"port {port} on 127.0.0.1 is in use" in ended.stderr


def test_where_the_usual_port_is_in_use_another_one_is_taken_and_said(tmp_path: Path) -> None:
    with taken_port(8420), up(tmp_path / "data", *EMULATED) as one:
        one.await_twins(DEVICES)
        url = one.await_said("API").split()[1].removesuffix("/api/2/things")
        assert not url.endswith(":8420")
        assert one.await_said("8420 is in use").endswith(f"export DITEN_API={url}")
        assert one.stop() == OK


@contextmanager
def taken_port(port: int) -> Iterator[None]:
    """In use by us, or by whoever has it already."""
    try:
        listener = socket.create_server(("127.0.0.1", port))
    except OSError:
        yield
        return
    with listener:
        yield


# --- a recorded field trial ---------------------------------------------------------------


@pytest.fixture(scope="module")
def trace() -> Trace:
    if not DATA.exists():
        pytest.skip("needs the folder ulb_library: set DITEN_DATA_DIR")
    return load_trace(str(DATA), "library1")


def test_a_replay_shows_every_mote_and_goes_on_where_it_stopped(
    trace: Trace, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    options = ("--source", f"replay:{DATA}", "--speed", "600")
    with up(folder, *options) as one:
        one.await_twins(len(trace.devices))
        assert one.stop() == OK
    stopped = applied_reports(folder)
    with up(folder, *options) as one:
        one.await_twins(len(trace.devices))
        one.wait_for("the replay goes on", lambda: all(
            len(reports) > len(stopped[twin]) for twin, reports in applied_reports(folder).items()
        ))  # fmt: skip
        shown = {thing["thingId"].partition(":")[2]: thing for thing in one.things()}
        assert one.stop() == OK
    applied = applied_reports(folder)
    recorded = reports_of(trace, started_ms(folder))
    assert {
        twin: reports == recorded[twin][: len(reports)] for twin, reports in applied.items()
    } == dict.fromkeys(recorded, True)
    assert [twin for twin, thing in shown.items() if not is_recorded(thing, recorded[twin])] == []


Recorded = tuple[int, dict[str, float]]


def applied_reports(folder: Path) -> dict[str, list[Recorded]]:
    """What each twin was told, in order: time and values."""
    applied: dict[str, list[Recorded]] = {}
    for entry in history.entries(edge_stores(folder)):
        report = entry.report
        applied.setdefault(entry.twin, []).append((report["observed_ms"], report["features"]))
    return applied


def reports_of(trace: Trace, start_ms: int) -> dict[str, list[Recorded]]:
    """What each mote recorded, in order."""
    recorded: dict[str, list[Recorded]] = {}
    for report in trace.reports:
        twin = trace.devices[report.node].twin
        recorded.setdefault(twin, []).append((start_ms + report.at_ms, trace.features(report)))
    return recorded


def is_recorded(thing: dict[str, Any], recorded: list[Recorded]) -> bool:
    """Whether each value the API shows is the trace's at the time it names."""
    values = {
        (at_ms, name): value for at_ms, features in recorded for name, value in features.items()
    }
    shown = {name: feature["properties"] for name, feature in thing["features"].items()}
    return all(
        values[state["observed_ms"], name] == state["value"] for name, state in shown.items()
    )


def started_ms(folder: Path) -> int:
    (row,) = read_rows(folder / "d-fleet" / "device.sqlite", "agent")
    return int(row.value)


def test_a_second_ctrl_c_ends_everything_at_once(tmp_path: Path) -> None:
    with up(tmp_path / "data", *EMULATED) as one:
        one.await_twins(DEVICES)
        children = one.children()
        frozen = psutil.Process(one.pid_of("e-1"))
        frozen.suspend()  # a role that does not answer would be waited for
        fleet = one.pid_of("d-emulated-fleet-1")
        one.process.send_signal(signal.SIGINT)
        one.wait_for("devices end", lambda: not psutil.pid_exists(fleet))
        one.process.send_signal(signal.SIGINT)
        one.process.wait(STOPPED_S / 2)
        assert not [child for child in children if child.is_running()]
