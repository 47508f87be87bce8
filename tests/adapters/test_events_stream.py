"""What the directory decides, as it happens: each event once, over restarts too."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI, Request

from tests.adapters.a_stream import WAIT_S, Event, events_in, next_events, next_mark
from twin_runtime.adapters import events_stream
from twin_runtime.adapters.events_stream import EventsStream, add_events_stream
from twin_runtime.adapters.http_server import bind, serve
from twin_runtime.adapters.sqlite_store import LogBound, SqliteStore
from twin_runtime.core.effects import Append


class Cloud:
    """A log of events, and a server of it in this event loop."""

    def __init__(self, folder: Path, kept: int = 1_000) -> None:
        self.store = SqliteStore(folder / "cloud.sqlite", {"event": LogBound(kept, 2**20)})
        self.number = 0
        self.restart()

    def restart(self) -> None:
        self.stream = EventsStream(
            "event", lambda *page: self.store.scan("event", "all", *page), self._newest
        )

    async def _newest(self) -> int:
        return self.number

    def decide(self, count: int = 1) -> None:
        """Commit so many events."""
        for _ in range(count):
            self.number += 1
            writes = [Append("event", "all", self.number, b'{"number":%d}' % self.number)]
            self.store.commit(writes)
            self.stream.take(writes)

    @asynccontextmanager
    async def reading(self, last: str = "") -> AsyncIterator[AsyncIterator[Event]]:
        app = FastAPI()
        add_events_stream(app, self.stream)
        listener = bind("127.0.0.1", 0)
        api = f"http://127.0.0.1:{listener.getsockname()[1]}"
        tasks = [asyncio.create_task(serve(app, listener)), asyncio.create_task(self.stream.run())]
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": last} if last else {})}
        try:
            async with (
                httpx.AsyncClient(base_url=api, trust_env=False, timeout=WAIT_S) as client,
                client.stream("GET", "/api/v1/events", headers=headers) as response,
            ):
                assert response.status_code == 200
                yield events_in(response.aiter_lines())
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


def test_a_reader_gets_each_event_as_it_is_decided(tmp_path: Path) -> None:
    async def body() -> None:
        cloud = Cloud(tmp_path)
        cloud.decide(3)
        async with cloud.reading() as events:
            assert await next_mark(events) == "3"
            cloud.decide(2)
            seen = await next_events(events, 2)
        assert [(event.id, event.data["number"]) for event in seen] == [("4", 4), ("5", 5)]
        cloud.store.close()

    asyncio.run(body())


def test_a_reader_goes_on_where_it_stopped_though_the_cloud_has_restarted(tmp_path: Path) -> None:
    async def body() -> None:
        cloud = Cloud(tmp_path)
        cloud.decide(5)
        cloud.restart()
        cloud.decide()
        async with cloud.reading(last="3") as events:
            seen = await next_events(events, 3)
        assert [event.data["number"] for event in seen] == [4, 5, 6]
        assert {event.name for event in seen} == {"message"}
        cloud.store.close()

    asyncio.run(body())


def test_a_reader_is_told_when_the_log_no_longer_reaches_back_so_far(tmp_path: Path) -> None:
    async def body() -> None:
        cloud = Cloud(tmp_path, kept=10)
        cloud.decide(30)
        cloud.restart()
        async with cloud.reading(last="3") as events:
            first, *seen = await next_events(events, 11)
        assert first.name == "resync"
        assert [event.data["number"] for event in seen] == list(range(21, 31))
        cloud.store.close()

    asyncio.run(body())


def test_a_reader_of_another_log_gets_this_one_from_its_beginning(tmp_path: Path) -> None:
    async def body() -> None:
        cloud = Cloud(tmp_path)
        cloud.decide(3)
        async with cloud.reading(last="57") as events:
            first, *seen = await next_events(events, 4)
            assert (first.name, first.id) == ("resync", "")
            cloud.decide()
            seen += await next_events(events, 1)
        assert [event.data["number"] for event in seen] == [1, 2, 3, 4]
        cloud.store.close()

    asyncio.run(body())


@pytest.mark.parametrize("last", range(4, 9))
def test_what_is_in_memory_no_more_is_read_from_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: int
) -> None:
    monkeypatch.setattr(events_stream, "EVENTS_RECENT_MAX", 3)

    async def body() -> None:
        cloud = Cloud(tmp_path)
        cloud.decide(10)
        async with cloud.reading(last=str(last)) as events:
            seen = await next_events(events, 10 - last)
        assert [event.data.get("number") for event in seen] == list(range(last + 1, 11))
        cloud.store.close()

    asyncio.run(body())


def test_readers_beyond_the_bound_are_told_to_come_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_stream, "STREAM_READERS_MAX", 1)

    async def body() -> None:
        cloud = Cloud(tmp_path)
        other = Request({"type": "http", "headers": []})
        async with cloud.reading() as events:
            await next_mark(events)
            answer = await cloud.stream.respond(other)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert (await cloud.stream.respond(other)).status_code == 200
        cloud.store.close()

    asyncio.run(body())


def test_a_silent_stream_says_that_it_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_stream, "STREAM_COMMENT_S", 0.05)

    async def body() -> None:
        cloud = Cloud(tmp_path)
        async with cloud.reading() as events:
            assert [await next_mark(events) for _ in range(3)] == ["0"] * 3
        cloud.store.close()

    asyncio.run(body())
