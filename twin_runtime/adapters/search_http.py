"""HTTP for searching: things that an expression holds for, in an order, a page at a time.

    GET /api/2/search/things         `filter` (RQL), `option=sort(…),size(n),cursor(c)`, `fields`
    GET /api/2/search/things/count   how many there are

The committed view is looked through as it is, without an index: what is reported changes
all the time, and a look at a twin takes microseconds. The loop gets its turn in between, so
what is found is each thing as it was when it was looked at.
"""

import asyncio
import heapq
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter, methodcaller
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Query, Response
from pydantic_core import to_json

from twin_runtime.adapters.ditto_http import DittoError, Json, Said, malformed, read
from twin_runtime.adapters.reading import FieldsQuery, Shown, Things, fields_asked
from twin_runtime.core import rql
from twin_runtime.core.errors import MalformedMessage
from twin_runtime.core.limits import KEYS_PER_TURN, SEARCHED_PER_TURN
from twin_runtime.core.look import Look, in_state, in_thing
from twin_runtime.core.search import (
    Cursor,
    Options,
    Order,
    Rank,
    Reach,
    cursor_of,
    encode_cursor,
    key_of,
    options_of,
    ranks_of,
)
from twin_runtime.core.thing import thing_of

_Filter = Annotated[
    str | None,
    Query(alias="filter", description="an RQL expression", json_schema_extra={"format": "rql"}),
]
_Option = Annotated[
    str | None,
    Query(
        description="sort(+path,-path), size(n), cursor(c), separated by commas",
        json_schema_extra={"format": "search-option"},
    ),
]
_SAID: Said = {400: {"model": DittoError, "description": "A parameter cannot be read."}}


def add_search(router: APIRouter, things: Things) -> None:
    """Serve searches in `things`."""
    search = _Search(things)
    read(router, "/api/2/search/things", search.page, _SAID)
    read(router, "/api/2/search/things/count", search.count, _SAID)


class _Found(NamedTuple):
    key: tuple[Any, ...]
    ranks: tuple[Rank, ...]
    twin: str
    shown: Shown


class _Asked(NamedTuple):
    """A search: what is looked for, in which order, from where on."""

    filter: str
    order: Order
    size: int
    after: tuple[Any, ...]  # the key of the last thing before, and its ranks
    after_ranks: tuple[Rank, ...] = ()


@dataclass(frozen=True, slots=True)
class _Search:
    things: Things

    async def page(
        self, expression: _Filter = None, option: _Option = None, fields: FieldsQuery = None
    ) -> Response:
        """Things that the filter holds for; `cursor` is there while there are more."""
        selector, asked = fields_asked(fields), _asked(expression, option)
        best = await (_best if asked.order else _first)(self.things, asked)
        page = best[: asked.size]
        bodies = await self.things.rendered([each.shown for each in page], selector)
        rest = b""
        if len(best) > asked.size:
            last = Cursor(asked.filter, asked.order, page[-1].ranks, page[-1].twin)
            rest = b',"cursor":%b' % to_json(encode_cursor(last))
        return Json(b'{"items":[%b]%b}' % (b",".join(bodies), rest))

    async def count(self, expression: _Filter = None) -> Response:
        """How many things the filter holds for."""
        looking = _Looking(self.things, expression or "")
        turns = looking.turns(list(self.things.view), looking.holds)
        return Json(b"%d" % sum([len(found) async for found in turns]))


async def _first(things: Things, asked: _Asked) -> list[_Found]:
    """What is found in the order of ids, one more than the page has: beyond nobody looks."""
    looking = _Looking(things, asked.filter)
    first: list[_Found] = []
    async for turn in looking.turns(await _ascending(things.view, asked.after), looking.holds):
        first += (_Found((twin,), (), twin, shown) for twin, shown, _ in turn)
        if len(first) > asked.size:
            break
    return first[: asked.size + 1]


async def _best(things: Things, asked: _Asked) -> list[_Found]:
    """What is found in an order of values, one more than the page has."""
    looking = _Looking(things, asked.filter, asked.order)
    reach = Reach(looking.looks[0], asked.order[0])
    if asked.after_ranks:
        reach.begin_at(asked.after_ranks[0])
    best: list[_Found] = []
    in_reach, holds = reach.has, looking.holds
    is_wanted = in_reach if holds is _always else lambda each: in_reach(each) and holds(each)
    async for turn in looking.turns(list(things.view), is_wanted):
        for twin, shown, ranks in turn:
            key = key_of(asked.order, ranks, twin)
            if key > asked.after:
                best.append(_Found(key, ranks, twin, shown))
        best = heapq.nsmallest(asked.size + 1, best, key=itemgetter(0))
        if len(best) > asked.size:
            reach.end_at(best[-1].ranks[0])
    return best


async def _ascending(view: Mapping[str, Any], after: tuple[Any, ...]) -> Iterable[str]:
    """All keys above the one in `after`, in order, sorted in turns of the loop."""
    keys, begin = list(view), after[0] if after else ""
    runs: list[list[str]] = []
    for start in range(0, len(keys), KEYS_PER_TURN):
        run = keys[start : start + KEYS_PER_TURN]
        runs.append(sorted([key for key in run if key > begin]))
        await asyncio.sleep(0)
    return heapq.merge(*runs)


def _asked(expression: str | None, option: str | None) -> _Asked:
    """The search of a request; the cursor knows what the first page was asked for."""
    try:
        options = Options() if option is None else options_of(option)
        if not options.cursor:
            return _Asked(expression or "", options.order or (), options.size, ())
        cursor = cursor_of(options.cursor)
        _check_same(cursor, expression, options.order)
    except MalformedMessage as error:
        raise malformed(error) from None
    after = key_of(cursor.order, cursor.ranks, cursor.twin)
    return _Asked(cursor.filter, cursor.order, options.size, after, cursor.ranks)


def _check_same(cursor: Cursor, expression: str | None, order: Order | None) -> None:
    if expression not in (None, cursor.filter) or order not in (None, cursor.order):
        raise MalformedMessage("bad_option", "the cursor is that of another filter or order")


_Turn = list[tuple[str, Shown, tuple[Rank, ...]]]


class _Looking:
    """One look through all twins: at their states, or at things where a path leads only there.

    Attributes:
        holds: whether an expression holds for what is looked at.
        looks: ways to the values that an order is by.
    """

    def __init__(self, things: Things, expression: str, order: Order = ()) -> None:
        self._things = things
        self._in_states = True
        try:
            self._read(expression, order)
            if not self._in_states:
                self._read(expression, order)
        except MalformedMessage as error:
            raise malformed(error) from None

    def _read(self, expression: str, order: Order) -> None:
        self.holds = rql.query_of(expression, self._look_up) if expression else _always
        self.looks = [self._look_up(by.path) for by in order]

    def _look_up(self, path: tuple[str, ...]) -> Look:
        look = in_state(self._things.site, path) if self._in_states else None
        self._in_states = look is not None
        return look or in_thing(path)

    async def turns(self, twins: Iterable[str], is_wanted: rql.Query) -> AsyncIterator[_Turn]:
        """Those of `twins` that are wanted, in turns of the loop, with what they are ordered
        by: documents that were kept any longer would keep the collector busy."""
        view, looks = self._things.view, self.looks
        subject_of = methodcaller("state") if self._in_states else self._thing
        remaining = iter(twins)
        while names := list(islice(remaining, SEARCHED_PER_TURN)):
            turn: _Turn = []
            for twin in names:
                shown = view.get(twin)
                if shown is not None and is_wanted(subject := subject_of(shown)):
                    turn.append((twin, shown, ranks_of(looks, subject)))
            yield turn
            await asyncio.sleep(0)

    def _thing(self, shown: Shown) -> dict[str, Any]:
        return thing_of(shown.document(), self._things.site)


def _always(_: Any) -> bool:
    return True
