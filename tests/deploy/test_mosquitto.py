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
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    folder, port = tmp_path_factory.mktemp("mosquitto"), free_port()
    folder.chmod(0o755)  # Mosquitto is another user soon
    text = (SHIPPED / "diten.conf").read_text()
    text = text.replace("listener 1883", f"listener {port} 127.0.0.1")
    text = text.replace("/etc/mosquitto/diten.acl", str(folder / "diten.acl"))
    (folder / "mosquitto.conf").write_text(f"user root\n{text}")
    shutil.copy(SHIPPED / "diten.acl", folder / "diten.acl")
    process = subprocess.Popen(
        [MOSQUITTO, "-c", folder / "mosquitto.conf"], stderr=subprocess.PIPE, text=True
    )
    try:
        wait_for("the broker", lambda: asyncio.run(answers("127.0.0.1", port)))
        yield port
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
    api, bus = free_port(), f"[bus]\nport = {port}\n"
    http = f"http://127.0.0.1:{api}"
    with ExitStack() as system:
        for module, name, own in (
            ("cloud", "cloud", f"[http]\nport = {api}\n"),
            ("edge_node", "e-1", "[http]\nport = 0\n"),
            ("device_agent", "d-board", "[source]\nperiod_s = 0.2\n"),
        ):
            top = "" if name == "cloud" else f'id = "{name}"\n'
            text = f'{top}data_dir = "{tmp_path / name}"\n{bus}{own}'
            system.enter_context(running(tmp_path, module, name, text))
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
    ],
)
def test_nobody_speaks_or_listens_in_another_s_name(
    port: int, reader: str, topic: str, speaker: str, said: str
) -> None:
    assert not heard(port, reader, topic, speaker, said)
