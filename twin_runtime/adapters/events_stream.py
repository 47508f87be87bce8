"""What the directory decides, as server-sent events: `/api/v1/events` with another `Accept`.

    id: 1204                                 the event's number in the cloud's log
    data: {"number": 1204, "kind": "owned", …}

The log is on disk, so a reader goes on with `Last-Event-ID` where it stopped, over restarts of
the cloud too; without one it begins with what comes next. `event: resync` says that the log no
longer reaches back so far, or is another one: what follows begins with the oldest event. The newest
events are in memory, since all readers want them at once; who is further behind reads the log,
in a thread.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from itertools import dropwhile

from fastapi import FastAPI, Request, Response
from starlette.responses import StreamingResponse

from twin_runtime.adapters.http_problem import UNAVAILABLE, problem
from twin_runtime.adapters.stream_http import EVENT_STREAM, STREAM_HEADERS, event_stream_route
from twin_runtime.core.effects import Append, Write
from twin_runtime.core.limits import (
    EVENTS_PAGE_MAX,
    EVENTS_RECENT_MAX,
    STREAM_COMMENT_S,
    STREAM_READERS_MAX,
)
from twin_runtime.ports import LogEntry

Scan = Callable[[int, int], list[LogEntry]]  # entries after a number, at most so many
_NUMBER_CHARS_MAX = 18
_NEVER = -1  # before all events of the log


class EventsStream:
    """Follows the log `log`: `take` hears what was committed, `scan` reads what was earlier,
    `newest` says the number of the last one."""

    def __init__(self, log: str, scan: Scan, newest: Callable[[], Awaitable[int]]) -> None:
        self._log = log
        self._scan = scan
        self._newest = newest
        self._recent: deque[LogEntry] = deque(maxlen=EVENTS_RECENT_MAX)
        self._news = asyncio.Event()
        self._readers = 0
        self._over = False

    def take(self, writes: Sequence[Write]) -> None:
        """Hear what was committed."""
        for write in writes:
            if isinstance(write, Append) and write.log == self._log:
                self._recent.append(LogEntry(write.key, write.number, write.value))
                self._wake()

    async def run(self) -> None:
        """Until cancelled; then readers are sent away."""
        try:
            await asyncio.Event().wait()
        finally:
            self._over = True
            self._wake()

    async def respond(self, request: Request) -> Response:
        """The events after the reader's last, and what comes."""
        if self._readers >= STREAM_READERS_MAX:
            text = f"{STREAM_READERS_MAX} readers follow events here already"
            return problem(UNAVAILABLE, "too_many_readers", text)
        last = request.headers.get("Last-Event-ID", "")
        is_number = last.isascii() and last.isdigit() and len(last) <= _NUMBER_CHARS_MAX
        number = int(last) if is_number else await self._newest()
        if is_number and await self._is_of_another_log(number):
            number = _NEVER
        return StreamingResponse(self._frames(number), 200, STREAM_HEADERS, EVENT_STREAM)

    async def _is_of_another_log(self, number: int) -> bool:
        """Whether an event that somebody has heard is yet to come."""
        return number > 0 and not await asyncio.to_thread(self._scan, number - 1, 1)

    async def _frames(self, number: int) -> AsyncIterator[bytes]:
        self._readers += 1
        try:
            if number != _NEVER:
                yield b"id: %d\n\n" % number
            while not self._over:
                news = self._news
                entries = await self._after(number)
                if entries and entries[0].number > number + 1:
                    yield b"event: resync\ndata: {}\n\n"
                if entries:
                    yield b"".join(b"id: %d\ndata: %b\n\n" % entry[1:] for entry in entries)
                    number = entries[-1].number
                elif not await _happens(news, STREAM_COMMENT_S):
                    yield b":\n\n"
        finally:
            self._readers -= 1

    async def _after(self, number: int) -> list[LogEntry]:
        if self._recent and self._recent[0].number <= number + 1:
            return list(dropwhile(lambda entry: entry.number <= number, self._recent))
        return await asyncio.to_thread(self._scan, number, EVENTS_PAGE_MAX)

    def _wake(self) -> None:
        """Let all who wait for news look, and the next wait for the next."""
        self._news.set()
        self._news = asyncio.Event()


def add_events_stream(app: FastAPI, stream: EventsStream) -> None:
    """Serve `stream` beside the events of `app`."""
    example = 'id: 1204\ndata: {"number": 1204, "kind": "owned", "twin": "d-1"}\n\n'
    app.router.routes[:0] = [event_stream_route("/api/v1/events", stream.respond, example)]


async def _happens(event: asyncio.Event, within_s: float) -> bool:
    try:
        async with asyncio.timeout(within_s):
            await event.wait()
    except TimeoutError:
        return False
    return True
