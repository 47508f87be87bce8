"""What stores hold of twins and of their past: for those who compare stores.

A twin's history is its *lineage*. An owner that came back with an old disk, or had not
heard that it was deposed, may have gone on from a state that the next owner never had;
the next owner numbers its revisions from the checkpoint it was given, and what the former
one has from there on was never part of the twin: the device sent it again.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from twin_runtime.adapters.sqlite_store import read_log, read_rows


def read_twins(edges: Iterable[Path], cloud: Path) -> dict[str, dict[str, Any]]:
    """Each twin as its owner holds it. Between two owners, when the former one has forgotten it
    and the next has not heard of it, it is what the cloud will hand over."""
    twins: dict[str, dict[str, Any]] = {}
    for path in edges:
        for row in (*read_rows(path, "twin"), *read_rows(path, "sealed")):
            twin = json.loads(row.value)
            if twin["epoch"] > twins.get(row.key, {"epoch": 0})["epoch"]:
                twins[row.key] = twin
    if cloud.exists():  # not when all was stopped before it had begun
        twins.update(_in_between(cloud, {twin: held["epoch"] for twin, held in twins.items()}))
    return twins


def _in_between(cloud: Path, held: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """The snapshots of twins that no edge holds at the epoch the cloud gave them last."""
    placements = {row.key: json.loads(row.value) for row in read_rows(cloud, "placement")}
    moving = {
        twin: placed["epoch"]
        for twin, placed in placements.items()
        if placed["phase"] == "activating" and placed["epoch"] > held.get(twin, 0)
    }
    return {
        row.key: {**json.loads(row.value), "epoch": moving[row.key]}
        for row in read_rows(cloud, "snapshot")
        if row.key in moving
    }


class Entry(NamedTuple):
    """What made a `revision` of a twin: an applied report, or something else (None): an edit,
    a command, a blob."""

    epoch: int
    revision: int
    session: int
    report: dict[str, Any] | None


def read_history(path: Path) -> Iterator[tuple[str, Entry]]:
    """Yield what one edge made of its twins, a revision at a time, with the twin."""
    for entry in read_log(path, "history"):
        twin, epoch = entry.key.split("/")
        content = json.loads(entry.value)
        if "reports" not in content:
            yield twin, Entry(int(epoch), entry.number, 0, None)
        reports = content.get("reports", ())
        for revision, report in enumerate(reports, entry.number - len(reports) + 1):
            yield twin, Entry(int(epoch), revision, content["session"], report)


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
