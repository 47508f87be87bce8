"""What the body of a write may be, in the API's description of itself.

Which features a twin has, and of which type they are, its device says: a description of the
API knows that a wish is a number, a boolean or a short text, and that is all it can know.
"""

from typing import Any, Final

from twin_runtime.adapters.http_problem import JSON
from twin_runtime.core.ids import FEATURE_PATTERN
from twin_runtime.core.limits import (
    ATTRIBUTE_DEPTH_MAX,
    ATTRIBUTE_NAME_CHARS_MAX,
    ATTRIBUTES_MAX,
    STRING_CHARS_MAX,
)
from twin_runtime.core.scalar import INTEGER_MAX

MERGE_PATCH: Final = "application/merge-patch+json"

_Schema = dict[str, Any]


def _object(about: str, properties: dict[str, _Schema]) -> _Schema:
    """An object with these properties, each of them optional, and no others."""
    said = {"type": "object", "description": about, "properties": properties}
    return {**said, "additionalProperties": False}


# JSON Schema does not tell 1e20 from a whole number, so the first sentence is all it can hold to.
_NUMBER: Final[_Schema] = {
    "type": "number",
    "minimum": -INTEGER_MAX,
    "maximum": INTEGER_MAX,
    "description": "Within 2^53 - 1; beyond it, only if written with a fraction or an exponent.",
}
_SCALARS: Final[list[_Schema]] = [
    _NUMBER,
    {"type": "boolean"},
    {"type": "string", "maxLength": STRING_CHARS_MAX},
]
_ANYTHING: Final[_Schema] = {"$ref": "#/components/schemas/Anything"}
_NAMES: Final[_Schema] = {"pattern": rf"^[^/\x00-\x1f\x7f-\x9f]{{1,{ATTRIBUTE_NAME_CHARS_MAX}}}$"}
ATTRIBUTE_PATH: Final[_Schema] = {
    "pattern": r"^[^\x00-\x1f\x7f-\x9f]+$",
    "description": f"a JSON pointer: names of 1 to {ATTRIBUTE_NAME_CHARS_MAX} characters",
}
ANYTHING: Final[_Schema] = {
    "description": f"Any JSON, at most {ATTRIBUTE_DEPTH_MAX} objects deep.",
    "anyOf": [
        _NUMBER,
        {"type": ["string", "boolean", "null"]},
        {"type": "array", "items": _ANYTHING},
        {"type": "object", "propertyNames": _NAMES, "additionalProperties": _ANYTHING},
    ],
}
_ATTRIBUTES: Final[_Schema] = {
    "type": "object",
    "description": "What people write of a thing; `description` is its device's.",
    "maxProperties": ATTRIBUTES_MAX,
    "propertyNames": _NAMES,
    "additionalProperties": _ANYTHING,
}
# A fraction, or what is written as one, may be larger than a whole number may.
_VALUE: Final[_Schema] = {
    "description": f"What is wanted of a feature; a whole number up to {INTEGER_MAX}.",
    "anyOf": [{"type": "number"}, *_SCALARS[1:]],
}
_DESIRED: Final = _object("What is wanted of a feature.", {"value": _VALUE})
_FEATURE: Final = _object("Of a feature only this is the API's.", {"desiredProperties": _DESIRED})
_FEATURES: Final[_Schema] = {
    "type": "object",
    "description": "Features by their names.",
    "propertyNames": {"pattern": FEATURE_PATTERN},
    "additionalProperties": _FEATURE,
}
_NAME: Final[_Schema] = {
    "type": "string",
    "readOnly": True,
    "description": "May be said again, as it is in the path.",
}
_THING: Final = _object(
    "What people may write of a thing.",
    {"thingId": _NAME, "attributes": _ATTRIBUTES, "features": _FEATURES},
)

# Of each place in a thing: what may be put there, and an example of it.
THING: Final = _THING, {"attributes": {"room": "north", "place": {"floor": 2}}}
ATTRIBUTES: Final = _ATTRIBUTES, {"room": "north", "place": {"floor": 2}}
ATTRIBUTE: Final = _ANYTHING, "north"
FEATURES: Final = _FEATURES, {"sample_period_s": {"desiredProperties": {"value": 2}}}
FEATURE: Final = _FEATURE, {"desiredProperties": {"value": 2}}
DESIRED: Final = _DESIRED, {"value": 2}
VALUE: Final = _VALUE, 2
REPORTED: Final = _ANYTHING, 21.5
ARGUMENTS: Final = (
    {
        "type": "object",
        "description": "A command's arguments, by their names.",
        "propertyNames": {"pattern": FEATURE_PATTERN},
        "additionalProperties": {"anyOf": [*_SCALARS, {"type": "null"}]},
    },
    {"times": 3},
)

Body = tuple[_Schema, Any]


def put(body: Body, *, required: bool = True) -> dict[str, Any]:
    """The body of PUT or POST, as OpenAPI has it."""
    schema, example = body
    return {"required": required, "content": {JSON: {"schema": schema, "example": example}}}


def patch(body: Body) -> dict[str, Any]:
    """The body of PATCH: a merge patch (RFC 7396), in which null takes away."""
    schema, example = body
    said = {"schema": _patching(schema), "example": example}
    return {"required": True, "content": {MERGE_PATCH: said, JSON: said}}


def _patching(schema: _Schema) -> _Schema:
    """As `schema`, but that whatever is below may be null."""
    found = dict(schema)
    if "properties" in schema:
        below = schema["properties"].items()
        found["properties"] = {name: _or_null(each) for name, each in below}
    if isinstance(schema.get("additionalProperties"), dict):
        found["additionalProperties"] = _or_null(schema["additionalProperties"])
    return found


def _or_null(schema: _Schema) -> _Schema:
    return {"anyOf": [_patching(schema), {"type": "null"}]}
