"""Node-RED, as it is installed, subscribes to the topic of a twin."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.clients.node import HERE, missing
from tests.clients.site import Site
from tests.system.rig import wait_for
from twin_runtime.adapters.broker import free_port

pytestmark = [pytest.mark.system, pytest.mark.clients, pytest.mark.nightly]

PAGE = HERE.parents[1] / "docs/clients.md"
NODE_RED = HERE / "node_red"
STARTED_S = 90.0  # it loads three hundred packages
STOPPED_S = 20.0


def flow(port: int, file: Path) -> list[dict[str, Any]]:
    """What docs/clients.md has for its editor; shown are lines of a file."""
    found = re.search(r"^```json\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    nodes = {node["id"]: node for node in json.loads(found[1])}
    nodes["bus"]["port"] = str(port)
    written = {"type": "file", "filename": str(file), "filenameType": "str"}
    nodes["shown"] |= {**written, "appendNewline": True, "overwriteFile": "false"}
    return list(nodes.values())


@contextmanager
def node_red(folder: Path, nodes: list[dict[str, Any]]) -> Iterator[Path]:
    """A Node-RED with these nodes, and what it says."""
    (folder / "flows.json").write_text(json.dumps(nodes))
    said = folder / "said.log"
    command = ["node", str(NODE_RED / "node_modules/node-red/red.js"), "--userDir", str(folder)]
    with said.open("wb") as log:
        process = subprocess.Popen(
            [*command, "--port", str(free_port()), "flows.json"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield said
    finally:
        process.terminate()
        process.wait(STOPPED_S)


def test_it_consumes_a_twin_as_it_changes(open_site: Site, tmp_path: Path) -> None:
    if why := missing(NODE_RED):
        pytest.skip(f"{why} nightly")
    twin, file = open_site.rig.devices[0], tmp_path / "heard.jsonl"
    nodes = flow(open_site.rig.broker.port, file)
    with node_red(tmp_path, nodes):
        wait_for(
            "three states of the twin",
            lambda: file.exists() and len(file.read_text().splitlines()) >= 3,
            STARTED_S,
        )
    documents = [json.loads(line) for line in file.read_text().splitlines()]
    assert {document["twin"] for document in documents} == {twin}
    revisions = [document["revision"] for document in documents]
    assert revisions == sorted(set(revisions))
