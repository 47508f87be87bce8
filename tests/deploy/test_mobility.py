"""`diten up --mobility`: twins follow their devices as they walk, and nothing is lost for it."""

from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest

from cloud.association import Device, Observed
from cloud.config import AssociationConfig
from cloud.decision import decide
from deploy import mobility
from deploy.mobility import association, edge_places
from deploy.plan import Plan, check_mobility, sources_of
from tests.deploy.an_up import Up, up
from twin_runtime.core.errors import InvalidConfiguration
from twin_runtime.problems.association import PROBLEM
from twin_runtime.problems.scenarios.walking_site import walking_site

DEVICES = 10
MOVES = 6
SPEED = 20.0
FLEET = "d-emulated-fleet-1"
OK = 0


# --- the plan -------------------------------------------------------------------------------


def test_edges_stand_where_the_problem_draws_them_and_another_one_moves_none() -> None:
    site = PROBLEM.begin(walking_site(7, 3), 1, np.random.default_rng(mobility.SITE_SEED))
    drawn = [[place["x_m"], place["y_m"]] for place in edge_places(3)]
    assert np.abs(np.array(drawn) - site.edge_m[0]).max() <= 0.05
    assert edge_places(16)[:3] == edge_places(3)


def test_a_decision_is_made_once_a_slot_however_fast_devices_walk() -> None:
    periods_s = [AssociationConfig(**association(speed)).period_s for speed in (1.0, 5.0, 1e6)]
    assert periods_s == [10.0, 2.0, mobility.PERIOD_S_MIN]
    assert AssociationConfig(**association(1.0)).policy == "pack_and_hold"


def test_with_mobility_emulated_devices_walk(tmp_path: Path) -> None:
    plan = Plan(tmp_path, source="none", devices=1_200, mobility=True, speed=3.0)
    first, second = sources_of(plan).values()
    assert first == {"kind": "walking", "first": 1, "last": 1_000, "speed": 3.0}
    assert (second["kind"], second["first"], second["last"]) == ("walking", 1_001, 1_200)
    (still,) = sources_of(Plan(tmp_path, source="none", devices=10)).values()
    assert still["kind"] == "emulated"


@pytest.mark.parametrize("devices, edges, wrong", [(0, 3, "--devices 0"), (20, 1, "--edges 1")])
def test_a_site_where_nobody_could_move_is_refused(
    tmp_path: Path, devices: int, edges: int, wrong: str
) -> None:
    with pytest.raises(InvalidConfiguration, match=wrong):
        check_mobility(Plan(tmp_path, devices=devices, edges=edges, mobility=True))
    check_mobility(Plan(tmp_path, devices=devices, edges=edges))


# --- the real thing -------------------------------------------------------------------------


@pytest.mark.system
@pytest.mark.slow
def test_g5_twins_follow_their_devices_and_nothing_is_lost_or_counted_twice(
    tmp_path: Path,
) -> None:
    options = ("--source", "none", "--mobility", "--devices", str(DEVICES), "--speed", f"{SPEED}")
    with up(tmp_path / "data", *options) as one:
        one.await_twins(DEVICES)
        one.wait_for(f"{MOVES} moves", lambda: len(moves(one)) >= MOVES)
        one.await_said(" moves; twins: e-1 ")
        walkers = psutil.Process(one.pid_of(FLEET))
        walkers.suspend()  # now everybody stands still, and the policy comes to rest
        one.wait_for("two decisions that move nobody", lambda: is_at_rest(one))
        observed, policy = seen(one)
        wanted = decide(observed, policy, 0)
        assert wanted.hosts == observed.hosts
        assert wanted.cost == wanted.cost_if_all_stay
        walkers.resume()
        assert one.stop() == OK
        assert "lost 0, applied twice 0" in one.said()


def asked(one: Up, path: str) -> Any:
    url = one.await_said("API").split()[1].removesuffix("/api/2/things")
    return httpx.get(url + path, timeout=5).raise_for_status().json()


def moves(one: Up) -> list[dict[str, Any]]:
    """Moves that have ended."""
    return [each for each in events(one) if each["kind"] == "owned" and "from" in each]


def decisions(one: Up) -> list[dict[str, Any]]:
    receipts = asked(one, "/api/v1/decisions")["decisions"]
    return [receipt for receipt in receipts if receipt["kind"] == "decided"]


def is_at_rest(one: Up) -> bool:
    """Whether the last two decisions saw the same, all twins in it, and moved none."""
    last = decisions(one)[-2:]
    return (
        len(last) == 2
        and [(each["moves"], each["twins"]) for each in last] == [([], DEVICES)] * 2
        and last[0]["observation"] == last[1]["observation"]
    )


def seen(one: Up) -> tuple[Observed, str]:
    """What the cloud sees, by what anybody can read; and the policy in force."""
    last = decisions(one)[-1]
    owners = {each["twin"]: each["to"] for each in events(one) if each["kind"] == "owned"}
    devices = {thing["thingId"].partition(":")[2]: device(thing) for thing in one.things()}
    places = [(place["x_m"], place["y_m"]) for place in edge_places(len(last["edges"]))]
    edges = tuple(sorted(last["edges"]))
    observed = Observed(
        edges,
        tuple(places),
        tuple(devices),
        tuple(devices.values()),
        tuple(float(each.samples or 0.0) for each in devices.values()),
        tuple(edges.index(owners[twin]) for twin in devices),
    )
    return observed, last["policy"]


def events(one: Up) -> list[dict[str, Any]]:
    page: list[dict[str, Any]] = asked(one, "/api/v1/events?after=0&limit=1000")["events"]
    return page


def device(thing: dict[str, Any]) -> Device:
    values = {name: each["properties"]["value"] for name, each in thing["features"].items()}
    return Device(values["x_m"], values["y_m"], values["samples"], 4_500)
