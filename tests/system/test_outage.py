"""An edge is away for a while: devices store, forward, and at their bound keep the newest."""

from pathlib import Path

import pytest

from tests.system import history
from tests.system.rig import Rig, running, wait_for
from twin_runtime.core.limits import WINDOW_REPORTS_MAX

pytestmark = pytest.mark.system

DEVICES = 8
PERIOD_S = 0.1
BACKLOG = 2 * WINDOW_REPORTS_MAX  # more than can be on its way at one time
FULL = WINDOW_REPORTS_MAX + 8  # 32 of them are sent; one that was sent is never overwritten


def test_g6_a_backlog_is_applied_in_order_when_the_edge_returns(tmp_path: Path) -> None:
    with running(tmp_path, devices=DEVICES, period_s=PERIOD_S, edges=1) as rig:
        rig.kill("e-1")
        before = rig.told()
        wait_for(
            "every device has a backlog",
            lambda: all(
                max(rows) > before[twin][2] + BACKLOG for twin, rows in rig.outbox().items()
            ),
        )
        assert rig.told() == before
        rig.start("e-1")
        rig.await_progress()
        counts = rig.drain()
        found = rig.stop()
        stores = rig.edge_stores()
    assert "reports_coalesced_total/" not in counts
    assert found.applied == found.produced >= DEVICES * BACKLOG
    assert (found.lost, found.twice) == (0, 0), found.examples
    assert history.out_of_order(stores) == []
    assert history.not_as_measured(stores) == []


def test_g6_beyond_the_bound_the_newest_state_wins_and_is_counted(tmp_path: Path) -> None:
    outbox = {"reports_max": FULL}
    with running(tmp_path, devices=DEVICES, period_s=PERIOD_S, edges=1, outbox=outbox) as rig:
        rig.kill("e-1")
        wait_for("every outbox is full and goes on", lambda: all_have_moved_on(rig))
        assert rig.agent.stop() == 0
        measured = {twin: rows[max(rows)] for twin, rows in rig.outbox().items()}
        rig.start("e-1")
        counts = rig.drain()
        rig.await_newest()
        applied = {entry.twin: entry.report for entry in history.entries(rig.edge_stores())}
        found = rig.stop()
    assert {twin: applied[twin]["features"] for twin in measured} == {
        twin: report["features"] for twin, report in measured.items()
    }
    assert counts["reports_coalesced_total/"] >= DEVICES
    assert (found.lost, found.twice) == (0, 0), found.examples
    assert found.applied == found.produced


def all_have_moved_on(rig: Rig) -> bool:
    """Whether each outbox is full and its newest report was replaced by a later one."""
    for rows in rig.outbox().values():
        if len(rows) < FULL:
            return False
        *_, older, newest = rows.values()
        if newest["observed_ms"] - older["observed_ms"] < 5_000 * PERIOD_S:
            return False
    return True
