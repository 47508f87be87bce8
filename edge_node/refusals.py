"""What an edge refuses of a device: counted always, answered at most once a second for each."""

from twin_runtime.core import messages, topics
from twin_runtime.core.effects import Effects, Note, Now, Send
from twin_runtime.core.limits import REFUSAL_PERIOD_S, REFUSALS_REMEMBERED_MAX, STRING_CHARS_MAX
from twin_runtime.core.messages import Refusal


class Refusals:
    """When each device was last told that something of it was refused."""

    def __init__(self, edge: str) -> None:
        self._edge = edge
        self._said_s: dict[str, float] = {}

    def say(
        self, twin_id: str, code: str, message: str, pointer: str, now: Now, fx: Effects
    ) -> None:
        """Count every refusal; answer the device at most once a second, and log the first
        of its code in a batch (see `Effects.refuse`)."""
        is_first = ("rejects_total", code) not in fx.counts
        fx.count("rejects_total", code)
        message, pointer = message[:STRING_CHARS_MAX], pointer[:STRING_CHARS_MAX]
        last_s = self._said_s.pop(twin_id, -REFUSAL_PERIOD_S)
        if now.monotonic_s - last_s >= REFUSAL_PERIOD_S:
            refusal = Refusal(code=code, message=message, pointer=pointer)
            fx.sends.append(
                Send(topics.down(twin_id, self._edge, "error"), messages.encode(refusal))
            )
            if is_first:
                fx.notes.append(Note("warning", f"{twin_id}: {message} ({code})", twin=twin_id))
            last_s = now.monotonic_s
        self._said_s[twin_id] = last_s
        if len(self._said_s) > REFUSALS_REMEMBERED_MAX:
            del self._said_s[next(iter(self._said_s))]
