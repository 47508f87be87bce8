"""HTTP for writing: what people may write of a thing, in the dialect of Eclipse Ditto.

    PUT, PATCH          /api/2/things/{id}
    PUT, PATCH, DELETE  …/attributes, …/attributes/{path}, …/features/{f}/desiredProperties,
                        …/desiredProperties/value; PATCH of …/features and …/features/{f}
    POST                …/inbox/messages/{subject}: a command to the device

A body is JSON, for PATCH a merge patch (RFC 7396). `If-Match`, `If-None-Match` and `condition`
are checked in the commit that writes (412). The answer comes when the write is on the owner's
disk: 201 where there was nothing, else 204, with the `ETag` of what is there now; with
`requested-acks=twin-persisted` it comes when the cloud has a checkpoint of it too, or 408.

A command is answered with its outcome: 200 done, 409 rejected, 408 nobody knows.

An edge does all this (`commits_http.py`); the cloud forwards it to the owner (`forward_http.py`).
"""

from dataclasses import dataclass
from re import compile as pattern
from typing import Annotated, Any, NamedTuple, Protocol

from fastapi import APIRouter, HTTPException, Path, Request, Response
from pydantic_core import from_json
from starlette.requests import ClientDisconnect

from twin_runtime.adapters import openapi_bodies as bodies
from twin_runtime.adapters.ditto_http import Direct, DittoError, Endpoint, Said, no_thing, refusal
from twin_runtime.adapters.http_problem import JSON, UNAVAILABLE, small_body, unsupported
from twin_runtime.adapters.reading import CONDITION, condition_asked, said_of, text_parameter
from twin_runtime.core.effects import Guard
from twin_runtime.core.ids import FEATURE_PATTERN, TWIN_PATTERN
from twin_runtime.core.limits import (
    ACK_WAIT_S,
    ACK_WAIT_S_MAX,
    COMMAND_VALID_S_MAX,
    PACKET_BYTES_MAX,
)
from twin_runtime.core.thing import path_of

THING = "/api/2/things/{thing_id}"
FEATURE = THING + "/features/{feature_id}"
MESSAGES = THING + "/inbox/messages/{subject}"
PERSISTED = "twin-persisted"
TWIN_TYPE = "application/vnd.diten.twin+json"  # for the cloud, which accepts it: the whole twin

_TWIN = pattern(TWIN_PATTERN)
_SUBJECT = pattern(FEATURE_PATTERN)
_DURATION = pattern(r"([1-9][0-9]{0,5})(ms|s|m|h)?")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}
_JSON = frozenset({JSON})
_TYPES = {"PUT": _JSON, "POST": _JSON, "PATCH": _JSON | {bodies.MERGE_PATCH}}
_SPAN = {"format": "time-span", "pattern": f"^{_DURATION.pattern}$"}
_TIMEOUT = text_parameter("query", "timeout", "how long to wait: 10, 10s, 500ms, 1m", **_SPAN)
_CONDITIONS = [
    CONDITION,
    text_parameter("header", "If-Match", "the entity tag of the state that is to change"),
    text_parameter("header", "If-None-Match", "the entity tag of a state that is to stay"),
    text_parameter("query", "requested-acks", "wait for the cloud", const=PERSISTED),
    _TIMEOUT,
    text_parameter("query", "valid-for", "a wish expires after: 60, 60s, 5m, 12h", **_SPAN),
]


class Conditions(NamedTuple):
    """What a write says beside its path and its body."""

    condition: str | None = None
    if_match: str | None = None
    if_none_match: str | None = None
    requested_acks: str | None = None
    timeout: str | None = None
    valid_for: str | None = None

    def guard(self) -> Guard:
        """What must hold in the commit."""
        holds = None if self.condition is None else condition_asked(self.condition)
        return Guard(self.if_match or "", self.if_none_match or "", holds)

    def valid_for_s(self) -> float | None:
        """When what is wanted of the device expires; None: never."""
        if self.valid_for is None:
            return None
        return _seconds("valid-for", self.valid_for, COMMAND_VALID_S_MAX)

    def patience_s(self) -> float | None:
        """How long to wait for the cloud; None: not at all."""
        span_s = wait_s(self.timeout)
        if self.requested_acks is None:
            return None
        if self.requested_acks != PERSISTED:
            known = f"only {PERSISTED} is known"
            raise bad_value(f"requested-acks = {self.requested_acks[:60]!r}: {known}")
        return span_s


class Content(NamedTuple):
    """A body as it came, and the JSON in it."""

    raw: bytes
    value: Any


class Carrier(Protocol):
    """Who does it: an edge commits, the cloud forwards."""

    async def edit(
        self, request: Request, thing_id: str, path: tuple[str, ...], said: Conditions
    ) -> Response:
        """PUT, PATCH or DELETE of what stands at `path` of a thing."""
        ...

    async def command(
        self, request: Request, thing_id: str, subject: str, within_s: float
    ) -> Response:
        """Let a device obey."""
        ...


def conditions_of(request: Request) -> Conditions:
    """What is documented as `_CONDITIONS`, of this request."""
    headers = request.headers
    return Conditions(
        *(said_of(request, "condition"), headers.get("if-match"), headers.get("if-none-match")),
        *(said_of(request, "requested-acks"), said_of(request, "timeout")),
        said_of(request, "valid-for"),
    )


# These document; what is sent is checked with the rest of a write.
AttributePath = Annotated[str, Path(json_schema_extra=bodies.ATTRIBUTE_PATH)]
Subject = Annotated[str, Path(pattern=FEATURE_PATTERN)]


@dataclass(frozen=True, slots=True)
class Writes:
    """The handlers; what they are asked the `carrier` does."""

    carrier: Carrier

    async def thing(self, request: Request, thing_id: str) -> Response:
        """All that people may write of a thing."""
        return await self._edit(request, thing_id)

    async def attributes(self, request: Request, thing_id: str) -> Response:
        """All attributes."""
        return await self._edit(request, thing_id, "attributes")

    async def attribute(self, request: Request, thing_id: str, path: AttributePath) -> Response:
        """One attribute, or what is below it: a JSON pointer."""
        return await self._edit(request, thing_id, "attributes", *path_of(path))

    async def features(self, request: Request, thing_id: str) -> Response:
        """What is wanted of several features."""
        return await self._edit(request, thing_id, "features")

    async def feature(self, request: Request, thing_id: str, feature_id: str) -> Response:
        """What is wanted of a feature; what it reports is read-only."""
        return await self._edit(request, thing_id, "features", feature_id)

    async def properties(self, request: Request, thing_id: str, feature_id: str) -> Response:
        """What a device reports is read-only: 403."""
        return await self._edit(request, thing_id, "features", feature_id, "properties")

    async def property(
        self, request: Request, thing_id: str, feature_id: str, path: str
    ) -> Response:
        """What a device reports is read-only: 403."""
        above = ("features", feature_id, "properties")
        return await self._edit(request, thing_id, *above, *path_of(path))

    async def desired(self, request: Request, thing_id: str, feature_id: str) -> Response:
        """What is wanted of a feature."""
        return await self._edit(request, thing_id, "features", feature_id, "desiredProperties")

    async def desired_property(
        self, request: Request, thing_id: str, feature_id: str, path: str
    ) -> Response:
        """The `value` that is wanted of a feature; there is no other."""
        above = ("features", feature_id, "desiredProperties")
        return await self._edit(request, thing_id, *above, *path_of(path))

    async def _edit(self, request: Request, thing_id: str, *path: str) -> Response:
        return await self.carrier.edit(request, thing_id, path, conditions_of(request))

    async def command(self, request: Request, thing_id: str, subject: Subject) -> Response:
        """Let the device obey a command, at most once and only in time."""
        if not _SUBJECT.fullmatch(subject):
            raise bad_value(f"{subject[:64]!r} is no command's name: use a-z, 0-9 and '_'")
        within_s = wait_s(said_of(request, "timeout"))
        return await self.carrier.command(request, thing_id, subject, within_s)


def writing_router(carrier: Carrier) -> APIRouter:
    """The routes; see `Writes`."""
    writes = Writes(carrier)
    router = APIRouter()
    places: tuple[tuple[str, Endpoint, bodies.Body], ...] = (
        (THING, writes.thing, bodies.THING),
        (THING + "/attributes", writes.attributes, bodies.ATTRIBUTES),
        (THING + "/attributes/{path:path}", writes.attribute, bodies.ATTRIBUTE),
        (THING + "/features", writes.features, bodies.FEATURES),
        (FEATURE, writes.feature, bodies.FEATURE),
        (FEATURE + "/properties", writes.properties, bodies.REPORTED),
        (FEATURE + "/properties/{path:path}", writes.property, bodies.REPORTED),
        (FEATURE + "/desiredProperties", writes.desired, bodies.DESIRED),
        (FEATURE + "/desiredProperties/{path:path}", writes.desired_property, bodies.VALUE),
    )
    for path, endpoint, body in places:
        asked: dict[str, Any] = {"parameters": _CONDITIONS}
        put, patch = {"requestBody": bodies.put(body)}, {"requestBody": bodies.patch(body)}
        _write(router, "PUT", path, endpoint, asked | put, {204: _WRITTEN, 201: _MADE})
        _write(router, "PATCH", path, endpoint, asked | patch, {204: _WRITTEN})
        if path != THING:
            _write(router, "DELETE", path, endpoint, asked, {204: _WRITTEN})
    # A command may come without arguments.
    arguments = bodies.put(bodies.ARGUMENTS, required=False)
    command = {"parameters": [_TIMEOUT], "requestBody": arguments}
    _write(router, "POST", MESSAGES, writes.command, command, {200: _DONE})
    return router


def twin_of(thing_id: str, site: str) -> str:
    """The twin's id, or 404."""
    twin = thing_id.removeprefix(f"{site}:")
    if not _TWIN.fullmatch(twin):
        raise no_thing(thing_id)
    return twin


def wait_s(timeout: str | None) -> float:
    """How long a request waits: a number with `ms`, `s` or `m`; without one of seconds."""
    return ACK_WAIT_S if timeout is None else _seconds("timeout", timeout, ACK_WAIT_S_MAX)


def _seconds(name: str, written: str, most_s: float) -> float:
    found = _DURATION.fullmatch(written)
    span_s = int(found[1]) * _UNIT_S[found[2]] if found else 0.0
    if not 0 < span_s <= most_s:
        text = f"{name} = {written[:20]!r}: write 10, 10s or 500ms, up to {most_s:g}s."
        raise refusal(400, "timeout.invalid", text, "It is a number with ms, s, m or h.")
    return span_s


def unavailable_now(text: str) -> HTTPException:
    """503: ask again soon."""
    error = refusal(UNAVAILABLE, "things:thing.unavailable", text, "Ask again in a second.")
    error.headers = {"Retry-After": "1"}
    return error


_TAG = {"ETag": {"description": "That of what is there now.", "schema": {"type": "string"}}}
_PLACE = {"Location": {"description": "Where it is.", "schema": {"type": "string"}}}
_WRITTEN = {"description": "It is on the owner's disk.", "headers": _TAG}
_MADE = {
    "description": "There was nothing; it is on the owner's disk.",
    "headers": _TAG | _PLACE,
    "content": {JSON: {"schema": {"description": "What was put there."}}},
}
_DONE = {
    "description": "The device did it.",
    "content": {JSON: {"example": {"outcome": "done", "reason": ""}}},
}


def _write(
    router: APIRouter, method: str, path: str, endpoint: Endpoint, asked: dict[str, Any], said: Said
) -> None:
    statuses = (400, 403, 404, 408, 409, 412, 413, 415, 502, 503)
    refused: Said = {status: {"model": DittoError} for status in statuses}
    router.add_api_route(
        path,
        endpoint,
        methods=[method],
        status_code=200 if method == "POST" else 204,
        responses=refused | said,
        openapi_extra=asked,
        response_class=Response,
        route_class_override=Direct,
    )


async def _body_of(request: Request) -> bytes:
    """The body, or 413."""
    try:
        body = await small_body(request)
    except ClientDisconnect:
        raise bad_value("The body was cut off") from None
    if len(body) > PACKET_BYTES_MAX:
        text = f"The body is larger than {PACKET_BYTES_MAX} bytes."
        raise refusal(413, "things:thing.toolarge", text, "What is large is a blob.")
    return body


async def content_of(request: Request) -> Content:
    """The body and the JSON in it, or 400, 413, 415."""
    if text := unsupported(request, _TYPES[request.method]):
        raise refusal(415, "mediatype.unsupported", text, "Say in Content-Type what it is.")
    raw = await _body_of(request)
    try:
        return Content(raw, from_json(raw, allow_inf_nan=False))
    except ValueError as error:
        text = f"The body is not JSON: {str(error)[:100]}."
        raise refusal(
            400, "json.invalid", text, "Strings and names are in double quotes."
        ) from None


def bad_value(text: str) -> HTTPException:
    """400: what is written, or how, cannot be used."""
    return refusal(400, "things:value.invalid", f"{text}.", "docs/api.md says what may be written.")
