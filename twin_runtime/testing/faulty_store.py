"""A store that fails on purpose, for simulations: same faults, same run.

It wraps a real store and counts the calls of `commit` from 1, the failed ones included.
The error that leaves the caller in doubt comes in its two kinds: nothing was written, or
everything was. After it, a process has to end, so another commit is an `AssertionError`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from twin_runtime.core.effects import Row, Write
from twin_runtime.core.errors import StoreFull
from twin_runtime.core.ids import StoreId
from twin_runtime.ports import LogEntry, Store


@dataclass(frozen=True, slots=True)
class StoreFaults:
    """Which commits fail, by number from 1; 0 says never."""

    fail_before: int = 0  # OSError, and nothing is written
    fail_after: int = 0  # OSError, though all of it is written
    full_from: int = 0  # StoreFull from this one on,
    full_commits: int = 0  # for so many


class FaultyStore:
    """`inner`, except for `faults` and what `fill` and `free` do to its disk."""

    def __init__(self, inner: Store, faults: StoreFaults) -> None:
        self._inner = inner
        self.faults = faults
        self._full = False
        self._failed = False
        self._commits = 0

    @property
    def commits(self) -> int:
        """How often `commit` was called."""
        return self._commits

    @property
    def store_id(self) -> StoreId:
        return self._inner.store_id

    def fill(self) -> None:
        """Let every commit find a full disk, until `free`."""
        self._full = True

    def free(self) -> None:
        self._full = False

    def load(self) -> Iterator[Row]:
        return self._inner.load()

    def commit(self, writes: Sequence[Write]) -> None:
        assert not self._failed, "a process must end after a failed commit; this one went on"
        self._commits += 1
        if self._is_full():
            raise StoreFull(f"commit {self._commits} finds the disk full, as asked")
        if self._commits == self.faults.fail_before:
            self._fail("before")
        self._inner.commit(writes)
        if self._commits == self.faults.fail_after:
            self._fail("after")

    def scan(self, log: str, key: str, after: int = -1, limit: int = 1000) -> list[LogEntry]:
        return self._inner.scan(log, key, after, limit)

    def close(self) -> None:
        self._inner.close()

    def _is_full(self) -> bool:
        since = self._commits - self.faults.full_from
        return self._full or (
            self.faults.full_from > 0 and since in range(self.faults.full_commits)
        )

    def _fail(self, when: str) -> None:
        self._failed = True
        raise OSError(f"commit {self._commits} fails {when} it takes effect, as asked")
