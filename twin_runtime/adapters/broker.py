"""A broker of our own: a child process on loopback that lives no longer than we do.

The broker is a wire. No promise rests on what it remembers, so it is made to remember
nothing: Mosquitto runs without persistence, and the embedded NATS server gets an empty
store at every start (one it had to recover would answer its first subscribers with a
part of the retained topics). Whoever publishes a level repeats it on connecting, so a
broker that was killed is as good as new once it runs again.

A broker counts as started when a client has connected to it and been answered, not when
its port is open. It dies with its parent (`child.py`). To the kernel that is the thread
that started it: start brokers from one that lives on.

What a broker has to say comes through a pipe and is kept in a file of bounded size, by a
thread that ends with the broker.
"""

import asyncio
import os
import random
import re
import shutil
import socket
import subprocess
import sysconfig
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from twin_runtime.adapters.aiomqtt_session import aiomqtt_session
from twin_runtime.adapters.child import leashed
from twin_runtime.adapters.log_file import append
from twin_runtime.adapters.mqtt_session import Subscriber
from twin_runtime.core.effects import Message
from twin_runtime.core.errors import Unavailable
from twin_runtime.core.limits import (
    BROKER_INFLIGHT_MESSAGES_MAX,
    BROKER_LAST_WORDS_BYTES_MAX,
    BROKER_LOG_BYTES_MAX,
    BROKER_PACKET_BYTES_MAX,
    BROKER_QUEUED_BYTES_MAX,
    BROKER_QUEUED_MESSAGES_MAX,
    BROKER_READY_RETRY_S,
    BUS_TIMEOUT_S,
    PORT_ATTEMPTS_MAX,
)

Kind = Literal["mosquitto", "nats"]

HOST = "127.0.0.1"
# Below what systems give to outgoing connections: from 32,768 (Linux) or 49,152.
PORTS = range(20_000, 32_000)
PROBE_ID = "diten-probe"
_PREFERRED: tuple[tuple[Kind, str], ...] = (
    ("mosquitto", "found on this machine"),
    ("nats", "no Mosquitto was found"),
)
_SYSTEM_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")
_HOW_TO_INSTALL = (
    "no MQTT broker was found: install Mosquitto ('apt install mosquitto'), "
    "or the embedded one ('pip install diten[broker]'), or name a running one (host:port)"
)


@dataclass(frozen=True, slots=True)
class Choice:
    """Which broker would run, and why this one."""

    kind: Kind
    binary: Path
    name: str  # 'mosquitto 2.0.11'
    why: str


class Broker:
    """A broker that runs as our child. `port` stays the same over a restart."""

    def __init__(self, choice: Choice, folder: Path, port: int) -> None:
        self.host = HOST
        self.port = port
        self.name = choice.name
        self._choice = choice
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._words: _Words | None = None

    @property
    def pid(self) -> int | None:
        """The process id, None while it is not running."""
        running = self._process is not None and self._process.poll() is None
        return self._process.pid if self._process and running else None

    @property
    def config(self) -> Path:
        """Its configuration, an argument of its command line."""
        return _config_path(self._choice.kind, self._folder)

    async def start(self) -> None:
        """Start it (again), on its port, with nothing remembered; return when it answers.

        Raises:
            Unavailable: the port is taken, or it ended, or it did not answer in time.
        """
        assert self.pid is None, f"{self.name} is already running as {self.pid}"
        _check_free(self.port)
        command = [
            str(self._choice.binary),
            *_configure(self._choice.kind, self._folder, self.port),
        ]
        self._process = _spawn(command)
        self._words = _Words(self._process.stdout, self._folder / "broker.log")
        try:
            async with asyncio.timeout(BUS_TIMEOUT_S):
                await self._answered(self._process)
        except TimeoutError:
            raise self._failed(f"did not answer within {BUS_TIMEOUT_S:g} s") from None

    async def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._words is not None:
            self._words.end()

    async def stop(self) -> None:
        """Ask it to end, and see to it that it does."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            await asyncio.to_thread(self._process.wait, BUS_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return
        finally:
            await self.kill()

    async def _answered(self, process: subprocess.Popen[bytes]) -> None:
        while not await answers(self.host, self.port):  # bounded by `start`
            if process.poll() is not None:
                await self.kill()  # and hear it out
                raise self._failed(f"ended at once with status {process.returncode}")
            await asyncio.sleep(BROKER_READY_RETRY_S)

    def _failed(self, what: str) -> Unavailable:
        said = self._words.last() if self._words is not None else ""
        return Unavailable(f"{self.name} on port {self.port} {what}; it said: {said or 'nothing'}")


class _Words:
    """What a broker says: on disk, and the last of it in memory."""

    def __init__(self, pipe: IO[bytes] | None, path: Path) -> None:
        assert pipe is not None, "its output is a pipe"
        self._pipe = pipe
        self._path = path
        self._last = b""
        self._keeping = threading.Thread(target=self._keep, name="broker log", daemon=True)
        self._keeping.start()

    def end(self) -> None:
        """Wait for the rest; the broker has ended."""
        self._keeping.join(BUS_TIMEOUT_S)

    def last(self) -> str:
        return self._last.decode(errors="replace").strip()

    def _keep(self) -> None:
        with self._pipe:
            while said := self._pipe.read(BROKER_LAST_WORDS_BYTES_MAX):
                self._last = (self._last + said)[-BROKER_LAST_WORDS_BYTES_MAX:]
                append(self._path, said, BROKER_LOG_BYTES_MAX)


@asynccontextmanager
async def start_broker(
    kind: Kind | None = None, *, folder: Path, port: int = 0
) -> AsyncIterator[Broker]:
    """Run a broker on loopback; its files lie in `folder`. Port 0 means any free one.

    Raises:
        Unavailable: there is none to run, or it does not come up.
    """
    broker = Broker(choose(kind), folder, port or free_port())
    try:
        await broker.start()
        yield broker
    finally:
        await broker.stop()


def choose(kind: Kind | None = None) -> Choice:
    """Say which broker would run: Mosquitto where there is one, else the embedded NATS
    server, or the `kind` asked for.

    Raises:
        Unavailable: there is none; the message says what to install.
    """
    for candidate, why in _PREFERRED:
        binary = _find(candidate) if kind in (None, candidate) else None
        if binary is not None:
            return _choice(candidate, binary, "asked for" if kind else why)
    raise Unavailable(f"{kind} is asked for, but {_HOW_TO_INSTALL}" if kind else _HOW_TO_INSTALL)


async def check_broker(host: str, port: int) -> None:
    """Return if an MQTT broker lets us in there (one that is not ours to run).

    Raises:
        Unavailable: none does; the message says where, and why not.
    """
    try:
        await _let_in(host, port)
    except Unavailable as why:
        raise Unavailable(
            f"no MQTT broker lets us in at {host}:{port} ({why}): start it, or name another"
            " (host:port)"
        ) from None


async def answers(host: str, port: int) -> bool:
    """Whether an MQTT broker accepts a client there, within `BUS_TIMEOUT_S`."""
    try:
        await _let_in(host, port)
    except Unavailable:
        return False
    return True


async def _let_in(host: str, port: int) -> None:
    async with aiomqtt_session(Subscriber(host, port, PROBE_ID), _ignore):
        pass


def _ignore(_: Message) -> None:
    """The probe subscribes to nothing."""


def _configure(kind: Kind, folder: Path, port: int) -> list[str]:
    """Write the configuration; return the arguments that name it."""
    text = _MOSQUITTO if kind == "mosquitto" else _NATS
    store = folder / "broker-store"
    shutil.rmtree(store, ignore_errors=True)
    path = _config_path(kind, folder)
    path.write_text(text.format(port=port, store=store))
    return ["-c", str(path)]


def _config_path(kind: Kind, folder: Path) -> Path:
    return folder / f"{kind}.conf"


# `set_tcp_nodelay`: 2,000 retained publishes took 1.8 s without it and 0.12 s with it.
# `user`: a Mosquitto started by root would become another user, and a process that
# changes its user is no longer killed with its parent; started by others it ignores this.
_MOSQUITTO = f"""\
listener {{port}} {HOST}
allow_anonymous true
user root
persistence false
set_tcp_nodelay true
max_queued_messages {BROKER_QUEUED_MESSAGES_MAX}
max_queued_bytes {BROKER_QUEUED_BYTES_MAX}
max_inflight_messages {BROKER_INFLIGHT_MESSAGES_MAX}
max_packet_size {BROKER_PACKET_BYTES_MAX}
log_dest stderr
log_type error
log_type warning
connection_messages false
"""

# The NATS protocol's own listener cannot be turned off; it takes any free port.
_NATS = f"""\
server_name: "diten-broker"
host: "{HOST}"
port: -1
max_payload: {BROKER_PACKET_BYTES_MAX}
jetstream {{{{ store_dir: "{{store}}", max_mem: 64MB, max_file: 1GB }}}}
mqtt {{{{ host: "{HOST}", port: {{port}} }}}}
"""


def _spawn(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        leashed(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
        start_new_session=True,  # Ctrl-C is for us; we stop the broker last
    )


def _choice(kind: Kind, binary: Path, why: str) -> Choice:
    flag = "-h" if kind == "mosquitto" else "--version"
    told = subprocess.run(
        [binary, flag], capture_output=True, text=True, timeout=BUS_TIMEOUT_S, check=False
    ).stdout
    version = re.search(r"\d+\.\d+\.\d+", told)
    return Choice(kind, binary, f"{kind} {version[0] if version else '(version unknown)'}", why)


def _find(kind: Kind) -> Path | None:
    program = "mosquitto" if kind == "mosquitto" else "nats-server"
    folders = (os.environ.get("PATH", os.defpath), sysconfig.get_path("scripts"), *_SYSTEM_FOLDERS)
    found = shutil.which(program, path=os.pathsep.join(folders))
    return None if found is None else Path(found)


def _check_free(port: int) -> None:
    """Raise `Unavailable` if anyone listens there: a stranger's answer is not ours."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise Unavailable(
                f"the broker cannot use port {port} of {HOST} ({error.strerror}): "
                "end what listens there, or choose another port"
            ) from None


def free_port() -> int:
    """A port of which nobody makes use, and that the system gives to nobody: to a client
    that connects again and again to a port of its outgoing range, while no broker runs
    there, it would at last give that port itself."""
    for port in random.sample(PORTS, PORT_ATTEMPTS_MAX):
        with suppress(Unavailable):
            _check_free(port)
            return port
    raise Unavailable(f"no port between {PORTS.start} and {PORTS.stop} of {HOST} is free")
