"""The site in containers, as far as it can be checked without running any."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from cloud.config import CloudConfig
from edge_node.config import EdgeConfig
from twin_runtime.adapters.config import load_config

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "deploy/compose"
CHECK = Path(sys.executable).with_name("check-jsonschema")
DITEN = Path(sys.executable).with_name("diten")


def site() -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe").load(COMPOSE / "compose.yml")
    return found


def ours() -> dict[str, dict[str, Any]]:
    return {name: one for name, one in site()["services"].items() if one["image"] == "diten"}


def mounted(service: dict[str, Any]) -> dict[str, str]:
    """Where each of its files comes from, by where the container sees it."""
    pairs = [mount.split(":") for mount in service["volumes"]]
    return {pair[1]: pair[0] for pair in pairs}


def conforms(path: Path) -> subprocess.CompletedProcess[str]:
    """Against the specification that comes with the checker: nothing is asked of a network."""
    command: list[str | Path] = [CHECK, "--builtin-schema", "vendor.compose-spec", path]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_the_compose_file_is_what_its_specification_allows() -> None:
    done = conforms(COMPOSE / "compose.yml")
    assert done.returncode == 0, done.stdout


def test_a_misspelt_key_of_a_compose_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "compose.yml"
    path.write_text("services: {broker: {image: mosquitto, port: ['1883:1883']}}\n")
    assert conforms(path).returncode != 0


def test_every_file_that_a_container_is_given_is_there() -> None:
    volumes = site()["volumes"]
    for name, service in site()["services"].items():
        for source in mounted(service).values():
            known = source in volumes or (COMPOSE / source).exists()
            assert known, f"{name}: {source}"


def test_each_configuration_is_one_that_its_process_takes() -> None:
    cloud = load_config(CloudConfig, "cloud", COMPOSE / "cloud.toml", {}, {})
    edges = {
        name: load_config(EdgeConfig, "edge", COMPOSE / f"{name}.toml", {}, {})
        for name in ours()
        if name != "cloud"
    }
    assert cloud.bus.host in site()["services"]
    assert {edge.id for edge in edges.values()} == set(edges)
    assert {edge.bus.host for edge in edges.values()} == {cloud.bus.host}


@pytest.mark.parametrize("name", ["cloud", "e-1", "e-2"])
def test_a_container_runs_a_command_that_exists_with_a_file_it_is_given(name: str) -> None:
    service = ours()[name]
    *command, option, config = service["command"]
    assert option == "--config"
    assert mounted(service)[config] == f"./{name}.toml"
    done = subprocess.run([DITEN, *command, "--help"], capture_output=True, check=False, timeout=60)
    assert done.returncode == 0


def test_prometheus_looks_where_the_processes_listen() -> None:
    load = YAML(typ="safe").load
    asked = {
        target["labels"]["instance"]: target["targets"]
        for kind in ("cloud", "edges")
        for target in load(COMPOSE / f"targets/{kind}.yml")
    }
    for name, service in ours().items():
        inside = service["ports"][0].rpartition(":")[2]
        assert asked[name] == [f"{name}:{inside}"]
        assert f":{inside}/readyz" in service["healthcheck"]["test"][-1]


def test_the_image_is_made_of_what_there_is_and_all_of_it_is_let_in() -> None:
    text = (COMPOSE / "Dockerfile").read_text()
    let_in = (ROOT / ".dockerignore").read_text().splitlines()
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.MULTILINE)
        for source in line.split()[:-1]
    ]
    assert copied
    for source in copied:
        assert (ROOT / source).exists(), source
        assert f"!{source}" in let_in, source


def test_the_image_holds_every_package_of_the_product() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    packages = re.search(r"^packages = \[(.*)\]$", project, re.MULTILINE)
    assert packages is not None
    text = (COMPOSE / "Dockerfile").read_text()
    for package in re.findall(r'"(\w+)"', packages[1]):
        assert f"\nCOPY {package} {package}\n" in text
