"""Blobs as files: one folder, bounded, a blob under its SHA-256.

    <sha256>          all of it: it was hashed and synced before it got this name
    <sha256>.part     some chunks of it, each in its place
    <sha256>.chunks   a byte for each chunk: 1 once it is in the part
    upload-<n>        what somebody is sending, or what is to be deleted; at the next start
                      nothing needs it

A part is not synced: after a power cut its bytes may be missing though its map says that
they came. Then the hash is wrong, and it is fetched anew; `kill -9` loses nothing of it.

What nobody wants is deleted some time later, not at once: whoever is about to refer to a
blob finds it here meanwhile, and whoever is to have it fetches it.

Every method may be called by any thread. Those that read or write files take as long as
the disk does, so an event loop leaves them to a thread of its own.
"""

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from hashlib import file_digest, sha256
from itertools import count
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from twin_runtime.core.chunks import chunk_count
from twin_runtime.core.errors import BlobsFull, Unavailable
from twin_runtime.core.limits import (
    BLOB_BYTES_MAX,
    BLOB_GRACE_S,
    BLOBS_BYTES_MAX,
    BLOBS_FREE_BYTES_MIN,
    BLOBS_MAX,
    CHUNK_BYTES_MAX,
)
from twin_runtime.core.messages import BlobRef

_NAME_CHARS = 64
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class BlobFiles:
    """The blobs in `folder`, which is created if it is missing, of at most `bytes_max` bytes.

    Raises:
        Unavailable: the folder cannot be used.
    """

    def __init__(self, folder: Path, bytes_max: int = BLOBS_BYTES_MAX) -> None:
        self._folder = folder
        self._bytes_max = bytes_max
        self._lock = Lock()
        self._complete: dict[str, int] = {}  # bytes, by SHA-256
        self._parts: dict[str, int] = {}  # bytes of the whole
        self._uploaded_bytes = 0
        self._uploads = count(1)
        self._unwanted_since_s: dict[str, float] = {}
        with _in_words(folder):
            folder.mkdir(mode=0o700, exist_ok=True)
            self._take_stock()

    def _take_stock(self) -> None:
        for path in sorted(self._folder.iterdir()):
            if path.suffix == ".part":
                self._parts[path.stem] = path.stat().st_size
            elif len(path.name) == _NAME_CHARS:
                self._complete[path.name] = path.stat().st_size
            elif path.name.startswith("upload-") or not path.with_suffix(".part").exists():
                path.unlink()

    # --- what is here -------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._complete)

    @property
    def bytes_held(self) -> int:
        """What all files take, or will take once they are complete."""
        with self._lock:
            return self._bytes_held()

    def size(self, name: str) -> int | None:
        """How many bytes a blob has; None: it is not here."""
        return self._complete.get(name)

    def touch(self, name: str) -> bool:
        """Whether it is here; if so, it is wanted from now on."""
        with self._lock:
            self._unwanted_since_s.pop(name, None)
            return name in self._complete

    def open(self, name: str) -> BinaryIO:
        """A blob's bytes, which stay readable though it be deleted, or `Unavailable`."""
        with _in_words(self._folder / name):
            return (self._folder / name).open("rb")

    def chunk(self, name: str, number: int) -> bytes:
        """One chunk of a blob, or `Unavailable`."""
        with self.open(name) as file, _in_words(self._folder / name):
            return os.pread(file.fileno(), CHUNK_BYTES_MAX, number * CHUNK_BYTES_MAX)

    def verify(self, name: str) -> bool:
        """Whether a blob is here, intact; one that is damaged is here no more. `Unavailable`:
        nobody can tell."""
        path, read = self._folder / name, None
        with _in_words(path):
            with suppress(FileNotFoundError), path.open("rb") as file:
                read = os.fstat(file.fileno())
                if file_digest(file, "sha256").hexdigest() == name:
                    return True
            with self._lock:
                # An upload may have taken its place meanwhile, which is intact.
                if path.exists() and not (read and os.path.samestat(read, path.stat())):
                    return True
                aside = self._forget(name)
            _delete(aside)
        return False

    # --- a blob that comes in chunks ----------------------------------------------------

    def begin(self, ref: BlobRef) -> list[int]:
        """Begin to receive a blob, or go on with it; return the chunks that are missing.

        Raises:
            BlobsFull: there is no room for it.
            Unavailable: the disk does not work.
        """
        chunks = chunk_count(ref.bytes)
        if self._parts.get(ref.sha256) != ref.bytes:
            self.drop_part(ref.sha256)
            self._reserve_part(ref)
        with _in_words(self._part(ref.sha256)):
            part, here = self._part(ref.sha256), self._map(ref.sha256)
            descriptor = os.open(part, os.O_RDWR | os.O_CREAT, 0o600)
            os.ftruncate(descriptor, ref.bytes)
            os.close(descriptor)
            if not here.exists() or here.stat().st_size != chunks:
                here.write_bytes(bytes(chunks))
            return [number for number, came in enumerate(here.read_bytes()) if not came]

    def write(self, name: str, number: int, content: bytes) -> None:
        """Put a chunk in its place, and only then onto the map."""
        with _in_words(self._part(name)):
            _write_at(self._part(name), content, number * CHUNK_BYTES_MAX)
            _write_at(self._map(name), b"\1", number)

    def finish(self, name: str) -> bool:
        """Every chunk is there: keep the blob if it is the one, else drop it."""
        with _in_words(self._part(name)):
            with self._part(name).open("rb+") as file:
                intact = file_digest(file, "sha256").hexdigest() == name
                os.fsync(file.fileno())
            if intact:
                self._keep(self._part(name), name)
        self.drop_part(name)
        return intact

    def drop_part(self, name: str) -> None:
        """Forget what has come of a blob."""
        with _in_words(self._part(name)):
            with self._lock:
                self._parts.pop(name, None)
                self._unwanted_since_s.pop(name, None)
                aside = self._set_aside(self._part(name), self._map(name))
            _delete(aside)

    def _reserve_part(self, ref: BlobRef) -> None:
        with self._lock:
            self._check_room(ref.bytes)
            self._parts[ref.sha256] = ref.bytes

    # --- a blob that somebody sends whole -----------------------------------------------

    def upload(self) -> "Upload":
        """Receive a blob of unknown length and name."""
        path = self._folder / f"upload-{next(self._uploads)}"
        with _in_words(path):
            return Upload(path, self._grow, self._keep)

    def _grow(self, by_bytes: int) -> None:
        with self._lock:
            if by_bytes > 0:
                self._check_room(by_bytes)
            self._uploaded_bytes += by_bytes

    def _keep(self, path: Path, name: str) -> None:
        """Give a synced file its name for good; one that has that name is the same, or should
        be."""
        size = path.stat().st_size
        with self._lock:
            path.replace(self._folder / name)
            self._complete[name] = size
            self._unwanted_since_s.pop(name, None)
        _sync(self._folder)

    # --- what nobody wants --------------------------------------------------------------

    def unwanted(self, wanted: Callable[[str], bool], now_s: float) -> list[str]:
        """Those that were unwanted all the time since `BLOB_GRACE_S`; `drop` deletes them."""
        with self._lock:
            before_s = self._unwanted_since_s
            unwanted = (name for name in self._complete | self._parts if not wanted(name))
            self._unwanted_since_s = {name: before_s.get(name, now_s) for name in unwanted}
            since_s = self._unwanted_since_s.items()
            return [name for name, began_s in since_s if now_s - began_s >= BLOB_GRACE_S]

    def drop(self, name: str) -> None:
        """Delete what `unwanted` named, unless somebody has come for it meanwhile."""
        with _in_words(self._folder / name):
            with self._lock:
                if name not in self._unwanted_since_s:
                    return
                aside = self._forget(name)
            _delete(aside)

    # --- its own bookkeeping ------------------------------------------------------------

    def _forget(self, name: str) -> list[Path]:
        """It is not here any more; returns what is to be deleted."""
        self._complete.pop(name, None)
        self._parts.pop(name, None)
        self._unwanted_since_s.pop(name, None)
        return self._set_aside(self._folder / name, self._part(name), self._map(name))

    def _set_aside(self, *paths: Path) -> list[Path]:
        """Take their names from files that are to be deleted: that takes no time, whereas
        deleting 64 MiB takes a tenth of a second, for which nobody may hold the lock."""
        aside = []
        for path in paths:
            if path.exists():
                aside.append(self._folder / f"upload-{next(self._uploads)}")
                path.rename(aside[-1])
        return aside

    def _check_room(self, more_bytes: int) -> None:
        held = self._bytes_held()
        if held + more_bytes > self._bytes_max:
            raise BlobsFull(f"{held} of {self._bytes_max} bytes for blobs are taken")
        if len(self._complete) + len(self._parts) >= BLOBS_MAX:
            raise BlobsFull(f"there are {BLOBS_MAX} blobs already")
        free = _free_bytes(self._folder)
        if free - more_bytes < BLOBS_FREE_BYTES_MIN:
            left = f"{free} bytes of their disk are free; {BLOBS_FREE_BYTES_MIN} are for the stores"
            raise BlobsFull(left)

    def _bytes_held(self) -> int:
        return sum(self._complete.values()) + sum(self._parts.values()) + self._uploaded_bytes

    def _part(self, name: str) -> Path:
        return self._folder / f"{name}.part"

    def _map(self, name: str) -> Path:
        return self._folder / f"{name}.chunks"


class Upload:
    """What somebody is sending: `finish` or `abandon` it."""

    def __init__(
        self, path: Path, grow: Callable[[int], None], keep: Callable[[Path, str], None]
    ) -> None:
        self._path = path
        self._grow = grow
        self._keep = keep
        self._file = path.open("xb")
        self._hash = sha256()
        self.bytes = 0

    def write(self, piece: bytes) -> None:
        """Add a piece, or raise `BlobsFull` or `Unavailable`."""
        assert self.bytes + len(piece) <= BLOB_BYTES_MAX, "the bound is checked by who reads it"
        self._grow(len(piece))
        self.bytes += len(piece)
        with _in_words(self._path):
            self._file.write(piece)
        self._hash.update(piece)

    def finish(self) -> BlobRef:
        """Keep it, on the disk, and return what it is called."""
        name = self._hash.hexdigest()
        with _in_words(self._path):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._keep(self._path, name)
        self.abandon()
        return BlobRef(sha256=name, bytes=self.bytes)

    def abandon(self) -> None:
        """Throw away what has come; after `finish` there is nothing to throw away."""
        with _in_words(self._path):
            self._file.close()
            self._path.unlink(missing_ok=True)
        self._grow(-self.bytes)


@contextmanager
def _in_words(path: Path) -> Iterator[None]:
    """Blobs are never worth a process: whatever their disk does, the twins go on."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise BlobsFull(f"{path.parent}: its disk is full: free some space") from error
        raise Unavailable(f"{path.name} cannot be used: {error.strerror}") from error


def _delete(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink()


def _free_bytes(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def _write_at(path: Path, content: bytes, offset: int) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.pwrite(descriptor, content, offset)
    finally:
        os.close(descriptor)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
