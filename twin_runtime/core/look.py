"""Ways to what a path names: in a thing, or in the values that a thing is made from.

A search looks at a few values of ten thousand twins. To make each of them a thing, or only
its document, takes ten times as long as to look, so most paths lead to a `State`: what is
held of a twin, as it is held. The others (to what a device says of itself, or to whole
objects) lead nowhere there, and who takes one of them looks at things.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from operator import attrgetter
from typing import Any, NamedTuple

from twin_runtime.core.desired import path_to
from twin_runtime.core.features import Feature, Features, Stamp
from twin_runtime.core.limits import SHAPES_MAX
from twin_runtime.core.messages import DesiredState, TwinDocument
from twin_runtime.core.thing import ABSENT, part_of, timestamp

Look = Callable[[Any], Any]  # what stands at a path in a subject, or `ABSENT`
LookUp = Callable[[tuple[str, ...]], Look]


class State(NamedTuple):
    """What is held of a twin, as it is held; `attributes` are plain JSON."""

    twin: str
    epoch: int
    revision: int
    modified_wall_ms: int
    attributes: Mapping[str, Any]
    features: Mapping[str, Feature]
    live: Mapping[str, Feature]
    desired: Mapping[str, DesiredState]


def state_of(document: TwinDocument) -> State:
    """What a document brings, with little more memory than its values take."""
    stamp: Stamp | None = None
    stamps: list[Stamp] = []
    for feature in document.features.values():
        if stamp != (feature.observed_ms, feature.quality):
            stamp = (feature.observed_ms, feature.quality)
        stamps.append(stamp)
    values = tuple([feature.value for feature in document.features.values()])
    return State(
        document.twin,
        document.epoch,
        document.revision,
        document.modified_wall_ms,
        document.attributes or _NOTHING,
        Features(_places(tuple(document.features)), values, tuple(stamps)),
        _NOTHING,
        document.desired or _NOTHING,
    )


def in_thing(path: tuple[str, ...]) -> Look:
    """Into a thing (`thing_of`)."""
    return lambda thing: part_of(thing, path)


def in_state(site: str, path: tuple[str, ...]) -> Look | None:
    """Into the `State` of the thing `site:twin`; None: only the thing has it."""
    match path:
        case ("thingId",):
            return lambda state: f"{site}:{state.twin}"
        case ("_revision",) | ("revision",):
            return attrgetter("revision")
        case ("epoch",):
            return attrgetter("epoch")
        case ("_modified",):
            return lambda state: timestamp(state.modified_wall_ms) or ABSENT
        case ("attributes", name, *_) if name != "description":
            return lambda state: part_of(state.attributes, path[1:])
        case ("features", name, "properties", part) if part in _PARTS:
            return _feature(name, _PARTS.index(part))
        case ("features", name, "desiredProperties", "value"):
            return _wish(path_to(name))
    return None


_PARTS = ("value", "observed_ms", "quality")  # in the order of a `Feature`
_NOTHING: dict[str, Any] = {}  # shared by all that have nothing; nobody writes into it


def _feature(name: str, part: int) -> Look:
    def look(state: State) -> Any:
        feature = state.live.get(name) or state.features.get(name)
        return ABSENT if feature is None else feature[part]

    return look


def _wish(path: str) -> Look:
    def look(state: State) -> Any:
        wish = state.desired.get(path)
        return ABSENT if wish is None else wish.value

    return look


@lru_cache(maxsize=SHAPES_MAX)
def _places(names: tuple[str, ...]) -> Mapping[str, int]:
    """The places of features, shared by all twins alike."""
    return {name: place for place, name in enumerate(names)}
