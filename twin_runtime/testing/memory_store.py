"""A store in memory, for simulations that commit a million times: `SqliteStore` in all but
the disk. What lies on a `Disk` outlives the stores that are opened on it, one after another.

It stands in for the file only where both are shown to give the same histories.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from twin_runtime.adapters.sqlite_store import LogBound
from twin_runtime.core.effects import Append, Put, Row, Write
from twin_runtime.core.ids import StoreId
from twin_runtime.ports import LogEntry


@dataclass(slots=True)
class _Log:
    """Entries by `(key, number)`, oldest first, and the sum of their bytes."""

    entries: dict[tuple[str, int], bytes] = field(default_factory=dict)
    bytes: int = 0

    def add(self, entry: Append, bound: LogBound) -> None:
        assert len(entry.value) <= bound.bytes_max, f"{len(entry.value)} > {bound.bytes_max} bytes"
        self.entries[entry.key, entry.number] = entry.value
        self.bytes += len(entry.value)
        while len(self.entries) > bound.rows_max or self.bytes > bound.bytes_max:
            self.bytes -= len(self.entries.pop(next(iter(self.entries))))


@dataclass(slots=True)
class Disk:
    """What is durable; `store_id` is empty until the first store is opened on it."""

    store_id: StoreId = StoreId("")  # noqa: RUF009  # a str
    rows: dict[tuple[str, str], bytes] = field(default_factory=dict)
    logs: dict[str, _Log] = field(default_factory=dict)


class MemoryStore:
    """The rows and the `logs` on `disk`; `new_id` names it if it is new."""

    def __init__(
        self, disk: Disk, logs: Mapping[str, LogBound], *, new_id: Callable[[], str]
    ) -> None:
        self._disk = disk
        self._bounds = dict(logs)
        for log in logs:
            disk.logs.setdefault(log, _Log())
        disk.store_id = disk.store_id or StoreId(new_id())

    @property
    def store_id(self) -> StoreId:
        return self._disk.store_id

    def load(self) -> Iterator[Row]:
        """Yield the rows as they are now, ordered by kind and key."""
        return (Row(*row, value) for row, value in sorted(self._disk.rows.items()))

    def commit(self, writes: Sequence[Write]) -> None:
        """Take all of `writes` in order, or, if an entry exists already, none of them."""
        self._refuse_twice([write for write in writes if isinstance(write, Append)])
        for write in writes:
            if isinstance(write, Append):
                self._disk.logs[write.log].add(write, self._bounds[write.log])
            elif isinstance(write, Put):
                self._disk.rows[write.kind, write.key] = write.value
            else:
                self._disk.rows.pop((write.kind, write.key), None)

    def scan(self, log: str, key: str, after: int = -1, limit: int = 1000) -> list[LogEntry]:
        entries = self._disk.logs[log].entries
        found = sorted((number, value) for (of, number), value in entries.items() if of == key)
        return [LogEntry(key, *each) for each in found if each[0] > after][:limit]

    def close(self) -> None:
        """Nothing is open."""

    def _refuse_twice(self, appends: Sequence[Append]) -> None:
        seen: set[tuple[str, str, int]] = set()
        for log, key, number, _ in appends:
            exists = (key, number) in self._disk.logs[log].entries or (log, key, number) in seen
            assert not exists, f"{log} has {(key, number)} already"
            seen.add((log, key, number))
