"""What the edges' histories say, held against the order and the values that must be there."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from device_agent.emulated import Room, air, room
from twin_runtime.adapters.sqlite_store import read_log

SEED = 0  # the agent's default: the building its rooms are in


class Entry(NamedTuple):
    """One applied report, by its place in the twin's lineage."""

    twin: str
    epoch: int
    revision: int
    session: int
    report: dict[str, Any]


def entries(stores: list[Path]) -> list[Entry]:
    """Every applied report, twin by twin, in the order of its revisions."""
    found = []
    for path in stores:
        for entry in read_log(path, "history"):
            twin, epoch = entry.key.split("/")
            content = json.loads(entry.value)
            reports = content.get("reports", ())  # an edit has none
            found += [
                Entry(twin, int(epoch), revision, content["session"], report)
                for revision, report in enumerate(reports, entry.number - len(reports) + 1)
            ]
    return sorted(found, key=lambda entry: (entry.twin, entry.revision, entry.epoch))


def out_of_order(stores: list[Path]) -> list[str]:
    """Where a twin's history does not go 1, 2, 3, ... in sequence, or not up in revision; a
    revision that is not here was an edit."""
    return [
        f"{twin}: after {before}, {after}"
        for twin, before, after in _steps(entries(stores))
        if after[0] <= before[0] or after[1:] not in {(before[1], before[2] + 1), (after[1], 1)}
    ]


def _steps(found: list[Entry]) -> Iterator[tuple[str, tuple[int, int, int], tuple[int, int, int]]]:
    """Each entry's `(revision, session, seq)` after the one before it."""
    twin, before = "", (0, 0, 0)
    for entry in found:
        if entry.twin != twin:
            twin, before = entry.twin, (0, 0, 0)
        after = (entry.revision, entry.session, entry.report["seq"])
        yield twin, before, after
        before = after


def not_as_measured(stores: list[Path]) -> list[str]:
    """Applied reports whose values are not what the emulated room had at that time."""
    rooms: dict[str, Room] = {}
    wrong = []
    for entry in entries(stores):
        if "features" not in entry.report:  # only what became of a wish or a command
            continue
        place = rooms.setdefault(entry.twin, room(SEED, int(entry.twin.rpartition("-")[2])))
        features = dict(entry.report["features"])
        features.pop("sample_period_s")
        if features != air(place, entry.report["observed_ms"]):
            wrong.append(f"{entry.twin} {entry.report}")
    return wrong
