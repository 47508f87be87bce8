"""The store in memory keeps the contract of the one that is used."""

import pytest

from twin_runtime.adapters.sqlite_store import LogBound
from twin_runtime.testing import store_contract
from twin_runtime.testing.faulty_store import FaultyStore, StoreFaults
from twin_runtime.testing.memory_store import Disk, MemoryStore
from twin_runtime.testing.store_contract import LOG, LOG_BYTES_MAX, LOG_ROWS_MAX, Case


class MemoryBench:
    """The disk is filled by `FaultyStore`, in which simulations wrap every store."""

    def __init__(self) -> None:
        self._disk = Disk()
        self._store: FaultyStore | None = None

    def open(self) -> FaultyStore:
        logs = {LOG: LogBound(LOG_ROWS_MAX, LOG_BYTES_MAX)}
        self._store = FaultyStore(MemoryStore(self._disk, logs, new_id=lambda: "1"), StoreFaults())
        return self._store

    def fill(self) -> None:
        assert self._store is not None
        self._store.fill()

    def free(self) -> None:
        assert self._store is not None
        self._store.free()


@pytest.mark.parametrize("case", store_contract.CASES, ids=store_contract.name)
def test_the_store_in_memory_keeps_the_contract(case: Case) -> None:
    case(MemoryBench())


def test_a_disk_keeps_its_name_and_another_has_its_own() -> None:
    names = iter(["1", "2"])
    disk = Disk()
    first = [MemoryStore(disk, {}, new_id=lambda: next(names)).store_id for _ in range(2)]
    assert first == ["1", "1"]
    assert MemoryStore(Disk(), {}, new_id=lambda: next(names)).store_id == "2"
