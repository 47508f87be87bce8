"""How many reports one edge takes, beside subscribers that do less with the same messages.

The messages are the same bytes for everybody: one report each, of devices with four
features, made beforehand and pushed through a Mosquitto of ours at its own pace. The edge
has taken a message when its device was told that the report is applied, which is after
validation and a synced commit; meanwhile it writes history, publishes twins and sends
checkpoints to a cloud that answers. The peers have taken it when they have received it:

    mosquitto_sub     libmosquitto in C; writes a dot: at QoS 0, as the edge subscribes,
                      and at QoS 1, which is how the bar for it was found
    aiomqtt           at QoS 1; does nothing
    naive pipeline    at QoS 1; pydantic, one SQLite upsert per message, a label per device

All take turns, and each figure is that of the repeat with the median rate.
"""

import asyncio
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.runtime.target import Bar, Flow, Target, middle
from benchmarks.runtime.testbed import POLL_S, WAIT_S, Child, Stopwatch, System, ready, running
from benchmarks.runtime.traffic import EDGE
from twin_runtime.adapters.broker import Broker, start_broker
from twin_runtime.core import topics
from twin_runtime.core.errors import Unavailable

_PROBE = "bench/subscribed"  # retained: who has heard it is subscribed


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is sent. The peers in Python get fewer reports: they are slower, and have
    no start-up to amortise."""

    repeats: int = 3
    devices: int = 1_000
    reports: int = 50
    peer_reports: int = 10


@dataclass(frozen=True, slots=True)
class _Runs:
    edge: list[Flow] = field(default_factory=list)
    listener: list[Flow] = field(default_factory=list)
    acknowledging: list[Flow] = field(default_factory=list)
    receiver: list[Flow] = field(default_factory=list)
    naive: list[Flow] = field(default_factory=list)


async def run(folder: Path, scale: Scale) -> list[Target]:
    """Measure, with scratch files in `folder`.

    Raises:
        Unavailable: Mosquitto or its clients are not installed.
    """
    if shutil.which("mosquitto_sub") is None:
        raise Unavailable(
            "no mosquitto_sub was found: install it ('apt install mosquitto-clients')"
        )
    runs = _Runs()
    for name in ("system", "listeners", "peers"):
        (folder / name).mkdir()
    # Each has a broker of its own: on the edge's, it would hear what is for the others, and
    # for a peer that is away its broker keeps what it might have heard.
    async with (
        running(folder / "system") as system,
        start_broker("mosquitto", folder=folder / "listeners") as listeners,
        start_broker("mosquitto", folder=folder / "peers") as broker,
    ):
        for repeat in range(scale.repeats):
            runs.listener.append(await _listener(listeners, scale, folder / "heard", qos=0))
            runs.edge.append(await _edge(system, scale, session=repeat + 1))
            runs.acknowledging.append(await _listener(listeners, scale, folder / "heard", qos=1))
            runs.receiver.append(await _peer(broker, scale, store=None))
            runs.naive.append(await _peer(broker, scale, store=folder / f"{repeat}.sqlite"))
    return _targets(runs)


def _targets(runs: _Runs) -> list[Target]:
    edge = middle(runs.edge)

    def against(peer: str, flows: list[Flow], bar: float) -> Target:
        flow = middle(flows)
        figures = f"edge {edge}; {peer} {flow}"
        return Target(f"ingest/{peer}", edge.rate / flow.rate, "ratio", Bar(">=", bar), figures)

    return [
        against("mosquitto_sub", runs.listener, 0.7),
        against("mosquitto_sub at QoS 1", runs.acknowledging, 0.7),
        against("aiomqtt", runs.receiver, 3.0),
        against("naive", runs.naive, 5.0),
    ]


async def _edge(system: System, scale: Scale, session: int) -> Flow:
    spec = {
        **system.bus,
        "devices": scale.devices,
        "reports": scale.reports,
        "session": session,
        "way": "flood",
    }
    async with ready("load", spec) as load:
        watch = Stopwatch(system.edge.child)
        load.go()
        await load.line()
        return watch.flow(scale.devices * scale.reports)


async def _listener(broker: Broker, scale: Scale, heard: Path, qos: int) -> Flow:
    bus = ["-h", broker.host, "-p", str(broker.port)]
    await asyncio.to_thread(_call, ["mosquitto_pub", *bus, "-t", _PROBE, "-m", "?", "-r"])
    child = _listening(bus, scale.devices * scale.reports, heard, qos)
    try:
        await _until_heard(heard)
        return await _flooded(child, _flood(broker, scale.devices, scale.reports, qos))
    finally:
        await child.stop()


def _listening(bus: list[str], count: int, heard: Path, qos: int) -> Child:
    """A `mosquitto_sub` that ends after the probe and `count` messages."""
    command = ["mosquitto_sub", *bus, "-q", str(qos), "-C", str(count + 1), "-F", "."]
    for each in (topics.edge_filters(EDGE)[0], _PROBE):
        command += ["-t", each]
    with heard.open("wb") as dots:
        return Child(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=dots))


async def _until_heard(heard: Path) -> None:
    async with asyncio.timeout(WAIT_S):
        while True:
            if (await asyncio.to_thread(heard.stat)).st_size:
                return
            await asyncio.sleep(POLL_S)


async def _peer(broker: Broker, scale: Scale, store: Path | None) -> Flow:
    """The aiomqtt receiver or, with a store, the naive pipeline."""
    count = scale.devices * scale.peer_reports
    spec = {
        "host": broker.host,
        "port": broker.port,
        "store": str(store or ""),
        "count": count,
    }
    async with ready("peers", spec) as peer:
        return await _flooded(peer, _flood(broker, scale.devices, scale.peer_reports, qos=1))


async def _flooded(subscriber: Child, flood: Mapping[str, Any]) -> Flow:
    """What it takes the subscriber to receive all of it and end."""
    async with ready("flood", flood) as load:
        watch = Stopwatch(subscriber)
        load.go()
        await subscriber.ended()
        return watch.flow(flood["devices"] * flood["reports"])


def _flood(broker: Broker, devices: int, reports: int, qos: int) -> dict[str, Any]:
    return {
        "host": broker.host,
        "port": broker.port,
        "devices": devices,
        "reports": reports,
        "session": 1,
        "qos": qos,
    }


def _call(command: list[str]) -> None:
    subprocess.run(command, check=True, timeout=WAIT_S)
