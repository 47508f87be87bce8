"""What `diten up` is asked for, and what follows from it before anything runs."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twin_runtime.adapters import broker as brokers
from twin_runtime.adapters import http_server
from twin_runtime.core.errors import InvalidConfiguration

DEVICES_PER_FLEET = 1_000
API_PORT = 8420
PORT_MAX = 65_535


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run. `api_port` 0: 8420 if it is free, else any."""

    data_dir: Path
    broker: str = ""  # '', mosquitto, nats or host:port
    edges: int = 2
    source: str = "host"
    trace: str = "library1"
    speed: float = 1.0
    devices: int = 0
    api_port: int = 0
    duration_s: float | None = None
    links: bool = False  # to the broker over links that can be cut
    mobility: bool = False  # emulated devices walk, and their twins follow


def sources_of(plan: Plan) -> dict[str, dict[str, Any]]:
    """The source of each fleet process, by the process's id."""
    sources: dict[str, dict[str, Any]] = {}
    if plan.source != "none":
        sources["d-fleet"] = {"kind": plan.source, "trace": plan.trace, "speed": plan.speed}
    for first in range(1, plan.devices + 1, DEVICES_PER_FLEET):
        last = min(first + DEVICES_PER_FLEET - 1, plan.devices)
        name = f"d-emulated-fleet-{first // DEVICES_PER_FLEET + 1}"
        sources[name] = {"kind": "emulated", "first": first, "last": last}
        if plan.mobility:
            sources[name] |= {"kind": "walking", "speed": plan.speed}
    return sources


def check_source(source: str, trace: str) -> None:
    """Refuse at once what a fleet would refuse when all else runs."""
    match source.partition(":"):
        case ["host" | "none", "", ""]:
            return
        case ["replay", ":", directory] if not Path(directory).is_dir():
            raise InvalidConfiguration(f"--source {source}: there is no directory {directory!r}")
        case ["replay", ":", directory]:
            readings = Path(directory) / f"{trace}_readings.csv.gz"
            if not readings.is_file():
                raise InvalidConfiguration(f"--trace {trace}: there is no file {readings}")
            return
    raise InvalidConfiguration(f"--source {source}: write host, replay:DIR or none")


def check_mobility(plan: Plan) -> None:
    """Refuse a site where nobody walks or nobody can move."""
    if plan.mobility and plan.devices == 0:
        raise InvalidConfiguration("--mobility --devices 0: nobody would walk; give some devices")
    if plan.mobility and plan.edges == 1:
        raise InvalidConfiguration("--mobility --edges 1: twins need two edges at least to move")


def broker_address(wanted: str) -> tuple[str, int]:
    host, _, port = wanted.rpartition(":")
    if not (host and port.isdecimal() and 0 < int(port) <= PORT_MAX):
        raise InvalidConfiguration(
            f"--broker {wanted}: write mosquitto, nats or HOST:PORT, the port 1 to {PORT_MAX}"
        )
    return host, int(port)


def broker_kind(wanted: str) -> brokers.Kind | None:
    match wanted:
        case "":
            return None
        case "mosquitto":
            return "mosquitto"
        case "nats":
            return "nats"
    raise InvalidConfiguration(f"--broker {wanted}: write HOST:PORT, mosquitto or nats")


def api_port(wanted: int) -> int:
    """The port asked for, or 8420, or any free one if that is taken."""
    if wanted:
        http_server.bind("127.0.0.1", wanted).close()
        return wanted
    return free_ports(API_PORT, 1)[0]


def free_ports(first: int, count: int) -> list[int]:
    """`count` ports that are free now, from `first` on as far as they are."""
    listeners = []
    for wanted in range(first, first + count):
        try:
            listeners.append(http_server.bind("127.0.0.1", wanted if wanted <= PORT_MAX else 0))
        except InvalidConfiguration:
            listeners.append(http_server.bind("127.0.0.1", 0))
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


def write_toml(path: Path, top: dict[str, Any], **tables: dict[str, Any]) -> None:
    """Flat tables of strings, numbers and booleans, which JSON and TOML write alike."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in top.items()]
    for name, table in tables.items():
        lines += [
            "",
            f"[{name}]",
            *(f"{key} = {json.dumps(value)}" for key, value in table.items()),
        ]
    path.write_text("\n".join(lines) + "\n")
