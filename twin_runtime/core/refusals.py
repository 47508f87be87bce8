"""Why a message was refused: pydantic's finding as a code, a sentence and a JSON pointer."""

from collections.abc import Iterable

from pydantic import ValidationError

from twin_runtime.core.errors import MalformedMessage
from twin_runtime.core.limits import STRING_CHARS_MAX

_CODES = {
    "json_invalid": "not_json",
    "finite_number": "not_finite",
    "union_tag_invalid": "unknown_kind",
    "union_tag_not_found": "unknown_kind",
}
_SHOWN_CHARS_MAX = 120  # of what is wrong, and of the value: a refusal is a line of a log
_KINDS = frozenset(
    {"activate", "fetch", "seal", "release", "stable"}
    | {"hello", "activated", "fetched", "sealed", "checkpoint"}
)


def refusal_of(error: ValidationError) -> MalformedMessage:
    """What is wrong first, under a code that can be counted, at its place in the payload."""
    first = error.errors(include_url=False, include_context=False)[0]
    where = first["loc"]
    code = _CODES.get(first["type"], "bad_value")
    if where and where[-1] == "v":
        code = "unknown_version"
    elif code == "bad_value" and "features" in where and where[-1] == "type":
        code = "unknown_type"
    shown = repr(first["input"])
    if len(shown) > _SHOWN_CHARS_MAX:
        shown = shown[:_SHOWN_CHARS_MAX] + "..."
    # pydantic also names the kind of an order or event, which is no part of the payload.
    tagged = len(where) > 1 and where[0] in _KINDS
    message = f"{first['msg'][:_SHOWN_CHARS_MAX]} (got {shown})"
    return MalformedMessage(code, message, pointer(where[tagged:])[:STRING_CHARS_MAX])


def pointer(parts: Iterable[str | int]) -> str:
    """The JSON pointer (RFC 6901) of the value, or of the bad key, at `parts`."""
    escaped = (str(part).replace("~", "~0").replace("/", "~1") for part in parts if part != "[key]")
    return "".join(f"/{part}" for part in escaped)
