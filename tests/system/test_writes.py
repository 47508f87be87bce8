"""Writes on a real site: what is wanted reaches a device through crashes and moves."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.system.moving import api, ask, ended_well, placements
from tests.system.rig import Process, Rig, running, wait_for

pytestmark = pytest.mark.system

FEATURE = "features/sample_period_s"
ANSWERED_S = 30.0


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with running(tmp_path, devices=4, period_s=0.2) as rig:
        yield rig


def at(process: Process) -> str:
    return f"http://127.0.0.1:{process.settings['http']['port']}"


def do(method: str, url: str, **content: Any) -> httpx.Response:
    """Follows redirects, as clients of a moving twin do."""
    return httpx.request(
        method, url, timeout=ANSWERED_S, verify=False, follow_redirects=True, **content
    )


def thing(rig: Rig, twin: str) -> str:
    return f"{api(rig)}/api/2/things/{twin}"


def want(base: str, twin: str, period_s: float, **params: str) -> httpx.Response:
    url = f"{base}/api/2/things/{twin}/{FEATURE}/desiredProperties/value"
    return do("PUT", url, json=period_s, params=params)


def is_done(rig: Rig, twin: str, period_s: float) -> bool:
    """Whether the device reports it and has said that it carried it out."""
    feature = do("GET", f"{thing(rig, twin)}/{FEATURE}").json()
    reported = feature.get("properties", {}).get("value")
    return (reported, feature.get("desiredState", {}).get("state")) == (period_s, "done")


def move(rig: Rig, twin: str) -> Process:
    """Let the other edge own a twin; return the one that did."""
    former = next(edge for edge in rig.edges if edge.name == placements(rig)[twin]["owner"])
    other = next(edge for edge in rig.edges if edge is not former)
    wait_for("it may move", lambda: ask(rig, twin, other.name))
    wait_for("it has moved", lambda: owner(rig, twin) == (other.name, "owned"))
    return former


def owner(rig: Rig, twin: str) -> tuple[str, str]:
    place = placements(rig)[twin]
    return place["owner"], place["phase"]


def test_g8_what_is_wanted_reaches_the_device_though_edges_and_device_die_first(rig: Rig) -> None:
    twin = rig.devices[0]
    rig.kill("d-agent")
    assert want(api(rig), twin, 0.5).status_code == 201
    rig.kill("e-1", "e-2")
    rig.start("e-1", "e-2", "d-agent")
    wait_for("the device reports what is wanted", lambda: is_done(rig, twin, 0.5))
    ended_well(rig)


def test_what_is_wanted_moves_with_its_twin_and_a_former_owner_sends_writers_on(rig: Rig) -> None:
    twin = rig.devices[0]
    rig.kill("d-agent")
    assert want(api(rig), twin, 0.5).status_code == 201
    former = move(rig, twin)
    rig.start("d-agent")
    wait_for("the device reports what is wanted", lambda: is_done(rig, twin, 0.5))
    wait_for("the former owner sends on", lambda: want(at(former), twin, 0.25).is_success)
    wait_for("the device reports what is wanted", lambda: is_done(rig, twin, 0.25))
    ended_well(rig)


def test_g3_a_persisted_write_survives_the_loss_of_the_owners_disk(rig: Rig) -> None:
    twin = rig.devices[0]
    url = f"{thing(rig, twin)}/attributes/room"
    put = do("PUT", url, json="north", params={"requested-acks": "twin-persisted"})
    assert put.status_code == 201
    name, _ = owner(rig, twin)
    edge = next(edge for edge in rig.edges if edge.name == name)
    rig.kill(name)
    for path in edge.folder.glob("edge.sqlite*"):
        path.unlink()
    edge.start()
    there = f"{at(edge)}/api/2/things/{twin}/attributes/room"
    wait_for("the twin is back with its attribute", lambda: _reads(there) == '"north"')


def test_whoever_writes_through_the_cloud_reads_there_what_was_written(rig: Rig) -> None:
    for number in range(50):
        twin = rig.devices[number % len(rig.devices)]
        put = do("PUT", f"{thing(rig, twin)}/attributes/number", json=number)
        got = do("GET", f"{thing(rig, twin)}/attributes/number")
        assert (put.is_success, got.text, got.headers["age"]) == (True, str(number), "0")
        assert got.headers["etag"] == put.headers["etag"]


def test_a_blob_is_written_and_read_at_the_cloud(rig: Rig) -> None:
    url = f"{api(rig)}/api/v1/twins/{rig.devices[0]}/blobs/model"
    content = os.urandom(3_000_000)
    assert do("PUT", url, content=content).status_code == 201
    assert do("GET", url).status_code in {200, 503}, "the reference is known at once"
    wait_for("its bytes are here", lambda: do("GET", url).content == content)
    assert do("DELETE", url).status_code == 204
    assert do("GET", url).status_code == 404


def _reads(url: str) -> str:
    try:
        return do("GET", url).text
    except httpx.HTTPError:
        return ""


def test_a_command_is_carried_out_and_answered(rig: Rig) -> None:
    url = f"{thing(rig, rig.devices[0])}/inbox/messages/sample_now"
    answer = do("POST", url)
    assert (answer.status_code, answer.json()["outcome"]) == (200, "done")
    unknown = do("POST", url.replace("sample_now", "dance"))
    assert (unknown.status_code, unknown.json()["error"]) == (409, "messages:command.rejected")
