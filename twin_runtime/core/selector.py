"""Ditto's field selector: which parts of a thing are wanted.

    thingId,attributes(location,floor),features/*/properties/value

A path is a JSON pointer; parentheses share what comes before them; `*` stands for every
name. What is not there is left out. A wider path wins over a narrower one.
"""

import re
from collections.abc import Iterator
from typing import Any

from twin_runtime.core.limits import FIELDS_CHARS_MAX, QUERY_DEPTH_MAX
from twin_runtime.core.scan import Scanner
from twin_runtime.core.thing import ABSENT, path_of

# What is wanted of a value: by name, what is wanted of what has it; empty: all of it.
Fields = dict[str, "Fields"]
_Path = tuple[str, ...]

_PATH = re.compile(r"/?[^\s(),/]+(?:/[^\s(),/]+)*")
_EVERY = "*"


def fields_of(text: str) -> Fields:
    """The selector in `text`, or raise `MalformedMessage` (`bad_fields`) with the position."""
    scanner = Scanner(text, "bad_fields", FIELDS_CHARS_MAX)
    paths = list(_paths(scanner, ()))
    scanner.end()
    root: Fields = {}
    for path in sorted(paths, key=len):
        _insert(root, path)
    return root


def selected(value: Any, fields: Fields) -> Any:
    """What `fields` selects of `value`, or `ABSENT` where that is nothing."""
    if not fields:
        return value
    if not isinstance(value, dict):
        return ABSENT
    parts = {}
    for name, each in value.items():
        wanted = _wanted(fields, name)
        if wanted is not None and (part := selected(each, wanted)) is not ABSENT:
            parts[name] = part
    return parts or ABSENT


def _paths(scanner: Scanner, above: _Path) -> Iterator[_Path]:
    while True:
        place = scanner.place
        written = scanner.take(_PATH)
        if written is None:
            raise scanner.mistake("a name")
        path = (*above, *path_of(written))
        if len(path) > QUERY_DEPTH_MAX:
            raise scanner.mistake(f"at most {QUERY_DEPTH_MAX} names below each other", place)
        if scanner.took("("):
            yield from _paths(scanner, path)
            scanner.expect(")", "',' or ")
        else:
            yield path
        if not scanner.took(","):
            return


def _insert(root: Fields, path: _Path) -> None:
    """Add `path`; of paths that begin alike the shortest comes first, and is enough."""
    node = root
    for name in path:
        if node.get(name) == {}:
            return
        node = node.setdefault(name, {})


def _wanted(fields: Fields, name: str) -> Fields | None:
    """What is wanted of what has this `name`; None: nothing."""
    by_name, of_every = fields.get(name), fields.get(_EVERY)
    if by_name is None or of_every is None:
        return by_name if of_every is None else of_every
    return _both(by_name, of_every)


def _both(left: Fields, right: Fields) -> Fields:
    if not left or not right:
        return {}
    names = left.keys() | right.keys()
    return {name: _either(left.get(name), right.get(name)) for name in names}


def _either(left: Fields | None, right: Fields | None) -> Fields:
    if left is None or right is None:
        return (left if right is None else right) or {}
    return _both(left, right)
