"""`diten twin watch` on a twin that moves: where it is, and each move as it happens."""

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from deploy import twin_commands
from deploy.api import api_client
from deploy.journey import Journey, in_words
from tests.deploy.test_twin_commands import Committed, read_until, served, watching
from tests.system.rig import Rig, running, wait_for

MOMENT = r"^\d\d:\d\d:\d\d  "


@pytest.mark.parametrize(
    "event, said",
    [
        (
            {"kind": "placed", "phase": "owned", "owner": "e-1", "epoch": 3},
            "is owned by e-1 at epoch 3",
        ),
        (
            {"kind": "placed", "phase": "sealing", "owner": "e-1", "epoch": 3, "to": "e-2"},
            "sealing at e-1, to go to e-2",
        ),
        (
            {"kind": "placed", "phase": "activating", "owner": "e-2", "epoch": 4},
            "activating at e-2, epoch 4",
        ),
        ({"kind": "move", "at_ms": 1, "from": "e-1", "to": "e-2"}, "moves from e-1 to e-2"),
        (
            {
                "kind": "owned",
                "at_ms": 1,
                "from": "e-1",
                "to": "e-2",
                "epoch": 4,
                "pause_s": 0.0184,
            },
            "owned by e-2 at epoch 4, from e-1, paused 18 ms",
        ),
        ({"kind": "owned", "at_ms": 1, "to": "e-2", "epoch": 4}, "owned by e-2 at epoch 4"),
        (
            {"kind": "failover", "at_ms": 1, "from": "e-1", "to": "e-2", "cut": 3},
            "fails over from e-1 to e-2",
        ),
        (
            {"kind": "adopted", "at_ms": 1, "to": "e-2", "epoch": 4},
            "is owned by e-2 at epoch 4, as it says: the cloud's store is old",
        ),
        ({"kind": "created", "at_ms": 1, "to": "e-2"}, "created"),
    ],
)
def test_a_journey_is_told_in_words(event: dict[str, object], said: str) -> None:
    assert re.sub(MOMENT, "", in_words(event)) == said


def test_an_edge_that_is_asked_tells_no_journey() -> None:
    with served(Committed("d-1")) as api, api_client(api) as client:
        assert Journey(client, "d-1").news() == []


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with running(tmp_path, devices=2) as rig:
        yield rig


@pytest.mark.system
def test_watch_shows_the_owner_and_a_move_as_it_happens(rig: Rig) -> None:
    api = f"http://127.0.0.1:{rig.cloud.settings['http']['port']}"
    twin = rig.devices[0]
    placed = httpx.get(f"{api}/api/v1/twins/{twin}", timeout=5).json()
    source, epoch = placed["owner"], placed["epoch"]
    assert (placed["twin"], placed["phase"]) == (twin, "owned")
    target = "e-2" if source == "e-1" else "e-1"
    with watching(api, twin=twin) as process:
        read_until(process, f"{MOMENT}is owned by {source} at epoch {epoch}$")
        move = {"twin": twin, "to": target}
        assert httpx.post(f"{api}/api/v1/moves", json=move, timeout=5).status_code == 202
        read_until(process, f"{MOMENT}moves from {source} to {target}$")
        paused = f"owned by {target} at epoch {epoch + 1}, from {source}, paused \\d+ ms$"
        read_until(process, MOMENT + paused)
        read_until(process, "rev ")
    missing = httpx.get(f"{api}/api/v1/twins/d-nobody", timeout=5)
    assert (missing.status_code, missing.json()["title"]) == (404, "unknown twin")


@pytest.mark.system
def test_a_journey_that_is_stuck_says_where(rig: Rig) -> None:
    api = f"http://127.0.0.1:{rig.cloud.settings['http']['port']}"
    twin = rig.devices[0]
    with api_client(api) as client:
        journey = Journey(client, twin)
        (placed,) = journey.news()
        source = placed["owner"]
        assert journey.news() == []
        rig.kill(source)
        target = "e-2" if source == "e-1" else "e-1"
        client.post("/api/v1/moves", json={"twin": twin, "to": target})
        kinds = [(event["kind"], event.get("phase")) for event in journey.news()]
        assert kinds == [("move", None), ("placed", "sealing")]
        rig.start(source)
        arrived: list[dict[str, object]] = []

        def has_arrived() -> bool:
            arrived.extend(journey.news())
            return any(event["kind"] == "owned" for event in arrived)

        wait_for("the move ends", has_arrived)
    assert [event["to"] for event in arrived if event["kind"] == "owned"] == [target]


@pytest.mark.system
def test_move_waits_until_the_twin_is_there(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    api = f"http://127.0.0.1:{rig.cloud.settings['http']['port']}"
    twin = rig.devices[0]
    source = httpx.get(f"{api}/api/v1/twins/{twin}", timeout=5).json()["owner"]
    target = "e-2" if source == "e-1" else "e-1"

    def moved(to: str, *options: str) -> Result:
        arguments = ["move", twin, "--to", to, "--api", api, *options]
        return CliRunner().invoke(twin_commands.twin, arguments)

    there = moved(target)
    assert there.exit_code == 0
    assert re.search(rf"owned by {target} at epoch 2, from {source}, paused \d+ ms$", there.stdout)
    assert moved(target).stdout.endswith(f"is owned by {target} at epoch 2\n")
    back = json.loads(moved(source, "--json").stdout)
    assert (back["to"], back["epoch"], back["from"]) == (source, 3, target)
    monkeypatch.setattr(twin_commands, "_MOVE_WAIT_S", 0.2)
    stands_still = next(edge for edge in rig.edges if edge.name == target)
    stands_still.send_signal(signal.SIGSTOP)
    late = moved(target)
    stands_still.send_signal(signal.SIGCONT)
    assert late.exit_code == 1
    assert f"{twin} is not on {target} after 0.2 s: the move goes on by itself" in late.stderr


@pytest.mark.system
def test_what_is_patched_is_carried_out_and_a_feature_has_a_past(rig: Rig) -> None:
    api = f"http://127.0.0.1:{rig.cloud.settings['http']['port']}"
    twin = rig.devices[0]

    def said(verb: str, *words: str) -> str:
        told = CliRunner().invoke(twin_commands.twin, [verb, twin, *words, "--api", api])
        assert told.exit_code == 0, told.stderr
        return told.stdout

    def thing() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(said("get", "--json"))
        return found

    said("patch", "place/room=north", "--desired", "sample_period_s=0.3")
    assert thing()["attributes"]["place"] == {"room": "north"}
    period = "sample_period_s"
    wait_for("done", lambda: thing()["features"][period]["desiredState"]["state"] == "done")
    wait_for("reported", lambda: thing()["features"][period]["properties"]["value"] == 0.3)

    def past() -> list[Any]:
        lines = said("history", "temperature_c", "--json").splitlines()
        return [json.loads(line) for line in lines]

    wait_for("a past", lambda: len(past()) > 3)
    times_ms, values, qualities = zip(*past(), strict=True)
    assert list(times_ms) == sorted(times_ms)
    assert all(isinstance(value, float) for value in values)
    assert set(qualities) == {"good"}
