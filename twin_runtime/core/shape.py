"""The shape of a twin: which features it has, of which type. Shared by all twins alike.

A site has many devices of few kinds, and a description weighs more than the values it
describes. So equal feature declarations are one object, encoded and compiled once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite
from typing import Any, Literal

from pydantic import TypeAdapter

from twin_runtime.core import messages
from twin_runtime.core.limits import SHAPES_MAX, STRING_CHARS_MAX
from twin_runtime.core.messages import Description, FeatureSpec
from twin_runtime.core.scalar import INTEGER_MAX, is_text

Kind = Literal["number", "integer", "boolean", "string"]

_FEATURES = TypeAdapter(dict[str, FeatureSpec])


@dataclass(frozen=True, slots=True)
class Shape:
    """Declared features: `features` by name, `kinds` their types alone, `places` their order,
    `json` all of it on the wire."""

    features: Mapping[str, FeatureSpec]
    kinds: Mapping[str, Kind]
    places: Mapping[str, int]
    json: bytes


def shape_of(features: Mapping[str, FeatureSpec]) -> Shape:
    """The shared shape of these declarations."""
    return _shape(_FEATURES.dump_json(dict(features)))


@lru_cache(maxsize=SHAPES_MAX)
def shared(text: str) -> str:
    """The one object of all equal texts, of titles above all. `sys.intern` would keep each for
    ever (Python 3.12)."""
    return text


def accepts(kind: Kind, value: Any) -> bool:
    """Whether a JSON value is one of the declared type, and finite. None is always
    accepted: the sensor did not answer."""
    found = type(value)
    if found is float:
        return kind == "number" and isfinite(value)
    if found is int:
        return kind in ("number", "integer") and -INTEGER_MAX <= value <= INTEGER_MAX
    if found is str:
        return kind == "string" and len(value) <= STRING_CHARS_MAX and is_text(value)
    return value is None or (found is bool and kind == "boolean")


def worst_case_bytes(description: Description) -> int:
    """How large the row of a twin so described can become, edits left out."""
    values = sum(
        len(name) + (_STRING_VALUE_BYTES if spec.type == "string" else _NUMBER_VALUE_BYTES)
        for name, spec in description.features.items()
    )
    return len(messages.encode(description)) + values + _ENVELOPE_BYTES


# `"":{"value":-1.7976931348623157e308,"observed_ms":-9007199254740991,"quality":"uncertain"},`
# and up to 6 bytes for each character of a string (a control character's escape).
_NUMBER_VALUE_BYTES = 96
_STRING_VALUE_BYTES = _NUMBER_VALUE_BYTES + 6 * STRING_CHARS_MAX
_ENVELOPE_BYTES = 512


@lru_cache(maxsize=SHAPES_MAX)
def _shape(encoded: bytes) -> Shape:
    features = _FEATURES.validate_json(encoded)
    kinds: dict[str, Kind] = {name: spec.type for name, spec in features.items()}
    return Shape(features, kinds, {name: place for place, name in enumerate(features)}, encoded)
