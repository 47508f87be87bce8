"""Ways to what a path names: in a thing, or in the document that the thing is made from.

A search looks at a few values of ten thousand twins. Making each of them a thing first
would take as long as all the rest, so most paths lead into the document itself.
"""

from collections.abc import Callable
from operator import itemgetter
from typing import Any

from twin_runtime.core.thing import ABSENT, part_of, thing_of, timestamp

Look = Callable[[Any], Any]  # what stands at a path in a subject, or `ABSENT`
LookUp = Callable[[tuple[str, ...]], Look]


def in_thing(path: tuple[str, ...]) -> Look:
    """Into a thing (`thing_of`)."""
    return lambda thing: part_of(thing, path)


def in_document(site: str) -> LookUp:
    """Into the document of the thing `site:twin`."""

    def look_up(path: tuple[str, ...]) -> Look:
        match path:
            case ("thingId",):
                return lambda document: f"{site}:{document['twin']}"
            case ("_revision",) | ("revision",):
                return itemgetter("revision")
            case ("_modified",):
                return _modified
            case ("attributes", name, *rest) if name != "description":
                return in_thing(("attributes", name, *rest))
            case ("features", name, "properties", *rest):
                return in_thing(("features", name, *rest))
        return lambda document: part_of(thing_of(document, site), path)

    return look_up


def needs_description(path: tuple[str, ...]) -> bool:
    """Whether a path may lead to what a device says of itself."""
    return path in ((), ("attributes",)) or path[:2] == ("attributes", "description")


def _modified(document: Any) -> Any:
    return timestamp(document.get("reported_wall_ms", 0)) or ABSENT
