"""Messages at the broker's own pace: `python -m benchmarks.runtime.flood SPEC`.

Packets are made beforehand, spread over a few connections by device, and pushed as fast
as the broker takes them; nobody listens to the subscriber. At QoS 1 the broker's
acknowledgements are read and counted, and the flood has ended when it has them all.
"""

import json
import selectors
import socket
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count

from benchmarks.runtime.traffic import floods

CONNECTIONS = 20  # as many publishers as the prototypes were measured with
SLICE_BYTES = 16 * 1024
WAIT_S = 60.0
_PUBACK_BYTES = 4


@dataclass(slots=True)
class _Publisher:
    tcp: socket.socket
    packets: bytearray = field(default_factory=bytearray)
    unacknowledged: int = 0  # in bytes of PUBACK packets
    sent: int = 0

    @property
    def done(self) -> bool:
        return self.sent == len(self.packets) and not self.unacknowledged


class Flood:
    """`messages` as packets at `qos`, on connections that are open."""

    def __init__(
        self, host: str, port: int, messages: Iterable[tuple[str, bytes]], qos: int
    ) -> None:
        self._publishers = [_Publisher(_connected(host, port, n)) for n in range(CONNECTIONS)]
        turns: dict[str, _Publisher] = {}
        for number, (topic, payload) in zip(count(1), messages, strict=False):
            publisher = turns.setdefault(topic, self._publishers[len(turns) % CONNECTIONS])
            publisher.packets += _publish(topic, payload, qos, number)
            publisher.unacknowledged += qos * _PUBACK_BYTES

    def run(self) -> None:
        """Send everything; return when it is sent and, at QoS 1, acknowledged."""
        with selectors.DefaultSelector() as selector:
            for each in self._publishers:
                selector.register(each.tcp, selectors.EVENT_READ | selectors.EVENT_WRITE, each)
            while selector.get_map():
                ready = selector.select(WAIT_S)
                assert ready, f"the broker took nothing for {WAIT_S:g} s"
                for key, events in ready:
                    _turn(key.data, events, selector)

    def close(self) -> None:
        for publisher in self._publishers:
            publisher.tcp.close()


def _turn(publisher: _Publisher, events: int, selector: selectors.BaseSelector) -> None:
    if events & selectors.EVENT_READ:
        received = len(publisher.tcp.recv(SLICE_BYTES))
        assert received, "the broker closed a connection"
        publisher.unacknowledged -= received
    if events & selectors.EVENT_WRITE:
        part = memoryview(publisher.packets)[publisher.sent : publisher.sent + SLICE_BYTES]
        publisher.sent += publisher.tcp.send(part)
        if publisher.sent == len(publisher.packets):
            selector.modify(publisher.tcp, selectors.EVENT_READ, publisher)
    if publisher.done:
        selector.unregister(publisher.tcp)


def _connected(host: str, port: int, number: int) -> socket.socket:
    tcp = socket.create_connection((host, port))
    tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    name = b"flood-%02d" % number
    body = b"\x00\x04MQTT\x04\x02\x00\x00" + len(name).to_bytes(2, "big") + name
    tcp.sendall(b"\x10%c%b" % (len(body), body))
    answer = tcp.recv(4)
    assert answer == b"\x20\x02\x00\x00", f"the broker answered {answer!r} to CONNECT"
    tcp.settimeout(0)
    return tcp


def _publish(topic: str, payload: bytes, qos: int, number: int) -> bytes:
    name = topic.encode()
    identifier = (number % 0xFFFF + 1).to_bytes(2, "big") if qos else b""
    body = len(name).to_bytes(2, "big") + name + identifier + payload
    length = len(body)
    size = b""
    while length > 0x7F:
        size += b"%c" % (length & 0x7F | 0x80)
        length >>= 7
    return b"%c%b%c%b" % (0x30 | qos << 1, size, length, body)


def main() -> None:
    """Make the packets, say so, wait for the word, send, say so."""
    spec = json.loads(sys.argv[1])
    messages = floods(spec["devices"], spec["reports"], spec["session"])
    flood = Flood(spec["host"], spec["port"], messages, spec["qos"])
    print("ready", flush=True)
    sys.stdin.readline()
    flood.run()
    flood.close()
    print("{}", flush=True)


if __name__ == "__main__":
    main()
