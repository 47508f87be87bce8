"""A broker of our own: found, started, restarted, and gone when we are."""

import asyncio
import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import get_args

import psutil
import pytest

from twin_runtime.adapters import aiomqtt_session
from twin_runtime.adapters import broker as broker_module
from twin_runtime.adapters.broker import Kind, check_broker, choose, start_broker
from twin_runtime.core.errors import Unavailable

PARENT = """\
import asyncio, sys, time
from pathlib import Path
from twin_runtime.adapters.broker import start_broker

async def run(kind, folder):
    async with start_broker(kind, folder=Path(folder)) as broker:
        print(broker.pid, broker.port, flush=True)
        await asyncio.sleep(60)

asyncio.run(run(*sys.argv[1:]))
"""


@pytest.fixture(params=get_args(Kind))
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each broker there is; without one a test is skipped, but never in CI."""
    wanted: Kind = request.param
    try:
        return choose(wanted).kind
    except Unavailable as reason:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(reason))


def test_a_started_broker_answers_and_a_stopped_one_is_gone(kind: Kind, tmp_path: Path) -> None:
    async def run() -> int:
        async with start_broker(kind, folder=tmp_path) as broker:
            assert broker.name.startswith(kind)
            assert broker.name[-1].isdigit()
            await check_broker(broker.host, broker.port)
            assert broker.pid is not None
            return broker.pid

    pid = asyncio.run(run())
    assert not psutil.pid_exists(pid)


def test_a_broker_listens_on_loopback_only(kind: Kind, tmp_path: Path) -> None:
    async def run() -> None:
        async with start_broker(kind, folder=tmp_path) as broker:
            listening = [
                each.laddr.ip
                for each in psutil.Process(broker.pid).net_connections()
                if each.status == psutil.CONN_LISTEN
            ]
            assert listening
            assert set(listening) == {"127.0.0.1"}

    asyncio.run(run())


def test_a_killed_broker_starts_again_on_its_port(kind: Kind, tmp_path: Path) -> None:
    async def run() -> None:
        async with start_broker(kind, folder=tmp_path) as broker:
            first, port = broker.pid, broker.port
            await broker.kill()
            assert broker.pid is None
            with pytest.raises(Unavailable, match=f"in at 127.0.0.1:{port}"):
                await check_broker(broker.host, port)
            await broker.start()
            assert broker.port == port
            assert broker.pid not in (None, first)
            await check_broker(broker.host, port)

    asyncio.run(run())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of it")
def test_a_broker_dies_with_its_parent(kind: Kind, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, kind, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid, _ = map(int, parent.stdout.readline().split())
        broker = psutil.Process(pid)
        parent.kill()
        _, alive = psutil.wait_procs([broker], timeout=10)
        for each in alive:
            each.kill()
        assert not alive


def test_a_port_in_use_is_refused_by_number(kind: Kind, tmp_path: Path) -> None:
    async def run(port: int) -> None:
        async with start_broker(kind, folder=tmp_path, port=port):
            pytest.fail("two cannot listen on one port")

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Unavailable, match=f"cannot use port {port} .*in use"):
            asyncio.run(run(port))


def test_a_broker_that_ends_at_once_is_told_in_its_own_words(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with start_broker(kind, folder=tmp_path):
            pytest.fail("it cannot run with this configuration")

    monkeypatch.setattr(broker_module, "_MOSQUITTO", "nonsense {port}")
    monkeypatch.setattr(broker_module, "_NATS", "nonsense: {port}")
    with pytest.raises(Unavailable, match=r"ended at once with status [^0](.|\n)*nonsense"):
        asyncio.run(run())


@pytest.mark.skipif(broker_module._find("nats") is None, reason="no embedded broker here")
def test_what_a_broker_says_is_kept_within_its_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred connections that are no MQTT are 17 KB of complaints by a NATS server."""

    async def run() -> None:
        async with start_broker("nats", folder=tmp_path) as broker:
            for _ in range(100):
                reader, writer = await asyncio.open_connection(broker.host, broker.port)
                writer.write(b"GET / HTTP/1.1\r\n\r\n")
                with suppress(ConnectionError):
                    await reader.read()
                writer.close()

    monkeypatch.setattr(broker_module, "BROKER_LOG_BYTES_MAX", 2_000)
    asyncio.run(run())
    files = {path.name: path.stat().st_size for path in tmp_path.glob("broker.log*")}
    assert set(files) == {"broker.log", "broker.log.1"}
    assert max(files.values()) <= 2_000


def test_mosquitto_is_preferred_and_the_reason_told() -> None:
    if broker_module._find("mosquitto") is None:
        pytest.skip("no Mosquitto on this machine")
    assert choose().kind == "mosquitto"
    assert choose().why == "found on this machine"
    assert choose("mosquitto").why == "asked for"


def test_without_mosquitto_the_embedded_broker_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    found = broker_module._find("nats")
    if found is None:
        pytest.skip("no embedded broker on this machine")
    monkeypatch.setattr(broker_module, "_find", {"nats": found, "mosquitto": None}.get)
    assert choose().kind == "nats"
    assert choose().why == "no Mosquitto was found"


def test_without_any_broker_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_module, "_find", lambda _: None)
    with pytest.raises(Unavailable, match=r"apt install mosquitto.*diten\[broker\]"):
        choose()
    with pytest.raises(Unavailable, match="nats is asked for, but no MQTT broker was found"):
        choose("nats")


def test_something_that_is_no_broker_is_not_taken_for_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(aiomqtt_session, "BUS_TIMEOUT_S", 0.5)

    async def run() -> None:
        async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(Unavailable, match="no MQTT broker lets us in"):
                await check_broker("127.0.0.1", port)

    asyncio.run(run())


def test_why_a_broker_does_not_let_us_in_is_said() -> None:
    async def run() -> None:
        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(64)
            writer.write(b"\x20\x02\x00\x05")  # CONNACK: not authorized
            await reader.read()
            writer.close()

        async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(Unavailable, match=rf"{port} \(.*ot authori[sz]ed"):
                await check_broker("127.0.0.1", port)

    asyncio.run(run())
