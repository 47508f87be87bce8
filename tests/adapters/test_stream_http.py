"""Changes as server-sent events: each once and in order, resumed, coalesced, bounded."""

import asyncio
import socket
from typing import Any

import pytest

from tests.adapters.a_stream import (
    WAIT_S,
    Committed,
    Event,
    next_events,
    next_mark,
    served,
    until,
)
from twin_runtime.adapters import changes as changes_module
from twin_runtime.adapters import http_server, stream_http
from twin_runtime.core.selector import Fields, selected


def test_each_change_is_one_event_with_the_whole_thing_and_a_rising_id() -> None:
    async def body() -> None:
        async with served(Committed("d-1", 1)) as site, site.reading() as events:
            await next_mark(events)
            for revision in (2, 3, 4):
                site.show(Committed("d-1", revision, level_m=revision / 2))
            seen = await next_events(events, 3)
            assert [event.data["_revision"] for event in seen] == [2, 3, 4]
            assert seen[0].data["features"]["level_m"]["properties"]["value"] == 1.0
            assert [event.id for event in seen] == ["store-1:1", "store-1:2", "store-1:3"]

    asyncio.run(body())


def test_a_state_comes_once_and_a_twin_that_moved_again_with_its_next_epoch() -> None:
    async def body() -> None:
        async with served(Committed("d-1", 1)) as site, site.reading() as events:
            await next_mark(events)
            for epoch in (1, 1, 2, 2):  # each owner says it, and repeats it
                site.show(Committed("d-1", 2, epoch=epoch))
            site.show(Committed("d-1", 2, level_m=0.5, epoch=2))  # a live value
            seen = await next_events(events, 3)
            states = [(event.data["epoch"], event.data["_revision"]) for event in seen]
            assert states == [(1, 2), (2, 2), (2, 2)]
            levels = [event.data["features"]["level_m"]["properties"]["value"] for event in seen]
            assert levels == [0.0, 0.0, 0.5]

    asyncio.run(body())


def test_the_same_path_without_that_accept_is_a_read() -> None:
    async def body() -> None:
        async with served(Committed("d-1", 1)) as site:
            page = await site.client.get("/api/2/things")
            one = await site.client.get("/api/2/things/d-1")
            assert page.json()[0]["thingId"] == one.json()["thingId"] == "home:d-1"

    asyncio.run(body())


def test_a_reader_that_comes_back_gets_what_it_missed_and_nothing_twice() -> None:
    async def body() -> None:
        async with served(Committed("d-1", 1)) as site:
            async with site.reading() as events:
                await next_mark(events)
                site.show(Committed("d-1", 2))
                (last,) = await next_events(events, 1)
            for revision in (3, 4, 5):
                site.show(Committed("d-1", revision))
            async with site.reading(last=last.id) as events:
                seen = await next_events(events, 3)
            assert [(event.name, event.data["_revision"]) for event in seen] == [
                ("message", 3),
                ("message", 4),
                ("message", 5),
            ]

    asyncio.run(body())


def test_a_reader_cut_off_before_anything_happened_goes_on_from_its_first_mark() -> None:
    async def body() -> None:
        async with served(Committed("d-1", 1)) as site:
            async with site.reading() as events:
                mark = await next_mark(events)
            site.show(Committed("d-1", 2))
            async with site.reading(last=mark) as events:
                (event,) = await next_events(events, 1)
            assert event.data["_revision"] == 2

    asyncio.run(body())


@pytest.mark.parametrize("last", ["another-life:3", "store-1:999", "store-1:x", "'"])
def test_an_id_of_another_life_or_of_none_is_answered_with_resync_and_everything(last: str) -> None:
    async def body() -> None:
        shown = Committed("d-1", 4), Committed("d-2", 7)
        async with served(*shown) as site, site.reading(last=last) as events:
            first, *things = await next_events(events, 3)
            assert (first.name, first.data) == ("resync", {})
            states = {event.data["thingId"]: event.data["_revision"] for event in things}
            assert states == {"home:d-1": 4, "home:d-2": 7}
            await next_mark(events)
            site.show(Committed("d-2", 8))
            (event,) = await next_events(events, 1)
            assert event.data["_revision"] == 8

    asyncio.run(body())


def test_what_all_are_sent_anew_is_made_once_and_then_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[str] = []

    def counted(thing: dict[str, Any], parts: Fields) -> Any:
        made.append(thing["thingId"])
        return selected(thing, parts)

    monkeypatch.setattr(stream_http, "selected", counted)
    path = "/api/2/things?fields=thingId,_revision"

    async def body() -> None:
        twins = [Committed(f"d-{i}", 1) for i in range(300)]
        async with served(*twins) as site:

            async def read() -> None:
                async with site.reading(path, last="another:1") as events:
                    assert len(await next_events(events, 301)) == 301

            await asyncio.gather(*(read() for _ in range(5)))
            assert sorted(made) == sorted({f"home:{each.twin}" for each in twins})
            await until(lambda: site.changes.readers == 0)
            await read()
            assert len(made) == 600

    asyncio.run(body())


def test_things_that_are_large_are_made_again_rather_than_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream_http, "STREAM_STATES_BYTES_MAX", 1_000)

    async def body() -> None:
        twins = [Committed(f"d-{i}", 1, note="x" * 400) for i in range(20)]
        async with served(*twins) as site, site.reading(last="another:1") as events:
            things = (await next_events(events, 21))[1:]
            assert sorted(each.data["thingId"] for each in things) == sorted(
                f"home:{each.twin}" for each in twins
            )

    asyncio.run(body())


def test_whoever_is_cut_off_while_all_is_sent_anew_gets_all_of_it_again() -> None:
    async def body() -> None:
        async with served(*(Committed(f"d-{i}", 1) for i in range(30))) as site:
            async with site.reading(last="another:1") as events:
                seen = await next_events(events, 3)
            assert {event.id for event in seen} == {""}
            async with site.reading(last="another:1") as events:
                assert len(await next_events(events, 31)) == 31

    asyncio.run(body())


def test_what_is_further_back_than_the_ring_comes_as_the_newest_state_of_each_twin(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(changes_module, "STREAM_RING_ROWS_MAX", 10)

    async def body() -> None:
        async with served(Committed("d-1", 1), Committed("d-2", 1), Committed("d-3", 1)) as site:
            async with site.reading() as events:
                mark = await next_mark(events)
            for revision in range(2, 40):
                site.show(Committed("d-1", revision), Committed("d-2", revision))
            newest = 2 * 38
            await until(lambda: site.changes.newest == newest)
            async with site.reading(last=mark) as events:
                seen: list[Event] = []
                while not seen or seen[-1].id != f"store-1:{newest}":
                    seen += await next_events(events, 1)
            assert "resync" not in {event.name for event in seen}
            assert len(seen) < 20
            assert {e.data["thingId"] for e in seen} == {"home:d-1", "home:d-2"}
            assert [e.data["_revision"] for e in seen[-2:]] == [39, 39]

    asyncio.run(body())


def test_a_twin_that_is_released_is_gone() -> None:
    async def body() -> None:
        async with served(Committed("d-1", 1)) as site, site.reading() as events:
            await next_mark(events)
            site.release("d-1")
            (event,) = await next_events(events, 1)
            assert (event.name, event.data) == ("gone", {"thingId": "home:d-1"})

    asyncio.run(body())


@pytest.mark.parametrize("asked", ["?ids=d-2", "/home:d-2"])
def test_of_others_that_are_released_a_reader_hears_nothing(asked: str) -> None:
    async def body() -> None:
        shown = Committed("d-1", 1), Committed("d-2", 1)
        async with served(*shown) as site, site.reading(f"/api/2/things{asked}") as events:
            await next_mark(events)
            site.release("d-1")
            site.release("d-2")
            (event,) = await next_events(events, 1)
            assert (event.name, event.data) == ("gone", {"thingId": "home:d-2"})

    asyncio.run(body())


@pytest.mark.parametrize(
    "asked",
    ["?ids=home:d-2,d-3", "?filter=gt(features/level_m/properties/value,1)", "/d-2"],
)
def test_a_reader_gets_only_what_it_asked_for(asked: str) -> None:
    async def body() -> None:
        shown = Committed("d-1", 1), Committed("d-2", 1)
        async with served(*shown) as site, site.reading(f"/api/2/things{asked}") as events:
            await next_mark(events)
            site.show(Committed("d-1", 2, level_m=1.0), Committed("d-2", 2, level_m=2.0))
            site.show(Committed("d-2", 3, level_m=2.0))
            seen = await next_events(events, 2)
            assert [event.data["thingId"] for event in seen] == ["home:d-2"] * 2

    asyncio.run(body())


def test_a_reader_gets_only_the_fields_it_asked_for() -> None:
    async def body() -> None:
        path = "/api/2/things?fields=thingId,features/level_m/properties/value"
        async with served(Committed("d-1", 1)) as site, site.reading(path) as events:
            await next_mark(events)
            site.show(Committed("d-1", 2, level_m=0.5))
            (event,) = await next_events(events, 1)
            assert event.data == {
                "thingId": "home:d-1",
                "features": {"level_m": {"properties": {"value": 0.5}}},
            }

    asyncio.run(body())


@pytest.mark.parametrize(
    "path, status",
    [
        ("/api/2/things/d-9", 404),
        ("/api/2/things?filter=eq(attributes/x", 400),
        ("/api/2/things?fields=(", 400),
        ("/api/2/things?ids=" + ",".join(f"d-{i}" for i in range(300)), 400),
    ],
)
def test_what_cannot_be_followed_is_refused_with_dittos_body(path: str, status: int) -> None:
    async def body() -> None:
        async with served(Committed("d-1", 1)) as site:
            answer = await site.client.get(path, headers={"Accept": "text/event-stream"})
            assert answer.status_code == status
            assert {"status", "error", "message", "description"} <= answer.json().keys()
            assert site.changes.readers == 0

    asyncio.run(body())


def test_readers_beyond_the_bound_are_told_to_come_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_http, "STREAM_READERS_MAX", 1)

    async def body() -> None:
        async with served(Committed("d-1", 1)) as site, site.reading() as events:
            await next_mark(events)
            headers = {"Accept": "text/event-stream"}
            answer = await site.client.get("/api/2/things", headers=headers)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")

    asyncio.run(body())


def test_a_silent_stream_says_that_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_http, "STREAM_COMMENT_S", 0.05)
    monkeypatch.setattr(changes_module, "STREAM_COMMENT_S", 0.05)

    async def body() -> None:
        async with served(Committed("d-1", 1)) as site, site.reading() as events:
            assert [await next_mark(events) for _ in range(3)] == ["store-1:0"] * 3

    asyncio.run(body())


def test_a_vanished_reader_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes_module, "STREAM_KEPT_S", 0.0)

    async def body() -> None:
        async with served(Committed("d-1", 1)) as site:
            async with site.reading() as events:
                await next_mark(events)
                assert site.changes.readers == 1
            await until(lambda: site.changes.readers == 0)
            site.show(Committed("d-1", 2))
            assert site.changes.kept == (0, 0)

    asyncio.run(body())


def test_a_stop_ends_streams_without_a_word_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def body() -> None:
        async with served(Committed("d-1", 1)) as site, site.reading() as events:
            await next_mark(events)
            site.stop()
            async with asyncio.timeout(WAIT_S):
                assert [event async for event in events] == []

    asyncio.run(body())
    assert caplog.messages == []


def test_a_reader_that_does_not_read_is_cut_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_server, "STREAM_STALLED_S", 0.5)

    async def body() -> None:
        async with served(Committed("d-1", 1)) as site:
            with socket.create_connection(("127.0.0.1", site.port)) as deaf:
                deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                ask = b"GET /api/2/things HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n"
                await asyncio.to_thread(deaf.sendall, ask)
                await until(lambda: site.changes.readers == 1)
                note, revision = "x" * 40_000, 1
                async with asyncio.timeout(2 * WAIT_S):
                    while site.changes.readers:
                        revision += 1
                        site.show(Committed("d-1", revision, note=note))
                        await asyncio.sleep(0.002)

    asyncio.run(body())
