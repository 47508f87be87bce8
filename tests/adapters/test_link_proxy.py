"""The link proxy between real sockets: what it does to bytes, and to connections."""

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from twin_runtime.adapters.link_proxy import Link, LinkProxy
from twin_runtime.core.limits import LINK_CONNECTIONS_MAX
from twin_runtime.testing.listening import eventually

WITHIN_S = 10.0
NOTHING_S = 0.15  # what has not come by then does not come
MESSAGE = b"report 1"
LARGE = random.Random(1).randbytes(4 * 1024 * 1024)  # more than any buffer on the way

Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Wire:
    """A client and what it has reached through the proxy."""

    proxy: LinkProxy
    port: int
    accepted: asyncio.Queue[Pair] = field(default_factory=asyncio.Queue)
    opened: list[asyncio.StreamWriter] = field(default_factory=list)

    async def connect(self) -> tuple[Pair, Pair]:
        """The two ends of a new connection: the client's and the server's."""
        client = await asyncio.open_connection("127.0.0.1", self.port)
        async with asyncio.timeout(WITHIN_S):
            server = await self.accepted.get()
        self.opened += (client[1], server[1])
        return client, server


@asynccontextmanager
async def wired() -> AsyncIterator[Wire]:
    accepted: asyncio.Queue[Pair] = asyncio.Queue()
    server = await asyncio.start_server(
        lambda reader, writer: accepted.put_nowait((reader, writer)), "127.0.0.1"
    )
    proxy = LinkProxy("127.0.0.1", server.sockets[0].getsockname()[1])
    wire = Wire(proxy, await proxy.start(), accepted)
    try:
        yield wire
    finally:
        await proxy.stop()
        server.close()
        for writer in wire.opened:
            writer.close()


def on_a_wire(claim: Callable[[Wire], Awaitable[None]]) -> None:
    """Hold `claim` on a new wire, for a bounded time."""

    async def body() -> None:
        async with asyncio.timeout(6 * WITHIN_S), wired() as wire:
            await claim(wire)

    asyncio.run(body())


async def read(pair: Pair, count: int) -> bytes:
    async with asyncio.timeout(WITHIN_S):
        return await pair[0].readexactly(count)


async def hears_nothing(pair: Pair) -> bool:
    """Whether neither a byte nor the end comes."""
    try:
        async with asyncio.timeout(NOTHING_S):
            await pair[0].read(1)
    except TimeoutError:
        return True
    return False


async def is_reset(pair: Pair) -> bool:
    try:
        async with asyncio.timeout(WITHIN_S):
            await pair[0].read()
    except ConnectionResetError:
        return True
    return False


def test_a_perfect_link_carries_every_byte_in_both_directions() -> None:
    async def claim(wire: Wire) -> None:
        client, server = await wire.connect()
        for source, target in ((client, server), (server, client)):
            source[1].write(LARGE)
            carried = await read(target, len(LARGE))
            assert hashlib.sha256(carried).digest() == hashlib.sha256(LARGE).digest()

    on_a_wire(claim)


def test_a_connection_that_ends_at_one_side_ends_at_the_other() -> None:
    async def claim(wire: Wire) -> None:
        client, server = await wire.connect()
        client[1].write(MESSAGE)
        client[1].close()
        assert await asyncio.wait_for(server[0].read(), WITHIN_S) == MESSAGE
        server[1].close()
        await eventually(lambda: wire.proxy.connections == 0)

    on_a_wire(claim)


def test_latency_delays_each_piece_and_keeps_the_order() -> None:
    async def claim(wire: Wire) -> None:
        client, server = await wire.connect()
        wire.proxy.up = Link(latency_s=0.1, jitter_s=0.1)
        clock = asyncio.get_running_loop().time
        began_s = clock()
        for number in range(50):
            client[1].write(bytes([number]))
            await asyncio.sleep(0.001)
        assert await read(server, 50) == bytes(range(50))
        assert clock() - began_s >= 0.1 + 0.05 / 2
        server[1].write(MESSAGE)
        began_s = clock()
        assert await read(client, len(MESSAGE)) == MESSAGE
        assert clock() - began_s < 0.1, "the other direction is late as well"

    on_a_wire(claim)


def test_jitter_follows_the_seed() -> None:
    async def arrivals(seed: int) -> list[float]:
        """The luck of twenty pieces."""
        proxy = LinkProxy("127.0.0.1", 1, seed=seed)
        return [proxy._up.stamp(b"").luck for _ in range(20)]

    first, again, other = (asyncio.run(arrivals(seed)) for seed in (1, 1, 2))
    assert first == again != other


def test_a_narrow_link_carries_no_more_than_its_bandwidth() -> None:
    async def claim(wire: Wire) -> None:
        client, server = await wire.connect()
        wire.proxy.up = Link(bandwidth_bytes_per_s=200_000)
        began_s = asyncio.get_running_loop().time()
        client[1].write(bytes(60_000))
        await read(server, 60_000)
        assert asyncio.get_running_loop().time() - began_s >= 0.3

    on_a_wire(claim)


def test_bandwidth_is_shared_by_all_connections() -> None:
    async def claim(wire: Wire) -> None:
        pairs = [await wire.connect() for _ in range(3)]
        wire.proxy.up = Link(bandwidth_bytes_per_s=200_000)
        began_s = asyncio.get_running_loop().time()
        for client, _ in pairs:
            client[1].write(bytes(20_000))
        for _, server in pairs:
            await read(server, 20_000)
        assert asyncio.get_running_loop().time() - began_s >= 0.27  # a piece each may overlap

    on_a_wire(claim)


def test_a_held_link_loses_nothing_and_keeps_the_connection() -> None:
    async def claim(wire: Wire) -> None:
        client, server = await wire.connect()
        wire.proxy.up = Link(fate="held")
        client[1].write(MESSAGE)
        assert await hears_nothing(server)
        server[1].write(MESSAGE)
        assert await read(client, len(MESSAGE)) == MESSAGE, "only one direction is held"
        wire.proxy.up = Link()
        assert await read(server, len(MESSAGE)) == MESSAGE

    on_a_wire(claim)


def test_nobody_hears_over_a_held_link_that_a_connection_ended() -> None:
    async def claim(wire: Wire) -> None:
        client, server = await wire.connect()
        wire.proxy.up = Link(fate="held")
        client[1].transport.abort()
        assert await hears_nothing(server)
        wire.proxy.up = Link()
        assert await asyncio.wait_for(server[0].read(), WITHIN_S) == b""

    on_a_wire(claim)


def test_a_link_that_carries_nothing_holds_up_its_sender() -> None:
    async def claim(wire: Wire) -> None:
        client, server = await wire.connect()
        wire.proxy.up = Link(fate="held")
        client[1].write(2 * LARGE)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await client[1].drain()
        wire.proxy.up = Link()
        assert await read(server, 2 * len(LARGE)) == 2 * LARGE

    on_a_wire(claim)


def test_swallowed_bytes_vanish_and_the_connection_stays() -> None:
    async def claim(wire: Wire) -> None:
        client, server = await wire.connect()
        wire.proxy.up = Link(fate="swallowed")
        client[1].write(LARGE)
        await asyncio.wait_for(client[1].drain(), WITHIN_S)
        assert await hears_nothing(server)
        server[1].write(MESSAGE)
        assert await read(client, len(MESSAGE)) == MESSAGE

    on_a_wire(claim)


def test_a_connection_that_lost_bytes_never_goes_on() -> None:
    async def claim(wire: Wire) -> None:
        client, server = await wire.connect()
        other, other_server = await wire.connect()
        wire.proxy.up = Link(fate="swallowed")
        client[1].write(MESSAGE)
        assert await hears_nothing(server)
        wire.proxy.up = Link()
        assert await is_reset(client)
        assert await is_reset(server)
        other[1].write(MESSAGE)
        assert await read(other_server, len(MESSAGE)) == MESSAGE, "it has lost nothing"

    on_a_wire(claim)


def test_a_reset_reaches_both_ends_even_of_a_held_link() -> None:
    async def claim(wire: Wire) -> None:
        client, server = await wire.connect()
        client[1].write(MESSAGE)
        assert await read(server, len(MESSAGE)) == MESSAGE
        wire.proxy.up = wire.proxy.down = Link(fate="held")
        wire.proxy.reset()
        assert await is_reset(client)
        assert await is_reset(server)
        await eventually(lambda: wire.proxy.connections == 0)

    on_a_wire(claim)


def test_a_slow_close_delays_the_end_and_no_byte_before_it() -> None:
    async def claim(wire: Wire) -> None:
        client, server = await wire.connect()
        wire.proxy.up = Link(close_delay_s=0.5)
        clock = asyncio.get_running_loop().time
        began_s = clock()
        client[1].write(MESSAGE)
        client[1].close()
        assert await read(server, len(MESSAGE)) == MESSAGE
        assert clock() - began_s < 0.5
        assert await asyncio.wait_for(server[0].read(), WITHIN_S) == b""
        assert clock() - began_s >= 0.5

    on_a_wire(claim)


def test_small_pieces_arrive_apart_over_a_late_link() -> None:
    async def claim(wire: Wire) -> None:
        client, server = await wire.connect()
        wire.proxy.up = Link(piece_bytes_max=1, bandwidth_bytes_per_s=200)
        client[1].write(MESSAGE)
        pieces: list[bytes] = []
        while len(b"".join(pieces)) < len(MESSAGE):
            pieces.append(await asyncio.wait_for(server[0].read(100), WITHIN_S))
        assert b"".join(pieces) == MESSAGE
        assert len(pieces) > 1

    on_a_wire(claim)


def test_a_link_closes_after_so_many_bytes_and_not_before() -> None:
    async def claim(wire: Wire) -> None:
        client, server = await wire.connect()
        wire.proxy.up = Link(closes_after_bytes=5)
        client[1].write(MESSAGE[:3])
        assert await read(server, 3) == MESSAGE[:3]
        client[1].write(MESSAGE[3:])
        assert await asyncio.wait_for(server[0].read(), WITHIN_S) == MESSAGE[3:5]
        assert await asyncio.wait_for(client[0].read(), WITHIN_S) == b""
        await eventually(lambda: wire.proxy.connections == 0)

    on_a_wire(claim)


def test_a_change_counts_for_what_is_under_way() -> None:
    async def claim(wire: Wire) -> None:
        client, server = await wire.connect()
        wire.proxy.up = Link(latency_s=3_600.0)
        client[1].write(MESSAGE)
        assert await hears_nothing(server)
        wire.proxy.up = Link()
        assert await read(server, len(MESSAGE)) == MESSAGE

    on_a_wire(claim)


def test_a_server_that_is_not_there_is_a_reset() -> None:
    async def body() -> None:
        gone = await asyncio.start_server(lambda *_: None, "127.0.0.1")
        port = gone.sockets[0].getsockname()[1]
        gone.close()
        proxy = LinkProxy("127.0.0.1", port)
        client = await asyncio.open_connection("127.0.0.1", await proxy.start())
        assert await is_reset(client)
        client[1].close()
        await proxy.stop()

    asyncio.run(body())


def test_connections_beyond_the_bound_are_reset() -> None:
    async def claim(wire: Wire) -> None:
        for _ in range(LINK_CONNECTIONS_MAX):
            await wire.connect()
        refused = await asyncio.open_connection("127.0.0.1", wire.port)
        assert await is_reset(refused)
        refused[1].close()
        assert wire.proxy.connections == LINK_CONNECTIONS_MAX

    on_a_wire(claim)


def test_a_proxy_that_stopped_can_start_again_on_its_port() -> None:
    async def claim(wire: Wire) -> None:
        client, _ = await wire.connect()
        await wire.proxy.stop()
        assert await is_reset(client)
        assert await wire.proxy.start(port=wire.port) == wire.port
        await wire.connect()

    on_a_wire(claim)


@pytest.mark.parametrize(
    "wrong", [{"latency_s": -1.0}, {"bandwidth_bytes_per_s": 0.0}, {"piece_bytes_max": 0}]
)
def test_a_link_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(AssertionError):
        Link(**wrong)  # type: ignore[arg-type]
