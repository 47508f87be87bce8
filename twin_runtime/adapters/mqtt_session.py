"""The seam between the bus and the MQTT library below it: one connection, from its first
packet to its last.

A body of it is an asynchronous context manager, `Connect`. It enters once the broker has
accepted the client and granted every filter; from its first moment on it hands every
message to `deliver`, in order and as it comes, without a queue of its own. Inside, the
`Session` can publish until it is lost. Leaving it says goodbye, so that the will is not
told, and closes the connection whatever state that is in.

Two libraries do this: `aiomqtt_session` and `gmqtt_session` (decision 002 says why two).
Both speak MQTT 3.1.1 with clean sessions and QoS 0 only, and both promise a new client
for each connection: what a library does on its own to reconnect is not wanted here.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, TypeVar

from twin_runtime.core.effects import Message, Send
from twin_runtime.core.errors import Unavailable
from twin_runtime.core.limits import FILTERS_PER_PACKET_MAX

_REFUSED = 128
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Subscriber:
    """Who connects where, to hear what; `will` is told should it vanish."""

    host: str
    port: int
    client_id: str
    filters: tuple[str, ...] = ()
    will: Send | None = None


class Session(Protocol):
    """A connection that stands until `until_lost` returns."""

    def publish(self, sends: Sequence[Send]) -> int:
        """Hand over `sends` in order, without waiting; return how many were dropped,
        because too much waits for the broker already or the connection is lost."""
        ...

    async def until_lost(self) -> str:
        """Wait until the connection is lost; return why."""
        ...


Deliver = Callable[[Message], None]
# Raises `Unavailable` if there is no such broker, or it does not let us in, or not in time.
Connect = Callable[[Subscriber, Deliver], AbstractAsyncContextManager[Session]]


async def subscribe_all(
    filters: Sequence[str],
    subscribe: Callable[[list[str]], Coroutine[Any, Any, Sequence[int]]],
) -> None:
    """Subscribe to `filters` with as few packets as their bound allows.

    Raises:
        Unavailable: the broker did not grant one of them.
    """
    remaining = iter(filters)
    while chunk := list(islice(remaining, FILTERS_PER_PACKET_MAX)):
        codes = await subscribe(chunk)
        if len(codes) != len(chunk):
            raise Unavailable(f"the broker answered {len(codes)} of {len(chunk)} subscriptions")
        for each, code in zip(chunk, codes, strict=True):
            if code >= _REFUSED:
                raise Unavailable(f"the broker refused the subscription to {each!r}")


async def unless_lost(lost: asyncio.Future[str], working: asyncio.Future[_T]) -> _T:
    """Wait for something that would not notice that the connection is lost.

    Raises:
        Unavailable: it was lost first.
    """
    await asyncio.wait((working, lost), return_when=asyncio.FIRST_COMPLETED)
    if not working.done():
        raise Unavailable(lost.result())
    return working.result()


async def see_through(closing: Coroutine[Any, Any, None]) -> None:
    """Finish `closing`, which bounds itself, though we are cancelled meanwhile; once."""
    task = asyncio.ensure_future(closing)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait((task,))
        raise
