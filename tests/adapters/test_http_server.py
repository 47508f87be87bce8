"""A server that starts on a port of our choosing and stops when told."""

import asyncio
import errno
import json
import signal
import socket
import time

import pytest

from tests.adapters.served import WALL_MS, a_twin, served
from twin_runtime.adapters.http_server import bind, serve
from twin_runtime.adapters.reading import Shown
from twin_runtime.adapters.things_http import things_app
from twin_runtime.core.errors import InvalidConfiguration
from twin_runtime.ports import Health

STOP_S = 1.0


def test_a_port_in_use_is_refused_in_one_sentence() -> None:
    with bind("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InvalidConfiguration, match=f"port {port} on 127.0.0.1 is in use"):
            bind("127.0.0.1", port)


def test_a_foreign_address_is_refused_in_one_sentence() -> None:
    with pytest.raises(InvalidConfiguration, match=r"192\.0\.2\.1 is not an address of this"):
        bind("192.0.2.1", 0)


def test_an_answer_does_not_wait_for_the_clients_delayed_acknowledgement() -> None:
    with bind("127.0.0.1", 0) as listener:
        client = socket.create_connection(listener.getsockname())
        connection, _ = listener.accept()
        with client, connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_stop_ends_idle_connections_at_once_and_frees_the_port() -> None:
    with served({}) as client:
        assert client.get("/healthz").status_code == 200
        port = client.base_url.port
        began_s = time.monotonic()
    assert time.monotonic() - began_s < STOP_S
    assert port is not None
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_a_stop_does_not_wait_for_a_reader_that_never_reads() -> None:
    body = b"x" * 50_000_000

    async def stop() -> float:
        app = things_app({}, Health(), lambda: body, "home", lambda: WALL_MS)
        listener = bind("127.0.0.1", 0)
        serving = asyncio.create_task(serve(app, listener))
        reader, writer = await asyncio.open_connection(*listener.getsockname(), limit=1024)
        writer.write(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
        await reader.readline()  # the answer has begun; its 50 MB fit no socket buffer
        began_s = time.monotonic()
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        stopped_s = time.monotonic() - began_s
        async with asyncio.timeout(10):  # the connection ends too, in the middle of the answer
            assert len(await reader.read()) < len(body)
        writer.close()
        return stopped_s

    assert asyncio.run(stop()) < STOP_S


def test_requests_answered_at_the_stop_are_answered_whole() -> None:
    view: dict[str, Shown] = {f"d-{number:03}": a_twin(f"d-{number:03}") for number in range(200)}

    async def stop() -> bytes:
        listener = bind("127.0.0.1", 0)
        app = things_app(view, Health(), lambda: b"", "home", lambda: WALL_MS)
        serving = asyncio.create_task(serve(app, listener))
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(b"GET /api/2/things?limit=200 HTTP/1.1\r\nhost: x\r\n\r\n")
        head = await reader.readline()
        serving.cancel()
        answer = head + await reader.read()
        with pytest.raises(asyncio.CancelledError):
            await serving
        writer.close()
        return answer

    answer = asyncio.run(stop())
    assert len(json.loads(answer.partition(b"\r\n\r\n")[2])) == 200


def test_signal_handlers_are_left_alone() -> None:
    async def handler() -> object:
        listener = bind("127.0.0.1", 0)
        app = things_app({}, Health(), lambda: b"", "home", lambda: WALL_MS)
        serving = asyncio.create_task(serve(app, listener))
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        await reader.read()
        during = signal.getsignal(signal.SIGTERM)
        writer.close()
        serving.cancel()
        await asyncio.wait({serving})
        return during

    assert asyncio.run(handler()) == signal.getsignal(signal.SIGTERM)


def test_serving_ends_with_an_error_of_the_socket() -> None:
    listener = bind("127.0.0.1", 0)
    listener.close()
    app = things_app({}, Health(), lambda: b"", "home", lambda: WALL_MS)
    with pytest.raises(OSError) as caught:  # noqa: PT011 - the number is what is checked
        asyncio.run(serve(app, listener))
    assert caught.value.errno == errno.EBADF
