"""The past of a twin over HTTP: of its owner each revision, of the cloud the last checkpoint."""

from pathlib import Path
from typing import Any

import pytest

from tests.system.rig import get, running, wait_for

pytestmark = pytest.mark.system


def test_the_cloud_answers_with_checkpoints_though_the_edge_with_the_history_is_gone(
    tmp_path: Path,
) -> None:
    with running(tmp_path, devices=1, edges=1, period_s=0.2) as rig:
        (twin,), (edge,), cloud = rig.devices, rig.edges, rig.cloud
        thing = f"/api/2/things/{twin}"

        def shown() -> dict[str, Any]:
            found: dict[str, Any] = get(cloud, thing).json()
            return found

        def at(revision: int) -> str:
            return f"{thing}?at-historical-revision={revision}"

        def before() -> int:
            return int(shown()["_revision"]) - 1

        wait_for("the cloud kept a checkpoint", lambda: get(cloud, at(before())).is_success)
        asked = before()
        exact = get(edge, at(asked))
        assert exact.headers["Historical-Granularity"] == "revision"
        assert exact.json()["_revision"] == asked

        rig.kill(edge.name)
        past = get(cloud, at(asked))
        assert past.headers["Historical-Granularity"] == "checkpoint"
        assert past.json()["thingId"] == exact.json()["thingId"]
        assert past.json()["_revision"] <= asked, "the last one until then"
        now = get(cloud, f"{thing}/features?at-historical-timestamp=2099-01-01T00:00:00Z")
        assert now.headers["Historical-Granularity"] == "checkpoint"
        assert now.json().keys() == past.json()["features"].keys()

        for never in (at(10**9), f"{thing}?at-historical-timestamp=2001-01-01T00:00:00Z"):
            answer = get(cloud, never)
            assert answer.json()["error"] == "things:thing.history.notfound"
            assert answer.status_code == 404
        rows = get(cloud, f"/api/v1/twins/{twin}/history?feature=temperature_c")
        assert (rows.status_code, rows.json()["type"]) == (503, "urn:diten:owner_unreachable")
        assert rows.headers["Retry-After"] == "1"
