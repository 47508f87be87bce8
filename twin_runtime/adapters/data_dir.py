"""A process's own directory: writable, and held by nobody else.

Two processes on one store would both believe that they own its twins, so a process locks
its directory before it opens anything in it. The lock is an `flock` on the file `lock`:
the kernel releases it when the process ends, however it ends, so no stale lock can be
left behind. The file stays, since removing it would let two processes lock two files of
one name. It holds the owner's pid, for the message to whoever comes second.

The lock belongs to the open file, and a forked child shares that: workers that may
outlive the process must be spawned, not forked.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from tempfile import TemporaryFile

from twin_runtime.core.errors import DitenError, InvalidConfiguration, Unavailable

_LOCK = "lock"
_PROBE_BYTES = 64 * 1024  # what a first small commit needs

_NOT_A_DIRECTORY = {errno.ENOTDIR, errno.EEXIST}
_NOT_WRITABLE = {errno.EACCES, errno.EPERM}
_FULL = {errno.ENOSPC, errno.EDQUOT}


@contextmanager
def open_data_dir(path: Path) -> Iterator[Path]:
    """Create the directory if it is missing and hold it alone; yield its absolute path.

    Raises:
        InvalidConfiguration: it is not a directory, or this user may not write there.
        Unavailable: another process uses it, or its disk is full.
    """
    path = path.absolute()
    try:
        _create(path)
        lock = _locked(path)
    except OSError as error:
        raise _refusal(path, error) from error
    try:
        yield path
    finally:
        os.close(lock)


def _create(path: Path) -> None:
    if path.is_dir():
        return
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    parent = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(parent)  # a power cut must not take away the directory of synced files
    finally:
        os.close(parent)


def _locked(path: Path) -> int:
    """Lock the directory and prove that it can be written; return the lock's descriptor."""
    lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        flock(lock, LOCK_EX | LOCK_NB)
        with TemporaryFile(dir=path) as probe:
            probe.write(bytes(_PROBE_BYTES))
            probe.flush()
            os.fsync(probe.fileno())
        os.ftruncate(lock, 0)
        os.pwrite(lock, b"%d\n" % os.getpid(), 0)
    except BaseException:
        os.close(lock)
        raise
    return lock


def _refusal(path: Path, error: OSError) -> DitenError:
    if error.errno == errno.EWOULDBLOCK:
        return Unavailable(
            f"{path}: another process{_owner(path)} uses it: stop that one, or name another"
            " directory"
        )
    if error.errno in _NOT_A_DIRECTORY:
        return InvalidConfiguration(f"{path} is not a directory: remove it or name another one")
    if error.errno in _NOT_WRITABLE:
        return InvalidConfiguration(f"{path} is not writable: {_rights(path)}: {error.strerror}")
    if error.errno == errno.EROFS:
        return InvalidConfiguration(
            f"{path} is on a file system that is mounted read-only: mount it for writing, or name"
            " another directory"
        )
    if error.errno in _FULL:
        return Unavailable(f"{path}: its disk is full: free some space")
    return Unavailable(f"{path} cannot be used: {error.strerror}")


def _owner(path: Path) -> str:
    """` (pid N)`, or nothing in the instant before the owner has written it."""
    with suppress(OSError):
        pid = (path / _LOCK).read_bytes().strip()
        if pid.isdigit():
            return f" (pid {int(pid)})"
    return ""


def _rights(path: Path) -> str:
    """Who asks, and what the nearest directory that can be seen allows."""
    asking = f"this is user {os.geteuid()} of group {os.getegid()}"
    for folder in (path, *path.parents):
        with suppress(OSError):
            found = folder.stat()
            return (
                f"{asking}, and {folder} belongs to user {found.st_uid} of group {found.st_gid}"
                f" with mode {found.st_mode & 0o7777:04o}"
            )
    return asking
