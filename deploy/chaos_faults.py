"""What `diten chaos` may do to a running system, and when: values only.

    kill        SIGKILL, as a power cut would; `up` starts the role again
    restart     SIGTERM, as an upgrade would; `up` starts the role again
    pause       SIGSTOP for a while: a machine that swaps, a virtual one that is moved
    partition   the role's link to the broker carries nothing, one way or both
    fill        the role's disk is full

A schedule is drawn from a seed before anything is broken, so a run can be repeated as far
as what is done to the system goes. Faults may overlap, also on one role.
"""

import random
import shutil
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from deploy.system_file import Part, System
from twin_runtime.core.errors import InvalidConfiguration

Kind = Literal["kill", "pause", "partition", "fill", "restart"]
KINDS: tuple[Kind, ...] = get_args(Kind)
# Only a disk that somebody made for this is filled, never one that people keep things on.
FILL_DISK_BYTES_MAX = 256 * 1024 * 1024
SETTLE_S = 1.0  # of a healthy system, before the first fault
LASTS_S_MIN = 0.5
LASTS_S_MAX = 8.0  # above the first retries, below MQTT's keep-alive
_MIB = 1024 * 1024
FAULTS_MAX = 1000  # in one schedule: more than an hour of them
_APART_S = 0.5  # a pause that ends a little late must not end in the next one


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing to be done to one role, `at_s` after the beginning. A killed or restarted
    role is back when `up` has started it, whatever `lasts_s` says."""

    kind: Kind
    role: str
    at_s: float
    lasts_s: float

    @property
    def has_length(self) -> bool:
        """Whether it ends when its time is over."""
        return self.kind in ("pause", "partition", "fill")

    def __str__(self) -> str:
        return f"{self.kind} {self.role}"


@dataclass(frozen=True, slots=True)
class Choice:
    """Which roles each kind of fault can reach, and why some kinds cannot be."""

    roles: Mapping[Kind, tuple[str, ...]]
    left_out: tuple[str, ...]


def choose(system: System, kinds: Collection[str], roles: Iterable[str]) -> Choice:
    """What can be done to this system; no `kinds` and no `roles` mean all.

    Raises:
        InvalidConfiguration: there is no such kind or role, or a kind asked for cannot be.
    """
    parts = _parts(system, tuple(roles))
    wanted = _kinds(kinds)
    found = {
        kind: tuple(part.id for part in parts if _reaches(kind, part, system))
        for kind in wanted or KINDS
    }
    left_out = tuple(_why_not(kind, parts) for kind, reached in found.items() if not reached)
    if wanted and left_out:
        raise InvalidConfiguration("; ".join(left_out))
    return Choice({kind: reached for kind, reached in found.items() if reached}, left_out)


def schedule(
    rng: random.Random, choice: Choice, *, duration_s: float, every_s: float
) -> list[Fault]:
    """Faults from shortly after the beginning to the end, about one `every_s`. Each kind is as
    likely as any other, and so is each role that it can reach. Faults overlap, but nothing that
    is paused, cut off or full is so twice at a time."""
    faults: list[Fault] = []
    at_s = min(SETTLE_S, duration_s / 2)
    while at_s < duration_s and len(faults) < FAULTS_MAX:
        free = {kind: _free(kind, roles, faults, at_s) for kind, roles in choice.roles.items()}
        kinds = sorted(kind for kind, roles in free.items() if roles)
        if kinds:
            kind = rng.choice(kinds)
            role = rng.choice(free[kind])
            lasts_s = rng.uniform(
                LASTS_S_MIN, max(LASTS_S_MIN, min(LASTS_S_MAX, duration_s - at_s))
            )
            faults.append(Fault(kind, role, round(at_s, 3), round(lasts_s, 3)))
        at_s += every_s * rng.uniform(0.5, 1.5)
    return faults


def _free(kind: Kind, roles: Iterable[str], faults: Iterable[Fault], at_s: float) -> list[str]:
    """Those of `roles` to which this kind may be done at that time."""
    busy = {
        fault.role
        for fault in faults
        if fault.kind == kind and fault.has_length and at_s <= fault.at_s + fault.lasts_s + _APART_S
    }
    return [role for role in roles if role not in busy]


def _kinds(names: Collection[str]) -> tuple[Kind, ...]:
    known: dict[str, Kind] = {kind: kind for kind in KINDS}
    for name in names:
        if name not in known:
            raise InvalidConfiguration(f"--faults {name}: there are {', '.join(KINDS)}")
    return tuple(known[name] for name in names)


def _parts(system: System, roles: tuple[str, ...]) -> list[Part]:
    known = [part.id for part in system.parts]
    for role in roles:
        if role not in known:
            raise InvalidConfiguration(f"--roles {role}: this system has {', '.join(known)}")
    return [part for part in system.parts if part.id in roles or not roles]


def _reaches(kind: Kind, part: Part, system: System) -> bool:
    match kind:
        case "partition":
            return system.links and part.module != "broker"
        case "fill":
            return part.module != "broker" and disk_bytes(part) <= FILL_DISK_BYTES_MAX
        case _:
            return True


def disk_bytes(part: Part) -> int:
    """The size of the disk that a role's directory is on."""
    return shutil.disk_usage(Path(part.folder)).total


def _why_not(kind: Kind, parts: list[Part]) -> str:
    if kind == "partition":
        return "partition needs links that can be cut: start the system with `diten up --links`"
    if kind != "fill":
        return f"{kind}: there is no role to do it to"
    folder = next((part.folder for part in parts if part.module == "edge_node"), parts[0].folder)
    return (
        f"fill needs a disk of at most {FILL_DISK_BYTES_MAX // _MIB} MiB, so that no disk of yours "
        f"is filled: before `diten up`, `mount -t tmpfs -o size=32m tmpfs {folder}`"
    )
