"""`diten doctor` on machines that are small, late, slow, old, or taken by others."""

import ctypes
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from threading import Thread
from typing import Any

import psutil
import pytest

from deploy import doctor_machine, doctor_ports
from deploy.doctor_finding import Finding
from deploy.doctor_machine import check_disk, check_machine
from deploy.doctor_ports import check_ports
from deploy.doctor_versions import check_mosquitto
from tests.deploy.test_doctor import MOSQUITTO, a_mosquitto
from tests.deploy.test_twin_commands import Committed, served
from twin_runtime.adapters.broker import free_port

DITEN = Path(sys.executable).with_name("diten")
# /proc/meminfo of a Raspberry Pi with 1 GB on which a browser runs.
MEMINFO = """\
MemTotal:         944564 kB
MemFree:           61428 kB
MemAvailable:     203776 kB
Buffers:           14804 kB
Cached:           189944 kB
Active:           412060 kB
Inactive:         301232 kB
Shmem:             27344 kB
Slab:              48120 kB
"""


def about(findings: list[Finding], what: str) -> Finding:
    [found] = [each for each in findings if each.about == what]
    return found


def is_told(finding: Finding, verdict: str) -> bool:
    """A bad finding says what it costs and what to do."""
    return finding.verdict == verdict and bool(finding.costs) and bool(finding.do)


# --- memory, clock, disk ------------------------------------------------------------------


def test_little_memory_is_a_warning_with_the_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "meminfo").write_text(MEMINFO)
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path))
    found = about(check_machine(), "memory")
    assert is_told(found, "warning")
    assert found.found == "208.7 MB available of 967.2 MB"


class Kernel:
    """The one call of the C library that says how the clock is."""

    def __init__(self, state: int) -> None:
        self._state = state

    def adjtimex(self, asked: Any) -> int:
        assert not any(asked.raw), "nothing is to be set"
        return self._state


@pytest.mark.parametrize(
    "state, verdict, said",
    [
        (0, "ok", "synchronized, as the kernel says"),
        (5, "warning", "nobody synchronizes it, as the kernel says"),
        (-1, "warning", "nothing here says whether it is synchronized"),
    ],
)
def test_a_clock_is_judged_by_what_the_kernel_says(
    state: int, verdict: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: Kernel(state))
    found = about(check_machine(), "clock")
    assert (found.verdict, found.found) == (verdict, said)
    assert verdict == "ok" or is_told(found, verdict)


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")
def test_the_kernel_of_this_machine_says_how_its_clock_is() -> None:
    assert doctor_machine._is_synchronized() in {True, False, None}
    size = 208  # of `struct timex` on 64 bits
    asked = ctypes.create_string_buffer(size)
    state = ctypes.CDLL(None).adjtimex(asked)
    tick_us = int.from_bytes(asked.raw[88:96], sys.byteorder)
    assert state < 0 or 9_000 <= tick_us <= 11_000, "the buffer is what the kernel fills"


def test_a_board_that_starts_without_a_battery_has_a_clock_that_is_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_445_270_400.0)
    monkeypatch.setattr(
        time, "gmtime", lambda: time.struct_time((2015, 10, 19, 16, 0, 0, 0, 292, 0))
    )
    found = about(check_machine(), "clock")
    assert is_told(found, "wrong")
    assert found.found == "it is 2015-10-19 here"


@pytest.mark.parametrize("took_s, verdict", [(0.001, "ok"), (0.06, "warning"), (0.31, "wrong")])
def test_a_disk_is_judged_by_how_long_a_write_takes_to_be_durable(
    took_s: float, verdict: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A card as slow as that, to whoever measures it."""
    now_s = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now_s[0])

    def fsync(_descriptor: int) -> None:
        now_s[0] += took_s

    monkeypatch.setattr(os, "fsync", fsync)
    found = check_disk(tmp_path)[-1]
    assert found.verdict == verdict
    assert found.found == f"{took_s * 1000:.1f} ms until a write is durable"
    assert verdict == "ok" or is_told(found, verdict)


# --- versions -----------------------------------------------------------------------------


def examined_with(folder: Path, library: str, version: str) -> dict[str, Any]:
    """What is said of libraries where a distribution brings this one in this version."""
    told = folder / f"{library.replace('-', '_')}-{version}.dist-info"
    told.mkdir()
    (told / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {library}\nVersion: {version}\n")
    environ = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(
        [DITEN, "doctor", "--json"], capture_output=True, text=True, check=True, env=environ
    )
    [found] = [each for each in json.loads(done.stdout) if each["about"] == "libraries"]
    return dict(found)


@pytest.mark.parametrize(
    "library, version, wanted",
    [
        ("paho-mqtt", "1.6.1", "paho-mqtt<3,>=2.1"),
        ("aiomqtt", "3.0.0", "aiomqtt<3,>=2.5"),
        ("gmqtt", "0.9.0", "gmqtt<0.9,>=0.8"),
        ("fastapi", "0.92.0", "fastapi>=0.115"),
    ],
)
def test_a_library_of_another_version_than_diten_asks_for_is_a_warning(
    library: str, version: str, wanted: str, tmp_path: Path
) -> None:
    found = examined_with(tmp_path, library, version)
    assert (found["verdict"], found["found"]) == ("warning", f"{library} {version}")
    assert found["costs"]
    assert found["do"] == f"pip install '{wanted}'"


def test_a_library_that_is_new_enough_passes(tmp_path: Path) -> None:
    assert examined_with(tmp_path, "paho-mqtt", "2.10.0rc1")["verdict"] == "ok"


@pytest.mark.parametrize(
    "said, verdict",
    [
        ("mosquitto version 2.0.8", "wrong"),
        ("mosquitto version 1.6.12", "warning"),
    ],
)
def test_a_mosquitto_with_a_known_limit_is_named_with_what_it_costs(
    said: str, verdict: str
) -> None:
    [found] = check_mosquitto(said)
    assert is_told(found, verdict)


@pytest.mark.parametrize("said", ["mosquitto version 2.0.11", "mosquitto version 2.1.0", "hmq 1.5"])
def test_another_broker_passes(said: str) -> None:
    assert check_mosquitto(said) == []


# --- ports --------------------------------------------------------------------------------


@contextmanager
def a_web_server() -> Iterator[int]:
    """Somebody else's: it answers whatever is asked, and is not diten."""

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<h1>It works!</h1>")

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, name="web")
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def by_default(monkeypatch: pytest.MonkeyPatch, **ports: int) -> None:
    """As if these were the ports that diten's processes take; others may have theirs here."""
    told = {"mqtt": free_port(), "cloud": free_port(), "edge": free_port(), **ports}
    names = {told["mqtt"]: "MQTT", told["cloud"]: "the cloud", told["edge"]: "an edge"}
    monkeypatch.setattr(doctor_ports, "MQTT", told["mqtt"])
    monkeypatch.setattr(doctor_ports, "PORTS", names)


def test_free_ports_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    by_default(monkeypatch)
    [found] = check_ports()
    assert found.verdict == "ok"
    assert re.fullmatch(
        r"\d+ \(MQTT\) free, \d+ \(the cloud\) free, \d+ \(an edge\) free", found.found
    )


@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
def test_a_broker_and_an_edge_where_they_belong_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = free_port()  # refuses whoever has no name, and is a broker all the same
    text = "per_listener_settings true\nlistener 1883\nallow_anonymous true\n"
    text += f"listener {closed} 127.0.0.1\nallow_anonymous false\n"
    with a_mosquitto(tmp_path, text), served(Committed("d-1")) as api:
        by_default(monkeypatch, mqtt=closed, edge=int(api.rpartition(":")[2]))
        [found] = check_ports()
    assert found.verdict == "ok"
    assert f"{closed} (MQTT) in use" in found.found
    assert "(an edge) in use" in found.found


def test_a_stranger_on_the_cloud_s_port_is_a_warning_that_says_how_to_find_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with a_web_server() as port:
        by_default(monkeypatch, cloud=port)
        found = about(check_ports(), f"port {port}")
    assert is_told(found, "warning")
    assert found.costs == "the cloud whose port is not set ends at its start with code 2"
    assert f"ss -ltnp sport = :{port}" in found.do


def test_a_stranger_on_the_broker_s_port_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    with a_web_server() as port:
        by_default(monkeypatch, mqtt=port)
        assert is_told(about(check_ports(), f"port {port}"), "warning")


def test_a_stranger_who_says_nothing_does_not_keep_the_doctor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        by_default(monkeypatch, mqtt=port)
        assert is_told(about(check_ports(), f"port {port}"), "warning")
