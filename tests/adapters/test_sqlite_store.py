import os
import re
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin_runtime.adapters import sqlite_store
from twin_runtime.adapters.sqlite_store import LogBound, SqliteStore, read_log, read_rows
from twin_runtime.core.effects import Append, Delete, Put, Row, Write
from twin_runtime.core.errors import InvalidConfiguration, StoreFull
from twin_runtime.core.limits import STORE_PAGE_ROWS_MAX, STORE_WAL_PAGES_MAX
from twin_runtime.ports import LogEntry
from twin_runtime.testing import store_contract
from twin_runtime.testing.store_contract import LOG, LOG_BYTES_MAX, LOG_ROWS_MAX, Case

ROOT = Path(__file__).parents[2]
WIDE = {LOG: LogBound(rows_max=1_000_000, bytes_max=1 << 30)}


class SqliteBench:
    """A store whose file may not grow while it is full."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "store.db"
        self._store: SqliteStore | None = None

    def open(self) -> SqliteStore:
        self._store = SqliteStore(self._path, {LOG: LogBound(LOG_ROWS_MAX, LOG_BYTES_MAX)})
        return self._store

    def fill(self) -> None:
        self._limit("max_page_count = 1")  # SQLite takes it as: what there is and no more

    def free(self) -> None:
        self._limit("max_page_count = 4294967294")

    def _limit(self, pragma: str) -> None:
        assert self._store is not None
        self._store._writer.execute(f"PRAGMA {pragma}")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.mark.parametrize("case", store_contract.CASES, ids=store_contract.name)
def test_sqlite_keeps_the_contract_of_a_store(case: Case, tmp_path: Path) -> None:
    case(SqliteBench(tmp_path))


def test_the_contract_lists_all_of_its_cases() -> None:
    defined = {
        name
        for name, value in vars(store_contract).items()
        if getattr(value, "__annotations__", {}).get("bench")
    }
    assert {store_contract.name(case) for case in store_contract.CASES} == defined


# --- against a model ------------------------------------------------------------------

_WRITES = st.lists(
    st.one_of(
        st.builds(Put, st.sampled_from("ab"), st.sampled_from("xyz"), st.binary(max_size=3)),
        st.builds(Delete, st.sampled_from("ab"), st.sampled_from("xyz")),
    ),
    max_size=8,
)


@settings(max_examples=40, deadline=None)
@given(commits=st.lists(_WRITES, max_size=6))
def test_any_writes_leave_what_a_dictionary_would_hold(commits: list[list[Write]]) -> None:
    rows: dict[tuple[str, str], bytes] = {}
    with TemporaryDirectory() as folder:
        for writes in commits:
            with closing(SqliteStore(Path(folder) / "store.db", {})) as store:
                store.commit(writes)
                for write in writes:
                    if isinstance(write, Put):
                        rows[write.kind, write.key] = write.value
                    elif isinstance(write, Delete):
                        rows.pop((write.kind, write.key), None)
                assert [(row[:2], row.value) for row in store.load()] == sorted(rows.items())


# --- kill -9 --------------------------------------------------------------------------

_KEYS = [f"d-{i}" for i in range(7)]

_WRITER = f"""
import sys
from pathlib import Path
from twin_runtime.adapters.sqlite_store import LogBound, SqliteStore
from twin_runtime.core.effects import Append, Put
store = SqliteStore(Path(sys.argv[1]), {{"{LOG}": LogBound(1_000_000, 1 << 30)}})
for n in range(1_000_000):
    value = b"%d" % n
    store.commit(
        [Put("twin", key, value) for key in {_KEYS}]
        + [Append("{LOG}", key, n, value) for key in {_KEYS}]
    )
    print(n, flush=True)
"""


def _killed_after(path: Path, commits: int) -> int:
    """Kill a writer when it has reported `commits`; return the last number it reported."""
    writer = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    with writer:
        assert writer.stdout is not None
        for _ in range(commits):
            writer.stdout.readline()
        writer.kill()
        rest = writer.stdout.read().splitlines(keepends=True)
    assert writer.returncode == -signal.SIGKILL
    whole = [int(line) for line in rest if line.endswith("\n")]
    return whole[-1] if whole else commits - 1


@pytest.mark.parametrize("commits", [1, 20, 333, 1_500])
def test_g1_every_reported_commit_survives_kill_9_and_each_is_whole(
    path: Path, commits: int
) -> None:
    reported = _killed_after(path, commits)
    last = {row.key: int(row.value) for row in read_rows(path, "twin")}
    with closing(SqliteStore(path, WIDE)) as store:
        assert list(store.load()) == [Row("twin", k, b"%d" % n) for k, n in sorted(last.items())]
        assert len(set(last.values())) == 1
        assert last["d-0"] >= reported
        for key in _KEYS:
            numbers = [entry.number for entry in store.scan(LOG, key, limit=1_000_000)]
            assert numbers == list(range(last["d-0"] + 1))


def test_a_store_killed_at_birth_is_whole_or_born_again(path: Path) -> None:
    _killed_after(path, 0)
    with closing(SqliteStore(path, WIDE)) as store:
        store.commit([Append(LOG, "e-1", 1, b"1")])
        assert store.scan(LOG, "e-1") == [LogEntry("e-1", 1, b"1")]


# --- a full or failing disk -----------------------------------------------------------


@contextmanager
def _tiny_disk(folder: Path, size: str) -> Iterator[Path]:
    """A real disk of `size` at `folder`, where this user may mount one."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting needs root; the contract fills the file by its page limit instead")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def _until_full(store: SqliteStore) -> tuple[int, list[Write]]:
    """Commit until the disk is full; return how many succeeded and the one that did not."""
    for n in range(10_000):
        writes: list[Write] = [Put("twin", f"d-{n}", bytes(4_000)), Append(LOG, "e", n, bytes(500))]
        try:
            store.commit(writes)
        except StoreFull:
            return n, writes
    raise AssertionError("the disk did not fill up")


def test_g8_a_full_disk_is_said_and_the_same_commit_succeeds_when_there_is_room(
    tmp_path: Path,
) -> None:
    with _tiny_disk(tmp_path, "4m") as disk:
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(1 << 20))
        with closing(SqliteStore(disk / "store.db", WIDE)) as store:
            committed, refused = _until_full(store)
            with pytest.raises(StoreFull, match="free some space"):
                store.commit(refused)
            assert len(store.scan(LOG, "e", limit=10_000)) == committed
            ballast.unlink()
            store.commit(refused)
        with closing(SqliteStore(disk / "store.db", WIDE)) as store:
            assert len(list(store.load())) == committed + 1
            assert len(store.scan(LOG, "e", limit=10_000)) == committed + 1


def test_a_store_that_does_not_grow_goes_on_though_others_filled_its_disk(tmp_path: Path) -> None:
    commits = [[Put("twin", f"d-{i}", bytes([n]) * 4_000) for i in range(20)] for n in range(50)]
    with (
        _tiny_disk(tmp_path, "4m") as disk,
        closing(SqliteStore(disk / "store.db", {})) as store,
    ):
        store.commit(commits[0])
        store._give_back()
        store.commit(commits[1])
        (disk / "others").write_bytes(bytes(os.statvfs(disk).f_bavail * 4_096))
        refused = 0
        for writes in commits:
            if not _has_room(store, writes):
                refused += 1
                assert _has_room(store, writes), "nothing was given back"
        assert refused, "the disk was not full"


def _has_room(store: SqliteStore, writes: Sequence[Write]) -> bool:
    try:
        store.commit(writes)
    except StoreFull:
        return False
    return True


def test_an_empty_disk_too_small_for_a_store_is_full(tmp_path: Path) -> None:
    with _tiny_disk(tmp_path, "8k") as disk, pytest.raises(StoreFull):
        SqliteStore(disk / "store.db", WIDE)


def test_g8_any_other_failure_of_the_disk_is_an_os_error(path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with closing(SqliteStore(path, {})) as store:
        store.commit([Put("twin", "d-1", b"1")])
        resource.setrlimit(resource.RLIMIT_FSIZE, (Path(f"{path}-wal").stat().st_size, hard))
        try:
            with pytest.raises(OSError, match="SQLITE_IOERR_WRITE"):
                store.commit([Put("twin", f"d-{i}", bytes(4_000)) for i in range(100)])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [row.key for row in read_rows(path, "twin")] == ["d-1"]


def test_a_closed_store_takes_no_commit(path: Path) -> None:
    store = SqliteStore(path, {})
    store.close()
    with pytest.raises(OSError, match="closed"):
        store.commit([Put("twin", "d-1", b"1")])


# --- threads, readers, size -----------------------------------------------------------


def test_scans_from_other_threads_see_whole_commits_while_one_thread_commits(path: Path) -> None:
    seen: list[int] = []
    done = Event()

    def scan() -> None:
        while not done.is_set():
            seen.append(len(store.scan(LOG, "e", limit=10_000)))

    def commit() -> None:
        for n in range(100):
            store.commit([Append(LOG, "e", 10 * n + i, b"x") for i in range(10)])
        done.set()

    with closing(SqliteStore(path, WIDE)) as store:
        threads = [Thread(target=work) for work in (scan, scan, commit)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        assert not any(thread.is_alive() for thread in threads)
        assert len(store.scan(LOG, "e", limit=10_000)) == 1_000
    assert seen
    assert all(count % 10 == 0 for count in seen)


def test_a_store_can_be_read_while_it_is_open_and_after(path: Path) -> None:
    entries = [Append(LOG, f"d-{n % 3}", n, b"%d" % n) for n in range(2 * STORE_PAGE_ROWS_MAX + 1)]
    rows = [Put("twin", f"d-{n:04d}", b"x") for n in range(2 * STORE_PAGE_ROWS_MAX)]
    others = [Put("outbox", "d-1", b"x"), Put("twin2", "d-1", b"x"), Put("twin", "", b"first")]
    with closing(SqliteStore(path, WIDE)) as store:
        store.commit([*rows, *others, *entries])
        read = [*read_rows(path, "twin"), *read_log(path, LOG)]
    assert read == [
        Row("twin", "", b"first"),
        *(Row(*row) for row in rows),
        *(LogEntry(*entry[1:]) for entry in entries),
    ]
    assert [*read_rows(path, "twin"), *read_log(path, LOG)] == read


def test_reading_a_store_that_is_not_there_is_an_os_error_and_creates_nothing(path: Path) -> None:
    with pytest.raises(OSError, match=re.escape(str(path))):
        next(read_rows(path, "twin"))
    assert not path.exists()


def test_the_write_ahead_log_and_the_file_stay_bounded(path: Path) -> None:
    wal_bytes_max = file_bytes_max = 0
    with closing(SqliteStore(path, {LOG: LogBound(200, 1 << 30)})) as store:
        for n in range(120):
            store.commit([Append(LOG, "e", 100 * n + i, bytes(4_000)) for i in range(100)])
            wal_bytes_max = max(wal_bytes_max, Path(f"{path}-wal").stat().st_size)
            file_bytes_max = max(file_bytes_max, path.stat().st_size)
    assert STORE_WAL_PAGES_MAX * 4_096 < wal_bytes_max < (STORE_WAL_PAGES_MAX + 500) * 4_120
    assert file_bytes_max < 3 * 200 * 4_096
    assert not Path(f"{path}-wal").exists()


def test_every_commit_waits_for_the_disk(path: Path) -> None:
    with closing(SqliteStore(path, {})) as store:
        assert store._writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert store._writer.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


# --- what is refused ------------------------------------------------------------------


def test_a_store_of_a_newer_schema_is_refused_and_left_alone(path: Path) -> None:
    SqliteStore(path, {}).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 7")
    before = path.read_bytes()
    with pytest.raises(InvalidConfiguration, match=r"version 7 and this diten knows up to 1"):
        SqliteStore(path, WIDE)
    with pytest.raises(InvalidConfiguration, match="version 7"):
        next(read_rows(path, "twin"))
    assert path.read_bytes() == before


@pytest.mark.parametrize("foreign", ["text", "database"])
def test_a_file_that_is_no_store_is_refused_and_left_alone(path: Path, foreign: str) -> None:
    if foreign == "text":
        path.write_text("not a database, but a letter that is long enough to be one" * 20)
    else:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE rows (of_somebody_else)")
    before = path.read_bytes()
    with pytest.raises(InvalidConfiguration, match="not a diten store"):
        SqliteStore(path, WIDE)
    assert path.read_bytes() == before


@pytest.mark.parametrize("log", ["", "History", "a b", "x; DROP TABLE rows", "µ"])
def test_a_log_has_a_plain_name(path: Path, log: str) -> None:
    with pytest.raises(AssertionError, match="cannot name a log"):
        SqliteStore(path, {log: LogBound(1, 1)})
    with pytest.raises(AssertionError, match="cannot name a log"):
        next(read_log(path, log))


def test_only_the_logs_it_was_opened_with_can_be_used(path: Path) -> None:
    with closing(SqliteStore(path, WIDE)) as store:
        with pytest.raises(AssertionError, match="no log 'decisions'"):
            store.commit([Put("twin", "d-1", b"1"), Append("decisions", "d-1", 1, b"1")])
        with pytest.raises(AssertionError, match="no log 'decisions'"):
            store.scan("decisions", "d-1")
        assert list(store.load()) == []


def test_an_entry_that_exceeds_the_bound_alone_is_our_own_mistake(path: Path) -> None:
    with closing(SqliteStore(path, {LOG: LogBound(10, 100)})) as store:
        with pytest.raises(AssertionError, match="101 bytes"):
            store.commit([Append(LOG, "d-1", 1, bytes(101))])
        assert store.scan(LOG, "d-1") == []


def test_a_log_may_be_added_to_an_old_store_and_a_bound_tightened(path: Path) -> None:
    with closing(SqliteStore(path, WIDE)) as store:
        born = store.store_id
        store.commit([Append(LOG, "d-1", n, b"x") for n in range(50)])
    logs = {LOG: LogBound(5, 100), "decisions": LogBound(5, 100)}
    with closing(SqliteStore(path, logs)) as store:
        assert store.store_id == born
        store.commit([Append(LOG, "d-1", 50, b"x"), Append("decisions", "d-1", 1, b"x")])
        assert [entry.number for entry in store.scan(LOG, "d-1")] == [46, 47, 48, 49, 50]


def test_a_new_store_takes_the_id_it_is_given_and_an_old_one_keeps_its_own(path: Path) -> None:
    for new_id in ("first", "second"):
        with closing(SqliteStore(path, {}, new_id=new_id.strip)) as store:
            assert store.store_id == "first"


def test_two_stores_are_never_born_with_the_same_id() -> None:
    assert len({sqlite_store.random_store_id() for _ in range(1_000)}) == 1_000
