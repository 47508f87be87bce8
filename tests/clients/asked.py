"""What Schemathesis asks where a parameter is in a language of its own: sentences of it.

OpenAPI can say which language that is (`format`), and Schemathesis cannot speak it.
"""

from typing import Any

import schemathesis
from hypothesis import strategies

from twin_runtime.core.scalar import INTEGER_MAX

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
    """Of the two ways to say when, one; no fraction that is larger than a whole number may be,
    which is taken, in an attribute: OpenAPI has no word for either."""
    times = [name for name in case.query or {} if name.startswith("at-historical-")]
    return len(times) < 2 and not _has_large_fraction(case.body)


def _has_large_fraction(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_large_fraction, value.values()))
    if isinstance(value, list):
        return any(map(_has_large_fraction, value))
    return isinstance(value, float) and abs(value) > INTEGER_MAX
