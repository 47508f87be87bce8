"""What devices were told, as heard on the bus by somebody who has no part in it.

The observer is a client of the broker of its own, and stores nothing on disk. It hears
every acknowledgement: *edge, epoch, session, applied*. An acknowledgement is cumulative:
all reports of the session up to `applied` are applied. So a claim of a twin is, for each
session, the position it was heard of first and the highest since. What it missed while the
broker was down is covered by the next it hears.

An acknowledgement is called *news* if it says more than any before it. From news come the
number of acknowledged reports over time, the moves (news from another edge, of a higher
epoch, than the news before) and each move's pause (the time between those two).
"""

import json
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from twin_runtime.core import topics
from twin_runtime.core.effects import Event, Message
from twin_runtime.core.errors import MalformedMessage
from twin_runtime.core.limits import LATENCIES_KEPT_MAX

FILTER = f"{topics.PREFIX}down/+/+/ack"
MOVES_KEPT_MAX = 100_000


@dataclass(slots=True)
class Span:
    """The positions of one session that were acknowledged while somebody listened."""

    first: int
    last: int


Claims = dict[str, dict[int, Span]]  # by twin and session


class Moved(NamedTuple):
    """A twin whose acknowledgements began to come from another edge, at `at_s`."""

    twin: str
    source: str
    target: str
    at_s: float
    pause_s: float


class _Ack(NamedTuple):
    edge: str
    epoch: int
    session: int
    applied: int


@dataclass(slots=True)
class Watch:
    """Twins of which no news has been heard since some moment; `last_s`: the latest of the
    others."""

    missing: set[str]
    last_s: float

    def hear(self, twin: str, now_s: float) -> None:
        if twin in self.missing:
            self.missing.discard(twin)
            self.last_s = now_s


@dataclass(slots=True)
class _Heard:
    """The latest news of a twin."""

    edge: str
    epoch: int
    at_s: float


@dataclass(slots=True)
class Observer:
    """See above. Times are seconds since the beginning."""

    claims: Claims = field(default_factory=dict)
    acknowledged: int = 0
    per_second: Counter[int] = field(default_factory=Counter)
    moves: deque[Moved] = field(default_factory=lambda: deque(maxlen=MOVES_KEPT_MAX))
    gaps_s: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES_KEPT_MAX))
    _news: dict[str, _Heard] = field(default_factory=dict)
    _watches: list[Watch] = field(default_factory=list)

    def hear(self, events: Iterable[Event], now_s: float) -> None:
        """Take what the bus has brought."""
        for event in events:
            if isinstance(event, Message) and (heard := _read(event)) is not None:
                self._hear(*heard, now_s)

    def watch(self, now_s: float) -> Watch:
        """From now on, whom is no news heard of?"""
        self._watches = [each for each in self._watches if each.missing]
        watch = Watch(set(self._news), now_s)
        self._watches.append(watch)
        return watch

    def twins(self) -> list[str]:
        return list(self._news)

    def owner(self, twin: str) -> str:
        """The edge that the latest news of a twin came from."""
        return self._news[twin].edge

    def silent(self, twins: Iterable[str], since_s: float) -> set[str]:
        """Those of `twins` of which there was no news since then."""
        return {twin for twin in twins if self._news[twin].at_s < since_s}

    def _hear(self, twin: str, ack: _Ack, now_s: float) -> None:
        gained = self._claim(twin, ack)
        if gained is None:
            return
        self.acknowledged += gained
        self.per_second[int(now_s)] += gained
        self._note_owner(twin, ack, now_s)
        for watch in self._watches:
            watch.hear(twin, now_s)

    def _claim(self, twin: str, ack: _Ack) -> int | None:
        """Widen the claim; return by how many reports, None if that is no news."""
        spans = self.claims.setdefault(twin, {})
        span = spans.get(ack.session)
        if span is None:
            # Of a session that began while we listened all is claimed, from its first report.
            spans[ack.session] = Span(1 if len(spans) else ack.applied, ack.applied)
            return ack.applied if len(spans) > 1 else 0
        if ack.applied <= span.last:
            return None
        gained = ack.applied - span.last
        span.last = ack.applied
        return gained

    def _note_owner(self, twin: str, ack: _Ack, now_s: float) -> None:
        last = self._news.get(twin)
        if last is None:
            self._news[twin] = _Heard(ack.edge, ack.epoch, now_s)
        elif ack.epoch >= last.epoch:  # else a former owner's word that came late
            since_s = now_s - last.at_s
            if ack.edge != last.edge:
                self.moves.append(Moved(twin, last.edge, ack.edge, now_s, since_s))
            else:
                self.gaps_s.append(since_s)
            last.edge, last.epoch, last.at_s = ack.edge, ack.epoch, now_s


def _read(message: Message) -> tuple[str, _Ack] | None:
    """Whom it tells what; None for what is no acknowledgement."""
    try:
        topic = topics.parse(message.topic)
        said = json.loads(message.payload)
        position = (int(said[name]) for name in ("epoch", "session", "applied"))
        return topic.twin, _Ack(topic.edge, *position)
    except (MalformedMessage, ValueError, TypeError, KeyError):
        return None
