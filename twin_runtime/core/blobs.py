"""Which blobs are referred to here, and which of those have yet to come.

What twins refer to follows from their rows; whether a blob is on the disk only its keeper
knows. So every blob that comes to be referred to is asked for: one that is there is
complete at once. One that does not come is asked for again, ever more rarely, for as long
as anybody refers to it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice

from twin_runtime.core.agenda import Agenda
from twin_runtime.core.backoff import backoff_s
from twin_runtime.core.effects import Effects, FetchBlob
from twin_runtime.core.limits import (
    BLOB_FETCHES_ASKED_MAX,
    BLOB_RETRY_FIRST_S,
    BLOB_RETRY_LAST_S,
    BLOB_SOURCES_MAX,
)
from twin_runtime.core.messages import BlobRef

# Who may have what a twin refers to, best first, at this attempt.
Sources = Callable[[str, int], Sequence[str]]


class Blobs:
    """References by twin, and the fetching of what they name."""

    def __init__(self) -> None:
        self._refs: dict[str, Mapping[str, BlobRef]] = {}  # of the twins that have any
        self._twins: dict[str, dict[str, None]] = {}  # by blob, who refers to it
        self._bytes: dict[str, int] = {}
        self._due = Agenda()
        self._attempts: dict[str, int] = {}  # of those that have yet to come
        self._asked: dict[str, None] = {}

    def refer(self, twin: str, refs: Mapping[str, BlobRef]) -> None:
        """The twin refers to these, and to no others."""
        before = self._refs.pop(twin, {})
        if refs:
            self._refs[twin] = refs
        if refs == before:
            return
        for ref in refs.values():
            if ref.sha256 not in self._twins:
                self._bytes[ref.sha256] = ref.bytes
                self._attempts[ref.sha256] = 0
                self._due.set(ref.sha256, 0.0)
            self._twins.setdefault(ref.sha256, {})[twin] = None
        still = {ref.sha256 for ref in refs.values()}
        was = dict.fromkeys(ref.sha256 for ref in before.values())  # once, whatever its names
        for sha256 in was:
            if sha256 not in still:
                self._refers_no_more(twin, sha256)

    def of(self, twin: str) -> Mapping[str, BlobRef]:
        """What a twin refers to, by name."""
        return self._refs.get(twin, {})

    def wants(self, sha256: str) -> bool:
        """Whether any twin refers to this blob."""
        return sha256 in self._twins

    @property
    def lacking(self) -> int:
        """How many are referred to and not known to be here."""
        return len(self._attempts)

    def complete(self, sha256: str) -> None:
        """It is here."""
        self._asked.pop(sha256, None)
        self._attempts.pop(sha256, None)
        self._due.drop(sha256)

    def failed(self, sha256: str, now_s: float) -> None:
        """It has not come, or is not here any more: ask again, if it is wanted, after a pause."""
        self._asked.pop(sha256, None)
        if sha256 in self._twins:
            attempt = self._attempts.get(sha256, 0)
            self._attempts[sha256] = attempt + 1
            pause_s = backoff_s(sha256, attempt, BLOB_RETRY_FIRST_S, BLOB_RETRY_LAST_S)
            self._due.set(sha256, now_s + pause_s)

    def settle(self, now_s: float, sources: Sources, fx: Effects) -> None:
        """Ask for some of what is due; the end of those lets the next ones be asked for."""
        for sha256 in self._due.take(now_s, BLOB_FETCHES_ASKED_MAX - len(self._asked)):
            self._asked[sha256] = None
            who = tuple(self._sources(sha256, sources))
            fx.fetches.append(FetchBlob(sha256, self._bytes[sha256], who))
        next_s = self._due.next_s()
        if next_s is not None and len(self._asked) < BLOB_FETCHES_ASKED_MAX:
            fx.wake_by(next_s - now_s)

    def _sources(self, sha256: str, sources: Sources) -> Iterator[str]:
        """Of those who refer to it, the first few."""
        attempt = self._attempts[sha256]
        twins = islice(self._twins[sha256], BLOB_SOURCES_MAX)
        found = dict.fromkeys(each for twin in twins for each in sources(twin, attempt))
        return islice(found, BLOB_SOURCES_MAX)

    def _refers_no_more(self, twin: str, sha256: str) -> None:
        twins = self._twins[sha256]
        twins.pop(twin, None)
        if not twins:
            del self._twins[sha256], self._bytes[sha256]
            self._attempts.pop(sha256, None)
            self._due.drop(sha256)
