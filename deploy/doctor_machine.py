"""What `diten doctor` asks of a machine: versions, limits, memory, clock, disk, and an API."""

import os
import platform
import resource
import shutil
import socket
import tempfile
import time
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.client import HTTPException
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import IO
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

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
SKEW_S_MAX = 5.0  # HTTP says the time in seconds
ANSWERED_S = 5.0
SAID_BYTES_MAX = 200
LARGEST = 3
PORTS = {1883: "MQTT", 8420: "the cloud's", 8421: "an edge's"}
FILES_MAX = 10_000  # looked at in a data directory
SYNCHRONIZED = Path("/run/systemd/timesync/synchronized")


def check_machine() -> list[Finding]:
    """What any of diten's processes needs."""
    return [_versions(), _open_files(), _memory(), _clock(), _ports()]


def check_disk(folder: Path) -> list[Finding]:
    """A data directory: writable, with room, and fast enough."""
    about = f"disk of {folder}"
    try:
        findings = [_room(about, folder), _contents(folder)]
        findings.append(_durable(about, _fsync_s(folder)))
    except OSError as error:
        do = "create it, or give it to the user that runs the process"
        costs = "the process ends at its start with code 3"
        return [Finding(about, f"{error.strerror}", "wrong", costs, do)]
    return findings


def check_api(url: str) -> list[Finding]:
    """An edge or the cloud: there, ready, and of the same time as this machine."""
    try:
        status, said, date = _asked(f"{url}/readyz")
    except (OSError, ValueError, HTTPException) as error:
        do = "start it; see `[http]` in its configuration, and the firewall between"
        return [Finding(url, str(error) or type(error).__name__, "wrong", "nobody reads twins", do)]
    return [_ready(url, status, said), *_skew(url, date)]


def _asked(url: str) -> tuple[int, str, str | None]:
    """Status, text and date of an answer, whatever it is. The standard library will do: a
    device's install has nothing else."""
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"write http://HOST:PORT, not {url}")
    opener = build_opener(ProxyHandler({}))  # reached directly, whatever the environment names
    try:
        with opener.open(url, timeout=ANSWERED_S) as answer:
            return answer.status, _text(answer), answer.headers["date"]
    except HTTPError as refused:
        with refused:
            return refused.code, _text(refused), refused.headers["date"]


def _text(answer: IO[bytes]) -> str:
    return answer.read(SAID_BYTES_MAX).decode(errors="replace").strip()


def _versions() -> Finding:
    found = f"diten {version('diten')}, Python {platform.python_version()}, {platform.machine()}"
    return Finding("versions", found)


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
    if SYNCHRONIZED.exists():
        return Finding("clock", "synchronized, as systemd-timesyncd says")
    found = "nothing here says whether it is synchronized"
    costs = "ages and charts are wrong by as much as it is; no promise of diten depends on it"
    do = "`timedatectl set-ntp true`, or chrony; --api compares it with another machine's"
    return Finding("clock", found, "warning", costs, do)


def _ports() -> Finding:
    """Who listens where diten's processes would by default: a hint, whoever it is."""
    taken = [f"{port} ({what})" for port, what in PORTS.items() if _is_taken(port)]
    found = f"in use: {', '.join(taken)}" if taken else f"{', '.join(map(str, PORTS))} are free"
    return Finding("ports", found)


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


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


def _ready(url: str, status: int, said: str) -> Finding:
    if status == HTTPStatus.OK:
        return Finding(url, "ready")
    costs = "it acknowledges nothing while it is not"
    return Finding(url, f"not ready ({status}): {said}", "wrong", costs, "see its log")


def _skew(url: str, date: str | None) -> list[Finding]:
    if date is None:
        return []
    skew_s = time.time() - parsedate_to_datetime(date).timestamp()
    found = f"this machine's is {abs(skew_s):.0f} s {'ahead' if skew_s > 0 else 'behind'}"
    if abs(skew_s) <= SKEW_S_MAX:
        return [Finding(f"clock of {url}", "the same as this machine's")]
    costs = "ages and charts of twins are wrong by as much; no promise of diten depends on it"
    return [Finding(f"clock of {url}", found, "warning", costs, "synchronize both (NTP)")]


def _bytes(number: int) -> str:
    value, unit = scaled(number, "B")
    return f"{value_text(value)} {unit}"
