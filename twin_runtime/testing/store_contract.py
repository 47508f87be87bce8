"""What every `ports.Store` promises, as cases that each body's tests run.

    @pytest.mark.parametrize("case", store_contract.CASES, ids=store_contract.name)
    def test_the_body_keeps_the_contract(case: Case, tmp_path: Path) -> None:
        case(MyBench(tmp_path))

A bench holds one store and opens it as often as a case asks, with one log `LOG` bounded
by `LOG_ROWS_MAX` and `LOG_BYTES_MAX`.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Protocol

from twin_runtime.core.effects import Append, Delete, Put, Row, Write
from twin_runtime.core.errors import StoreFull
from twin_runtime.ports import LogEntry, Store

LOG = "history"
LOG_ROWS_MAX = 20
LOG_BYTES_MAX = 1_000

# Far more than what is free inside a file that may not grow.
_MUCH = [Put("twin", f"d-{i:03d}", bytes(8_192)) for i in range(100)]


class Bench(Protocol):
    """Makes the store under test; `fill` and `free` act on the one opened last."""

    def open(self) -> Store:
        """Open the bench's one store, new at first."""
        ...

    def fill(self) -> None:
        """Leave no room for `_MUCH`."""
        ...

    def free(self) -> None: ...


Case = Callable[[Bench], None]


def a_new_store_is_empty(bench: Bench) -> None:
    with closing(bench.open()) as store:
        assert list(store.load()) == []
        assert store.scan(LOG, "d-1") == []


def the_store_id_is_kept_over_a_restart(bench: Bench) -> None:
    with closing(bench.open()) as store:
        born = store.store_id
    with closing(bench.open()) as store:
        assert store.store_id == born != ""


def what_was_committed_is_there_after_a_restart(bench: Bench) -> None:
    with closing(bench.open()) as store:
        store.commit([Put("twin", "d-1", b"\x00\xff"), Put("twin", "d-2", b""), _entry(1)])
        store.commit([])
    with closing(bench.open()) as store:
        assert list(store.load()) == [Row("twin", "d-1", b"\x00\xff"), Row("twin", "d-2", b"")]
        assert store.scan(LOG, "d-1") == [LogEntry("d-1", 1, b"1")]


def rows_are_loaded_ordered_by_kind_and_key(bench: Bench) -> None:
    nested = ["a" + "\0" * i for i in range(600)]  # nothing fits between two of these
    keys = ["", "b", "µ", *nested, *(f"d-{i:04d}" for i in range(600))]
    rows = [Row(kind, key, key.encode()) for kind in ("outbox", "twin") for key in keys]
    with closing(bench.open()) as store:
        store.commit([Put(*row) for row in reversed(rows)])
        assert list(store.load()) == sorted(rows)


def a_load_left_half_done_does_not_hinder_commits(bench: Bench) -> None:
    with closing(bench.open()) as store:
        store.commit([Put("twin", "d-1", b"1"), Put("twin", "d-2", b"1")])
        loading = store.load()
        assert next(loading).key == "d-1"
        store.commit([Put("twin", "d-1", b"2")])
        assert _rows(store) == {"d-1": b"2", "d-2": b"1"}


def the_last_write_to_a_row_wins(bench: Bench) -> None:
    with closing(bench.open()) as store:
        store.commit([Put("twin", key, b"0") for key in ("d-1", "d-2", "d-3")])
        store.commit([Put("twin", "d-1", b"1"), Delete("twin", "d-1")])
        store.commit([Delete("twin", "d-2"), Put("twin", "d-2", b"1")])
        store.commit([Put("twin", "d-3", b"1"), Put("twin", "d-3", b"2")])
        assert _rows(store) == {"d-2": b"1", "d-3": b"2"}


def removing_what_is_not_there_is_fine(bench: Bench) -> None:
    with closing(bench.open()) as store:
        store.commit([Delete("twin", "d-1"), Put("twin", "d-2", b"1")])
        assert _rows(store) == {"d-2": b"1"}


def an_entry_that_exists_is_refused_with_its_whole_commit(bench: Bench) -> None:
    again = Append(LOG, "d-1", 2, b"other")
    with closing(bench.open()) as store:
        store.commit([_entry(1), _entry(2)])
        _is_refused(store, [Put("twin", "d-1", b"1"), _entry(3), again, _entry(4)])
    with closing(bench.open()) as store:
        assert _numbers(store) == [1, 2]
        assert store.scan(LOG, "d-1")[1].value == b"2"
        assert _rows(store) == {}


def an_entry_twice_in_one_commit_is_refused(bench: Bench) -> None:
    with closing(bench.open()) as store:
        _is_refused(store, [_entry(1), _entry(2), Append(LOG, "d-1", 2, b"other")])
    with closing(bench.open()) as store:
        assert _numbers(store) == []


def a_log_keeps_its_newest_entries(bench: Bench) -> None:
    with closing(bench.open()) as store:
        for number in range(3 * LOG_ROWS_MAX):
            store.commit([_entry(number)])
            assert _numbers(store) == list(range(number + 1))[-LOG_ROWS_MAX:]


def a_log_keeps_no_more_bytes_than_its_bound(bench: Bench) -> None:
    bytes_each = LOG_BYTES_MAX // 4
    with closing(bench.open()) as store:
        for number in range(10):
            store.commit([Append(LOG, "d-1", number, bytes(bytes_each))])
        assert _numbers(store) == [6, 7, 8, 9]
        store.commit([Append(LOG, "d-1", 10, b"1")])
        assert _numbers(store) == [7, 8, 9, 10]
        store.commit([Append(LOG, "d-1", 11, bytes(LOG_BYTES_MAX))])
        assert _numbers(store) == [11]


def a_commit_larger_than_the_bound_keeps_its_newest_entries(bench: Bench) -> None:
    with closing(bench.open()) as store:
        store.commit([_entry(number) for number in range(5 * LOG_ROWS_MAX)])
        assert _numbers(store) == list(range(4 * LOG_ROWS_MAX, 5 * LOG_ROWS_MAX))


def the_bounds_hold_over_a_restart(bench: Bench) -> None:
    for number in range(LOG_ROWS_MAX + 5):
        with closing(bench.open()) as store:
            store.commit([_entry(number)])
    with closing(bench.open()) as store:
        assert _numbers(store) == list(range(5, LOG_ROWS_MAX + 5))


def a_scan_pages_through_one_key_in_order(bench: Bench) -> None:
    with closing(bench.open()) as store:
        store.commit([_entry(number) for number in (5, 3, 9, 1, 7)])
        store.commit([Append(LOG, "d-2", 4, b"not asked for")])
        assert _numbers(store, limit=2) == [1, 3]
        assert _numbers(store, after=3, limit=2) == [5, 7]
        assert _numbers(store, after=7, limit=2) == [9]
        assert _numbers(store, after=9, limit=2) == []
        assert _numbers(store, limit=0) == []


def a_full_disk_takes_nothing_and_the_same_commit_succeeds_later(bench: Bench) -> None:
    with closing(bench.open()) as store:
        store.commit([Put("twin", "d-1", b"1"), _entry(1)])
        bench.fill()
        for _ in range(3):
            _finds_no_room(store, [*_MUCH, _entry(2)])
            assert _rows(store) == {"d-1": b"1"}
            assert _numbers(store) == [1]
        bench.free()
        store.commit([*_MUCH, _entry(2)])
    with closing(bench.open()) as store:
        assert len(_rows(store)) == 1 + len(_MUCH)
        assert _numbers(store) == [1, 2]


CASES: tuple[Case, ...] = (
    a_new_store_is_empty,
    the_store_id_is_kept_over_a_restart,
    what_was_committed_is_there_after_a_restart,
    rows_are_loaded_ordered_by_kind_and_key,
    a_load_left_half_done_does_not_hinder_commits,
    the_last_write_to_a_row_wins,
    removing_what_is_not_there_is_fine,
    an_entry_that_exists_is_refused_with_its_whole_commit,
    an_entry_twice_in_one_commit_is_refused,
    a_log_keeps_its_newest_entries,
    a_log_keeps_no_more_bytes_than_its_bound,
    a_commit_larger_than_the_bound_keeps_its_newest_entries,
    the_bounds_hold_over_a_restart,
    a_scan_pages_through_one_key_in_order,
    a_full_disk_takes_nothing_and_the_same_commit_succeeds_later,
)


def name(case: Case) -> str:
    """The case as a claim, for a test report."""
    return getattr(case, "__name__", repr(case))


def _entry(number: int) -> Append:
    return Append(LOG, "d-1", number, b"%d" % number)


def _rows(store: Store) -> dict[str, bytes]:
    return {row.key: row.value for row in store.load()}


def _numbers(store: Store, after: int = -1, limit: int = 1_000) -> list[int]:
    return [entry.number for entry in store.scan(LOG, "d-1", after, limit)]


def _is_refused(store: Store, writes: Sequence[Write]) -> None:
    refusal = _refusal(store, writes)
    assert isinstance(refusal, AssertionError), f"{refusal!r}: an entry was replaced in silence"
    assert "('d-1', 2)" in str(refusal), f"{refusal!r}: which entry was it?"


def _finds_no_room(store: Store, writes: Sequence[Write]) -> None:
    refusal = _refusal(store, writes)
    assert isinstance(refusal, StoreFull), f"{refusal!r}: {len(writes)} writes into a full store"


def _refusal(store: Store, writes: Sequence[Write]) -> AssertionError | StoreFull | None:
    try:
        store.commit(writes)
    except (AssertionError, StoreFull) as error:
        return error
    return None
