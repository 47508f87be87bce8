"""HTTP for blobs: read wherever they are, written at the edge that owns the twin.

    GET    /api/v1/twins/{id}/blobs/{name}   the bytes; `ETag` is their SHA-256, and
                                             If-None-Match gives 304
    HEAD   the same, without the bytes
    PUT    the bytes are stored, then the twin refers to them: 201, or 204 where it referred to
           others by that name; both are on disk then
    DELETE the twin refers to them no more: 204

A body is written to a file as it comes and never held in memory; what is too large is refused
as soon as that is known. While a twin moves, writes are answered 503 with `Retry-After`, as is
the reading of a blob that is still on its way here. Errors are problems in the sense of
RFC 9457.
"""

from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, BinaryIO, Protocol

from fastapi import APIRouter, Header, Path, Request, Response
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect

from twin_runtime.adapters.blob_files import BlobFiles, Upload
from twin_runtime.adapters.blob_threads import BlobThreads
from twin_runtime.adapters.ditto_http import Endpoint, Said, read
from twin_runtime.adapters.http_problem import OUR_PREFIX, PROBLEMS, UNAVAILABLE, parts_of, problem
from twin_runtime.adapters.writes_http import TWIN_TYPE
from twin_runtime.core.effects import Answer, Attach
from twin_runtime.core.errors import BlobsFull, Unavailable
from twin_runtime.core.ids import FEATURE_PATTERN, TWIN_PATTERN
from twin_runtime.core.limits import BLOB_BYTES_MAX, BLOB_PIECE_BYTES, BLOB_UPLOADS_MAX
from twin_runtime.core.messages import BlobRef

PATH = f"{OUR_PREFIX}twins/{{twin}}/blobs/{{name}}"
_STATUS = {"unknown_twin": 404, "unknown_blob": 404, "moving": UNAVAILABLE}
_CONFLICT = 409
_BYTES = "application/octet-stream"
_HEADERS = {
    "ETag": {"description": "The SHA-256 of the bytes.", "schema": {"type": "string"}},
    "Repr-Digest": {"description": "The same (RFC 9530).", "schema": {"type": "string"}},
}
_READ: Said = {
    200: {"description": "The bytes.", "headers": _HEADERS, "content": {_BYTES: {"schema": {}}}},
    304: {"description": "They are those of If-None-Match.", "headers": _HEADERS},
}
_WRITTEN: Said = {204: {"description": "It is on the owner's disk."}}
_MADE: Said = {201: {"description": "There was nothing by that name.", "headers": _HEADERS}}
TOO_LARGE = (413, "too_large", f"a blob is at most {BLOB_BYTES_MAX} bytes")

Ask = Callable[[Attach], Awaitable[Answer]]
TwinId = Annotated[str, Path(pattern=TWIN_PATTERN)]
Name = Annotated[str, Path(pattern=FEATURE_PATTERN)]


class Documented(Protocol):
    """A committed twin, as the view holds it."""

    def document(self) -> dict[str, Any]: ...


class _Refusal(Exception):
    """A body that is not taken: its status, code and reason."""


@dataclass(slots=True)
class BlobRoutes:
    """Who answers: `view` has the committed twins, `ask` puts a request before the machine,
    `verify` says whether a blob is intact."""

    files: BlobFiles
    threads: BlobThreads
    view: Mapping[str, Documented]
    ask: Ask
    verify: Callable[[str], Awaitable[bool]]
    _uploads: int = field(default=0, init=False)

    async def get(
        self,
        twin: TwinId,
        name: Name,
        request: Request,
        if_none_match: Annotated[str | None, Header()] = None,
    ) -> Response:
        """A blob's bytes."""
        found = self._find(twin, name)
        if isinstance(found, Response):
            return found
        headers = _headers(found)
        if if_none_match is not None and headers["ETag"] in if_none_match:
            return Response(status_code=304, headers=headers)
        headers["Content-Length"] = str(found.bytes)
        file = await self._opened(found.sha256)
        if file is None:
            return problem(UNAVAILABLE, "on_its_way", f"{name!r} of {twin} is not here yet")
        if request.method == "HEAD":
            file.close()
            return Response(headers=headers, media_type=_BYTES)
        pieces = self._pieces(file)
        return StreamingResponse(pieces, headers=headers, media_type=_BYTES)

    async def put(self, twin: TwinId, name: Name, request: Request) -> Response:
        """Let the twin refer to the body by this name."""
        shown = self.view.get(twin)
        if shown is None:
            return _unknown_twin(twin)
        if self._uploads == BLOB_UPLOADS_MAX:
            return problem(UNAVAILABLE, "busy", f"{BLOB_UPLOADS_MAX} blobs are being sent already")
        is_new = name not in shown.document().get("blobs", {})
        self._uploads += 1
        try:
            ref = await self._receive(request)
        except _Refusal as refusal:
            return problem(*refusal.args)
        except BlobsFull as full:
            return problem(507, "full", str(full))
        except Unavailable as unavailable:
            return problem(UNAVAILABLE, "unavailable", str(unavailable))
        finally:
            self._uploads -= 1
        wanted, status = Attach(twin, name, ref), 201 if is_new else 204
        return await self._attach(request, wanted, status, _headers(ref))

    async def delete(self, twin: TwinId, name: Name, request: Request) -> Response:
        """Let the twin refer to nothing by this name."""
        if twin not in self.view:
            return _unknown_twin(twin)
        return await self._attach(request, Attach(twin, name, None), 204, {})

    async def _attach(
        self, request: Request, wanted: Attach, status: int, headers: dict[str, str]
    ) -> Response:
        try:
            answer = await self.ask(wanted)
        except Unavailable as unavailable:
            return problem(UNAVAILABLE, "unavailable", str(unavailable))
        if answer.refused is not None:
            code, text = answer.refused
            return problem(_STATUS.get(code, _CONFLICT), code, text)
        if request.headers.get("accept") == TWIN_TYPE:
            return Response(answer.value, 201 if status == 201 else 200, headers, TWIN_TYPE)  # noqa: PLR2004
        return Response(status_code=status, headers=headers)

    def _find(self, twin: str, name: str) -> BlobRef | Response:
        shown = self.view.get(twin)
        if shown is None:
            return _unknown_twin(twin)
        ref = shown.document().get("blobs", {}).get(name)
        if ref is None:
            return problem(404, "unknown_blob", f"{twin} has no blob {name!r}")
        return BlobRef(**ref)

    async def _opened(self, sha256: str) -> BinaryIO | None:
        """An intact blob to be read; None: it is not here, or not any more."""
        with suppress(Unavailable):
            if await self.verify(sha256):
                return await self.threads.do(partial(self.files.open, sha256))
        return None

    async def _pieces(self, file: BinaryIO) -> AsyncIterator[bytes]:
        with closing(file):
            while piece := await self.threads.do(partial(file.read, BLOB_PIECE_BYTES)):
                yield piece

    async def _receive(self, request: Request) -> BlobRef:
        """The body as a blob on the disk."""
        if is_too_large(request):
            raise _Refusal(*TOO_LARGE)
        upload = await self.threads.do(self.files.upload)
        try:
            await self._write(request, upload)
            return await self.threads.do(upload.finish)
        except BaseException:
            await self.threads.do(upload.abandon)
            raise

    async def _write(self, request: Request, upload: Upload) -> None:
        piece, came = bytearray(), 0
        try:
            async for part in parts_of(request):
                piece += part
                came += len(part)
                if came > BLOB_BYTES_MAX:
                    raise _Refusal(*TOO_LARGE)
                if len(piece) >= BLOB_PIECE_BYTES:
                    await self.threads.do(partial(upload.write, bytes(piece)))
                    piece.clear()
        except ClientDisconnect:
            raise _Refusal(400, "cut_off", f"the body ended after {came} bytes") from None
        if came == 0:
            raise _Refusal(400, "empty", "a blob has at least one byte; send it as the body")
        if piece:
            await self.threads.do(partial(upload.write, bytes(piece)))


def reading(routes: BlobRoutes) -> APIRouter:
    """For where twins are only shown."""
    router = APIRouter(responses=PROBLEMS)
    read(router, PATH, routes.get, _READ, Response)
    return router


def writing(routes: BlobRoutes) -> APIRouter:
    """For where twins are owned."""
    return with_writes(reading(routes), routes.put, routes.delete)


def with_writes(router: APIRouter, put: Endpoint, delete: Endpoint) -> APIRouter:
    """`router` with these two routes."""
    body = {"requestBody": {"required": True, "content": {_BYTES: {"schema": {"minLength": 1}}}}}
    said: dict[str, Any] = {"status_code": 204, "response_class": Response}
    both: Said = {**PROBLEMS, **_WRITTEN}
    router.add_api_route(
        PATH, put, methods=["PUT"], responses={**both, **_MADE}, openapi_extra=body, **said
    )
    router.add_api_route(PATH, delete, methods=["DELETE"], responses=both, **said)
    return router


def _headers(ref: BlobRef) -> dict[str, str]:
    digest = b64encode(bytes.fromhex(ref.sha256)).decode()
    return {"ETag": f'"{ref.sha256}"', "Repr-Digest": f"sha-256=:{digest}:"}


def _unknown_twin(twin: str) -> Response:
    return problem(404, "unknown_twin", f"{twin} is not known here; an edge knows its own twins")


def is_too_large(request: Request) -> bool:
    """Whether a body says that it is no blob."""
    return int(request.headers.get("content-length", "0")) > BLOB_BYTES_MAX
