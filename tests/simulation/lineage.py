"""What the checkers know of one twin: its device, and the reports folded into it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Violation(AssertionError):
    """A promise was broken; the message names it."""


UNKNOWN: Mapping[str, Any] = {"?": None}  # changed again within one commit


class Entry(NamedTuple):
    """One revision: a report as it was stored by the device or applied by an edge, or, at
    the position of the report before it, the change of what the twin refers to."""

    session: int
    seq: int
    features: Mapping[str, Any]
    blobs: Mapping[str, Any] | None = None
    told: int = 0  # the newest command whose end it tells

    @property
    def token(self) -> int:
        """The sample's, or what it tells instead, below 0; 0: it is no report."""
        token: int = self.features.get("token", -self.told)
        return token


@dataclass(slots=True)
class Lineage:
    """All that was folded into a twin up to now, by `store` since its epoch began."""

    epoch: int
    store: str
    entries: list[Entry]
    tokens: set[int]
    sealed: bool = False
    closed: bool = False  # the next epoch has begun with all of it


@dataclass(slots=True)
class Device:
    """What one device measured, keeps on its disk, and was told."""

    newest: int = 0
    rows: dict[tuple[int, int], Entry] = field(default_factory=dict)
    promised: dict[int, None] = field(default_factory=dict)  # and not yet in the snapshot
    unsheltered: set[int] = field(default_factory=set)
    gave_up_in: int | None = None  # the first session of which it gave rows up
    overtaken_by: int = 0  # the largest session that it heard of and that is not its own
    known_epoch: int = 0
    changes_asked: int = 0  # by others, of what its twin refers to
    rows_left: int = 0

    def tokens(self) -> set[int]:
        return {entry.token for entry in self.rows.values()}


def blobs_of(entries: Sequence[Entry]) -> Mapping[str, Any]:
    """What the last change of it left."""
    return next((entry.blobs for entry in reversed(entries) if entry.blobs is not None), {})


def follows(before: Mapping[str, Any], placement: Mapping[str, Any]) -> bool:
    """Whether a placement at the same epoch may come after another."""
    if (before["owner"], before["epoch"]) != (placement["owner"], placement["epoch"]):
        return False
    phases = before["phase"], placement["phase"]
    return phases in {("activating", "owned"), ("owned", "sealing"), ("sealing", "sealing")}


def position_of(key: str) -> tuple[int, int]:
    _, session, seq = key.split("/")
    return int(session), int(seq)


def entry_of(position: tuple[int, int], report: Mapping[str, Any]) -> Entry:
    told = max((each["number"] for each in report.get("outcomes", {}).values()), default=0)
    return Entry(*position, report.get("features", {}), told=told)


def check_row(twin: str, row: Mapping[str, Any], entries: Sequence[Entry]) -> None:
    """The twin's row is the fold of its lineage."""
    fold: dict[str, Any] = {}
    for entry in entries:
        fold |= entry.features
    values = {name: state["value"] for name, state in row.get("features", {}).items()}
    last = entries[-1] if entries else Entry(0, 0, {})
    position = row["revision"], row.get("session", 0), row.get("last_seq", 0)
    found = *position, values, row.get("blobs", {})
    expected = len(entries), last.session, last.seq, fold, blobs_of(entries)
    if found != expected:
        raise Violation(f"G2: the row of {twin} is {found}; its lineage makes {expected}")
