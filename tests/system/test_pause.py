"""Readers and writers of a twin that is on its way, held in the middle of its move."""

import signal
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest

from tests.system.moving import ask, ended_well, placements
from tests.system.rig import Process, Rig, get, running, wait_for

pytestmark = pytest.mark.system

PERIOD_S = 0.2


def write(process: Process, path: str) -> httpx.Response:
    url = f"http://127.0.0.1:{process.settings['http']['port']}{path}"
    return httpx.put(url, json="north", timeout=10, verify=False)


def held_between(rig: Rig, twin: str) -> tuple[Process, Process, Callable[[], None]]:
    """Let a twin be sealed by one edge, while the other one stands still and cannot take it."""
    owner = placements(rig)[twin]["owner"]
    source, target = sorted(rig.edges, key=lambda edge: edge.name != owner)
    target.send_signal(signal.SIGSTOP)
    wait_for("it begins to move", lambda: ask(rig, twin, target.name))
    wait_for("it is handed over", lambda: placements(rig)[twin]["phase"] == "activating")
    return source, target, lambda: target.send_signal(signal.SIGCONT)


def test_g5_a_paused_twin_is_read_with_its_age_and_takes_no_writes(tmp_path: Path) -> None:
    with running(tmp_path, devices=4, period_s=PERIOD_S) as rig:
        twin = rig.devices[0]
        thing, attribute = f"/api/2/things/{twin}", f"/api/2/things/{twin}/attributes/room"
        source, target, go_on = held_between(rig, twin)
        for reader in (source, rig.cloud):
            wait_for("its age is said", lambda r=reader: int(get(r, thing).headers["Age"]) >= 2)  # type: ignore[misc]
            read, again = get(reader, thing), get(reader, thing)
            assert read.status_code == HTTPStatus.OK
            assert again.json()["_revision"] == read.json()["_revision"], "nothing is applied"
        for writer in (source, rig.cloud):
            refused = write(writer, attribute)
            assert refused.status_code == HTTPStatus.SERVICE_UNAVAILABLE, writer.name
            assert refused.headers["Retry-After"] == "1"
            assert {"status", "error", "message"} <= refused.json().keys()
        go_on()
        wait_for("it is owned", lambda: placements(rig)[twin]["phase"] == "owned")
        wait_for("it is written after all", lambda: write(rig.cloud, attribute).is_success)
        assert get(target, attribute).json() == "north"
        ended_well(rig)
