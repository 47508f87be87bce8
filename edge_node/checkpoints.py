"""When the cloud is told of a twin: some time after a change, and until it has answered.

A twin is due one period after a change and every period from then on until what was sent is
called stable. When nothing is answered all of them pause, up to a minute: a cloud that is
away is not there sooner for being asked. What it has asked for itself is due at once.
"""

from collections.abc import Iterable

from twin_runtime.core import messages, orders
from twin_runtime.core.effects import Effects
from twin_runtime.core.limits import (
    CHECKPOINT_DUE_MAX,
    CHECKPOINT_PERIOD_S,
    CHECKPOINT_RETRY_LAST_S,
    CHECKPOINT_TWINS_MAX,
    SNAPSHOT_BYTES_MAX,
)

NEVER = float("inf")


class Checkpoints:
    """The twins of which the cloud is to hear, in order of time."""

    def __init__(self) -> None:
        self._due_s: dict[str, float] = {}  # equal pauses keep it sorted
        self._asked: dict[str, None] = {}
        self._unanswered_s = NEVER  # since when the cloud has answered nothing
        self._pause_s = CHECKPOINT_PERIOD_S
        self._paused_until_s = 0.0

    def changed(self, twins: Iterable[str], now_s: float) -> None:
        """These are due one period from now, if they are not due sooner."""
        due_s = now_s + CHECKPOINT_PERIOD_S  # one number for all: they are many
        for twin in twins:
            self._due_s.setdefault(twin, due_s)

    def restore(self, twin: str) -> None:
        """What the cloud knows of this one is forgotten: it is due as soon as its turn comes."""
        self._due_s[twin] = 0.0

    def ask(self, twin: str) -> None:
        """The cloud wants this one now."""
        self._asked[twin] = None
        self._due_s.setdefault(twin, 0.0)

    def forget(self, twin: str) -> None:
        """The cloud knows, or need not."""
        self._due_s.pop(twin, None)
        self._asked.pop(twin, None)

    def answered(self) -> None:
        """The cloud is there: no more pauses."""
        self._unanswered_s, self._paused_until_s = NEVER, 0.0
        self._pause_s = CHECKPOINT_PERIOD_S

    def begin_again(self) -> None:
        """Whatever was sent may be lost: all are due at once."""
        self.answered()
        self._due_s = dict.fromkeys(self._due_s, 0.0)

    def take(self, now_s: float) -> list[str]:
        """The twins that are due, some of them if they are many; each is due again one
        period later."""
        due, self._asked = self._asked, {}
        if now_s >= self._paused_until_s:
            for twin, due_s in self._due_s.items():
                if due_s > now_s or len(due) >= CHECKPOINT_DUE_MAX:
                    break
                due[twin] = None
        again_s = now_s + CHECKPOINT_PERIOD_S
        for twin in due:
            self._due_s.pop(twin, None)
            self._due_s[twin] = again_s
        if due:
            self._pause_while_unanswered(now_s)
        return list(due)

    def wake(self, now_s: float, fx: Effects) -> None:
        """Ask to be woken when the next one is due."""
        if self._due_s:
            next_due_s = next(iter(self._due_s.values()))
            fx.wake_by(max(next_due_s, self._paused_until_s) - now_s)

    def _pause_while_unanswered(self, now_s: float) -> None:
        """A cloud that has been silent for a whole period is asked ever more rarely."""
        if self._unanswered_s == NEVER:
            self._unanswered_s = now_s
        elif now_s - self._unanswered_s >= CHECKPOINT_PERIOD_S:
            self._pause_s = min(self._pause_s * 2, CHECKPOINT_RETRY_LAST_S)
            self._paused_until_s = now_s + self._pause_s


def packets(kind: str, rows: Iterable[bytes]) -> Iterable[bytes]:
    """Events of `kind` with these encoded twins, each small enough for one message."""
    packet: list[bytes] = []
    size = 0
    for row in rows:
        if packet and (len(packet) == CHECKPOINT_TWINS_MAX or size + len(row) > SNAPSHOT_BYTES_MAX):
            yield _packet(kind, packet)
            packet, size = [], 0
        packet.append(row)
        size += len(row) + 1
    if packet:
        yield _packet(kind, packet)


def _packet(kind: str, rows: list[bytes]) -> bytes:
    head = b'{"v":%d,"kind":"%b","twins":[' % (messages.VERSION, kind.encode())
    return orders.with_checksum(b"%b%b]}" % (head, b",".join(rows)))
