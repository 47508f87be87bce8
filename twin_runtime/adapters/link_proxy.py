"""A TCP link that is as bad as it is told to be, and told so while it is in use.

It listens in front of a server and passes on what connections carry. `up` (towards the
server) and `down` (towards whoever connected) say what happens in that direction, to open
connections as to new ones:

    delivered    pieces arrive, as late, as slowly and as small as the link says
    held         nothing arrives, and nothing is lost: a pulled cable. The sender's TCP
                 keeps repeating, so that all of it arrives once the link delivers again
    swallowed    bytes vanish though connections stay: a firewall that drops them

A TCP stream never goes on without some of its bytes, so a connection that has lost any is
reset as soon as the link delivers again. How a connection ends is a message as well: it
comes late over a late link, and not at all over a held one.

Each direction of a connection is a reader, a short line of pieces, and a writer that lets
the oldest piece wait for its time, by the link as it is *now*: a change counts for what is
under way, and nothing overtakes. While the line is full nothing is read, so a slow link is
felt by its sender and holds a bounded amount of memory.
"""

import asyncio
import math
import random
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from twin_runtime.core.limits import (
    BUS_TIMEOUT_S,
    LINK_CONNECTIONS_MAX,
    LINK_PIECE_BYTES_MAX,
    LINK_PIECE_S_MAX,
    LINK_PIECES_MAX,
)

Fate = Literal["delivered", "held", "swallowed"]
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # linger, for no time at all


@dataclass(frozen=True, slots=True)
class Link:
    """One direction; by default a perfect one.

    `jitter_s` is the most that comes on top of `latency_s`, drawn anew for each piece. The
    bandwidth is shared by all connections, `closes_after_bytes` is counted for each.
    """

    fate: Fate = "delivered"
    latency_s: float = 0.0
    jitter_s: float = 0.0
    bandwidth_bytes_per_s: float = math.inf
    piece_bytes_max: int = LINK_PIECE_BYTES_MAX
    close_delay_s: float = 0.0
    closes_after_bytes: float = math.inf

    def __post_init__(self) -> None:
        assert min(self.latency_s, self.jitter_s, self.close_delay_s) >= 0, f"{self}: no past"
        assert min(self.bandwidth_bytes_per_s, self.closes_after_bytes) > 0, f"{self}: use 'held'"
        assert 1 <= self.piece_bytes_max <= LINK_PIECE_BYTES_MAX, f"{self}: piece_bytes_max"

    def piece_bytes(self) -> int:
        """How much is passed on at a time: little enough to come evenly over a slow link."""
        even = self.bandwidth_bytes_per_s * LINK_PIECE_S_MAX
        return max(1, int(min(self.piece_bytes_max, even)))


class LinkProxy:
    """A listener whose connections lead to a server over a link in each direction."""

    def __init__(self, upstream_host: str, upstream_port: int, *, seed: int = 0) -> None:
        self._upstream = (upstream_host, upstream_port)
        rng = random.Random(seed)
        self._up, self._down = _Direction(rng), _Direction(rng)
        self._connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None

    @property
    def up(self) -> Link:
        return self._up.link

    @up.setter
    def up(self, link: Link) -> None:
        self._change(self._up, link)

    @property
    def down(self) -> Link:
        return self._down.link

    @down.setter
    def down(self, link: Link) -> None:
        self._change(self._down, link)

    @property
    def connections(self) -> int:
        """How many are open, those included whose end is still under way."""
        return len(self._connections)

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen; return the port, which for 0 is any free one.

        Raises:
            OSError: nobody can listen there.
        """
        assert self._server is None, "it listens already"
        self._server = await asyncio.start_server(
            self._accept, host, port, limit=LINK_PIECE_BYTES_MAX
        )
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def stop(self) -> None:
        """Listen no more, and reset what is open."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.reset()
        while self._connections:
            await asyncio.wait([connection.task for connection in self._connections])

    def reset(self) -> None:
        """Reset all open connections, at both ends and over whatever link."""
        for connection in self._connections:
            connection.reset()

    def _change(self, direction: "_Direction", link: Link) -> None:
        delivers_again = direction.link.fate == "swallowed" != link.fate
        direction.change(link)
        for connection in self._connections:
            if delivers_again and connection.has_lost(direction):
                connection.reset()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= LINK_CONNECTIONS_MAX:
            _reset(writer)
            return
        connection = _Connection(reader, writer, self._upstream, (self._up, self._down))
        self._connections.add(connection)
        connection.task.add_done_callback(lambda _: self._connections.discard(connection))


class _Connection:
    """Two pipes, once the server has accepted it too."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        upstream: tuple[str, int],
        directions: tuple["_Direction", "_Direction"],
    ) -> None:
        self._reader = reader
        self._writers = [writer]
        self._pipes: list[_Pipe] = []
        self._directions = directions
        self.task = asyncio.create_task(self._carry(*upstream), name="link")

    def has_lost(self, direction: "_Direction") -> bool:
        return any(pipe.has_lost for pipe in self._pipes if pipe.direction is direction)

    def reset(self) -> None:
        for writer in self._writers:
            _reset(writer)
        self.task.cancel()

    async def _carry(self, host: str, port: int) -> None:
        """Connect, and pass on in both directions to the end of both."""
        try:
            await self._connect(host, port)
            async with asyncio.TaskGroup() as group:
                for pipe in self._pipes:
                    group.create_task(pipe.read(), name="link reader")
                    group.create_task(pipe.write(), name="link writer")
        except* _Closed:
            pass
        except* OSError:
            self.reset()  # a host without a server resets, too
        finally:
            for writer in self._writers:
                writer.close()

    async def _connect(self, host: str, port: int) -> None:
        async with asyncio.timeout(BUS_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(host, port, limit=LINK_PIECE_BYTES_MAX)
        up, down = self._directions
        self._pipes = [_Pipe(up, self._reader, writer), _Pipe(down, reader, self._writers[0])]
        self._writers.append(writer)


class _Closed(Exception):
    """The link lets no more of a connection through."""


class _Piece(NamedTuple):
    """Bytes as they were read, at `read_s`; none: the end."""

    content: bytes
    read_s: float
    luck: float  # of its jitter: 0 to 1


class _Direction:
    """What all connections share in one direction."""

    def __init__(self, rng: random.Random) -> None:
        self.link = Link()
        self._rng = rng
        self._changed = asyncio.Event()
        self._free_s = 0.0  # when the bandwidth has no more to carry

    def change(self, link: Link) -> None:
        self.link = link
        self._changed.set()
        self._changed = asyncio.Event()

    def stamp(self, content: bytes) -> _Piece:
        return _Piece(content, asyncio.get_running_loop().time(), self._rng.random())

    async def until_due(self, piece: _Piece) -> None:
        """Return when the piece is to be passed on, or its loss is certain."""
        clock = asyncio.get_running_loop().time
        while (wait_s := self._due_s(piece) - clock()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(None if wait_s == math.inf else wait_s):
                    await self._changed.wait()
        self._free_s = self._carried_s(piece)

    def _due_s(self, piece: _Piece) -> float:
        link = self.link
        if link.fate != "delivered":
            return math.inf if link.fate == "held" else -math.inf
        closing_s = 0.0 if piece.content else link.close_delay_s
        late_s = link.latency_s + piece.luck * link.jitter_s + closing_s
        return self._carried_s(piece) + late_s

    def _carried_s(self, piece: _Piece) -> float:
        begins_s = max(piece.read_s, self._free_s)
        return begins_s + len(piece.content) / self.link.bandwidth_bytes_per_s


@dataclass(slots=True)
class _Pipe:
    """One direction of one connection."""

    direction: _Direction
    source: asyncio.StreamReader
    target: asyncio.StreamWriter
    line: asyncio.Queue[_Piece] = field(default_factory=lambda: asyncio.Queue(LINK_PIECES_MAX))
    passed_bytes: int = 0
    has_lost: bool = False
    is_broken: bool = False  # the target is gone; it says so itself, in the other direction

    async def read(self) -> None:
        """Take in what comes, to its end; an end by a reset is an end like any other."""
        content = b"once"
        while content:
            try:
                content = await self.source.read(self.direction.link.piece_bytes())
            except OSError:
                content = b""
            await self.line.put(self.direction.stamp(content))

    async def write(self) -> None:
        """Pass on what was taken in, to its end.

        Raises:
            _Closed: the link lets no more of this connection through.
        """
        content = b"once"
        while content:
            piece = await self.line.get()
            await self.direction.until_due(piece)
            content = piece.content
            if self.direction.link.fate == "swallowed":
                self.has_lost = True
            elif not self.is_broken:
                await self._pass_on(content)

    async def _pass_on(self, content: bytes) -> None:
        left_bytes = self.direction.link.closes_after_bytes - self.passed_bytes
        if len(content) >= left_bytes:
            self.target.write(content[: max(int(left_bytes), 0)])
            raise _Closed
        self.passed_bytes += len(content)
        try:
            if content:
                self.target.write(content)
                await self.target.drain()
            else:
                self.target.write_eof()
        except OSError:
            self.is_broken = True


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection as a host does that knows nothing of it."""
    with suppress(OSError):  # it is closed already
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()
