"""curl, which knows nothing of event streams, goes on where it stopped."""

import json
import re
import shutil
import subprocess
from typing import Any

import pytest

from tests.clients.site import Site

pytestmark = [
    pytest.mark.system,
    pytest.mark.clients,
    pytest.mark.skipif(shutil.which("curl") is None, reason="clients need curl: apt install curl"),
]

LISTENED_S = 8  # two devices that report twice a second are heard in it on the worst machine
EVENT = re.compile(r"^id: (\S+)\ndata: (.+)$", re.MULTILINE)
TIMED_OUT = 28  # what curl ends with when its time is over


def heard(url: str, *options: str) -> list[tuple[str, dict[str, Any]]]:
    """Each event's id and thing, until the time is over."""
    accept = ("--header", "Accept: text/event-stream")
    command = ["curl", "-sN", "--max-time", str(LISTENED_S), *accept, *options, url]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == TIMED_OUT, ended.stdout + ended.stderr
    return [(event, json.loads(data)) for event, data in EVENT.findall(ended.stdout)]


def test_a_stream_goes_on_after_the_last_event_id(site: Site) -> None:
    twin = site.rig.devices[7]
    url = f"http://{site.at(site.owner(twin))}/api/2/things?ids={twin}&fields=_revision"
    first = heard(url)
    assert len(first) >= 2, first
    last, _ = first[0]
    again = heard(url, "--header", f"Last-Event-ID: {last}")
    # All that followed the first event, once each, in order, and then what came since.
    assert again[: len(first) - 1] == first[1:]
    revisions = [thing["_revision"] for _, thing in again]
    assert revisions == sorted(set(revisions))
