"""The order in which things are found, and how a search goes on where it stopped.

    option   sort(+path,-path,…), size(n), cursor(c), separated by commas

Things are ordered by the values at the paths, and by their ids where these are equal, so
that any two differ. A cursor says behind which place in that order the next page begins: no
thing comes twice or is left out unless it changes its own place meanwhile. It also carries
filter and order, so that a page cannot be asked for of another search.

Values of different types are ordered by type: nothing, null, false and true, numbers, text,
and then objects and arrays, which are all alike.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from types import NoneType
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from twin_runtime.core.errors import MalformedMessage
from twin_runtime.core.limits import (
    OPTION_CHARS_MAX,
    SEARCH_PAGE_DEFAULT,
    SORT_PATHS_MAX,
    THINGS_PAGE_MAX,
)
from twin_runtime.core.look import Look
from twin_runtime.core.rql import property_of
from twin_runtime.core.scan import Scanner
from twin_runtime.core.thing import ABSENT

_BAD = "bad_option"
_NUMBER = re.compile(r"\d{1,6}(?=\s*\))")
_CURSOR = re.compile(r"[A-Za-z0-9_=-]+")


class By(NamedTuple):
    """One path by which things are ordered."""

    path: tuple[str, ...]
    is_descending: bool = False


Order = tuple[By, ...]


class Options(NamedTuple):
    """What the parameter `option` says."""

    order: Order | None = None  # None: not said
    size: int = SEARCH_PAGE_DEFAULT
    cursor: str = ""


Rank = tuple[int] | tuple[int, Any]  # the place of one value: first by its type


class Cursor(NamedTuple):
    """The place of the last thing of a page, in the order of a search."""

    filter: str
    order: Order
    ranks: tuple[Rank, ...]  # one for each path
    twin: str


_CURSORS = TypeAdapter(Cursor)
_RANKS = {NoneType: 1, bool: 2, int: 3, float: 3, str: 4}
_NOTHING = (0,)
_NULL = (1,)
_OTHER = (5,)


def options_of(text: str) -> Options:
    """The options in `text`, or raise `MalformedMessage` (`bad_option`) with the position."""
    scanner = Scanner(text, _BAD, OPTION_CHARS_MAX)
    options = _with_next(scanner, Options())
    while scanner.took(","):
        options = _with_next(scanner, options)
    scanner.end()
    return options


def encode_cursor(cursor: Cursor) -> str:
    """`cursor` as a client hands it back."""
    return urlsafe_b64encode(_CURSORS.dump_json(cursor)).decode()


def cursor_of(text: str) -> Cursor:
    """The inverse of `encode_cursor`, or raise `MalformedMessage` (`bad_option`)."""
    try:
        cursor = _CURSORS.validate_json(urlsafe_b64decode(text))
    except (ValueError, ValidationError):
        raise _not_ours() from None
    if len(cursor.ranks) != len(cursor.order) or len(cursor.order) > SORT_PATHS_MAX:
        raise _not_ours()
    if not all(_is_rank(rank) for rank in cursor.ranks):
        raise _not_ours()
    return cursor


def ranks_of(looks: Sequence[Look], subject: Any) -> tuple[Rank, ...]:
    """The places of what stands at the paths of an order."""
    return tuple([_rank(look(subject)) for look in looks])


class Reach:
    """Which things can still be on a page, told by the first of the values they are ordered
    by: most are out of reach by that alone, and are looked at no further."""

    __slots__ = ("_by", "_high", "_look", "_low")

    def __init__(self, look: Look, by: By) -> None:
        self._look = look
        self._by = by
        self._low: Rank = _NOTHING
        self._high: Rank = _OTHER

    def has(self, subject: Any) -> bool:
        return self._low <= _rank(self._look(subject)) <= self._high

    def begin_at(self, rank: Rank) -> None:
        """What is before `rank` is on a page before."""
        if self._by.is_descending:
            self._high = rank
        else:
            self._low = rank

    def end_at(self, rank: Rank) -> None:
        """What is behind `rank` is on a page that follows."""
        if self._by.is_descending:
            self._low = rank
        else:
            self._high = rank


def key_of(order: Order, ranks: tuple[Rank, ...], twin: str) -> tuple[Any, ...]:
    """What a thing is ordered by."""
    directed = zip(order, ranks, strict=True)
    return (*(_Down(rank) if by.is_descending else rank for by, rank in directed), twin)


class _Down(NamedTuple):
    """A rank in an order that descends."""

    rank: Rank

    def __lt__(self, other: tuple[Any, ...]) -> bool:
        return bool(other[0] < self.rank)

    def __gt__(self, other: tuple[Any, ...]) -> bool:
        return bool(self.rank < other[0])


def _rank(found: Any) -> Rank:
    rank = _RANKS.get(type(found))
    if rank is None:
        return _NOTHING if found is ABSENT else _OTHER
    return _NULL if found is None else (rank, found)


def _is_rank(rank: Rank) -> bool:
    """Whether a rank from a cursor is one that a value can have."""
    return rank in (_NOTHING, _NULL, _OTHER) or (len(rank) > 1 and rank == _rank(rank[1]))


def _not_ours() -> MalformedMessage:
    return MalformedMessage(_BAD, "the cursor is not one that a search gave")


def _with_next(scanner: Scanner, options: Options) -> Options:
    reading = next((each for each in _OPTIONS if scanner.took(f"{each}(")), None)
    if reading is None:
        raise scanner.mistake("sort(…), size(…) or cursor(…)")
    changed = _OPTIONS[reading](scanner, options)
    scanner.expect(")")
    return changed


def _sort(scanner: Scanner, options: Options) -> Options:
    order = [_by(scanner)]
    while scanner.took(","):
        order.append(_by(scanner))
    if len(order) > SORT_PATHS_MAX:
        raise scanner.mistake(f"at most {SORT_PATHS_MAX} paths")
    return options._replace(order=tuple(order))


def _by(scanner: Scanner) -> By:
    is_descending = scanner.took("-")
    if not is_descending:
        scanner.took("+")  # which a URL turns into a space, unless it is written as %2B
    return By(property_of(scanner), is_descending)


def _size(scanner: Scanner, options: Options) -> Options:
    begin = scanner.place
    number = scanner.take(_NUMBER)
    if number is None or not 1 <= int(number) <= THINGS_PAGE_MAX:
        raise scanner.mistake(f"a number from 1 to {THINGS_PAGE_MAX}", begin)
    return options._replace(size=int(number))


def _cursor(scanner: Scanner, options: Options) -> Options:
    cursor = scanner.take(_CURSOR)
    if cursor is None:
        raise scanner.mistake("the cursor of the page before")
    return options._replace(cursor=cursor)


_OPTIONS: dict[str, Callable[[Scanner, Options], Options]] = {
    "sort": _sort,
    "size": _size,
    "cursor": _cursor,
}
