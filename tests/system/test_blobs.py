"""Twins with blobs, between real processes: moved under load, cut off, failed over."""

import os
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from tests.system import history
from tests.system.rig import Process, Rig, get, metric, running, wait_for
from tests.system.small_disk import small_disk
from twin_runtime.core.limits import BLOB_BYTES_MAX, BLOB_WINDOW_CHUNKS, CHUNK_BYTES_MAX

pytestmark = pytest.mark.system

POLL_S = 0.001
BEGUN_CHUNKS = 32


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with running(tmp_path, devices=10, period_s=0.1) as rig:
        yield rig


def url(process: Process, path: str) -> str:
    return f"http://127.0.0.1:{process.settings['http']['port']}{path}"


def path_of(twin: str) -> str:
    return f"/api/v1/twins/{twin}/blobs/model"


def shown(process: Process, twin: str) -> bytes | None:
    """The twin's blob as a reader gets it, whole; None: it is not there."""
    answer = httpx.get(url(process, path_of(twin)), timeout=30)
    return answer.content if answer.status_code == 200 else None


def owner_of(rig: Rig, twin: str) -> Process:
    """The edge that takes what is put."""
    for edge in rig.edges:
        if httpx.put(url(edge, path_of(twin)), content=b"here", timeout=30).is_success:
            return edge
    pytest.fail(f"nobody owns {twin}")


def put(rig: Rig, twin: str, content: bytes) -> tuple[Process, Process]:
    """Attach a blob to the twin; return its edge, and another one."""
    owner = owner_of(rig, twin)
    answer = httpx.put(url(owner, path_of(twin)), content=content, timeout=60)
    assert answer.status_code == 204, answer.text
    (other,) = [edge for edge in rig.edges if edge is not owner]
    return owner, other


def post(rig: Rig, path: str, **request: object) -> None:
    assert httpx.post(url(rig.cloud, path), timeout=10, **request).is_success  # type: ignore[arg-type]


def ended_well(rig: Rig) -> None:
    rig.await_progress()
    rig.drain()
    found = rig.stop()
    assert (found.lost, found.twice) == (0, 0), found.examples


def test_g5_a_twin_moves_under_load_when_its_blob_is_there_already(rig: Rig) -> None:
    twin, content = rig.devices[0], os.urandom(16 * 1024 * 1024)
    _, target = put(rig, twin, content)
    wait_for("the cloud knows of it, and has it", lambda: shown(rig.cloud, twin) == content)
    post(rig, "/api/v1/moves", json={"twin": twin, "to": target.name})
    wait_for("it is owned there", lambda: moved_to(rig, twin, target.name))
    assert metric(target, "diten_move_bytes_total") == len(content)
    assert shown(target, twin) == content
    assert shown(rig.cloud, twin) == content
    ended_well(rig)
    assert history.out_of_order(rig.edge_stores()) == []


def moved_to(rig: Rig, twin: str, edge: str) -> bool:
    """Whether the cloud says so; before the twin is sealed, its blob must be at the target."""
    events = get(rig.cloud, "/api/v1/events?after=0").json()["events"]
    happened = [(each["kind"], each["to"]) for each in events if each.get("twin") == twin]
    if "move" in dict(happened):
        assert metric(rig.edges[int(edge[-1]) - 1], "diten_move_bytes_total") > 0
    return ("owned", edge) in happened


def test_a_fetch_that_is_cut_off_by_a_kill_goes_on_where_it_was(rig: Rig) -> None:
    twin, content = rig.devices[0], os.urandom(BLOB_BYTES_MAX)
    put(rig, twin, content)
    chunks = rig.cloud.folder / "blobs" / f"{sha256(content).hexdigest()}.chunks"
    deadline_s = time.monotonic() + 30
    while not chunks.exists() or chunks.read_bytes().count(1) < BEGUN_CHUNKS:
        assert time.monotonic() < deadline_s, "the cloud fetches nothing"
        time.sleep(POLL_S)
    rig.kill("cloud")
    came = chunks.read_bytes().count(1)
    assert came < BLOB_BYTES_MAX // CHUNK_BYTES_MAX, "it was to be killed before it was done"
    rig.start("cloud")
    wait_for("the cloud has it", lambda: is_up(rig) and shown(rig.cloud, twin) == content)
    again = metric(rig.cloud, "diten_blob_bytes_total", 'direction="received"')
    assert again <= len(content) - came * CHUNK_BYTES_MAX + BLOB_WINDOW_CHUNKS * CHUNK_BYTES_MAX
    ended_well(rig)


def is_up(rig: Rig) -> bool:
    try:
        return get(rig.cloud, "/readyz").status_code == 200
    except httpx.TransportError:
        return False


def test_g8_blobs_fill_no_disk_so_that_its_edge_would_stop(tmp_path: Path) -> None:
    with (
        small_disk(tmp_path / "e-1", "72m"),
        running(tmp_path, devices=4, period_s=0.2, edges=1) as rig,
    ):
        edge, twin = rig.edges[0], rig.devices[0]
        answer = httpx.put(url(edge, path_of(twin)), content=bytes(16 * 1024 * 1024), timeout=30)
        assert answer.status_code == 507, answer.text
        assert answer.json()["type"] == "urn:diten:full"
        assert get(edge, "/readyz").is_success
        ended_well(rig)


def test_g3_a_lost_edge_loses_no_blob_that_the_cloud_has(rig: Rig) -> None:
    twin, content = rig.devices[0], os.urandom(1024 * 1024)
    owner, other = put(rig, twin, content)
    wait_for("the cloud knows of it, and has it", lambda: shown(rig.cloud, twin) == content)
    rig.kill(owner.name)
    post(rig, f"/api/v1/edges/{owner.name}/lost")
    wait_for("its next edge has it", lambda: shown(other, twin) == content)
    rig.start(owner.name)
    wait_for("it is back", owner.is_connected)
    ended_well(rig)
