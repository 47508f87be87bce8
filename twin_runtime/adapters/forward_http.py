"""Writes over HTTP at the cloud: sent on to the edge that owns the twin, answered as it answers.

The directory knows the owner, and the owner has said where it serves HTTP. A twin that is
being activated is waited for, a little; an owner that is away, or has just let go of the twin,
is 503: nothing is stored here, so nothing can be lost here. PUT of a thing that nobody has
heard of lets the directory make its twin first, once it is known that the twin will take it.

An edit is answered by the owner with the whole twin, which is shown here before the writer has
the answer: whoever wrote here reads here what was written.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import httpx
from fastapi import APIRouter, HTTPException, Request, Response

from twin_runtime.adapters.commits_http import Ask, edit_of, refused_as
from twin_runtime.adapters.ditto_http import no_thing, path_as_sent, refusal
from twin_runtime.adapters.http_problem import has_body
from twin_runtime.adapters.writes_http import (
    TWIN_TYPE,
    Conditions,
    content_of,
    twin_of,
    unavailable_now,
    writing_router,
)
from twin_runtime.core import effects
from twin_runtime.core.edit import edit
from twin_runtime.core.effects import Answer, CreateTwin, Edit, Learn, Refused, WhoOwns
from twin_runtime.core.errors import Unavailable
from twin_runtime.core.etag import thing_tag
from twin_runtime.core.ids import TwinId
from twin_runtime.core.limits import (
    ANSWER_S,
    FORWARD_CONNECT_S,
    FORWARD_IDLE_S,
    FORWARD_OWNER_S,
    FORWARD_PAUSE_S,
    FORWARDS_MAX,
)
from twin_runtime.core.twin import Twin

_SENT_ON = (
    *("content-type", "if-match", "if-none-match"),
    *("condition", "requested-acks", "timeout", "valid-for"),
)
_ANSWERED = ("content-type", "etag", "retry-after")
_PLAIN = {"Accept": "*/*"}
WHOLE = {"Accept": TWIN_TYPE}  # asks an edge to answer a write with the whole twin


class Owner(NamedTuple):
    """Who has a twin, and where it answers."""

    edge: str
    api: str
    untouched: str = ""  # the tag of a twin that was made for this request


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
        wanted, body = await edit_of(request, twin, path, said, self.site)
        within_s = said.patience_s() or 0.0
        owner, answer = await self.send(request, twin, body, within_s, WHOLE, _made_by(wanted))
        await self.learn(twin, owner, answer)
        return _relayed(request, owner, answer, body)

    async def command(
        self, request: Request, thing_id: str, subject: str, within_s: float
    ) -> Response:
        """See `Carrier.command`."""
        del subject  # it is in the path
        twin, body = twin_of(thing_id, self.site), await _body(request)
        owner, answer = await self.send(request, twin, body, within_s)
        return _relayed(request, owner, answer, body)

    async def send(
        self,
        request: Request,
        twin: str,
        body: bytes | AsyncIterator[bytes],
        within_s: float = 0.0,
        headers: Mapping[str, str] = _PLAIN,
        making: Edit | None = None,
    ) -> tuple[Owner, httpx.Response]:
        """What the owner of a twin answers to a request that comes with these `headers` too; a
        twin that is not known is made if it could take what is `making` it. 404, 502 or 503
        where its owner cannot be asked."""
        if self._under_way >= FORWARDS_MAX:
            raise unavailable_now(f"{FORWARDS_MAX} writes are on their way to edges already.")
        self._under_way += 1
        try:
            owner = await self._owner(twin, making)
            answer = await self._sent(request, owner, body, within_s, headers)
        finally:
            self._under_way -= 1
        if problem := _misled(owner, answer):
            raise problem
        return owner, answer

    async def learn(self, twin: str, owner: Owner, answer: httpx.Response) -> None:
        """Show the twin that an edge answered with, or 503 if it is its owner's no more."""
        if not is_twin(answer):
            return
        with suppress(Unavailable):  # it is written, and will be shown when it is published
            learnt = await self.ask(Learn(twin, answer.content))
            if learnt.refused is not None:
                text = f"{owner.edge} has let go of it meanwhile"
                raise unavailable_now(f"{text}: read whether it is done before asking again.")

    async def _owner(self, twin: str, making: Edit | None) -> Owner:
        is_new = False
        for _ in range(round(FORWARD_OWNER_S / FORWARD_PAUSE_S)):
            found = await self._asked(WhoOwns(twin))
            if found.refused is None and found.value["phase"] != "activating":
                return _reached(found.value, is_new=is_new)
            if found.refused is not None:
                await self._make(twin, making)
                is_new = True
            await asyncio.sleep(FORWARD_PAUSE_S)
        raise unavailable_now(f"{twin} is on its way to its edge.")

    async def _make(self, twin: str, making: Edit | None) -> None:
        """Have a twin made that will take what is `making` it: there is no way to unmake one."""
        if making is None:
            raise no_thing(twin)
        if isinstance(refused := edit(Twin(TwinId(twin), epoch=0), making, 0), Refused):
            raise refused_as(refused, making)
        made = await self._asked(CreateTwin(twin))
        if made.refused is not None:
            raise unavailable_now(f"{made.refused.message}.")

    async def _sent(
        self,
        request: Request,
        owner: Owner,
        body: bytes | AsyncIterator[bytes],
        within_s: float,
        also: Mapping[str, str],
    ) -> httpx.Response:
        headers = {name: request.headers[name] for name in _SENT_ON if name in request.headers}
        if owner.untouched and "if-none-match" in headers:
            del headers["if-none-match"]
            headers["if-match"] = owner.untouched  # nobody wrote it first, nor did its device
        headers |= also
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        patience = httpx.Timeout(within_s + 2 * ANSWER_S, connect=FORWARD_CONNECT_S)
        url = owner.api + path_as_sent(request)
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


def _made_by(wanted: Edit) -> Edit | None:
    """An edit that a thing may begin with: it is whole, and asks for nothing that was before."""
    is_whole = wanted.method == "put" and not wanted.path
    return wanted if is_whole and not wanted.guard.if_match and not wanted.guard.holds else None


def _reached(where: dict[str, Any], *, is_new: bool) -> Owner:
    edge, api = where["owner"], where.get("api")
    if api is None:
        raise unavailable_now(f"{edge} has not said where it serves HTTP ([http] advertise).")
    return Owner(edge, api, _tag_of_nothing(where["epoch"]) if is_new else "")


def _tag_of_nothing(epoch: int) -> str:
    """The tag of a twin of which nobody has said anything."""
    return thing_tag({"epoch": epoch, "revision": 0, "features": {}})


async def _body(request: Request) -> bytes:
    if not has_body(request):
        return b""
    return (await content_of(request)).raw


def _relayed(request: Request, owner: Owner, answer: httpx.Response, body: bytes) -> Response:
    """The owner's answer as ours: what it says of the twin was for us."""
    headers = {name: answer.headers[name] for name in _ANSWERED if name in answer.headers}
    status, content = answer.status_code, answer.content
    if is_twin(answer):
        status, content = (201, body) if status == 201 else (204, b"")  # noqa: PLR2004
    if owner.untouched and status == 204:  # noqa: PLR2004
        status, content = 201, body
    if status == 201:  # noqa: PLR2004
        headers |= {"location": path_as_sent(request), "content-type": "application/json"}
    if not content:
        headers.pop("content-type", None)
    return Response(content, status, headers)


def is_twin(answer: httpx.Response) -> bool:
    """Whether an edge answered a write with the whole twin."""
    return bool(answer.headers.get("content-type") == TWIN_TYPE)


def _misled(owner: Owner, answer: httpx.Response) -> HTTPException | None:
    """Why the owner's answer is not one to the request."""
    if answer.status_code in (401, 403) and _says(answer, _NO_TOKEN):
        text = f"{owner.edge} has another token than the cloud."
        return refusal(502, "gateway:token", text, "Give both the same in their [http] tables.")
    if answer.is_redirect or _says(answer, _NOT_HERE):
        return unavailable_now(f"{owner.edge} has just let go of it.")
    return None


def _says(answer: httpx.Response, codes: tuple[bytes, ...]) -> bool:
    return any(code in answer.content for code in codes)


# As things and as problems say it.
_NOT_HERE = b'"error":"things:thing.notfound"', b'"type":"urn:diten:unknown_twin"'
_NO_TOKEN = b'"error":"gateway:', b'"type":"urn:diten:unauth', b'"type":"urn:diten:forbidden"'


def with_forwards(router: APIRouter, forwards: Forwards) -> APIRouter:
    """`router` with the routes of writes, which are forwarded."""
    router.include_router(writing_router(forwards))
    return router
