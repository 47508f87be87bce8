"""One `diten up` of a user starts after the other.

A port is chosen because nobody listens there, and some moments later a role of ours does. Two
systems that start at the same time would choose the same ports. So whoever starts holds a lock,
from the choice until all roles listen; the kernel lets go of it when the process ends.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, flock
from pathlib import Path
from tempfile import gettempdir

POLL_S = 0.05
TURN_S = 60.0  # whoever takes longer hangs, and its ports are taken or free by now


@asynccontextmanager
async def my_turn(is_over: Callable[[], bool]) -> AsyncIterator[Callable[[], None]]:
    """Wait until nobody else starts, or `is_over`; yields what to call once all listen."""
    path = Path(gettempdir()) / f"diten-up-{os.getuid()}.lock"
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        for _ in range(round(TURN_S / POLL_S)):
            if is_over() or _is_mine(lock):
                break
            await asyncio.sleep(POLL_S)
        yield lambda: flock(lock, LOCK_UN)
    finally:
        os.close(lock)


def _is_mine(lock: int) -> bool:
    try:
        flock(lock, LOCK_EX | LOCK_NB)
    except BlockingIOError:
        return False
    return True
