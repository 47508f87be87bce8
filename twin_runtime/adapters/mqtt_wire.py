"""The byte stream under an MQTT client, and the messages taken off it.

paho reads a packet with four system calls and handles it in 12 µs; aiomqtt adds a task.
Most of what a twin system receives needs none of that: a QoS 0 PUBLISH has no state, it
is a topic and a payload. So the client keeps the session (connect, will, subscriptions,
keepalive, goodbye) and a `Wire` between it and the socket does the carrying:

- Reading takes what the socket has, hands all whole QoS 0 PUBLISH packets to `deliver`
  as one list, and gives the client only the packets that remain. To the client it looks
  like a connection on which no message ever arrives.
- Writing puts any number of PUBLISH packets into one buffer and one `send`. Whatever
  the socket does not take stays in the buffer, behind which the client's own packets
  queue too, so that no packet is ever cut in two by another.

The way in is public: both paho and aiomqtt ask the `tls_context` they were given to wrap
their socket, and loop on the `pending()` of what they get. `WireContext` is such a
context, with a `Wire` in the place of TLS. `test_mqtt_wire.py` fails should they ever
stop asking.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Self, cast

from twin_runtime.core.effects import Message, Send

# One read: 300 messages of 200 bytes, handled in half a millisecond, and then the loop
# gets its turn.
READ_BYTES_MAX = 64 * 1024
# The largest packet our brokers let through. A larger PUBLISH is skipped and counted; to
# hang up instead would let one retained message lock a client out for good.
INCOMING_BYTES_MAX = 1024 * 1024
# What may wait for a slow broker: 80,000 reports, several seconds of its full rate.
OUTGOING_BYTES_MAX = 16 * 1024 * 1024
# How soon a full socket is tried again. Loopback drains its buffer in about this time.
FLUSH_RETRY_S = 0.002

_PUBLISH = 0x30
_KIND_AND_QOS = 0xF6  # all of a PUBLISH's first byte but DUP and RETAIN
_LENGTH_BYTES_MAX = 4
_MORE = 0x80  # of a length's bytes, seven bits each: another one follows
_TOPIC_LENGTH_BYTES = 2


class Wire:
    """A connected socket as paho wants to see it. Used from the loop's thread only."""

    __slots__ = ("_deliver", "_loop", "_out", "_partial", "_rest", "_retry", "_skip", "_tcp")

    def __init__(
        self,
        tcp: socket.socket,
        loop: asyncio.AbstractEventLoop,
        deliver: Callable[[list[Message], int], None],
    ) -> None:
        self._tcp = tcp
        self._loop = loop
        self._deliver = deliver
        self._partial = b""  # the beginning of a packet that is not all here
        self._skip = 0  # bytes of a too large packet that are still to come
        self._rest = bytearray()  # whole packets that are the client's business
        self._out = bytearray()
        self._retry: asyncio.TimerHandle | None = None

    def write(self, packets: Sequence[bytes]) -> int:
        """Send `packets` in order; return how many did not fit and were dropped."""
        dropped = 0
        for packet in packets:
            if len(self._out) + len(packet) > OUTGOING_BYTES_MAX:
                self._flush()
            if len(self._out) + len(packet) > OUTGOING_BYTES_MAX:
                dropped += 1
            else:
                self._out += packet
        self._flush()
        return dropped

    def recv(self, size: int) -> bytes:
        if not self._rest and not self._read():
            return b""
        taken = bytes(self._rest[:size])
        del self._rest[:size]
        if not taken:
            raise BlockingIOError
        return taken

    def send(self, data: bytes | bytearray) -> int:
        self._out += data
        self._flush()
        return len(data)

    def pending(self) -> int:
        return len(self._rest)

    def close(self) -> None:
        self._out.clear()
        self._tcp.close()

    def hang_up(self) -> None:
        """End the stream, so that whoever still reads it finds its end and cleans up."""
        try:
            self._tcp.shutdown(socket.SHUT_RDWR)
        except OSError:  # closed or lost already
            return

    def do_handshake(self) -> None:
        """There is no TLS to shake hands about."""

    def fileno(self) -> int:
        return self._tcp.fileno()

    def settimeout(self, timeout_s: float | None) -> None:
        self._tcp.settimeout(timeout_s)

    def setblocking(self, blocking: bool) -> None:  # noqa: FBT001  (as sockets have it)
        self._tcp.setblocking(blocking)

    def _read(self) -> bool:
        """Read once and sort what came; False at the end of the stream."""
        chunk = self._tcp.recv(READ_BYTES_MAX)
        if not chunk:
            return False
        skipped = min(self._skip, len(chunk))
        self._skip -= skipped
        data = self._partial + chunk[skipped:]
        messages: list[Message] = []
        consumed, too_large = sort_packets(data, messages, self._rest)
        self._partial = data[consumed:]
        self._skip += max(consumed - len(data), 0)
        if messages or too_large:
            self._deliver(messages, too_large)
        return True

    def _flush(self) -> None:
        try:
            while self._out:
                del self._out[: self._tcp.send(self._out)]
        except BlockingIOError:
            self._try_again_soon()
        except OSError:  # the reading side finds out as well, and reports it
            self._out.clear()

    def _try_again_soon(self) -> None:
        # Not `add_writer`: the client adds and removes its own for the same descriptor.
        if self._retry is None:
            self._retry = self._loop.call_later(FLUSH_RETRY_S, self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        self._flush()


class WireContext(ssl.SSLContext):
    """A TLS context by type only: `wrap_socket` gives a plain `Wire`, kept as `wire`."""

    wire: Wire | None
    _deliver: Callable[[list[Message], int], None]
    _loop: asyncio.AbstractEventLoop
    _hung_up: bool

    def __new__(cls, deliver: Callable[[list[Message], int], None]) -> Self:
        # This protocol checks host names itself, by its own account; so paho does not.
        context = super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)
        context.wire = None
        context._deliver = deliver
        context._loop = asyncio.get_running_loop()
        context._hung_up = False
        return context

    def wrap_socket(self, sock: socket.socket, *_: object, **__: object) -> ssl.SSLSocket:
        """Called by paho in the thread that connects."""
        if self._hung_up:
            sock.close()
            raise ConnectionAbortedError("closed while it was connecting")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.wire = Wire(sock, self._loop, self._deliver)
        return cast(ssl.SSLSocket, self.wire)

    def hang_up(self) -> None:
        """End the connection, or the attempt at one, wherever it stands."""
        self._hung_up = True
        if self.wire is not None:
            self.wire.hang_up()


def publish_packet(send: Send) -> bytes:
    """Return `send` as a QoS 0 PUBLISH (MQTT 3.1.1, 3.3)."""
    topic = send.topic.encode()
    length = 2 + len(topic) + len(send.payload)
    return b"%c%b%b%b%b" % (
        _PUBLISH | send.retain,
        _length_field(length),
        len(topic).to_bytes(2, "big"),
        topic,
        send.payload,
    )


def sort_packets(data: bytes, messages: list[Message], rest: bytearray) -> tuple[int, int]:
    """Move the whole packets at the front of `data` to `messages` or, if they are not
    QoS 0 PUBLISH packets, to `rest`.

    Returns how many bytes are done with, more than there are when the last packet is to
    be skipped, and how many messages were too large.
    """
    position, too_large = 0, 0
    while position < len(data):
        field = _read_length(data, position + 1)
        if field is None:
            break
        length, body = field
        end = body + length
        if data[position] & _KIND_AND_QOS != _PUBLISH:
            if end > len(data):
                break
            rest += data[position:end]
        elif length > INCOMING_BYTES_MAX:
            too_large += 1
        elif end > len(data):
            break
        else:
            messages.append(_message(data, body, end))
        position = end
    return position, too_large


def _message(data: bytes, body: int, end: int) -> Message:
    topic = body + _TOPIC_LENGTH_BYTES
    topic_end = topic + int.from_bytes(data[body:topic], "big")
    if topic_end > end:
        raise ConnectionError(f"the broker sent a PUBLISH of {end - body} bytes without its topic")
    # A topic that is no UTF-8 cannot be ours; it is refused where topics are parsed.
    return Message(data[topic:topic_end].decode("utf-8", "replace"), data[topic_end:end])


def _read_length(data: bytes, position: int) -> tuple[int, int] | None:
    """Return a packet's remaining length and where its body begins; None: not all here."""
    length = 0
    for index, byte in enumerate(data[position : position + _LENGTH_BYTES_MAX]):
        length |= (byte & ~_MORE) << (7 * index)
        if byte < _MORE:
            return length, position + index + 1
    if len(data) - position >= _LENGTH_BYTES_MAX:
        raise ConnectionError("the broker sent a packet length of more than four bytes")
    return None


def _length_field(length: int) -> bytes:
    field = bytearray()
    while length >= _MORE:
        field.append(length % _MORE | _MORE)
        length >>= 7
    field.append(length)
    return bytes(field)
