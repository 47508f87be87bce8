"""The past of a twin, rebuilt from the edge's log of history.

A state is rebuilt from the last whole one before it: the reports since then are folded again,
by the code that folded them first, and what people changed is laid over. Whole states stand
close enough that this reads a bounded stretch. What the log's bounds have taken is gone; so is
what another edge recorded: an edge knows the twin at the epochs it owned it.

An edge that owned a twin twice has two stretches of its past. Where they overlap, the later
one counts: the owner after it began from a checkpoint, and what the first had beyond that was
sent again by the device. Between them somebody else may have changed the twin, so nothing is
said of a time there.

All of this reads the store: it belongs in a thread.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from edge_node.thing import NOT_LIVE, Thing
from twin_runtime.core import messages
from twin_runtime.core import twin as core
from twin_runtime.core.ids import TwinId
from twin_runtime.core.limits import (
    EPOCHS_LOOKED_AT_MAX,
    HISTORY_REPORTS_MAX,
    HISTORY_SKEW_S,
    HISTORY_STATE_REVISIONS,
    STORE_PAGE_ROWS_MAX,
)
from twin_runtime.core.messages import DesiredState
from twin_runtime.core.recorded import Page, Position, Recorded
from twin_runtime.core.shape import Kind, accepts
from twin_runtime.core.twin import Twin, apply_window
from twin_runtime.ports import LogEntry

Scan = Callable[[str, int, int], list[LogEntry]]  # entries of a key, after a number, at most

# A whole state stands at most this far before any revision: two entries are on the way.
_STRETCH = HISTORY_STATE_REVISIONS + 2 * HISTORY_REPORTS_MAX


class _Epoch(NamedTuple):
    """What the log has of a twin at one epoch: revisions after `first` and before `end`."""

    epoch: int
    first: int
    first_wall_ms: int
    end: int


class Recall:
    """Reads the log by `scan`. A `Thing` says what the twin is now."""

    granularity = "revision"

    def __init__(self, scan: Scan) -> None:
        self._scan = scan

    def at_revision(self, thing: Thing, revision: int) -> dict[str, Any] | None:
        """The document of a twin at a revision; None: it is not known."""
        twin = thing.twin
        if revision >= twin.revision:
            return _document(twin) if revision == twin.revision else None
        for held in self._epochs(twin):
            if held.first < revision < held.end:
                return self._rebuilt(twin.twin, held.epoch, revision)
        return None

    def at_time(self, thing: Thing, wall_ms: int) -> dict[str, Any] | None:
        """The document of a twin as the edge's clock said `wall_ms`; None: it is not known."""
        twin = thing.twin
        for held in self._epochs(twin):
            if held.first_wall_ms <= wall_ms:
                revision = self._last_by(twin.twin, held, wall_ms)
                if revision + 1 < held.end and not self._scan(
                    _key(twin.twin, held.epoch), revision, 1
                ):
                    return None  # what came next was recorded elsewhere
                return self._rebuilt(twin.twin, held.epoch, revision)
        return None

    def first_revision(self, thing: Thing) -> int:
        """The first revision of which the log says something; the present one if of none."""
        twin = thing.twin
        return min((held.first + 1 for held in self._epochs(twin)), default=twin.revision)

    def values(self, thing: Thing, feature: str, from_ms: int, after: Position) -> Iterator[Page]:
        """What was reported of a feature after a position, oldest first, a page of the log at a
        time: `from_ms` says where to begin to look."""
        twin = thing.twin
        shape = twin.shape
        kind = None if shape is None else shape.kinds.get(feature)
        if kind is None:
            return
        begin_ms = from_ms - round(HISTORY_SKEW_S * 1000)
        for held in reversed(list(self._epochs(twin))):
            if held.epoch < after.epoch:
                continue
            number = max(self._last_by(twin.twin, held, begin_ms), held.first)
            if held.epoch == after.epoch:
                number = max(number, after.revision)
            for page in self._pages(twin.twin, held, number):
                rows = [each for entry in page for each in _reported(entry, held, feature, kind)]
                yield Page(Position(held.epoch, page[-1].number), rows)

    # --- the log --------------------------------------------------------------------------

    def _epochs(self, twin: Twin) -> Iterator[_Epoch]:
        """The epochs that the log knows, the present one first."""
        end = twin.revision + 1
        for epoch in range(twin.epoch, max(twin.epoch - EPOCHS_LOOKED_AT_MAX, 0), -1):
            entries = self._scan(_key(twin.twin, epoch), -1, 1)
            if entries:
                before, wall_ms = _before(entries[0]), _content(entries[0])["wall_ms"]
                yield _Epoch(epoch, before, wall_ms, end)
                end = min(end, before + 1)

    def _pages(self, twin_id: str, held: _Epoch, number: int) -> Iterator[list[LogEntry]]:
        while page := self._scan(_key(twin_id, held.epoch), number, STORE_PAGE_ROWS_MAX):
            yield page
            number = page[-1].number
            if number >= held.end:
                return

    def _last_by(self, twin_id: str, held: _Epoch, wall_ms: int) -> int:
        """The last revision that was committed by then; that before all, if none was."""
        low, high = held.first, held.end
        while high - low > 1:
            middle = (low + high) // 2
            found = self._scan(_key(twin_id, held.epoch), middle - 1, 1)
            if found and found[0].number < high and _content(found[0])["wall_ms"] <= wall_ms:
                low = found[0].number
            else:
                high = middle
        return low

    def _rebuilt(self, twin_id: str, epoch: int, revision: int) -> dict[str, Any] | None:
        entries = self._scan(_key(twin_id, epoch), revision - _STRETCH, _STRETCH + 1)
        twin = _folded(TwinId(twin_id), epoch, revision, entries)
        return None if twin is None else _document(twin)


def _folded(twin_id: TwinId, epoch: int, revision: int, entries: list[LogEntry]) -> Twin | None:
    """The twin at `revision`, if a whole state stands in `entries` before it."""
    twin = None
    for entry in entries:
        before, content = _before(entry), _content(entry)
        if before >= revision:
            break
        if before == 0:
            twin = Twin(twin_id, epoch)
        if twin is not None:
            is_next = twin.revision == before
            twin = _after(twin, content, min(entry.number, revision)) if is_next else None
        if entry.number <= revision and "state" in content:
            row = messages.dump(content["state"])
            twin = core.restore(messages.parse(messages.SNAPSHOT, row))
    return twin if twin is not None and twin.revision == revision else None


def _after(twin: Twin, content: Mapping[str, Any], revision: int) -> Twin:
    """The twin after as much of an entry as makes `revision`."""
    if edited := content.get("edit"):
        desired = {p: DesiredState.model_validate(w) for p, w in edited["desired"].items()}
        twin = twin._replace(attributes=edited["attributes"], desired=desired)
    if "blobs" in content:
        refs = {name: messages.BlobRef.model_validate(r) for name, r in content["blobs"].items()}
        twin = twin._replace(blobs=refs)
    reports = content.get("reports", ())
    for report in reports[: revision - twin.revision]:
        packet = messages.encode_window(twin.epoch, content["session"], [messages.dump(report)])
        window = messages.parse(messages.WINDOW, packet)
        twin = apply_window(twin, window, content["wall_ms"]).twin
    if reports:
        return twin
    return twin._replace(revision=revision, written_wall_ms=content["wall_ms"])


def _reported(entry: LogEntry, held: _Epoch, feature: str, kind: Kind) -> Iterator[Recorded]:
    for revision, report in enumerate(_content(entry).get("reports", ()), _before(entry) + 1):
        if revision >= held.end or feature not in report.get("features", ()):
            continue
        value = report["features"][feature]
        if accepts(kind, value):  # else it was refused
            quality = "uncertain" if value is None else "good"
            at = Position(held.epoch, revision)
            yield Recorded(at, report["observed_ms"], value, quality)


def _before(entry: LogEntry) -> int:
    """The revision before an entry."""
    return entry.number - (len(_content(entry).get("reports", ())) or 1)


def _content(entry: LogEntry) -> dict[str, Any]:
    content: dict[str, Any] = messages.load(entry.value)
    return content


def _document(twin: Twin) -> dict[str, Any]:
    document: dict[str, Any] = messages.load(core.encode_document(twin, NOT_LIVE))
    return document


def _key(twin_id: str, epoch: int) -> str:
    return f"{twin_id}/{epoch}"
