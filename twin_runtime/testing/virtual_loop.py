"""An event loop that never waits: hours pass in milliseconds, and every run is the same.

Time stands still while anything is ready to run. When nothing is, it jumps to the next
timer; when there is no timer either, nothing can ever happen again, and that is reported
as `Deadlock` where a real loop would hang. Nothing outside can wake this loop, so sockets,
threads, child processes and signals are refused: with them a run could not be repeated.

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())

Timers that are due together run in the order in which they were set.

It keeps its timers itself, as tuples: asyncio's heap compares handles, and a simulation
sets a hundred thousand timers a second.
"""

import asyncio
import heapq
import threading
from asyncio import Future, Handle, TimerHandle
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from contextvars import Context
from itertools import count
from typing import Any, NoReturn, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Deadlock(RuntimeError):
    """Nothing is ready and no timer is set: the run can never go on."""


class Refused(RuntimeError):
    """Something was asked for that reaches out of virtual time."""


class VirtualLoop(asyncio.BaseEventLoop):
    """An asyncio loop whose `time()` is virtual and begins at 0."""

    _ready: deque[Handle]  # asyncio's own queue of what runs next

    def __init__(self) -> None:
        super().__init__()
        self._now_s = 0.0
        self._thread = threading.get_ident()
        self._timers: list[tuple[float, int, TimerHandle]] = []
        self._numbers = count()

    def time(self) -> float:
        return self._now_s

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> TimerHandle:
        handle = TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._numbers), handle))
        return handle

    def _run_once(self) -> None:
        """Run what is ready and, with it, what is due; if nothing is, let time pass first."""
        if not self._ready:
            self._pass_time()
        while self._timers and self._timers[0][0] <= self._now_s:
            self._ready.append(heapq.heappop(self._timers)[2])
        for _ in range(len(self._ready)):
            handle = self._ready.popleft()
            if not handle.cancelled():
                handle._run()  # noqa: SLF001  # as asyncio's own loops do

    def _pass_time(self) -> None:
        """Jump to the next timer that was not cancelled."""
        while self._timers and self._timers[0][2].cancelled():
            heapq.heappop(self._timers)
        if not self._timers:
            raise Deadlock(f"at {self._now_s} s nothing is ready and no timer is set")
        self._now_s = max(self._now_s, self._timers[0][0])

    def _timer_handle_cancelled(self, handle: TimerHandle) -> None:
        """It is skipped when its time comes; asyncio tells of it only for its own heap."""

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> Handle:
        """As `call_soon`: asyncio calls it to close forgotten generators, in this thread."""
        if threading.get_ident() != self._thread:
            raise Refused("a thread called into a virtual loop")
        return self.call_soon(callback, *args, context=context)

    def run_in_executor(
        self,
        executor: Executor | None,  # noqa: ARG002  # asyncio's signature
        func: Callable[[*Ts], T],
        *args: *Ts,  # noqa: ARG002
    ) -> Future[T]:
        raise Refused(f"{func!r} would run in a thread: pass an offload that runs it inline")

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise Refused("sockets and processes have no place in virtual time")

    # What else reaches out (file descriptors, signals) `BaseEventLoop` does not implement.
    create_connection = create_server = create_datagram_endpoint = _refuse
    subprocess_exec = subprocess_shell = _refuse
