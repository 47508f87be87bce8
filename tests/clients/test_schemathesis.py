"""Schemathesis asks all that /openapi.json says can be asked, well and badly."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients.site import TOKEN, Site
from tests.system.rig import Process

pytestmark = [pytest.mark.system, pytest.mark.clients]

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
# What it must not find: a 5xx, an answer that nobody documented, a body that is not as said.
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_schema_conformance"
)
EXAMPLES = 4  # of each operation, besides a case for each bound of each parameter
ENDED_S = 110.0


def asked(server: str, folder: Path, examples: int) -> subprocess.CompletedProcess[str]:
    command = [
        *(str(SCHEMATHESIS), "run", f"http://{server}/openapi.json"),
        *("--header", f"Authorization: Bearer {TOKEN}"),
        *("--phases", "examples,coverage,fuzzing", "--max-examples", str(examples)),
        *("--checks", CHECKS, "--request-timeout", "20", "--continue-on-failure"),
        *("--warnings", "off", "--exclude-path-regex", "/edges/.*/(drain|lost)"),
    ]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=ENDED_S, check=False
    )


def lies(server: Process, site: Site, folder: Path) -> str:
    """What was found to be wrong; empty: nothing, though all was asked."""
    ended = asked(site.at(server), folder, EXAMPLES)
    assert "Test cases:" in ended.stdout, ended.stdout[-2_000:] + ended.stderr[-2_000:]
    return "" if ended.returncode == 0 else ended.stdout[-12_000:]


def test_an_edge_answers_as_it_says(site: Site, tmp_path: Path) -> None:
    assert lies(site.rig.edges[0], site, tmp_path) == ""


def test_the_cloud_answers_as_it_says(site: Site, tmp_path: Path) -> None:
    assert lies(site.rig.cloud, site, tmp_path) == ""
