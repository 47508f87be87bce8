"""Prometheus' own promtool reads what each role says of itself."""

import shutil
import subprocess

import pytest

from tests.clients.site import Site
from tests.system.rig import Process, get

pytestmark = [
    pytest.mark.system,
    pytest.mark.clients,
    pytest.mark.skipif(
        shutil.which("promtool") is None, reason="clients need promtool: apt install prometheus"
    ),
]


def complaints(server: Process) -> str:
    page = get(server, "/metrics").content
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=page, capture_output=True, check=False
    )
    return (checked.stdout + checked.stderr).decode()


def test_the_metrics_of_an_edge_and_of_the_cloud_are_as_they_should_be(site: Site) -> None:
    found = {server.name: complaints(server) for server in (site.rig.edges[0], site.rig.cloud)}
    assert found == dict.fromkeys(found, "")
