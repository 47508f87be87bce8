"""What has changed, one after the other, for whoever listens.

Theory of operation. After each commit the shell says which twins it showed anew. They are
numbered, rendered once, and, if they are news, kept in a ring that all readers share: a reader
is a number, how far it has come, and has no queue of its own. So a thousand readers cost the
memory of one, and a slow one costs nobody anything: when the ring has gone on without it, it
is told the newest state of each twin that changed since, of which there are no more than twins.

    take()      the shell: number and put aside (of a flood, the newest of each twin)
    run()       one round: render, in turns of the event loop; wake the readers, in turns;
                then a pause as long as the round was, so that readers never get more than
                half of the loop
    after()     a reader: the next piece of the ring

As long as nobody listens nothing is kept, only counted. It is kept from the first reader
until `STREAM_KEPT_S` after the last, so that one that lost its connection can go on. Numbers
mean something within one life of the process only: another begins to count anew.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate
from operator import attrgetter
from typing import Any, NamedTuple

from twin_runtime.core.limits import (
    STREAM_COMMENT_S,
    STREAM_KEPT_S,
    STREAM_PAUSE_S,
    STREAM_PIECE_BYTES,
    STREAM_READERS_PER_TURN,
    STREAM_RING_BYTES_MAX,
    STREAM_RING_ROWS_MAX,
    STREAM_WAITING_MAX,
    THINGS_PER_TURN,
)

_number = attrgetter("number")


class Change(NamedTuple):
    """A twin as it was shown, as JSON; None: it is no longer here."""

    number: int
    twin: str
    body: bytes | None


class _Taken(NamedTuple):
    number: int
    twin: str
    shown: Any


class Changes:
    """The changes of one life. `view` is the committed state, `render` makes a thing of what
    is shown."""

    def __init__(self, view: Mapping[str, Any], render: Callable[[Any], bytes]) -> None:
        self.view = view
        self._render_one = render
        self.newest = 0  # the last change that readers can have
        self.readers = 0
        self.over = False  # nothing comes any more: the process stops
        self._left_s = 0.0  # when the last reader went
        self._keeping = False
        self._kept_from = 0  # what is newer than this one is known
        self._cut = 0  # what is newer than this one is in the ring
        self._ring: list[Change] = []
        self._ring_bytes = 0
        self._last: dict[str, int] = {}  # each twin's newest change, in their order
        self._said: dict[str, int] = {}  # the hash of its body, which the ring soon forgets
        self._counted = 0
        self._waiting: list[_Taken] = []
        self._collapse_at = STREAM_WAITING_MAX
        self._arrived = asyncio.Event()
        self._asleep: set[asyncio.Future[None]] = set()

    # --- from the shell -----------------------------------------------------------------

    def take(self, shown: Sequence[tuple[str, Any]]) -> None:
        """Number what a commit showed (None: it is no longer here)."""
        if not self._is_kept():
            self._counted += len(shown)
            self._kept_from = self._cut = self.newest = self._counted
            return
        for twin, state in shown:
            self._counted += 1
            self._waiting.append(_Taken(self._counted, twin, state))
        if len(self._waiting) > self._collapse_at:
            self._waiting = _newest_of_each(self._waiting)
            self._collapse_at = max(STREAM_WAITING_MAX, 2 * len(self._waiting))
        self._arrived.set()

    def _is_kept(self) -> bool:
        if self._keeping and not self.readers and not self._waiting:
            since_s = asyncio.get_running_loop().time() - self._left_s
            if since_s > STREAM_KEPT_S:
                self._keeping = False
                self._ring, self._ring_bytes, self._last, self._said = [], 0, {}, {}
        return self._keeping

    @property
    def kept(self) -> tuple[int, int]:
        """How many changes are in the ring, and their bytes."""
        return len(self._ring), self._ring_bytes

    # --- to readers ---------------------------------------------------------------------

    @contextmanager
    def listening(self) -> Iterator[None]:
        """As long as this lasts there is one reader more."""
        self.readers += 1
        self._keeping = True
        try:
            yield
        finally:
            self.readers -= 1
            self._left_s = asyncio.get_running_loop().time()

    def holds(self, number: int) -> bool:
        """Whether all that changed since `number` is known."""
        return self._kept_from <= number <= self.newest

    def missed(self, number: int) -> tuple[list[str], int]:
        """The twins that changed after `number` and not again in the ring, and the number
        from which on the ring says everything."""
        if number >= self._cut:
            return [], number
        return [twin for twin, last in self._last.items() if number < last <= self._cut], self._cut

    def after(self, number: int) -> list[Change]:
        """The next changes after `number`, as many as fill a piece; empty: there are none."""
        first = bisect_right(self._ring, number, key=_number)
        sizes = (len(change.body or b"") for change in self._ring[first : first + _PIECE_ROWS])
        filled = sum(size < STREAM_PIECE_BYTES for size in accumulate(sizes)) + 1
        return self._ring[first : first + filled]

    def body(self, twin: str) -> bytes | None:
        """The thing as it is now, as JSON."""
        shown = self.view.get(twin)
        return None if shown is None else self._render_one(shown)

    async def wait(self) -> None:
        """Return after the next round, which may have brought nothing."""
        woken = asyncio.get_running_loop().create_future()
        self._asleep.add(woken)
        try:
            await woken
        finally:
            self._asleep.discard(woken)

    # --- rounds -------------------------------------------------------------------------

    async def run(self) -> None:
        """Make rounds, one each `STREAM_COMMENT_S` if nothing changes, until cancelled."""
        clock = asyncio.get_running_loop()
        try:
            while True:
                await self._until_due()
                began_s = clock.time()
                await self._render()
                await self._wake()
                await asyncio.sleep(max(STREAM_PAUSE_S, clock.time() - began_s))
        finally:
            self.over = True
            _set(self._asleep)

    async def _until_due(self) -> None:
        try:
            async with asyncio.timeout(STREAM_COMMENT_S):
                await self._arrived.wait()
        except TimeoutError:
            pass
        self._arrived.clear()

    async def _render(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._collapse_at = STREAM_WAITING_MAX
        for start in range(0, len(waiting), THINGS_PER_TURN):
            for taken in waiting[start : start + THINGS_PER_TURN]:
                self._keep(taken)
            await asyncio.sleep(0)
        self._trim()

    def _keep(self, taken: _Taken) -> None:
        number, twin, shown = taken
        body = None if shown is None else self._render_one(shown)
        if self._said.get(twin) == hash(body):
            return  # an owner repeats what it has said
        self._said[twin] = hash(body)
        self._ring.append(Change(number, twin, body))
        self._ring_bytes += len(body or b"")
        self._last.pop(twin, None)
        self._last[twin] = self.newest = number

    def _trim(self) -> None:
        """Give up the oldest, a tenth more than must be: it moves all that stay."""
        rows, size = len(self._ring), self._ring_bytes
        if rows <= STREAM_RING_ROWS_MAX and size <= STREAM_RING_BYTES_MAX:
            return
        dropped = 0
        while rows > 0.9 * STREAM_RING_ROWS_MAX or size > 0.9 * STREAM_RING_BYTES_MAX:
            size -= len(self._ring[dropped].body or b"")
            dropped, rows = dropped + 1, rows - 1
        self._cut = self._ring[dropped - 1].number
        del self._ring[:dropped]
        self._ring_bytes = size
        if len(self._last) > 2 * len(self.view) + STREAM_RING_ROWS_MAX:
            # Most of them are gone: whoever is so far behind begins anew.
            self._last = {change.twin: change.number for change in self._ring}
            self._said = {twin: self._said[twin] for twin in self._last}
            self._kept_from = self._cut

    async def _wake(self) -> None:
        asleep = list(self._asleep)
        for start in range(0, len(asleep), STREAM_READERS_PER_TURN):
            _set(asleep[start : start + STREAM_READERS_PER_TURN])
            await asyncio.sleep(0)


_PIECE_ROWS = STREAM_PIECE_BYTES // 128  # nothing is smaller


def _set(asleep: Iterable[asyncio.Future[None]]) -> None:
    for woken in asleep:
        if not woken.done():
            woken.set_result(None)


def _newest_of_each(waiting: list[_Taken]) -> list[_Taken]:
    """In the order of their numbers, the newest of each twin."""
    newest: dict[str, _Taken] = {}
    for taken in waiting:
        newest.pop(taken.twin, None)
        newest[taken.twin] = taken
    return list(newest.values())
