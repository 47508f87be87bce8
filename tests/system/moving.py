"""Twins on the move between the edges of a rig: who asks for it, and when they are there."""

import json
import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx

from tests.system import history
from tests.system.rig import Rig, wait_for
from twin_runtime.adapters.sqlite_store import read_rows

ASK_PERIOD_S = 0.05  # 20 moves per second are asked for
ANSWERED_S = 2.0
SETTLED_S = 60.0  # an order that was not answered for long is repeated every 30 s


def ask(rig: Rig, twin: str, edge: str) -> bool:
    """Ask the cloud to move a twin; whether it said yes. It may be dead, or cut off, or say
    that the twin is on its way elsewhere: ask again."""
    try:
        answer = post(rig, "moves", {"twin": twin, "to": edge})
    except httpx.HTTPError:
        return False
    assert answer.status_code in {202, 409, 503}, answer.text
    return answer.status_code == httpx.codes.ACCEPTED


def call(rig: Rig, edge: str, state: str) -> None:
    """Say of an edge that it is `lost`, or drains, or serves again."""
    post(rig, f"edges/{edge}/{state}", {}).raise_for_status()


def api(rig: Rig) -> str:
    return f"http://127.0.0.1:{rig.cloud.settings['http']['port']}"


def post(rig: Rig, path: str, body: dict[str, str]) -> httpx.Response:
    # Certificates, of which there are none here, would be read for 20 ms each time.
    return httpx.post(f"{api(rig)}/api/v1/{path}", json=body, timeout=ANSWERED_S, verify=False)


class Moves:
    """Asks for random moves among `edges`, all the time."""

    def __init__(self, rig: Rig, edges: Sequence[str]) -> None:
        self.accepted = 0
        self._rig = rig
        self._edges = edges
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="moves", daemon=True)

    def begin(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join()

    def await_more(self, count: int) -> None:
        """Wait until so many more moves were accepted."""
        before = self.accepted
        wait_for(f"{count} more moves", lambda: self.accepted >= before + count)

    def _run(self) -> None:
        while not self._ended.wait(ASK_PERIOD_S):
            twin, edge = random.choice(self._rig.devices), random.choice(self._edges)
            self.accepted += ask(self._rig, twin, edge)


@contextmanager
def moving(rig: Rig, edges: Sequence[str] = ("e-1", "e-2")) -> Iterator[Moves]:
    """Twins move at random meanwhile."""
    moves = Moves(rig, edges)
    moves.begin()
    try:
        yield moves
    finally:
        moves.end()


def placements(rig: Rig) -> dict[str, dict[str, Any]]:
    """What the directory's disk says of each twin."""
    rows = read_rows(rig.cloud.folder / "cloud.sqlite", "placement")
    return {row.key: json.loads(row.value) for row in rows}


def holders(rig: Rig) -> dict[tuple[str, str], int]:
    """Who holds a twin, active or sealed, at which epoch."""
    return {
        (row.key, edge.name): json.loads(row.value)["epoch"]
        for edge in rig.edges
        for kind in ("twin", "sealed")
        for row in read_rows(edge.folder / "edge.sqlite", kind)
    }


def is_settled(rig: Rig, but: str = "") -> bool:
    """Whether each twin has one owner, the one of the directory, and nobody else has it;
    but what one edge has does not count."""
    placed = placements(rig)
    owners = {(twin, place["owner"]): place["epoch"] for twin, place in placed.items()}
    held = {(twin, edge): epoch for (twin, edge), epoch in holders(rig).items() if edge != but}
    phases = {place["phase"] for place in placed.values()}
    return phases == {"owned"} and owners == held and len(owners) == len(rig.devices)


def await_settled(rig: Rig, what: str = "all is well", but: str = "") -> None:
    wait_for(f"{what}: each twin has one owner", lambda: is_settled(rig, but), SETTLED_S)
    rig.await_progress()


def ended_well(rig: Rig) -> dict[str, int]:
    """End all, and hold what devices measured and were told against what the stores hold;
    return what the devices have counted."""
    await_settled(rig)
    counts = rig.drain()
    rig.await_newest()
    found = rig.stop()
    assert (found.lost, found.twice) == (0, 0), found.examples
    assert found.produced == found.applied == found.stable
    assert found.compared > 0
    assert history.not_as_measured(rig.edge_stores()) == []
    return counts
