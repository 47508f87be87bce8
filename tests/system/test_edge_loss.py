"""An edge loses its disk for good, or comes back with an old one."""

import json
import shutil
from pathlib import Path

import pytest

from tests.system.rig import Process, Rig, metric, running, wait_for
from tests.system.witness import PREFIX
from twin_runtime.adapters.sqlite_store import read_rows
from twin_runtime.core import orders
from twin_runtime.core.messages import Snapshot

pytestmark = pytest.mark.system

DEVICES = 16
PERIOD_S = 0.2


def owned_by(rig: Rig, edge: Process) -> list[str]:
    return [row.key for row in read_rows(edge.folder / "edge.sqlite", "twin")]


def snapshots(rig: Rig) -> dict[str, int]:
    """How far each twin reaches in the cloud's checkpoints."""
    rows = read_rows(rig.cloud.folder / "cloud.sqlite", "snapshot")
    return {row.key: json.loads(row.value)["last_seq"] for row in rows}


def epochs(rig: Rig) -> dict[str, int]:
    """What the directory's disk says."""
    rows = read_rows(rig.cloud.folder / "cloud.sqlite", "placement")
    return {row.key: json.loads(row.value)["epoch"] for row in rows}


def lose_disk(edge: Process) -> None:
    edge.kill()
    shutil.rmtree(edge.folder)
    edge.folder.mkdir()


def await_epoch(rig: Rig, twins: list[str], epoch: int) -> None:
    """Wait until each of `twins` is acknowledged by an owner of at least `epoch`."""
    wait_for(
        f"{len(twins)} twins are acknowledged at epoch {epoch}",
        lambda: all(rig.told()[twin][0] >= epoch for twin in twins),
    )


def await_dropped(rig: Rig, twins: list[str]) -> None:
    """Wait until devices keep no longer all they measured, so that there is something to lose."""
    wait_for("devices drop what is stable", lambda: all(min(rig.outbox()[t]) > 1 for t in twins))


def test_g3_losing_the_disk_of_an_edge_loses_nothing_acknowledged(tmp_path: Path) -> None:
    with running(tmp_path, devices=DEVICES, period_s=PERIOD_S, outbox={"reports_max": 500}) as rig:
        edge = rig.edges[0]
        twins = owned_by(rig, edge)
        assert twins
        await_dropped(rig, twins)
        lose_disk(edge)
        told, kept, stable = rig.told(), rig.outbox(), snapshots(rig)
        unprotected = [
            f"{twin}/{seq}"
            for twin in twins
            for seq in range(stable.get(twin, 0) + 1, told[twin][2] + 1)
            if seq not in kept[twin]
        ]
        assert unprotected == []
        edge.start()
        await_epoch(rig, twins, 2)
        rig.drain()
        reached = rig.stored()
        assert [twin for twin in twins if reached[twin][1:] < told[twin][1:]] == []
        rig.await_newest()
        found = rig.stop()
    assert (found.lost, found.twice) == (0, 0), found.examples
    assert found.compared > 0


def test_g5_lost_twins_return_though_every_party_is_killed_meanwhile(tmp_path: Path) -> None:
    with running(tmp_path, devices=DEVICES, period_s=PERIOD_S) as rig:
        edge = rig.edges[0]
        twins = owned_by(rig, edge)
        for epoch, victim in enumerate(("cloud", "e-1", "broker", "d-agent"), start=2):
            lose_disk(edge)
            edge.start()
            wait_for(
                "the directory has issued the next epoch",
                lambda epoch=epoch: max(epochs(rig).values()) >= epoch,  # type: ignore[misc]
            )
            rig.kill(victim)
            rig.start(victim)
            await_epoch(rig, twins, epoch)
        rig.await_progress()  # an agent that is still starting would end with a signal's code
        rig.drain()
        found = rig.stop()
    assert (found.lost, found.twice) == (0, 0), found.examples


def test_g4_an_edge_that_returns_with_an_old_disk_gets_its_twins_anew(tmp_path: Path) -> None:
    with running(tmp_path, devices=DEVICES, period_s=PERIOD_S) as rig:
        edge = rig.edges[0]
        twins = owned_by(rig, edge)
        edge.kill()
        old = shutil.copytree(edge.folder, tmp_path / "old")
        lose_disk(edge)
        edge.start()
        await_epoch(rig, twins, 2)
        rig.await_progress()
        lose_disk(edge)
        told = rig.told()
        shutil.copytree(old, edge.folder, dirs_exist_ok=True)
        edge.start()
        await_epoch(rig, twins, 3)
        rig.drain()
        assert [twin for twin in twins if rig.stored()[twin][1:] < told[twin][1:]] == []
        rig.await_newest()
        found = rig.stop()
    assert (found.lost, found.twice) == (0, 0), found.examples


def test_g4_a_former_owner_is_refused_by_cloud_and_devices(tmp_path: Path) -> None:
    with running(tmp_path, devices=4, period_s=PERIOD_S) as rig:
        edge = rig.edges[0]
        twin = owned_by(rig, edge)[0]
        lose_disk(edge)
        edge.start()
        await_epoch(rig, [twin], 2)
        fenced = metric(rig.cloud, "diten_fenced_total", 'kind="event"')
        say_as_owner(rig, twin, epoch=1, period_s=55.0)
        wait_for(
            "the cloud refuses the checkpoint",
            lambda: metric(rig.cloud, "diten_fenced_total", 'kind="event"') > fenced,
        )
        say_as_owner(rig, twin, epoch=2, period_s=0.5)
        wait_for("the device obeys its owner", lambda: 0.5 in reported_periods(rig, twin))
        assert 55.0 not in reported_periods(rig, twin)
        counts = rig.drain()
        assert counts["fenced_total/ack"] == counts["fenced_total/desired"] == 1
        found = rig.stop()
    assert (found.lost, found.twice) == (0, 0), found.examples


def say_as_owner(rig: Rig, twin: str, epoch: int, period_s: float) -> None:
    """What an owner at `epoch` might say: a checkpoint, an acknowledgement and a wish."""
    _, session, applied = rig.told()[twin]
    mark = {"v": 1, "edge": "e-1", "epoch": epoch}
    snapshot = Snapshot(twin=twin, epoch=epoch, session=session, last_seq=applied)
    checkpoint = orders.encode(orders.Checkpoint(twins=(snapshot,)))
    ack = {**mark, "session": session, "applied": applied, "stable": 0}
    entry = {"number": 10**6, "value": period_s}
    desired = {**mark, "entries": {"features/sample_period_s/value": entry}}
    rig.witness.publish(f"{PREFIX}event/e-1", checkpoint)
    rig.witness.publish(f"{PREFIX}down/{twin}/e-1/ack", json.dumps(ack))
    rig.witness.publish(f"{PREFIX}down/{twin}/e-1/desired", json.dumps(desired))


def reported_periods(rig: Rig, twin: str) -> set[float]:
    """Every sample period the device has reported so far."""
    reports = rig.outbox()[twin].values()
    return {report["features"]["sample_period_s"] for report in reports if "features" in report}
