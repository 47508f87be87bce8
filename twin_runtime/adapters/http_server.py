"""A server that starts on a port of our choosing and stops when told.

A stop reaches us as the cancellation of `serve`, so uvicorn's signal handlers are off.
"""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI

from twin_runtime.adapters.http_heads import Heads
from twin_runtime.core.errors import InvalidConfiguration
from twin_runtime.core.limits import (
    HTTP_CONNECTIONS_MAX,
    HTTP_KEEPALIVE_S,
    HTTP_STOP_S,
    STREAM_STALLED_S,
)


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket (`port` 0: any free one), or raise `InvalidConfiguration`; the
    kernel ends connections whose peers take nothing for `STREAM_STALLED_S`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=HTTP_CONNECTIONS_MAX)
    except OSError as error:
        raise InvalidConfiguration(_unusable(host, port, error)) from None
    # Connections inherit it. Without it the body of every answer waits 40 ms for the
    # client's delayed acknowledgement of the head (asyncio sets it on its own sockets only).
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # Where there is none, a stalled reader holds one piece and its connection until its system
    # is gone.
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        milliseconds = round(STREAM_STALLED_S * 1000)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
    return listener


async def serve(app: FastAPI, listener: socket.socket) -> None:
    """Serve `app` on `listener` until cancelled; then let open requests end for at most
    `HTTP_STOP_S`, and close every connection and the socket."""
    heads = Heads()
    server = _Server(
        uvicorn.Config(
            app,
            http=heads.connect,  # type: ignore[arg-type]  # it is called, as a class would be
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=HTTP_CONNECTIONS_MAX,
            timeout_keep_alive=HTTP_KEEPALIVE_S,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="uvicorn")
    watching = asyncio.create_task(heads.watch(), name="heads")
    try:
        await asyncio.shield(serving)
    finally:
        watching.cancel()
        await _stop(server, serving)
        listener.close()


class _Server(uvicorn.Server):
    """uvicorn offers no option for it: its signal handlers would take ours away."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _stop(server: uvicorn.Server, serving: asyncio.Task[None]) -> None:
    server.should_exit = True
    await asyncio.wait({serving}, timeout=HTTP_STOP_S)
    if not serving.done():
        # Somebody reads an answer slowly, or never.
        unfinished = {serving, *server.server_state.tasks}
        for task in unfinished:
            task.cancel()
        await asyncio.wait(unfinished, timeout=HTTP_STOP_S)
    for connection in list(server.server_state.connections):
        connection.transport.abort()


def _unusable(host: str, port: int, error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return f"host {host!r} cannot be resolved: give an address of this machine"
    match error.errno:
        case errno.EADDRINUSE:
            return f"port {port} on {host} is in use by another process: stop it or choose another"
        case errno.EACCES:
            return f"port {port} on {host} needs privileges: choose one above 1023"
        case errno.EADDRNOTAVAIL:
            return f"{host} is not an address of this machine: choose one of its own, or 127.0.0.1"
        case _:
            return f"port {port} on {host} cannot be opened: {error.strerror}"
