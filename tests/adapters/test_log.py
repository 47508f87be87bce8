"""Log lines: one event is one line on stderr."""

import json
import os
import re
import subprocess
import sys
from typing import Any

PROGRAM = """
import logging
from twin_runtime.adapters.log import configure_log, log_notes
from twin_runtime.core.effects import Note
configure_log("e-1")
log_notes([Note("info", "hello"), Note("error", "two\\nlines\\x1b[2J, 100%")])
log_notes([Note("warning", "e-1: halts"), Note("warning", "e-12: halts")])
log_notes([Note("info", "d-7: moves", twin="d-7", epoch=3), Note("info", "x" * 100_000)])
logging.getLogger("diten.bus").warning("no connection to %s", "it")
logging.getLogger("httpx").info("HTTP Request: GET http://e-1 200 OK")
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("diten").exception("fell")
"""


def logged(kind: str = "") -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
        env={**os.environ, "DITEN_LOG": kind},
    )
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_an_event_is_one_line_on_stderr() -> None:
    hello, broken, *_ = logged()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z e-1 info: hello", hello)
    assert broken.endswith("Z e-1 error: two | lines\\x1b[2J, 100%")


def test_a_line_says_its_name_once() -> None:
    _, _, own, other, *_ = logged()
    assert own.endswith("Z e-1 warning: halts")
    assert other.endswith("Z e-1 warning: e-12: halts")


def structured() -> list[dict[str, Any]]:
    return [json.loads(line) for line in logged("json")]


def test_as_a_service_each_line_is_an_object_that_says_who_when_and_how_grave() -> None:
    hello, broken, *_ = structured()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", hello.pop("ts"))
    assert hello == {"level": "info", "service": "e-1", "edge": "e-1", "message": "hello"}
    assert (broken["level"], broken["message"]) == ("error", "two\nlines\x1b[2J, 100%")


def test_a_line_can_be_found_by_the_twin_and_the_epoch_it_is_about() -> None:
    found = [line for line in structured() if line.get("twin") == "d-7"]
    assert [(line["epoch"], line["edge"]) for line in found] == [(3, "e-1")]


def test_a_library_s_line_and_a_traceback_are_objects_too() -> None:
    *_, library, fell = structured()
    assert (library["level"], library["message"]) == ("warning", "no connection to it")
    assert fell["message"] == "fell"
    assert fell["traceback"].endswith("ZeroDivisionError: division by zero")


def test_a_line_has_a_bound() -> None:
    assert max(map(len, logged("json"))) < 10_000
    assert max(map(len, logged())) < 10_000


def test_a_request_that_an_edge_answers_is_no_event() -> None:
    assert not any("HTTP Request" in line for line in logged())
