"""Writes over HTTP at the cloud: sent on to the edge that owns the twin, answered as it answers.

The directory knows the owner, and the owner has said where it serves HTTP. A twin that is
being activated is waited for, a little; an owner that is away, or has just let go of the twin,
is 503: nothing is stored here, so nothing can be lost here. PUT of a thing that nobody has
heard of lets the directory make its twin first.
"""

import asyncio
from dataclasses import dataclass, field
from typing import NamedTuple

import httpx
from fastapi import APIRouter, HTTPException, Request, Response

from twin_runtime.adapters.commits_http import Ask
from twin_runtime.adapters.ditto_http import no_thing, refusal
from twin_runtime.adapters.writes_http import (
    Conditions,
    content_of,
    has_body,
    twin_of,
    unavailable_now,
    writing_router,
)
from twin_runtime.core import effects
from twin_runtime.core.effects import Answer, CreateTwin, WhoOwns
from twin_runtime.core.errors import Unavailable
from twin_runtime.core.limits import (
    ANSWER_S,
    FORWARD_CONNECT_S,
    FORWARD_IDLE_S,
    FORWARD_OWNER_S,
    FORWARD_PAUSE_S,
    FORWARDS_MAX,
)

_SENT_ON = ("content-type", "if-match", "if-none-match")
_ANSWERED = ("content-type", "etag", "retry-after")


class _Owner(NamedTuple):
    edge: str
    api: str
    is_new: bool  # the twin was made for this request


def edge_client() -> httpx.AsyncClient:
    """A client of edges; edges are reached directly, whatever proxy the environment names."""
    limits = httpx.Limits(max_connections=FORWARDS_MAX, keepalive_expiry=FORWARD_IDLE_S)
    return httpx.AsyncClient(limits=limits, trust_env=False)


@dataclass(slots=True)
class Forwards:
    """`ask` puts a request before the cloud's machine; `token` is what edges want."""

    ask: Ask
    site: str
    client: httpx.AsyncClient
    token: str | None
    _under_way: int = field(default=0, init=False)

    async def edit(
        self, request: Request, thing_id: str, path: tuple[str, ...], said: Conditions
    ) -> Response:
        """See `Carrier.edit`."""
        twin = twin_of(thing_id, self.site)
        said.guard(), said.valid_for_s()  # a mistake is found before anything is made
        makes = request.method == "PUT" and not path and said.if_match is None
        return await self._forward(request, twin, said.patience_s() or 0.0, makes=makes)

    async def command(
        self, request: Request, thing_id: str, subject: str, within_s: float
    ) -> Response:
        """See `Carrier.command`."""
        del subject  # it is in the path
        return await self._forward(request, twin_of(thing_id, self.site), within_s, makes=False)

    async def _forward(
        self, request: Request, twin: str, within_s: float, *, makes: bool
    ) -> Response:
        body = await _body(request)
        if self._under_way >= FORWARDS_MAX:
            raise unavailable_now(f"{FORWARDS_MAX} writes are on their way to edges already.")
        self._under_way += 1
        try:
            owner = await self._owner(twin, makes=makes)
            answer = await self._send(request, owner, body, within_s)
        finally:
            self._under_way -= 1
        return _relayed(request, owner, answer)

    async def _owner(self, twin: str, *, makes: bool) -> _Owner:
        is_new = False
        for _ in range(round(FORWARD_OWNER_S / FORWARD_PAUSE_S)):
            found = await self._asked(WhoOwns(twin))
            if found.refused is None and found.value["phase"] != "activating":
                return self._reached(found.value, is_new=is_new)
            if found.refused is not None:
                if not makes:
                    raise no_thing(twin)
                made = await self._asked(CreateTwin(twin))
                if made.refused is not None:
                    raise unavailable_now(f"{made.refused.message}.")
                is_new = True
            await asyncio.sleep(FORWARD_PAUSE_S)
        raise unavailable_now(f"{twin} is on its way to its edge.")

    def _reached(self, where: dict[str, str], *, is_new: bool) -> _Owner:
        edge, api = where["owner"], where.get("api")
        if api is None:
            raise unavailable_now(f"{edge} has not said where it serves HTTP ([http] advertise).")
        return _Owner(edge, api, is_new)

    async def _send(
        self, request: Request, owner: _Owner, body: bytes, within_s: float
    ) -> httpx.Response:
        headers = {name: request.headers[name] for name in _SENT_ON if name in request.headers}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        patience = httpx.Timeout(within_s + 2 * ANSWER_S, connect=FORWARD_CONNECT_S)
        url = owner.api + request.scope["raw_path"].decode("latin-1").partition("?")[0]
        url += f"?{request.url.query}" if request.url.query else ""
        try:
            return await self.client.request(
                request.method, url, content=body, headers=headers, timeout=patience
            )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
            raise unavailable_now(f"{owner.edge}, which owns it, cannot be reached.") from None
        except httpx.TransportError:
            text = f"{owner.edge} broke off: read whether it is done before asking again."
            raise unavailable_now(text) from None

    async def _asked(self, wanted: effects.Request) -> Answer:
        try:
            return await self.ask(wanted)
        except Unavailable as unavailable:
            raise unavailable_now(f"{unavailable}.") from None


async def _body(request: Request) -> bytes:
    if request.method == "DELETE" or not has_body(request):
        return b""
    return (await content_of(request)).raw


def _relayed(request: Request, owner: _Owner, answer: httpx.Response) -> Response:
    """The owner's answer as ours."""
    if problem := _misled(owner, answer):
        raise problem
    headers = {name: answer.headers[name] for name in _ANSWERED if name in answer.headers}
    status = answer.status_code
    if status == 201 or (owner.is_new and status == 204):  # noqa: PLR2004 - a thing was made
        status, headers["Location"] = 201, request.url.path
    return Response(answer.content, status, headers)


def _misled(owner: _Owner, answer: httpx.Response) -> HTTPException | None:
    """Why the owner's answer is not one to the request."""
    error = b'"error":"'
    if answer.status_code in (401, 403) and error + b"gateway:" in answer.content:
        text = f"{owner.edge} has another token than the cloud."
        return refusal(502, "gateway:token", text, "Give both the same in their [http] tables.")
    if answer.is_redirect or error + b"things:thing.notfound" in answer.content:
        return unavailable_now(f"{owner.edge} has just let go of it.")
    return None


def with_forwards(router: APIRouter, forwards: Forwards) -> APIRouter:
    """`router` with the routes of writes, which are forwarded."""
    router.include_router(writing_router(forwards))
    return router
