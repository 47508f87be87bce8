"""The broker's configuration: Mosquitto takes it, a system works over it, a stranger does not."""

import asyncio
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from twin_runtime.adapters.aiomqtt_session import aiomqtt_session
from twin_runtime.adapters.broker import answers, free_port
from twin_runtime.adapters.mqtt_session import Subscriber
from twin_runtime.core import limits
from twin_runtime.core.effects import Message, Send

SHIPPED = Path(__file__).parents[2] / "deploy/mosquitto"
MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/opt/homebrew/sbin")
ANSWERED_S = 40.0
POLL_S = 0.1
# What somebody else may say, and who listens may hear.
LAST_FOR_A_DEVICE = ("e-9", "dt/v1/down/d-1/e-9/ack")
LAST_FOR_OTHERS = ("d-9", "dt/v1/status/d-9")


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A Mosquitto with the shipped files; only address and paths are this test's."""
    port = free_port()
    text = (SHIPPED / "diten.conf").read_text()
    with shipped(tmp_path_factory.mktemp("mosquitto"), text, port):
        yield port


@contextmanager
def shipped(folder: Path, text: str, port: int) -> Iterator[None]:
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    folder.chmod(0o755)  # Mosquitto is another user soon
    text = text.replace("listener 1883", f"listener {port} 127.0.0.1")
    text = text.replace("/etc/mosquitto/", f"{folder}/")
    (folder / "mosquitto.conf").write_text(f"user root\n{text}")
    shutil.copy(SHIPPED / "diten.acl", folder / "diten.acl")
    process = subprocess.Popen(
        [MOSQUITTO, "-c", folder / "mosquitto.conf"], stderr=subprocess.PIPE, text=True
    )
    try:
        wait_for("the broker", lambda: asyncio.run(answers("127.0.0.1", port)))
        yield
    finally:
        process.terminate()
        said = process.communicate(timeout=ANSWERED_S)[1]
    assert not re.search(r"error|unknown|duplicate|invalid", said, re.IGNORECASE), said


def wait_for(what: str, holds: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + ANSWERED_S
    while not holds():
        assert time.monotonic() < deadline_s, f"not within {ANSWERED_S:g} s: {what}"
        time.sleep(POLL_S)


@contextmanager
def running(folder: Path, module: str, name: str, text: str) -> Iterator[None]:
    path = folder / f"{name}.toml"
    path.write_text(text)
    process = subprocess.Popen(
        [sys.executable, "-m", module, "--config", path], stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(ANSWERED_S)


def heard(port: int, reader: str, topic: str, speaker: str, said: str) -> bool:
    """Whether `reader`, who asks for `topic`, hears what `speaker` says on `said`; a further
    message, which it may hear, comes after it and ends the wait."""
    third, last = LAST_FOR_A_DEVICE if reader == "d-1" else LAST_FOR_OTHERS
    found: set[str] = set()
    ended = asyncio.Event()

    def deliver(message: Message) -> None:
        found.add(message.topic)
        if message.topic == last:
            ended.set()

    async def say(who: str, where: str) -> None:
        async with aiomqtt_session(Subscriber("127.0.0.1", port, who), deliver) as session:
            session.publish([Send(where, b"x")])

    async def exchange() -> None:
        listens = Subscriber("127.0.0.1", port, reader, (topic, last))
        async with aiomqtt_session(listens, deliver), asyncio.timeout(ANSWERED_S):
            await say(speaker, said)
            await say(third, last)
            await ended.wait()

    asyncio.run(exchange())
    return said in found


def test_its_bounds_are_those_of_the_limits() -> None:
    set_to = dict(
        line.split(maxsplit=1)
        for line in (SHIPPED / "diten.conf").read_text().splitlines()
        if line and not line.startswith("#")
    )
    assert set_to["max_queued_messages"] == str(limits.BROKER_QUEUED_MESSAGES_MAX)
    assert set_to["max_queued_bytes"] == str(limits.BROKER_QUEUED_BYTES_MAX)
    assert set_to["max_inflight_messages"] == str(limits.BROKER_INFLIGHT_MESSAGES_MAX)
    assert set_to["max_packet_size"] == str(limits.BROKER_PACKET_BYTES_MAX)
    assert set_to["set_tcp_nodelay"] == "true"


@pytest.mark.system
def test_a_system_works_over_it(port: int, tmp_path: Path) -> None:
    """Cloud, edge and a device on a board: reports get applied, stable, and seen at the cloud."""
    a_system_works(tmp_path, lambda _: f"[bus]\nport = {port}\n")


@pytest.mark.system
def test_a_system_works_over_its_listener_for_tls(tmp_path: Path) -> None:
    """As the comments of the file say: a certificate's name is the identity."""
    plain, secured = free_port(), free_port()
    issue_certificates(tmp_path, "broker", "cloud", "e-1", "d-board")
    text = (SHIPPED / "diten.conf").read_text()
    commented = re.search(r"(?:^# \w+ .*\n)+(?=\n# --- speed)", text, re.MULTILINE)
    assert commented is not None
    listener = re.sub("^# ", "", commented[0], flags=re.MULTILINE)
    text = text.replace(commented[0], listener.replace("8883", f"{secured} 127.0.0.1"))

    def bus(name: str) -> str:
        own = f"{tmp_path}/{name}"
        files = f'certificate_file = "{own}.crt"\nkey_file = "{own}.key"\n'
        return f'[bus]\nport = {secured}\nca_file = "{tmp_path}/ca.crt"\n{files}'

    with shipped(tmp_path, text, plain):
        a_system_works(tmp_path, bus)


def issue_certificates(folder: Path, *names: str) -> None:
    """By a new authority; each for its name, and for this machine's."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.crt")
    for name in names:
        issued = authority.issue_cert("127.0.0.1", common_name=name)
        issued.private_key_pem.write_to_path(folder / f"{name}.key")
        issued.cert_chain_pems[0].write_to_path(folder / f"{name}.crt")


def a_system_works(folder: Path, bus: Callable[[str], str]) -> None:
    api = free_port()
    http = f"http://127.0.0.1:{api}"
    with ExitStack() as system:
        for module, name, own in (
            ("cloud", "cloud", f"[http]\nport = {api}\n"),
            ("edge_node", "e-1", "[http]\nport = 0\n"),
            ("device_agent", "d-board", "[source]\nperiod_s = 0.2\n"),
        ):
            top = "" if name == "cloud" else f'id = "{name}"\n'
            text = f'{top}data_dir = "{folder / name}"\n{bus(name)}{own}'
            system.enter_context(running(folder, module, name, text))
        wait_for("the twin at the cloud", lambda: revision(http) > 5)
        wait_for("its checkpoints", lambda: stored(http) > 0)


def revision(http: str) -> int:
    try:
        things: list[dict[str, Any]] = httpx.get(f"{http}/api/2/things", timeout=5).json()
    except httpx.TransportError:
        return 0
    return max((thing["_revision"] for thing in things), default=0)


def stored(http: str) -> float:
    text = httpx.get(f"{http}/metrics", timeout=5).text
    found = re.search(r'^diten_checkpoints_total\{outcome="stored"\} (\S+)$', text, re.MULTILINE)
    assert found is not None
    return float(found[1])


@pytest.mark.parametrize(
    "reader, topic, speaker, said",
    [
        ("e-1", "dt/v1/up/e-1/+/+", "d-1", "dt/v1/up/e-1/d-1/report"),
        ("d-1", "dt/v1/down/d-1/+/+", "e-2", "dt/v1/down/d-1/e-2/ack"),
        ("d-1", "dt/v1/assign/d-1", "cloud", "dt/v1/assign/d-1"),
        ("e-2", "dt/v1/order/e-2", "cloud", "dt/v1/order/e-2"),
        ("cloud", "dt/v1/event/+", "e-2", "dt/v1/event/e-2"),
        ("cloud", "dt/v1/twin/+", "e-1", "dt/v1/twin/d-1"),
        ("e-2", "dt/v1/blob/e-2/+/+/+", "e-1", "dt/v1/blob/e-2/e-1/0f/3"),
        ("homeassistant", "homeassistant/#", "e-1", "homeassistant/device/diten_a_d-1/config"),
        ("homeassistant", "dt/v1/twin/+", "e-1", "dt/v1/twin/d-1"),
    ],
)
def test_who_should_hear_hears(port: int, reader: str, topic: str, speaker: str, said: str) -> None:
    assert heard(port, reader, topic, speaker, said)


@pytest.mark.parametrize(
    "reader, topic, speaker, said",
    [
        ("e-1", "dt/v1/up/e-1/+/+", "d-2", "dt/v1/up/e-1/d-1/report"),
        ("e-2", "dt/v1/up/e-1/+/+", "d-1", "dt/v1/up/e-1/d-1/report"),
        ("d-1", "dt/v1/down/d-1/+/+", "e-2", "dt/v1/down/d-1/e-1/ack"),
        ("d-1", "dt/v1/assign/d-1", "e-1", "dt/v1/assign/d-1"),
        ("e-2", "dt/v1/order/e-2", "e-1", "dt/v1/order/e-2"),
        ("cloud", "dt/v1/event/+", "e-1", "dt/v1/event/e-2"),
        ("cloud", "dt/v1/twin/+", "d-1", "dt/v1/twin/d-1"),
        ("e-2", "dt/v1/blob/e-2/+/+/+", "e-1", "dt/v1/blob/e-2/e-9/0f/3"),
        ("homeassistant", "homeassistant/#", "d-1", "homeassistant/device/diten_a_d-1/config"),
    ],
)
def test_nobody_speaks_or_listens_in_another_s_name(
    port: int, reader: str, topic: str, speaker: str, said: str
) -> None:
    assert not heard(port, reader, topic, speaker, said)
