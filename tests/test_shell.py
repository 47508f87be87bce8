"""The shell: commit first, then everything else; and nothing at all of what was not committed."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from twin_runtime.core.effects import (
    Act,
    Connected,
    Effects,
    Event,
    Machine,
    Message,
    Note,
    Now,
    Put,
    Row,
    Sample,
    Send,
    Stopping,
    Write,
)
from twin_runtime.core.errors import StoreFull
from twin_runtime.core.ids import StoreId
from twin_runtime.core.limits import BATCH_EVENTS_MAX, COMMIT_LINGER_S, STORE_RETRY_FIRST_S
from twin_runtime.ports import LogEntry, Ports
from twin_runtime.shell import Inbox, Stopped, _pump, in_thread, run

WAIT_S = 5.0  # for what takes milliseconds
POLLS_MAX = 5_000


class Clock:
    def now(self) -> Now:
        return Now(time.monotonic(), 0)


class Memory:
    """A store, a bus and a recorder that write one diary, in order of what happened."""

    store_id = StoreId("s-1")

    def __init__(self) -> None:
        self.diary: list[str] = []
        self.rows = [Row("kind", "key", b"stored")]
        self.failures: list[Exception] = []
        self.arriving: list[list[Event]] = []
        self.closed = False
        self.commit_threads: set[int] = set()

    def load(self) -> Iterator[Row]:
        yield from self.rows

    def commit(self, writes: Sequence[Write]) -> None:
        self.commit_threads.add(threading.get_ident())
        if self.failures:
            self.diary.append("commit failed")
            raise self.failures.pop(0)
        self.diary.append("commit " + " ".join(write.key for write in writes))

    def scan(self, log: str, key: str, after: int = -1, limit: int = 1000) -> list[LogEntry]:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    async def publish(self, sends: Sequence[Send]) -> None:
        self.diary.append("publish " + " ".join(send.topic for send in sends))

    async def messages(self) -> AsyncGenerator[list[Event], None]:
        try:
            for events in self.arriving:
                yield events
            await asyncio.Event().wait()
        finally:
            self.closed = True

    def record(
        self,
        counts: Mapping[tuple[str, str], int],
        observed: Sequence[tuple[str, float]],
        notes: Sequence[Note],
    ) -> None:
        self.diary += [f"{note.level}: {note.text}" for note in notes]
        self.diary += [f"count {name}" for name, _ in counts]

    def act(self, act: Act) -> None:
        self.diary.append(f"act {act.path}")


class Echo:
    """A machine that writes, sends and shows the topic of each message; it keeps its batches."""

    def __init__(self, answers: Callable[[Sequence[Event]], Effects] | None = None) -> None:
        self.restored: list[Row] = []
        self.batches: list[list[Event]] = []
        self.called_s: list[float] = []
        self._answers = answers or echoed

    def restore(self, rows: Iterable[Row], now: Now) -> Effects:
        self.restored = list(rows)
        return Effects()

    def handle(self, events: Sequence[Event], now: Now) -> Effects:
        self.batches.append(list(events))
        self.called_s.append(now.monotonic_s)
        return self._answers(events)


def echoed(events: Sequence[Event]) -> Effects:
    fx = Effects()
    for event in events:
        if isinstance(event, Message):
            fx.writes.append(Put("kind", event.topic, event.payload))
            fx.sends.append(Send(event.topic, event.payload))
            fx.shown.append((event.topic, event.payload or None))
            fx.acts.append(Act("d-1", event.topic, 1, None))
            fx.count("echoes_total")
    return fx


def message(topic: str, payload: bytes = b"x") -> Message:
    return Message(topic, payload)


def ports_of(memory: Memory) -> Ports:
    return Ports(memory, memory, Clock(), memory, act=memory.act)


def run_shell(machine: Machine, memory: Memory, *events: Event) -> Ports:
    """Run until everything was handled: the last event is a stop."""
    ports = ports_of(memory)

    async def body() -> None:
        inbox = Inbox()
        inbox.push([*events, Stopping()])
        async with asyncio.timeout(WAIT_S):
            await run(machine, ports, inbox)

    asyncio.run(body())
    return ports


async def until(condition: Callable[[], object]) -> None:
    for _ in range(POLLS_MAX):
        if condition():
            return
        await asyncio.sleep(0.001)
    pytest.fail("it never came true")


# --- order ---------------------------------------------------------------------------------


def test_g8_nothing_is_sent_done_or_counted_before_its_commit() -> None:
    memory = Memory()
    run_shell(Echo(), memory, message("a"), message("b"))
    assert memory.diary == [
        "commit a b",
        "publish a b",
        "act a",
        "act b",
        "count echoes_total",
    ]


def test_g8_what_readers_see_is_committed() -> None:
    memory = Memory()
    seen: list[dict[str, Any]] = []
    ports = ports_of(memory)

    async def commit_slowly(work: Callable[[], None]) -> None:
        await asyncio.sleep(0.01)
        seen.append(dict(ports.view))
        work()

    async def body() -> None:
        inbox = Inbox()
        inbox.push([message("a"), message("gone"), message("gone", b""), Stopping()])
        await run(Echo(), ports, inbox, commit_slowly)

    asyncio.run(body())
    assert seen == [{}]
    assert ports.view == {"a": b"x"}


def test_effects_without_writes_need_no_commit() -> None:
    memory = Memory()
    run_shell(Echo(lambda events: Effects(sends=[Send("hello", b"")])), memory)
    assert memory.diary == ["publish hello"]


def test_the_machine_is_restored_from_the_stored_rows_and_what_that_says_is_settled() -> None:
    memory = Memory()

    class Rising(Echo):
        def restore(self, rows: Iterable[Row], now: Now) -> Effects:
            super().restore(rows, now)
            return Effects(writes=[Put("kind", "risen", b"")], sends=[Send("risen", b"")])

    machine = Rising()
    run_shell(machine, memory)
    assert machine.restored == memory.rows
    assert memory.diary[:2] == ["commit risen", "publish risen"]


def test_commits_run_beside_the_event_loop() -> None:
    memory = Memory()
    run_shell(Echo(), memory, message("a"))
    assert threading.get_ident() not in memory.commit_threads


def test_work_in_a_thread_raises_what_it_raised() -> None:
    def fail() -> None:
        raise StoreFull("full")

    with pytest.raises(StoreFull):
        asyncio.run(in_thread(fail))


# --- failures ---------------------------------------------------------------------------------


def test_g8_a_commit_that_fails_sends_nothing_and_ends_the_run() -> None:
    memory = Memory()
    memory.failures = [OSError("bad disk")]
    with pytest.RaisesGroup(pytest.RaisesExc(OSError, match="bad disk")):
        run_shell(Echo(), memory, message("a"))
    assert memory.diary == ["commit failed"]
    assert memory.closed


def test_g8_a_full_disk_is_not_ready_and_the_same_commit_is_tried_again() -> None:
    memory = Memory()
    memory.failures = [StoreFull("no room"), StoreFull("no room")]
    ports = ports_of(memory)
    reasons: list[tuple[bool, str]] = []
    waited_s: list[float] = []

    async def commit(work: Callable[[], None]) -> None:
        reasons.append((ports.health.ready, ports.health.reason))
        waited_s.append(time.monotonic())
        work()
        inboxes[0].push([Stopping()])  # once there was room

    inboxes: list[Inbox] = []

    async def body() -> None:
        inboxes.append(Inbox())
        inboxes[0].push([message("a")])
        async with asyncio.timeout(WAIT_S):
            await run(Echo(), ports, inboxes[0], commit)

    asyncio.run(body())
    assert reasons == [(True, ""), (False, "no room"), (False, "no room")]
    assert waited_s[1] - waited_s[0] >= STORE_RETRY_FIRST_S
    assert waited_s[2] - waited_s[1] >= 2 * STORE_RETRY_FIRST_S
    assert memory.diary == [
        "commit failed",
        "error: no room; nothing is acknowledged until there is room",
        "count store_full_total",
        "commit failed",
        "commit a",
        "info: the store has room again",
        "publish a",
        "act a",
        "count echoes_total",
    ]
    assert ports.health.ready


def test_g8_a_disk_that_is_full_at_the_start_is_told_too() -> None:
    memory = Memory()
    memory.failures = [StoreFull("no room")]

    class Rising(Echo):
        def restore(self, rows: Iterable[Row], now: Now) -> Effects:
            return Effects(writes=[Put("kind", "risen", b"")])

    async def body() -> None:
        inbox = Inbox()
        asyncio.get_running_loop().call_later(2 * STORE_RETRY_FIRST_S, inbox.push, [Stopping()])
        async with asyncio.timeout(WAIT_S):
            await run(Rising(), ports_of(memory), inbox)

    asyncio.run(body())
    assert "count store_full_total" in memory.diary
    assert "info: the store has room again" in memory.diary


def test_a_stop_is_heeded_while_the_disk_is_full() -> None:
    memory = Memory()
    memory.failures = [StoreFull("no room")] * 1_000

    async def body() -> None:
        inbox = Inbox()
        inbox.push([message("a")])
        asyncio.get_running_loop().call_later(2 * STORE_RETRY_FIRST_S, inbox.push, [Stopping()])
        async with asyncio.timeout(WAIT_S):
            await run(Echo(), ports_of(memory), inbox)

    with pytest.RaisesGroup(StoreFull):
        asyncio.run(body())
    assert not [line for line in memory.diary if line.startswith("publish")]


def test_a_machine_that_asks_for_the_end_gets_it_after_its_last_effects() -> None:
    memory = Memory()
    fx = Effects(sends=[Send("goodbye", b"")], stop="two agents have one id")
    with pytest.RaisesGroup(pytest.RaisesExc(Stopped, match="two agents")):
        run_shell(Echo(lambda events: fx), memory, message("a"))
    assert memory.diary == ["publish goodbye"]


def test_cancelling_the_shell_has_no_effects() -> None:
    memory = Memory()
    machine = Echo()

    async def body() -> None:
        shell = asyncio.create_task(run(machine, ports_of(memory), Inbox()))
        await until(lambda: machine.restored)
        shell.cancel()
        with pytest.raises(asyncio.CancelledError):
            await shell

    asyncio.run(body())
    assert (memory.diary, machine.batches) == ([], [])
    assert memory.closed


# --- events -----------------------------------------------------------------------------------


def test_what_the_bus_brings_reaches_the_machine_and_the_bus_is_closed_at_the_end() -> None:
    memory, machine, inbox = Memory(), Echo(), Inbox()
    memory.arriving = [[Connected()], [message("a"), message("b")]]

    async def body() -> None:
        shell = asyncio.create_task(run(machine, ports_of(memory), inbox))
        await until(lambda: sum(map(len, machine.batches)) == 3)
        inbox.push([Stopping()])
        await shell

    asyncio.run(body())
    heard = [event for batch in machine.batches for event in batch]
    assert heard == [Connected(), message("a"), message("b"), Stopping()]
    assert memory.closed


def test_a_stop_is_the_last_event_a_machine_hears() -> None:
    memory, machine = Memory(), Echo()
    run_shell(machine, memory, message("a"), Stopping(), message("late"))
    assert machine.batches == [[message("a"), Stopping()]]
    assert "publish a" in memory.diary


def test_a_batch_is_bounded_and_its_rest_comes_with_the_next() -> None:
    memory, machine = Memory(), Echo()
    run_shell(machine, memory, *[message(str(n)) for n in range(2 * BATCH_EVENTS_MAX)])
    assert [len(batch) for batch in machine.batches] == [BATCH_EVENTS_MAX, BATCH_EVENTS_MAX, 1]


def test_what_waits_for_the_machine_can_be_counted() -> None:
    async def body() -> None:
        inbox = Inbox()
        await inbox.put([message("a"), message("b"), message("c")])
        assert inbox.waiting == 3
        inbox.take(2)
        assert inbox.waiting == 1

    asyncio.run(body())


def test_two_batches_are_at_least_the_linger_apart_so_that_they_share_a_commit() -> None:
    memory, machine, inbox = Memory(), Echo(), Inbox()

    async def body() -> None:
        shell = asyncio.create_task(run(machine, ports_of(memory), inbox))
        for number in range(40):
            inbox.push([message(str(number))])
            await asyncio.sleep(0.0005)
        inbox.push([Stopping()])
        await shell

    asyncio.run(body())
    pauses_s = [b - a for a, b in zip(machine.called_s, machine.called_s[1:], strict=False)]
    assert min(pauses_s) >= COMMIT_LINGER_S * 0.9
    assert len(machine.batches) < 40


def test_a_machine_is_woken_when_it_asked_to_be() -> None:
    wakes = iter([0.02, None])
    machine, inbox = Echo(lambda events: Effects(wake_in_s=next(wakes))), Inbox()

    async def body() -> None:
        shell = asyncio.create_task(run(machine, ports_of(Memory()), inbox))
        inbox.push([message("a")])
        await until(lambda: len(machine.batches) == 2)
        shell.cancel()
        await asyncio.wait([shell])

    asyncio.run(body())
    assert machine.batches == [[message("a")], []]
    assert machine.called_s[1] - machine.called_s[0] >= 0.019


def test_a_process_is_ready_once_its_machine_is_restored() -> None:
    memory = Memory()
    ports = ports_of(memory)
    assert (ports.health.ready, ports.health.reason) == (False, "starting")
    assert run_shell(Echo(), memory).health.ready


# --- the inbox ------------------------------------------------------------------------------------


def sample(number: int) -> Sample:
    return Sample("d-1", number, {})


def test_g7_a_full_inbox_makes_the_producer_wait() -> None:
    async def body() -> None:
        inbox = Inbox(events_max=2)
        await inbox.put([sample(1), sample(2)])
        waiting = asyncio.create_task(inbox.put([sample(3)]))
        other = asyncio.create_task(inbox.put([sample(4)]))
        await asyncio.sleep(0.005)
        assert not waiting.done()
        assert inbox.take(1) == [sample(1)]
        await asyncio.wait([waiting, other], return_when=asyncio.FIRST_COMPLETED)
        assert waiting.done() != other.done()
        assert inbox.take(9) == [sample(2), sample(3)]
        await asyncio.wait_for(other, WAIT_S)
        assert inbox.take(9) == [sample(4)]

    asyncio.run(body())


def test_g7_large_messages_make_the_producer_wait_before_they_are_many() -> None:
    async def body() -> None:
        inbox = Inbox(events_max=9, bytes_max=4)
        await inbox.put([message("t", b"12"), sample(1), message("t", b"345")])
        waiting = asyncio.create_task(inbox.put([sample(2)]))
        await asyncio.sleep(0.005)
        assert not waiting.done()
        assert len(inbox.take(1)) == 1
        await asyncio.wait_for(waiting, WAIT_S)
        assert len(inbox.take(9)) == 3

    asyncio.run(body())


def test_g7_what_the_machine_has_not_taken_stays_with_the_bus_which_can_drop_it() -> None:
    memory, inbox = Memory(), Inbox(events_max=2)
    asked_for: list[int] = []

    async def messages() -> AsyncGenerator[list[Event], None]:
        for number in range(3):
            asked_for.append(number)
            yield [message("t"), message("t")]
        await asyncio.Event().wait()

    memory.messages = messages  # type: ignore[method-assign]

    async def body() -> None:
        pump = asyncio.create_task(_pump(ports_of(memory), inbox))
        await until(lambda: inbox.waiting)
        await asyncio.sleep(0.005)
        assert (asked_for, inbox.waiting) == ([0], 2)
        inbox.take(1)
        await until(lambda: inbox.waiting == 3)
        assert asked_for == [0, 1]
        pump.cancel()
        await asyncio.wait([pump])

    asyncio.run(body())


def test_an_answer_to_an_effect_is_taken_though_the_inbox_is_full() -> None:
    inbox = Inbox(events_max=1)
    inbox.push([sample(1)])
    inbox.push([sample(2)])
    assert inbox.take(9) == [sample(1), sample(2)]


def test_waiting_ends_with_an_event_or_with_its_time() -> None:
    async def body() -> None:
        inbox = Inbox()
        await asyncio.wait_for(inbox.wait(0.001), WAIT_S)
        waiting = asyncio.create_task(inbox.wait(None))
        await asyncio.sleep(0)
        inbox.push([sample(1)])
        await asyncio.wait_for(waiting, WAIT_S)
        await asyncio.wait_for(inbox.wait(None), WAIT_S)

    asyncio.run(body())
