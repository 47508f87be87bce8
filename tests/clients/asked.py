"""What Schemathesis asks where a parameter is in a language of its own: sentences of it.

OpenAPI can say which language that is (`format`), and Schemathesis cannot speak it.
"""

from typing import Any

import schemathesis
from hypothesis import strategies

from twin_runtime.core.limits import ATTRIBUTE_DEPTH_MAX
from twin_runtime.core.scalar import INTEGER_MAX

DEPTH_MAX = ATTRIBUTE_DEPTH_MAX - 3  # a path may lead below two names
SENTENCES = {
    "rql": [
        "exists(thingId)",
        "gt(features/temperature_c/properties/value,-90)",
        'or(not(exists(attributes/room)),like(attributes/room,"*"),ne(epoch,0))',
    ],
    "fields": ["thingId", "attributes(room,place/floor),features/*/properties/value", "none"],
    "search-option": ["size(3)", "sort(-features/temperature_c/properties/value,+thingId),size(1)"],
    "time-span": ["1", "2s", "900ms"],
    "moment": ["1795289974918", "2026-05-01T12:00:00Z", "2031-05-01T12:00:00.5"],
}

for name, sentences in SENTENCES.items():
    schemathesis.openapi.format(name, strategies.sampled_from(sentences))


@schemathesis.hook
def filter_case(_: Any, case: schemathesis.Case[Any]) -> bool:
    """Of the two ways to say when, one; nothing nested deeper than an attribute may be, which is
    refused, and no fraction that is larger than a whole number may be, which is taken: OpenAPI
    has no word for these."""
    times = [name for name in case.query or {} if name.startswith("at-historical-")]
    return len(times) < 2 and _is_plain(case.body, DEPTH_MAX)


def _is_plain(value: Any, depth: int) -> bool:
    if isinstance(value, dict | list):
        below = value.values() if isinstance(value, dict) else value
        return depth > 0 and all(_is_plain(each, depth - 1) for each in below)
    return not isinstance(value, float) or abs(value) <= INTEGER_MAX
