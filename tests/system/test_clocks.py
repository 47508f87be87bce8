"""Wall clocks are years wrong, differ and run backwards; processes stand still for a while."""

import shutil
import signal
from pathlib import Path

import pytest

from tests.system import history
from tests.system.rig import Rig, running, wait_for
from twin_runtime.core.limits import WINDOW_REPORTS_MAX

pytestmark = pytest.mark.system

YEAR_S = 365 * 86_400.0


def restart_at(rig: Rig, **shifts_s: float) -> None:
    """Kill each named part and start it with another wall clock."""
    parts = {process.name.replace("-", "_"): process
             for process in (rig.agent, rig.cloud, *rig.edges)}  # fmt: skip
    for name, shift_s in shifts_s.items():
        parts[name].kill()
        parts[name].wall_shift_s = shift_s
        parts[name].start()
    rig.await_progress()


def test_g14_clocks_that_are_years_wrong_and_run_backwards_lose_nothing(tmp_path: Path) -> None:
    with running(tmp_path, devices=16, period_s=0.2) as rig:
        restart_at(rig, d_agent=10 * YEAR_S, e_1=-10 * YEAR_S, cloud=YEAR_S)
        restart_at(rig, d_agent=-10 * YEAR_S, e_1=10 * YEAR_S, e_2=-YEAR_S, cloud=-YEAR_S)
        assert rig.told_but_not_stored() == []
        rig.drain()
        rig.await_newest()
        found = rig.stop()
        stores = rig.edge_stores()
    assert (found.lost, found.twice) == (0, 0), found.examples
    assert found.produced == found.applied == found.stable
    assert history.out_of_order(stores) == []
    assert history.not_as_measured(stores) == []


def test_g14_a_device_that_lost_its_disk_and_its_clock_is_believed_again(tmp_path: Path) -> None:
    with running(tmp_path, devices=4, period_s=0.2, edges=1) as rig:
        sessions = {twin: position[1] for twin, position in rig.told().items()}
        rig.agent.kill()
        shutil.rmtree(rig.agent.folder)
        rig.agent.folder.mkdir()
        restart_at(rig, d_agent=-10 * YEAR_S)
        assert [twin for twin, was in sessions.items() if rig.told()[twin][1] <= was] == []
        rig.drain()
        rig.await_newest()
        found = rig.stop()
    assert (found.lost, found.twice) == (0, 0), found.examples
    assert found.produced == found.applied


def test_g14_a_process_that_stood_still_goes_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    with running(tmp_path, devices=8, period_s=0.1) as rig:
        for process in (rig.cloud, rig.edges[0], rig.agent):
            process.send_signal(signal.SIGSTOP)
            await_backlog_or_silence(rig, stopped=process.name)
            process.send_signal(signal.SIGCONT)
            rig.await_progress()
        rig.drain()
        found = rig.stop()
        stores = rig.edge_stores()
    assert (found.lost, found.twice) == (0, 0), found.examples
    assert history.out_of_order(stores) == []


def await_backlog_or_silence(rig: Rig, stopped: str) -> None:
    """Wait until what stands still is missed: by whose reports are not answered or, where
    the devices stand still themselves, by edges that have all of theirs."""
    before = rig.told()
    if stopped == "d-agent":
        wait_for("edges hear no more", lambda: rig.stored() == rig.told())
    else:
        wait_for("devices go on", lambda: all(
            max(reports) > before[twin][2] + WINDOW_REPORTS_MAX
            for twin, reports in rig.outbox().items()
        ))  # fmt: skip
