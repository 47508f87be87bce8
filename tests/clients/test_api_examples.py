"""The examples of docs/api.md answer as they are printed, on a running site."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.clients.site import Site
from tests.system.rig import wait_for

pytestmark = [
    pytest.mark.system,
    pytest.mark.clients,
    pytest.mark.skipif(shutil.which("curl") is None, reason="clients need curl: apt install curl"),
]

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
SHELL = re.compile(r"```sh\n(.*?)```", re.DOTALL)


def printed() -> list[str]:
    """Each command of the page that curl ends by itself."""
    lines = "".join(SHELL.findall(PAGE.read_text())).replace("\\\n", "").splitlines()
    return [line for line in lines if line.startswith("curl") and " -N " not in line]


def here(command: str, site: Site) -> str:
    """The command for a device, a feature and a port that are there."""
    there = {"127.0.0.1:8420": site.cloud, "d-core-0": site.rig.devices[0]}
    there |= {"*core*": "*emulated*", "cpu_load_ratio": "temperature_c"}
    for name, ours in there.items():
        command = command.replace(name, ours)
    return command


def status_of(command: str) -> str:
    ended = subprocess.run(
        ["bash", "-c", f"{command} --silent --output /dev/null --write-out '%{{http_code}}'"],
        capture_output=True,
        text=True,
        timeout=20.0,
        check=False,
    )
    return ended.stdout


def test_there_are_as_many_examples_as_a_reader_finds() -> None:
    assert len(printed()) >= 10


@pytest.mark.parametrize("command", printed())
def test_an_example_of_the_page_is_answered(open_site: Site, command: str) -> None:
    asked = here(command, open_site)
    assert open_site.cloud in asked, "only the cloud's port is the same on every machine"
    # A device may yet have to come, and the past to begin.
    wait_for(asked, lambda: status_of(asked).startswith("2"))
