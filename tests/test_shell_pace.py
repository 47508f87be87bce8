"""How often the shell commits when there is more to do than it can."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from twin_runtime.adapters.process import SystemClock
from twin_runtime.adapters.sqlite_store import SqliteStore
from twin_runtime.adapters.tally import TallyRecorder
from twin_runtime.core import topics
from twin_runtime.core.effects import Effects, Event, Message, Now, Row, Send, Stopping
from twin_runtime.core.limits import BATCH_EVENTS_MAX, COMMIT_LINGER_S
from twin_runtime.ports import Ports
from twin_runtime.shell import Inbox, run
from twin_runtime.testing.virtual_loop import VirtualLoop

BATCHES = 10
REPORT = Message(topics.report("e-1", "d-1"), b"")


class Silence:
    """A bus on which nobody speaks."""

    async def publish(self, sends: Sequence[Send]) -> None: ...

    async def messages(self) -> AsyncGenerator[list[Event], None]:
        await asyncio.Event().wait()
        yield []


class Idle:
    """A machine that notes when it was called, and may be in a `hurry`."""

    def __init__(self, *, hurry: bool = False) -> None:
        self.called_s: list[float] = []
        self._hurry = hurry

    def restore(self, rows: Iterable[Row], now: Now) -> Effects:
        return Effects()

    def handle(self, events: Sequence[Event], now: Now) -> Effects:
        self.called_s.append(now.monotonic_s)
        return Effects(hurry=self._hurry)


class LoopClock:
    """The time of the loop, which is virtual."""

    def now(self) -> Now:
        return Now(asyncio.get_running_loop().time(), 0)


async def inline(work: Callable[[], None]) -> None:
    work()


def called_ms(store: SqliteStore, *pushes: tuple[float, Event], hurry: bool = False) -> list[float]:
    """When the machine is called, if these events come at these times (ms)."""
    machine, inbox = Idle(hurry=hurry), Inbox()

    async def body() -> None:
        ports = Ports(Silence(), store, LoopClock(), TallyRecorder())
        shell = asyncio.create_task(run(machine, ports, inbox, inline))
        for at_ms, event in (*pushes, (1_000.0, Stopping())):
            await asyncio.sleep(at_ms / 1000 - asyncio.get_running_loop().time())
            inbox.push([event])
        await shell

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(body())
    return [round(1000 * called_s, 3) for called_s in machine.called_s[:-1]]


def test_a_report_lingers_for_others_after_a_commit(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "store.sqlite", {})) as store:
        linger_ms = 1000 * COMMIT_LINGER_S
        assert called_ms(store, (100, REPORT), (101, REPORT), (102, REPORT)) == [
            100,
            100 + linger_ms,
        ]


@pytest.mark.parametrize(
    "topic", [topics.order("e-1"), topics.event("e-1"), topics.assign("d-1")], ids=str
)
def test_what_a_paused_twin_waits_for_lingers_for_nobody(topic: str, tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "store.sqlite", {})) as store:
        pressing = Message(topic, b"")
        calls_ms = called_ms(store, (100, REPORT), (101, REPORT), (102, pressing), (103, REPORT))
        assert calls_ms == [100, 102, 102 + 1000 * COMMIT_LINGER_S]


def test_a_machine_in_a_hurry_has_nothing_linger(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "store.sqlite", {})) as store:
        assert called_ms(store, (100, REPORT), (101, REPORT), hurry=True) == [100, 101]


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
