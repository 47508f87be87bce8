"""Expressions on a thing: the subset of RQL that Eclipse Ditto has.

    query  eq(path,value) ne gt ge lt le | in(path,value,…) | like(path,"pattern")
           | exists(path) | and(query,…) | or(query,…) | not(query)
    path   a JSON pointer into the thing: attributes/room, features/f/properties/value
    value  a number, "text" or 'text', true, false, null

Values are compared with values of their own type only: a number is neither equal to text
nor above it. What is not there is in no relation to anything, so `ne` is false too
(`not(eq(…))` is not). In a pattern `*` stands for any text and `?` for one character.

An expression is read by recursive descent, 12 operators with one form of arguments: a
parser library would bring a grammar in a second language and worse answers to mistakes. It
becomes nested closures, so that a search runs it on ten thousand twins without reading it
again. Where a path leads is the caller's: a search looks into documents, a condition into
one thing.
"""

import operator
import re
from collections.abc import Callable
from types import NoneType
from typing import Any

from twin_runtime.core.limits import QUERY_DEPTH_MAX, RQL_CHARS_MAX
from twin_runtime.core.look import Look, LookUp, in_thing
from twin_runtime.core.scan import Scanner
from twin_runtime.core.thing import ABSENT, path_of

Query = Callable[[Any], bool]  # whether the expression holds for a subject

_OPERATOR = re.compile(r"[a-z]+(?=\s*\()")
_PROPERTY = re.compile(r"""[^\s(),"']+""")
_TEXT = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'""", re.DOTALL)
_NUMBER = re.compile(r"-?\d{1,32}(?:\.\d{1,32})?(?:[eE][+-]?\d{1,3})?(?=\s*[,)])")
_WORD = re.compile(r"(?:true|false|null)(?=\s*[,)])")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)

_WORDS = {"true": True, "false": False, "null": None}
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}
_OPERATORS = (*("eq", "ne", *_ORDERS), "in", "like", "exists", "and", "or", "not")
# What a thing has at its top, and what Ditto's has besides.
_ROOTS = frozenset(
    {"thingId", "attributes", "features", "epoch", "revision", "_revision", "_modified"}
    | {"policyId", "definition", "_created", "_metadata"}
)
_KINDS = {int: "number", float: "number", str: "text", bool: "boolean", NoneType: "null"}


def query_of(text: str, look_up: LookUp = in_thing) -> Query:
    """The expression in `text`, or raise `MalformedMessage` (`bad_query`) with the position of
    the mistake and what was expected there."""
    scanner = Scanner(text, "bad_query", RQL_CHARS_MAX)
    query = _query(scanner, look_up, 1)
    scanner.end()
    return query


def property_of(scanner: Scanner) -> tuple[str, ...]:
    """The path that is next."""
    begin = scanner.place
    written = scanner.take(_PROPERTY)
    path = path_of(written or "")
    if written is None or path[0] not in _ROOTS:
        raise scanner.mistake("thingId, attributes/…, features/…, _revision or _modified", begin)
    return path


def _query(scanner: Scanner, look_up: LookUp, depth: int) -> Query:
    if depth > QUERY_DEPTH_MAX:
        raise scanner.mistake(f"at most {QUERY_DEPTH_MAX} operators inside each other")
    begin = scanner.place
    name = scanner.take(_OPERATOR)
    if name in ("and", "or", "not"):
        return _logic(name, _inner(scanner, look_up, name, depth))
    if name not in _OPERATORS:
        raise scanner.mistake("one of " + ", ".join(_OPERATORS), begin)
    scanner.expect("(")
    look = look_up(property_of(scanner))
    query = _relation(name, look, scanner)
    scanner.expect(")")
    return query


def _inner(scanner: Scanner, look_up: LookUp, name: str, depth: int) -> list[Query]:
    """The queries between the parentheses of `and`, `or` and `not`."""
    scanner.expect("(")
    inner = [_query(scanner, look_up, depth + 1)]
    while name != "not" and scanner.took(","):
        inner.append(_query(scanner, look_up, depth + 1))
    scanner.expect(")", "" if name == "not" else "',' or ")
    return inner


def _logic(name: str, inner: list[Query]) -> Query:
    if name == "not":
        query = inner[0]
        return lambda subject: not query(subject)
    ends = name == "or"  # the first that is so decides

    def logic(subject: Any) -> bool:
        for query in inner:  # `any` of a generator takes three times as long
            if query(subject) is ends:
                return ends
        return not ends

    return logic


def _relation(name: str, look: Look, scanner: Scanner) -> Query:
    if name == "exists":
        return lambda subject: look(subject) is not ABSENT
    if name == "like":
        return _like(look, _next_text(scanner))
    if name == "in":
        return _in(look, _next_values(scanner))
    value = _next_value(scanner)
    if name == "eq":
        return _in(look, [value])
    if name == "ne":
        is_equal = _in(look, [value])
        return lambda subject: look(subject) is not ABSENT and not is_equal(subject)
    if value is None:
        raise scanner.mistake(f"something that {name!r} can order: null cannot")
    return _ordered(look, _ORDERS[name], value)


def _in(look: Look, values: list[Any]) -> Query:
    wanted = {(_kind(value), value) for value in values}

    def query(subject: Any) -> bool:
        found = look(subject)
        return type(found) in _KINDS and (_kind(found), found) in wanted

    return query


def _ordered(look: Look, order: Callable[[Any, Any], bool], value: Any) -> Query:
    kind = _kind(value)

    def query(subject: Any) -> bool:
        found = look(subject)
        return _KINDS.get(type(found)) == kind and order(found, value)

    return query


def _kind(value: Any) -> str:
    return _KINDS[type(value)]


def _like(look: Look, pattern: str) -> Query:
    matches = _compiled(pattern).fullmatch

    def query(subject: Any) -> bool:
        found = look(subject)
        return type(found) is str and matches(found) is not None

    return query


def _compiled(pattern: str) -> re.Pattern[str]:
    """A regular expression that takes no longer than text times pattern: what stands between
    two stars is found where it comes first, and that is never taken back."""
    first, *rest = (
        ".".join(re.escape(text) for text in piece.split("?")) for piece in pattern.split("*")
    )
    if not rest:
        return re.compile(first, re.DOTALL)
    between = "".join(f"(?>.*?{piece})" for piece in rest[:-1])
    return re.compile(f"{first}{between}.*{rest[-1]}", re.DOTALL)


def _next_values(scanner: Scanner) -> list[Any]:
    values = [_next_value(scanner)]
    while scanner.took(","):
        values.append(_value(scanner))
    return values


def _next_text(scanner: Scanner) -> str:
    scanner.expect(",")
    text = _text(scanner)
    if text is None:
        raise scanner.mistake("a pattern in quotes")
    return text


def _next_value(scanner: Scanner) -> Any:
    scanner.expect(",")
    return _value(scanner)


def _value(scanner: Scanner) -> Any:
    if (text := _text(scanner)) is not None:
        return text
    if number := scanner.take(_NUMBER):
        return int(number) if number.lstrip("-").isdigit() else float(number)
    if word := scanner.take(_WORD):
        return _WORDS[word]
    raise scanner.mistake('a number, "text", true, false or null')


def _text(scanner: Scanner) -> str | None:
    quoted = scanner.take(_TEXT)
    return None if quoted is None else _ESCAPED.sub(r"\1", quoted[1:-1])
