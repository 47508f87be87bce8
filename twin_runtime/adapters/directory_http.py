"""HTTP for the directory, at the cloud: moves, edges, and what happened.

    POST /api/v1/moves                 {"twin": "d-1", "to": "e-2"}: 202 once the move is durable;
                                       repeated with its Idempotency-Key it is the same move
    GET  /api/v1/twins?after=N         each twin's edge and presence, in the order in which they
                                       changed, after change N; ask on with `next`
    GET  /api/v1/twins/{id}            which edge owns it, at which epoch, where it is going
    GET  /api/v1/edges                 the edges, their states, how many twins each has
    POST /api/v1/edges/{id}/drain      its twins move elsewhere, and it gets no others
    POST /api/v1/edges/{id}/lost       its twins are given to others, from their checkpoints
    POST /api/v1/edges/{id}/resume     it serves again
    GET  /api/v1/events?after=N        what the directory decided after event N, in order;
                                       without `after` the newest

Errors are problems in the sense of RFC 9457.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import to_json
from starlette.requests import ClientDisconnect

from twin_runtime.adapters.http_problem import (
    JSON,
    OUR_PREFIX,
    PROBLEMS,
    UNAVAILABLE,
    has_body,
    problem,
    small_body,
    unsupported,
)
from twin_runtime.core import effects
from twin_runtime.core.effects import (
    Answer,
    EdgeState,
    ListEdges,
    ListTwins,
    Move,
    NewestEvent,
    SetEdge,
    WhoOwns,
)
from twin_runtime.core.errors import Unavailable
from twin_runtime.core.ids import EDGE_PATTERN, TWIN_PATTERN
from twin_runtime.core.limits import (
    EVENTS_PAGE_MAX,
    MOVE_KEY_CHARS_MAX,
    PACKET_BYTES_MAX,
    TWINS_PAGE_MAX,
)
from twin_runtime.core.scalar import INTEGER_MAX
from twin_runtime.ports import LogEntry

Ask = Callable[[effects.Request], Awaitable[Answer]]
Scan = Callable[[int, int], list[LogEntry]]

_STATUS = {"unknown_twin": 404, "unknown_edge": 404, "key_reused": 422}
_CONFLICT = 409
_EVENTS_DEFAULT = 100
_EXAMPLE = {"twin": "d-1", "to": "e-2"}

EdgeId = Annotated[str, Path(pattern=EDGE_PATTERN)]
TwinId = Annotated[str, Path(pattern=TWIN_PATTERN)]
Key = Annotated[str, Header(alias="Idempotency-Key", max_length=MOVE_KEY_CHARS_MAX)]
After = Annotated[int | None, Query(ge=0, le=INTEGER_MAX)]
Change = Annotated[int, Query(ge=0, le=INTEGER_MAX)]
TwinsLimit = Annotated[int, Query(ge=1, le=TWINS_PAGE_MAX)]
Limit = Annotated[int, Query(ge=1, le=EVENTS_PAGE_MAX)]


class MoveRequest(BaseModel):
    """Which twin, and the edge that is to own it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    twin: Annotated[str, Field(pattern=TWIN_PATTERN)]
    to: Annotated[str, Field(pattern=EDGE_PATTERN)]


class _Directory:
    """The handlers. `ask` puts a request before the machine; `scan(after, limit)` reads the
    log of events."""

    def __init__(self, ask: Ask, scan: Scan) -> None:
        self._ask = ask
        self._scan = scan

    async def move(self, request: Request, key: Key = "") -> Response:
        """Let another edge own a twin."""
        if text := unsupported(request, (JSON,)):
            return problem(415, "unsupported_media_type", text)
        try:
            body = await small_body(request)
        except ClientDisconnect:
            return problem(400, "cut_off", "the body was cut off")
        if len(body) > PACKET_BYTES_MAX:
            return problem(413, "too_large", f"a request is at most {PACKET_BYTES_MAX} bytes")
        try:
            wanted = MoveRequest.model_validate_json(body)
        except ValidationError as error:
            return problem(400, "bad_request", _in_words(error))
        return await self._answered(
            Move(wanted.twin, wanted.to, key), {"twin": wanted.twin, "to": wanted.to}, 202
        )

    async def twin(self, twin: TwinId) -> Response:
        """Which edge owns a twin, at which epoch, and where it is going."""
        return await self._answered(WhoOwns(twin))

    async def twins(self, after: Change = 0, limit: TwinsLimit = TWINS_PAGE_MAX) -> Response:
        """Each twin's edge and presence, in the order in which they changed; go on with `next`."""
        return await self._answered(ListTwins(after, limit))

    async def edges(self) -> Response:
        """The edges, their states, how many twins each has."""
        return await self._answered(ListEdges())

    async def drain(self, request: Request, edge: EdgeId) -> Response:
        """Let all twins of an edge move elsewhere, and give it no others."""
        return await self._set(request, edge, "draining")

    async def lost(self, request: Request, edge: EdgeId) -> Response:
        """Give the twins of an edge that will not come back soon to others."""
        return await self._set(request, edge, "lost")

    async def resume(self, request: Request, edge: EdgeId) -> Response:
        """Let an edge serve again."""
        return await self._set(request, edge, "serving")

    async def _set(self, request: Request, edge: str, state: EdgeState) -> Response:
        if has_body(request) and (text := unsupported(request, (JSON,))):
            return problem(415, "unsupported_media_type", text)
        return await self._answered(SetEdge(edge, state), {"edge": edge, "state": state})

    async def events(self, after: After = None, limit: Limit = _EVENTS_DEFAULT) -> Response:
        """What the directory decided, in order; ask on with `next` as `after`."""
        if after is None:
            try:
                newest = await self._ask(NewestEvent())
            except Unavailable as unavailable:
                return problem(UNAVAILABLE, "unavailable", str(unavailable))
            after = max(newest.value - limit, 0)
        found = await asyncio.to_thread(self._scan, after, limit)
        events = b",".join(entry.value for entry in found)
        last = found[-1].number if found else after
        return _json(b'{"events":[%b],"next":%d}' % (events, last))

    async def _answered(
        self, request: effects.Request, done: dict[str, str] | None = None, status: int = 200
    ) -> Response:
        try:
            answer = await self._ask(request)
        except Unavailable as unavailable:
            return problem(UNAVAILABLE, "unavailable", str(unavailable))
        if answer.refused is not None:
            code, message = answer.refused
            return problem(_STATUS.get(code, _CONFLICT), code, message)
        return _json(to_json(answer.value if done is None else done), status)


def directory_router(ask: Ask, scan: Scan) -> APIRouter:
    """The routes; see `_Directory` for the arguments."""
    router = APIRouter(prefix=OUR_PREFIX.rstrip("/"), responses=PROBLEMS)
    directory = _Directory(ask, scan)
    asked = {"content": {JSON: {"schema": MoveRequest.model_json_schema(), "example": _EXAMPLE}}}
    extra = {"requestBody": {"required": True, **asked}}
    router.add_api_route(
        "/moves", directory.move, methods=["POST"], status_code=202, openapi_extra=extra
    )
    router.add_api_route("/twins", directory.twins)
    router.add_api_route("/twins/{twin}", directory.twin)
    router.add_api_route("/edges", directory.edges)
    router.add_api_route("/edges/{edge}/drain", directory.drain, methods=["POST"])
    router.add_api_route("/edges/{edge}/lost", directory.lost, methods=["POST"])
    router.add_api_route("/edges/{edge}/resume", directory.resume, methods=["POST"])
    router.add_api_route("/events", directory.events)
    return router


def _json(body: bytes, status: int = 200) -> Response:
    return Response(body, status, media_type="application/json")


def _in_words(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(map(str, first["loc"])) or "the body"
    return f"{where}: {first['msg']}; send {json.dumps(_EXAMPLE)}"
