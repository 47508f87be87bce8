"""What people write of a thing: its attributes, and what they want of its features.

A device alone writes what it reports, so only a part of a thing can be edited:

    attributes/…                            any JSON, but for `description`, the device's own
    features/{f}/desiredProperties/value    a wanted value of a feature that is writable

An edit is worked out on that part alone, as a tree; whatever else it names is refused. What
comes out is checked as a whole, and either becomes the next revision or changes nothing:
wanting what is wanted already, or writing what is written, is no change. Wanting a value
again that was rejected, has expired, or is no longer what the device reports, is one.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from twin_runtime.core import messages
from twin_runtime.core.attributes import problem_of
from twin_runtime.core.desired import edited_bytes, feature_of, is_open, path_to
from twin_runtime.core.effects import Edit, Refused
from twin_runtime.core.ids import FEATURE_PATTERN
from twin_runtime.core.limits import DESIRED_PER_TWIN_MAX, EDITED_BYTES_MAX
from twin_runtime.core.merge_patch import merged
from twin_runtime.core.messages import DesiredState
from twin_runtime.core.shape import Shape, accepts
from twin_runtime.core.thing import ABSENT, part_of
from twin_runtime.core.twin import Phase, Twin

_OF_THE_DEVICE = frozenset({"properties", "desiredState", "definition"})
_OF_THE_TWIN = frozenset({"epoch", "revision", "_revision", "_modified", "_created", "_metadata"})
_DESIRED = "desiredProperties"
_FEATURE = re.compile(FEATURE_PATTERN[1:-1])
_BELOW = 3  # names in the path of a part of a feature
_DESCRIPTION = "description"


class Editable(NamedTuple):
    """What people wrote of a twin."""

    attributes: Mapping[str, Any]
    desired: Mapping[str, DesiredState]


class _No(Exception):
    """Why an edit is refused: a code and a sentence."""


def edit(twin: Twin, wanted: Edit, wall_ms: int) -> Twin | Refused:
    """The twin after an edit, at the next revision; the same twin where nothing changes.
    `wall_ms` only labels what is newly wanted of the device."""
    assert twin.phase is Phase.ACTIVE, f"{twin.twin} is {twin.phase}: it may not change"
    try:
        after = _edited(twin, wanted, wall_ms)
    except _No as no:
        return Refused(*no.args)
    if _encoded(after) == _encoded(Editable(twin.attributes, twin.desired)):
        return twin  # compared as JSON, in which true is not 1
    return twin._replace(
        attributes=after.attributes, desired=after.desired, revision=twin.revision + 1
    )


def expire(twin: Twin, path: str, number: int) -> Twin | None:
    """The time of a wish is up; None where it has ended, or another one has its place."""
    entry = twin.desired.get(path)
    if entry is None or entry.number != number or not is_open(entry):
        return None
    desired = {**twin.desired, path: entry.model_copy(update={"state": "expired"})}
    return twin._replace(desired=desired, revision=twin.revision + 1)


def _encoded(editable: Editable) -> bytes:
    return messages.dump({"a": dict(editable.attributes), "d": dict(editable.desired)})


def _edited(twin: Twin, wanted: Edit, wall_ms: int) -> Editable:
    if wanted.method == "delete":
        _check_feature(twin, wanted.path)
    _check_path(wanted.path)
    tree = _checked_tree(_changed(_tree(twin), wanted))
    attributes = _checked_attributes(tree.get("attributes", {}))
    desired = _desired(twin, _wishes(tree.get("features", {})), wanted, wall_ms)
    size = edited_bytes(attributes, desired)
    if size > EDITED_BYTES_MAX:
        what = f"attributes and desired values would take {size} bytes"
        raise _No("too_large", f"{what}; at most {EDITED_BYTES_MAX}: write less, or remove some")
    return Editable(attributes, desired)


def _check_feature(twin: Twin, path: tuple[str, ...]) -> None:
    """What is below a feature that nobody knows is not there to be deleted."""
    match path:
        case ("features", name, "desiredProperties", *_):
            declared = twin.shape.features if twin.shape is not None else {}
            if not (name in declared or name in twin.features or path_to(name) in twin.desired):
                raise _no_feature(name)


def _check_path(path: tuple[str, ...]) -> None:
    match path:
        case () | ("attributes", *_) | ("features",) | ("features", _):
            return
        case ("features", _, "desiredProperties") | ("features", _, "desiredProperties", "value"):
            return
        case ("features", _, ("properties" | "desiredState" | "definition"), *_):
            raise _No("read_only", "a device alone writes what it reports; write desiredProperties")
        case ("features", _, "desiredProperties", *_):
            raise _No("not_found", "a feature has one desired value: desiredProperties/value")
    raise _No("not_found", f"a thing has no {'/'.join(path)[:80]!r} to write")


def _tree(twin: Twin) -> dict[str, Any]:
    """What may be written, as it stands in a thing."""
    wishes = ((feature_of(path), entry.value) for path, entry in twin.desired.items())
    features = {name: {_DESIRED: {"value": value}} for name, value in wishes if name is not None}
    return {"attributes": dict(twin.attributes), "features": features}


def _changed(tree: dict[str, Any], wanted: Edit) -> Any:
    if wanted.method != "patch" and wanted.path[:1] == ("features",) and len(wanted.path) < _BELOW:
        raise _No("read_only", "a device alone says which features it has; PATCH, or write one")
    found = part_of(tree, wanted.path)
    if wanted.method == "delete":
        if found is ABSENT:
            raise _No("not_found", f"there is no {'/'.join(wanted.path)[:80]!r} to delete")
        return _replaced(tree, wanted.path, ABSENT)
    if wanted.method == "put":
        return _replaced(tree, wanted.path, wanted.value)
    return _replaced(tree, wanted.path, merged(None if found is ABSENT else found, wanted.value))


def _checked_tree(tree: Any) -> dict[str, Any]:
    for name in _object(tree, "a thing"):
        if name in _OF_THE_TWIN:
            raise _No("read_only", f"{name} is counted here: leave it out")
        if name not in ("attributes", "features"):
            raise _No("invalid", f"a thing has no {name[:64]!r}; write attributes and features")
    checked: dict[str, Any] = tree
    return checked


def _replaced(tree: Any, path: tuple[str, ...], value: Any) -> Any:
    """`tree` with `value` at `path`, or with nothing there (ABSENT); objects on the way are
    made where there are none."""
    if not path:
        return {} if value is ABSENT else value
    if not isinstance(tree, dict):
        raise _No("invalid", f"{path[0][:80]!r} would be below a value that is not an object")
    name, *rest = path
    if not rest and value is ABSENT:
        return {each: held for each, held in tree.items() if each != name}
    return {**tree, name: _replaced(tree.get(name, {}), tuple(rest), value)}


def _checked_attributes(attributes: Any) -> dict[str, Any]:
    checked = _object(attributes, "attributes")
    if _DESCRIPTION in checked:
        raise _No("read_only", "a device alone writes its description: leave it out")
    if problem := problem_of(checked):
        raise _No("invalid", problem)
    return checked


def _wishes(features: Any) -> dict[str, Any]:
    """The wanted value of each feature that has one."""
    wishes: dict[str, Any] = {}
    for name, feature in _object(features, "features").items():
        for key in _object(feature, f"feature {name[:64]!r}"):
            if key in _OF_THE_DEVICE:
                raise _No("read_only", f"a device alone writes {key!r}; write {_DESIRED}")
            if key != _DESIRED:
                raise _No("invalid", f"a feature has no {key[:64]!r} to write; only {_DESIRED}")
        for key, value in _object(feature.get(_DESIRED, {}), _DESIRED).items():
            if key != "value":
                raise _No("invalid", f"a feature has one desired value, not {key[:64]!r}")
            wishes[name] = value
    return wishes


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        said = messages.dump(value).decode()[:40]
        raise _No("invalid", f"{what}: an object is wanted, not {said}")
    return value


def _desired(
    twin: Twin, wishes: Mapping[str, Any], wanted: Edit, wall_ms: int
) -> dict[str, DesiredState]:
    if len(wishes) > DESIRED_PER_TWIN_MAX:
        text = f"{len(wishes)} desired values are too many: at most {DESIRED_PER_TWIN_MAX}"
        raise _No("too_many", f"{text}; delete those that are done")
    desired: dict[str, DesiredState] = {}
    for name, value in wishes.items():
        entry = twin.desired.get(path_to(name))
        if entry is None or not _stands(twin, name, entry, value, again=name in wanted.path):
            _check_wish(twin.shape, name, value)
            number, valid_for_s = twin.revision + 1, wanted.valid_for_s
            entry = DesiredState(
                number=number, value=value, wanted_ms=wall_ms, valid_for_s=valid_for_s
            )
        desired[path_to(name)] = entry
    return desired


def _stands(twin: Twin, name: str, entry: DesiredState, value: Any, *, again: bool) -> bool:
    """Whether an entry is what is wanted; one that has ended may be wanted `again`."""
    if type(entry.value) is not type(value) or entry.value != value:
        return False
    if not again or is_open(entry):
        return True
    reported = twin.features.get(name)
    return entry.state == "done" and reported is not None and reported[0] == value


def _check_wish(shape: Shape | None, name: str, value: Any) -> None:
    """Whether the device takes it, as far as it is known."""
    if value is None:
        raise _No("invalid", f"null is no value for {name[:64]!r}: DELETE what is not wanted")
    if shape is None:
        if not _FEATURE.fullmatch(name):
            raise _No("invalid", f"{name[:64]!r} is no feature's name: use a-z, 0-9 and '_'")
        if not any(accepts(kind, value) for kind in ("number", "boolean", "string")):
            raise _No("invalid", f"{str(value)[:40]!r} is no number, boolean or short string")
        return
    spec = shape.features.get(name)
    if spec is None:
        raise _no_feature(name)
    if not spec.writable:
        raise _No("read_only", f"feature {name!r} is not writable: the device only reports it")
    if not accepts(spec.type, value):
        raise _No("invalid", f"feature {name!r} takes a {spec.type}, not {str(value)[:40]!r}")


def _no_feature(name: str) -> _No:
    return _No("no_feature", f"the device has no feature {name[:64]!r}")
