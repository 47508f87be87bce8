"""More than an edge can take, for a while: it stays within its bounds, and recovers."""

import json
import time
from pathlib import Path

import psutil
import pytest

from tests.system.rig import Rig, metric, running
from tests.system.witness import PREFIX, close, connect
from twin_runtime.core.limits import (
    BATCH_EVENTS_MAX,
    INBOX_BYTES_MAX,
    INBOX_EVENTS_MAX,
    OUTGOING_BYTES_MAX,
)

pytestmark = pytest.mark.system

FLOOD_S = 12.0
BURST_MESSAGES = 4_000  # on their way at one time
SENT_S = 60.0
MESSAGE_BYTES = 1_000
EVENT_BYTES = 400  # a message's tuple, its topic and its bytes object, beside what is in it
# What waits, what is being worked on, and what is to be sent; and a fifth for the allocator.
PUBLISHED_BYTES = 1.2 * (
    INBOX_BYTES_MAX
    + (INBOX_EVENTS_MAX + BATCH_EVENTS_MAX) * EVENT_BYTES
    + BATCH_EVENTS_MAX * MESSAGE_BYTES
    + OUTGOING_BYTES_MAX
)


def test_g7_a_flood_is_survived_within_the_published_memory_and_nothing_real_is_lost(
    tmp_path: Path,
) -> None:
    with running(tmp_path, devices=8, period_s=0.5, edges=1) as rig:
        edge = rig.edges[0]
        assert edge.pid is not None
        size_bytes = psutil.Process(edge.pid).memory_info().rss
        flooded, largest_bytes = flood(rig, edge.pid)
        rig.await_progress()
        heard = metric(edge, "diten_fenced_total") + metric(edge, "diten_inbox_drops_total")
        rig.drain()
        found = rig.stop()
    assert largest_bytes - size_bytes < PUBLISHED_BYTES
    assert heard > flooded / 2, "the broker lost the flood: the edge never saw it"
    assert (found.lost, found.twice) == (0, 0), found.examples
    assert found.applied == found.produced


def flood(rig: Rig, pid: int) -> tuple[int, int]:
    """Say as much as the broker takes, in the name of a device: how many messages, and how
    large the edge became meanwhile, in bytes."""
    row = {"seq": 1, "observed_ms": 1, "features": {}}
    window = {"v": 1, "epoch": 2**40, "session": 1, "reports": [row], "": "x" * MESSAGE_BYTES}
    topic, payload = f"{PREFIX}up/e-1/{rig.devices[0]}/report", json.dumps(window)
    client = connect(rig.broker.port, [f"{PREFIX}status/cloud"], lambda _: None)
    said, largest_bytes = 0, 0
    until_s = time.monotonic() + FLOOD_S
    while time.monotonic() < until_s:
        burst = [client.publish(topic, payload) for _ in range(BURST_MESSAGES)]
        burst[-1].wait_for_publish(SENT_S)
        said += len(burst)
        largest_bytes = max(largest_bytes, psutil.Process(pid).memory_info().rss)
    close(client)
    return said, largest_bytes
