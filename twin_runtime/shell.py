"""The one shell: it waits, commits, and only then lets the world know.

    1. wait for an event, or until the machine wants to wake; take a batch (at once when
       idle; when the last commit is younger than the linger, wait that long for more, but
       not where a twin is paused for it: an event of a move, a machine in a hurry)
    2. `machine.handle(events, now)`: effects
    3. commit the writes, in a thread (inline in simulation)
    4. only then publish, act, begin jobs, count, log, and show the new state to readers
    5. again

This order is all of durability: nothing is acknowledged, obeyed or shown that is not on
disk. A full disk is waited out: not ready, back off, the same commit again, while the
bounded inbox drops and counts. Any other commit error ends the process before anything
is sent; its supervisor starts it again, and it says from its rows what must be said.

A stop is a crash that was announced: `Stopping` is the last event a machine hears.
Cancelling the shell has no effects at all.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing, suppress

from twin_runtime.core import topics
from twin_runtime.core.effects import (
    Effects,
    Event,
    Machine,
    Message,
    Note,
    Stopping,
)
from twin_runtime.core.errors import DitenError, StoreFull
from twin_runtime.core.inbox import payload_bytes
from twin_runtime.core.limits import (
    AHEAD_BYTES_MAX,
    BATCH_EVENTS_MAX,
    COMMIT_LINGER_S,
    STORE_RETRY_FIRST_S,
    STORE_RETRY_LAST_S,
)
from twin_runtime.ports import Ports

Offload = Callable[[Callable[[], None]], Awaitable[None]]


class Stopped(DitenError):
    """The machine asked for the end of its process; the message says why."""


class Inbox:
    """Events on their way to the machine: a batch, and what came with it. `put` waits for room,
    so that pressure reaches whoever produces; what cannot wait (the bus) keeps what comes
    meanwhile, and drops at its own bound."""

    def __init__(
        self, events_max: int = BATCH_EVENTS_MAX, bytes_max: int = AHEAD_BYTES_MAX
    ) -> None:
        self._events: deque[Event] = deque()
        self._events_max = events_max
        self._bytes = 0
        self._bytes_max = bytes_max
        self._filled = asyncio.Event()
        self._pressing = asyncio.Event()  # something that a commit is not put off for
        self._drained = asyncio.Event()
        self._drained.set()

    async def put(self, events: Sequence[Event]) -> None:
        """Add `events` in order, once there is room."""
        await self.room()
        self.push(events)

    async def room(self) -> None:
        """Wait until the machine is to be given more."""
        while self._is_full():
            self._drained.clear()
            await self._drained.wait()

    def push(self, events: Sequence[Event]) -> None:
        """Add `events` now, room or not: for the few that answer an effect, and for questions,
        which are `withdrawn` when their time is up."""
        self._events.extend(events)
        self._bytes += sum(map(payload_bytes, events))
        self._filled.set()
        if any(map(_presses, events)):
            self._pressing.set()

    def withdraw(self, event: Event) -> None:
        """Take back an event that need not be handled any more, unless it is being handled."""
        with suppress(ValueError):
            self._events.remove(event)

    async def wait(self, timeout_s: float | None) -> None:
        """Return when there is an event, or after `timeout_s`."""
        if self._events:
            return
        self._filled.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await self._filled.wait()
        except TimeoutError:
            pass

    async def linger(self, timeout_s: float) -> None:
        """Let more events come for `timeout_s`, unless one must not wait."""
        if len(self._events) < BATCH_EVENTS_MAX:
            try:
                async with asyncio.timeout(timeout_s):
                    await self._pressing.wait()
            except TimeoutError:
                pass

    @property
    def waiting(self) -> int:
        """How many events have come and were not taken."""
        return len(self._events)

    @property
    def stopping(self) -> bool:
        """Whether a stop was asked for that is not handled yet."""
        return any(isinstance(event, Stopping) for event in self._events)

    def take(self, events_max: int) -> list[Event]:
        """At most `events_max` events, oldest first; nothing is taken after `Stopping`."""
        taken: list[Event] = []
        while self._events and len(taken) < events_max:
            taken.append(self._events.popleft())
            if isinstance(taken[-1], Stopping):
                break
        self._bytes -= sum(map(payload_bytes, taken))
        if not self._events:
            self._pressing.clear()
        if not self._is_full():
            self._drained.set()
        return taken

    def _is_full(self) -> bool:
        return len(self._events) >= self._events_max or self._bytes >= self._bytes_max


def _presses(event: Event) -> bool:
    return isinstance(event, Message) and topics.is_of_a_move(event.topic)


async def in_thread(work: Callable[[], None]) -> None:
    """Run `work` in a worker thread; the event loop goes on."""
    await asyncio.to_thread(work)


async def run(machine: Machine, ports: Ports, inbox: Inbox, offload: Offload = in_thread) -> None:
    """Run `machine` on `ports` until `Stopping` was handled.

    Raises, in an `ExceptionGroup`:
        Stopped: the machine asked for it.
        OSError: a commit failed; nothing of it was sent.
    """
    async with asyncio.TaskGroup() as group:
        pump = group.create_task(_pump(ports, inbox), name="bus")
        shell = _Shell(machine, ports, inbox, offload)
        await shell.run()
        pump.cancel()


async def _pump(ports: Ports, inbox: Inbox) -> None:
    async with aclosing(ports.bus.messages()) as messages:
        async for events in messages:
            inbox.push(events)
            await inbox.room()  # before more is asked for: the bus can drop, this cannot


class _Shell:
    def __init__(self, machine: Machine, ports: Ports, inbox: Inbox, offload: Offload) -> None:
        self._machine = machine
        self._ports = ports
        self._inbox = inbox
        self._offload = offload
        self._stopping = False

    async def run(self) -> None:
        clock, inbox = self._ports.clock, self._inbox
        fx = self._machine.restore(self._ports.store.load(), clock.now())
        await self._settle(fx, clock.now().monotonic_s)
        self._ports.health.ready, self._ports.health.reason = True, ""
        while not self._stopping:
            settled_s = clock.now().monotonic_s
            await inbox.wait(fx.wake_in_s)
            lingered_s = clock.now().monotonic_s - settled_s
            if lingered_s < COMMIT_LINGER_S and not fx.hurry:
                await inbox.linger(COMMIT_LINGER_S - lingered_s)
            taken_s = clock.now().monotonic_s
            events = inbox.take(BATCH_EVENTS_MAX)
            self._stopping = bool(events) and isinstance(events[-1], Stopping)
            fx = self._machine.handle(events, clock.now())
            await self._settle(fx, taken_s)

    async def _settle(self, fx: Effects, taken_s: float) -> None:
        """Commit, and only then everything else."""
        ports = self._ports
        if fx.writes:
            began_s = ports.clock.now().monotonic_s
            await self._commit(fx)
            fx.observed.append(("commit_seconds", ports.clock.now().monotonic_s - began_s))
        self._show(fx)
        ports.committed(fx)
        if fx.sends:
            await ports.bus.publish(fx.sends)
        if fx.timed is not None:
            fx.observed.append((fx.timed, ports.clock.now().monotonic_s - taken_s))
        for act in fx.acts:
            ports.act(act)
        for answer in fx.answers:
            ports.answer(answer)
        for wanted in fx.fetches:
            ports.fetch(wanted)
        for job in fx.jobs:
            ports.begin(job)
        ports.recorder.record(fx.counts, fx.observed, fx.notes)
        if fx.stop is not None:
            raise Stopped(fx.stop)

    def _show(self, fx: Effects) -> None:
        view = self._ports.view
        for key, value in fx.shown:
            if value is None:
                view.pop(key, None)
            else:
                view[key] = value

    async def _commit(self, fx: Effects) -> None:
        health = self._ports.health
        retry_s = STORE_RETRY_FIRST_S
        while True:
            try:
                await self._offload(lambda: self._ports.store.commit(fx.writes))
            except StoreFull as full:
                if retry_s == STORE_RETRY_FIRST_S:
                    note = Note("error", f"{full}; nothing is acknowledged until there is room")
                    self._ports.recorder.record({("store_full_total", ""): 1}, (), (note,))
                health.ready, health.reason = False, str(full)
                if self._stopping or self._inbox.stopping:
                    raise  # nothing of it was acknowledged, so there is nothing to wait for
                await asyncio.sleep(retry_s)
                retry_s = min(retry_s * 2, STORE_RETRY_LAST_S)
            else:
                if retry_s > STORE_RETRY_FIRST_S:
                    health.ready, health.reason = True, ""
                    self._ports.recorder.record({}, (), (Note("info", "the store has room again"),))
                return
