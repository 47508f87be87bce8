"""What `diten doctor` says of the ports that diten's processes take by default.

Whoever listens there is asked who it is: a broker answers MQTT, and diten's processes say at
`/readyz` whether they are ready. Anybody else stands in the way.
"""

import socket
from http.client import HTTPException

from deploy.doctor_api import asked
from deploy.doctor_finding import Finding

HOST = "127.0.0.1"
MQTT = 1883
PORTS = {MQTT: "MQTT", 8420: "the cloud", 8421: "an edge"}
SAID_S = 1.0  # on its own machine a broker answers in 1 ms
# MQTT 3.1.1: a clean session, 10 s of keepalive, `diten-doctor`.
CONNECT = b"\x10\x18\x00\x04MQTT\x04\x02\x00\x0a\x00\x0cditen-doctor"
CONNACK = b"\x20"  # it may refuse us, and is a broker all the same


def check_ports() -> list[Finding]:
    """Who is where diten's processes would be, and a finding for each that is in the way."""
    taken = [port for port in PORTS if _is_taken(port)]
    strangers = [port for port in taken if not _is_theirs(port)]
    states = {**dict.fromkeys(taken, "in use"), **dict.fromkeys(strangers, "taken")}
    told = [f"{port} ({what}) {states.get(port, 'free')}" for port, what in PORTS.items()]
    return [Finding("ports", ", ".join(told)), *map(_in_the_way, strangers)]


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


def _is_theirs(port: int) -> bool:
    try:
        return _is_broker(port) if port == MQTT else _is_diten(port)
    except (OSError, ValueError, HTTPException):
        return False


def _is_broker(port: int) -> bool:
    with socket.create_connection((HOST, port), SAID_S) as probe:
        probe.settimeout(SAID_S)
        probe.sendall(CONNECT)
        return probe.recv(1) == CONNACK


def _is_diten(port: int) -> bool:
    _, said, _ = asked(f"http://{HOST}:{port}/readyz")
    return said.startswith('{"ready":')


def _in_the_way(port: int) -> Finding:
    find_it = f"`sudo ss -ltnp sport = :{port}` says what it is: end it, or set"
    if port == MQTT:
        costs = "no broker starts there, and whoever connects by default finds none"
        found, do = "taken by something that is no broker", f"{find_it} another `bus.port`"
    else:
        costs = f"{PORTS[port]} whose port is not set ends at its start with code 2"
        found, do = "taken by something that is not diten", f"{find_it} another `http.port`"
    return Finding(f"port {port}", found, "warning", costs, do)
