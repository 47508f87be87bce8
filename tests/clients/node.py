"""JavaScript clients, as npm has them, each asked for one thing in a process of its own."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ANSWERED_S = 60.0  # noisy machines: an idle one needs one second, most of it to load modules

# What is said about whatever the promise `asked` becomes; a client may keep connections open.
_ANSWER = """\
const said = (answer) => process.stdout.write(JSON.stringify(answer ?? null), () => process.exit());
const within = (milliseconds, promise) => Promise.race([
  promise,
  new Promise((_, fail) => setTimeout(() => fail(new Error('nothing came')), milliseconds)),
]);
(async () => {
%s
})().then(
  (found) => said({ found: found ?? null }),
  (error) => said({ failed: { status: error.status, body: error.body, said: String(error) } }),
);
"""


def missing(folder: Path = HERE) -> str:
    """What to do before clients of `folder` can run; empty: nothing."""
    if shutil.which("node") is None or not (folder / "node_modules").is_dir():
        return "clients are not installed: run scripts/clients"
    return ""


def found(body: str) -> Any:
    """What the JavaScript `body` returns."""
    answer = _asked(body)
    assert "found" in answer, f"the client failed: {answer}"
    return answer["found"]


def failed(body: str) -> dict[str, Any]:
    """`status`, `body` and the words of the error that `body` throws."""
    answer = _asked(body)
    assert "failed" in answer, f"the client found {answer}"
    error: dict[str, Any] = answer["failed"]
    return error


def _asked(body: str) -> dict[str, Any]:
    if why := missing():
        pytest.skip(why)
    command = ["node", "--eval", _ANSWER % body]
    ended = subprocess.run(
        command, cwd=HERE, capture_output=True, text=True, timeout=ANSWERED_S, check=False
    )
    assert ended.stdout, f"node said nothing, and on stderr: {ended.stderr[-2_000:]}"
    answer: dict[str, Any] = json.loads(ended.stdout)
    return answer
