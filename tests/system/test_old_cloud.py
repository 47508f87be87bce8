"""The cloud goes on from an older copy of its store: twins have moved and come since."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.system import moving
from tests.system.rig import Rig, get, metric, running, wait_for
from tests.system.test_edge_loss import epochs, owned_by, snapshots
from twin_runtime.adapters.sqlite_store import read_rows
from twin_runtime.core.limits import OWNER_EXPECTED_S

pytestmark = pytest.mark.system

DEVICES = 8
PERIOD_S = 0.2
NEW = 4  # devices that come after the copy was made


def keep_copy(rig: Rig) -> Path:
    """A copy of the cloud's folder, made while it is stopped, as a backup should be."""
    assert rig.cloud.stop() == 0
    copy = Path(shutil.copytree(rig.cloud.folder, rig.folder / "copy"))
    rig.cloud.start()
    wait_for("the cloud is back", rig.cloud.is_connected)
    return copy


def put_back(rig: Rig, copy: Path) -> None:
    rig.cloud.kill()
    shutil.rmtree(rig.cloud.folder)
    shutil.copytree(copy, rig.cloud.folder)
    rig.cloud.start()
    wait_for("the cloud is back", rig.cloud.is_connected)


def move(rig: Rig, twins: Sequence[str], edge: str) -> None:
    """Move them, and wait until their devices know."""
    before = epochs(rig)
    for twin in twins:
        wait_for(f"{twin} may move", lambda twin=twin: moving.ask(rig, twin, edge))  # type: ignore[misc]
    wait_for(f"{twins} are at {edge}", lambda: set(twins) <= set(owners(rig, edge)))
    wait_for(
        f"{twins} are acknowledged there",
        lambda: all(rig.told()[twin][0] > before[twin] for twin in twins),
    )


def owners(rig: Rig, edge: str) -> list[str]:
    """The twins that an edge has on its disk."""
    return next(owned_by(rig, each) for each in rig.edges if each.name == edge)


def owned(rig: Rig, edge: str) -> list[str]:
    """The twins of an edge, by the cloud's disk."""
    rows = read_rows(rig.cloud.folder / "cloud.sqlite", "placement")
    return [row.key for row in rows if json.loads(row.value)["owner"] == edge]


def is_there(rig: Rig, edge: str) -> bool:
    known = get(rig.cloud, "/api/v1/edges").json()
    return any(each["edge"] == edge and each["presence"] == "online" for each in known)


def adopted(rig: Rig) -> float:
    return metric(rig.cloud, "diten_twins_adopted_total")


def errors(rig: Rig) -> list[str]:
    return [line for line in rig.cloud.said().splitlines() if "is an older copy:" in line]


def test_g3_twins_that_moved_since_the_copy_go_on_get_stable_and_move(tmp_path: Path) -> None:
    with running(tmp_path, devices=DEVICES, period_s=PERIOD_S) as rig:
        moved = owned_by(rig, rig.edges[0])
        move(rig, moved, "e-2")
        copy = keep_copy(rig)
        move(rig, moved, "e-1")
        move(rig, moved, "e-2")
        since = epochs(rig)
        put_back(rig, copy)
        wait_for("their owner is believed", lambda: adopted(rig) == len(moved))
        assert epochs(rig) == since
        assert len(errors(rig)) == 1, "said once"
        rig.await_progress()
        move(rig, moved, "e-1")
        rig.drain()
        rig.await_newest()
        found = rig.stop()
    assert (found.lost, found.twice) == (0, 0), found.examples
    assert found.compared > 0


def test_g3_twins_that_came_since_the_copy_have_one_owner(tmp_path: Path) -> None:
    with running(tmp_path, devices=DEVICES, period_s=PERIOD_S) as rig:
        copy = keep_copy(rig)
        rig.kill("e-1")  # so that another will be given them than gets them again
        rig.agent.kill()
        wait_for("e-1 is gone", lambda: not is_there(rig, "e-1"))
        source = rig.agent.settings["source"]
        source["last"] += NEW
        rig.devices += [f"d-emulated-{DEVICES + n:05d}" for n in range(1, NEW + 1)]
        rig.agent.start()
        wait_for("they have owners", lambda: set(rig.devices) <= rig.told().keys())
        new = rig.devices[DEVICES:]
        assert set(new) <= set(owners(rig, "e-2"))
        rig.start("e-1")
        put_back(rig, copy)
        wait_for("their owner is believed", lambda: set(new) <= set(owned(rig, "e-2")))
        assert adopted(rig) > 0
        wait_for("no other has any", lambda: not set(new) & set(owners(rig, "e-1")))
        rig.drain()
        rig.await_newest()
        found = rig.stop()
    assert (found.lost, found.twice) == (0, 0), found.examples


def test_g3_twins_that_an_edge_lost_by_the_copy_alone_are_given_to_nobody(tmp_path: Path) -> None:
    """By the copy they are at `e-1`, which is gone for good; they are at `e-2`, which is away,
    and the broker remembers what it published."""
    with running(tmp_path, devices=DEVICES, period_s=PERIOD_S, edges=3) as rig:
        moved = since_the_copy(rig)
        since = epochs(rig)
        wait_for(
            "the cloud has heard what e-2 published",
            lambda: metric(rig.cloud, "diten_fenced_total", "document") >= len(moved),
        )
        moving.call(rig, "e-1", "lost")
        assert epochs(rig) == since, "none is given to another"
        rig.start("e-2")
        wait_for("their owner is believed", lambda: set(moved) <= set(owned(rig, "e-2")))
        assert {twin: epochs(rig)[twin] for twin in moved} == dict.fromkeys(moved, 2)
        rig.start("e-1")
        wait_for("e-1 is back", rig.edges[0].is_connected)
        rig.await_progress()
        rig.drain()
        rig.await_newest()
        found = rig.stop()
    assert (found.lost, found.twice) == (0, 0), found.examples


def test_g4_a_number_that_was_given_twice_deposes_nobody(tmp_path: Path) -> None:
    """As before, but the broker remembers nothing."""
    with running(tmp_path, devices=DEVICES, period_s=PERIOD_S, edges=3) as rig:
        moved = since_the_copy(rig, "broker")
        wait_for("e-3 is back", lambda: is_there(rig, "e-3"))
        moving.call(rig, "e-1", "lost")
        given = set(moved) & set(owned(rig, "e-3"))  # the others to e-2, which has them
        assert given
        wait_for("another has them", lambda: given <= set(owners(rig, "e-3")))
        rig.start("e-2")
        wait_for(
            "they are left alone",
            lambda: metric(rig.cloud, "diten_twins_left_alone", "disputed") == len(given),
        )
        assert set(moved) <= set(owners(rig, "e-2"))
        refused = moving.post(rig, "moves", {"twin": min(given), "to": "e-1"})
        assert (refused.status_code, refused.json()["type"]) == (409, "urn:diten:disputed")
        for twin in given:
            moving.ask(rig, twin, "e-2")
        wait_for("the other lets go", lambda: not given & set(owners(rig, "e-3")))
        rig.start("e-1")
        wait_for("e-1 is back", rig.edges[0].is_connected)
        rig.await_progress()
        rig.drain()
        rig.await_newest()
        found = rig.stop()
    assert (found.lost, found.twice) == (0, 0), found.examples


def since_the_copy(rig: Rig, *also: str) -> list[str]:
    """Go on from a copy in which twins are at `e-1`, though they have moved to `e-2`; both
    are gone."""
    moved = owned_by(rig, rig.edges[0])
    wait_for("the store holds some of each", lambda: all(map(snapshots(rig).get, moved)))
    copy = keep_copy(rig)
    move(rig, moved, "e-2")
    rig.kill("e-1", "e-2", *also)
    for part in also:
        rig.start(part)
    put_back(rig, copy)
    return moved


@pytest.mark.nightly  # for two minutes nobody can know that there is no owner left
@pytest.mark.timeout(400)
def test_devices_that_outlive_the_rest_of_their_site_go_on_by_themselves(tmp_path: Path) -> None:
    with running(tmp_path, devices=4, period_s=PERIOD_S) as rig:
        for name in ("d-agent", "e-1", "e-2", "cloud"):
            assert rig.parts[name].stop() == 0
        for server in (*rig.edges, rig.cloud):
            shutil.rmtree(server.folder)
            server.folder.mkdir()
        told = rig.told()
        rig.start("cloud", "e-1", "e-2")
        wait_for("the cloud knows every edge", lambda: rig.known_edges() == len(rig.edges))
        rig.start("d-agent")
        wait_for(
            "each has an owner at the next epoch",
            lambda: all(rig.told()[twin][0] > told[twin][0] for twin in rig.devices),
            2 * OWNER_EXPECTED_S,
        )
        rig.await_progress()
