"""What `diten doctor` tries at a broker: is it there, how fast, what it lets through, what it
says of itself.

It speaks as `d-doctor` to an edge that does not exist, `e-doctor`, and to itself on a topic
of its own, so nobody else hears a word. Needs nothing that `deploy/mosquitto/diten.acl` does
not grant.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from ssl import SSLContext
from typing import NamedTuple

from pydantic import SecretStr

from deploy.doctor_finding import Finding
from deploy.doctor_versions import check_mosquitto
from twin_runtime.adapters.aiomqtt_session import aiomqtt_session
from twin_runtime.adapters.bus_tls import tls_context
from twin_runtime.adapters.config import BusConfig
from twin_runtime.adapters.mqtt_session import Session, Subscriber
from twin_runtime.core import topics
from twin_runtime.core.effects import Message, Send
from twin_runtime.core.errors import InvalidConfiguration, Unavailable

DEVICE, EDGE, SELF = "d-doctor", "e-doctor", "diten-doctor"
OTHER = "d-somebody"
OWN_TOPIC = f"{topics.PREFIX}doctor/{SELF}"
END = b"end"
BURST = 2000  # more than the 1,020 that an unconfigured Mosquitto keeps for a slow client
PACKET = bytes(200)  # as long as a report
HEARD_S = 5.0  # for a burst that takes 0.2 s
PATIENCE = 6  # times, while more comes
SLOW_S = 0.05  # a round trip on a site's network takes 2 ms
SYSTEM = "$SYS/broker"
SYSTEM_S = 1.5
KNOWN = {
    "version": f"{SYSTEM}/version",
    "clients": f"{SYSTEM}/clients/connected",
    "retained": f"{SYSTEM}/retained messages/count",
    "dropped": f"{SYSTEM}/publish/messages/dropped",
}


async def check_broker(bus: BusConfig) -> list[Finding]:
    """Try the broker there; the first finding says whether it answers at all."""
    about = f"broker {bus.host}:{bus.port}"
    try:
        broker = _Broker(bus.host, bus.port, tls_context(bus), bus.password)
        findings = [await _round_trip(about, broker), await _burst(broker)]
        if bus.certificate_file is None and bus.password is None:  # else we have but one name
            findings.append(await _rules(broker))
        return [*findings, *await _itself(broker), _secured(bus)]
    except InvalidConfiguration as error:
        return [Finding(about, str(error), "wrong", "nothing was tried", "see deploy/mosquitto")]
    except Unavailable as error:
        costs = "devices keep their reports, and twins stand still"
        do = "start it; see its listener, and the firewall between"
        return [Finding(about, str(error), "wrong", costs, do)]


class _Ear:
    """What one client of the broker hears."""

    def __init__(self) -> None:
        self.heard: list[Message] = []
        self._ended = asyncio.Event()

    def deliver(self, message: Message) -> None:
        self.heard.append(message)
        if message.payload == END:
            self._ended.set()

    async def until_end(self, timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                await self._ended.wait()
        except TimeoutError:
            return False
        return True


class _Broker(NamedTuple):
    """Where it is, and how it is spoken to."""

    host: str
    port: int
    tls: SSLContext | None
    password: SecretStr | None


class _Client(NamedTuple):
    ear: _Ear
    mouth: Session


@asynccontextmanager
async def _client(broker: _Broker, who: str, *filters: str) -> AsyncIterator[_Client]:
    ear, subscriber = _Ear(), Subscriber(broker.host, broker.port, who, filters)
    async with aiomqtt_session(subscriber, ear.deliver, broker.tls, broker.password) as session:
        yield _Client(ear, session)


async def _round_trip(about: str, broker: _Broker) -> Finding:
    began_s = time.perf_counter()
    async with _client(broker, SELF, OWN_TOPIC):
        took_s = time.perf_counter() - began_s
    found = f"connected and subscribed in {took_s * 1000:.0f} ms"
    if took_s < SLOW_S:
        return Finding(about, found)
    costs = "each acknowledgement takes half as long on its way, at the least"
    return Finding(about, found, "warning", costs, "a broker nearer to its edges")


async def _burst(broker: _Broker) -> Finding:
    """So many small packets at once, as after a power cut: do all of them come?"""
    async with _client(broker, SELF, OWN_TOPIC) as (ear, mouth):
        began_s = time.perf_counter()
        mouth.publish([*(Send(OWN_TOPIC, PACKET) for _ in range(BURST)), Send(OWN_TOPIC, END)])
        all_came = await _until_quiet(ear)
        took_s = time.perf_counter() - began_s
    came = len(ear.heard) - all_came
    if came == 0:
        costs = f"its rules do not let {OWN_TOPIC} through, so speed and queues were not tried"
        return Finding("burst", "not heard", "warning", costs, "see deploy/mosquitto/diten.acl")
    found = f"{came:,} of {BURST:,} messages in {took_s:.2f} s"
    if came == BURST:
        return Finding("burst", found)
    costs = "what is dropped is sent again by its devices, which makes the burst longer"
    return Finding("burst", found, "wrong", costs, "raise its queue limits (--mosquitto FILE)")


async def _until_quiet(ear: _Ear) -> bool:
    """Whether the end came. As long as more comes, it is slow, and nothing was dropped yet."""
    for _ in range(PATIENCE):
        heard = len(ear.heard)
        if await ear.until_end(HEARD_S):
            return True
        if len(ear.heard) == heard:
            break
    return False


async def _rules(broker: _Broker) -> Finding:
    """Whether a device is heard under its own name, and not under another's."""
    async with _client(broker, EDGE, f"{topics.PREFIX}up/{EDGE}/+/+") as (ear, _):
        async with _client(broker, DEVICE) as (_, mouth):
            mouth.publish([Send(topics.live(EDGE, OTHER), b"{}")])
            mouth.publish([Send(topics.live(EDGE, DEVICE), END)])
            own = await ear.until_end(HEARD_S)
        foreign = any(message.topic == topics.live(EDGE, OTHER) for message in ear.heard)
    if foreign:
        costs = "whoever reaches the broker may speak for any device and any edge"
        do = "acl_file, see deploy/mosquitto; on a network of its own that may be what you want"
        return Finding("access rules", "none", "warning", costs, do)
    if own:
        return Finding("access rules", "a device speaks in its own name only")
    costs = "devices cannot report to edges"
    do = "compare its rules with deploy/mosquitto/diten.acl"
    return Finding("access rules", "a device is not heard at all", "wrong", costs, do)


def _secured(bus: BusConfig) -> Finding:
    if bus.certificate_file is not None:
        return Finding("TLS", "the broker and we prove our names")
    if bus.password is not None:
        return _passwords(bus)
    if bus.ca_file is not None:
        costs = "whoever reaches it may claim any name"
        do = "certificates for all, and require_certificate (docs/installation.md)"
        return Finding("TLS", "the broker alone proves its name", "warning", costs, do)
    return Finding("TLS", "not spoken (--ca-file): for a network of the site's own")


def _passwords(bus: BusConfig) -> Finding:
    if bus.ca_file is not None:
        return Finding("TLS", "the broker proves its name, and we ours by a password")
    costs = "whoever listens on the way knows the password then"
    do = "a listener with a certificate, and ca_file (docs/installation.md)"
    return Finding("TLS", "not spoken, but a password is", "warning", costs, do)


async def _itself(broker: _Broker) -> list[Finding]:
    async with _client(broker, SELF, f"{SYSTEM}/#") as (ear, _):
        await ear.until_end(SYSTEM_S)
    said = {message.topic: message.payload.decode(errors="replace") for message in ear.heard}
    known = {name: said[topic] for name, topic in KNOWN.items() if topic in said}
    if not known:
        return [Finding("broker itself", "says nothing of itself ($SYS)")]
    return [_drops(known), *check_mosquitto(known.get("version", ""))]


def _drops(known: Mapping[str, str]) -> Finding:
    named = (value if name == "version" else f"{name} {value}" for name, value in known.items())
    found = ", ".join(named)
    if known.get("dropped", "0") == "0":
        return Finding("broker itself", found)
    costs = "messages dropped since its start were sent again by whoever said them"
    do = "raise its queue limits (--mosquitto FILE), or find the client that is slow"
    return Finding("broker itself", found, "warning", costs, do)
