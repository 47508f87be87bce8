"""What happened in a run: every event in order, as a trace that can be hashed and shown."""

from collections import deque
from collections.abc import Callable
from hashlib import sha256
from typing import NamedTuple

from twin_runtime.core.effects import Delete, Write

LAST_EVENTS_SHOWN = 50
SHOWN_CHARS_MAX = 300


class Happening(NamedTuple):
    """`what` is `sends`, `hears`, `commits` (a node), or what the nemesis did."""

    time_s: float
    node: str
    what: str
    topic: str = ""
    payload: bytes = b""

    def __str__(self) -> str:
        shown = self.payload[:SHOWN_CHARS_MAX].decode(errors="replace")
        return f"{self.time_s:10.6f}  {self.node:8} {self.what:12} {self.topic} {shown}"


class History:
    """The trace: its running hash, and its end for people (`show` takes all of it)."""

    def __init__(self, show: Callable[[Happening], None] | None = None) -> None:
        self.last: deque[Happening] = deque(maxlen=LAST_EVENTS_SHOWN)
        self.events = 0
        self._hash = sha256()
        self._show = show

    def add(self, happening: Happening) -> None:
        self.events += 1
        self.last.append(happening)
        time_s, node, what, topic, payload = happening
        self._hash.update(f"{time_s.hex()}|{node}|{what}|{topic}|".encode())
        self._hash.update(payload)
        if self._show is not None:
            self._show(happening)

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()


def shown(write: Write) -> tuple[str, bytes]:
    """A write, as a happening's topic and payload."""
    value = b"" if isinstance(write, Delete) else write.value
    return f"{write[0]} {write.key}", value
