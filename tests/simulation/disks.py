"""Disks by name, for the processes of a run."""

from collections.abc import Callable, Mapping

from twin_runtime.adapters.sqlite_store import LogBound
from twin_runtime.testing.memory_store import Disk, MemoryStore


class MemoryDisks:
    """Opens stores on disks in memory; a disk is empty at first."""

    def __init__(self) -> None:
        self._disks: dict[str, Disk] = {}

    def __call__(
        self, name: str, logs: Mapping[str, LogBound], new_id: Callable[[], str]
    ) -> MemoryStore:
        return MemoryStore(self._disks.setdefault(name, Disk()), logs, new_id=new_id)
