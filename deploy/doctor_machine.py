"""What `diten doctor` asks of a machine: limits, memory, clock, disk."""

import ctypes
import os
import resource
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from statistics import median

import psutil

from deploy.doctor_finding import Finding, Verdict
from deploy.tables import scaled, value_text

MIB = 1024 * 1024
OPEN_FILES_MIN = 4096  # a thousand readers of changes, and as many again who come back at once
MEMORY_FREE_BYTES_MIN = 256 * MIB  # an edge takes 110 MB before its first twin
DISK_FREE_BYTES_MIN = 512 * MIB  # DitenDiskLow
DISK_FULL_BYTES = 16 * MIB  # a commit needs room for its log
FSYNCS = 20
FSYNC_SLOW_S = 0.05  # the acknowledgements' target at the 99th percentile is 60 ms
FSYNC_TOO_SLOW_S = 0.3  # DitenCommitsSlow
LARGEST = 3
FILES_MAX = 10_000  # looked at in a data directory
BORN_S = 1_735_689_600  # 2025: before diten was, so this clock was never set
TIMEX_BYTES = 512  # `struct timex` takes 208
TIME_ERROR = 5  # adjtimex(2): nobody synchronizes it


def check_machine() -> list[Finding]:
    """What any of diten's processes needs."""
    return [_open_files(), _memory(), _clock()]


def check_disk(folder: Path) -> list[Finding]:
    """A data directory: writable, with room, and fast enough."""
    about = f"disk of {folder}"
    try:
        findings = [_room(about, folder), _contents(folder)]
        findings.append(_durable(about, _fsync_s(folder)))
    except OSError as error:
        do = "create it, and give it to the user that runs the process, on a disk that takes writes"
        costs = "the process ends at its start, and its log says why"
        return [Finding(about, f"{error.strerror}", "wrong", costs, do)]
    return findings


def _open_files() -> Finding:
    may, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    found = f"{may:,} may be open in one process"
    if may >= OPEN_FILES_MIN:
        return Finding("open files", found)
    costs = f"an edge or the cloud serves fewer than {may:,} readers at once; a device needs 30"
    return Finding("open files", found, "warning", costs, "LimitNOFILE=16384 in the unit")


def _memory() -> Finding:
    free = psutil.virtual_memory().available
    found = f"{_bytes(free)} available of {_bytes(psutil.virtual_memory().total)}"
    if free >= MEMORY_FREE_BYTES_MIN:
        return Finding("memory", found)
    costs = "an edge takes 110 MB and 2.3 KB a twin; without it the kernel ends somebody"
    return Finding("memory", found, "warning", costs, "a larger machine, or fewer processes")


def _clock() -> Finding:
    do = "`timedatectl set-ntp true`, or chrony; --api compares it with another machine's"
    if time.time() < BORN_S:
        costs = "certificates are not valid yet, so nobody connects by TLS; ages are wrong"
        found = f"it is {time.strftime('%Y-%m-%d', time.gmtime())} here"
        return Finding("clock", found, "wrong", costs, do)
    synchronized = _is_synchronized()
    if synchronized:
        return Finding("clock", "synchronized, as the kernel says")
    unknown = "nothing here says whether it is synchronized"
    found = unknown if synchronized is None else "nobody synchronizes it, as the kernel says"
    costs = "ages and charts are wrong by as much as it is; no promise of diten depends on it"
    return Finding("clock", found, "warning", costs, do)


def _is_synchronized() -> bool | None:
    """What timesyncd, chrony and ntpd tell the kernel; None: it cannot be asked."""
    asked = ctypes.create_string_buffer(TIMEX_BYTES)  # zeros: nothing is to be set
    with suppress(AttributeError):  # not Linux
        state: int = ctypes.CDLL(None).adjtimex(asked)
        return None if state < 0 else state != TIME_ERROR
    return None


def _room(about: str, folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    found = f"{_bytes(free)} free"
    if free >= DISK_FREE_BYTES_MIN:
        return Finding(about, found)
    costs = "a full disk: nothing is acknowledged until there is room"
    verdict: Verdict = "wrong" if free < DISK_FULL_BYTES else "warning"
    return Finding(about, found, verdict, costs, "make room, or bound `[history]`")


def _contents(folder: Path) -> Finding:
    """What takes most: files of the directory itself, and folders as a whole."""
    sizes = {each.name: _size(each) for each in folder.iterdir()}
    largest = sorted(sizes, key=sizes.__getitem__, reverse=True)[:LARGEST]
    named = ", ".join(f"{name} {_bytes(sizes[name])}" for name in largest)
    return Finding(f"in {folder}", f"{_bytes(sum(sizes.values()))}: {named or 'nothing'}")


def _size(path: Path) -> int:
    if not path.is_dir():
        return path.stat().st_size
    files = (each for each in path.rglob("*") if each.is_file())
    return sum(each.stat().st_size for each, _ in zip(files, range(FILES_MAX), strict=False))


def _fsync_s(folder: Path) -> float:
    """The median time until 4 KiB are durable."""
    took_s = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(FSYNCS):
            file.write(bytes(4096))
            file.flush()
            began_s = time.perf_counter()
            os.fsync(file.fileno())
            took_s.append(time.perf_counter() - began_s)
    return median(took_s)


def _durable(about: str, took_s: float) -> Finding:
    found = f"{took_s * 1000:.1f} ms until a write is durable"
    if took_s < FSYNC_SLOW_S:
        return Finding(about, found)
    costs = "no acknowledgement is sooner; from 0.5 s on devices send again what has arrived"
    verdict: Verdict = "wrong" if took_s > FSYNC_TOO_SLOW_S else "warning"
    return Finding(about, found, verdict, costs, "an SSD, or an SD card of class A2")


def _bytes(number: int) -> str:
    value, unit = scaled(number, "B")
    return f"{value_text(value)} {unit}"
