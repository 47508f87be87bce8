"""Twins that move between real edges under load, and a crash in the middle of it."""

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.system import history
from tests.system.rig import Rig, get, running, wait_for

pytestmark = pytest.mark.system

MOVES = 60
DITEN = "from deploy.cli import main; main()"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with running(tmp_path, devices=20, period_s=0.1) as rig:
        yield rig


def api(rig: Rig) -> str:
    return f"http://127.0.0.1:{rig.cloud.settings['http']['port']}"


def move(rig: Rig, twin: str, edge: str) -> httpx.Response:
    return httpx.post(f"{api(rig)}/api/v1/moves", json={"twin": twin, "to": edge}, timeout=10)


def owned_by(rig: Rig, edge: int) -> set[str]:
    """The twins that an edge serves to readers."""
    things = get(rig.edges[edge], "/api/2/things?limit=200").json()
    return {thing["thingId"].split(":")[1] for thing in things}


def ended_well(rig: Rig) -> None:
    rig.await_progress()
    rig.drain()
    found = rig.stop()
    assert (found.lost, found.twice) == (0, 0), found.examples
    assert found.produced == found.applied == found.stable
    assert history.out_of_order(rig.edge_stores()) == []


def test_g5_twins_move_under_load_and_nothing_is_lost_or_counted_twice(rig: Rig) -> None:
    wanted = {}
    for _ in range(MOVES):
        twin = random.choice(rig.devices)
        wanted[twin] = random.choice(["e-1", "e-2"])
        wait_for("it may move", lambda: move(rig, twin, wanted[twin]).status_code == 202)  # noqa: B023
    wait_for(
        "each twin is where it was moved to",
        lambda: all(twin in owned_by(rig, int(edge[-1]) - 1) for twin, edge in wanted.items()),
    )
    ended_well(rig)


def test_g5_a_move_ends_though_any_of_its_parties_is_killed_in_it(rig: Rig) -> None:
    for victim in ("e-1", "e-2", "cloud"):
        for twin in rig.devices:
            to = "e-2" if twin in owned_by(rig, 0) else "e-1"
            assert move(rig, twin, to).status_code == 202
        rig.kill(victim)
        assert rig.told_but_not_stored() == []
        rig.start(victim)
        rig.await_progress()
        wait_for(
            "every twin has one owner",
            lambda: (
                not owned_by(rig, 0) & owned_by(rig, 1)
                and owned_by(rig, 0) | owned_by(rig, 1) == set(rig.devices)
            ),
        )
    ended_well(rig)


def test_the_command_moves_a_twin_and_says_what_cannot_be(rig: Rig) -> None:
    def diten(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", DITEN, "twin", "move", *arguments, "--api", api(rig)]
        return subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)

    twin = rig.devices[0]
    to = "e-2" if twin in owned_by(rig, 0) else "e-1"
    done = diten(twin, "--to", to)
    assert (done.returncode, done.stdout) == (0, f"{twin} moves to {to}\n")
    wait_for("it is there", lambda: twin in owned_by(rig, int(to[-1]) - 1))
    refused = diten(twin, "--to", "e-9")
    assert refused.returncode == 1
    assert refused.stderr == "Error: no edge e-9 has said hello; known: e-1, e-2\n"
