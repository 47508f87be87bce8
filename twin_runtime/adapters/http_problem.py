"""What our own routes share: problems in the sense of RFC 9457, and bodies with a bound."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from typing import Any

from fastapi import Request, Response
from pydantic_core import to_json
from starlette.requests import ClientDisconnect

from twin_runtime.core.limits import BODY_STALLED_S, PACKET_BYTES_MAX

OUR_PREFIX = "/api/v1/"  # below it errors are problems; elsewhere they are Ditto's
UNAVAILABLE = 503
JSON = "application/json"
_PROBLEM = "application/problem+json"
# What each of our routes answers but for what it says itself, for its documentation.
PROBLEMS: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "A problem (RFC 9457).",
        "content": {
            _PROBLEM: {
                "schema": {
                    "type": "object",
                    "properties": {
                        "type": {"type": "string"},
                        "title": {"type": "string"},
                        "status": {"type": "integer"},
                        "detail": {"type": "string"},
                    },
                    "required": ["type", "title", "status", "detail"],
                }
            }
        },
    }
}


def problem(status: int, code: str, detail: str) -> Response:
    """A problem of the type `urn:diten:CODE`; one that passes says when to ask again."""
    body = {"type": f"urn:diten:{code}", "title": code.replace("_", " "), "status": status}
    headers = {"Retry-After": "1"} if status == UNAVAILABLE else {}
    return Response(to_json({**body, "detail": detail}), status, headers, _PROBLEM)


def unsupported(request: Request, kinds: Collection[str]) -> str:
    """Why a body of the type that it is said to have is not taken; empty: it is."""
    kind = request.headers.get("content-type", JSON).partition(";")[0].strip()
    if kind.lower() in kinds:
        return ""
    return f"A body of {kind[:60]!r} cannot be used. Send {' or '.join(sorted(kinds))}."


def has_body(request: Request) -> bool:
    """Whether anything comes beside the head."""
    headers = request.headers
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


async def small_body(request: Request) -> bytes:
    """The body, read no further than to know that it is over `PACKET_BYTES_MAX`.

    Raises:
        ClientDisconnect: see `parts_of`.
    """
    body = b""
    async for part in parts_of(request):
        body += part
        if len(body) > PACKET_BYTES_MAX:
            break
    return body


async def parts_of(request: Request) -> AsyncIterator[bytes]:
    """The body as it comes.

    Raises:
        ClientDisconnect: it is cut off, or nothing of it came for `BODY_STALLED_S`.
    """
    stream = request.stream()
    while (part := await _next(stream)) is not None:
        yield part


async def _next(stream: AsyncGenerator[bytes, None]) -> bytes | None:
    try:
        async with asyncio.timeout(BODY_STALLED_S):
            return await anext(stream, None)
    except TimeoutError:
        raise ClientDisconnect from None
