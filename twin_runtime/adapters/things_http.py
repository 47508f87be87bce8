"""HTTP for reading: things and their parts in the dialect of Eclipse Ditto.

Everything is answered on the event loop from the committed view, so a reader never sees
what a crash could take back, and never waits for the store. A list is the only answer
that grows with the fleet; it is served in pages, and the loop gets its turn between the
parts of a page, so that a reader cannot delay an acknowledgement.

    GET /api/2/things               a page: `limit`, `cursor`; the next page is in `Link`
    GET /api/2/things?ids=a,b       these things, as far as they exist
    GET /api/2/things/{id}          one thing; `ETag: "rev:E.N"` (`core/etag.py`)
    GET /api/v1/twins/{id}/td       its Thing Description, as it is for who accepts one above
    GET /api/2/things/{id}/…        a part of it: attributes, features, properties, desired
                                    properties, and what is below them; `ETag: "hash:…"`

`fields` selects parts of what is answered. `If-Match` and `condition` say for which state
it is wanted (412), `If-None-Match` which state is known already (304). An id in a path is
`site:twin` or the twin alone. Errors have Ditto's body.
"""

import asyncio
import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, FastAPI, Query, Request, Response

from twin_runtime.adapters.descriptions_http import Descriptions, wants_description
from twin_runtime.adapters.ditto_http import (
    Direct,
    DittoError,
    Endpoint,
    Json,
    Said,
    answer_errors,
    bad_query,
    read,
)
from twin_runtime.adapters.http_problem import OUR_PREFIX, PROBLEMS
from twin_runtime.adapters.process_http import add_process
from twin_runtime.adapters.reading import (
    WANTED,
    FieldsQuery,
    Shown,
    Things,
    fields_asked,
)
from twin_runtime.adapters.search_http import add_search
from twin_runtime.core.limits import KEYS_PER_TURN, THINGS_PAGE_DEFAULT, THINGS_PAGE_MAX
from twin_runtime.core.thing import path_of
from twin_runtime.core.thing_description import LOCAL, TD_TYPE, Access
from twin_runtime.ports import Health


def things_app(
    view: Mapping[str, Shown],
    health: Health,
    render_metrics: Callable[[], bytes],
    site: str,
    wall_ms: Callable[[], int],
    access: Access = LOCAL,
) -> FastAPI:
    """The app of an edge (its own twins) or of the cloud (all of them).

    `view` maps twin ids to committed twins and may change between two turns of the loop;
    `site` is the namespace of thing ids; `wall_ms` is the clock for `Age`; `access` is what
    Thing Descriptions say of where twins are reached.
    """
    # No /docs page: it would fetch its scripts from a server elsewhere.
    app = FastAPI(title="diten", docs_url=None, redoc_url=None, redirect_slashes=False)
    answer_errors(app)
    things = Things(view, site, wall_ms)
    _add_things(app.router, _Routes(things, Descriptions(things, access)))
    add_search(app.router, things)
    add_process(app.router, health, render_metrics)
    return app


def _add_things(router: APIRouter, things: "_Routes") -> None:
    thing = "/api/2/things/{thing_id}"
    feature = thing + "/features/{feature_id}"
    parts: dict[str, Endpoint] = {
        thing + "/attributes": things.attributes,
        thing + "/attributes/{path:path}": things.attribute,
        thing + "/features": things.features,
        feature: things.feature,
        feature + "/properties": things.properties,
        feature + "/properties/{path:path}": things.property,
        feature + "/desiredProperties": things.desired,
        feature + "/desiredProperties/{path:path}": things.desired_property,
    }
    read(router, "/api/2/things", things.page, _LIST)
    read(router, thing, things.one, _THING, extra=WANTED, route=Direct)
    read(router, f"{OUR_PREFIX}twins/{{thing_id}}/td", things.described, _DESCRIBED)
    for path, endpoint in parts.items():
        read(router, path, endpoint, _ONE, extra=WANTED, route=Direct)


_TAG = {"ETag": {"description": "The state that was read.", "schema": {"type": "string"}}}
_AGE = {
    "Age": {
        "description": "For how many seconds nobody has confirmed it; absent: it is the owner's.",
        "schema": {"type": "integer"},
    }
}
_ONE: Said = {
    200: {"headers": {**_TAG, **_AGE}},
    304: {"description": "It is what If-None-Match says."},
    400: {"model": DittoError, "description": "`fields` or `condition` cannot be read."},
    404: {"model": DittoError, "description": "There is no such thing, or part of it."},
    412: {"model": DittoError, "description": "If-Match or `condition` does not hold."},
}
_TD: dict[str, Any] = {"content": {TD_TYPE: {"schema": {"type": "object"}}}}
_UNDESCRIBED: Said = {503: {"model": DittoError, "description": "Nobody has described it yet."}}
_THING: Said = {**_ONE, **_UNDESCRIBED, 200: {**_ONE[200], **_TD}}
_DESCRIBED: Said = {**PROBLEMS, 200: {"headers": _TAG, **_TD}, 304: _ONE[304]}
_LIST: Said = {
    200: {"headers": {"Link": {"description": "The next page.", "schema": {"type": "string"}}}},
    400: {"model": DittoError, "description": "A parameter cannot be used."},
}


@dataclass(frozen=True, slots=True)
class _Routes:
    things: Things
    descriptions: Descriptions

    async def one(self, request: Request, thing_id: str) -> Response:
        """One thing, or its Thing Description (`Accept: application/td+json`)."""
        if wants_description(request):
            return self.descriptions.answer(request, thing_id)
        return self.things.answer(request, thing_id)

    async def described(self, request: Request, thing_id: str) -> Response:
        """The Thing Description of a twin, whatever the request accepts."""
        return self.descriptions.plain(request, thing_id)

    async def attributes(self, request: Request, thing_id: str) -> Response:
        """What people wrote of a thing, and, as `description`, what its device says of itself."""
        return self.things.answer(request, thing_id, "attributes")

    async def attribute(self, request: Request, thing_id: str, path: str) -> Response:
        """One attribute, or what is below it: a JSON pointer."""
        return self.things.answer(request, thing_id, "attributes", *path_of(path))

    async def features(self, request: Request, thing_id: str) -> Response:
        """What a device reports, and what is wanted of it."""
        return self.things.answer(request, thing_id, "features")

    async def feature(self, request: Request, thing_id: str, feature_id: str) -> Response:
        """One feature."""
        return self.things.answer(request, thing_id, "features", feature_id)

    async def properties(self, request: Request, thing_id: str, feature_id: str) -> Response:
        """A feature as its device reported it."""
        return self.things.answer(request, thing_id, "features", feature_id, "properties")

    async def property(
        self, request: Request, thing_id: str, feature_id: str, path: str
    ) -> Response:
        """One property: `value`, `observed_ms` or `quality`."""
        above = ("features", feature_id, "properties")
        return self.things.answer(request, thing_id, *above, *path_of(path))

    async def desired(self, request: Request, thing_id: str, feature_id: str) -> Response:
        """What is wanted of a feature."""
        return self.things.answer(request, thing_id, "features", feature_id, "desiredProperties")

    async def desired_property(
        self, request: Request, thing_id: str, feature_id: str, path: str
    ) -> Response:
        """The `value` that is wanted of a feature."""
        above = ("features", feature_id, "desiredProperties")
        return self.things.answer(request, thing_id, *above, *path_of(path))

    async def page(
        self,
        ids: Annotated[str | None, Query(description="thing ids, separated by commas")] = None,
        limit: Annotated[int, Query(ge=1, le=THINGS_PAGE_MAX)] = THINGS_PAGE_DEFAULT,
        cursor: Annotated[str, Query(description="list the things after this one")] = "",
        fields: FieldsQuery = None,
    ) -> Response:
        """Things in the order of their ids; `Link: <...>; rel="next"` while there are more."""
        if ids is not None:
            return Json(await self._list(self._named(ids), fields))
        twins = await _smallest_after(self.things.view, self.things.twin(cursor), limit + 1)
        headers = {}
        if len(twins) > limit:
            query = {"limit": str(limit), "cursor": twins[limit - 1]}
            query |= {} if fields is None else {"fields": fields}
            headers["Link"] = f'</api/2/things?{urlencode(query)}>; rel="next"'
        return Json(await self._list(twins[:limit], fields), headers=headers)

    async def _list(self, twins: list[str], fields: str | None) -> bytes:
        """A JSON array of those `twins` that exist."""
        found = (self.things.view.get(twin) for twin in twins)
        shown = [each for each in found if each is not None]
        return b"[%b]" % b",".join(await self.things.rendered(shown, fields_asked(fields)))

    def _named(self, ids: str) -> list[str]:
        named = [self.things.twin(thing_id) for thing_id in ids.split(",") if thing_id]
        if len(named) > THINGS_PAGE_MAX:
            raise bad_query(f"ids: {len(named)} ids; one request takes at most {THINGS_PAGE_MAX}")
        return named


async def _smallest_after(view: Mapping[str, Any], after: str, limit: int) -> list[str]:
    """The `limit` smallest keys above `after`, in order, searched in turns of the loop."""
    keys = list(view)
    smallest: list[str] = []
    for start in range(0, len(keys), KEYS_PER_TURN):
        above = [key for key in keys[start : start + KEYS_PER_TURN] if key > after]
        smallest = heapq.nsmallest(limit, smallest + above)
        await asyncio.sleep(0)
    return smallest
