"""Orders that are given again, ever more rarely, until they are confirmed."""

from twin_runtime.core.agenda import Agenda
from twin_runtime.core.backoff import backoff_s
from twin_runtime.core.limits import ORDER_RETRY_FIRST_S, ORDER_RETRY_LAST_S


class Reminders:
    """For each twin that something is ordered for, when to order it next."""

    def __init__(self) -> None:
        self._due = Agenda()
        self._attempts: dict[str, int] = {}

    def begin(self, twin: str, now_s: float) -> None:
        """There is a new order for this twin, to be given now."""
        self._attempts.pop(twin, None)
        self._due.set(twin, now_s)

    def end(self, twin: str) -> None:
        """Nothing more is ordered for it."""
        self._attempts.pop(twin, None)
        self._due.drop(twin)

    def pending(self) -> list[str]:
        """The twins that something is ordered for."""
        return self._due.keys()

    def take(self, now_s: float, twins_max: int) -> list[str]:
        """The twins whose order is to be given now; each is due again after its pause."""
        twins = self._due.take(now_s, twins_max)
        for twin in twins:
            attempt = self._attempts.get(twin, 0)
            self._attempts[twin] = attempt + 1
            pause_s = backoff_s(twin, attempt, ORDER_RETRY_FIRST_S, ORDER_RETRY_LAST_S)
            self._due.set(twin, now_s + pause_s)
        return twins

    def next_s(self) -> float | None:
        """When the next one is due; None: none is."""
        return self._due.next_s()
