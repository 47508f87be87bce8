"""Schemathesis asks all that /openapi.json says can be asked, well and badly.

It has a site of its own, since it drains edges and calls them lost. Most of what it asks for is
there, by a dictionary: a description is hardly tried by names that nobody has. A change is judged
by the same cases as the one before it; each night there are others.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.clients.conftest import described
from tests.clients.site import TOKEN, Site
from tests.system.rig import Process, Rig

pytestmark = [pytest.mark.system, pytest.mark.clients, pytest.mark.timeout(300)]

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
ROOT = Path(__file__).parents[2]
SENTENCES = "tests.clients.asked"  # for what is in a language of its own
# All its checks are made, since none is named: no 5xx, no answer, header or body that nobody
# documented, what is not as documented is refused and all else accepted, no method and no token is
# overlooked, what was deleted is gone and what was made is there. (`--checks all` would overrule
# what is said here of single operations.)
SEED = ("--seed", "1")
EXAMPLES = 1  # of each operation, besides a case for each bound of each parameter
ENDED_S = 280.0  # 35 on an idle machine
EACH_NIGHT = 40
ENDED_AT_NIGHT_S = 900.0
KNOWN = """\
[checks]
# 412 is neither a refusal nor an acceptance of what was sent: it is not the time for it. 413: of
# what a twin holds already, which no description of one request can say.
positive_data_acceptance.expected-statuses = [
  "2xx", "3xx", 401, 403, 404, 409, 412, 413, 429, "5xx"
]
negative_data_rejection.expected-statuses = [
  400, 401, 403, 404, 405, 406, 409, 412, 413, 415, 422, 428, 429, "5xx"
]
# Of which type a feature is, and so what may be wanted of it, says its device and not OpenAPI: 400
# too.
[[operations]]
include-name-regex = "^(PUT|PATCH) .*/features"
checks.positive_data_acceptance.expected-statuses = [
  "2xx", "3xx", 400, 401, 403, 404, 409, 412, 413, 429, "5xx"
]
# When all attributes are deleted, the device's own `description` stays.
[[operations]]
include-name-regex = "^GET .*/attributes$"
checks.use_after_free.enabled = false
# A blob that was put a moment ago is on its way to the cloud: 503, to be asked for again.
[[operations]]
include-path-regex = "blobs"
checks.not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", 503]
[dictionaries]
twins.values = {twins}
edges.values = {edges}
features.values = ["temperature_c", "sample_period_s"]
subjects.values = ["sample_now"]
[parameters]
"path.thing_id" = {{dictionary = "twins", probability = 0.7}}
"path.twin" = {{dictionary = "twins", probability = 0.7}}
"path.edge" = {{dictionary = "edges", probability = 0.7}}
"path.feature_id" = {{dictionary = "features", probability = 0.7}}
"path.subject" = {{dictionary = "subjects", probability = 0.3}}
"""


@pytest.fixture(scope="module")
def its_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two edges and a cloud that want a token for writes, which it has."""
    rig = Rig(tmp_path_factory.mktemp("asked", numbered=True), devices=4, period_s=0.5)
    for server in (*rig.edges, rig.cloud):
        server.settings["http"]["token"] = TOKEN
    with described(rig) as site:
        yield site


def lies(
    server: Process, site: Site, folder: Path, examples: int, within_s: float, *more: str
) -> str:
    """What was found to be wrong; empty: nothing, though all was asked."""
    known = KNOWN.format(
        twins=json.dumps(site.rig.devices), edges=json.dumps([e.name for e in site.rig.edges])
    )
    (folder / "schemathesis.toml").write_text(known)
    command = [
        *(str(SCHEMATHESIS), "run", f"http://{site.at(server)}/openapi.json"),
        *("--header", f"Authorization: Bearer {TOKEN}", "--max-examples", str(examples)),
        *("--phases", "examples,coverage,fuzzing,stateful"),
        *("--request-timeout", "20", "--continue-on-failure", "--warnings", "off"),
        *more,
    ]
    ended = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": SENTENCES},
        capture_output=True,
        text=True,
        timeout=within_s,
        check=False,
    )
    assert "Stateful (in" in ended.stdout, ended.stdout[-2_000:] + ended.stderr[-2_000:]
    return "" if ended.returncode == 0 else ended.stdout[-12_000:]


def test_an_edge_answers_as_it_says(its_site: Site, tmp_path: Path) -> None:
    found = lies(its_site.rig.edges[0], its_site, tmp_path, EXAMPLES, ENDED_S, *SEED)
    assert not found, found


def test_the_cloud_answers_as_it_says_and_the_site_outlives_it(
    its_site: Site, tmp_path: Path
) -> None:
    rig = its_site.rig
    found = lies(rig.cloud, its_site, tmp_path, EXAMPLES, ENDED_S, *SEED)
    assert not found, found
    for edge in rig.edges:  # it may have drained them, or called them lost
        resumed = httpx.post(
            f"http://{its_site.cloud}/api/v1/edges/{edge.name}/resume",
            headers={"Authorization": f"Bearer {TOKEN}"},
        )
        assert resumed.is_success, resumed.text
    rig.await_progress()


@pytest.mark.nightly
@pytest.mark.timeout(2 * ENDED_AT_NIGHT_S)
def test_both_answer_as_they_say_however_long_one_asks(its_site: Site, tmp_path: Path) -> None:
    for server in (its_site.rig.edges[0], its_site.rig.cloud):
        found = lies(server, its_site, tmp_path, EACH_NIGHT, ENDED_AT_NIGHT_S)
        assert not found, found
