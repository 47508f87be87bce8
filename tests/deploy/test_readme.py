"""What README.md tells a newcomer to type works on a fresh `diten up`, as it stands.

Only what no test can share is changed: the address, and that a watch is left after a while.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.an_up import Up, up

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(shutil.which("curl") is None, reason="clients need curl: apt install curl"),
]

README = Path(__file__).parents[2] / "README.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CLOUD = "http://127.0.0.1:8420"
WATCHED_S = 6
LEFT = 124  # what `timeout` ends with when the time is over
VERBS = ("ls", "get", "history", "patch", "move", "watch")


@pytest.fixture
def system(tmp_path: Path) -> Iterator[Up]:
    with up(tmp_path / "data", "--api-port", "0") as one:
        one.await_said("API")
        one.wait_for("the first core", lambda: "d-core-0" in reported(one))
        yield one


def reported(one: Up) -> set[str]:
    return {thing["thingId"].split(":")[1] for thing in one.things() if thing["features"]}


def commands() -> list[str]:
    """Those that are to be typed in another terminal."""
    (block,) = (each for each in BLOCK.findall(README.read_text()) if "diten twin ls" in each)
    return [line for line in block.splitlines() if line.split()[0] in {"diten", "curl"}]


def typed(one: Up, line: str) -> str:
    """What it says; whatever fails is a failed assertion."""
    api = one.await_said("API").split()[1].removesuffix("/api/2/things")
    is_watch = " watch " in line
    command = line.replace(CLOUD, api).replace("curl", "curl --fail-with-body -sS")
    done = subprocess.run(
        ["bash", "-c", f"timeout {WATCHED_S} {command}" if is_watch else command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "DITEN_API": api,
        },
    )
    assert done.returncode == (LEFT if is_watch else 0), f"{line}: {done.stderr}{done.stdout}"
    return done.stdout


def test_a_newcomer_sees_a_value_its_history_and_a_move_as_the_readme_says(system: Up) -> None:
    said = {line: typed(system, line) for line in commands()}

    def of(words: str) -> str:
        return next(text for line, text in said.items() if line.startswith(words))

    assert [line.split()[2] for line in said if line.startswith("diten twin")] == list(VERBS)
    assert "d-core-0" in of("diten twin ls")
    assert re.search(r"^cpu_load_ratio +\S+ .*good", of("diten twin get"), re.MULTILINE)
    assert "cpu_load_ratio" in of("diten twin history")
    assert "owned by e-1" in of("diten twin move")
    assert '"thingId":"diten:d-core-0"' in of("curl")
    assert re.search(r"rev \d|owned by", of("diten twin watch"))
