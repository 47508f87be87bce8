"""The production bus on both brokers, with real sockets, real processes and kill -9."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import get_args

import pytest

from twin_runtime.adapters.broker import Broker, Kind, choose, start_broker
from twin_runtime.adapters.mqtt_bus import MqttBus
from twin_runtime.core.effects import Connected, Disconnected, Message, Send
from twin_runtime.core.errors import Unavailable
from twin_runtime.core.limits import RECONNECT_LAST_S
from twin_runtime.testing.bus_contract import CASES, Rig
from twin_runtime.testing.listening import Heard, cancel, eventually, listening

VICTIM = """\
import asyncio, sys
from twin_runtime.adapters.mqtt_bus import MqttBus
from twin_runtime.core.effects import Send

async def run(port, topic, payload, retain):
    will = Send(topic, payload.encode(), retain == "True")
    bus = MqttBus("127.0.0.1", int(port), client_id="victim", filters=[], will=will)
    async for _ in bus.messages():
        print("connected", flush=True)

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


class BrokerRig:
    def __init__(self, broker: Broker) -> None:
        self.broker = broker

    def bus(
        self,
        client_id: str,
        filters: Sequence[str] = (),
        *,
        will: Send | None = None,
        inbox_events_max: int = 65_536,
    ) -> MqttBus:
        return MqttBus(
            self.broker.host,
            self.broker.port,
            client_id=client_id,
            filters=filters,
            will=will,
            inbox_events_max=inbox_events_max,
        )

    async def kill_a_client_with(self, will: Send) -> None:
        arguments = [str(self.broker.port), will.topic, will.payload.decode(), str(will.retain)]
        victim = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", VICTIM, *arguments), stdout=asyncio.subprocess.PIPE
        )
        assert victim.stdout is not None
        assert await victim.stdout.readline() == b"connected\n"
        victim.kill()
        await victim.wait()

    async def kill_broker(self) -> None:
        await self.broker.kill()

    async def restart_broker(self) -> None:
        await self.broker.start()


@asynccontextmanager
async def rig_on(kind: Kind, folder: Path) -> AsyncIterator[BrokerRig]:
    async with start_broker(kind, folder=folder) as broker:
        yield BrokerRig(broker)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_the_mqtt_bus_keeps_the_contract(
    case: Callable[[Rig], Awaitable[None]], kind: Kind, tmp_path: Path
) -> None:
    async def run() -> None:
        async with rig_on(kind, tmp_path) as rig:
            await case(rig)

    asyncio.run(run())


def test_a_broker_that_is_down_is_one_clear_line(
    tmp_path: Path, kind: Kind, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with rig_on(kind, tmp_path) as rig:
            await rig.kill_broker()
            heard = Heard(rig.bus("a"))
            task = asyncio.create_task(heard.listen())
            await asyncio.sleep(0.7)  # three attempts and more
            await cancel(task)

    with caplog.at_level(logging.WARNING):
        asyncio.run(run())
    [record] = caplog.records
    assert "a has no connection to the broker at 127.0.0.1:" in record.getMessage()
    assert "refused" in record.getMessage()
    assert record.exc_info is None


def test_a_refused_subscription_is_no_connection(caplog: pytest.LogCaptureFixture) -> None:
    """Some brokers refuse by a code in the SUBACK: then nothing was granted to rely on."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(2 + 10 + 2 + 1)  # CONNECT of client "a"
        writer.write(b"\x20\x02\x00\x00")
        await reader.readexactly(2 + 2 + 2 + 1 + 1)  # SUBSCRIBE to "t"
        writer.write(b"\x90\x03\x00\x01\x80")
        await reader.read()
        writer.close()

    async def run() -> None:
        async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            heard = Heard(MqttBus("127.0.0.1", port, client_id="a", filters=["t"]))
            task = asyncio.create_task(heard.listen())
            await eventually(lambda: bool(caplog.records))
            await cancel(task)
            assert heard.events == []

    with caplog.at_level(logging.WARNING):
        asyncio.run(run())
    assert "refused the subscription to 't'" in caplog.text


def test_a_connection_lost_while_it_subscribes_is_noticed_at_once() -> None:
    attempts = []

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        attempts.append(1)
        writer.write(b"\x20\x02\x00\x00")
        await reader.readexactly(2 + 10 + 2 + 1)
        writer.close()

    async def run() -> None:
        async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            heard = Heard(MqttBus("127.0.0.1", port, client_id="a", filters=["t"]))
            task = asyncio.create_task(heard.listen())
            await eventually(lambda: len(attempts) >= 3)
            await cancel(task)
            assert heard.events == []

    asyncio.run(asyncio.wait_for(run(), RECONNECT_LAST_S))


def test_a_frozen_broker_does_not_keep_a_bus_from_closing(tmp_path: Path, kind: Kind) -> None:
    async def run() -> None:
        async with rig_on(kind, tmp_path) as rig:
            heard = Heard(rig.bus("a", ["t"]))
            connected = asyncio.create_task(heard.listen())
            await heard.connections_come(1)
            assert rig.broker.pid is not None
            os.kill(rig.broker.pid, signal.SIGSTOP)
            connecting = asyncio.create_task(Heard(rig.bus("b")).listen())
            await asyncio.sleep(0.1)
            await asyncio.wait_for(cancel(connected), 5)
            await asyncio.wait_for(cancel(connecting), 5)
            os.kill(rig.broker.pid, signal.SIGCONT)

    asyncio.run(run())


def test_a_broker_that_does_not_read_costs_drops_and_not_memory() -> None:
    """64 MB at a broker that reads none of it: what is kept is bounded, the rest counted."""

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(15)
        writer.write(b"\x20\x02\x00\x00")
        await ended.wait()
        writer.close()

    async def run() -> None:
        async with await asyncio.start_server(deaf, "127.0.0.1", 0, limit=1024) as server:
            port = server.sockets[0].getsockname()[1]
            bus = MqttBus("127.0.0.1", port, client_id="a", filters=[])
            async with listening(bus):
                await bus.publish([Send("t", bytes(64 * 1024))] * 1_000)
                assert 500 < bus.sends_dropped < 1_000
                ended.set()

    ended = asyncio.Event()
    asyncio.run(run())


def test_a_burst_to_a_slow_reader_is_flushed_when_it_reads_on(tmp_path: Path, kind: Kind) -> None:
    """12 MB at once fill every socket buffer: the rest follows, in order, with nothing lost."""

    async def run() -> None:
        async with rig_on(kind, tmp_path) as rig, listening(rig.bus("a", ["t"])) as a:
            await a.bus.publish([Send("t", b"%05d" % each + bytes(60_000)) for each in range(200)])
            await a.messages_come(200)
            assert [int(each[:5]) for each in a.payloads] == list(range(200))

    asyncio.run(run())


def test_a_message_too_large_is_dropped_and_the_connection_kept() -> None:
    large = b"\x30" + b"\x84\x80\x80\x01" + b"\x00\x01t" + bytes(0x200000 + 4 - 3)

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(15)
        writer.write(b"\x20\x02\x00\x00" + large + b"\x30\x06\x00\x01tend")
        await reader.read()
        writer.close()

    async def run() -> None:
        async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            bus = MqttBus("127.0.0.1", port, client_id="a", filters=[])
            async with listening(bus) as a:
                await a.messages_come(1)
                assert a.events == [Connected(), Message("t", b"end")]
                assert bus.inbox_drops == 1

    asyncio.run(run())


def test_nonsense_from_a_broker_ends_the_connection() -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(15)
        writer.write(b"\x20\x02\x00\x00")
        await asyncio.sleep(0.1)
        writer.write(b"\x30\xff\xff\xff\xff\xff")
        await reader.read()
        writer.close()

    async def run() -> None:
        async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with listening(MqttBus("127.0.0.1", port, client_id="a", filters=[])) as a:
                await a.disconnections_come(1)
                assert a.events[:2] == [Connected(), Disconnected()]

    asyncio.run(run())
