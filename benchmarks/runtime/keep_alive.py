"""A client that costs next to nothing: a few connections, one request at a time on each."""

import selectors
import socket
import time
from contextlib import ExitStack

_READ_BYTES = 64 * 1024
_LENGTH = b"\r\ncontent-length: "


def answers_s(port: int, path: str, connections: int, count: int) -> float:
    """How long `count` GETs of `path` take to be answered, all with 200."""
    ask = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: */*\r\n\r\n".encode()
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        opened = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            for _ in range(connections)
        ]
        for each in opened:
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(each, selectors.EVENT_READ, each)
        began_s = time.monotonic()
        for each in opened:
            each.sendall(ask)
        asked, answered = len(opened), 0
        while answered < count:
            for key, _ in selector.select():
                _take(key.data)
                answered += 1
                if asked < count:
                    key.data.sendall(ask)
                    asked += 1
        return time.monotonic() - began_s


def _take(connection: socket.socket) -> None:
    """Read one answer."""
    answer = connection.recv(_READ_BYTES)
    assert answer.startswith(b"HTTP/1.1 200 "), answer[:200]
    while (head := answer.find(b"\r\n\r\n")) < 0:
        answer += connection.recv(_READ_BYTES)
    at = answer.index(_LENGTH) + len(_LENGTH)
    missing = head + 4 + int(answer[at : answer.index(b"\r", at)]) - len(answer)
    while missing > 0:
        missing -= len(connection.recv(missing))
