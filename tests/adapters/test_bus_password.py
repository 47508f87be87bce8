"""A Mosquitto that knows its users by their passwords."""

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydantic import SecretStr

from edge_node.config import EdgeConfig
from twin_runtime.adapters.aiomqtt_session import aiomqtt_session
from twin_runtime.adapters.broker import free_port
from twin_runtime.adapters.config import load_config
from twin_runtime.adapters.gmqtt_session import gmqtt_session
from twin_runtime.adapters.mqtt_session import Subscriber
from twin_runtime.core.errors import InvalidConfiguration, Unavailable

SYSTEM = "/usr/sbin:/usr/local/sbin:/usr/bin:/opt/homebrew/sbin:/opt/homebrew/bin"
MOSQUITTO = shutil.which("mosquitto", path=SYSTEM)
PASSWD = shutil.which("mosquitto_passwd", path=SYSTEM)
STARTED_S = 30.0
POLL_S = 0.05
RIGHT, WRONG = "correct horse", "battery staple"
BODIES = [
    pytest.param(aiomqtt_session, id="aiomqtt"),
    pytest.param(gmqtt_session, id="gmqtt"),
]

Session = Callable[..., AbstractAsyncContextManager[Any]]


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Of a broker that lets in e-1 with its password, and nobody else."""
    if MOSQUITTO is None or PASSWD is None:
        pytest.skip("mosquitto is not installed")
    folder = tmp_path_factory.mktemp("users")
    listens = free_port()
    subprocess.run([PASSWD, "-c", "-b", folder / "users", "e-1", RIGHT], check=True)
    text = f"user root\nlistener {listens} 127.0.0.1\nallow_anonymous false\n"
    (folder / "mosquitto.conf").write_text(f"{text}password_file {folder}/users\n")
    process = subprocess.Popen(
        [MOSQUITTO, "-c", folder / "mosquitto.conf"], stderr=subprocess.DEVNULL
    )
    try:
        deadline_s = time.monotonic() + STARTED_S
        while not is_let_in(aiomqtt_session, listens, RIGHT):
            assert time.monotonic() < deadline_s
            time.sleep(POLL_S)
        yield listens
    finally:
        process.terminate()
        process.wait(STARTED_S)


def connect(body: Session, port: int, password: str | None) -> None:
    async def connect() -> None:
        who = Subscriber("127.0.0.1", port, "e-1", ("t",))
        secret = None if password is None else SecretStr(password)
        async with body(who, print, password=secret):
            pass

    asyncio.run(connect())


def is_let_in(body: Session, port: int, password: str) -> bool:
    try:
        connect(body, port, password)
    except Unavailable:
        return False
    return True


@pytest.mark.parametrize("body", BODIES)
def test_who_knows_its_password_is_let_in(port: int, body: Session) -> None:
    assert is_let_in(body, port, RIGHT)


@pytest.mark.parametrize("password", [None, WRONG])
@pytest.mark.parametrize("body", BODIES)
def test_who_does_not_is_told_where_to_look(port: int, body: Session, password: str | None) -> None:
    with pytest.raises(Unavailable, match=r"(?i)not authori.*: see bus.password") as refused:
        connect(body, port, password)
    assert WRONG not in str(refused.value)


@pytest.mark.parametrize("password, said", [(RIGHT, "connected to"), (WRONG, "see bus.password")])
def test_a_process_keeps_its_password_to_itself(
    port: int, password: str, said: str, tmp_path: Path
) -> None:
    config = tmp_path / "edge.toml"
    text = 'id = "e-1"\ndata_dir = "{}"\n[bus]\nport = {}\n[http]\nport = 0\n'
    config.write_text(text.format(tmp_path / "data", port))
    environ = {**os.environ, "DITEN_EDGE__BUS__PASSWORD": password}
    command = [sys.executable, "-m", "edge_node", "--config", str(config)]
    log = tmp_path / "log"
    with log.open("w") as stderr:
        process = subprocess.Popen(command, env=environ, stderr=stderr)
    try:
        deadline_s = time.monotonic() + STARTED_S
        while said not in log.read_text():
            assert time.monotonic() < deadline_s, log.read_text()
            time.sleep(POLL_S)
        assert password not in " ".join(psutil.Process(process.pid).cmdline())
    finally:
        process.terminate()
        process.wait(STARTED_S)
    assert password not in log.read_text()


def test_a_secret_that_is_refused_is_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "edge.toml"
    path.write_text('id = "e-1"\ndata_dir = "x"\n[http]\ntoken = "swordfish"\n')
    with pytest.raises(InvalidConfiguration, match=r"http\.token is refused: .*16") as refused:
        load_config(EdgeConfig, "edge", path, {}, {})
    assert "swordfish" not in str(refused.value)


def test_a_configuration_does_not_show_its_secrets(tmp_path: Path) -> None:
    environ = {"DITEN_EDGE__BUS__PASSWORD": RIGHT, "DITEN_EDGE__ID": "e-1"}
    environ["DITEN_EDGE__DATA_DIR"] = str(tmp_path)
    config = load_config(EdgeConfig, "edge", None, {}, environ)
    assert RIGHT not in repr(config)
    assert RIGHT not in str(config.model_dump())
