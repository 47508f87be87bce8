"""The production bus on both brokers, with real sockets, real processes and kill -9."""

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import get_args

import psutil
import pytest

from twin_runtime.adapters import aiomqtt_session as aiomqtt_module
from twin_runtime.adapters import gmqtt_session as gmqtt_module
from twin_runtime.adapters.aiomqtt_session import aiomqtt_session
from twin_runtime.adapters.broker import Broker, Kind, choose, free_port, start_broker
from twin_runtime.adapters.gmqtt_session import gmqtt_session
from twin_runtime.adapters.mqtt_bus import MqttBus
from twin_runtime.adapters.mqtt_session import Connect, Deliver, Session, Subscriber
from twin_runtime.core.effects import Connected, Disconnected, Message, Send
from twin_runtime.core.errors import Unavailable
from twin_runtime.core.limits import BUS_TIMEOUT_S
from twin_runtime.testing.bus_contract import CASES, Rig
from twin_runtime.testing.listening import WAIT_S, Heard, cancel, eventually, listening

VICTIM = """\
import asyncio, sys
from twin_runtime.adapters.{module} import {module} as session
from twin_runtime.adapters.mqtt_bus import MqttBus
from twin_runtime.core.effects import Send

async def run(port, topic, payload, retain):
    will = Send(topic, payload.encode(), retain == "True")
    bus = MqttBus(
        "127.0.0.1", int(port), client_id="victim", filters=[], will=will, session=session
    )
    async for _ in bus.messages():
        print("connected", flush=True)

asyncio.run(run(*sys.argv[1:]))
"""
BODIES: Sequence[Connect] = (aiomqtt_session, gmqtt_session)
# What a broker that misbehaves is made of: it accepts client "a" and hears its filter "t".
CONNECT_BYTES = 2 + 10 + 2 + 1
CONNACK = b"\x20\x02\x00\x00"
SUBSCRIBE_BYTES = 2 + 2 + 2 + 1 + 1
SUBACK = b"\x90\x03\x00\x01\x00"
SUBACK_REFUSED = b"\x90\x03\x00\x01\x80"

Speak = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(params=BODIES, ids=["aiomqtt", "gmqtt"])
def body(request: pytest.FixtureRequest) -> Connect:
    chosen: Connect = request.param
    return chosen


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
    def __init__(self, broker: Broker, body: Connect) -> None:
        self.broker = broker
        self.body = body

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
            session=self.body,
            inbox_events_max=inbox_events_max,
        )

    async def kill_a_client_with(self, will: Send) -> None:
        arguments = [str(self.broker.port), will.topic, will.payload.decode(), str(will.retain)]
        program = VICTIM.format(module=self.body.__module__.rpartition(".")[2])
        victim = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", program, *arguments), stdout=asyncio.subprocess.PIPE
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
async def rig_on(kind: Kind, body: Connect, folder: Path) -> AsyncIterator[BrokerRig]:
    async with start_broker(kind, folder=folder) as broker:
        yield BrokerRig(broker, body)


@asynccontextmanager
async def broker_that(speaks: Speak) -> AsyncIterator[int]:
    """A broker that does only what `speaks` does, and then hangs up; yields its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                await speaks(reader, writer)
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, limit=1024) as server:
        yield server.sockets[0].getsockname()[1]


async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readexactly(CONNECT_BYTES)
    writer.write(CONNACK)


def counted(body: Connect) -> tuple[Connect, list[Subscriber]]:
    """`body`, and each attempt to connect with it."""
    attempts: list[Subscriber] = []

    def connect(subscriber: Subscriber, deliver: Deliver) -> AbstractAsyncContextManager[Session]:
        attempts.append(subscriber)
        return body(subscriber, deliver)

    return connect, attempts


@asynccontextmanager
async def trying(bus: MqttBus) -> AsyncIterator[Heard]:
    """Iterate a bus that need not ever be connected."""
    heard = Heard(bus)
    task = asyncio.create_task(heard.listen(), name="listener")
    try:
        yield heard
    finally:
        await cancel(task)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_the_mqtt_bus_keeps_the_contract(
    case: Callable[[Rig], Awaitable[None]], kind: Kind, body: Connect, tmp_path: Path
) -> None:
    async def run() -> None:
        async with rig_on(kind, body, tmp_path) as rig:
            await case(rig)

    asyncio.run(run())


def test_a_broker_that_is_down_is_one_clear_line(
    body: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        connect, attempts = counted(body)
        bus = MqttBus("127.0.0.1", free_port(), client_id="a", filters=[], session=connect)
        async with trying(bus):
            await eventually(lambda: len(attempts) >= 4)

    with caplog.at_level(logging.WARNING):
        asyncio.run(run())
    [record] = caplog.records
    assert record.getMessage().startswith("no connection to the broker at 127.0.0.1:")
    assert "Connection refused" in record.getMessage()
    assert record.exc_info is None


def test_a_refused_subscription_is_no_connection(
    body: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """Some brokers refuse by a code in the SUBACK: then nothing was granted to rely on."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await accept(reader, writer)
        await reader.readexactly(SUBSCRIBE_BYTES)
        writer.write(SUBACK_REFUSED)
        await reader.read()

    async def run() -> None:
        async with broker_that(refuse) as port:
            bus = MqttBus("127.0.0.1", port, client_id="a", filters=["t"], session=body)
            async with trying(bus) as heard:
                await eventually(lambda: bool(caplog.records))
                assert heard.events == []

    with caplog.at_level(logging.WARNING):
        asyncio.run(run())
    assert "refused the subscription to 't'" in caplog.text


def test_a_refused_client_is_told_why(body: Connect, caplog: pytest.LogCaptureFixture) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(CONNECT_BYTES)
        writer.write(b"\x20\x02\x00\x05")
        await reader.read()

    async def run() -> None:
        async with broker_that(refuse) as port:
            connect, attempts = counted(body)
            bus = MqttBus("127.0.0.1", port, client_id="a", filters=[], session=connect)
            async with trying(bus):
                await eventually(lambda: len(attempts) >= 3)

    with caplog.at_level(logging.WARNING):
        asyncio.run(run())
    [record] = caplog.records
    assert "not authori" in record.getMessage().lower()


def test_a_connection_lost_while_it_connects_is_noticed_at_once(body: Connect) -> None:
    async def hang_up(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readexactly(CONNECT_BYTES)

    async def run() -> None:
        async with broker_that(hang_up) as port:
            connect, attempts = counted(body)
            bus = MqttBus("127.0.0.1", port, client_id="a", filters=["t"], session=connect)
            async with trying(bus) as heard:
                await eventually(lambda: len(attempts) >= 3)
                assert heard.events == []

    asyncio.run(asyncio.wait_for(run(), BUS_TIMEOUT_S))


def test_a_connection_lost_while_it_subscribes_is_noticed_at_once(body: Connect) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await accept(reader, writer)
        await reader.readexactly(SUBSCRIBE_BYTES)

    async def run() -> None:
        async with broker_that(hang_up) as port:
            connect, attempts = counted(body)
            bus = MqttBus("127.0.0.1", port, client_id="a", filters=["t"], session=connect)
            async with trying(bus) as heard:
                await eventually(lambda: len(attempts) >= 3)
                assert heard.events == []

    asyncio.run(asyncio.wait_for(run(), BUS_TIMEOUT_S))


def test_a_silent_broker_is_given_up_and_its_connection_closed(
    body: Connect, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (aiomqtt_module, gmqtt_module):
        monkeypatch.setattr(module, "BUS_TIMEOUT_S", 0.1)
        monkeypatch.setattr(module, "GOODBYE_S", 0.1)
    closed = []

    async def say_nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        while await reader.read(1024):
            pass
        closed.append(True)

    async def run() -> None:
        async with broker_that(say_nothing) as port:
            bus = MqttBus("127.0.0.1", port, client_id="a", filters=[], session=body)
            async with trying(bus) as heard:
                await eventually(lambda: len(closed) >= 3)
                assert heard.events == []

    with caplog.at_level(logging.WARNING):
        asyncio.run(run())
    assert "no answer within 0.1 s" in caplog.text


def test_a_frozen_broker_does_not_keep_a_bus_from_closing(
    tmp_path: Path, kind: Kind, body: Connect
) -> None:
    async def run() -> None:
        async with rig_on(kind, body, tmp_path) as rig:
            heard = Heard(rig.bus("a", ["t"]))
            connected = asyncio.create_task(heard.listen())
            await heard.connections_come(1)
            assert rig.broker.pid is not None
            os.kill(rig.broker.pid, signal.SIGSTOP)
            connecting = asyncio.create_task(Heard(rig.bus("b")).listen())
            await eventually(lambda: connections_to(rig.broker.port) == 2)
            await asyncio.wait_for(cancel(connected), 5)
            await asyncio.wait_for(cancel(connecting), 5)
            os.kill(rig.broker.pid, signal.SIGCONT)

    asyncio.run(run())


def connections_to(port: int) -> int:
    ours = psutil.Process().net_connections()
    return sum(bool(each.raddr) and each.raddr.port == port for each in ours)


def test_a_bus_closed_at_any_moment_leaves_nothing_behind(tmp_path: Path, body: Connect) -> None:
    """Four clients at a time fight over two ids, and are cancelled after 0 to 40 ms."""

    async def run() -> None:
        async with start_broker(folder=tmp_path) as broker:
            rig = BrokerRig(broker, body)
            before = asyncio.all_tasks()
            for wait_ms in range(41):
                fighting = [asyncio.create_task(Heard(rig.bus(who)).listen()) for who in "aabb"]
                await asyncio.sleep(wait_ms / 1_000)
                if wait_ms % 8 == 7:
                    await broker.kill()
                    await broker.start()
                await asyncio.gather(*map(cancel, fighting))
                assert asyncio.all_tasks() <= before, asyncio.all_tasks() - before
            await eventually(lambda: connections_to(broker.port) == 0)

    asyncio.run(run())


def test_a_broker_that_does_not_read_costs_drops_and_not_memory(body: Connect) -> None:
    """64 MB at a broker that reads none of it: what is kept is bounded, the rest counted."""

    async def be_deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await accept(reader, writer)
        await ended.wait()

    async def run() -> None:
        async with broker_that(be_deaf) as port:
            bus = MqttBus("127.0.0.1", port, client_id="a", filters=[], session=body)
            async with listening(bus):
                await bus.publish([Send("t", bytes(64 * 1024))] * 1_000)
                assert 500 < bus.sends_dropped < 1_000
            ended.set()

    ended = asyncio.Event()
    asyncio.run(asyncio.wait_for(run(), BUS_TIMEOUT_S))


def test_a_burst_to_a_slow_reader_is_written_when_it_reads_on(
    tmp_path: Path, kind: Kind, body: Connect
) -> None:
    """12 MB at once fill every socket buffer: the rest follows, in order, with nothing lost."""

    async def run() -> None:
        async with rig_on(kind, body, tmp_path) as rig, listening(rig.bus("a", ["t"])) as a:
            await a.bus.publish([Send("t", b"%05d" % each + bytes(60_000)) for each in range(200)])
            await a.messages_come(200)
            assert [int(each[:5]) for each in a.payloads] == list(range(200))

    asyncio.run(run())


def test_a_process_that_has_few_turns_carries_much_with_each(tmp_path: Path, body: Connect) -> None:
    """As on a machine that is busy with others: a message a turn, and a fleet says no more."""

    async def be_starved() -> None:
        while True:
            time.sleep(0.01)  # noqa: ASYNC251 - others have the CPU
            turns.append(1)
            await asyncio.sleep(0)

    async def run() -> None:
        async with rig_on("mosquitto", body, tmp_path) as rig, listening(rig.bus("a", ["t"])) as a:
            starving = asyncio.create_task(be_starved())
            await a.bus.publish([Send("t", b"%d" % each) for each in range(2_000)])
            await a.messages_come(2_000)
            starving.cancel()
            assert a.payloads == [b"%d" % each for each in range(2_000)]
            assert len(turns) < 100

    turns: list[int] = []
    asyncio.run(run())


def test_what_was_sent_again_meanwhile_is_written_once(body: Connect) -> None:
    """To a broker that reads nothing at first: 8 MB wait, and behind them 100 copies of a word."""

    async def be_slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await accept(reader, writer)
        await said.wait()
        while piece := await reader.read(1024 * 1024):
            heard.append(piece)
            if b"the end" in piece[-64:]:
                ended.set()

    async def run() -> int:
        async with broker_that(be_slow) as port:
            bus = MqttBus("127.0.0.1", port, client_id="a", filters=[], session=body)
            async with listening(bus):
                await bus.publish([Send("t", bytes(16 * 1024))] * 512)
                for _ in range(100):
                    await bus.publish([Send("w", b"the word", again=True)])
                await bus.publish([Send("t", b"the end")])
                said.set()
                await asyncio.wait_for(ended.wait(), WAIT_S)
        return b"".join(heard).count(b"the word")

    said, ended = asyncio.Event(), asyncio.Event()
    heard: list[bytes] = []
    assert asyncio.run(run()) == (1 if body is aiomqtt_session else 100)


def test_what_was_sent_just_before_a_clean_close_arrives(
    tmp_path: Path, kind: Kind, body: Connect
) -> None:
    async def run() -> None:
        async with rig_on(kind, body, tmp_path) as rig, listening(rig.bus("a", ["t"])) as a:
            async with listening(rig.bus("b")) as b:
                await b.bus.publish([Send("t", b"%d" % each) for each in range(1_000)])
            await a.messages_come(1_000)
            assert a.payloads == [b"%d" % each for each in range(1_000)]

    asyncio.run(run())


def test_nonsense_from_a_broker_ends_the_connection(body: Connect) -> None:
    """A PUBLISH of one byte: both libraries stumble over it, and neither may hide that."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await accept(reader, writer)
        await reader.readexactly(SUBSCRIBE_BYTES)
        writer.write(SUBACK)
        await connected.wait()
        writer.write(b"\x30\x01\x00")
        await reader.read()

    async def run() -> None:
        async with broker_that(speak) as port:
            bus = MqttBus("127.0.0.1", port, client_id="a", filters=["t"], session=body)
            async with listening(bus) as a:
                connected.set()
                await a.disconnections_come(1)
                assert a.events[:2] == [Connected(), Disconnected()]

    connected = asyncio.Event()
    asyncio.run(run())


def test_an_error_of_ours_in_taking_a_message_is_not_hidden(
    tmp_path: Path, kind: Kind, body: Connect
) -> None:
    def fail(message: Message) -> None:
        raise KeyError(message.topic)

    async def run() -> str:
        async with start_broker(kind, folder=tmp_path) as broker:
            subscriber = Subscriber(broker.host, broker.port, "a", ("t/x",))
            async with body(subscriber, fail) as session:
                session.publish([Send("t/x", b"")])
                return await asyncio.wait_for(session.until_lost(), WAIT_S)

    assert "t/x" in asyncio.run(run())


def test_a_topic_that_is_no_text_ends_nothing_at_an_edge() -> None:
    """Brokers should refuse it; one that does not must not let one client silence an edge."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await accept(reader, writer)
        writer.write(b"\x30\x04\x00\x01\xffx" + b"\x30\x06\x00\x01tend")
        await reader.read()

    async def run() -> None:
        async with broker_that(speak) as port:
            bus = MqttBus("127.0.0.1", port, client_id="a", filters=[], session=gmqtt_session)
            async with listening(bus) as a:
                await a.messages_come(2)
                assert a.messages == [Message("\ufffd", b"x"), Message("t", b"end")]

    asyncio.run(run())
