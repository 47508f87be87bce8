"""Twins move while processes are killed at random, disks are full, clocks are years wrong and
a cable is pulled."""

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path

import pytest

from tests.system import history
from tests.system.links import links
from tests.system.moving import ask, await_settled, ended_well, moving, placements
from tests.system.namespace import Namespace, namespace
from tests.system.rig import Process, Rig, get, running, started, wait_for
from tests.system.small_disk import fill, small_disk

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]

DEVICES = 20
PERIOD_S = 0.2
KILLS = 20
MOVES_UNTIL_KILL_MAX = 10  # at half a second, if the cloud lives
MOVES_MIN = 30
YEAR_S = 365 * 86_400.0
DISK = "48m"  # a store and its log, and little more
OUTAGES_S = (1.0, 5.0)


def pass_by(duration_s: float) -> None:
    ends_s = time.monotonic() + duration_s
    wait_for("the moment", lambda: time.monotonic() >= ends_s)


def other(edge: str) -> str:
    return "e-2" if edge == "e-1" else "e-1"


def test_g1_twenty_kills_at_random_moments_lose_nothing_of_twins_that_move(
    tmp_path: Path,
) -> None:
    with running(tmp_path, devices=DEVICES, period_s=PERIOD_S) as rig:
        with moving(rig) as moves:
            for _ in range(KILLS):
                moves.await_more(random.randint(1, MOVES_UNTIL_KILL_MAX))
                names = random.sample(list(rig.parts), random.choice([1, 1, 2]))
                rig.kill(*names)
                assert rig.told_but_not_stored() == [], names
                rig.start(*names)
        ended_well(rig)
        assert history.out_of_order(rig.edge_stores()) == []


class FullDisk:
    """The disk of one process, as long as it is kept full."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._filler = process.folder / "filler"

    def silences(self) -> bool:
        """Fill it up; whether the process says that it is not ready."""
        fill(self._filler)
        return get(self._process, "/readyz").status_code == HTTPStatus.SERVICE_UNAVAILABLE

    def end(self) -> None:
        self._filler.unlink()
        wait_for("it is ready again", lambda: get(self._process, "/readyz").is_success)


@pytest.fixture
def rig_on_small_disks(tmp_path: Path) -> Iterator[Rig]:
    with ExitStack() as disks:
        for name in ("e-1", "cloud"):
            disks.enter_context(small_disk(tmp_path / name, DISK))
        with running(tmp_path, devices=DEVICES, period_s=PERIOD_S) as rig:
            yield rig


def test_g8_a_full_disk_holds_up_moves_from_and_to_its_edge_until_there_is_room(
    rig_on_small_disks: Rig,
) -> None:
    rig = rig_on_small_disks
    edge, pid = rig.edges[0], rig.edges[0].pid
    disk = FullDisk(edge)
    wait_for("the edge is silent", disk.silences)
    for twin, place in placements(rig).items():
        target = other(place["owner"])
        wait_for("it moves", lambda t=twin, to=target: ask(rig, t, to))  # type: ignore[misc]

    def all_wait() -> bool:
        places = placements(rig).values()
        waiting = [place["phase"] != "owned" and place["owner"] == edge.name for place in places]
        return disk.silences() and all(waiting)

    wait_for("all moves wait for the edge", all_wait)
    assert rig.told_but_not_stored() == []
    disk.end()
    await_settled(rig)
    assert edge.pid == pid
    ended_well(rig)


def test_g8_a_full_disk_at_the_cloud_holds_up_moves_and_no_reports(
    rig_on_small_disks: Rig,
) -> None:
    rig = rig_on_small_disks
    pid, before = rig.cloud.pid, placements(rig)
    disk = FullDisk(rig.cloud)

    wait_for("the cloud is silent", disk.silences)
    twin = rig.devices[0]
    assert not ask(rig, twin, other(before[twin]["owner"]))
    rig.await_progress()
    assert disk.silences()
    assert placements(rig) == before
    disk.end()
    wait_for("it moves after all", lambda: placements(rig)[twin]["owner"] != before[twin]["owner"])
    assert rig.cloud.pid == pid
    ended_well(rig)


def test_g14_twins_move_between_edges_whose_clocks_are_decades_apart(tmp_path: Path) -> None:
    rig = Rig(tmp_path, devices=DEVICES, period_s=PERIOD_S)
    processes = (rig.agent, rig.cloud, *rig.edges)
    for process, years in zip(processes, (5, -1, 10, -10), strict=True):
        process.wall_shift_s = years * YEAR_S
    with started(rig):
        with moving(rig) as moves:
            moves.await_more(MOVES_MIN)
            for process in processes:
                process.wall_shift_s *= -1
                rig.kill(process.name)
                rig.start(process.name)
            moves.await_more(MOVES_MIN)
        assert rig.told_but_not_stored() == []
        ended_well(rig)
        assert history.out_of_order(rig.edge_stores()) == []


@pytest.fixture
def cable() -> Iterator[Namespace]:
    with namespace() as made:
        yield made


def test_g5_moves_end_when_a_pulled_cable_is_back(cable: Namespace, tmp_path: Path) -> None:
    with links() as wires:
        rig = Rig(tmp_path, devices=DEVICES, period_s=PERIOD_S)
        wires.lead(rig.edges[0], rig, cable.host)
        rig.edges[0].within = cable.enter
        with started(rig):
            for outage_s in OUTAGES_S:
                with moving(rig) as moves:
                    cable.pull()
                    pass_by(outage_s)
                    assert rig.told_but_not_stored() == []
                    cable.plug()
                    moves.await_more(MOVES_MIN)
                await_settled(rig)
            ended_well(rig)
            assert history.out_of_order(rig.edge_stores()) == []
