"""Carry faults out on a running system, and heal them.

Each fault is a task. What it broke is healed when its time is over and also when it is
cancelled; should this process be killed, the guard heals (`chaos_guard`), and links heal
by themselves. Before every signal the role is looked up anew: a role that was started
again is another process, and one that is not running is left alone.
"""

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from deploy import links
from deploy.chaos_faults import FILL_DISK_BYTES_MAX, Fault, disk_bytes
from deploy.chaos_guard import BALLAST, Guard
from deploy.system_file import Part, ProcessName, read_system, signal_process
from twin_runtime.adapters.link_proxy import Fate
from twin_runtime.core.errors import Unavailable

BACK_S = 75.0  # `up` waits half a minute at most before it starts a role again
POLL_S = 0.05
_SLACK_S = 5.0  # what a fault may take beyond its time before the guard takes over
_BLOCK_BYTES = 4096


@dataclass(slots=True)
class Strike:
    """A fault as it went, in seconds since the beginning. `why_not`: it could not be done.
    `ended_s` is when it was healed, or its role ran again."""

    fault: Fault
    began_s: float
    ended_s: float | None = None
    recovered_s: float | None = None
    why_not: str = ""


# What becomes of what a role says, and of what it is told, in a partition.
_WAYS: tuple[tuple[Fate, Fate], ...] = (
    ("held", "held"),
    ("swallowed", "swallowed"),
    ("held", "delivered"),
    ("delivered", "swallowed"),
)


class Hand:
    """Does things to the system in `folder`; `clock` counts from the beginning."""

    def __init__(self, folder: Path, guard: Guard, clock: Callable[[], float]) -> None:
        self._folder = folder
        self._guard = guard
        self._clock = clock

    async def carry_out(self, strike: Strike) -> None:
        """Break it, and heal it."""
        strike.began_s = self._clock()
        try:
            await self._carry_out(strike.fault)
        except Unavailable as error:
            strike.why_not = str(error)
        except asyncio.CancelledError:
            strike.ended_s = self._clock()
            raise
        except TimeoutError:
            return  # it was not started again: what is never healed shows in the report
        else:
            strike.ended_s = self._clock()

    async def _carry_out(self, fault: Fault) -> None:
        part = read_system(self._folder).part(fault.role)
        match fault.kind:
            case "kill":
                await self._end(part, signal.SIGKILL)
            case "restart":
                await self._end(part, signal.SIGTERM)
            case "pause":
                await self._pause(part, fault.lasts_s)
            case "partition":
                await links.cut(self._folder, _cut(fault))
            case "fill":
                await self._fill(part, fault.lasts_s)

    async def _end(self, part: Part, number: int) -> None:
        """End the role; return when it runs again."""
        process = _process(part)
        if not signal_process(process, number):
            raise Unavailable(f"{part.id} ended by itself")
        async with asyncio.timeout(BACK_S):
            while True:
                if read_system(self._folder).part(part.id).process not in (None, process):
                    return
                await asyncio.sleep(POLL_S)

    async def _pause(self, part: Part, lasts_s: float) -> None:
        process = _process(part)
        hold = self._guard.hold_process(process, lasts_s + _SLACK_S)
        try:
            if not signal_process(process, signal.SIGSTOP):
                raise Unavailable(f"{part.id} ended by itself")
            await asyncio.sleep(lasts_s)
        finally:
            signal_process(process, signal.SIGCONT)
            self._guard.drop(hold)

    async def _fill(self, part: Part, lasts_s: float) -> None:
        """Keep the disk full: what a store gives back is taken at once."""
        if disk_bytes(part) > FILL_DISK_BYTES_MAX:  # it was unmounted meanwhile
            raise Unavailable(f"the disk of {part.id} is not a small one any more")
        ballast = Path(part.folder) / BALLAST
        hold = self._guard.hold_file(ballast, lasts_s + _SLACK_S)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(lasts_s):
                    while True:
                        _fill(ballast)
                        await asyncio.sleep(POLL_S)
        finally:
            ballast.unlink(missing_ok=True)
            self._guard.drop(hold)


def _process(part: Part) -> ProcessName:
    if part.process is None:
        raise Unavailable(f"{part.id} was not running")
    return part.process


def _cut(fault: Fault) -> links.Cut:
    """Which way, and how, follows from the fault itself, so that a seed repeats it."""
    up, down = _WAYS[round(fault.lasts_s * 1000) % len(_WAYS)]
    return links.Cut(role=fault.role, up=up, down=down, for_s=fault.lasts_s)


def _fill(ballast: Path) -> None:
    """Let the file grow until its disk has no room; it is on a small one."""
    with suppress(OSError), ballast.open("ab", buffering=0) as file:
        for _ in range(FILL_DISK_BYTES_MAX // _BLOCK_BYTES):
            file.write(bytes(_BLOCK_BYTES))
