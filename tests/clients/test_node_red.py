"""Node-RED, as it is installed, subscribes to the topic of a twin."""

import json
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
from twin_runtime.core import topics

pytestmark = [pytest.mark.system, pytest.mark.clients, pytest.mark.nightly]

NODE_RED = HERE / "node_red"
STARTED_S = 90.0  # it loads three hundred packages
STOPPED_S = 20.0


def flow(port: int, topic: str, file: Path) -> list[dict[str, Any]]:
    """From the topic of a twin to a line of a file, as its editor would draw it."""
    heard = {"id": "heard", "type": "mqtt in", "z": "tab", "broker": "bus", "topic": topic}
    written = {"id": "written", "type": "file", "z": "tab", "filename": str(file)}
    broker = {"id": "bus", "type": "mqtt-broker", "broker": "127.0.0.1", "port": str(port)}
    return [
        {"id": "tab", "type": "tab", "label": "A twin"},
        {**broker, "protocolVersion": "4", "keepalive": "60", "cleansession": True},
        {**heard, "qos": "0", "datatype": "utf8", "wires": [["written"]]},
        {**written, "filenameType": "str", "appendNewline": True, "overwriteFile": "false"},
    ]


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
    nodes = flow(open_site.rig.broker.port, topics.twin(twin), file)
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
