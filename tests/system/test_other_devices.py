"""An agent is started with another list of devices, and what it owes is still sent."""

from pathlib import Path

import pytest

from tests.system.rig import NOWHERE, Rig, get, running, wait_for
from tests.system.test_edge_loss import await_epoch, lose_disk, owned_by, snapshots
from twin_runtime.adapters.sqlite_store import read_rows

pytestmark = pytest.mark.system

DEVICES = 16
LISTED = 4


def kept(rig: Rig) -> set[str]:
    """The devices of which the agent's disk has anything."""
    store = rig.agent.folder / "device.sqlite"
    kinds = ("device", "description", "outbox")
    return {row.key.split("/")[0] for kind in kinds for row in read_rows(store, kind)}


def test_g3_what_devices_owe_that_are_listed_no_more_survives_their_edge(tmp_path: Path) -> None:
    with running(tmp_path, devices=DEVICES, period_s=0.2) as rig:
        edge, source = rig.edges[0], rig.agent.settings["source"]
        former = rig.devices[LISTED:]
        lost = [twin for twin in owned_by(rig, edge) if twin in former]
        rig.agent.kill()
        lose_disk(edge)
        told, held = rig.told(), snapshots(rig)
        assert [twin for twin in lost if told[twin][2] > held.get(twin, 0)], "nothing was at stake"
        source["last"] = LISTED
        rig.agent.start()
        edge.start()
        await_epoch(rig, lost, 2)
        wait_for(
            "all that was acknowledged is stored",
            lambda: all(rig.stored().get(t, NOWHERE)[1:] >= told[t][1:] for t in rig.devices),
        )
        wait_for("former devices are forgotten", lambda: kept(rig) == set(rig.devices[:LISTED]), 90)
        twins = get(rig.cloud, "/api/v1/twins").json()["twins"]
        source["last"] = DEVICES
        rig.agent.stop()
        rig.agent.start()
        rig.await_progress()
    presence = {each["twin"]: each["presence"] for each in twins}
    assert {twin for twin in presence if presence[twin] == "offline"} == set(former)
