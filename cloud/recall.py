"""The past of a twin as far as the cloud has it: one checkpoint a minute.

What it was at a revision, or at a time, is answered with the last checkpoint until then, which
says itself which revision it is. What happened in between is at the edge that recorded it.
"""

from collections.abc import Callable
from typing import Any, Protocol

from twin_runtime.core import messages
from twin_runtime.core.thing import modified_wall_ms_of
from twin_runtime.ports import LogEntry

Scan = Callable[[str, int, int], list[LogEntry]]  # entries of a key, after a number, at most
_SEARCH_STEPS_MAX = 64  # halvings of the largest revision there is


class Shown(Protocol):
    """A twin as readers see it."""

    @property
    def revision(self) -> int: ...

    def document(self) -> dict[str, Any]: ...


class Recall:
    """Reads the log of checkpoints by `scan`. For threads."""

    granularity = "checkpoint"

    def __init__(self, scan: Scan) -> None:
        self._scan = scan

    def at_revision(self, shown: Shown, revision: int) -> dict[str, Any] | None:
        """The last checkpoint of a twin until a revision; None: there is none."""
        if revision >= shown.revision:
            return shown.document() if revision == shown.revision else None
        return self._last(shown, lambda entry, _: entry.number <= revision)

    def at_time(self, shown: Shown, wall_ms: int) -> dict[str, Any] | None:
        """The last checkpoint whose last change was made by then; None: there is none."""
        return self._last(shown, lambda _, row: modified_wall_ms_of(row) <= wall_ms)

    def _last(
        self, shown: Shown, is_early: Callable[[LogEntry, dict[str, Any]], bool]
    ) -> dict[str, Any] | None:
        """The last entry that is early: all before it are."""
        twin: str = shown.document()["twin"]
        found: dict[str, Any] | None = None
        low, high = -1, shown.revision + 1  # none is early after `high`
        for _ in range(_SEARCH_STEPS_MAX):
            if high - low <= 1:
                break
            middle = (low + high) // 2
            entries = self._scan(twin, middle - 1, 1)
            row = messages.load(entries[0].value) if entries else None
            if row is not None and entries[0].number < high and is_early(entries[0], row):
                low, found = entries[0].number, row
            else:
                high = middle
        return found
