"""Entity tags: which state of a thing, or of a part of it, somebody has seen.

A thing is told by its epoch and its revision, `"rev:E.N"`: an edge and the cloud give the
same, and no two owners ever give the same for different states. Live values change without
a revision, so a thing that has some adds their digest: `"rev:E.N.1a2b…"`. A part of a thing
is told by its canonical JSON, `"hash:1a2b…"`, so that it keeps its tag while only its
surroundings change.

A read compares in the view, a write in the commit that writes; both ask here.
"""

from collections.abc import Mapping
from hashlib import blake2b
from json import dumps
from typing import Any

_DIGEST_BYTES = 8  # two states of one part in 2^32 of its changes are taken for one


def thing_tag(document: Mapping[str, Any]) -> str:
    """The tag of a twin's document (`messages.TwinDocument` as plain values)."""
    features = document["features"]
    live = {name: state for name, state in features.items() if state.get("quality") == "live"}
    digest = f".{_digest(live)}" if live else ""
    return f'"rev:{document["epoch"]}.{document["revision"]}{digest}"'


def part_tag(part: Any) -> str:
    """The tag of what stands at a path below a thing."""
    return f'"hash:{_digest(part)}"'


def is_match(if_match: str, tag: str | None) -> bool:
    """Whether If-Match lets a request pass (RFC 9110, 13.1.1; else 412): a weak tag never
    does. `tag` is None where nothing is."""
    return tag is not None and (if_match.strip() == "*" or tag in _tags(if_match))


def is_none_match(if_none_match: str, tag: str | None) -> bool:
    """Whether If-None-Match lets a request pass (RFC 9110, 13.1.2); else a read is answered
    304 and a write 412. Weak tags count. `tag` is None where nothing is."""
    if tag is None:
        return True
    tags = [each.removeprefix("W/") for each in _tags(if_none_match)]
    return if_none_match.strip() != "*" and tag not in tags


def _tags(header: str) -> list[str]:
    return [tag.strip() for tag in header.split(",")]


def _digest(value: Any) -> str:
    canonical = dumps(value, sort_keys=True, separators=(",", ":")).encode()
    return blake2b(canonical, digest_size=_DIGEST_BYTES).hexdigest()
