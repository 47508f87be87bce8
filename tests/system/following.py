"""A follower of changes that comes back, as a browser's EventSource does, until it is let go."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from tests.system.rig import Process

PAUSE_S = 0.1  # between two connections
PATIENCE_S = 20.0  # there is a comment each 15 s


class Follower:
    """What a reader of `/api/2/things` knows of all things, by what it was sent alone."""

    def __init__(self, process: Process) -> None:
        self.things: dict[str, Any] = {}
        self.connections = 0
        self.resyncs = 0
        self._url = f"http://127.0.0.1:{process.settings['http']['port']}/api/2/things"
        self._last_id = "0"  # one that never was: it begins with all things
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"follows {process.name}")

    def begin(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(PAUSE_S):
            try:
                self._follow()
            except httpx.TransportError:
                continue

    def _follow(self) -> None:
        headers = {"Accept": "text/event-stream", "Last-Event-ID": self._last_id}
        with httpx.stream(
            "GET", self._url, headers=headers, timeout=PATIENCE_S, verify=False
        ) as answer:
            assert answer.status_code == httpx.codes.OK, answer.status_code
            self.connections += 1
            event: dict[str, str] = {}
            for line in answer.iter_lines():
                if self._ended.is_set():
                    return
                name, _, value = line.partition(": ")
                if line:
                    event[name] = value
                else:
                    self._take(event)
                    event = {}

    def _take(self, event: dict[str, str]) -> None:
        self._last_id = event.get("id", self._last_id)
        match event.get("event"):
            case "resync":
                self.resyncs += 1
                self.things = {}  # what does not follow is gone
            case "gone":
                self.things.pop(json.loads(event["data"])["thingId"], None)
            case _ if "data" in event:
                thing = json.loads(event["data"])
                self.things[thing["thingId"]] = thing


@contextmanager
def following(*processes: Process) -> Iterator[list[Follower]]:
    """A follower of each of these."""
    followers = [Follower(process) for process in processes]
    for follower in followers:
        follower.begin()
    try:
        yield followers
    finally:
        for follower in followers:
            follower.end()


def newest(process: Process) -> dict[str, Any]:
    """All things as a reader who asks now is answered."""
    url = f"http://127.0.0.1:{process.settings['http']['port']}/api/2/things"
    found = httpx.get(url, params={"limit": 100}, timeout=5, verify=False).json()
    return {thing["thingId"]: thing for thing in found}


def settled(process: Process, within_s: float = 30.0) -> dict[str, Any]:
    """All things, once nothing changes any more."""
    deadline_s = time.monotonic() + within_s
    before: dict[str, Any] = {}
    now = newest(process)
    while now != before:
        assert time.monotonic() < deadline_s, f"{process.name} still changes"
        time.sleep(1.5)  # what is published waits a second at most
        before, now = now, newest(process)
    return now
