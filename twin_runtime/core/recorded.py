"""What was recorded of a feature, as rows, and fewer of them for a chart.

Thinning is M4 (Jugel, Jerzak, Hackenbroich, Markl: M4, a visualization-oriented time series
data aggregation, PVLDB 7(10), 2014): time is cut into buckets of equal length, and of each
bucket stay its first, its last, its smallest and its largest value. Where a bucket is as wide
as a column of pixels, the line drawn through these is the line drawn through all.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

_KEPT_PER_BUCKET = 4


class Position(NamedTuple):
    """Where in the past of a twin: a revision at an epoch."""

    epoch: int
    revision: int


class Recorded(NamedTuple):
    """What one report said of one feature."""

    at: Position
    observed_ms: int
    value: Any
    quality: str


class Page(NamedTuple):
    """A stretch of the past that was looked at, to where, and what was found."""

    reached: Position
    rows: list[Recorded]


def thinned(rows: Sequence[Recorded], points: int) -> list[Recorded]:
    """At most `points` of `rows` (4 or more), in their order, that look the same in a chart. Of
    values that are no numbers, a bucket keeps its first and its last."""
    if len(rows) <= points:
        return list(rows)
    oldest_ms = min(row.observed_ms for row in rows)
    span_ms = max(row.observed_ms for row in rows) - oldest_ms + 1
    buckets = points // _KEPT_PER_BUCKET
    # A clock that was set back has rows of one bucket in two places.
    ordered = sorted(rows, key=lambda row: row.observed_ms)
    grouped = groupby(ordered, lambda row: (row.observed_ms - oldest_ms) * buckets // span_ms)
    return [kept for _, bucket in grouped for kept in _extremes(list(bucket))]


def _extremes(bucket: list[Recorded]) -> Iterator[Recorded]:
    numbers = [index for index, row in enumerate(bucket) if _is_number(row.value)]
    kept = {0, len(bucket) - 1}
    if numbers:
        kept.add(min(numbers, key=lambda index: bucket[index].value))
        kept.add(max(numbers, key=lambda index: bucket[index].value))
    return (bucket[index] for index in sorted(kept))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
