"""What README.md and docs/api.md tell a newcomer to type works on a fresh `diten up`.

Only what no test can share is changed: addresses, where they end, and that a stream or a watch
is left after some seconds.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.deploy.an_up import Up, up

pytestmark = [
    pytest.mark.system,
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.skipif(shutil.which("curl") is None, reason="clients need curl: apt install curl"),
]

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PORTS = {"127.0.0.1:8420": "cloud", "127.0.0.1:8421": "e-1", "127.0.0.1:8422": "e-2"}
WATCHED_S = 6
LEFT = (28, 124)  # what curl and timeout end with when their time is over
# Whose answer depends on what was measured, or how long ago.
EITHER = {"condition=": {200, 412}, "at-historical-": {200, 404}}


@dataclass(frozen=True, slots=True)
class Typed:
    """One command as a page has it, what it said, and what curl was answered."""

    line: str
    said: str
    code: int
    status: int

    @property
    def wanted(self) -> set[int]:
        found = (wanted for word, wanted in EITHER.items() if word in self.line)
        return next(found, {200, 201, 204})


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("fresh") / "data"
    with up(folder, "--api-port", "0") as one:
        one.await_said("API")
        one.wait_for("the first core", lambda: bool(core(one)))
        yield one


def core(one: Up) -> dict[str, object]:
    named = {thing["thingId"].split(":")[1]: thing["features"] for thing in one.things()}
    features: dict[str, object] = named.get("d-core-0", {})
    return features


def commands(page: str, containing: str = "") -> list[str]:
    """The commands of all blocks of a page, or of the one that contains this."""
    blocks = BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
    text = "".join(block for block in blocks if containing in block)
    lines = text.replace("\\\n", " ").splitlines()
    return [line for line in lines if line.split()[0] in {"diten", "curl"}]


def typed(one: Up, line: str) -> Typed:
    address = {}
    for known, role in PORTS.items():
        shown = next(each for each in one.said().splitlines() if each.split()[0] == role)
        address[known] = shown.split()[1].removeprefix("http://")
    own = re.sub("|".join(map(re.escape, address)), lambda found: address[found[0]], line)
    is_stream = "event-stream" in line or " watch " in line
    if line.startswith("curl"):
        limit = f" --max-time {WATCHED_S}" if is_stream else ""
        own = own.replace("curl", f"curl -sS{limit} -w '\\n%{{http_code}}'", 1)
    elif is_stream:
        own = f"timeout {WATCHED_S} {own}"
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", own],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PATH": path, "DITEN_API": f"http://{address['127.0.0.1:8420']}"},
    )
    assert done.returncode in (LEFT if is_stream else (0,)), f"{line}: {done.stderr}{done.stdout}"
    said, _, status = done.stdout.rpartition("\n")
    if line.startswith("curl"):
        return Typed(line, said, done.returncode, int(status))
    return Typed(line, done.stdout, done.returncode, 200)


def test_a_newcomer_sees_a_value_its_history_and_a_move_as_the_readme_says(system: Up) -> None:
    said = {each.line: each for each in (typed(system, line) for line in newcomers())}
    wrong = {line: each.status for line, each in said.items() if each.status not in each.wanted}
    assert wrong == {}

    def of(verb: str) -> str:
        return next(each.said for line, each in said.items() if verb in line)

    assert "d-core-0" in of("twin ls")
    assert re.search(r"^cpu_load_ratio +\S+ .*good", of("twin get"), re.MULTILINE)
    assert "cpu_load_ratio" in of("twin history")
    assert "owned by e-1" in of("twin move")
    assert '"thingId":"diten:d-core-0"' in of("curl")
    assert re.search(r"rev \d|owned by", of("twin watch"))


def newcomers() -> list[str]:
    found = commands("README.md", containing="diten twin ls")
    verbs = [" ".join(line.split()[1:3]) for line in found if line.startswith("diten")]
    assert verbs == [f"twin {verb}" for verb in ("ls", "get", "history", "patch", "move", "watch")]
    return found


def test_the_examples_of_the_api_are_answered_as_they_stand(system: Up) -> None:
    found = commands("docs/api.md")
    assert len(found) > 10
    for each in (typed(system, line) for line in found):
        assert each.status in each.wanted, (each.line, each.status, each.said[:500])
        if "event-stream" in each.line:
            assert "\ndata: {" in each.said, each.line
