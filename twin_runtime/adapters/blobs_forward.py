"""Writes of blobs over HTTP at the cloud: sent on, as they come, to the edge that owns the twin.

    PUT, DELETE /api/v1/twins/{id}/blobs/{name}   answered as the owner answers

A piece of the body is held here at a time, and only as many bodies as an edge takes are on
their way. The cloud shows the reference before the writer is answered; the bytes it fetches
later, and is 503 until it has them.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx
from fastapi import APIRouter, HTTPException, Request, Response
from starlette.requests import ClientDisconnect

from twin_runtime.adapters.blobs_http import TOO_LARGE, Name, TwinId, is_too_large, with_writes
from twin_runtime.adapters.forward_http import WHOLE, Forwards, is_twin, with_forwards
from twin_runtime.adapters.http_problem import UNAVAILABLE, parts_of, problem
from twin_runtime.core.limits import BLOB_UPLOADS_MAX

_ANSWERED = ("content-type", "etag", "repr-digest", "retry-after")
_CODES = {404: "unknown_twin", 502: "token"}


@dataclass(slots=True)
class _Blobs:
    forwards: Forwards
    _uploads: int = field(default=0, init=False)

    async def put(self, twin: TwinId, name: Name, request: Request) -> Response:
        """Let the twin refer to the body by this name."""
        del name  # it is in the path
        if is_too_large(request):
            return problem(*TOO_LARGE)
        if self._uploads == BLOB_UPLOADS_MAX:
            return problem(UNAVAILABLE, "busy", f"{BLOB_UPLOADS_MAX} blobs are being sent already")
        self._uploads += 1
        try:
            return await self._forwarded(request, twin, parts_of(request), _length(request))
        except ClientDisconnect:
            return problem(400, "cut_off", "the body ended too early")
        finally:
            self._uploads -= 1

    async def delete(self, twin: TwinId, name: Name, request: Request) -> Response:
        """Let the twin refer to nothing by this name."""
        del name
        return await self._forwarded(request, twin, b"", {})

    async def _forwarded(
        self,
        request: Request,
        twin: str,
        body: bytes | AsyncIterator[bytes],
        headers: dict[str, str],
    ) -> Response:
        try:
            owner, answer = await self.forwards.send(request, twin, body, headers=headers | WHOLE)
            await self.forwards.learn(twin, owner, answer)
        except HTTPException as refused:
            status, said = refused.status_code, refused.detail
            assert isinstance(said, dict), "refused as things are"
            return problem(status, _CODES.get(status, "unavailable"), said["message"])
        return _relayed(answer)


def with_forwarded_writes(router: APIRouter, forwards: Forwards) -> APIRouter:
    """Let `router` send on the writes of things and of blobs."""
    return with_forwarded_blobs(with_forwards(router, forwards), forwards)


def with_forwarded_blobs(router: APIRouter, forwards: Forwards) -> APIRouter:
    """`router` with these routes."""
    blobs = _Blobs(forwards)
    return with_writes(router, blobs.put, blobs.delete)


def _length(request: Request) -> dict[str, str]:
    """How long the body is, if that was said: the owner may refuse it at once."""
    length = request.headers.get("content-length")
    return {} if length is None else {"Content-Length": length}


def _relayed(answer: httpx.Response) -> Response:
    """The owner's answer as ours: what it says of the twin was for us."""
    headers = {name: answer.headers[name] for name in _ANSWERED if name in answer.headers}
    if not is_twin(answer):
        return Response(answer.content, answer.status_code, headers)
    del headers["content-type"]
    return Response(status_code=201 if answer.status_code == 201 else 204, headers=headers)  # noqa: PLR2004
