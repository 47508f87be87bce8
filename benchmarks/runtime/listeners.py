"""Readers of an edge's changes, as many as asked for, in one process: a child of `api`."""

import json
import selectors
import socket
import sys
import time

_ASK = b"GET /api/2/things HTTP/1.1\r\nHost: edge\r\nAccept: text/event-stream\r\n\r\n"
_READ_BYTES = 64 * 1024


def main(port: int, readers: int, measured_s: float) -> None:
    """Connect, say `ready`, wait for the word, and say how many events came in that time."""
    selector = selectors.DefaultSelector()
    for _ in range(readers):
        reader = socket.create_connection(("127.0.0.1", port))
        reader.sendall(_ASK)
        reader.settimeout(0.0)
        selector.register(reader, selectors.EVENT_READ)
    print("ready", flush=True)
    sys.stdin.readline()
    _events(selector, 0.0)  # what came before the word
    print(_events(selector, measured_s), flush=True)


def _events(selector: selectors.BaseSelector, measured_s: float) -> int:
    end_s = time.monotonic() + measured_s
    events = 0
    while (left_s := end_s - time.monotonic()) > 0 or measured_s == 0:
        found = selector.select(max(left_s, 0))
        for key, _ in found:
            reader = key.fileobj
            assert isinstance(reader, socket.socket)
            events += reader.recv(_READ_BYTES).count(b"\ndata: ")
        if measured_s == 0 and not found:
            break
    return events


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
