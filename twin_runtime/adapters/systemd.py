"""Word to systemd, for a unit of `Type=notify`: we are ready, alive, stopping.

The event loop itself says that it lives, twice in each watchdog period, so a loop that
hangs is killed and started again; a disk that hangs is not mistaken for that. A process
counts as started once its store is loaded: one that then waits for room on a full disk
works as intended, and its status line says so.

Where systemd did not start us, `NOTIFY_SOCKET` is not set and nothing happens.
"""

import asyncio
import socket
from collections.abc import Mapping
from contextlib import suppress

from twin_runtime.ports import Health

_STARTED_POLL_S = 0.05  # of a start that takes a second on a board
READY, WATCHDOG, STOPPING = "READY=1", "WATCHDOG=1", "STOPPING=1"


class Systemd:
    """The service manager that started us, as `environ` names it."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        path = environ.get("NOTIFY_SOCKET", "")
        self._address = path if not path.startswith("@") else f"\0{path[1:]}"  # an abstract one
        self._beat_s = float(environ.get("WATCHDOG_USEC", "0")) / 2e6

    @property
    def listens(self) -> bool:
        """Whether anybody wants to know."""
        return bool(self._address)

    def say(self, *words: str) -> None:
        """Tell it; one that is gone, or too busy, is told nothing."""
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
            to.settimeout(0)
            to.sendto("\n".join(words).encode(), self._address)

    async def follow(self, health: Health) -> None:
        """Say what becomes of `health`, and that the loop turns."""
        while health.is_starting:  # noqa: ASYNC110 - once, and Health stays a plain value
            await asyncio.sleep(_STARTED_POLL_S)
        self.say(READY, _status(health))
        while self._beat_s:
            await asyncio.sleep(self._beat_s)
            self.say(WATCHDOG, _status(health))


def _status(health: Health) -> str:
    return f"STATUS={health.reason or 'ready'}"
