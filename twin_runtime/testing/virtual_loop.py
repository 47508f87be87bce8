"""An event loop that never waits: hours pass in milliseconds, and every run is the same.

Time stands still while anything is ready to run. When nothing is, it jumps to the next
timer; when there is no timer either, nothing can ever happen again, and that is reported
as `Deadlock` where a real loop would hang. Nothing outside can wake this loop, so sockets,
threads, child processes and signals are refused: with them a run could not be repeated.

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())

Timers that are due together run in the order of the heap, which depends on the calls
alone: equal calls, equal order.
"""

import asyncio
import threading
from asyncio import Future, Handle
from collections.abc import Callable
from concurrent.futures import Executor
from contextvars import Context
from typing import Any, NoReturn, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Deadlock(RuntimeError):
    """Nothing is ready and no timer is set: the run can never go on."""


class Refused(RuntimeError):
    """Something was asked for that reaches out of virtual time."""


class VirtualLoop(asyncio.BaseEventLoop):
    """An asyncio loop whose `time()` is virtual and begins at 0."""

    def __init__(self) -> None:
        super().__init__()
        self._now_s = 0.0
        self._thread = threading.get_ident()
        self._selector = self  # whom `BaseEventLoop` asks to wait

    def time(self) -> float:
        return self._now_s

    def select(self, timeout_s: float | None) -> list[Any]:
        """Let `timeout_s` pass at once; there is never anything to report."""
        if timeout_s is None:
            raise Deadlock(f"at {self._now_s} s nothing is ready and no timer is set")
        self._now_s += timeout_s
        return []

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

    def _process_events(self, event_list: list[Any]) -> None:
        assert not event_list, "nothing outside wakes a virtual loop"

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise Refused("sockets and processes have no place in virtual time")

    # What else reaches out (file descriptors, signals) `BaseEventLoop` does not implement.
    create_connection = create_server = create_datagram_endpoint = _refuse
    subprocess_exec = subprocess_shell = _refuse
