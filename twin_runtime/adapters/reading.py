"""How things are read from the committed view, whole or in part.

A reader never sees what a crash could take back, and never waits for the store. What a
request may say is checked in the order of RFC 9110: for which state it is wanted (If-Match,
`condition`), whether there is anything, and whether the reader knows it (If-None-Match).
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, NamedTuple, Protocol

from fastapi import Query, Request, Response
from pydantic_core import to_json

from twin_runtime.adapters.ditto_http import Json, malformed, no_part, no_thing, unmet
from twin_runtime.core.errors import MalformedMessage
from twin_runtime.core.etag import is_match, is_none_match, part_tag, thing_tag
from twin_runtime.core.limits import (
    FIELDS_CHARS_MAX,
    QUERIES_REMEMBERED_MAX,
    RQL_CHARS_MAX,
    THINGS_PER_TURN,
)
from twin_runtime.core.look import State
from twin_runtime.core.rql import Query as Expression
from twin_runtime.core.rql import query_of
from twin_runtime.core.selector import Fields, fields_of, selected
from twin_runtime.core.thing import ABSENT, part_of, thing_of

FieldsQuery = Annotated[
    str | None,
    Query(
        description="which parts: thingId,attributes(a,b)", json_schema_extra={"format": "fields"}
    ),
]


def text_parameter(place: str, name: str, description: str, **schema: Any) -> dict[str, Any]:
    """A parameter, as OpenAPI has it; `schema` is what is known of its form."""
    about = {"name": name, "in": place, "description": description}
    return {**about, "required": False, "schema": {"type": "string", **schema}}


FIELDS = text_parameter(
    *("query", "fields", "which parts: thingId,attributes(a,b)"),
    format="fields",
    maxLength=FIELDS_CHARS_MAX,
)
CONDITION = text_parameter(
    *("query", "condition", "an RQL expression on the thing"),
    format="rql",
    maxLength=RQL_CHARS_MAX,
)


class Shown(Protocol):
    """A committed twin, as the view holds it."""

    @property
    def known_wall_ms(self) -> int | None:
        """When it was the present state for sure; None: it is, whoever is asked owns it."""
        ...

    def document(self) -> dict[str, Any]:
        """The twin as its public topic carries it (`messages.TwinDocument`)."""
        ...

    def state(self) -> State:
        """Its values as they are held: what a search looks at."""
        ...


class Wanted(NamedTuple):
    """What a request says beside the path."""

    fields: Fields
    condition: str | None
    if_match: str | None
    if_none_match: str | None

    def answer(
        self, document: dict[str, Any], site: str, path: tuple[str, ...], headers: dict[str, str]
    ) -> Response:
        """What stands at `path` of a thing of `site`, as far as it is wanted."""
        thing = thing_of(document, site)
        part = part_of(thing, path)
        tag = _tag(document, path, part)
        self._check(thing, tag)
        if tag is None:
            raise no_part(thing, path)
        headers = {"ETag": tag, **headers}
        if self.if_none_match is not None and not is_none_match(self.if_none_match, tag):
            return Response(status_code=304, headers=headers)
        return Json(body(part, self.fields), headers=headers)

    def _check(self, thing: Mapping[str, Any], tag: str | None) -> None:
        """Answer 412 unless the thing is as it is wanted."""
        if self.if_match is not None and not is_match(self.if_match, tag):
            raise unmet("precondition", f"If-Match is not {tag or 'met by what is not there'}")
        if self.condition is not None and not condition_asked(self.condition)(thing):
            raise unmet("condition", "the condition does not hold")


def wanted_by(request: Request) -> Wanted:
    """What is documented as `WANTED`, of this request; 400 if its fields cannot be read."""
    headers = request.headers
    tags = headers.get("if-match"), headers.get("if-none-match")
    if not request.scope["query_string"]:
        return Wanted({}, headers.get("condition"), *tags)
    fields = fields_asked(request.query_params.get("fields"))
    return Wanted(fields, said_of(request, "condition"), *tags)


def said_of(request: Request, name: str) -> str | None:
    """A parameter, or the header of that name: Ditto takes either, and so do its clients."""
    return request.query_params.get(name, request.headers.get(name))


# FastAPI would take longer to hand over these four than the rest of an answer takes.
WANTED: dict[str, Any] = {
    "parameters": [
        FIELDS,
        CONDITION,
        text_parameter("header", "If-Match", "the entity tag of the state that is wanted"),
        text_parameter("header", "If-None-Match", "the entity tag of a state that is known"),
    ]
}


@dataclass(frozen=True, slots=True)
class Things:
    """The view as things of `site`; `wall_ms` is the clock for `Age`."""

    view: Mapping[str, Shown]
    site: str
    wall_ms: Callable[[], int]

    def answer(self, request: Request, thing_id: str, *path: str) -> Response:
        """What stands at `path` of a thing, as far as it is wanted."""
        wanted = wanted_by(request)
        shown = self.shown(thing_id)
        headers = self._age(shown)
        if not path:
            headers["Vary"] = "Accept"  # which may ask for its description instead
        return wanted.answer(shown.document(), self.site, path, headers)

    def shown(self, thing_id: str) -> Shown:
        """The twin of a thing, or 404."""
        shown = self.view.get(self.twin(thing_id))
        if shown is None:
            raise no_thing(thing_id)
        return shown

    def twin(self, thing_id: str) -> str:
        """The twin's key in the view; an id of another site stays whole and is not found."""
        return thing_id.removeprefix(f"{self.site}:")

    async def rendered(self, shown: list[Shown], fields: Fields) -> list[bytes]:
        """What `fields` selects of each, as JSON, in turns of the loop."""
        bodies: list[bytes] = []
        for start in range(0, len(shown), THINGS_PER_TURN):
            turn = (each.document() for each in shown[start : start + THINGS_PER_TURN])
            bodies += [body(thing_of(document, self.site), fields) for document in turn]
            await asyncio.sleep(0)
        return bodies

    def _age(self, shown: Shown) -> dict[str, str]:
        if shown.known_wall_ms is None:
            return {}
        return {"Age": str(max(self.wall_ms() - shown.known_wall_ms, 0) // 1000)}


def fields_asked(text: str | None) -> Fields:
    """The selector that a request has (None: all is wanted), or 400."""
    if text is None:
        return {}
    try:
        return _fields(text)
    except MalformedMessage as error:
        raise malformed(error) from None


def condition_asked(text: str) -> Expression:
    """The expression that a request has, for a thing, or 400."""
    try:
        return _condition(text)
    except MalformedMessage as error:
        raise malformed(error) from None


def body(part: Any, fields: Fields) -> bytes:
    """What `fields` selects of `part`, as JSON; of what has nothing of it, an empty object."""
    if fields:
        part = selected(part, fields)
    return to_json({} if part is ABSENT else part)


# Pages and programs ask the same again and again.
_fields = lru_cache(maxsize=QUERIES_REMEMBERED_MAX)(fields_of)
_condition = lru_cache(maxsize=QUERIES_REMEMBERED_MAX)(query_of)


def _tag(document: Mapping[str, Any], path: tuple[str, ...], part: Any) -> str | None:
    if not path:
        return thing_tag(document)
    return None if part is ABSENT else part_tag(part)
