"""How one blob is fetched: chunk by chunk, from one source after another.

The receiver drives. A few chunks are outstanding, and the next ones are wanted as soon as
half of those have come, so that the wire is never idle and never full. Silence means that
something was lost: what is outstanding is wanted again, after ever longer. A source that
lacks the blob, or stays silent, is left for the next one; what has come stays.
"""

from collections.abc import Iterable, Sequence

from twin_runtime.core.limits import (
    BLOB_SILENCE_FIRST_S,
    BLOB_SILENCE_LAST_S,
    BLOB_SILENCES_MAX,
    BLOB_WINDOW_CHUNKS,
)


class Transfer:
    """What is missing of a blob, and whom it is wanted from."""

    def __init__(self, missing: Iterable[int], sources: Sequence[str]) -> None:
        self._missing = dict.fromkeys(missing)  # in order; the outstanding ones included
        self._outstanding: dict[int, None] = {}
        self._sources = list(sources)
        self._silences = 0
        self.failure = "lacking"  # why there is no source left, once there is none

    @property
    def source(self) -> str | None:
        """Whom it is wanted from now; None: nobody is left."""
        return self._sources[0] if self._sources else None

    @property
    def is_complete(self) -> bool:
        return not self._missing

    @property
    def silence_s(self) -> float:
        """How long to wait for the next chunk."""
        return min(BLOB_SILENCE_FIRST_S * 2.0**self._silences, BLOB_SILENCE_LAST_S)

    def expects(self, source: str, number: int) -> bool:
        """Whether this chunk is outstanding, and comes from where it was wanted."""
        return source == self.source and number in self._outstanding

    def wants(self) -> tuple[int, ...]:
        """The chunks to ask for now; they are outstanding from here on."""
        if len(self._outstanding) > BLOB_WINDOW_CHUNKS // 2:
            return ()
        wanted: list[int] = []
        for number in self._missing:
            if len(self._outstanding) == BLOB_WINDOW_CHUNKS:
                break
            if number not in self._outstanding:
                self._outstanding[number] = None
                wanted.append(number)
        return tuple(wanted)

    def took(self, number: int) -> None:
        """A chunk has come and is kept."""
        self._missing.pop(number, None)
        self._outstanding.pop(number, None)
        self._silences = 0

    def silent(self) -> None:
        """Nothing has come in time: want it all again, or from the next source."""
        self._outstanding.clear()
        self._silences += 1
        if self._silences == BLOB_SILENCES_MAX:
            self._leave_source("silent")

    def lacks(self) -> None:
        """The source does not have it."""
        self._leave_source("lacking")

    def _leave_source(self, why: str) -> None:
        self._outstanding.clear()
        self._silences = 0
        self._sources.pop(0)
        self.failure = why
