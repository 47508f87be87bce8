"""HTTP for Thing Descriptions: what `Accept: application/td+json` on a thing gives, and, for
clients that are given a URL and no more, `GET /api/v1/twins/{id}/td`.

A twin that nobody has described yet is 503 there: a client would take a description without
features for all there is.

Addresses are those by which the reader came, unless the service was told others: whoever came
by the name of this machine finds a broker that is "127.0.0.1" to us there, too.
"""

from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from fastapi import HTTPException, Request, Response
from pydantic_core import to_json

from twin_runtime.adapters.http_problem import UNAVAILABLE, problem
from twin_runtime.adapters.reading import Things
from twin_runtime.core.etag import is_none_match, part_tag
from twin_runtime.core.thing_description import TD_TYPE, Access, thing_description

_NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class Descriptions:
    """The descriptions of `things`; `access.http` is empty where nobody has said it."""

    things: Things
    access: Access

    def answer(self, request: Request, thing_id: str) -> Response:
        """The description of one thing; 304 while it is the one in If-None-Match."""
        document = self.things.shown(thing_id).document()
        if "description" not in document:
            raise _undescribed(thing_id)
        access = _reached(self.access, request)
        description = thing_description(document, self.things.site, access)
        headers = {"ETag": part_tag(description), "Vary": "Accept"}
        known = request.headers.get("if-none-match")
        if known is not None and not is_none_match(known, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        return Response(to_json(description), headers=headers, media_type=TD_TYPE)

    def plain(self, request: Request, thing_id: str) -> Response:
        """The same, or a problem."""
        try:
            return self.answer(request, thing_id)
        except HTTPException as refused:
            code = "unknown_twin" if refused.status_code == _NOT_FOUND else "not_described"
            return problem(refused.status_code, code, refused.detail["message"])  # type: ignore[index]


def wants_description(request: Request) -> bool:
    """Whether a reader prefers the description to the thing."""
    return TD_TYPE in request.headers.get("accept", "")


def _undescribed(thing_id: str) -> HTTPException:
    body = {
        "error": "things:thing.description.unavailable",
        "message": f"Nobody has said yet what the thing {thing_id!r} is.",
        "description": "Ask again in a second: its device does so with its first report.",
    }
    return HTTPException(UNAVAILABLE, body, {"Retry-After": "1"})


def _reached(access: Access, request: Request) -> Access:
    http = access.http or str(request.base_url).rstrip("/")
    broker = urlsplit(access.mqtt)
    if not _is_loopback(broker.hostname):
        return access._replace(http=http)
    host = urlsplit(http).netloc.rpartition("@")[2].removesuffix(f":{urlsplit(http).port}")
    return access._replace(http=http, mqtt=f"{broker.scheme}://{host}:{broker.port}")


def _is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ip_address(host or "").is_loopback
    except ValueError:
        return False
