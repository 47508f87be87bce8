"""Moves that cannot be, or were asked for before: a clear error, or an idempotent yes."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.system.moving import api, call, ended_well, placements
from tests.system.rig import Rig, get, running, wait_for

pytestmark = pytest.mark.system

AT_ONCE = 8


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with running(tmp_path, devices=4, period_s=0.2) as rig:
        yield rig


def move(rig: Rig, twin: str, to: str, key: str = "") -> httpx.Response:
    headers = {"Idempotency-Key": key} if key else {}
    body = {"twin": twin, "to": to}
    url = f"{api(rig)}/api/v1/moves"
    return httpx.post(url, json=body, headers=headers, timeout=10, verify=False)


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """The status and the kind of a problem that is said in a sentence."""
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["detail"]
    return answer.status_code, problem["type"].rpartition(":")[2]


def begun(rig: Rig, twin: str) -> list[dict[str, Any]]:
    """Its moves so far, as the cloud tells them."""
    events = get(rig.cloud, "/api/v1/events?after=0&limit=1000").json()["events"]
    return [each for each in events if (each["kind"], each.get("twin")) == ("move", twin)]


def test_a_move_that_cannot_be_is_a_clear_error_and_one_that_was_made_a_yes(rig: Rig) -> None:
    twin, before = rig.devices[0], placements(rig)
    owner = before[twin]["owner"]
    other = "e-2" if owner == "e-1" else "e-1"
    assert refusal(move(rig, "d-nobody", other)) == (404, "unknown_twin")
    assert refusal(move(rig, twin, "e-9")) == (404, "unknown_edge")
    assert refusal(move(rig, twin, "not an edge"))[0] == 400
    assert move(rig, twin, owner).status_code == 202, "it is there already"
    assert placements(rig) == before

    call(rig, other, "drain")
    assert refusal(move(rig, twin, other)) == (409, "not_serving")
    call(rig, other, "resume")
    before = placements(rig)
    assert before[twin]["owner"] == owner

    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = pool.map(lambda _: move(rig, twin, other, key="once"), range(AT_ONCE))
        assert {answer.status_code for answer in answers} == {202}
    moved = {**before[twin], "owner": other, "epoch": 2}
    wait_for("it is there", lambda: placements(rig)[twin] == moved)
    assert move(rig, twin, other, key="once").status_code == 202
    assert refusal(move(rig, twin, owner, key="once")) == (422, "key_reused")
    assert len(begun(rig, twin)) == 1
    ended_well(rig)
