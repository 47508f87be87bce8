"""Links between processes of a rig and its broker, each as bad as a test wants it."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.system.rig import Process, Rig
from twin_runtime.adapters.link_proxy import Link, LinkProxy

PERFECT = Link()
DONE_S = 10.0


class Links:
    """A proxy for each process by its name, all of them in a loop of their own."""

    def __init__(self) -> None:
        self._proxies: dict[str, LinkProxy] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="links", daemon=True)
        self._thread.start()

    def lead(self, process: Process, rig: Rig, host: str = "127.0.0.1") -> None:
        """From its next start on, lead the process to the broker by a link of its own."""
        proxy = LinkProxy("127.0.0.1", rig.broker.port)
        listening = asyncio.run_coroutine_threadsafe(proxy.start(host), self._loop)
        process.settings["bus"] = {"host": host, "port": listening.result(DONE_S)}
        self._proxies[process.name] = proxy

    def set(self, name: str, up: Link = PERFECT, down: Link = PERFECT) -> None:
        """What one process says goes up, what it hears comes down."""

        def change(proxy: LinkProxy) -> None:
            proxy.up, proxy.down = up, down

        self._do(change, name)

    def reset(self, name: str) -> None:
        self._do(LinkProxy.reset, name)

    def close(self) -> None:
        for proxy in self._proxies.values():
            asyncio.run_coroutine_threadsafe(proxy.stop(), self._loop).result(DONE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DONE_S)
        self._loop.close()

    def _do(self, change: Callable[[LinkProxy], None], name: str) -> None:
        async def body() -> None:
            change(self._proxies[name])

        asyncio.run_coroutine_threadsafe(body(), self._loop).result(DONE_S)


@contextmanager
def links() -> Iterator[Links]:
    made = Links()
    try:
        yield made
    finally:
        made.close()
