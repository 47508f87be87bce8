"""The cloud is away: edges, devices and readers go on, and it comes back from its store."""

from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.system.moving import ask, ended_well, placements
from tests.system.rig import Process, Rig, get, running, wait_for

pytestmark = pytest.mark.system

DEVICES = 8
PERIOD_S = 0.2
WANTED_S = 0.35


def owned_by(rig: Rig, edge: Process) -> str:
    return next(twin for twin, place in placements(rig).items() if place["owner"] == edge.name)


def url(process: Process, path: str) -> str:
    return f"http://127.0.0.1:{process.settings['http']['port']}/api/2/things/{path}"


def put(process: Process, path: str, value: Any) -> httpx.Response:
    return httpx.put(url(process, path), json=value, timeout=5, verify=False)


def feature(process: Process, twin: str) -> dict[str, Any]:
    found: dict[str, Any] = get(process, f"/api/2/things/{twin}/features/sample_period_s").json()
    return found


def test_g6_edges_serve_without_the_cloud_which_comes_back_from_its_store(tmp_path: Path) -> None:
    with running(tmp_path, devices=DEVICES, period_s=PERIOD_S) as rig:
        edge, before = rig.edges[0], placements(rig)
        twin = owned_by(rig, edge)
        rig.kill("cloud")
        rig.await_progress()
        for part in (edge.name, "d-agent", "broker"):  # who starts anew needs nobody to tell it
            rig.kill(part)
            rig.start(part)
            rig.await_progress()
        assert put(edge, f"{twin}/attributes/room", "north").status_code == HTTPStatus.CREATED
        assert get(edge, f"/api/2/things/{twin}/attributes/room").json() == "north"
        wish = f"{twin}/features/sample_period_s/desiredProperties/value"
        assert put(edge, wish, WANTED_S).is_success
        wait_for("it is done", lambda: feature(edge, twin)["desiredState"]["state"] == "done")
        assert feature(edge, twin)["properties"]["value"] == WANTED_S
        asked = "?requested-acks=twin-persisted&timeout=1s"
        answer = put(edge, f"{twin}/attributes/floor{asked}", 2)
        assert answer.status_code == HTTPStatus.REQUEST_TIMEOUT, "nobody has it but its owner"
        assert placements(rig) == before

        rig.start("cloud")
        assert placements(rig) == before, "nothing is given away anew"
        wait_for("it moves", lambda: ask(rig, twin, "e-2"))
        wait_for("it is there", lambda: placements(rig)[twin]["owner"] == "e-2")
        ended_well(rig)
        assert rig.told_but_not_stored() == []
