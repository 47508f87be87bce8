"""A served stream of changes, and a reader of it that understands server-sent events."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from pydantic_core import from_json, to_json

from twin_runtime.adapters.changes import Changes
from twin_runtime.adapters.http_server import bind, serve
from twin_runtime.adapters.stream_http import EVENT_STREAM, add_thing_streams
from twin_runtime.adapters.things_http import things_app
from twin_runtime.core.look import State
from twin_runtime.core.thing import thing_of
from twin_runtime.ports import Health

WAIT_S = 10.0


@dataclass(frozen=True, slots=True)
class Committed:
    """A twin as a view holds it."""

    twin: str
    revision: int
    level_m: float = 0.0
    note: str = ""
    known_wall_ms: int | None = None
    epoch: int = 1

    def document(self) -> dict[str, Any]:
        return {
            "twin": self.twin,
            "epoch": self.epoch,
            "revision": self.revision,
            "reported_wall_ms": 0,
            "attributes": {"note": self.note} if self.note else {},
            "features": {"level_m": {"value": self.level_m, "observed_ms": 1, "quality": "good"}},
        }

    def state(self) -> State:
        raise AssertionError("nobody looks for twins by what is in them here")


@dataclass(frozen=True, slots=True)
class Event:
    """One event, or a mark (no name, no data)."""

    id: str
    name: str
    data: Any


@dataclass(frozen=True, slots=True)
class Served:
    """A server in this event loop."""

    view: dict[str, Any]
    changes: Changes
    client: httpx.AsyncClient
    port: int
    stop: Callable[[], None]

    def show(self, *shown: Committed) -> None:
        """Commit these."""
        self.view.update((each.twin, each) for each in shown)
        self.changes.take([(each.twin, each) for each in shown])

    def release(self, twin: str) -> None:
        """Show this one no more."""
        del self.view[twin]
        self.changes.take([(twin, None)])

    @asynccontextmanager
    async def reading(
        self, path: str = "/api/2/things", last: str = ""
    ) -> AsyncIterator[AsyncIterator[Event]]:
        """The events of a stream that is open."""
        headers = {"Accept": EVENT_STREAM, **({"Last-Event-ID": last} if last else {})}
        async with self.client.stream("GET", path, headers=headers) as response:
            assert response.status_code == 200, await response.aread()
            assert response.headers["content-type"].startswith(EVENT_STREAM)
            yield events_in(response.aiter_lines())


@asynccontextmanager
async def served(*shown: Committed, life: str = "store-1") -> AsyncIterator[Served]:
    """The app, with these twins in its view."""
    view: dict[str, Any] = {each.twin: each for each in shown}
    changes = Changes(view, lambda state: to_json(thing_of(state.document(), "home")))
    app = things_app(view, Health(ready=True), lambda: b"", "home", lambda: 0)
    add_thing_streams(app, changes, "home", life)
    listener = bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    tasks = [asyncio.create_task(serve(app, listener)), asyncio.create_task(changes.run())]

    def stop() -> None:
        for task in tasks:
            if not task.cancelling():
                task.cancel()

    api = f"http://127.0.0.1:{port}"
    try:
        async with httpx.AsyncClient(base_url=api, trust_env=False, timeout=WAIT_S) as client:
            yield Served(view, changes, client, port, stop)
    finally:
        stop()
        await asyncio.wait(tasks)


async def next_events(events: AsyncIterator[Event], count: int) -> list[Event]:
    """The next `count` events that have data."""
    found: list[Event] = []
    async with asyncio.timeout(WAIT_S):
        while len(found) < count:
            event = await anext(events)
            if event.data is not None:
                found.append(event)
    return found


async def next_mark(events: AsyncIterator[Event]) -> str:
    """The next id that comes without an event."""
    async with asyncio.timeout(WAIT_S):
        while (event := await anext(events)).data is not None:
            pass
    return event.id


async def until(holds: Callable[[], bool]) -> None:
    """Wait until `holds()`, in turns of the loop."""
    deadline_s = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < deadline_s
        await asyncio.sleep(0.005)


async def events_in(lines: AsyncIterator[str]) -> AsyncIterator[Event]:
    """By the rules of the standard; an id alone is a mark."""
    last_id, name, data = "", "message", ""
    async for line in lines:
        field, _, value = line.partition(": ")
        if field == "id":
            last_id = value
        elif field == "event":
            name = value
        elif field == "data":
            data = value
        elif not line:
            yield Event(last_id, name, from_json(data) if data else None)
            name, data = "message", ""
