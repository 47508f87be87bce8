"""What an edge keeps of the past: every report it applied, in the log `history`.

An entry's key is the twin with its epoch, its number the twin's revision after it. There are
four kinds:

    {"session", "wall_ms", "reports": [...]}   the reports of one session that one commit
        applied to one twin: the last made this revision, the others those before it. What a
        store asks for an entry is most of what a report costs an edge, so a busy twin gets
        one for many.
    {"wall_ms", "edit": {"attributes", "desired"}}   an edit: all that people wrote, as it was
        after it, so that what was before it need not be known
    {"wall_ms", "command": {"kind", "arguments"}}   a command that was sent to the device
    {"wall_ms", "blobs": {name: reference}}   which blobs the twin refers to after it

Reports also have "state", the whole twin after the last of them, whenever its revision has
passed a multiple of `HISTORY_STATE_REVISIONS`, and the first time after the twin came here.
So whatever is in the log can be rebuilt from what stands shortly before it (`recall.py`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from twin_runtime.core import messages
from twin_runtime.core.effects import Append, Instruct
from twin_runtime.core.limits import HISTORY_REPORTS_MAX, HISTORY_STATE_REVISIONS
from twin_runtime.core.messages import StateReport
from twin_runtime.core.twin import Applied, Twin

HISTORY = "history"


@dataclass(slots=True)
class _Entry:
    key: str
    session: int
    wall_ms: int
    revision: int = 0
    reports: list[bytes] = field(default_factory=list)
    state: bytes = b""

    def has_room(self, session: int, reports: int) -> bool:
        return session == self.session and len(self.reports) + reports <= HISTORY_REPORTS_MAX

    def append(self) -> Append:
        about = (self.session, self.wall_ms, b",".join(self.reports))
        value = b'{"session":%d,"wall_ms":%d,"reports":[%b]}' % about
        if self.state:
            value = b'%b,"state":%b}' % (value[:-1], self.state)
        return Append(HISTORY, self.key, self.revision, value)

    def passes_a_multiple(self) -> bool:
        return self.revision % HISTORY_STATE_REVISIONS < len(self.reports)


class Past:
    """What was applied since the last commit."""

    def __init__(self) -> None:
        self._full: list[Append] = []
        self._open: dict[str, _Entry] = {}
        self._new: dict[str, int] = {}  # came here at this epoch, and reported nothing yet

    def begin(self, twin: Twin) -> None:
        """The twin came here with a past that is not ours."""
        self._new[twin.twin] = twin.epoch

    def forget(self, twin: Twin) -> None:
        """The twin went before it reported."""
        self._new.pop(twin.twin, None)

    def add(self, outcome: Applied, session: int, wall_ms: int) -> None:
        """Remember the reports that a window of `session` brought."""
        key = f"{outcome.twin.twin}/{outcome.twin.epoch}"
        entry = self._open.get(key)
        if entry is None or not entry.has_room(session, len(outcome.applied)):
            if entry is not None:
                self._full.append(entry.append())
            entry = self._open[key] = _Entry(key, session, wall_ms)
        reports = map(_finite, outcome.applied) if outcome.faults else outcome.applied
        entry.reports += map(messages.encode_received, reports)
        entry.revision = outcome.twin.revision

    def interrupt(self, twin: Twin) -> None:
        """The twin's next revision is no report's: what follows begins a new entry."""
        entry = self._open.pop(f"{twin.twin}/{twin.epoch}", None)
        if entry is not None:
            self._full.append(entry.append())

    def edited(self, twin: Twin, wall_ms: int) -> None:
        """Remember the edit that made the twin's revision."""
        written = {"attributes": dict(twin.attributes), "desired": dict(twin.desired)}
        self._add(twin, {"wall_ms": wall_ms, "edit": written})

    def instructed(self, twin: Twin, wanted: Instruct, wall_ms: int) -> None:
        """Remember the command that made the twin's revision."""
        command = {"kind": wanted.kind, "arguments": dict(wanted.arguments)}
        self._add(twin, {"wall_ms": wall_ms, "command": command})

    def attached(self, twin: Twin, wall_ms: int) -> None:
        """Remember the blobs that made the twin's revision."""
        self._add(twin, {"wall_ms": wall_ms, "blobs": dict(twin.blobs)})

    def keep(self, twin: Twin, row: bytes) -> None:
        """Take what is committed of a twin, where a whole state is due."""
        key = f"{twin.twin}/{twin.epoch}"
        entry = self._open.get(key)
        is_new = self._new.get(twin.twin) == twin.epoch
        if entry is not None and (entry.passes_a_multiple() or is_new):
            self.forget(twin)
            entry.state = row

    def _add(self, twin: Twin, content: Mapping[str, Any]) -> None:
        self.interrupt(twin)
        key = f"{twin.twin}/{twin.epoch}"
        self._full.append(Append(HISTORY, key, twin.revision, messages.dump(content)))

    def take(self) -> Iterator[Append]:
        """All of it as writes, oldest first for each twin; then there is nothing more."""
        entries = [*self._full, *(entry.append() for entry in self._open.values())]
        self._full, self._open = [], {}
        return iter(entries)


def _finite(report: StateReport) -> StateReport:
    """A report without values that were left out and would stand in the log as null, which is
    a value."""
    features = {name: value for name, value in report.features.items() if _is_json(value)}
    return report.model_copy(update={"features": features})


def _is_json(value: Any) -> bool:
    return not isinstance(value, float) or isfinite(value)
