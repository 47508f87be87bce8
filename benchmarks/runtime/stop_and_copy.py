"""`python -m benchmarks.runtime.stop_and_copy --config FILE`: an edge, or the cloud, of a system
that copies blobs while a twin is paused, to compare with one that copies them ahead.

They are `edge_node` and `cloud` but for this: the cloud seals a twin whatever it refers to,
and an edge takes up an `activate` only when all blobs of the twin are there.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

from cloud import __main__ as cloud_process
from cloud.blobs import Precopy
from edge_node import __main__ as edge_process
from edge_node.machine import EdgeMachine
from twin_runtime.core import messages, orders, topics
from twin_runtime.core.effects import (
    BlobComplete,
    BlobFailed,
    Effects,
    Event,
    FetchBlob,
    Message,
    Now,
)
from twin_runtime.core.ids import CLOUD
from twin_runtime.core.orders import Activate


class PatientEdge(EdgeMachine):
    """An `EdgeMachine` that hears of an activation when the twin's blobs are here."""

    def __init__(self, edge: str, *about: Any) -> None:
        super().__init__(edge, *about)
        self._order = topics.order(edge)
        self._held: dict[str, Message] = {}
        self._lacking: dict[str, set[str]] = {}

    def handle(self, events: Sequence[Event], now: Now) -> Effects:
        fetches: list[FetchBlob] = []
        passed = [each for event in events for each in self._let_pass(event, fetches)]
        fx = super().handle(passed, now)
        fx.fetches += fetches
        return fx

    def _let_pass(self, event: Event, fetches: list[FetchBlob]) -> Iterator[Event]:
        if isinstance(event, BlobComplete | BlobFailed):
            yield event
            yield from self._arrived(event.sha256)
        elif not isinstance(event, Message) or event.topic != self._order:
            yield event
        else:
            order = messages.parse(orders.ORDER, event.payload)
            if isinstance(order, Activate) and order.snapshot and order.snapshot.blobs:
                fetches += self._hold(order, event)
            else:
                yield event

    def _hold(self, order: Activate, message: Message) -> list[FetchBlob]:
        assert order.snapshot is not None, "it refers to blobs"
        refs = order.snapshot.blobs.values()
        sources = tuple(each for each in (order.source, CLOUD) if each)
        self._held[order.twin] = message
        self._lacking[order.twin] = {ref.sha256 for ref in refs}
        return [FetchBlob(ref.sha256, ref.bytes, sources) for ref in refs]

    def _arrived(self, sha256: str) -> Iterator[Message]:
        """A blob is here, or will not come: whoever lacks nothing more is let in."""
        for twin, lacking in list(self._lacking.items()):
            lacking.discard(sha256)
            if not lacking:
                del self._lacking[twin]
                yield self._held.pop(twin)


def _never(*_: object) -> bool:
    return False


def main() -> None:
    config = Path(sys.argv[-1])
    if config.parent.name == CLOUD:
        with patch.object(Precopy, "begins", _never):
            sys.exit(cloud_process.start(config))
    with patch.object(edge_process, "EdgeMachine", PatientEdge):
        sys.exit(edge_process.start(config))


if __name__ == "__main__":
    main()
