"""`diten twin history` against rows as the API gives them: what it prints, and how it ends."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from click.testing import CliRunner

from deploy.tables import aligned
from deploy.twin_commands import twin
from deploy.twin_history import sparkline

T_MS = 1_750_000_000_000
ASKED: list[dict[str, list[str]]] = []


@contextmanager
def served(rows: list[Any], unit: str = "Cel", page: int = 3) -> Iterator[str]:
    """An API with this history of `temperature_c`, in pages."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = parse_qs(urlsplit(self.path).query)
            ASKED.append(asked)
            begin = int(asked.get("cursor", ["0"])[0])
            end = len(rows) if "points" in asked else begin + page
            body: dict[str, Any] = {"unit": unit, "rows": rows[begin:end], "first_revision": 1}
            body["next"] = str(end) if end < len(rows) else None
            is_known = asked["feature"] == ["temperature_c"]
            self.send_response(200 if is_known else 404)
            self.end_headers()
            problem = {"detail": "d-1 has no feature 'depth_m'"}
            self.wfile.write(json.dumps(body if is_known else problem).encode())

        def log_message(self, *_: Any) -> None:
            """Nothing: this is a test."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_history_shows_blocks_extremes_and_a_table_that_lines_up() -> None:
    rows = [[T_MS + n * 1000, 20.0 + n, "good"] for n in range(8)]
    with served([*rows, [T_MS + 8000, None, "uncertain"]]) as api:
        result = CliRunner().invoke(twin, ["history", "home:d-1", "temperature_c", "--api", api])
    assert result.exit_code == 0, result.output
    heading, blocks, extremes, header, *table = result.output.splitlines()
    assert heading.startswith("home:d-1 temperature_c · 2025-06-15 ")
    assert (blocks.strip()[0], blocks.strip()[-1]) == ("▁", "█")
    assert extremes == "lowest 20 °C, highest 27 °C, last 27 °C"
    assert header.split() == ["OBSERVED", "VALUE", "QUALITY"]
    assert len(table) == 9
    assert len({line.index("good") for line in table if "good" in line}) == 1
    assert table[-1].split()[-2:] == ["–", "uncertain"]


def test_numbers_have_one_prefix_and_their_points_below_one_another() -> None:
    assert aligned([1, 0.25, 12.5, None], "") == [" 1   ", " 0.25", "12.5 ", "    –"]
    assert aligned([999_000, 1_020_000], "B") == ["0.999 MB", "1.02  MB"]
    assert aligned(["v1.25", 3, True], "") == ["v1.25", "    3", " true"]
    assert aligned([], "s") == []


def test_blocks_are_no_mistake_where_the_locale_has_none() -> None:
    program = "import sys; from deploy.cli import main; main()"
    with served([[T_MS, 1, "good"], [T_MS + 1, 2, "good"]]) as api:
        command = [sys.executable, "-c", program, "twin", "history", "d-1", "temperature_c"]
        environ = {**os.environ, "PYTHONIOENCODING": "latin-1", "DITEN_API": api}
        ended = subprocess.run(command, env=environ, capture_output=True, timeout=30, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert b"last 2 \xb0C" in ended.stdout


def test_a_past_of_any_length_may_be_asked_for() -> None:
    with served([[T_MS, 1, "good"]]) as api:
        arguments = ["history", "d-1", "temperature_c", "--since", "99999999d", "--api", api]
        assert CliRunner().invoke(twin, arguments).exit_code == 0
    assert ASKED[-1]["from"] == ["0"]


def test_json_prints_every_value_of_every_page() -> None:
    rows = [[T_MS + n, n, "good"] for n in range(10)]
    with served(rows) as api:
        arguments = ["history", "d-1", "temperature_c", "--json", "--api", api]
        result = CliRunner().invoke(twin, arguments)
    assert [json.loads(line) for line in result.output.splitlines()] == rows


def test_a_time_of_which_nothing_is_kept_is_said_so() -> None:
    with served([]) as api:
        result = CliRunner().invoke(twin, ["history", "d-1", "temperature_c", "--api", api])
    assert (result.exit_code, "--since" in result.output) == (0, True)


def test_an_unknown_feature_is_the_apis_sentence_and_exit_1() -> None:
    with served([]) as api:
        result = CliRunner().invoke(twin, ["history", "d-1", "depth_m", "--api", api])
    assert result.exit_code == 1
    assert "d-1 has no feature 'depth_m'" in result.output


def test_nobody_there_is_exit_3_and_a_bad_duration_2() -> None:
    arguments = ["history", "d-1", "temperature_c", "--api", "http://127.0.0.1:1"]
    assert CliRunner().invoke(twin, arguments).exit_code == 3
    assert CliRunner().invoke(twin, [*arguments, "--since", "yesterday"]).exit_code == 2


def test_a_value_holds_until_the_next_unless_that_is_long_in_coming() -> None:
    rows = [(at_ms, value, "good") for at_ms, value in ((0, 1), (300, 9), (600, 1), (3000, 9))]
    assert sparkline(rows, 10) == "▁█▁      █"
    assert sparkline(rows[:3], 10) == "▁▁▁▁▁████▁"


def test_blocks_leave_gaps_and_do_without_what_is_no_number() -> None:
    assert (
        sparkline([(0, 1.0, "good"), (900, 2.0, "good"), (1000, 2.0, "good")], 10) == "▁        █"
    )
    assert sparkline([(0, 5, "good")], 3) == "▁  "
    assert sparkline([(0, "open", "good"), (1, True, "good"), (2, None, "uncertain")], 10) == ""
