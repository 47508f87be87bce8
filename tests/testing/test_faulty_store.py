from contextlib import closing
from pathlib import Path

import pytest

from twin_runtime.adapters.sqlite_store import LogBound, SqliteStore
from twin_runtime.core.effects import Put
from twin_runtime.core.errors import StoreFull
from twin_runtime.testing import store_contract
from twin_runtime.testing.faulty_store import FaultyStore, StoreFaults
from twin_runtime.testing.store_contract import LOG, LOG_BYTES_MAX, LOG_ROWS_MAX, Case


class FaultyBench:
    def __init__(self, folder: Path, faults: StoreFaults | None = None) -> None:
        self._path = folder / "store.db"
        self._faults = faults or StoreFaults()
        self._store: FaultyStore | None = None

    def open(self) -> FaultyStore:
        inner = SqliteStore(self._path, {LOG: LogBound(LOG_ROWS_MAX, LOG_BYTES_MAX)})
        self._store = FaultyStore(inner, self._faults)
        return self._store

    def fill(self) -> None:
        assert self._store is not None
        self._store.fill()

    def free(self) -> None:
        assert self._store is not None
        self._store.free()


@pytest.mark.parametrize("case", store_contract.CASES, ids=store_contract.name)
def test_without_faults_it_is_a_store_like_any_other(case: Case, tmp_path: Path) -> None:
    case(FaultyBench(tmp_path))


def _commit_until_it_fails(store: FaultyStore) -> str:
    for n in range(1, 100):
        try:
            store.commit([Put("n", f"{n:02d}", b"")])
        except OSError as error:
            return str(error)
    raise AssertionError("no commit failed")


@pytest.mark.parametrize(
    "faults,written",
    [(StoreFaults(fail_before=3), ["01", "02"]), (StoreFaults(fail_after=3), ["01", "02", "03"])],
)
def test_the_nth_commit_fails_before_or_after_it_takes_effect(
    tmp_path: Path, faults: StoreFaults, written: list[str]
) -> None:
    bench = FaultyBench(tmp_path, faults)
    with closing(bench.open()) as store:
        assert "commit 3 fails" in _commit_until_it_fails(store)
        assert store.commits == 3
    with closing(bench.open()) as store:
        assert [row.key for row in store.load()] == written


def test_a_caller_that_goes_on_after_a_failed_commit_is_caught(tmp_path: Path) -> None:
    with closing(FaultyBench(tmp_path, StoreFaults(fail_after=1)).open()) as store:
        _commit_until_it_fails(store)
        with pytest.raises(AssertionError, match="must end"):
            store.commit([Put("n", "02", b"")])
        assert [row.key for row in store.load()] == ["01"]


def test_the_disk_is_full_for_so_many_commits_and_then_free_again(tmp_path: Path) -> None:
    with closing(FaultyBench(tmp_path, StoreFaults(full_from=2, full_commits=3)).open()) as store:
        outcomes = []
        for n in range(1, 7):
            try:
                store.commit([Put("n", f"{n:02d}", b"")])
                outcomes.append("written")
            except StoreFull:
                outcomes.append("full")
        assert outcomes == ["written", "full", "full", "full", "written", "written"]
        assert [row.key for row in store.load()] == ["01", "05", "06"]
        assert store.commits == 6


def test_a_filled_disk_stays_full_until_it_is_freed(tmp_path: Path) -> None:
    with closing(FaultyBench(tmp_path).open()) as store:
        store.fill()
        for _ in range(5):
            with pytest.raises(StoreFull):
                store.commit([Put("n", "01", b"")])
        store.free()
        store.commit([Put("n", "01", b"")])
        assert store.commits == 6
