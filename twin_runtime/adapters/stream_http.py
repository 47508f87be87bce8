"""Changes as they happen, as server-sent events: the same paths as reads, another `Accept`.

    GET /api/2/things        `ids`, `filter` (RQL) and `fields`, as for reads
    GET /api/2/things/{id}   one thing; `fields`

    id: 3f9c…-19b2c…:1204                    one event per change, its data the thing
    data: {"thingId": "diten:d-1", …}

    event: gone                              no longer here: released to another edge
    event: resync                            what is missing is not known any more: all that
                                             is asked for follows anew, then goes on
    :                                        a comment each 15 s, with the present id

A stream begins with its id alone and no event: who loses the connection before anything
happened goes on from there as well. While things are sent anew, or the newest states of what a
slow reader missed, there is no id until the last of them, so that who is cut off in between
gets all of it again. Who sends a `Last-Event-ID` that never was gets everything to begin with.

A reader that takes nothing is cut off by the kernel (`http_server.bind`): only it knows
whether bytes move, and a process that closes such a connection itself waits to write out what
nobody reads.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from pydantic_core import to_json
from starlette.datastructures import Headers
from starlette.responses import StreamingResponse
from starlette.types import Scope

from twin_runtime.adapters.changes import Change, Changes
from twin_runtime.adapters.ditto_http import bad_query, malformed, no_thing, refusal
from twin_runtime.adapters.openapi_also import AlsoRoute
from twin_runtime.adapters.reading import text_parameter
from twin_runtime.core import messages
from twin_runtime.core.errors import MalformedMessage
from twin_runtime.core.limits import (
    STREAM_COMMENT_S,
    STREAM_READERS_MAX,
    STREAM_STATES_BYTES_MAX,
    THINGS_PAGE_MAX,
    THINGS_PER_TURN,
)
from twin_runtime.core.rql import Query, query_of
from twin_runtime.core.selector import Fields, fields_of, selected
from twin_runtime.core.thing import ABSENT

EVENT_STREAM = "text/event-stream"
STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_NEVER = -1  # a position that never was
_NUMBER = re.compile(r"\d{1,18}", re.ASCII)
_EXAMPLE = 'id: 3f9c-19b2c:1204\ndata: {"thingId": "diten:d-1", "_revision": 17}\n\n'
_FILTER = text_parameter(
    *("query", "filter", "an RQL expression; with Accept: text/event-stream"), format="rql"
)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which changes one reader wants, and what of them; two that want the same are equal."""

    twins: frozenset[str] | None = None  # None: all
    filter: str = ""
    fields: str = ""
    query: Query | None = field(default=None, compare=False)
    parts: Fields = field(default_factory=dict, compare=False)

    def of(self, twin: str, body: bytes) -> bytes | None:
        """What is wanted of a thing; None: nothing."""
        if self.twins is not None and twin not in self.twins:
            return None
        if self.query is None and not self.parts:
            return body
        thing = messages.load(body)
        if self.query is not None and not self.query(thing):
            return None
        part = selected(thing, self.parts)
        return None if part is ABSENT else to_json(part)


def event_stream_route(path: str, endpoint: Any, example: str, *also: dict[str, Any]) -> AlsoRoute:
    """A route for those who accept an event stream, such as the `example`, and may ask for what
    `also` says."""
    last = "the id of the last event that came; with Accept: text/event-stream"
    stream = {"schema": {"type": "string"}, "example": example}
    adds = {
        "parameters": [text_parameter("header", "Last-Event-ID", last), *also],
        "responses": {"200": {"content": {EVENT_STREAM: stream}}},
    }
    return AlsoRoute(path, endpoint, _accepts_stream, adds)


def add_thing_streams(app: FastAPI, changes: Changes, site: str, life: str) -> None:
    """Serve `changes` beside the reads of `app`; `life` tells this life of the process from all
    others."""
    streams = _Streams(changes, site, life.encode())
    routes = (("/api/2/things", streams.all), ("/api/2/things/{thing_id}", streams.one))
    # Before the others: the first route that matches is taken.
    app.router.routes[:0] = [
        event_stream_route(path, answer, _EXAMPLE, _FILTER) for path, answer in routes
    ]


class _Streams:
    """What all readers share."""

    def __init__(self, changes: Changes, site: str, life: bytes) -> None:
        self.changes = changes
        self._site = site
        self._life = life
        # What readers who have come equally far get next; forgotten with the next change.
        self._pieces: dict[tuple[Selection, int], tuple[bytes, int]] = {}
        self._pieces_of = 0
        # Things as they are now, for readers who get all anew: after a restart all of them do.
        self._states: dict[tuple[Selection, str], tuple[Any, bytes]] = {}
        self._states_bytes = 0
        self._behind = 0  # such readers

    async def all(self, request: Request) -> StreamingResponse:
        """Changes of all things, or of those asked for."""
        ids = request.query_params.get("ids")
        return self._stream(request, None if ids is None else self._named(ids))

    async def one(self, request: Request) -> StreamingResponse:
        """Changes of one thing that is here now."""
        thing_id = request.path_params["thing_id"]
        twin = thing_id.removeprefix(f"{self._site}:")
        if twin not in self.changes.view:
            raise no_thing(thing_id)
        return self._stream(request, frozenset((twin,)))

    def mark(self, number: int) -> bytes:
        """The id of a position, as an event that is none."""
        return b"id: %b:%d\n\n" % (self._life, number)

    def next_piece(self, selection: Selection, number: int) -> tuple[bytes, int]:
        """What follows `number`, and how far that comes."""
        if self._pieces_of != self.changes.newest:
            self._pieces, self._pieces_of = {}, self.changes.newest
        known = self._pieces.get((selection, number))
        if known is None:
            after = self.changes.after(number)
            frames = (self._frame(change, selection) for change in after)
            known = b"".join(frames), after[-1].number if after else number
            self._pieces[selection, number] = known
        return known

    def event(self, twin: str, body: bytes | None, selection: Selection) -> bytes:
        """What is wanted of a thing as an event without an id; empty: nothing."""
        if body is None:
            if selection.twins is not None and twin not in selection.twins:
                return b""
            return b"event: gone\ndata: %b\n\n" % to_json({"thingId": f"{self._site}:{twin}"})
        wanted = selection.of(twin, body)
        return b"" if wanted is None else b"data: %b\n\n" % wanted

    @contextmanager
    def catching_up(self) -> Iterator[None]:
        """As long as this lasts, one reader more is sent states instead of changes."""
        self._behind += 1
        try:
            yield
        finally:
            self._behind -= 1
            if not self._behind:
                self._states, self._states_bytes = {}, 0

    def state(self, twin: str, selection: Selection) -> bytes:
        """A thing as it is now, as an event: made once for all who want the same of it."""
        shown, key = self.changes.view.get(twin), (selection, twin)
        known = self._states.get(key)
        if known is None or known[0] is not shown:
            known = shown, self.event(twin, self.changes.body(twin), selection)
            self._states_bytes += len(known[1])
            if self._states_bytes > STREAM_STATES_BYTES_MAX:
                self._states, self._states_bytes = {}, len(known[1])
            self._states[key] = known
        return known[1]

    def _frame(self, change: Change, selection: Selection) -> bytes:
        event = self.event(change.twin, change.body, selection)
        return event and b"id: %b:%d\n%b" % (self._life, change.number, event)

    def _stream(self, request: Request, twins: frozenset[str] | None) -> StreamingResponse:
        if self.changes.readers >= STREAM_READERS_MAX:
            raise _too_many()
        selection = _selection(request, twins)
        number = self._position(request.headers.get("Last-Event-ID"))
        frames = _Reader(self, selection, number).frames()
        return StreamingResponse(frames, headers=STREAM_HEADERS, media_type=EVENT_STREAM)

    def _position(self, event_id: str | None) -> int | None:
        """How far one has come; None: it begins now."""
        if not event_id:
            return None
        life, _, number = event_id.rpartition(":")
        if life.encode() != self._life or not _NUMBER.fullmatch(number):
            return _NEVER
        return int(number)

    def _named(self, ids: str) -> frozenset[str]:
        named = frozenset(each.removeprefix(f"{self._site}:") for each in ids.split(",") if each)
        if len(named) > THINGS_PAGE_MAX:
            raise bad_query(f"ids: {len(named)} ids; one request takes at most {THINGS_PAGE_MAX}")
        return named


class _Reader:
    """One reader: what it wants, and how far it has come."""

    def __init__(self, streams: _Streams, selection: Selection, number: int | None) -> None:
        self._streams = streams
        self._changes = streams.changes
        self._selection = selection
        self._begins_now = number is None
        self._number = number or 0

    async def frames(self) -> AsyncIterator[bytes]:
        """Pieces of the stream: what is missing, what follows, or a comment."""
        clock = asyncio.get_running_loop()
        with self._changes.listening():
            if self._begins_now:
                self._number = self._changes.newest
            if self._changes.holds(self._number):
                yield self._streams.mark(self._number)
            due_s = clock.time() + STREAM_COMMENT_S
            while not self._changes.over:
                async for missing in self._missing():
                    yield missing
                piece = await self._next()
                if not piece and clock.time() >= due_s:
                    piece = b":\n" + self._streams.mark(self._number)
                if piece:
                    yield piece
                    due_s = clock.time() + STREAM_COMMENT_S

    async def _next(self) -> bytes:
        """What follows, once it is there; empty after a round that brought nothing."""
        before = self._number
        piece, self._number = self._streams.next_piece(self._selection, before)
        if self._number == before:
            await self._changes.wait()
        elif not piece:
            await asyncio.sleep(0)  # nothing of it is wanted, and there may be more of it
        return piece

    async def _missing(self) -> AsyncIterator[bytes]:
        """The states that stand for changes that are in the ring no more, if there are any."""
        changes = self._changes
        if changes.holds(self._number):
            twins, number = changes.missed(self._number)
        else:
            number, wanted = changes.newest, self._selection.twins
            twins = list(changes.view if wanted is None else wanted)
            yield b"event: resync\ndata: {}\n\n"
        with self._streams.catching_up():
            for start in range(0, len(twins), THINGS_PER_TURN):
                each = twins[start : start + THINGS_PER_TURN]
                yield b"".join([self._streams.state(twin, self._selection) for twin in each])
                await asyncio.sleep(0)
        if number != self._number:
            self._number = number
            yield self._streams.mark(number)


def _selection(request: Request, twins: frozenset[str] | None) -> Selection:
    query = request.query_params
    filtered, fields = query.get("filter", ""), query.get("fields", "")
    try:
        holds = query_of(filtered) if filtered else None
        parts = fields_of(fields) if fields else {}
    except MalformedMessage as error:
        raise malformed(error) from None
    return Selection(twins, filtered, fields, holds, parts)


def _accepts_stream(scope: Scope) -> bool:
    return scope["method"] == "GET" and EVENT_STREAM in Headers(scope=scope).get("accept", "")


def _too_many() -> HTTPException:
    said = f"{STREAM_READERS_MAX} readers follow changes here already."
    full = refusal(503, "api:streams.toomany", said, "Close one of them, or ask again later.")
    full.headers = {"Retry-After": "5"}
    return full
