"""The attributes of a thing: JSON of any shape, as deep and as large as every reader can follow.

What is written through the API (`edit.py`) and what comes on the wire is checked here.
"""

from collections.abc import Iterable
from math import isfinite
from typing import Annotated, Any

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from twin_runtime.core.limits import ATTRIBUTE_DEPTH_MAX, ATTRIBUTE_NAME_CHARS_MAX, ATTRIBUTES_MAX
from twin_runtime.core.scalar import INTEGER_MAX, is_text


def problem_of(attributes: dict[str, Any]) -> str:
    """Why these, as parsed from JSON, cannot be the attributes of a thing; '' if they can."""
    if len(attributes) > ATTRIBUTES_MAX:
        return f"{len(attributes)} attributes are too many: at most {ATTRIBUTES_MAX}"
    return _problem(attributes, 0)


def _problem(value: Any, depth: int) -> str:
    if depth > ATTRIBUTE_DEPTH_MAX:
        return f"attributes are nested more than {ATTRIBUTE_DEPTH_MAX} deep"
    if type(value) is dict:
        return _problem_of_names(value) or _first(value.values(), depth + 1)
    if type(value) is list:
        return _first(value, depth + 1)
    if type(value) is float and not isfinite(value):
        return "an attribute has a number that is not finite"
    if type(value) is int and not -INTEGER_MAX <= value <= INTEGER_MAX:
        return "an attribute has a number beyond 2^53 - 1, which not every reader can hold"
    if type(value) is str and not is_text(value):
        return "an attribute has half a surrogate pair, which is no text"
    return ""


def _problem_of_names(value: Iterable[str]) -> str:
    for name in value:
        if not _is_name(name):
            allowed = f"1 to {ATTRIBUTE_NAME_CHARS_MAX} characters, no '/', no control characters"
            return f"{name[:20]!r} cannot be an attribute's name: {allowed}"
    return ""


def _is_name(name: str) -> bool:
    """Whether a path of the API can name it, and a terminal does not obey it."""
    plain = all(char != "/" and not "\x7f" <= char <= "\x9f" and char >= " " for char in name)
    return 1 <= len(name) <= ATTRIBUTE_NAME_CHARS_MAX and plain and is_text(name)


def _first(values: Iterable[Any], depth: int) -> str:
    return next((problem for value in values if (problem := _problem(value, depth))), "")


def _checked(attributes: dict[str, Any]) -> dict[str, Any]:
    if problem := problem_of(attributes):
        raise PydanticCustomError("bad_attribute", "{problem}", {"problem": problem})
    return attributes


Attributes = Annotated[dict[str, Any], AfterValidator(_checked)]
