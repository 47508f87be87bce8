"""What is wanted of devices, said until they answer.

A device is told what it has yet to carry out: at once when somebody wants it, when it comes
online, when its twin comes to this edge, and again and again, ever more rarely, as long as
it has not answered one of the entries. What it has accepted is on its disk; that is said
only when it comes online. All of it follows from the twins' rows: nothing is stored here.

A wish that is valid for a while only expires here, on the monotonic clock: its time begins
anew with a restart and at each owner, since no two clocks agree.
"""

from collections.abc import Mapping

from twin_runtime.core import messages, topics
from twin_runtime.core.agenda import Agenda
from twin_runtime.core.backoff import backoff_s
from twin_runtime.core.desired import is_open
from twin_runtime.core.effects import Effects, Send
from twin_runtime.core.limits import DESIRED_RETRY_FIRST_S, DESIRED_RETRY_LAST_S, ORDERS_MAX
from twin_runtime.core.messages import Desired, DesiredValue
from twin_runtime.core.twin import Phase, Twin


class Desires:
    """For each twin of which something is wanted: the newest wish, and when to say it next."""

    def __init__(self, edge: str) -> None:
        self._edge = edge
        self._due = Agenda()
        self._newest: dict[str, tuple[int, int]] = {}  # epoch and number
        self._attempts: dict[str, int] = {}
        self._ends = Agenda()  # of wishes that are valid for a while, by twin and path,
        self._limited: dict[str, tuple[int, int]] = {}  # and their epochs and numbers
        self.connected = False

    def __contains__(self, twin_id: str) -> bool:
        return twin_id in self._newest

    def follow(self, twin: Twin, now_s: float) -> None:
        """A twin has changed; a wish that is news is said now."""
        open_numbers = [entry.number for entry in twin.desired.values() if is_open(entry)]
        if not open_numbers or twin.phase is not Phase.ACTIVE:
            self.forget(twin.twin)
            return
        self._limit(twin, now_s)
        newest = (twin.epoch, max(open_numbers))
        if self._newest.get(twin.twin) != newest:
            self._newest[twin.twin] = newest
            self.repeat(twin.twin, now_s)

    def repeat(self, twin_id: str, now_s: float) -> None:
        """The device is there: say what it has yet to do, if anything, and begin anew."""
        if twin_id in self._newest:
            self._attempts.pop(twin_id, None)
            self._due.set(twin_id, now_s)

    def forget(self, twin_id: str) -> None:
        """Nothing is wanted of it, or not by this edge."""
        self._newest.pop(twin_id, None)
        self._attempts.pop(twin_id, None)
        self._due.drop(twin_id)

    def _limit(self, twin: Twin, now_s: float) -> None:
        for path, entry in twin.desired.items():
            key, wish = f"{twin.twin} {path}", (twin.epoch, entry.number)
            if entry.valid_for_s is not None and is_open(entry) and self._limited.get(key) != wish:
                self._limited[key] = wish
                self._ends.set(key, now_s + entry.valid_for_s)

    def expired(self, now_s: float) -> list[tuple[str, str, int, int]]:
        """The wishes whose time is up: twin, path, epoch and number. They may have ended
        before."""
        ended = [(key, *self._limited.pop(key)) for key in self._ends.take(now_s, ORDERS_MAX)]
        return [(*_parts(key), epoch, number) for key, epoch, number in ended]

    def settle(self, twins: Mapping[str, Twin], now_s: float, fx: Effects) -> None:
        """Say what is due, a few at a time."""
        _wake(self._ends, now_s, fx)
        if not self.connected or not self._newest:
            return
        for twin_id in self._due.take(now_s, ORDERS_MAX):
            fx.sends.append(self._said(twins[twin_id]))
            if any(entry.state == "pending" for entry in twins[twin_id].desired.values()):
                self._again(twin_id, now_s)
        _wake(self._due, now_s, fx)

    def _again(self, twin_id: str, now_s: float) -> None:
        attempt = self._attempts.get(twin_id, 0)
        self._attempts[twin_id] = attempt + 1
        pause_s = backoff_s(twin_id, attempt, DESIRED_RETRY_FIRST_S, DESIRED_RETRY_LAST_S)
        self._due.set(twin_id, now_s + pause_s)

    def _said(self, twin: Twin) -> Send:
        entries = {
            path: DesiredValue(number=entry.number, value=entry.value)
            for path, entry in twin.desired.items()
            if is_open(entry)
        }
        desired = Desired(edge=self._edge, epoch=twin.epoch, entries=entries)
        return Send(topics.down(twin.twin, self._edge, "desired"), messages.encode(desired))


def _parts(key: str) -> tuple[str, str]:
    twin_id, _, path = key.partition(" ")
    return twin_id, path


def _wake(agenda: Agenda, now_s: float, fx: Effects) -> None:
    next_s = agenda.next_s()
    if next_s is not None:
        fx.wake_by(next_s - now_s)
