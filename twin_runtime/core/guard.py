"""What must hold in the commit of a write: entity tags, and a condition on the thing."""

from collections.abc import Mapping
from typing import Any

from twin_runtime.core.effects import Guard, Refused
from twin_runtime.core.etag import is_match, is_none_match, part_tag, thing_tag
from twin_runtime.core.thing import ABSENT, part_of


def unmet(thing: Mapping[str, Any], tag: str | None, guard: Guard) -> Refused | None:
    """Which condition of a write does not hold, if one does not; `tag` is that of what is to be
    written (None: it is not there)."""
    if guard.if_match and not is_match(guard.if_match, tag):
        return Refused("changed", f"If-Match is {guard.if_match[:80]}, but it is {tag or 'absent'}")
    if guard.if_none_match and not is_none_match(guard.if_none_match, tag):
        return Refused("changed", f"If-None-Match is {guard.if_none_match[:80]}, and it is {tag}")
    if guard.holds is not None and not guard.holds(thing):
        return Refused("condition", "the thing is not as the condition wants it")
    return None


def tag_of(
    document: Mapping[str, Any], thing: Mapping[str, Any], path: tuple[str, ...]
) -> str | None:
    """The entity tag of what stands at `path` of a thing and its document; None: nothing does."""
    if not path:
        return thing_tag(document)
    part = part_of(thing, path)
    return None if part is ABSENT else part_tag(part)
