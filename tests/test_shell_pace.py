"""How often the shell commits when there is more to do than it can."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from itertools import pairwise
from pathlib import Path

from twin_runtime.adapters.process import SystemClock
from twin_runtime.adapters.sqlite_store import SqliteStore
from twin_runtime.adapters.tally import TallyRecorder
from twin_runtime.core.effects import Effects, Event, Message, Now, Row, Send, Stopping
from twin_runtime.core.limits import BATCH_EVENTS_MAX, COMMIT_LINGER_S
from twin_runtime.ports import Ports
from twin_runtime.shell import Inbox, run

BATCHES = 10


class Silence:
    """A bus on which nobody speaks."""

    async def publish(self, sends: Sequence[Send]) -> None: ...

    async def messages(self) -> AsyncGenerator[list[Event], None]:
        await asyncio.Event().wait()
        yield []


class Idle:
    """A machine that notes when it was called."""

    def __init__(self) -> None:
        self.called_s: list[float] = []

    def restore(self, rows: Iterable[Row], now: Now) -> Effects:
        return Effects()

    def handle(self, events: Sequence[Event], now: Now) -> Effects:
        self.called_s.append(now.monotonic_s)
        return Effects()


def test_a_full_batch_does_not_wait_for_more(tmp_path: Path) -> None:
    machine, inbox = Idle(), Inbox()
    store = SqliteStore(tmp_path / "store.sqlite", {})
    inbox.push([Message("a", b"")] * (BATCHES * BATCH_EVENTS_MAX) + [Stopping()])
    asyncio.run(run(machine, Ports(Silence(), store, SystemClock(), TallyRecorder()), inbox))
    store.close()
    full = machine.called_s[:BATCHES]
    pauses_s = [after - before for before, after in pairwise(full)]
    # The last full batch leaves the stop alone behind it, and that one lingers.
    assert min(pauses_s) < COMMIT_LINGER_S
