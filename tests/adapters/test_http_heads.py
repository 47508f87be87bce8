"""Whoever sends half the head of a request holds no connection for ever, and not all of them."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from twin_runtime.adapters import http_heads
from twin_runtime.adapters.http_server import bind, serve
from twin_runtime.adapters.things_http import things_app
from twin_runtime.core.limits import HTTP_CONNECTIONS_MAX
from twin_runtime.ports import Health

HEAD_S = 0.4
WAIT_S = 20.0
WHOLE = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
HALF = WHOLE[:30]

Connection = tuple[StreamReader, StreamWriter]


class Server:
    """The real one; remembers its connections, to close them."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open: list[StreamWriter] = []

    async def connect(self, sent: bytes) -> Connection:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._open.append(writer)
        writer.write(sent)
        return reader, writer

    async def close(self) -> None:
        for writer in self._open:
            writer.close()
        for writer in self._open:
            with suppress(ConnectionError):
                await writer.wait_closed()


@asynccontextmanager
async def a_server() -> AsyncIterator[Server]:
    app = things_app({}, Health(), lambda: b"", "home", lambda: 0)
    listener = bind("127.0.0.1", 0)
    serving = asyncio.create_task(serve(app, listener))
    server = Server(listener.getsockname()[1])
    try:
        async with asyncio.timeout(WAIT_S):
            yield server
    finally:
        await server.close()
        serving.cancel()
        await asyncio.wait({serving})


async def ended_after_s(reader: StreamReader) -> float:
    """How long it takes until the server ends this connection."""
    began_s = asyncio.get_running_loop().time()
    with suppress(ConnectionResetError):
        while await reader.read(1000):
            pass
    return asyncio.get_running_loop().time() - began_s


async def answered(connection: Connection) -> bytes:
    """The first line, if one comes; all of the answer is read."""
    head = await connection[0].readuntil(b"\r\n\r\n")
    await connection[0].readexactly(len(b'{"alive":true}'))
    return head.partition(b"\r\n")[0]


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_heads, "HTTP_HEAD_S", HEAD_S)
    monkeypatch.setattr(http_heads, "HTTP_HEADS_LOOK_S", HEAD_S / 8)


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("sent", [b"", HALF])
def test_a_connection_without_a_whole_head_is_ended(sent: bytes) -> None:
    async def body() -> None:
        async with a_server() as server:
            reader, _ = await server.connect(sent)
            assert await ended_after_s(reader) >= HEAD_S / 2

    asyncio.run(body())


@pytest.mark.usefixtures("soon")
def test_a_head_that_comes_letter_by_letter_is_given_up_too() -> None:
    async def drip(writer: StreamWriter) -> None:
        for _ in range(1_000):
            writer.write(b"x")
            await asyncio.sleep(HEAD_S / 16)

    async def body() -> None:
        async with a_server() as server:
            reader, writer = await server.connect(HALF)
            dripping = asyncio.create_task(drip(writer))
            await ended_after_s(reader)
            dripping.cancel()

    asyncio.run(body())


@pytest.mark.usefixtures("soon")
def test_the_next_request_of_a_connection_has_to_come_whole_too() -> None:
    async def body() -> None:
        async with a_server() as server:
            reader, writer = await server.connect(WHOLE)
            assert await answered((reader, writer)) == b"HTTP/1.1 200 OK"
            writer.write(HALF)
            assert await ended_after_s(reader) >= HEAD_S / 2

    asyncio.run(body())


@pytest.mark.usefixtures("soon")
def test_who_asks_again_and_again_keeps_its_connection() -> None:
    async def body() -> None:
        async with a_server() as server:
            connection = await server.connect(b"")
            for _ in range(12):
                connection[1].write(WHOLE)
                assert await answered(connection) == b"HTTP/1.1 200 OK"
                await asyncio.sleep(HEAD_S / 4)

    asyncio.run(body())


def test_half_heads_on_all_connections_keep_nobody_out() -> None:
    async def body() -> None:
        async with a_server() as server:
            first, _ = await server.connect(HALF)
            for _ in range(HTTP_CONNECTIONS_MAX + 50):
                await server.connect(HALF)
            for _ in range(5):
                connection = await server.connect(WHOLE)
                assert await answered(connection) == b"HTTP/1.1 200 OK"
            await ended_after_s(first)  # whoever waits longest gives way

    asyncio.run(body())
