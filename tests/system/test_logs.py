"""The log of a service is found by twin, edge and epoch."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.system.rig import Process, get, running, wait_for
from tests.system.witness import PREFIX

pytestmark = pytest.mark.system


def lines(process: Process) -> list[dict[str, Any]]:
    return [json.loads(line) for line in process.said().splitlines()]


def test_what_an_edge_says_of_a_twin_names_the_twin_its_epoch_and_the_edge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DITEN_LOG", "json")
    with running(tmp_path, devices=2, period_s=0.5, edges=1) as rig:
        edge, twin = rig.edges[0], rig.devices[0]

        def said() -> list[dict[str, Any]]:
            return [line for line in lines(edge) if line.get("twin") == twin]

        rig.witness.publish(f"{PREFIX}up/e-1/{twin}/report", b"half of")
        wait_for("the refusal", lambda: bool(said()))
        [line] = said()
        assert (line["service"], line["edge"], line["level"]) == ("e-1", "e-1", "warning")
        assert line["epoch"] == get(rig.cloud, f"/api/v1/twins/{twin}").json()["epoch"]
        assert [line["edge"] for line in lines(rig.cloud) if line.get("twin") == twin] == ["e-1"]
