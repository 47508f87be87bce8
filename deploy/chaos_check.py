"""Hold what devices were told against what lies on disk.

The claims are the observer's; no process under test wrote them. For each report in them:

    lost     the owner's twin does not reach it, or the edges' histories do not have it, or
             have it with another content than the device's own store
    twice    the histories have it more than once in the twin's lineage

The system runs on while its stores are read, one after the other: a twin that moves
meanwhile is seen in two places or in none. But what is lost stays lost. So a finding
counts only if several readings in a row have it. Every reading looks at devices first,
then at edges: what a device produced can only have gone on from there.

A history is bounded. What it was pruned of cannot be looked at; that is counted apart
(`unseen`), only where a history was pruned, and only for positions older than everything
that is kept of their session.
"""

import json
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from deploy.chaos_observer import Claims, Span
from deploy.lineage import Entry, lineage, read_history, read_outbox, read_twins
from twin_runtime.adapters.sqlite_store import read_rows, was_pruned

READINGS_MAX = 6
READING_PAUSE_S = 1.0


class Place(NamedTuple):
    """One report."""

    twin: str
    session: int
    seq: int

    def __str__(self) -> str:
        return f"{self.twin} {self.session}/{self.seq}"


@dataclass(slots=True)
class Verdict:
    """What was found; `why` has a sentence for each place that is in `lost`."""

    lost: set[Place] = field(default_factory=set)
    twice: set[Place] = field(default_factory=set)
    why: dict[Place, str] = field(default_factory=dict)
    looked_up: int = 0  # positions that were found in a history
    compared: int = 0  # of which the content was compared as well
    unseen: int = 0
    is_pruned: bool = False  # whether anything may be unseen

    def lose(self, place: Place, why: str) -> None:
        self.lost.add(place)
        self.why.setdefault(place, why)


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores of one system."""

    devices: tuple[Path, ...]
    edges: tuple[Path, ...]
    cloud: Path


def stores_in(folder: Path) -> Stores:
    """Those in the data directory of a `diten up`, edges of earlier runs included."""
    devices = tuple(sorted(folder.glob("d-*/device.sqlite")))
    edges = tuple(sorted(folder.glob("e-*/edge.sqlite")))
    return Stores(devices, edges, folder / "cloud" / "cloud.sqlite")


def check(claims: Claims, stores: Stores, sleep: Callable[[float], None] = time.sleep) -> Verdict:
    """Read the stores until nothing is found, or what is found has come to stay."""
    verdict = look(claims, stores)
    for _ in range(READINGS_MAX - 1):
        if not verdict.lost and not verdict.twice:
            break
        sleep(READING_PAUSE_S)
        again = look(claims, stores)
        again.lost &= verdict.lost
        again.twice &= verdict.twice
        verdict = again
    return verdict


def look(claims: Claims, stores: Stores) -> Verdict:
    """One reading of all stores."""
    produced: dict[str, dict[tuple[int, int], Any]] = {}
    for path in stores.devices:
        produced.update(read_outbox(path))
    entries = _read_entries(claims, stores)
    twins = read_twins(stores.edges, stores.cloud)
    verdict = Verdict(is_pruned=any(was_pruned(path, "history") for path in stores.edges))
    for twin, spans in claims.items():
        history = _by_position(twin, entries.get(twin, []), verdict)
        for session, span in spans.items():
            claim = _Claim(twin, session, span)
            _look_up(claim, history, produced.get(twin, {}), verdict)
            _reach(claim, twins.get(twin), verdict)
    return verdict


def quiet(twins: Collection[str], stores: Stores, before: Collection[str]) -> set[str]:
    """Those of `twins` whose devices have been told of all that they produced, or were in a
    store `before` and are in none now: an agent that has another list of devices since it was
    started again, as that of this host's processes, forgets one when the cloud holds all of it."""
    told: set[str] = set()
    owing: set[str] = set()
    for path in stores.devices:
        newest = _newest(path)
        for row in read_rows(path, "device"):
            mark = json.loads(row.value)["mark"]
            is_told = newest.get((row.key, mark["session"]), 0) <= mark["told_applied"]
            (told if is_told else owing).add(row.key)
    return told.union(before).difference(owing).intersection(twins)


def devices_in(stores: Stores) -> set[str]:
    """Whose reports are in a device's store."""
    return {row.key for path in stores.devices for row in read_rows(path, "device")}


def _newest(path: Path) -> dict[tuple[str, int], int]:
    """The highest number in each device's outbox, by twin and session."""
    newest: dict[tuple[str, int], int] = {}
    for row in read_rows(path, "outbox"):
        twin, session, seq = row.key.split("/")
        place = (twin, int(session))
        newest[place] = max(int(seq), newest.get(place, 0))
    return newest


def _read_entries(claims: Claims, stores: Stores) -> dict[str, list[Entry]]:
    """What edges applied to the claimed twins. Of a report that is not claimed only the number
    is kept: a history may be a hundred times as long as what was observed."""
    entries: dict[str, list[Entry]] = {}
    for path in stores.edges:
        for twin, entry in read_history(path):
            if twin in claims:
                span = claims[twin].get(entry.session)
                entries.setdefault(twin, []).append(_sized(entry, span))
    return entries


def _sized(entry: Entry, span: Span | None) -> Entry:
    if entry.report is None:
        return entry
    seq = entry.report["seq"]
    if span is not None and span.first <= seq <= span.last:
        return entry
    return entry._replace(report={"seq": seq})


class _Claim(NamedTuple):
    twin: str
    session: int
    span: Span

    def places(self, after: int = 0) -> Iterator[Place]:
        first = max(self.span.first, after + 1)
        return (Place(self.twin, self.session, seq) for seq in range(first, self.span.last + 1))


def _by_position(
    twin: str, entries: list[Entry], verdict: Verdict
) -> dict[tuple[int, int], dict[str, Any]]:
    reports: dict[tuple[int, int], dict[str, Any]] = {}
    for entry in lineage(entries):
        if entry.report is None:
            continue
        place = Place(twin, entry.session, entry.report["seq"])
        if place[1:] in reports:
            verdict.twice.add(place)
        reports[place[1:]] = entry.report
    return reports


def _look_up(
    claim: _Claim,
    history: dict[tuple[int, int], dict[str, Any]],
    produced: dict[tuple[int, int], Any],
    verdict: Verdict,
) -> None:
    """Find each claimed report in the history, as the device has it."""
    oldest = min((seq for session, seq in history if session == claim.session), default=0)
    for place in claim.places():
        if place.seq < oldest and verdict.is_pruned:
            verdict.unseen += 1
        elif place[1:] not in history:
            verdict.lose(place, "is in no edge's history")
        else:
            verdict.looked_up += 1
            own = produced.get(place[1:])
            verdict.compared += own is not None
            if own is not None and own != history[place[1:]]:
                verdict.lose(place, "is in the history, but not as the device produced it")


def _reach(claim: _Claim, twin: dict[str, Any] | None, verdict: Verdict) -> None:
    """The owner's twin must have gone as far; of a later session it has gone further."""
    if twin is not None and twin["session"] > claim.session:
        return
    reached = twin["last_seq"] if twin is not None and twin["session"] == claim.session else 0
    for place in claim.places(after=reached):
        verdict.lose(place, f"the owner's twin has come to {reached} only")
