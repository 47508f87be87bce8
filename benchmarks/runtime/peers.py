"""What diten is measured against: `python -m benchmarks.runtime.peers SPEC`.

    receive   aiomqtt at QoS 1 that does nothing with what it receives
    naive     the pipeline one writes first: aiomqtt, a pydantic model, one SQLite upsert
              per message, one metric label per device; acknowledged on arrival

The naive store runs in WAL mode with `synchronous=NORMAL`, so it does not sync a commit:
it is asked for less than the edge is.
"""

import asyncio
import json
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiomqtt
import prometheus_client
from pydantic import BaseModel

from benchmarks.runtime.traffic import EDGE
from twin_runtime.core import topics

Take = Callable[[aiomqtt.Message], None]

_CREATE = "CREATE TABLE IF NOT EXISTS twins (topic TEXT PRIMARY KEY, times INTEGER, value BLOB)"
_UPSERT = (
    "INSERT INTO twins VALUES (?, 1, ?)"
    " ON CONFLICT DO UPDATE SET times = times + 1, value = excluded.value"
)


class Report(BaseModel):
    seq: int
    observed_ms: int
    features: dict[str, float]
    description: dict[str, Any] | None = None


class Window(BaseModel):
    v: int
    epoch: int
    session: int
    reports: list[Report]


def receive(_: aiomqtt.Message) -> None:
    """Nothing is done."""


def naive(path: Path) -> Take:
    """A handler that merges, stores and counts each message by itself."""
    store = sqlite3.connect(path, isolation_level=None)
    store.execute("PRAGMA journal_mode = WAL")
    store.execute("PRAGMA synchronous = NORMAL")
    store.execute(_CREATE)
    received = prometheus_client.Counter("received", "Messages.", ["device", "kind"])
    twins: dict[str, dict[str, float]] = {}

    def take(message: aiomqtt.Message) -> None:
        topic = str(message.topic)
        assert isinstance(message.payload, bytes)
        window = Window.model_validate_json(message.payload)
        twin = twins.setdefault(topic, {})
        for report in window.reports:
            twin.update(report.features)
        store.execute(_UPSERT, (topic, json.dumps(twin)))
        received.labels(topic, "report").inc()

    return take


def stored(path: Path) -> int:
    """How many messages the naive pipeline has stored."""
    store = sqlite3.connect(path, isolation_level=None)
    try:
        return store.execute("SELECT coalesce(sum(times), 0) FROM twins").fetchone()[0] or 0
    finally:
        store.close()


async def run(spec: dict[str, Any]) -> None:
    """Subscribe, say so, take `count` messages, say so."""
    take = naive(Path(spec["store"])) if spec["store"] else receive
    client = aiomqtt.Client(
        spec["host"],
        spec["port"],
        identifier="peer",
        protocol=aiomqtt.ProtocolVersion.V311,
        clean_session=False,
    )
    async with client:
        await client.subscribe(topics.edge_filters(EDGE)[0], qos=1)
        print("ready", flush=True)
        taken = 0
        async for message in client.messages:
            take(message)
            taken += 1
            if taken == spec["count"]:
                break
    print("{}", flush=True)


def main() -> None:
    asyncio.run(run(json.loads(sys.argv[1])))


if __name__ == "__main__":
    main()
