"""How long the disk takes for a bare sync while something else is measured on it."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

_PERIOD_S = 0.02  # fifty small syncs a second are not felt by what is measured
_BLOCK = b"\0" * 4096


class Syncs:
    """Bare syncs: when each began, and how long it took."""

    def __init__(self) -> None:
        self.took: list[tuple[float, float]] = []

    def quantile_s(self, share: float) -> float:
        """How long the slowest of a `share` of them took."""
        took_s = sorted(took_s for _, took_s in self.took)
        return took_s[min(int(share * len(took_s)), len(took_s) - 1)]

    def longest_s(self, from_s: float, to_s: float) -> float:
        """The longest of those that were under way between two moments; 0: none was."""
        return max(
            (took_s for at_s, took_s in self.took if at_s < to_s and at_s + took_s > from_s),
            default=0.0,
        )


@contextmanager
def syncing(folder: Path) -> Iterator[Syncs]:
    """Sync a block in `folder` again and again, meanwhile."""
    syncs, over = Syncs(), Event()
    thread = Thread(target=_sync, args=(folder / "synced", syncs, over), name="syncs")
    thread.start()
    try:
        yield syncs
    finally:
        over.set()
        thread.join()


def _sync(path: Path, syncs: Syncs, over: Event) -> None:
    with path.open("wb", buffering=0) as file:
        while not over.wait(_PERIOD_S):
            os.pwrite(file.fileno(), _BLOCK, 0)
            began_s = time.monotonic()
            os.fdatasync(file.fileno())
            syncs.took.append((began_s, time.monotonic() - began_s))
