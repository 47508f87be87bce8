"""What stores hold of the past: what devices produced, and the history of their twins.

A twin's history is its *lineage*. An owner that came back with an old disk, or had not
heard that it was deposed, may have gone on from a state that the next owner never had;
the next owner numbers its revisions from the checkpoint it was given, and what the former
one has from there on was never part of the twin: the device sent it again.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from twin_runtime.adapters.sqlite_store import read_log, read_rows


class Entry(NamedTuple):
    """One applied report; `revision` is the twin's after it."""

    epoch: int
    revision: int
    session: int
    report: dict[str, Any]


def read_history(path: Path, entries: dict[str, list[Entry]]) -> None:
    """Add what one edge applied to `entries`, twin by twin."""
    for entry in read_log(path, "history"):
        twin, epoch = entry.key.split("/")
        content = json.loads(entry.value)
        reports = content["reports"]
        for revision, report in enumerate(reports, entry.number - len(reports) + 1):
            applied = Entry(int(epoch), revision, content["session"], report)
            entries.setdefault(twin, []).append(applied)


def lineage(entries: list[Entry]) -> Iterator[Entry]:
    """The entries that the next owner built on: of each epoch those below the first
    revision of any later one."""
    first_revision: dict[int, int] = {}
    for epoch, revision, *_ in entries:
        first_revision[epoch] = min(revision, first_revision.get(epoch, revision))
    for entry in entries:
        later = (first for epoch, first in first_revision.items() if epoch > entry.epoch)
        if entry.revision < min(later, default=entry.revision + 1):
            yield entry


def read_outbox(path: Path) -> dict[str, dict[tuple[int, int], Any]]:
    """What devices keep: of each twin its reports by `(session, seq)`."""
    reports: dict[str, dict[tuple[int, int], Any]] = {}
    for row in read_rows(path, "outbox"):
        twin, session, seq = row.key.split("/")
        reports.setdefault(twin, {})[int(session), int(seq)] = json.loads(row.value)
    return reports
