"""The checkpoints the cloud keeps: the last of each twin, and how far it reaches.

Earlier ones are in the log `checkpoint`, under the twin and its revision: of each twin one a
minute, by the owner's clock, so that a fleet's past fits a disk.
"""

from typing import NamedTuple

from twin_runtime.core import messages, topics
from twin_runtime.core.blobs import Blobs
from twin_runtime.core.effects import Append, Delete, Effects, Put, Row, Send
from twin_runtime.core.limits import CHECKPOINTS_KEPT_PERIOD_S, STABLE_MARKS_MAX
from twin_runtime.core.messages import Snapshot
from twin_runtime.core.orders import Stable, StableMark

SNAPSHOT_ROW = "snapshot"
CHECKPOINTS = "checkpoint"  # the log

_PERIOD_MS = round(CHECKPOINTS_KEPT_PERIOD_S * 1000)


class Kept(NamedTuple):
    """The last accepted checkpoint: how far it reaches, its bytes, and the label of the last
    one that went into the log."""

    session: int
    last_seq: int
    revision: int
    row: bytes
    logged_wall_ms: int


class Snapshots:
    """The last checkpoint of each twin, and what is to be said of it."""

    def __init__(self) -> None:
        self._kept: dict[str, Kept] = {}
        self._marks: dict[str, list[StableMark]] = {}
        self.blobs = Blobs()  # what they refer to

    def restore(self, row: Row) -> None:
        snapshot = messages.parse(messages.SNAPSHOT, row.value)
        self._keep(snapshot, row.value, snapshot.modified_wall_ms)

    def of(self, twin: str) -> Snapshot | None:
        """The last checkpoint of a twin; None: there is none."""
        kept = self._kept.get(twin)
        return messages.parse(messages.SNAPSHOT, kept.row) if kept else None

    def is_empty(self, twin: str) -> bool:
        """Whether nothing of a twin was ever stored but that it is there."""
        kept = self._kept.get(twin)
        return kept is None or kept.revision == 0

    def reaches_beyond(self, snapshot: Snapshot) -> bool:
        """Whether what is held is of a later state than this."""
        kept = self._kept.get(snapshot.twin)
        held = (0, 0, 0) if kept is None else (kept.revision, kept.session, kept.last_seq)
        said = (snapshot.revision, snapshot.session, snapshot.last_seq)
        return held[0] > said[0] or held[1:] > said[1:]

    def forget(self, twin: str, fx: Effects) -> None:
        """What is held is not this twin's past."""
        if self._kept.pop(twin, None) is not None:
            fx.writes.append(Delete(SNAPSHOT_ROW, twin))
            self.blobs.refer(twin, {})

    def accept(self, edge: str, snapshot: Snapshot, fx: Effects) -> None:
        """Store what the owner sends, unless it is behind, and say how far that reaches."""
        kept = self._kept.get(snapshot.twin)
        if kept is not None and snapshot.revision < kept.revision:
            fx.count("checkpoints_total", "behind")
            return
        self.store(snapshot, fx)
        mark = StableMark(
            twin=snapshot.twin,
            epoch=snapshot.epoch,
            session=snapshot.session,
            seq=snapshot.last_seq,
            revision=snapshot.revision,
        )
        self._marks.setdefault(edge, []).append(mark)

    def store(self, snapshot: Snapshot, fx: Effects) -> None:
        """Keep it if it is news."""
        kept = self._kept.get(snapshot.twin)
        if kept is not None and snapshot.revision <= kept.revision:
            fx.count("checkpoints_total", "known")
            return
        row = messages.encode_received(snapshot)
        logged_wall_ms = kept.logged_wall_ms if kept is not None else 0
        since_ms = snapshot.modified_wall_ms - logged_wall_ms
        if not 0 <= since_ms < _PERIOD_MS:  # a clock may have been set back
            fx.writes.append(Append(CHECKPOINTS, snapshot.twin, snapshot.revision, row))
            logged_wall_ms = snapshot.modified_wall_ms
        self._keep(snapshot, row, logged_wall_ms)
        fx.writes.append(Put(SNAPSHOT_ROW, snapshot.twin, row))
        fx.count("checkpoints_total", "stored")

    def say(self, fx: Effects) -> None:
        """Tell the edges what this batch made stable."""
        for edge, marks in self._marks.items():
            for first in range(0, len(marks), STABLE_MARKS_MAX):
                stable = Stable(marks=tuple(marks[first : first + STABLE_MARKS_MAX]))
                fx.sends.append(Send(topics.order(edge), messages.encode(stable)))
        self._marks = {}

    def _keep(self, snapshot: Snapshot, row: bytes, logged_wall_ms: int) -> None:
        self._kept[snapshot.twin] = Kept(
            snapshot.session, snapshot.last_seq, snapshot.revision, row, logged_wall_ms
        )
        self.blobs.refer(snapshot.twin, snapshot.blobs)
