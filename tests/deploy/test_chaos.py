"""`diten chaos run` on a real system: what it breaks recovers, and what is wrong is found."""

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import connect
from typing import Any

import psutil
import pytest

from deploy.chaos_check import look, stores_in
from deploy.chaos_guard import BALLAST
from deploy.chaos_observer import Claims, Span
from deploy.system_file import SYSTEM, read_system, runs, write_system
from tests.deploy.an_up import DITEN, Up, up
from tests.system.small_disk import small_disk

pytestmark = pytest.mark.system

OK, FAILED, USAGE, UNREACHABLE = 0, 1, 2, 3
DEVICES = 10
EMULATED = ("--source", "none", "--devices", str(DEVICES))
ENDED_S = 110  # 90 s of which are the longest that chaos waits for a system to recover
STEADY = ("--moves-per-s", "0", "--every", "1s")


def chaos(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """A `diten chaos run` to its end."""
    command = [str(DITEN), "chaos", "run", "--data-dir", str(folder), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=ENDED_S, check=False)


@contextmanager
def chaos_on(one: Up, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A `diten chaos run` that goes on during the block."""
    command = [str(DITEN), "chaos", "run", "--data-dir", str(one.folder), *options]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One that runs for all tests here, with links."""
    with up(tmp_path_factory.mktemp("chaos") / "data", *EMULATED, "--links") as one:
        one.await_twins(DEVICES)
        yield one


def status_of(pid: int) -> str:
    return str(psutil.Process(pid).status())


def process_of(one: Up, role: str) -> int:
    process = read_system(one.folder).part(role).process
    assert process is not None
    return process.pid


# --- a run ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Run:
    """What a run said and left behind; `stores` are a copy of the system's."""

    ended: subprocess.CompletedProcess[str]
    report: dict[str, Any]
    html: str
    stores: Path


@pytest.fixture(scope="module")
def run(system: Up, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("report")
    options = ("--duration", "15s", "--every", "2s", "--seed", "3", "--moves-per-s", "2")
    faults = ("--faults", "kill,pause,restart,partition", "--report", str(folder))
    ended = chaos(system.folder, *options, *faults)
    stores = tmp_path_factory.mktemp("stores")
    for store in system.folder.glob("*/*.sqlite"):
        copy = stores / store.parent.name / store.name
        copy.parent.mkdir()
        with closing(connect(store)) as source, closing(connect(copy)) as target:
            source.backup(target)
    report = json.loads((folder / "report.json").read_text())
    return Run(ended, report, (folder / "report.html").read_text(), stores)


def test_g1_a_system_that_was_broken_on_purpose_has_lost_nothing(run: Run) -> None:
    assert run.ended.returncode == OK, run.ended.stderr
    assert (run.report["lost"], run.report["looked_up"] > DEVICES) == (0, True)
    assert run.report["compared"] == run.report["looked_up"]


def test_g2_a_system_that_was_broken_on_purpose_applied_nothing_twice(run: Run) -> None:
    assert run.report["twice"] == 0


def test_every_fault_is_reported_with_its_recovery(run: Run) -> None:
    faults = [fault for fault in run.report["faults"] if not fault["not_done"]]
    assert len(faults) >= 3
    assert {fault["kind"] for fault in faults} >= {"kill"}
    assert all(fault["began_s"] < fault["ended_s"] < fault["recovered_s"] for fault in faults)
    assert run.report["converged_s"] >= run.report["healed_s"] >= 14


def test_twins_moved_meanwhile_and_their_pauses_are_told(run: Run) -> None:
    assert run.report["moves"]["made"] == run.report["pause_s"]["count"] > 0
    assert run.report["pause_s"]["p50"] <= run.report["pause_s"]["p99"]


def test_what_was_acknowledged_when_adds_up(run: Run) -> None:
    assert sum(run.report["acknowledged_per_s"]) == run.report["acknowledged"] > DEVICES
    assert run.report["looked_up"] == run.report["acknowledged"] + DEVICES  # the first of each


def test_the_table_the_page_and_the_json_agree(run: Run) -> None:
    assert "lost 0, applied twice 0" in run.ended.stdout
    assert run.ended.stdout.count("kill") == run.html.count("</i>kill</td>")
    assert "Nothing was lost" in run.html
    assert f"{run.report['acknowledged']:,}" in run.html


def claims_of(stores: Path) -> Claims:
    """What an observer would have heard, who heard all that devices were told."""
    claims: Claims = {}
    with closing(connect(next(stores.glob("d-*/device.sqlite")))) as store:
        for key, value in store.execute("SELECT key, value FROM rows WHERE kind = 'device'"):
            mark = json.loads(value)["mark"]
            claims[key] = {mark["session"]: Span(1, mark["told_applied"])}
    return claims


def test_a_history_that_somebody_tampered_with_is_found_out(run: Run, tmp_path: Path) -> None:
    stores = tmp_path / "stores"
    shutil.copytree(run.stores, stores)
    claims = claims_of(stores)
    assert not look(claims, stores_in(stores)).lost
    edge = next(path for path in stores.glob("e-*/edge.sqlite") if rows_of(path))
    with closing(connect(edge)) as store:
        store.execute("DELETE FROM log_history WHERE n = (SELECT max(n) / 2 FROM log_history)")
        store.commit()
    assert look(claims, stores_in(stores)).lost


def rows_of(edge: Path) -> int:
    with closing(connect(edge)) as store:
        return int(store.execute("SELECT count(*) FROM log_history").fetchone()[0])


# --- what it must not do --------------------------------------------------------------------


def test_a_stranger_with_a_reused_pid_is_not_touched(system: Up, tmp_path: Path) -> None:
    """The file of a system whose edge ended, and whose process number a stranger now has."""
    with subprocess.Popen(["/bin/sleep", "600"]) as stranger:
        found = json.loads((system.folder / SYSTEM).read_text())
        edge = next(part for part in found["parts"] if part["id"] == "e-1")
        edge["process"]["pid"] = stranger.pid
        (tmp_path / SYSTEM).write_text(json.dumps(found))
        write_system(tmp_path, read_system(tmp_path))
        options = ("--faults", "kill,pause,restart", "--roles", "e-1", "--duration", "3s")
        ended = chaos(tmp_path, *options, *STEADY, "--json")
        assert stranger.poll() is None
        assert status_of(stranger.pid) in {psutil.STATUS_SLEEPING, psutil.STATUS_RUNNING}
        stranger.kill()
    assert "e-1 ended by itself" in ended.stderr
    report = json.loads(ended.stdout)
    assert all(fault["not_done"] for fault in report["faults"])
    assert report["restarts"]["e-1"] == 0


def test_a_directory_where_nothing_runs_is_code_3(tmp_path: Path) -> None:
    ended = chaos(tmp_path)
    assert ended.returncode == UNREACHABLE
    assert "no `diten up` runs in" in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "options,expected",
    [
        (["--faults", "fill"], "fill needs a disk of at most 256 MiB"),
        (["--roles", "e-9"], "--roles e-9: this system has cloud, e-1, e-2"),
        (["--faults", "flood"], "--faults flood: there are kill, pause"),
    ],
    ids=["a disk of the user's", "a role that is not there", "a fault that is not there"],
)
def test_what_cannot_be_broken_is_said_and_code_2(
    options: list[str], expected: str, system: Up
) -> None:
    ended = chaos(system.folder, *options)
    assert ended.returncode == USAGE
    assert expected in ended.stderr


# --- interrupted ----------------------------------------------------------------------------

PAUSE = ("--faults", "pause", "--roles", "e-1", "--duration", "60s", "--every", "60s",
         "--moves-per-s", "0", "--seed", "3")  # fmt: skip


def await_stopped(system: Up) -> None:
    pid = process_of(system, "e-1")
    system.wait_for("e-1 is stopped", lambda: status_of(pid) == psutil.STATUS_STOPPED)


def goes_on(system: Up) -> bool:
    return status_of(process_of(system, "e-1")) != psutil.STATUS_STOPPED


def test_ctrl_c_heals_at_once_and_reports_all_the_same(system: Up) -> None:
    with chaos_on(system, *PAUSE) as process:
        await_stopped(system)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=ENDED_S)
    assert goes_on(system)
    assert process.returncode == OK
    assert "lost 0, applied twice 0" in said


def test_what_it_broke_is_healed_when_it_is_killed(system: Up) -> None:
    with chaos_on(system, *PAUSE) as process:
        await_stopped(system)
        process.kill()
        system.wait_for("the guard heals", lambda: goes_on(system))


# --- a full disk, and a system without links -------------------------------------------------


def test_g8_a_disk_that_chaos_filled_has_room_again_and_nothing_is_lost(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    with small_disk(folder / "e-1", "8m") as disk, up(folder, *EMULATED) as one:
        one.await_twins(DEVICES)
        pid = process_of(one, "e-1")
        options = ("--faults", "fill", "--roles", "e-1", "--duration", "6s")
        ended = chaos(folder, *options, *STEADY, "--json")
        assert ended.returncode == OK, ended.stderr
        report = json.loads(ended.stdout)
        assert {fault["kind"] for fault in report["faults"]} == {"fill"}
        assert not (disk / BALLAST).exists()
        assert process_of(one, "e-1") == pid
        refused = chaos(folder, "--faults", "partition")
        assert refused.returncode == USAGE
        assert "start the system with `diten up --links`" in refused.stderr
        assert one.stop() == OK


def test_when_the_system_ends_chaos_ends_too_and_says_so(tmp_path: Path) -> None:
    with up(tmp_path / "data", *EMULATED) as one:
        one.await_twins(DEVICES)
        assert runs(read_system(one.folder).up)
        with chaos_on(one, *PAUSE) as process:
            await_stopped(one)
            assert one.stop() == OK
            said, _ = process.communicate(timeout=ENDED_S)
        assert not (one.folder / SYSTEM).exists()
    assert process.returncode == UNREACHABLE
    assert f"the `diten up` in {one.folder} ended" in said
