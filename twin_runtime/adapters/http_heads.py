"""Connections on which the head of a request is waited for: not for ever, and not by all.

uvicorn closes a connection that is idle after an answer, and waits without end for the first
head, or for the rest of one. Whoever sends half a head on each of many connections would hold
all that `HTTP_CONNECTIONS_MAX` allows, and everybody else would be answered 503.

    a head has not come whole within HTTP_HEAD_S     its connection is ended
    all connections are taken, and one more comes    of those whose head is waited for, the one
                                                     that waits longest gives way
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from twin_runtime.core.limits import HTTP_CONNECTIONS_MAX, HTTP_HEAD_S, HTTP_HEADS_LOOK_S


class Heads:
    """Makes the protocol of each connection, and watches them all."""

    def __init__(self) -> None:
        # Of each connection its last request, and since when that is so; oldest first.
        self._since: dict[H11Protocol, tuple[RequestResponseCycle | None, float]] = {}

    def connect(self, **given: Any) -> H11Protocol:
        """The protocol of a connection that comes; uvicorn says with what."""
        if len(self._since) >= HTTP_CONNECTIONS_MAX - 1:
            self._make_way()
        connection = H11Protocol(**given)
        self._since[connection] = None, connection.loop.time()
        return connection

    async def watch(self) -> None:
        """Until cancelled."""
        clock = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(HTTP_HEADS_LOOK_S)
            self._look(clock.time())

    def _look(self, now_s: float) -> None:
        self._forget_closed()
        for connection, (request, since_s) in list(self._since.items()):
            if _is_asked(connection) or _request_of(connection) is not request:
                del self._since[connection]
                self._since[connection] = _request_of(connection), now_s
            elif now_s - since_s > HTTP_HEAD_S:
                connection.transport.abort()

    def _make_way(self) -> None:
        self._forget_closed()
        if len(self._since) < HTTP_CONNECTIONS_MAX - 1:
            return
        waiting = (each for each in self._since if _transport_of(each) and not _is_asked(each))
        if (longest := next(waiting, None)) is not None:
            longest.transport.abort()
            del self._since[longest]

    def _forget_closed(self) -> None:
        for connection in list(self._since):
            transport = _transport_of(connection)
            if transport is not None and transport.is_closing():
                del self._since[connection]


def _transport_of(connection: H11Protocol) -> asyncio.Transport | None:
    """None for a moment: a protocol is made before its connection begins."""
    return connection.transport


def _is_asked(connection: H11Protocol) -> bool:
    """Whether a request has come that is not answered yet."""
    request = _request_of(connection)
    return request is not None and not request.response_complete


def _request_of(connection: H11Protocol) -> RequestResponseCycle | None:
    """The last one; None: none has come."""
    return connection.cycle
