"""`ports.Store` in one SQLite file: group commits that survive kill -9 and power cuts.

How it works. The file is in WAL mode with `synchronous=FULL`: a commit appends the
changed pages to the write-ahead log and syncs it once, so the price of durability is
shared by every row of the batch. When `commit` returns, the batch is on the disk; a
process killed at any instruction leaves it whole or absent. The write-ahead log is
folded back into the file every `STORE_WAL_PAGES_MAX` pages, which works only while nobody
holds a read open: hence every read here is a page of rows, fetched at once.

Rows are `rows(kind, key) -> value`. Nobody sees the inside of a transaction, so only the
last write to a row matters, and a batch is reduced to those before it is written.

A log is a table `log_<name>` with one row per entry:

    n           1, 2, 3, ... in commit order, without gaps and never used again
    start_byte  the bytes of all values ever appended before this one
    key, number, value

`n` and `start_byte` grow together, so both bounds cut off a range at the old end, found
without counting anything and deleted in the transaction that passed them: a commit
deletes about as many entries as it appends. The newest entry always stays.

Threads. `commit` comes from one thread at a time, and `scan` from any: reads have a
connection of their own, which sees committed state only and never delays a commit.

Errors. A full disk is `StoreFull`: the transaction was rolled back, the write-ahead log
was emptied if that was possible, and the same commit may be tried again. After any other
`OSError` nobody knows what reached the disk; the process must end, and the next one finds
out from the rows. Appending an entry that exists is our own mistake, an `AssertionError`.
"""

import errno
import re
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from threading import Lock
from typing import Any

from twin_runtime.core.effects import Append, Put, Row, Write
from twin_runtime.core.errors import InvalidConfiguration, StoreFull
from twin_runtime.core.ids import StoreId
from twin_runtime.core.limits import (
    STORE_BUSY_S,
    STORE_PAGE_ROWS_MAX,
    STORE_WAL_BYTES_KEPT,
    STORE_WAL_PAGES_MAX,
)
from twin_runtime.ports import LogEntry

SCHEMA_VERSION = 1

_LOG_NAME = re.compile(r"[a-z_]+")

_CREATE_STORE = "CREATE TABLE store (id TEXT NOT NULL)"
# Not WITHOUT ROWID: there a row of over 1 KB (a twin of 12 features has 2) takes a page of
# its own, and a commit of such rows cost twice the CPU and twice the disk.
_CREATE_ROWS = (
    "CREATE TABLE rows (kind TEXT, key TEXT, value BLOB NOT NULL, PRIMARY KEY (kind, key))"
)
_CREATE_LOG = (
    "CREATE TABLE IF NOT EXISTS log_{log} (n INTEGER PRIMARY KEY, start_byte INTEGER NOT NULL,"
    " key TEXT NOT NULL, number INTEGER NOT NULL, value BLOB NOT NULL)"
)
_INDEX_LOG = "CREATE UNIQUE INDEX IF NOT EXISTS log_{log}_by_key ON log_{log} (key, number)"
_PUT = "INSERT INTO rows VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value"
_DELETE = "DELETE FROM rows WHERE kind = ? AND key = ?"
_PAGE = "SELECT * FROM rows WHERE (kind, key) >= (?, ?) ORDER BY kind, key LIMIT ?"

# The name of a log is checked when the store is opened, so it may be put into a statement.
_APPEND = "INSERT INTO log_{log} VALUES (?, ?, ?, ?, ?)"
_NEWEST = "SELECT n, start_byte + length(value) FROM log_{log} ORDER BY n DESC LIMIT 1"
_OLDEST = "SELECT n FROM log_{log} ORDER BY n LIMIT 1"
_PRUNE_ROWS = "DELETE FROM log_{log} WHERE n <= ?"
_PRUNE_BYTES = (
    "DELETE FROM log_{log}"
    " WHERE n < (SELECT n FROM log_{log} WHERE start_byte >= ? ORDER BY n LIMIT 1)"
)
_SCAN = (
    "SELECT key, number, value FROM log_{log} WHERE key = ? AND number > ? ORDER BY number LIMIT ?"
)
_PAGE_OF_LOG = "SELECT n, key, number, value FROM log_{log} WHERE n > ? ORDER BY n LIMIT ?"

# Runs a query and returns what it found, all of it.
_Read = Callable[[str, tuple[Any, ...]], list[Any]]

SQLITE_VERSION = sqlite3.sqlite_version
_FULL = frozenset({sqlite3.SQLITE_FULL})
# No room for the index that readers share. At a commit this says nothing of the rows.
_FULL_AT_OPEN = _FULL | {sqlite3.SQLITE_IOERR_SHMSIZE}


@dataclass(frozen=True, slots=True)
class LogBound:
    """How much of a log is kept: entries, and the bytes of their values."""

    rows_max: int
    bytes_max: int


def random_store_id() -> str:
    return secrets.token_hex(8)


class SqliteStore:
    """The rows and the `logs` in the file at `path`, which is created if it is missing.

    `new_id` names a store that is created now (a simulation must be repeatable).

    Raises:
        InvalidConfiguration: the file is not a store, or a newer diten wrote it.
        StoreFull: there is no room to create it.
        OSError: anything else.
    """

    def __init__(
        self,
        path: Path,
        logs: Mapping[str, LogBound],
        *,
        new_id: Callable[[], str] = random_store_id,
    ) -> None:
        self._path = path
        self._logs = dict(logs)
        self._reading = Lock()
        with ExitStack() as opened, _translated(path, _FULL_AT_OPEN):
            self._writer = opened.enter_context(closing(_connect(path, "rwc")))
            _prepare(self._writer, path, self._logs, new_id)
            self._reader = opened.enter_context(closing(_connect(path, "ro")))
            self._store_id = StoreId(self._reader.execute("SELECT id FROM store").fetchone()[0])
            self._opened = opened.pop_all()

    @property
    def store_id(self) -> StoreId:
        """The random id written when this store was created."""
        return self._store_id

    def load(self) -> Iterator[Row]:
        """Yield every row, ordered by kind and key, reading a page at a time."""
        return _rows(self._read, "")

    def commit(self, writes: Sequence[Write]) -> None:
        """Make all of `writes` durable, atomically, in order; raise `StoreFull` or `OSError`."""
        rows, appends = _grouped(writes)
        deleted = [row for row, value in rows.items() if value is None]
        put = [(*row, value) for row, value in rows.items() if value is not None]
        try:
            with _translated(self._path), _transaction(self._writer):
                self._writer.executemany(_DELETE, deleted)
                self._writer.executemany(_PUT, put)
                for log, entries in appends.items():
                    self._append(log, entries)
        except StoreFull:
            self._give_back()
            raise

    def scan(self, log: str, key: str, after: int = -1, limit: int = 1000) -> list[LogEntry]:
        """Entries of one key with `number > after`, ascending, at most `limit`."""
        self._bound(log)
        assert limit >= 0, f"limit {limit}: SQLite would read a negative one as none"
        return [
            LogEntry(*found) for found in self._read(_SCAN.format(log=log), (key, after, limit))
        ]

    def close(self) -> None:
        """Fold the write-ahead log into the file and let go of it."""
        self._opened.close()

    def _append(self, log: str, entries: Sequence[Append]) -> None:
        bound = self._bound(log)
        last, end_byte = self._newest(log)
        numbered = []
        for n, (_, key, number, value) in enumerate(entries, last + 1):
            assert len(value) <= bound.bytes_max, f"{log}: {len(value)} bytes > {bound.bytes_max}"
            numbered.append((n, end_byte, key, number, value))
            end_byte += len(value)
        try:
            self._writer.executemany(_APPEND.format(log=log), numbered)
        except sqlite3.IntegrityError as error:
            twice = entries[self._newest(log)[0] - last]
            raise AssertionError(f"{log} has {(twice.key, twice.number)} already") from error
        newest = last + len(entries)
        self._writer.execute(_PRUNE_ROWS.format(log=log), (newest - bound.rows_max,))
        self._writer.execute(_PRUNE_BYTES.format(log=log), (end_byte - bound.bytes_max,))

    def _give_back(self) -> None:
        """Empty the write-ahead log: a store at its bounds then has room to go on."""
        with _translated(self._path):
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _newest(self, log: str) -> tuple[int, int]:
        """The newest entry's `n` and the byte after it."""
        found = self._writer.execute(_NEWEST.format(log=log)).fetchone()
        return found or (0, 0)

    def _bound(self, log: str) -> LogBound:
        assert log in self._logs, f"no log {log!r}: this store was opened with {list(self._logs)}"
        return self._logs[log]

    def _read(self, query: str, values: tuple[Any, ...]) -> list[Any]:
        with _translated(self._path), self._reading:
            return self._reader.execute(query, values).fetchall()


def read_rows(path: Path, kind: str) -> Iterator[Row]:
    """Yield the rows of one kind, ordered by key, from a store that somebody may have open.

    Each page is a committed state; a store in use may change between two pages.
    """
    with _auditing(path) as read:
        yield from takewhile(lambda row: row.kind == kind, _rows(read, kind))


def read_log(path: Path, log: str) -> Iterator[LogEntry]:
    """Yield the entries of one log in the order of their commits; otherwise as `read_rows`."""
    assert _LOG_NAME.fullmatch(log), f"{log!r} cannot name a log: use a-z and '_'"
    with _auditing(path) as read:
        n = 0
        while page := read(_PAGE_OF_LOG.format(log=log), (n, STORE_PAGE_ROWS_MAX)):
            yield from (LogEntry(*entry) for _, *entry in page)
            n = page[-1][0]


def was_pruned(path: Path, log: str) -> bool:
    """Whether a log has given up its oldest entries to its bounds."""
    assert _LOG_NAME.fullmatch(log), f"{log!r} cannot name a log: use a-z and '_'"
    with _auditing(path) as read:
        found = read(_OLDEST.format(log=log), ())
        return bool(found) and found[0][0] > 1


def _grouped(
    writes: Sequence[Write],
) -> tuple[dict[tuple[str, str], bytes | None], dict[str, list[Append]]]:
    """The last value of each row (None: deleted) and the new entries of each log."""
    rows: dict[tuple[str, str], bytes | None] = {}
    appends: dict[str, list[Append]] = {}
    for write in writes:
        if isinstance(write, Append):
            appends.setdefault(write.log, []).append(write)
        else:
            rows[write.kind, write.key] = write.value if isinstance(write, Put) else None
    return rows, appends


def _rows(read: _Read, kind: str) -> Iterator[Row]:
    start = (kind, "")
    while page := read(_PAGE, (*start, STORE_PAGE_ROWS_MAX)):
        yield from map(Row._make, page)
        kind, key, _ = page[-1]
        start = (kind, key + "\0")  # no string lies between a key and this one


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=STORE_BUSY_S,
        isolation_level=None,  # transactions are ours to begin and end
        check_same_thread=False,  # the class says who calls what
    )


def _prepare(
    connection: sqlite3.Connection,
    path: Path,
    logs: Mapping[str, LogBound],
    new_id: Callable[[], str],
) -> None:
    """Set the connection up and create what is missing, all of it or nothing."""
    version = _checked_version(connection, path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {STORE_WAL_PAGES_MAX}")
    connection.execute(f"PRAGMA journal_size_limit = {STORE_WAL_BYTES_KEPT}")
    with _transaction(connection):
        if version == 0:
            connection.execute(_CREATE_STORE)
            connection.execute("INSERT INTO store VALUES (?)", (new_id(),))
            connection.execute(_CREATE_ROWS)
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        for log in logs:
            assert _LOG_NAME.fullmatch(log), f"{log!r} cannot name a log: use a-z and '_'"
            connection.execute(_CREATE_LOG.format(log=log))
            connection.execute(_INDEX_LOG.format(log=log))


def _checked_version(connection: sqlite3.Connection, path: Path) -> int:
    """The schema's version, 0 for a new file; refuse what this code must not touch."""
    try:
        # In this order: a store that is being created has both or none.
        tables: int = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_NOTADB:
            raise
        version, tables = 0, 1
    if version > SCHEMA_VERSION:
        raise InvalidConfiguration(
            f"{path} has schema version {version} and this diten knows up to {SCHEMA_VERSION}:"
            " start the newer diten that wrote it, or use another data directory"
        )
    if version == 0 and tables:
        raise InvalidConfiguration(
            f"{path} exists and is not a diten store: move it away or use another data directory"
        )
    return version


@contextmanager
def _auditing(path: Path) -> Iterator[_Read]:
    with _translated(path), closing(_connect(path, "ro")) as connection:
        created = (
            _checked_version(connection, path) > 0
        )  # else its process died in its first instant
        yield lambda query, values: connection.execute(query, values).fetchall() if created else []


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite itself rolls back after some errors
            connection.execute("ROLLBACK")
        raise


@contextmanager
def _translated(path: Path, full: frozenset[int] = _FULL) -> Iterator[None]:
    """Turn SQLite's errors into those of the port."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", None) in full:
            raise StoreFull(f"no room for {path}: free some space on its disk") from error
        name = getattr(error, "sqlite_errorname", "misuse")
        raise OSError(errno.EIO, f"{error} ({name})", str(path)) from error
