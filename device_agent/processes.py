"""The largest processes of this machine, grouped by the name of their executable.

Listing the processes costs more than all other sensors together, so who belongs to a group
is looked up rarely, and only the members known then are read. A group whose processes have
all ended does not answer; it comes back when the executable runs again.
"""

import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import psutil

from device_agent.sensors import Look, Sensor, Slope, number_spec
from twin_runtime.core.effects import Now
from twin_runtime.core.messages import FeatureSpec

PROCESS_LIST_PERIOD_S = 60.0
# Processes of one group that are read, largest first: 4 groups of 16 cost 2 ms a sample.
PROCESSES_PER_GROUP_MAX = 16
SLUG_CHARS_MAX = 48  # with `d-process-` in front it is still a device's id


class Processes:
    """The machine's processes by the slug of their executable's name, the largest first;
    listed once in `PROCESS_LIST_PERIOD_S`, since it costs 60 µs for each."""

    def __init__(self) -> None:
        self._listed_s = -math.inf
        self._groups: dict[str, list[Any]] = {}

    def groups(self, now: Now) -> Mapping[str, Sequence[Any]]:
        """The largest of each group, as they were listed last."""
        if now.monotonic_s >= self._listed_s + PROCESS_LIST_PERIOD_S:
            self._listed_s = now.monotonic_s
            self._groups = {name: found[:PROCESSES_PER_GROUP_MAX] for name, found in _listed()}
        return self._groups


def _listed() -> list[tuple[str, list[Any]]]:
    """Processes by group; the largest group first, and in each the largest process."""
    groups: defaultdict[str, list[Any]] = defaultdict(list)
    for process in psutil.process_iter(["name", "memory_info"]):
        if process.info["memory_info"] and process.info["memory_info"].rss:
            groups[slug(process.info["name"] or "")].append(process)
    groups.pop("", None)
    for found in groups.values():
        found.sort(key=_listed_bytes, reverse=True)
    return sorted(groups.items(), key=lambda group: sum(map(_listed_bytes, group[1])), reverse=True)


def _listed_bytes(process: Any) -> int:
    size: int = process.info["memory_info"].rss
    return size


class Group:
    """The processes of one executable: their memory, and the CPU time they have used since
    the agent started. A group may end, and come back with new processes."""

    def __init__(self, name: str, processes: Processes) -> None:
        self._name = name
        self._processes = processes
        self._look: Look | None = None
        self._bytes: int | None = None
        self._used_s = 0.0
        self._cpu_s: dict[int, float] = {}

    def resident_bytes(self, look: Look) -> int | None:
        """Resident memory; None when no process is left."""
        self._read(look)
        return self._bytes

    def cpu_time(self, look: Look) -> tuple[float, float] | None:
        """CPU seconds used against seconds passed; None when no process is left."""
        self._read(look)
        return None if self._bytes is None else (self._used_s, look.now.monotonic_s)

    def _read(self, look: Look) -> None:
        if self._look is look:
            return
        self._look = look
        members = self._processes.groups(look.now).get(self._name, ())
        read = {process.pid: found for process in members if (found := _usage(process))}
        self._bytes = sum(found.resident_bytes for found in read.values()) if read else None
        cpu_s = {pid: found.cpu_s for pid, found in read.items()}
        # Process by process: what came or went between two looks is no jump of the load.
        self._used_s += sum(
            max(cpu_s[pid] - self._cpu_s[pid], 0) for pid in cpu_s.keys() & self._cpu_s.keys()
        )
        self._cpu_s = cpu_s


class Usage(NamedTuple):
    """What one process uses."""

    resident_bytes: int
    cpu_s: float


def _usage(process: Any) -> Usage | None:
    """None when it has ended, or is a zombie, which holds no memory."""
    try:
        size, times = process.memory_info().rss, process.cpu_times()
    except psutil.Error:
        return None
    return Usage(size, times.user + times.system) if size else None


def process_sensors(group: Group) -> list[Sensor]:
    """What there is to read of a group."""
    title = f"Resident memory of its {PROCESSES_PER_GROUP_MAX} largest processes"
    memory = FeatureSpec(type="integer", unit="By", title=title)
    load = number_spec("1", "CPU seconds used in a second")
    return [
        Sensor("memory_resident_bytes", memory, group.resident_bytes),
        Sensor("cpu_load_ratio", load, Slope(group.cpu_time)),
    ]


def slug(text: str) -> str:
    """`text` as a part of a device's id; empty when nothing of it can be used."""
    return re.sub("[^a-z0-9]+", "-", text.lower())[:SLUG_CHARS_MAX].strip("-")
