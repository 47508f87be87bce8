"""Compare what devices produced and were told with what the stores hold.

The claim under audit is G1 and G2: nothing acknowledged is lost, nothing is applied
twice. The evidence is on disk and in three hands: a device's store has the reports it
produced and the highest `applied` it was told; an edge's store has the twin and its
history, every applied report with its number; the cloud's store has the checkpoints. They were
written by different processes, each of which may have been killed at any instruction.

    lost    reports a device was told are applied, that the owner's twin does not reach,
            or that are missing in the history, or say something else there
    twice   reports that are in the history again, beyond the first time; and revisions, be
            they edits or reports, that two owners made

A twin's history is its *lineage* (`deploy.lineage`).
Reports and history are bounded; what is still kept on both sides is compared by content
(`compared`), older positions by number.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.lineage import Entry, lineage, read_history, read_outbox, read_twins
from twin_runtime.adapters.sqlite_store import read_rows


@dataclass(slots=True)
class Audit:
    """The outcome, in reports; `examples` names some of what is wrong."""

    twins: int = 0
    produced: int = 0
    applied: int = 0
    stable: int = 0
    lost: int = 0
    twice: int = 0
    compared: int = 0
    examples: list[str] = field(default_factory=list)

    def blame(self, example: str) -> None:
        if len(self.examples) < _EXAMPLES_MAX:
            self.examples.append(example)


def audit(devices: Iterable[Path], edges: Iterable[Path], cloud: Path) -> Audit:
    """Audit the stores of a system that has stopped.

    Args:
        devices: the stores of the device agents.
        edges: the stores of the edges.
        cloud: the store of the cloud.
    """
    found = Audit()
    edges = tuple(edges)
    twins = read_twins(edges, cloud)
    entries: dict[str, list[Entry]] = {}
    for path in edges:
        for twin, entry in read_history(path):
            entries.setdefault(twin, []).append(entry)
    history = {twin: _by_position(twin, lineage(own), found) for twin, own in entries.items()}
    snapshots = {}
    if cloud.exists():  # not when all was stopped before it had begun
        snapshots = {row.key: json.loads(row.value) for row in read_rows(cloud, "snapshot")}
    found.twins = len(twins)
    for path in devices:
        produced = read_outbox(path)
        for row in read_rows(path, "device"):
            device = _Device(row.key, json.loads(row.value)["mark"], produced.get(row.key, {}))
            _compare(device, twins.get(row.key), history.get(row.key, {}), found)
            found.stable += _reached(snapshots.get(row.key), device.session)
    return found


@dataclass(frozen=True, slots=True)
class _Device:
    twin: str
    mark: dict[str, int]
    reports: dict[tuple[int, int], Any]

    @property
    def session(self) -> int:
        return self.mark["session"]


def _compare(
    device: _Device,
    twin: dict[str, Any] | None,
    history: dict[tuple[int, int], Any],
    found: Audit,
) -> None:
    produced = max((seq for session, seq in device.reports if session == device.session), default=0)
    applied = _reached(twin, device.session)
    told = device.mark["told_applied"]
    found.produced += produced
    found.applied += min(applied, produced)
    if told > applied:
        found.lost += told - applied
        found.blame(f"{device.twin}: told {told} are applied, the twin has {applied}")
    oldest_kept = min((seq for session, seq in history if session == device.session), default=0)
    for (session, seq), report in device.reports.items():
        if session != device.session or not oldest_kept <= seq <= min(told, applied):
            continue
        found.compared += 1
        if history.get((session, seq)) != report:
            found.lost += 1
            found.blame(f"{device.twin}: report {session}/{seq} is not in the history as sent")


def _reached(twin: dict[str, Any] | None, session: int) -> int:
    if twin is None or twin.get("session") != session:
        return 0
    reached: int = twin["last_seq"]
    return reached


def _by_position(
    twin: str, lineage: Iterable[Entry], found: Audit
) -> dict[tuple[int, int], dict[str, Any]]:
    """The reports by `(session, seq)`; what is there twice is counted."""
    reports: dict[tuple[int, int], dict[str, Any]] = {}
    revisions: set[int] = set()
    for entry in lineage:
        if entry.revision in revisions:
            found.twice += 1
            found.blame(f"{twin}: revision {entry.revision} was made by two owners")
        revisions.add(entry.revision)
        if entry.report is None:
            continue
        position = (entry.session, entry.report["seq"])
        if position in reports:
            found.twice += 1
            found.blame(f"{twin}: report {position[0]}/{position[1]} was applied again")
        reports[position] = entry.report
    return reports


_EXAMPLES_MAX = 5
