"""`diten doctor` finds what is wrong, says what it costs, and lets the rest pass."""

import asyncio
import gc
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import trustme
from click.testing import CliRunner

from deploy.doctor import doctor
from deploy.doctor_finding import Finding
from deploy.doctor_mosquitto import check_configuration
from tests.system.small_disk import fill, small_disk
from twin_runtime.adapters.broker import answers, free_port

SHIPPED = Path(__file__).parents[2] / "deploy/mosquitto"
MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/opt/homebrew/sbin")
DITEN = Path(sys.executable).with_name("diten")
ANSWERED_S = 30.0
# To anybody, and what we are too slow for on a busy machine waits: a burst is not cut short.
OPEN = "max_queued_messages 10000\nlistener 1883\nallow_anonymous true\n"


def examined(*options: str | Path, code: int = 0) -> dict[str, dict[str, Any]]:
    """The findings by what they are about; the worst where there are several."""
    done = CliRunner().invoke(doctor, ["--json", *map(str, options)])
    assert done.exit_code == code, done.output
    order = ("ok", "warning", "wrong")
    found = sorted(json.loads(done.stdout), key=lambda each: order.index(each["verdict"]))
    return {each["about"]: each for each in found}


@contextmanager
def a_mosquitto(folder: Path, text: str) -> Iterator[int]:
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    port = free_port()
    path = folder / "mosquitto.conf"
    path.write_text(f"user root\n{text.replace('listener 1883', f'listener {port} 127.0.0.1')}")
    process = subprocess.Popen([MOSQUITTO, "-c", path], stderr=subprocess.DEVNULL)
    try:
        deadline_s = time.monotonic() + ANSWERED_S
        while not asyncio.run(answers("127.0.0.1", port)):
            assert time.monotonic() < deadline_s
        yield port
    finally:
        process.terminate()
        process.wait(ANSWERED_S)


@contextmanager
def an_api(status: int, skew_s: float) -> Iterator[str]:
    """An edge that says so about itself, by its own clock."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"the disk is full")

        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string((timestamp or time.time()) + skew_s)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, name="api")
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(ANSWERED_S)
        server.server_close()


def verdicts(text: str) -> dict[str, str]:
    return {finding.about: finding.verdict for finding in check_configuration(text)}


def certificates(folder: Path, *names: str) -> None:
    """By a new authority; each for its name, and for this machine's."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.crt")
    for name in names:
        issued = authority.issue_cert("127.0.0.1", common_name=name)
        issued.private_key_pem.write_to_path(folder / f"{name}.key")
        issued.cert_chain_pems[0].write_to_path(folder / f"{name}.crt")


# --- this machine -------------------------------------------------------------------------


def test_a_machine_that_works_has_nothing_wrong(tmp_path: Path) -> None:
    (tmp_path / "edge.sqlite").write_bytes(bytes(5_000_000))
    found = examined("--data-dir", tmp_path)
    about = {"versions", "SQLite", "libraries", "open files", "memory", "clock", "ports"}
    assert about < set(found)
    assert found[f"in {tmp_path}"]["found"] == "5 MB: edge.sqlite 5 MB"


def test_a_directory_that_is_not_there_is_wrong(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    found = examined("--data-dir", missing, code=1)[f"disk of {missing}"]
    assert (found["verdict"], found["found"]) == ("wrong", "No such file or directory")
    assert found["costs"]
    assert found["do"]


def test_a_disk_that_is_full_is_wrong(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "1m") as disk:
        fill(disk / "filler")
        assert examined("--data-dir", disk, code=1)[f"disk of {disk}"]["verdict"] == "wrong"


def test_a_disk_that_takes_no_writes_is_wrong(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "1m") as disk:
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        found = examined("--data-dir", disk, code=1)[f"disk of {disk}"]
    assert (found["verdict"], found["found"]) == ("wrong", "Read-only file system")
    assert "on a disk that takes writes" in found["do"]


def test_few_open_files_are_a_warning() -> None:
    line = f"ulimit -n 512 && exec {DITEN} doctor --json"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True)
    [files] = [each for each in json.loads(done.stdout) if each["about"] == "open files"]
    assert (files["verdict"], files["found"]) == ("warning", "512 may be open in one process")


# --- an API -------------------------------------------------------------------------------


def test_an_api_that_is_ready_and_on_time_passes() -> None:
    with an_api(200, 0) as url:
        found = examined("--api", url)
    assert (found[url]["verdict"], found[f"clock of {url}"]["verdict"]) == ("ok", "ok")


def test_an_api_that_is_not_ready_is_wrong_and_says_why() -> None:
    with an_api(503, 0) as url:
        assert examined("--api", url, code=1)[url]["found"] == "not ready (503): the disk is full"


def test_a_clock_that_differs_is_a_warning_with_the_difference() -> None:
    with an_api(200, -90) as url:
        found = examined("--api", url)[f"clock of {url}"]
    assert found["verdict"] == "warning"
    assert found["found"] in {f"this machine's is {s} s ahead" for s in (90, 91)}


def test_an_api_that_nobody_serves_is_wrong() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    assert examined("--api", url, code=1)[url]["verdict"] == "wrong"


def test_an_api_that_is_no_url_is_a_mistake_of_usage() -> None:
    ended = CliRunner().invoke(doctor, ["--api", "localhost"])
    assert (ended.exit_code, "'localhost' is not a URL" in ended.stderr) == (2, True)


# --- a broker -----------------------------------------------------------------------------


@pytest.mark.system
def test_the_shipped_broker_passes_every_trial(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    shutil.copy(SHIPPED / "diten.acl", tmp_path)
    text = (SHIPPED / "diten.conf").read_text()
    text = text.replace("/etc/mosquitto/diten.acl", str(tmp_path / "diten.acl"))
    with a_mosquitto(tmp_path, text.replace("sys_interval 10", "sys_interval 1")) as port:
        found = examined("--bus", f"127.0.0.1:{port}")
    assert found["burst"]["found"].startswith("2,000 of 2,000 messages")
    assert found["access rules"]["found"] == "a device speaks in its own name only"
    assert found["broker itself"]["found"].startswith("mosquitto version ")
    about = {"burst", "access rules", "broker itself"}
    assert {found[each]["verdict"] for each in about} == {"ok"}


@pytest.mark.system
def test_a_broker_without_rules_is_a_warning(tmp_path: Path) -> None:
    with a_mosquitto(tmp_path, OPEN) as port:
        found = examined("--bus", f"127.0.0.1:{port}")
    assert (found["access rules"]["verdict"], found["access rules"]["found"]) == ("warning", "none")


@pytest.mark.system
def test_a_broker_whose_rules_keep_devices_out_is_wrong(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "none.acl").write_text("topic read nothing\n")
    text = f"{OPEN}acl_file {tmp_path / 'none.acl'}\n"
    with a_mosquitto(tmp_path, text) as port:
        found = examined("--bus", f"127.0.0.1:{port}", code=1)
    assert found["access rules"]["verdict"] == "wrong"
    assert found["burst"]["verdict"] == "warning"


@pytest.mark.system
def test_a_broker_that_knows_its_users_is_tried_with_the_doctor_s_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passwd = shutil.which("mosquitto_passwd", path="/usr/bin:/usr/local/bin:/opt/homebrew/bin")
    if passwd is None:
        pytest.skip("mosquitto is not installed")
    users = tmp_path / "users"
    subprocess.run([passwd, "-c", "-b", users, "diten-doctor", "sesame"], check=True)
    closed = free_port()
    text = f"per_listener_settings true\nset_tcp_nodelay true\n{OPEN}"
    text += f"listener {closed} 127.0.0.1\nallow_anonymous false\npassword_file {users}\n"
    bus = ("--bus", f"127.0.0.1:{closed}")
    with a_mosquitto(tmp_path, text):
        found = examined(*bus, code=1)[f"broker 127.0.0.1:{closed}"]
        assert "not authorized: see bus.password" in found["found"].lower()
        monkeypatch.setenv("DITEN_BUS_PASSWORD", "sesame")
        found = examined(*bus)
    assert found["burst"]["found"].startswith("2,000 of 2,000 messages")
    assert (found["TLS"]["verdict"], found["TLS"]["found"]) == (
        "warning",
        "not spoken, but a password is",
    )
    assert "sesame" not in json.dumps(found)


def test_a_broker_that_is_not_there_is_wrong() -> None:
    port = free_port()
    found = examined("--bus", f"127.0.0.1:{port}", code=1)
    assert found[f"broker 127.0.0.1:{port}"]["verdict"] == "wrong"


def test_an_address_without_a_port_is_a_matter_of_usage() -> None:
    done = CliRunner().invoke(doctor, ["--bus", "broker"])
    assert done.exit_code == 2
    assert "write HOST:PORT" in done.output


# --- a broker's configuration -------------------------------------------------------------


def test_the_shipped_configuration_passes() -> None:
    assert set(verdicts((SHIPPED / "diten.conf").read_text()).values()) == {"ok"}


def test_an_empty_configuration_is_judged_by_mosquitto_s_defaults() -> None:
    assert verdicts("# nothing\n") == {
        "listener": "warning",
        "queue": "wrong",
        "small packets": "wrong",
        "packets": "warning",
        "persistence": "ok",
        "access rules": "warning",
        "TLS": "ok",
    }


@pytest.mark.parametrize(
    "line, about, verdict",
    [
        ("max_queued_messages 0", "queue", "warning"),
        ("max_queued_messages 0\nmax_queued_bytes 1000000", "queue", "ok"),
        ("max_packet_size 65536", "packets", "wrong"),
        ("persistence true", "persistence", "warning"),
        ("max_queued_messages many", "queue", "wrong"),
    ],
)
def test_an_option_is_judged_by_what_it_costs(line: str, about: str, verdict: str) -> None:
    assert verdicts(f"{line}\n")[about] == verdict


def test_what_is_not_well_says_what_it_costs_and_what_to_do() -> None:
    findings: list[Finding] = check_configuration("persistence true\n")
    bad = [finding for finding in findings if finding.verdict != "ok"]
    assert bad
    assert all(finding.costs and finding.do for finding in bad)


def test_findings_are_a_table_for_people() -> None:
    done = subprocess.run([DITEN, "doctor"], capture_output=True, text=True, check=True)
    first, *lines = done.stdout.splitlines()
    assert first.split() == ["VERDICT", "ABOUT", "FOUND"]
    assert lines[0].startswith("ok ")


def test_the_doctor_comes_to_a_board_that_has_a_device_agent_alone() -> None:
    program = (
        "import sys, deploy.doctor, deploy.doctor_api, deploy.doctor_broker, "
        "deploy.doctor_machine, deploy.doctor_mosquitto, deploy.doctor_ports, "
        "deploy.doctor_versions\n"
        "print(*{'fastapi', 'httpx', 'numpy', 'prometheus_client'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.strip() == b""


# --- TLS ----------------------------------------------------------------------------------


# paho leaves a socket whose handshake failed to the garbage collector, which complains.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_a_broker_that_proves_its_name_is_tried_over_tls(tmp_path: Path) -> None:
    certificates(tmp_path, "broker", "diten-doctor")
    listener = "listener {port} 127.0.0.1\ncafile {folder}/ca.crt\ncertfile {folder}/broker.crt\n"
    secured = free_port()
    text = listener.format(port=secured, folder=tmp_path) + f"keyfile {tmp_path}/broker.key\n"
    plain = f"{OPEN}set_tcp_nodelay true\n"
    bus = ("--bus", f"127.0.0.1:{secured}")
    authority = ("--ca-file", tmp_path / "ca.crt")
    own = [f"--{kind}-file={tmp_path}/diten-doctor.{end}" for kind, end in KINDS.items()]
    with a_mosquitto(tmp_path, f"{plain}{text}"):
        found = examined(*bus, *authority)
        assert found["TLS"]["verdict"] == "warning"
        said = found[f"broker 127.0.0.1:{secured}"]["found"]
        assert said.startswith("connected and subscribed")  # however slow the machine is
        assert "hung up" not in json.dumps(found)
        assert examined(*bus, *authority, *own)["TLS"]["verdict"] == "ok"
        stranger = tmp_path / "stranger"
        stranger.mkdir()
        certificates(stranger)
        found = examined(*bus, "--ca-file", stranger / "ca.crt", code=1)
        assert "not to be trusted" in found[f"broker 127.0.0.1:{secured}"]["found"]
        gc.collect()


KINDS = {"certificate": "crt", "key": "key"}


def test_a_certificate_without_its_key_is_a_mistake_of_usage(tmp_path: Path) -> None:
    certificates(tmp_path, "a")
    options = ["--bus", "127.0.0.1:8883", f"--certificate-file={tmp_path}/a.crt"]
    done = CliRunner().invoke(doctor, options)
    assert done.exit_code == 2
    assert "set both, or neither" in done.output


def test_a_listener_for_others_than_this_machine_has_tls() -> None:
    assert verdicts("listener 8883\ncertfile a\nrequire_certificate true")["TLS"] == "ok"
    assert verdicts("listener 8883\ncertfile a")["TLS"] == "warning"
    assert verdicts("listener 1883")["TLS"] == "ok"
