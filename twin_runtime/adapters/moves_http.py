"""HTTP for moving twins, at the cloud.

    POST /api/v1/moves   {"twin": "d-1", "to": "e-2"}: 202 once the move is durable; repeating
                         it does no harm

Errors are problems in the sense of RFC 9457.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import to_json

from twin_runtime.core.effects import Move, Refused
from twin_runtime.core.errors import Unavailable
from twin_runtime.core.ids import EDGE_PATTERN, TWIN_PATTERN
from twin_runtime.core.limits import PACKET_BYTES_MAX

Ask = Callable[[Move], Awaitable[Refused | None]]

_STATUS = {"unknown_twin": 404, "unknown_edge": 404, "busy": 409}


class MoveRequest(BaseModel):
    """Which twin, and the edge that is to own it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    twin: Annotated[str, Field(pattern=TWIN_PATTERN)]
    to: Annotated[str, Field(pattern=EDGE_PATTERN)]


def moves_router(ask: Ask) -> APIRouter:
    """The routes of moves; `ask` puts a request before the machine."""
    router = APIRouter()

    @router.post("/api/v1/moves", status_code=202)
    async def move(request: Request) -> Response:
        """Let another edge own a twin."""
        body = await _body(request)
        if len(body) > PACKET_BYTES_MAX:
            return _problem(413, "too_large", f"a request is at most {PACKET_BYTES_MAX} bytes")
        try:
            wanted = MoveRequest.model_validate_json(body)
        except ValidationError as error:
            return _problem(400, "bad_request", _in_words(error))
        try:
            refused = await ask(Move(wanted.twin, wanted.to))
        except Unavailable as unavailable:
            return _problem(503, "unavailable", str(unavailable))
        if refused is not None:
            return _problem(_STATUS.get(refused.code, 409), refused.code, refused.message)
        return Response(wanted.model_dump_json(), 202, media_type="application/json")

    return router


async def _body(request: Request) -> bytes:
    """The body, read no further than to know that it is too large."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > PACKET_BYTES_MAX:
            break
    return body


def _in_words(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(map(str, first["loc"])) or "the body"
    example = '{"twin": "d-1", "to": "e-2"}'
    return f"{where}: {first['msg']}; send {example}"


def _problem(status: int, code: str, detail: str) -> Response:
    body = {"type": f"urn:diten:{code}", "title": code.replace("_", " "), "status": status}
    headers = {"Retry-After": "1"} if status == 503 else {}  # noqa: PLR2004 - unavailable
    return Response(
        to_json({**body, "detail": detail}), status, headers, "application/problem+json"
    )
