"""More than an edge can take, for a while: it stays within its bounds, and recovers."""

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import psutil
import pytest

from tests.system.rig import Process, Rig, metric, running, started
from tests.system.witness import PREFIX, await_connected, close, connect
from twin_runtime.core.limits import (
    AHEAD_BYTES_MAX,
    BATCH_EVENTS_MAX,
    INBOX_BYTES_MAX,
    INBOX_EVENTS_MAX,
    OUTGOING_BYTES_MAX,
)

pytestmark = pytest.mark.system

FLOOD_S = 12.0
AT_NIGHT_S = 60.0
BURST_MESSAGES = 4_000  # on their way at one time
SENT_S = 60.0
MESSAGE_BYTES = 1_000
EVENT_BYTES = 400  # a message's tuple, its topic and its bytes object, beside what is in it
# What waits at the bus, and as much that the machine was given at once when it had taken nearly
# all before; what is being worked on, and what is to be sent; and a fifth for the allocator.
PUBLISHED_BYTES = 1.2 * (
    2 * (INBOX_BYTES_MAX + INBOX_EVENTS_MAX * EVENT_BYTES)
    + AHEAD_BYTES_MAX
    + BATCH_EVENTS_MAX * (MESSAGE_BYTES + 2 * EVENT_BYTES)
    + OUTGOING_BYTES_MAX
)
# A stopped edge reads nothing either: what waits grows while its disk keeps it from working.
COMMIT_S = 1.0
STOPPED_S, RUNNING_S = 0.4, 0.1


def test_g7_a_flood_is_survived_within_the_published_memory_and_nothing_real_is_lost(
    tmp_path: Path,
) -> None:
    with running(tmp_path, devices=8, period_s=0.5, edges=1) as rig:
        flooded = withstands(rig, FLOOD_S)
        rig.await_progress()
        edge = rig.edges[0]
        heard = metric(edge, "diten_fenced_total") + metric(edge, "diten_inbox_drops_total")
        nothing_is_lost(rig)
    assert heard > flooded / 2, "the broker lost the flood: the edge never saw it"


@pytest.mark.nightly
@pytest.mark.timeout(400)
def test_g7_a_minute_of_it_is_survived_by_an_edge_that_hardly_runs_and_has_a_slow_disk(
    tmp_path: Path,
) -> None:
    rig = Rig(tmp_path, devices=8, period_s=0.5, edges=1)
    edge = rig.edges[0]
    edge.runs_in = ("tests.system.slow_disk", str(COMMIT_S))
    with started(rig):
        with hardly_running(edge):
            withstands(rig, AT_NIGHT_S)
        rig.await_progress()
        assert metric(edge, "diten_inbox_drops_total") > INBOX_EVENTS_MAX
        nothing_is_lost(rig)


def withstands(rig: Rig, flood_s: float) -> int:
    """Flood the edge, which stays within its bounds: with so many messages."""
    pid = rig.edges[0].pid
    assert pid is not None
    size_bytes = psutil.Process(pid).memory_info().rss
    flooded, largest_bytes = flood(rig, pid, flood_s)
    assert largest_bytes - size_bytes < PUBLISHED_BYTES
    return flooded


def nothing_is_lost(rig: Rig) -> None:
    rig.drain()
    found = rig.stop()
    assert (found.lost, found.twice) == (0, 0), found.examples
    assert found.applied == found.produced


def flood(rig: Rig, pid: int, flood_s: float) -> tuple[int, int]:
    """Say as much as the broker takes, in the name of a device: how many messages, and how
    large the edge became meanwhile, in bytes."""
    row = {"seq": 1, "observed_ms": 1, "features": {}}
    window = {"v": 1, "epoch": 2**40, "session": 1, "reports": [row], "": "x" * MESSAGE_BYTES}
    topic, payload = f"{PREFIX}up/e-1/{rig.devices[0]}/report", json.dumps(window)
    client = connect(rig.broker.port, [f"{PREFIX}status/cloud"], lambda _: None)
    await_connected(client)
    said, largest_bytes = 0, 0
    until_s = time.monotonic() + flood_s
    while time.monotonic() < until_s:
        burst = [client.publish(topic, payload) for _ in range(BURST_MESSAGES)]
        burst[-1].wait_for_publish(SENT_S)
        said += len(burst)
        largest_bytes = max(largest_bytes, psutil.Process(pid).memory_info().rss)
    close(client)
    return said, largest_bytes


@contextmanager
def hardly_running(process: Process) -> Iterator[None]:
    """Stop it most of the time."""
    ended = Event()

    def interrupt() -> None:
        while not ended.is_set():
            process.send_signal(signal.SIGSTOP)
            ended.wait(STOPPED_S)
            process.send_signal(signal.SIGCONT)
            ended.wait(RUNNING_S)

    thread = Thread(target=interrupt, name="interrupting")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
