"""An app behind the real server, in a thread of its own, for clients that block."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from fastapi import FastAPI

from twin_runtime.adapters.http_server import bind, serve


@contextmanager
def serving(app: FastAPI, port: int = 0) -> Iterator[str]:
    """The URL at which `app` is served."""
    listener = bind("127.0.0.1", port)
    loop = asyncio.new_event_loop()
    server = loop.create_task(serve(app, listener))

    def run() -> None:
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(server)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        loop.call_soon_threadsafe(server.cancel)
        thread.join(timeout=10)
        assert not thread.is_alive()
        loop.close()
