"""Twins that move between real edges under load; the command that moves one."""

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system import history
from tests.system.moving import api, ask, ended_well, placements
from tests.system.rig import Rig, running, wait_for

pytestmark = pytest.mark.system

MOVES = 60
DITEN = "from deploy.cli import main; main()"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with running(tmp_path, devices=20, period_s=0.1) as rig:
        yield rig


def are_at(rig: Rig, wanted: dict[str, str]) -> bool:
    """Whether each twin is owned by the edge it is wanted at."""
    owned = {twin: place["owner"] for twin, place in placements(rig).items()
             if place["phase"] == "owned"}  # fmt: skip
    return wanted.items() <= owned.items()


def test_g5_twins_move_under_load_and_nothing_is_lost_or_counted_twice(rig: Rig) -> None:
    wanted = {}
    for _ in range(MOVES):
        twin = random.choice(rig.devices)
        wanted[twin] = random.choice(["e-1", "e-2"])
        wait_for("it may move", lambda: ask(rig, twin, wanted[twin]))  # noqa: B023
    wait_for("each twin is where it was moved to", lambda: are_at(rig, wanted))
    ended_well(rig)
    assert history.out_of_order(rig.edge_stores()) == []


def test_the_command_moves_a_twin_and_says_what_cannot_be(rig: Rig) -> None:
    def diten(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", DITEN, "twin", "move", *arguments, "--api", api(rig)]
        return subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)

    twin = rig.devices[0]
    to = "e-2" if are_at(rig, {twin: "e-1"}) else "e-1"
    done = diten(twin, "--to", to)
    assert done.returncode == 0
    assert f"owned by {to} at epoch 2" in done.stdout
    assert are_at(rig, {twin: to})
    refused = diten(twin, "--to", "e-9")
    assert refused.returncode == 1
    assert refused.stderr == "Error: no edge e-9 has said hello; known: e-1, e-2\n"
