"""TLS to a real Mosquitto, whose certificates an authority made for each run signs."""

import asyncio
import gc
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trustme

from twin_runtime.adapters.aiomqtt_session import aiomqtt_session
from twin_runtime.adapters.broker import answers, free_port
from twin_runtime.adapters.bus_tls import tls_context
from twin_runtime.adapters.config import BusConfig, load_config
from twin_runtime.adapters.gmqtt_session import gmqtt_session
from twin_runtime.adapters.mqtt_bus import MqttBus
from twin_runtime.adapters.mqtt_session import Subscriber
from twin_runtime.core.effects import Message, Send
from twin_runtime.core.errors import InvalidConfiguration, Unavailable
from twin_runtime.testing.listening import listening

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/opt/homebrew/sbin")
STARTED_S = 30.0
POLL_S = 0.05
LISTENER = """\
listener {port} 127.0.0.1
cafile {folder}/ca.pem
certfile {folder}/broker.pem
keyfile {folder}/broker.key
"""
BODIES = [
    pytest.param(aiomqtt_session, id="aiomqtt"),
    pytest.param(gmqtt_session, id="gmqtt"),
]

Session = Callable[..., AbstractAsyncContextManager[Any]]


class Brokers(NamedTuple):
    """One Mosquitto's ports: TLS, TLS for those who prove their names, TLS as somebody else,
    and none; and where the certificates lie."""

    folder: Path
    open: int
    proven: int
    renamed: int
    plain: int

    def config(self, port: int, **files: str) -> BusConfig:
        paths = {f"{key}_file": self.folder / name for key, name in files.items()}
        return BusConfig(host="127.0.0.1", port=port, **paths)


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brokers]:
    if MOSQUITTO is None:
        if os.environ.get("CI"):
            raise AssertionError("mosquitto is not installed")
        pytest.skip("mosquitto is not installed")
    found = Brokers(tmp_path_factory.mktemp("tls"), *(free_port() for _ in range(4)))
    with a_mosquitto(found):
        yield found


@contextmanager
def a_mosquitto(brokers: Brokers) -> Iterator[None]:
    issue_certificates(brokers.folder)
    secured = LISTENER.format(port=brokers.open, folder=brokers.folder)
    proven = LISTENER.format(port=brokers.proven, folder=brokers.folder)
    renamed = LISTENER.format(port=brokers.renamed, folder=brokers.folder)
    (brokers.folder / "acl").write_text("pattern readwrite of/%u\npattern readwrite t\n")
    path = brokers.folder / "mosquitto.conf"
    path.write_text(
        f"user root\nper_listener_settings true\n"
        f"listener {brokers.plain} 127.0.0.1\nallow_anonymous true\n"
        f"{secured}allow_anonymous true\n"
        f"{proven}require_certificate true\nuse_identity_as_username true\n"
        f"acl_file {brokers.folder}/acl\n"
        f"{renamed.replace('/broker.', '/other.')}allow_anonymous true\n"
    )
    process = subprocess.Popen([str(MOSQUITTO), "-c", path], stderr=subprocess.DEVNULL)
    try:
        deadline_s = time.monotonic() + STARTED_S
        while not asyncio.run(answers("127.0.0.1", brokers.plain)):
            assert time.monotonic() < deadline_s
            time.sleep(POLL_S)
        yield
    finally:
        process.terminate()
        process.wait(STARTED_S)


def issue_certificates(folder: Path) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    stranger.cert_pem.write_to_path(str(folder / "stranger.pem"))
    issued = {
        "broker": authority.issue_cert("127.0.0.1", "localhost"),
        "other": authority.issue_cert("broker.example"),
        "e-1": authority.issue_cert("e-1", common_name="e-1"),
        "d-1": authority.issue_cert("d-1", common_name="d-1"),
        "e-1-by-stranger": stranger.issue_cert("e-1", common_name="e-1"),
    }
    for name, certificate in issued.items():
        certificate.private_key_pem.write_to_path(str(folder / f"{name}.key"))
        for part in certificate.cert_chain_pems:
            part.write_to_path(str(folder / f"{name}.pem"), append=True)


@pytest.mark.parametrize("body", BODIES)
def test_what_is_said_over_tls_is_heard(brokers: Brokers, body: Session) -> None:
    tls = tls_context(brokers.config(brokers.open, ca="ca.pem"))
    payload = b"x" * 60_000

    async def say() -> None:
        bus = MqttBus(
            *("127.0.0.1", brokers.open),
            client_id="e-1",
            filters=["t"],
            session=partial(body, tls=tls),
        )
        async with listening(bus) as heard:
            await heard.until(lambda: bus.connected)
            await bus.publish([Send("t", payload)] * 20)
            await heard.until(lambda: len(heard.messages) == 20)
            assert set(heard.payloads) == {payload}

    asyncio.run(say())


@pytest.mark.parametrize("body", BODIES)
def test_a_certificate_proves_whose_topics_one_may_use(brokers: Brokers, body: Session) -> None:
    files = {"ca": "ca.pem", "certificate": "e-1.pem", "key": "e-1.key"}
    tls = tls_context(brokers.config(brokers.proven, **files))
    heard: list[Message] = []

    async def say() -> None:
        # Whatever name is claimed, the certificate's counts.
        who = Subscriber("127.0.0.1", brokers.proven, "d-1", ("of/+", "t"))
        last = asyncio.Event()

        def deliver(message: Message) -> None:
            heard.append(message)
            if message.topic == "t":
                last.set()

        async with body(who, deliver, tls) as session, asyncio.timeout(STARTED_S):
            session.publish([Send("of/d-1", b"x"), Send("of/e-1", b"x"), Send("t", b"x")])
            await last.wait()

    asyncio.run(say())
    assert [message.topic for message in heard] == ["of/e-1", "t"]


# paho leaves a socket whose handshake failed to the garbage collector, which complains.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize(
    "port, ca, said",
    [
        ("open", "stranger.pem", "its certificate is not to be trusted .*: see bus.ca_file"),
        ("renamed", "ca.pem", "its certificate is for another name .*: see bus.host"),
        ("plain", "ca.pem", "it hung up: does it speak TLS there"),
    ],
)
def test_who_does_not_prove_to_be_the_broker_is_not_spoken_to(
    brokers: Brokers, body: Session, port: str, ca: str, said: str
) -> None:
    where = getattr(brokers, port)
    with pytest.raises(Unavailable, match=said):
        connect(body, where, brokers.config(where, ca=ca))
    gc.collect()


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize(
    "files", [{}, {"certificate": "e-1-by-stranger.pem", "key": "e-1-by-stranger.key"}]
)
def test_who_lacks_the_certificate_that_a_broker_wants_is_told_at_once_to_look_for_it(
    brokers: Brokers, body: Session, files: dict[str, str]
) -> None:
    """At once: after `BUS_TIMEOUT_S` it would be said that no answer came."""
    said = "the connection was lost: does it want a certificate, .* See bus.certificate_file"
    with pytest.raises(Unavailable, match=said):
        connect(body, brokers.proven, brokers.config(brokers.proven, ca="ca.pem", **files))


def connect(body: Session, port: int, config: BusConfig) -> None:
    async def connect() -> None:
        async with body(Subscriber("127.0.0.1", port, "e-1", ("t",)), print, tls_context(config)):
            pass

    asyncio.run(connect())


@pytest.mark.parametrize(
    "files, said",
    [
        ({"ca": "none.pem"}, r"bus.ca_file = '.*none.pem' is refused: No such file"),
        ({"ca": "broker.key"}, r"bus.ca_file = .*nothing there can be used: PEM is needed"),
        ({"ca": "ca.pem", "certificate": "e-1.pem", "key": "d-1.key"}, "do not belong together"),
        ({"ca": "ca.pem", "certificate": "e-1.pem", "key": "none.key"}, "No such file"),
        ({"ca": "ca.pem", "certificate": "e-1.key", "key": "e-1.key"}, "PEM is needed"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    brokers: Brokers, files: dict[str, str], said: str
) -> None:
    with pytest.raises(InvalidConfiguration, match=said):
        tls_context(brokers.config(brokers.open, **files))


@pytest.mark.parametrize(
    "table, said",
    [
        ('certificate_file = "a"\nkey_file = "b"', "set ca_file, too"),
        ('ca_file = "c"\ncertificate_file = "a"', "set both, or neither"),
    ],
)
def test_settings_that_belong_together_are_missed(tmp_path: Path, table: str, said: str) -> None:
    path = tmp_path / "bus.toml"
    path.write_text(table)
    with pytest.raises(InvalidConfiguration, match=said):
        load_config(BusConfig, "edge", path, {}, {})


def test_without_an_authority_tls_is_not_spoken() -> None:
    assert tls_context(BusConfig()) is None
    assert BusConfig().scheme == "mqtt"
