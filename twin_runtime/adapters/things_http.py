"""HTTP for reading: things in the dialect of Eclipse Ditto, health and metrics.

Everything is answered on the event loop from the committed view, so a reader never sees
what a crash could take back, and never waits for the store. A list is the only answer
that grows with the fleet; it is served in pages, and the loop gets its turn between the
parts of a page, so that a reader cannot delay an acknowledgement.

    GET /api/2/things               a page: `limit`, `cursor`; the next page is in `Link`
    GET /api/2/things?ids=a,b       these things, as far as they exist
    GET /api/2/things/{id}          one thing; `ETag: "rev:E.N"`, If-None-Match gives 304;
                                    live values, which change without a revision, add
                                    their digest: `"rev:E.N.1a2b3c4d"`
    GET /healthz, /readyz, /metrics

An id in a path is `site:twin` or the twin alone. Errors have Ditto's body.

`bind` and `serve` run the app on a socket and an event loop that are the process's own:
a stop reaches us as the cancellation of `serve`, so uvicorn's signal handlers are off.
"""

import asyncio
import contextlib
import errno
import heapq
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Protocol
from urllib.parse import urlencode

import uvicorn
from fastapi import FastAPI, Header, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic_core import to_json
from starlette.exceptions import HTTPException as AnyHTTPException

from twin_runtime.adapters.http_problem import OUR_PREFIX, problem
from twin_runtime.core.errors import InvalidConfiguration
from twin_runtime.core.etag import is_none_match, thing_tag
from twin_runtime.core.limits import (
    HTTP_CONNECTIONS_MAX,
    HTTP_KEEPALIVE_S,
    HTTP_STOP_S,
    KEYS_PER_TURN,
    THINGS_PAGE_DEFAULT,
    THINGS_PAGE_MAX,
    THINGS_PER_TURN,
)
from twin_runtime.core.thing import thing_of
from twin_runtime.ports import Health

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Shown(Protocol):
    """A committed twin, as the view holds it."""

    @property
    def known_wall_ms(self) -> int | None:
        """When it was the present state for sure; None: it is, whoever is asked owns it."""
        ...

    def document(self) -> dict[str, Any]:
        """The twin as its public topic carries it (`messages.TwinDocument`)."""
        ...


def things_app(
    view: Mapping[str, Shown],
    health: Health,
    render_metrics: Callable[[], bytes],
    site: str,
    wall_ms: Callable[[], int],
) -> FastAPI:
    """The app of an edge (its own twins) or of the cloud (all of them).

    `view` maps twin ids to committed twins and may change between two turns of the loop;
    `site` is the namespace of thing ids; `wall_ms` is the clock for `Age`.
    """
    # No /docs page: it would fetch its scripts from a server elsewhere.
    app = FastAPI(title="diten", docs_url=None, redoc_url=None, redirect_slashes=False)
    app.add_exception_handler(AnyHTTPException, _on_http_error)
    app.add_exception_handler(RequestValidationError, _on_bad_query)
    things = _Things(view, site, wall_ms)
    process = _Process(health, render_metrics)
    app.add_api_route("/api/2/things", things.page, response_class=_Json)
    app.add_api_route("/api/2/things/{thing_id}", things.one, response_class=_Json)
    app.add_api_route("/healthz", process.alive, response_class=_Json)
    app.add_api_route("/readyz", process.ready, response_class=_Json)
    app.add_api_route("/metrics", process.metrics, response_class=_PlainText)
    return app


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket (`port` 0: any free one), or raise `InvalidConfiguration`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=HTTP_CONNECTIONS_MAX)
    except OSError as error:
        raise InvalidConfiguration(_unusable(host, port, error)) from None
    # Connections inherit it. Without it the body of every answer waits 40 ms for the
    # client's delayed acknowledgement of the head (asyncio sets it on its own sockets only).
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


async def serve(app: FastAPI, listener: socket.socket) -> None:
    """Serve `app` on `listener` until cancelled; then let open requests end for at most
    `HTTP_STOP_S`, and close every connection and the socket."""
    server = _Server(
        uvicorn.Config(
            app,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=HTTP_CONNECTIONS_MAX,
            timeout_keep_alive=HTTP_KEEPALIVE_S,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="uvicorn")
    try:
        await asyncio.shield(serving)
    finally:
        await _stop(server, serving)
        listener.close()


class _Server(uvicorn.Server):
    """uvicorn offers no option for it: its signal handlers would take ours away."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _stop(server: uvicorn.Server, serving: asyncio.Task[None]) -> None:
    server.should_exit = True
    await asyncio.wait({serving}, timeout=HTTP_STOP_S)
    if not serving.done():
        # Somebody reads an answer slowly, or never.
        unfinished = {serving, *server.server_state.tasks}
        for task in unfinished:
            task.cancel()
        await asyncio.wait(unfinished, timeout=HTTP_STOP_S)
    for connection in list(server.server_state.connections):
        connection.transport.abort()


def _unusable(host: str, port: int, error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return f"host {host!r} cannot be resolved: give an address of this machine"
    match error.errno:
        case errno.EADDRINUSE:
            return f"port {port} on {host} is in use by another process: stop it or choose another"
        case errno.EACCES:
            return f"port {port} on {host} needs privileges: choose one above 1023"
        case errno.EADDRNOTAVAIL:
            return f"{host} is not an address of this machine: choose one of its own, or 127.0.0.1"
        case _:
            return f"port {port} on {host} cannot be opened: {error.strerror}"


class _Json(Response):
    media_type = "application/json"


class _PlainText(Response):
    media_type = METRICS_TYPE


@dataclass(frozen=True, slots=True)
class _Process:
    """What supervisors and Prometheus ask."""

    health: Health
    render_metrics: Callable[[], bytes]

    async def alive(self) -> Response:
        """200 as long as the event loop turns."""
        return _Json(to_json({"alive": True}))

    async def ready(self) -> Response:
        """200 while the process can do its work, else 503 with the reason."""
        if self.health.ready:
            return _Json(to_json({"ready": True}))
        return _Json(to_json({"ready": False, "reason": self.health.reason}), status_code=503)

    async def metrics(self) -> Response:
        """Prometheus' text format."""
        return _PlainText(self.render_metrics())


@dataclass(frozen=True, slots=True)
class _Things:
    view: Mapping[str, Shown]
    site: str
    wall_ms: Callable[[], int]

    async def one(
        self, thing_id: str, if_none_match: Annotated[str | None, Header()] = None
    ) -> Response:
        """One thing; 304 while what would be sent is the one in If-None-Match. `Age` says
        for how many seconds nobody has confirmed it, where that is not the owner's answer."""
        shown = self.view.get(self._twin(thing_id))
        if shown is None:
            raise HTTPException(404, _not_found(thing_id))
        document = shown.document()
        headers = {"ETag": thing_tag(document), **self._age(shown)}
        if if_none_match is not None and not is_none_match(if_none_match, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        return _Json(self._body(document), headers=headers)

    async def page(
        self,
        ids: Annotated[str | None, Query(description="thing ids, separated by commas")] = None,
        limit: Annotated[int, Query(ge=1, le=THINGS_PAGE_MAX)] = THINGS_PAGE_DEFAULT,
        cursor: Annotated[str, Query(description="list the things after this one")] = "",
    ) -> Response:
        """Things in the order of their ids; `Link: <...>; rel="next"` while there are more."""
        if ids is not None:
            return _Json(await self._bodies(self._named(ids)))
        twins = await _smallest_after(self.view, self._twin(cursor), limit + 1)
        headers = {}
        if len(twins) > limit:
            query = urlencode({"limit": limit, "cursor": twins[limit - 1]})
            headers["Link"] = f'</api/2/things?{query}>; rel="next"'
        return _Json(await self._bodies(twins[:limit]), headers=headers)

    def _age(self, shown: Shown) -> dict[str, str]:
        if shown.known_wall_ms is None:
            return {}
        return {"Age": str(max(self.wall_ms() - shown.known_wall_ms, 0) // 1000)}

    def _twin(self, thing_id: str) -> str:
        """The twin's key in the view; an id of another site stays whole and is not found."""
        return thing_id.removeprefix(f"{self.site}:")

    def _named(self, ids: str) -> list[str]:
        named = [self._twin(thing_id) for thing_id in ids.split(",") if thing_id]
        if len(named) > THINGS_PAGE_MAX:
            problem = f"{len(named)} ids; one request takes at most {THINGS_PAGE_MAX}"
            raise HTTPException(400, _bad_query(f"ids: {problem}"))
        return named

    def _body(self, document: Mapping[str, Any]) -> bytes:
        return to_json(thing_of(document, self.site))

    async def _bodies(self, twins: list[str]) -> bytes:
        """A JSON array of those `twins` that exist."""
        bodies: list[bytes] = []
        for start in range(0, len(twins), THINGS_PER_TURN):
            turn = (self.view.get(twin) for twin in twins[start : start + THINGS_PER_TURN])
            bodies += [self._body(shown.document()) for shown in turn if shown is not None]
            await asyncio.sleep(0)
        return b"[%b]" % b",".join(bodies)


async def _smallest_after(view: Mapping[str, Any], after: str, limit: int) -> list[str]:
    """The `limit` smallest keys above `after`, in order, searched in turns of the loop."""
    keys = list(view)
    smallest: list[str] = []
    for start in range(0, len(keys), KEYS_PER_TURN):
        above = [key for key in keys[start : start + KEYS_PER_TURN] if key > after]
        smallest = heapq.nsmallest(limit, smallest + above)
        await asyncio.sleep(0)
    return smallest


def _not_found(thing_id: str) -> dict[str, str]:
    return {
        "error": "things:thing.notfound",
        "message": f"The thing {thing_id[:100]!r} is not known here.",
        "description": "Check its id; an edge knows its own twins only, the cloud all of them.",
    }


def _bad_query(problem: str) -> dict[str, str]:
    return {
        "error": "things:query.invalid",
        "message": f"The query cannot be used: {problem}.",
        "description": "Correct this parameter; /openapi.json lists them all.",
    }


async def _on_http_error(request: Request, error: Exception) -> Response:
    """For unknown paths and methods, and what we refuse: Ditto's error body, or a problem
    where the path is ours."""
    assert isinstance(error, AnyHTTPException)
    detail: Any = error.detail
    if request.url.path.startswith(OUR_PREFIX):
        text = f"{request.method} {request.url.path[:100]}: see /openapi.json"
        code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
        return problem(error.status_code, code, text)
    if not isinstance(detail, dict):
        phrase = HTTPStatus(error.status_code).phrase
        detail = {
            "error": "api:" + phrase.lower().replace(" ", "."),
            "message": f"{request.method} {request.url.path[:100]}: {phrase}.",
            "description": "/openapi.json lists the paths and their methods.",
        }
    body = to_json({"status": error.status_code, **detail})
    return _Json(body, status_code=error.status_code, headers=error.headers)


async def _on_bad_query(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    said = f"{first['loc'][-1]} = {str(first['input'])[:60]!r}: {first['msg']}"
    if request.url.path.startswith(OUR_PREFIX):
        return problem(400, "bad_request", f"{said}; see /openapi.json")
    return _Json(to_json({"status": 400, **_bad_query(said)}), status_code=400)
