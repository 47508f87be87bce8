"""`diten twin` against the real server: what it prints, and how it ends."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from io import StringIO
from typing import Any

import pytest
from click.testing import CliRunner, Result
from fastapi import FastAPI
from rich.console import Console

from deploy.tables import (
    age_text,
    changes,
    print_table,
    refusals,
    scaled,
    things_table,
    value_text,
)
from deploy.twin_commands import twin
from tests.adapters.serving import serving
from tests.system.rig import wait_for
from twin_runtime.adapters.elsewhere_http import Elsewhere
from twin_runtime.adapters.http_server import bind
from twin_runtime.adapters.reading import Shown
from twin_runtime.adapters.things_http import things_app
from twin_runtime.core.look import State
from twin_runtime.core.thing import thing_of
from twin_runtime.ports import Health

OK, REFUSED, USAGE, UNREACHABLE = range(4)
WALL_MS = round(time.time() * 1000)
WAIT_S = 20.0  # for what a loaded machine does in one


@dataclass(slots=True)
class Committed:
    """A twin as the view holds it, and what changes in it."""

    twin: str
    revision: int = 1
    reported_wall_ms: int = field(default_factory=lambda: round(time.time() * 1000))
    value: Any = 21.53125
    quality: str = "good"
    title: str = "Greenhouse"
    unit: str = "Cel"
    desired: dict[str, Any] = field(default_factory=dict)
    known_wall_ms: int | None = None
    looks: int = 0

    def document(self) -> dict[str, Any]:
        self.looks += 1
        feature = {"type": "number", "unit": self.unit}
        state = {
            "value": self.value,
            "observed_ms": self.reported_wall_ms - 120_500,
            "quality": self.quality,
        }
        return {
            "v": 1,
            "twin": self.twin,
            "epoch": 1,
            "revision": self.revision,
            "reported_wall_ms": self.reported_wall_ms,
            "description": {
                "title": self.title,
                "features": {"temperature_c": feature},
                "position": {"x_m": 1.5, "y_m": 2.0, "z_m": 0.0},
            },
            "features": {"temperature_c": state},
            "desired": self.desired,
        }

    def state(self) -> State:
        raise AssertionError("nobody looks for twins by what is in them here")


@contextmanager
def served(*twins: Committed, port: int = 0) -> Iterator[str]:
    """The URL of an API that shows `twins`."""
    view: dict[str, Shown] = {shown.twin: shown for shown in twins}
    app = things_app(view, Health(ready=True), lambda: b"", "home", lambda: WALL_MS)
    with serving(app, port) as api:
        yield api


def a_free_address() -> str:
    with bind("127.0.0.1", 0) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def diten_twin(*arguments: str, **environ: str) -> Result:
    return CliRunner(env=environ).invoke(twin, arguments)


def test_ls_prints_one_line_per_twin() -> None:
    with served(Committed("d-1"), Committed("d-2", revision=1234)) as api:
        result = diten_twin("ls", "--api", api)
    assert result.exit_code == OK
    header, first, second = result.stdout.splitlines()
    assert header.split() == ["THING", "REV", "REPORTED", "VALUES"]
    assert re.match(r"home:d-1 +1 +(now|\d+ s ago) +temperature_c 21.53 °C", first)
    assert re.match(r"home:d-2 +1234 ", second)


def test_ls_goes_through_all_pages() -> None:
    with served(*(Committed(f"d-{number:04}") for number in range(450))) as api:
        things = json.loads(diten_twin("ls", "--api", api, "--json").stdout)
    assert [thing["thingId"] for thing in things] == [f"home:d-{n:04}" for n in range(450)]


def printed(*twins: Committed, width: int) -> list[str]:
    """The lines of `ls` on a terminal of that width."""
    console = Console(file=StringIO(), width=width, force_terminal=True, color_system=None)
    things = [thing_of(shown.document(), "home") for shown in twins]
    print_table(things_table(things, WALL_MS), console)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue().splitlines()


def test_a_narrow_terminal_cuts_values_and_never_an_id() -> None:
    shown = Committed("d-1", value="x" * 100)
    _, line = printed(shown, width=60)
    assert len(line) <= 60
    assert line.startswith("home:d-1 ")
    assert "…" in line
    shown.twin = "d-" + "y" * 62
    assert printed(shown, width=60)[1].startswith(f"home:{shown.twin} ")


def test_a_pipe_gets_everything() -> None:
    with served(Committed("d-1", value="x" * 200)) as api:
        assert "x" * 200 in diten_twin("ls", "--api", api).stdout


def test_no_line_in_a_pipe_ends_in_spaces() -> None:
    with served(Committed("d-1", value="x" * 200), Committed("d-2")) as api:
        lines = [
            *diten_twin("ls", "--api", api).stdout.splitlines(),
            *diten_twin("get", "d-2", "--api", api).stdout.splitlines(),
        ]
    assert [line for line in lines if line != line.rstrip()] == []


def test_ls_of_an_empty_edge_says_so() -> None:
    with served() as api:
        result = diten_twin("ls", "--api", api)
        as_json = diten_twin("ls", "--api", api, "--json")
    assert (result.exit_code, result.stdout) == (OK, "")
    assert "has no twins yet" in result.stderr
    assert json.loads(as_json.stdout) == []


def test_get_prints_values_with_their_units_and_ages() -> None:
    desired = {"features/temperature_c/value": {"number": 1, "value": 19.0}}
    with served(Committed("d-1", desired=desired)) as api:
        result = diten_twin("get", "d-1", "--api", api)
    assert result.exit_code == OK
    heading, header, feature = result.stdout.splitlines()
    assert heading.startswith("home:d-1 · Greenhouse · at 1.5 / 2 / 0 m · revision 1, reported ")
    assert header.split() == ["FEATURE", "VALUE", "UNIT", "OBSERVED", "QUALITY", "DESIRED"]
    assert feature.split() == ["temperature_c", "21.53", "°C", "2", "min", "ago", "good", "19"]


def test_what_a_device_says_moves_no_cursor() -> None:
    wish = {"value": "\x1b[8m", "number": 1, "state": "rejected", "reason": "no\x1b[2J"}
    hostile = Committed(
        "d-1", value="\x1b]0;x\x07", title="a\x1b[1A", unit="\x9b1A", quality="uncertain",
        desired={"features/temperature_c/value": wish},
    )  # fmt: skip
    with served(hostile) as api:
        listed, said = (
            diten_twin(*command, "--api", api).stdout for command in (["ls"], ["get", "d-1"])
        )
    for shown in (listed, said):
        assert r"\x1b]0;x\x07" in shown
        assert all(line.isprintable() for line in shown.splitlines()), shown
    assert all(word in said for word in (r"a\x1b[1A", r"no\x1b[2J", r"\x9b1A", r"\x1b[8m"))


def test_a_twin_is_read_where_it_went_and_written_to_there_only() -> None:
    with served(Committed("d-1")) as owner:
        app = FastAPI()
        app.add_middleware(Elsewhere, elsewhere={"d-1": owner}, site="home")
        with serving(app) as former:
            read = diten_twin("get", "d-1", "--api", former)
            written = diten_twin("patch", "d-1", "a=1", "--api", former, DITEN_TOKEN="t" * 16)
    assert (read.exit_code, read.stdout.partition(" ")[0]) == (OK, "home:d-1")
    assert written.exit_code == 1
    assert f"the twin is at another edge by now: write to it with --api {owner}" in written.stderr


def test_get_as_json_prints_the_thing_unrounded() -> None:
    shown = Committed("d-1")
    with served(shown) as api:
        result = diten_twin("get", "home:d-1", "--api", api, "--json")
    assert json.loads(result.stdout) == thing_of(shown.document(), "home")


def test_the_api_may_come_from_the_environment() -> None:
    with served(Committed("d-1")) as api:
        assert diten_twin("get", "d-1", DITEN_API=api).exit_code == OK


def test_a_twin_that_is_not_there_is_a_failed_check() -> None:
    with served() as api:
        result = diten_twin("get", "d-9", "--api", api)
    assert result.exit_code == REFUSED
    assert "'d-9' is not known here" in result.stderr


def test_an_id_cannot_leave_its_place_in_the_path() -> None:
    with served() as api:
        for command in ("get", "watch", "patch", "history", "move"):
            result = diten_twin(command, "../../../healthz", "--api", api)
            assert result.exit_code == USAGE
            assert "is not like d-core-0: `diten twin ls` has all ids" in result.stderr


@pytest.mark.parametrize(
    "url",
    ["localhost", "ftp://127.0.0.1", "http://", "http://:::", "http://[::1", "http://h:99999",
     "http://h:port", "http://h:0"],
)  # fmt: skip
def test_a_wrong_url_is_a_usage_error(url: str) -> None:
    result = diten_twin("ls", "--api", url)
    assert result.exit_code == USAGE
    assert f"{url!r} is not a URL" in result.stderr


@pytest.mark.parametrize("command", ["ls", "get d-1", "watch d-1"])
def test_an_api_that_is_not_there_is_one_sentence(command: str) -> None:
    result = diten_twin(*command.split(), "--api", a_free_address())
    assert result.exit_code == UNREACHABLE
    [sentence] = result.stderr.splitlines()
    assert sentence.startswith("Error: nobody answers at http://127.0.0.1:")
    assert isinstance(result.exception, SystemExit)


def test_without_httpx_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    result = diten_twin("ls")
    assert result.exit_code == USAGE
    assert "install diten[edge]" in result.stderr


@contextmanager
def watching(api: str, *options: str, twin: str = "d-1") -> Iterator[subprocess.Popen[str]]:
    """`diten twin watch` as a process, ended by Ctrl-C as a terminal would."""
    program = "from deploy.twin_commands import twin; twin()"
    command = [sys.executable, "-c", program, "watch", twin, "--api", api, *options]
    environ = {**os.environ, "COLUMNS": "200", "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environ) as process:
        timer = threading.Timer(WAIT_S, process.kill)
        timer.start()
        try:
            yield process
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            assert process.wait(timeout=WAIT_S) == OK
        finally:
            timer.cancel()
            process.kill()


def read_until(process: subprocess.Popen[str], pattern: str) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if re.search(pattern, line):
            return line
    pytest.fail(f"watch ended before it printed {pattern!r}")


def test_watch_prints_what_changed_and_ends_cleanly_on_ctrl_c() -> None:
    shown = Committed("d-1")
    with served(shown) as api, watching(api) as process:
        read_until(process, r"temperature_c +21\.53")
        shown.value, shown.revision = 22.0, 2
        line = read_until(process, "→")
    assert re.fullmatch(r"\d\d:\d\d:\d\d  rev 2  temperature_c  21\.53 °C → 22 °C\n", line)


def test_watch_as_json_prints_one_thing_per_line() -> None:
    shown = Committed("d-1")
    with served(shown) as api, watching(api, "--json") as process:
        first = json.loads(read_until(process, "{"))
        shown.value, shown.revision = 22.0, 2
        second = json.loads(read_until(process, "{"))
    assert [thing["_revision"] for thing in (first, second)] == [1, 2]


def test_watch_does_not_go_back_when_the_cloud_returns_with_its_checkpoint() -> None:
    shown = Committed("d-1", revision=7)
    with ExitStack() as before_the_restart:
        api = before_the_restart.enter_context(served(shown))
        with watching(api, "--json") as process:
            read_until(process, "{")
            before_the_restart.close()
            assert process.stderr is not None
            process.stderr.readline()
            shown.value, shown.revision = 20.0, 5
            looks = shown.looks
            with served(shown, port=int(api.rpartition(":")[2])):
                wait_for("it was looked at again", lambda: shown.looks > looks + 1)
                shown.value, shown.revision = 22.0, 8
                assert json.loads(read_until(process, "{"))["_revision"] == 8


def test_watch_waits_out_an_outage_and_says_so_once() -> None:
    shown = Committed("d-1")
    with ExitStack() as before_the_outage:
        api = before_the_outage.enter_context(served(shown))
        with watching(api) as process:
            read_until(process, "temperature_c")
            before_the_outage.close()
            assert process.stderr is not None
            assert process.stderr.readline().endswith("trying again\n")
            shown.value, shown.revision = 22.0, 2
            with served(shown, port=int(api.rpartition(":")[2])):
                assert "22 °C" in read_until(process, "rev 2")
                process.send_signal(signal.SIGINT)
                assert process.stderr.read() == "\n"


@pytest.mark.parametrize(
    "value, text",
    [
        (None, "–"),
        (True, "true"),
        (16_777_216, "16,777,216"),
        (21.53125, "21.53"),
        (123456.789, "123,457"),
        (0.000012345, "1.234e-05"),
        (1e300, "1.000e+300"),
        ("open", "open"),
    ],
)
def test_values_have_the_digits_a_person_reads(value: Any, text: str) -> None:
    assert value_text(value) == text


@pytest.mark.parametrize(
    "age_ms, text",
    [
        (0, "now"),
        (999, "now"),
        (1000, "1 s ago"),
        (119_999, "119 s ago"),
        (120_000, "2 min ago"),
        (7_199_000, "119 min ago"),
        (7_200_000, "2 h ago"),
        (172_800_000, "2 d ago"),
        (-3000, "in 3 s"),
    ],
)
def test_ages_are_relative_and_say_when_a_clock_is_ahead(age_ms: int, text: str) -> None:
    assert age_text(age_ms) == text


def test_changes_name_values_qualities_and_wishes() -> None:
    before = Committed("d-1")
    wish = {"features/temperature_c/value": {"number": 2, "value": 19.0}}
    after = Committed("d-1", revision=2, quality="uncertain", desired=wish)
    assert changes(thing_of(before.document(), "h"), thing_of(after.document(), "h")) == [
        "temperature_c  21.53 °C → 21.53 °C (uncertain)",
        "temperature_c  desired – → 19",
    ]


def test_a_wish_is_shown_with_how_far_it_is_and_why_not() -> None:
    thing = thing_of(Committed("d-1").document(), "h")
    wished = deepcopy(thing)
    wished["features"]["temperature_c"] |= {
        "desiredProperties": {"value": -1},
        "desiredState": {"state": "rejected", "number": 2, "reason": "give 0 to 40"},
    }
    assert refusals(thing) == []
    assert refusals(wished) == ["temperature_c  desired -1 (rejected): give 0 to 40"]
    assert changes(thing, wished) == [
        "temperature_c  desired – → -1 (rejected): give 0 to 40",
    ]


def test_a_new_reading_of_the_same_value_shows_no_change() -> None:
    before, after = Committed("d-1"), Committed("d-1", revision=2, reported_wall_ms=10**12)
    assert changes(thing_of(before.document(), "h"), thing_of(after.document(), "h")) == []


@pytest.mark.parametrize(
    "value, unit, shown",
    [
        (24_913_276_928, "B", (24.913276928, "GB")),
        (2_596_144_000.0, "Hz", (2.596144, "GHz")),
        (999, "B", (999, "B")),
        (41_234.0, "s", (41_234.0, "s")),
        (None, "B", (None, "B")),
    ],
)
def test_large_quantities_have_prefixes_where_people_write_them(
    value: float | None, unit: str, shown: tuple[float | None, str]
) -> None:
    assert scaled(value, unit) == shown
