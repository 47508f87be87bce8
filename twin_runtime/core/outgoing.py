"""What was handed over to a connection and has not left: the other bounded half of a bus.

When a process gets too little of a CPU, or its link too little air, what it says waits
here, and the timers of those who wait for an answer run out. Were each of their repetitions
to wait behind the copy it repeats, the queue would grow with the time that it takes, and
the time with the queue: an overload that feeds itself and outlasts its cause. So a
repetition (`Send.again`) does not wait a second time: it takes the place of the first of
those on its topic that still wait, and the others go. However often somebody says something
again, one copy of it waits here. Decision 010 has the figures.
"""

from collections import OrderedDict, deque
from itertools import count

from twin_runtime.core.effects import Send
from twin_runtime.core.limits import OUTGOING_BYTES_MAX


class Outgoing:
    """Messages in order, until they are `bytes_max`; those taken count until they have `left`."""

    __slots__ = ("_bytes", "_bytes_max", "_next", "_places", "_sends", "_taken_bytes")

    def __init__(self, bytes_max: int = OUTGOING_BYTES_MAX) -> None:
        self._sends: OrderedDict[int, Send] = OrderedDict()
        self._places: dict[str, deque[int]] = {}  # of each topic, in `_sends`
        self._next = count()
        self._bytes = 0
        self._bytes_max = bytes_max
        self._taken_bytes = 0

    def __len__(self) -> int:
        return len(self._sends)

    def put(self, send: Send) -> bool:
        """Let `send` wait; False: there is no room for it."""
        repeated = [*self._places.get(send.topic, ())] if send.again else []
        grown_bytes = _size(send) - sum(_size(self._sends[place]) for place in repeated)
        if self._bytes + grown_bytes > self._bytes_max:
            return False
        self._bytes += grown_bytes
        for place in repeated[1:]:
            del self._sends[place]
        if repeated:
            self._places[send.topic] = deque(repeated[:1])
            self._sends[repeated[0]] = send
        else:
            place = next(self._next)
            self._places.setdefault(send.topic, deque()).append(place)
            self._sends[place] = send
        return True

    def take(self, count_max: int) -> list[Send]:
        """The first of what waits, at most `count_max`; the next only when these have left."""
        assert not self._taken_bytes, "what was taken last has not left"
        taken = [self._pop() for _ in range(min(len(self._sends), count_max))]
        self._taken_bytes = sum(map(_size, taken))
        return taken

    def left(self) -> None:
        """What was taken is gone."""
        self._bytes -= self._taken_bytes
        self._taken_bytes = 0

    def _pop(self) -> Send:
        _, send = self._sends.popitem(last=False)
        places = self._places[send.topic]
        places.popleft()
        if not places:
            del self._places[send.topic]
        return send


def _size(send: Send) -> int:
    return len(send.topic) + len(send.payload)
