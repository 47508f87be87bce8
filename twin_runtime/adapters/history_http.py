"""HTTP for the past: things as they were, and the values of a feature as rows.

    GET /api/2/things/{id}[/{path}]?at-historical-revision=N   or ?at-historical-timestamp=T
        the thing, or a part of it, as it was; `fields`, `condition` and entity tags as for
        reads (of what it was then). `Historical-Granularity` says whether that is exact:
        `revision` at an edge, `checkpoint` at the cloud: the last one until then
    GET /api/v1/twins/{id}/history?feature=f
        `from`, `to`: a span of time; `limit`, `cursor`: a page of it, or else `points`: so many
        rows that look the same in a chart
        {"feature", "unit", "rows": [[observed_ms, value, quality], …], "next", "first_revision"}
        or, where `text/csv` is accepted, the rows alone; `Link` has the next page

A time is in milliseconds since 1970 or in ISO 8601, UTC where it names no zone. The log is read
in a thread, a page at a time, so that the loop turns; few do so at once.
"""

import asyncio
import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Protocol
from urllib.parse import urlencode

from fastapi import APIRouter, FastAPI, HTTPException, Query, Request, Response
from pydantic import BaseModel, Field
from pydantic_core import to_json
from starlette.types import Scope

from twin_runtime.adapters.ditto_http import Json, Said, bad_query, no_thing, refusal
from twin_runtime.adapters.http_problem import OUR_PREFIX, PROBLEMS, UNAVAILABLE, problem
from twin_runtime.adapters.openapi_also import AlsoRoute
from twin_runtime.adapters.reading import said_of, text_parameter, wanted_by
from twin_runtime.core.limits import (
    HISTORY_PAGE_DEFAULT,
    HISTORY_PAGE_MAX,
    HISTORY_POINTS_MAX,
    HISTORY_READ_PAGES_MAX,
    HISTORY_READ_ROWS_MAX,
    HISTORY_READS_MAX,
    HISTORY_SKEW_S,
)
from twin_runtime.core.recorded import Page, Position, Recorded, thinned
from twin_runtime.core.thing import path_of

_REVISION = "at-historical-revision"
_TIMESTAMP = "at-historical-timestamp"
_PAST = frozenset({_REVISION.encode(), _TIMESTAMP.encode()})
_ALWAYS_MS = 253_402_300_800_000  # the year 10000
_CSV = "text/csv"
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # what a cell begins with that is calculated

Document = dict[str, Any]

_REVISIONS = {"type": "integer", "minimum": 0, "maximum": _ALWAYS_MS}
_GRANULARITY = {
    "description": "How exact an answer of the past is: `revision` at an edge, at the cloud "
    "`checkpoint`: the last one until then. Absent: it is the present.",
    "schema": {"enum": ["revision", "checkpoint"]},
}
_ASKED_OF_THE_PAST = {
    "parameters": [
        {**text_parameter("query", _REVISION, "as it was then"), "schema": _REVISIONS},
        text_parameter("query", _TIMESTAMP, "ISO 8601, or ms since 1970", format="moment"),
    ],
    "responses": {"200": {"headers": {"Historical-Granularity": _GRANULARITY}}},
}
_ROW = {"type": "array", "prefixItems": [{"type": "integer"}, {}, {"type": "string"}]}
_TEXT = {"schema": {"type": "string"}}
ROWS: Said = {
    200: {
        "description": "Oldest first: when it was observed, the value, its quality.",
        "headers": {
            "Link": {"description": "The next page.", **_TEXT},
            "History-First-Revision": {
                "description": "From which revision on the owner has recorded the twin.",
                "schema": {"type": "integer"},
            },
        },
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {"rows": {"type": "array", "items": _ROW}},
                    "required": ["feature", "unit", "rows", "next", "first_revision"],
                }
            },
            _CSV: {**_TEXT, "example": "observed_ms,value,quality\r\n1795289974918,0.25,good\r\n"},
        },
    }
}


class States(Protocol):
    """Rebuilds twins as they were; a twin is named by what the view has of it. For threads."""

    @property
    def granularity(self) -> str: ...

    def at_revision(self, thing: Any, revision: int) -> Document | None: ...

    def at_time(self, thing: Any, wall_ms: int) -> Document | None: ...


class Values(Protocol):
    """Reads what was reported. For threads."""

    def first_revision(self, thing: Any) -> int: ...

    def values(self, thing: Any, feature: str, from_ms: int, after: Position) -> Iterator[Page]: ...


def add_past_states(app: FastAPI, states: States, view: Mapping[str, Any], site: str) -> None:
    """Serve things as they were beside the reads of `app`."""
    past = _PastStates(states, view, site)
    paths = ("/api/2/things/{thing_id}", "/api/2/things/{thing_id}/{path:path}")
    app.router.routes[:0] = [
        AlsoRoute(path, past.thing, _is_of_the_past, _ASKED_OF_THE_PAST) for path in paths
    ]


def history_router(values: Values, view: Mapping[str, Any]) -> APIRouter:
    """The route of an owner for the values of its twins."""
    router = APIRouter(prefix=OUR_PREFIX.rstrip("/"), responses=PROBLEMS)
    router.add_api_route("/twins/{twin}/history", _History(values, view).rows, responses=ROWS)
    return router


def _is_of_the_past(scope: Scope) -> bool:
    in_headers = not _PAST.isdisjoint(dict(scope["headers"]))
    return in_headers or b"at-historical-" in scope["query_string"]


@dataclass(frozen=True, slots=True)
class _PastStates:
    states: States
    view: Mapping[str, Any]
    site: str

    async def thing(self, request: Request) -> Response:
        """A thing, or a part of it, as it was."""
        thing_id, wanted = request.path_params["thing_id"], wanted_by(request)
        shown = self.view.get(thing_id.removeprefix(f"{self.site}:"))
        if shown is None:
            raise no_thing(thing_id)
        rebuild, when, at = self._asked(request)
        document = await asyncio.to_thread(rebuild, shown, when)
        if document is None:
            raise _not_kept(thing_id, at)
        path = path_of(request.path_params.get("path", ""))
        headers = {"Historical-Granularity": self.states.granularity}
        return wanted.answer(document, self.site, path, headers)

    def _asked(self, request: Request) -> tuple[Callable[[Any, int], Document | None], int, str]:
        """How to rebuild, for when, and that in words."""
        revision, time = said_of(request, _REVISION), said_of(request, _TIMESTAMP)
        if (revision is None) == (time is None):
            raise bad_query(f"give either {_REVISION} or {_TIMESTAMP}")
        try:
            if revision is not None:
                return self.states.at_revision, _number(revision), f"revision {_number(revision)}"
            wall_ms = moment_ms(time or "")
        except ValueError as error:
            raise bad_query(str(error)) from None
        return self.states.at_time, wall_ms, f"{wall_ms} ms"


_MOMENT: dict[str, Any] = {
    "description": "ms, or ISO 8601",
    "json_schema_extra": {"format": "moment"},
}
_CURSOR: dict[str, Any] = {"pattern": r"^[0-9]{1,15}\.[0-9]{1,15}$"}


class Asked(BaseModel):
    """What a request for rows says."""

    feature: str
    from_: Annotated[str, Field(alias="from", **_MOMENT)] = "0"
    to: Annotated[str, Field(**_MOMENT)] = str(_ALWAYS_MS)
    limit: Annotated[int, Field(ge=1, le=HISTORY_PAGE_MAX)] = HISTORY_PAGE_DEFAULT
    points: Annotated[int | None, Field(ge=4, le=HISTORY_POINTS_MAX)] = None
    cursor: Annotated[
        str, Field(description="`next` of the page before", json_schema_extra=_CURSOR)
    ] = "0.0"


@dataclass(slots=True)
class _History:
    values: Values
    view: Mapping[str, Any]
    _under_way: int = field(default=0, init=False)

    async def rows(self, request: Request, twin: str, asked: Annotated[Asked, Query()]) -> Response:
        """What was reported of a feature, oldest first, with when it was observed."""
        thing = self.view.get(twin)
        if thing is None:
            return problem(404, "unknown_twin", f"{twin[:100]!r} is not owned here: ask the cloud")
        spec = (thing.document().get("description") or {}).get("features", {}).get(asked.feature)
        if spec is None:
            return problem(404, "unknown_feature", f"{twin} has no feature {asked.feature[:100]!r}")
        try:
            span = _Span(moment_ms(asked.from_), moment_ms(asked.to), _position(asked.cursor))
        except ValueError as error:
            return problem(400, "bad_request", str(error))
        if self._under_way >= HISTORY_READS_MAX:
            return problem(UNAVAILABLE, "busy", f"{HISTORY_READS_MAX} are reading the past already")
        self._under_way += 1
        try:
            rows, goes_on_at = await self._found(thing, asked, span)
            first = await asyncio.to_thread(self.values.first_revision, thing)
        finally:
            self._under_way -= 1
        about = {"feature": asked.feature, "unit": spec.get("unit", ""), "first_revision": first}
        return _answer(request, rows, about, goes_on_at)

    async def _found(
        self, thing: Any, asked: Asked, span: "_Span"
    ) -> tuple[list[Recorded], Position | None]:
        """The rows, and where to go on, if there may be more."""
        rows_max = asked.limit if asked.points is None else HISTORY_READ_ROWS_MAX
        pages = self.values.values(thing, asked.feature, span.from_ms, span.after)
        rows: list[Recorded] = []
        goes_on_at: Position | None = span.after
        for _ in range(HISTORY_READ_PAGES_MAX):
            page = await asyncio.to_thread(next, pages, None)
            if page is None or span.ends_before(page):
                goes_on_at = None
                break
            rows += filter(span.has, page.rows)
            goes_on_at = page.reached
            if len(rows) > rows_max:
                rows = rows[:rows_max]
                goes_on_at = rows[-1].at
                break
        if asked.points is not None:
            rows = await asyncio.to_thread(thinned, rows, asked.points)
        return rows, goes_on_at


@dataclass(frozen=True, slots=True)
class _Span:
    from_ms: int
    to_ms: int
    after: Position

    def has(self, row: Recorded) -> bool:
        return self.from_ms <= row.observed_ms <= self.to_ms

    def ends_before(self, page: Page) -> bool:
        """Whether all of a page, and so what follows, is later."""
        end_ms = self.to_ms + HISTORY_SKEW_S * 1000
        return bool(page.rows) and page.rows[0].observed_ms > end_ms


def moment_ms(text: str) -> int:
    """A time in milliseconds since 1970, or raise `ValueError` with what is wrong."""
    if text.isascii() and text.isdigit():
        return _number(text)
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return round(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        said = f"{text[:40]!r} is no time: write 2026-01-31T12:00:00Z, or milliseconds since 1970"
        raise ValueError(said) from None


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(_ALWAYS_MS))):
        raise ValueError(f"{text[:40]!r} is no number from 0 to {_ALWAYS_MS}")
    return min(int(text), _ALWAYS_MS)


def _position(cursor: str) -> Position:
    epoch, dot, revision = cursor.partition(".")
    if not dot:
        raise ValueError(f"the cursor {cursor[:40]!r} is none: take `next` of the page before")
    return Position(_number(epoch), _number(revision))


def _answer(
    request: Request, rows: list[Recorded], about: dict[str, Any], goes_on_at: Position | None
) -> Response:
    headers, following = {"History-First-Revision": str(about["first_revision"])}, None
    if goes_on_at is not None:
        following = f"{goes_on_at.epoch}.{goes_on_at.revision}"
        query = urlencode({**request.query_params, "cursor": following})
        headers["Link"] = f'<{request.url.path}?{query}>; rel="next"'
    triples = [(row.observed_ms, row.value, row.quality) for row in rows]
    if _CSV in request.headers.get("accept", ""):
        return Response(_as_csv(triples), headers=headers, media_type=_CSV)
    return Json(to_json({**about, "rows": triples, "next": following}), headers=headers)


def _as_csv(triples: Iterable[tuple[int, Any, str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("observed_ms", "value", "quality"))
    writer.writerows((ms, _cell(value), quality) for ms, value, quality in triples)
    return text.getvalue()


def _cell(value: Any) -> Any:
    """A value as a cell; text that a spreadsheet would take for a formula begins with `'`."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _not_kept(thing_id: str, at: str) -> HTTPException:
    return refusal(
        *(404, "things:thing.history.notfound"),
        f"What {thing_id[:100]!r} was at {at} is not known here.",
        "It is yet to come, or older than the history kept here, or another edge recorded it.",
    )
