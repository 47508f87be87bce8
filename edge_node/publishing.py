"""When documents of twins are published: at once of a twin that was quiet, else once a second.

Who has just written to a twin waits for what its device says to that, maybe far from here:
until a second after a write each change is published at once.
"""

from collections.abc import Iterable, Iterator

from twin_runtime.core.effects import Now
from twin_runtime.core.limits import TWIN_PUBLISH_PERIOD_S
from twin_runtime.core.twin import Twin


class Publishing:
    """When each twin was published within the last second, in order of time."""

    def __init__(self) -> None:
        self._published_s: dict[str, float] = {}
        self._waiting: dict[str, None] = {}  # changed again since

    def due(self, changed: Iterable[Twin], now: Now) -> Iterable[str]:
        """The twins to publish now, of those that changed now or before; they are published."""
        due = dict.fromkeys(self._rested(now.monotonic_s))
        for twin in changed:
            if twin.twin in self._published_s and not _is_awaited(twin, now):
                self._waiting[twin.twin] = None
            else:
                due[twin.twin] = None
        for twin_id in due:
            self.forget(twin_id)
            self._published_s[twin_id] = now.monotonic_s
        return due

    def next_s(self) -> float | None:
        """When one is due that waits; None: none does."""
        if not self._waiting:
            return None
        return next(iter(self._published_s.values())) + TWIN_PUBLISH_PERIOD_S

    def forget(self, twin_id: str) -> None:
        """Nothing was published of it, and nothing is to be."""
        self._waiting.pop(twin_id, None)
        self._published_s.pop(twin_id, None)

    def _rested(self, now_s: float) -> Iterator[str]:
        """Let go of those published a second ago; yields those that changed since."""
        while self._published_s:
            twin_id, published_s = next(iter(self._published_s.items()))
            if published_s + TWIN_PUBLISH_PERIOD_S > now_s:
                break
            del self._published_s[twin_id]
            if twin_id in self._waiting:
                yield twin_id


def _is_awaited(twin: Twin, now: Now) -> bool:
    return 0 <= now.wall_ms - twin.written_wall_ms < TWIN_PUBLISH_PERIOD_S * 1000
