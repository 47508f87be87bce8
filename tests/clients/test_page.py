"""The JavaScript of docs/clients.md does what the page says, as it stands."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.clients.node import ANSWERED_S, HERE, missing
from tests.clients.site import Site

pytestmark = [pytest.mark.system, pytest.mark.clients]

PAGE = Path(__file__).parents[2] / "docs/clients.md"
EXAMPLES = re.findall(r"^```js\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
# What each of them prints, in their order.
PRINTED = [
    r"room: 'north'(.|\n)*'diten:d-emulated-0000\d'",
    "^20[14]$",
    r"^\S+:\d+ \{(.|\n)*thingId: 'diten:d-emulated-0000\d'",
    r"^\d+\.\d+\n(.|\n)*twin: 'd-emulated-00001'",
]


@pytest.mark.parametrize(
    "example, printed", list(zip(EXAMPLES, PRINTED, strict=True)), ids=range(4)
)
def test_an_example_does_what_the_page_says(open_site: Site, example: str, printed: str) -> None:
    if why := missing():
        pytest.skip(why)
    assert "127.0.0.1:8420" in example
    command = ["node", "--input-type=module", "--eval"]
    ended = subprocess.run(
        [*command, example.replace("127.0.0.1:8420", open_site.cloud)],
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=ANSWERED_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2_000:]
    assert re.search(printed, ended.stdout, re.MULTILINE), ended.stdout
