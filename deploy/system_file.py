"""What a running `diten up` leaves in its data directory for those who look at it from outside.

    DATA_DIR/system.json    who runs: each role's process, ports, directories

`up` writes the file anew whenever a process changes, and removes it when it ends. It may
all the same be old: `up` was killed, the machine was restarted. So a process is named by
what the kernel never gives twice, its id *with* the moment it was started (in the clock
ticks of one boot), and by an argument that is in its command line. `signal_process` looks
at all three, and takes hold of the process before it looks: a number that was given to a
stranger in the meantime is found out, not signalled.
"""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from twin_runtime.core.errors import InvalidConfiguration, Unavailable

SYSTEM = "system.json"
LINKS = "links.sock"
VERSION = 1
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_STARTED = 22 - 4  # field 22 of /proc/PID/stat, counted from the one after the state


@dataclass(frozen=True, slots=True)
class ProcessName:
    """One process, and no other of the same id. `argument` is in its command line."""

    pid: int
    started_ticks: int
    argument: str


@dataclass(frozen=True, slots=True)
class Part:
    """One role of a running system; `process` is None while it does not run."""

    id: str
    module: str  # device_agent, edge_node, cloud or broker
    folder: str
    restarts: int
    process: ProcessName | None


@dataclass(frozen=True, slots=True)
class System:
    """A running `diten up`."""

    boot: str
    up: ProcessName
    bus_host: str
    bus_port: int
    api_port: int
    links: bool
    parts: tuple[Part, ...]

    def part(self, identity: str) -> Part:
        return next(part for part in self.parts if part.id == identity)


def can_be_written() -> bool:
    """Whether processes can be named and held here: only Linux has handles of them."""
    return hasattr(os, "pidfd_open") and _BOOT.exists()


def name_process(pid: int | None, argument: str) -> ProcessName | None:
    """The name of a process that runs now, None if it does not."""
    if pid is None:
        return None
    started_ticks = _started_ticks(pid)
    return None if started_ticks is None else ProcessName(pid, started_ticks, argument)


def signal_process(name: ProcessName, number: int) -> bool:
    """Send a signal to this very process; whether it was still there."""
    with _held(name) as descriptor:
        if descriptor is None:
            return False
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(descriptor, number)
            return True
    return False


def runs(name: ProcessName) -> bool:
    """Whether this very process runs still."""
    with _held(name) as descriptor:
        return descriptor is not None


def boot() -> str:
    """Which boot of the machine this is."""
    return _BOOT.read_text().strip()


def write_system(folder: Path, system: System) -> None:
    """Leave word; whoever reads meanwhile finds the old one or the new one, whole."""
    written = folder / f"{SYSTEM}.new"
    written.write_text(json.dumps({"v": VERSION, **asdict(system)}, indent=1) + "\n")
    written.replace(folder / SYSTEM)


def read_system(folder: Path) -> System:
    """The system that runs in a data directory.

    Raises:
        Unavailable: none does, or it began before the machine was restarted, or this is not
            Linux.
        InvalidConfiguration: the file is not one of ours.
    """
    path = folder / SYSTEM
    if not can_be_written():
        raise Unavailable("the processes of a system can only be told from others on Linux")
    try:
        system = _decoded(json.loads(path.read_text()))
    except FileNotFoundError:
        raise Unavailable(_nobody(folder)) from None
    except (ValueError, TypeError, KeyError) as error:
        raise InvalidConfiguration(
            f"{path} is not what this `diten up` writes ({error}): remove it, start `diten up` anew"
        ) from None
    if system.boot != boot() or not runs(system.up):
        raise Unavailable(_nobody(folder))
    return system


def _nobody(folder: Path) -> str:
    return f"no `diten up` runs in {folder}: start one, or name its directory with --data-dir"


def _decoded(found: dict[str, Any]) -> System:
    if found.pop("v") != VERSION:
        raise ValueError("another version")
    parts = tuple(
        Part(**{**part, "process": part["process"] and ProcessName(**part["process"])})
        for part in found.pop("parts")
    )
    return System(**{**found, "up": ProcessName(**found["up"]), "parts": parts})


@contextmanager
def _held(name: ProcessName) -> Iterator[int | None]:
    """A descriptor of this very process, None if it is gone. It is opened before the name is
    compared: what was started earlier and is still there has been there all the time."""
    try:
        descriptor = os.pidfd_open(name.pid)
    except ProcessLookupError:
        yield None
        return
    try:
        yield descriptor if _is(name) else None
    finally:
        os.close(descriptor)


def _is(name: ProcessName) -> bool:
    try:
        command = Path(f"/proc/{name.pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return _started_ticks(name.pid) == name.started_ticks and name.argument.encode() in command


def _started_ticks(pid: int) -> int | None:
    """When a process was started; None if there is none, or only what is left of one."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    state, *fields = stat.rpartition(b")")[2].split()
    return None if state in (b"Z", b"X") else int(fields[_STARTED])
