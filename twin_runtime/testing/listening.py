"""Listening to a bus in a test: what was heard, and waiting for what must come."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Protocol

from twin_runtime.core.effects import Connected, Disconnected, Event, Message
from twin_runtime.ports import Bus

WAIT_S = 20.0  # for what must happen; it takes milliseconds unless it is broken


class CountingBus(Bus, Protocol):
    """A bus with the numbers the metrics read."""

    @property
    def connected(self) -> bool: ...
    @property
    def reconnects(self) -> int: ...
    @property
    def inbox_drops(self) -> int: ...

    sends_dropped: int


class Heard:
    """What one bus yielded so far, in order."""

    def __init__(self, bus: CountingBus) -> None:
        self.bus = bus
        self.events: list[Event] = []
        self.messages: list[Message] = []  # of the events
        self.running = asyncio.Event()
        self.running.set()
        self._more = asyncio.Event()

    @property
    def payloads(self) -> list[bytes]:
        return [each.payload for each in self.messages]

    def has_heard(self, message: Message) -> bool:
        return message in self.messages

    def count(self, kind: type[Event]) -> int:
        return sum(isinstance(each, kind) for each in self.events)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until `holds()`, which may only change by an event."""
        try:
            async with asyncio.timeout(WAIT_S):
                while not holds():
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            raise AssertionError(
                f"not in {WAIT_S:g} s: heard {len(self.events)} events, "
                f"the last of them {[str(each)[:100] for each in self.events[-3:]]}"
            ) from None

    async def messages_come(self, number: int) -> None:
        await self.until(lambda: len(self.messages) >= number)

    async def connections_come(self, number: int) -> None:
        await self.until(lambda: self.count(Connected) >= number)

    async def disconnections_come(self, number: int) -> None:
        await self.until(lambda: self.count(Disconnected) >= number)

    async def listen(self) -> None:
        async with aclosing(self.bus.messages()) as arriving:
            async for events in arriving:
                self.events += events
                self.messages += (each for each in events if isinstance(each, Message))
                self._more.set()
                await self.running.wait()


@asynccontextmanager
async def listening(bus: CountingBus) -> AsyncIterator[Heard]:
    """Iterate `bus` in the background, connected on entry and closed on exit."""
    heard = Heard(bus)
    task = asyncio.create_task(heard.listen(), name="listener")
    try:
        await heard.connections_come(1)
        yield heard
    finally:
        await cancel(task)


async def cancel(task: asyncio.Task[None]) -> None:
    """Cancel `task` and wait until it has ended, of whatever."""
    task.cancel()
    async with asyncio.timeout(WAIT_S):
        await asyncio.gather(task, return_exceptions=True)


async def eventually(holds: Callable[[], bool]) -> None:
    """Wait for something that no event announces."""
    async with asyncio.timeout(WAIT_S):
        while not holds():  # noqa: ASYNC110  (there is no event to wait for)
            await asyncio.sleep(0.01)
