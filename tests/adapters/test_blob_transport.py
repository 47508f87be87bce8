"""Blobs cross a bad wire whole, resume where they were, and never reach the machine as bytes."""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import pytest

from twin_runtime.adapters.blob_files import BlobFiles
from twin_runtime.adapters.blob_transport import BlobTransport
from twin_runtime.adapters.broker import Broker, choose, free_port
from twin_runtime.adapters.gmqtt_session import gmqtt_session
from twin_runtime.adapters.mqtt_bus import MqttBus
from twin_runtime.core import messages, topics
from twin_runtime.core.chunks import chunk_count, encode_chunk
from twin_runtime.core.effects import (
    BlobComplete,
    BlobFailed,
    Connected,
    Event,
    FetchBlob,
    Message,
    Note,
    Send,
)
from twin_runtime.core.limits import (
    BLOB_FETCHES_WAITING_MAX,
    BLOB_GRACE_S,
    BLOB_SWEEP_PERIOD_S,
    BLOB_WANTS_MAX,
    CHUNK_BYTES_MAX,
)
from twin_runtime.core.messages import BlobRef, Want
from twin_runtime.ports import Bus
from twin_runtime.shell import Offload, in_thread
from twin_runtime.testing.memory_bus import NO_FAULTS, Faults, MemoryBroker, MemoryBus
from twin_runtime.testing.virtual_loop import VirtualLoop

CONTENT = Random(1).randbytes(20 * CHUNK_BYTES_MAX + 77)
NAME = sha256(CONTENT).hexdigest()
CHUNKS = 21


async def inline(work: Callable[[], None]) -> None:
    work()


class Tally:
    """A recorder whose counts can be looked at."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str], int] = {}

    def record(
        self,
        counts: Mapping[tuple[str, str], int],
        observed: Sequence[tuple[str, float]],
        notes: Sequence[Note],
    ) -> None:
        for key, by in counts.items():
            self.counts[key] = self.counts.get(key, 0) + by

    def of(self, metric: str, label: str = "") -> int:
        return self.counts.get((metric, label), 0)


class Corrupting:
    """A bus that now and then flips a bit of a chunk."""

    def __init__(self, bus: Bus, rng: Random, probability: float) -> None:
        self._bus, self._rng, self._probability = bus, rng, probability

    async def publish(self, sends: Sequence[Send]) -> None:
        await self._bus.publish([self._maybe(send) for send in sends])

    def messages(self) -> AsyncGenerator[list[Event], None]:
        return self._bus.messages()

    def _maybe(self, send: Send) -> Send:
        if not send.topic[-1].isdigit() or self._rng.random() >= self._probability:
            return send
        bad = bytearray(send.payload)
        bad[self._rng.randrange(len(bad))] ^= 1 << self._rng.randrange(8)
        return send._replace(payload=bytes(bad))


@dataclass
class Node:
    """Somebody who keeps blobs: what its machine would be told is in `told`."""

    files: BlobFiles
    transport: BlobTransport
    tally: Tally
    told: list[Event]
    heard: list[Event] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    wanted: set[str] = field(default_factory=set)

    def keeps(self, content: bytes = CONTENT) -> str:
        upload = self.files.upload()
        upload.write(content)
        return upload.finish().sha256

    def asks(self, *sources: str, name: str = NAME, size: int = len(CONTENT)) -> None:
        self.transport.fetch(FetchBlob(name, size, sources))

    async def hears_of(self, count: int = 1) -> list[Event]:
        while len(self.told) < count:
            self.news.clear()
            await self.news.wait()
        return self.told

    def has(self, content: bytes = CONTENT) -> bool:
        with self.files.open(sha256(content).hexdigest()) as file:
            return file.read() == content


class World:
    """Nodes by their names, on one bus."""

    def __init__(
        self, folder: Path, bus: Callable[[str, list[str]], Bus], offload: Offload = inline
    ) -> None:
        self._folder = folder
        self._bus = bus
        self._offload = offload

    def node(self, name: str) -> Node:
        files, tally, told = BlobFiles(self._folder / name), Tally(), list[Event]()
        news, wanted = asyncio.Event(), set[str]()

        def tell(events: Sequence[Event]) -> None:
            told.extend(events)
            news.set()

        filters = topics.cloud_filters() if name == "cloud" else topics.edge_filters(name)
        transport = BlobTransport(
            *(self._bus(name, filters), name, files),
            tell=tell,
            wanted=wanted.__contains__,
            recorder=tally,
            offload=self._offload,
        )
        return Node(files, transport, tally, told, news=news, wanted=wanted)

    @asynccontextmanager
    async def running(self, *names: str) -> AsyncGenerator[list[Node], None]:
        """These nodes, connected, until the end of the block: then they are gone, as in a crash."""
        async with AsyncExitStack() as stack:
            yield [await stack.enter_async_context(_running(self.node(name))) for name in names]


@asynccontextmanager
async def _running(node: Node) -> AsyncGenerator[Node, None]:
    async def listen() -> None:
        async for events in node.transport.messages():
            node.heard += events
            node.news.set()

    tasks = [asyncio.create_task(listen()), asyncio.create_task(node.transport.run())]
    try:
        while Connected() not in node.heard:
            node.news.clear()
            await node.news.wait()
        yield node
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with pytest.raises(asyncio.CancelledError):
                await task


@dataclass
class Wire:
    """The bus in memory of a simulated world."""

    broker: MemoryBroker
    corruption: float = 0.0

    def bus(self, name: str, filters: list[str]) -> Bus:
        bus = MemoryBus(self.broker, client_id=name, filters=filters)
        return Corrupting(bus, Random(name), self.corruption)


def simulated(
    folder: Path,
    body: Callable[[World, Wire], Coroutine[Any, Any, None]],
    faults: Faults = NO_FAULTS,
    corruption: float = 0.0,
    seed: int = 0,
) -> None:
    """Run `body` in virtual time."""

    async def main() -> None:
        wire = Wire(MemoryBroker(Random(seed), faults), corruption)
        await body(World(folder, wire.bus), wire)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())


def test_a_blob_comes_whole_and_each_chunk_once(tmp_path: Path) -> None:
    async def body(world: World, wire: Wire) -> None:
        async with world.running("e-1", "e-2") as (source, target):
            source.keeps()
            target.asks("e-1")
            assert await target.hears_of() == [BlobComplete(NAME, len(CONTENT))]
            assert target.has()
            assert source.tally.of("blob_bytes_total", "sent") == len(CONTENT)
            assert target.tally.of("blob_bytes_total", "received") == len(CONTENT)

    simulated(tmp_path, body)


def test_no_byte_of_a_blob_reaches_the_machine_and_all_else_does(tmp_path: Path) -> None:
    async def body(world: World, wire: Wire) -> None:
        async with world.running("e-1", "e-2") as (source, target):
            source.keeps()
            target.asks("e-1")
            await target.hears_of()
            await source.transport.publish([Send(topics.order("e-2"), b"{}")])
            await asyncio.sleep(1)
            assert source.heard == [Connected()]
            assert target.heard == [Connected(), Message(topics.order("e-2"), b"{}")]

    simulated(tmp_path, body)


@pytest.mark.parametrize("seed", range(6))
def test_a_wire_that_loses_doubles_delays_and_corrupts_costs_time_only(
    tmp_path: Path, seed: int
) -> None:
    async def body(world: World, wire: Wire) -> None:
        async with world.running("e-1", "e-2") as (source, target):
            source.keeps()
            asked = 0
            while BlobComplete not in map(type, target.told):
                target.asks("e-1")
                asked += 1
                await target.hears_of(asked)
            assert target.has()
            assert target.tally.of("blob_chunks_refused_total", "crc") > 0
            assert target.tally.of("blob_digests_wrong_total") == 0

    faults = Faults(loss=0.15, duplication=0.2, delay_mean_s=0.2)
    simulated(tmp_path, body, faults, corruption=0.2, seed=seed)


def test_a_restart_in_the_middle_goes_on_with_what_has_come(tmp_path: Path) -> None:
    async def body(world: World, wire: Wire) -> None:
        async with world.running("e-1") as (source,):
            source.keeps()
            async with world.running("e-2") as (target,):
                target.asks("e-1")
                await asyncio.sleep(0.6)
            assert target.told == []
            assert target.tally.of("blob_bytes_total", "received") > len(CONTENT) // 3
            async with world.running("e-2") as (target,):
                target.asks("e-1")
                await target.hears_of()
                assert target.has()
            again = source.tally.of("blob_bytes_total", "sent") - len(CONTENT)
            assert again <= 8 * CHUNK_BYTES_MAX, "a window of each life"

    simulated(tmp_path, body, Faults(delay_mean_s=0.05))


def test_what_is_here_is_complete_at_once_and_costs_nothing(tmp_path: Path) -> None:
    async def body(world: World, wire: Wire) -> None:
        async with world.running("e-1") as (node,):
            node.keeps()
            node.asks("e-9")
            assert node.told == [BlobComplete(NAME, 0)]

    simulated(tmp_path, body)


def test_who_lacks_it_says_so_and_the_next_source_is_asked(tmp_path: Path) -> None:
    async def body(world: World, wire: Wire) -> None:
        async with world.running("e-1", "e-2", "cloud") as (_, target, cloud):
            cloud.keeps()
            target.asks("e-1", "cloud")
            assert await target.hears_of() == [BlobComplete(NAME, len(CONTENT))]
            assert asyncio.get_running_loop().time() < 1.0

    simulated(tmp_path, body)


def test_who_is_away_is_left_after_a_while_and_nobody_left_is_a_failure(tmp_path: Path) -> None:
    async def body(world: World, wire: Wire) -> None:
        async with world.running("e-2", "cloud") as (target, cloud):
            target.asks("e-1")
            target.asks("cloud", name="0" * 64)
            target.asks(name="1" * 64)
            told = await target.hears_of(3)
            reasons = {each.sha256[0]: each.reason for each in told if isinstance(each, BlobFailed)}
            assert reasons == {NAME[0]: "silent", "0": "lacking", "1": "lacking"}
            cloud.keeps()
            target.asks("e-1", "cloud")
            assert (await target.hears_of(4))[3] == BlobComplete(NAME, len(CONTENT))

    simulated(tmp_path, body)


def test_who_was_damaged_finds_out_says_so_and_gets_it_anew(tmp_path: Path) -> None:
    async def body(world: World, wire: Wire) -> None:
        async with world.running("e-1", "e-2", "cloud") as (source, target, cloud):
            source.keeps()
            cloud.keeps()
            (tmp_path / "e-1" / NAME).write_bytes(bytes(len(CONTENT)))
            target.asks("e-1", "cloud")
            await target.hears_of()
            assert target.has()
            assert target.tally.of("blob_digests_wrong_total") == 0
            assert await source.hears_of() == [BlobFailed(NAME, "damaged")]
            assert source.tally.of("blob_failures_total", "damaged") == 1
            source.asks("cloud")
            assert (await source.hears_of(2))[1] == BlobComplete(NAME, len(CONTENT))
            assert source.has()

    simulated(tmp_path, body)


def test_a_source_with_wrong_bytes_is_found_out_and_another_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BlobFiles, "verify", lambda *_: True)  # they turn bad after that

    async def body(world: World, wire: Wire) -> None:
        async with world.running("e-1", "e-2", "cloud") as (source, target, cloud):
            source.keeps()
            (tmp_path / "e-1" / NAME).write_bytes(bytes(len(CONTENT)))
            cloud.keeps()
            target.asks("e-1", "cloud")
            await target.hears_of()
            assert target.has()
            assert target.tally.of("blob_digests_wrong_total") == 1
            other = Random(2).randbytes(100)
            name = source.keeps(other)
            (tmp_path / "e-1" / name).write_bytes(bytes(100))
            target.asks("e-1", name=name, size=100)
            assert (await target.hears_of(2))[1] == BlobFailed(name, "digest")

    simulated(tmp_path, body)


def test_g7_where_blobs_have_no_room_they_fail_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(world: World, wire: Wire) -> None:
        async with world.running("e-1", "e-2") as (source, target):
            source.keeps()
            small = source.keeps(b"small")
            target.files._bytes_max = 1_000
            target.asks("e-1")
            target.asks("e-1", name=small, size=5)
            told = await target.hears_of(2)
            assert sorted(told, key=str) == [BlobComplete(small, 5), BlobFailed(NAME, "full")]
            assert target.tally.of("blob_failures_total", "full") == 1

    simulated(tmp_path, body)


def test_g9_chunks_that_nobody_wanted_are_counted_and_dropped(tmp_path: Path) -> None:
    async def body(world: World, wire: Wire) -> None:
        async with world.running("e-1", "e-2") as (stranger, target):
            chunk = encode_chunk(bytes(CHUNK_BYTES_MAX))
            for verb in ("0", "1", "999999"):
                send = Send(topics.blob("e-2", "e-1", NAME, verb), chunk)
                await stranger.transport.publish([send])
            for payload in (b"", b"[", b'{"v":1,"chunks":[-1]}', b'{"v":1,"chunks":[0,1,2,3,4]}'):
                send = Send(topics.blob("e-2", "e-1", NAME, "want"), payload)
                await stranger.transport.publish([send])
            await stranger.transport.publish([Send(f"dt/v1/blob/e-2/x/{NAME}/0", b"")])
            await asyncio.sleep(1)
            assert target.tally.of("blob_chunks_refused_total", "unwanted") == 3
            assert target.tally.of("blob_chunks_refused_total", "not_json") == 2
            assert target.tally.of("blob_chunks_refused_total", "bad_value") == 2
            assert target.tally.of("blob_chunks_refused_total", "bad_id") == 1
            assert target.heard == [Connected()]

    simulated(tmp_path, body)


def test_g7_more_fetches_than_may_wait_fail_at_once(tmp_path: Path) -> None:
    async def body(world: World, wire: Wire) -> None:
        async with world.running("e-2") as (target,):
            for number in range(BLOB_FETCHES_WAITING_MAX + 1):
                target.asks("e-1", name=f"{number:064x}", size=1)
            assert target.told == [BlobFailed(f"{BLOB_FETCHES_WAITING_MAX:064x}", "busy")]

    simulated(tmp_path, body)


def test_g7_more_windows_than_may_wait_are_dropped(tmp_path: Path) -> None:
    async def body(world: World, wire: Wire) -> None:
        async with world.running("e-1", "e-2") as (asker, target):
            want = messages.encode(Want(chunks=(0,)))
            names = [f"{number:064x}" for number in range(BLOB_WANTS_MAX + 5)]
            wants = [Send(topics.blob("e-2", "e-1", name, "want"), want) for name in names]
            await asker.transport.publish(wants)
            await asyncio.sleep(1)
            assert target.tally.of("blob_wants_dropped_total") == 5

    simulated(tmp_path, body)


def test_what_is_wanted_no_more_is_deleted_after_its_time(tmp_path: Path) -> None:
    async def body(world: World, wire: Wire) -> None:
        async with world.running("e-1") as (node,):
            node.keeps()
            node.wanted.add(node.keeps(b"another"))
            await asyncio.sleep(BLOB_GRACE_S - 1)
            assert len(node.files) == 2
            await asyncio.sleep(3 * BLOB_SWEEP_PERIOD_S)
            assert node.files.size(NAME) is None
            assert node.has(b"another")

    simulated(tmp_path, body)


# --- over a real broker -------------------------------------------------------------------


@pytest.fixture(params=["mosquitto", "nats"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    folder = tmp_path / "broker"
    folder.mkdir()
    broker = Broker(choose(request.param), folder, free_port())
    asyncio.run(broker.start())
    yield broker
    asyncio.run(broker.kill())


@pytest.mark.parametrize("mebibytes", [1, 16])
def test_a_blob_crosses_a_real_broker_with_files_in_threads(
    broker: Broker, tmp_path: Path, mebibytes: int
) -> None:
    content = random.randbytes(mebibytes * 1024 * 1024)

    def bus(name: str, filters: list[str]) -> Bus:
        where = ("127.0.0.1", broker.port)
        return MqttBus(*where, client_id=name, filters=filters, session=gmqtt_session)

    async def main() -> None:
        world = World(tmp_path, bus, in_thread)
        async with asyncio.timeout(60), world.running("e-1", "e-2") as (source, target):
            ref = BlobRef(sha256=source.keeps(content), bytes=len(content))
            target.asks("e-1", name=ref.sha256, size=ref.bytes)
            assert await target.hears_of() == [BlobComplete(ref.sha256, ref.bytes)]
            assert target.has(content)
            assert source.tally.of("blob_bytes_total", "sent") <= ref.bytes + 8 * CHUNK_BYTES_MAX

    asyncio.run(main())
    assert chunk_count(len(content)) == 8 * mebibytes
