"""The dashboards: printed from their source, and each of their questions has an answer."""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from ruamel.yaml import YAML

from tests.deploy.an_up import Up, up
from tests.deploy.test_prometheus import rules
from twin_runtime.adapters.broker import free_port

ROOT = Path(__file__).parents[2]
DASHBOARDS = ROOT / "deploy/grafana/dashboards"
PROVISIONING = ROOT / "deploy/grafana/provisioning"
PROMETHEUS = ROOT / "deploy/prometheus"
UIDS = {"diten-fleet", "diten-edge", "diten-broker", "diten-moves", "diten-twin"}
COLUMNS = 24
ANSWERED_S = 60.0
POLL_S = 0.2
SCRAPE = "1s"
# What Grafana fills in; a window as short as the test's life.
VARIABLES = {"$__rate_interval": "20s", "$__range": "60s", "$edge": "e-1"}

Panel = dict[str, Any]


def dashboards() -> list[dict[str, Any]]:
    return [json.loads(path.read_text(encoding="utf-8")) for path in DASHBOARDS.glob("*.json")]


def panels() -> list[Panel]:
    return [panel for one in dashboards() for panel in one["panels"]]


def variables(kind: str) -> dict[str, str]:
    """What stands above the dashboards to choose from, or to fill in: its query by its name."""
    found = [each for one in dashboards() for each in one.get("templating", {}).get("list", [])]
    return {each["name"]: each["query"] for each in found if each["type"] == kind}


def queries() -> list[dict[str, Any]]:
    return [target for panel in panels() for target in panel.get("targets", [])]


def test_the_dashboards_are_printed_from_their_source(tmp_path: Path) -> None:
    script = ROOT / "scripts/print_dashboards.py"
    subprocess.run([sys.executable, script, tmp_path], check=True, timeout=60)
    printed = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert printed == {path.name: path.read_text() for path in DASHBOARDS.iterdir()}, (
        "print them again: .venv/bin/python scripts/print_dashboards.py"
    )


def test_there_is_a_dashboard_for_each_view() -> None:
    assert {one["uid"] for one in dashboards()} == UIDS


@pytest.mark.parametrize("one", dashboards(), ids=lambda one: one["uid"])
def test_no_panel_lies_on_another_one(one: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in one["panels"]:
        at = panel["gridPos"]
        x, y = at.get("x", 0), at.get("y", 0)
        cells = {(x + i, y + j) for i in range(at["w"]) for j in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert x + at["w"] <= COLUMNS, panel["title"]
        taken |= cells


def test_a_panel_says_what_it_shows_in_which_unit() -> None:
    for panel in panels():
        if panel["type"] == "text":
            continue
        assert panel["description"].endswith((".", ")")), panel["title"]
        if panel["type"] in {"timeseries", "stat"}:
            assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
            assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"], panel["title"]


def test_a_panel_that_names_an_alert_names_one_that_exists() -> None:
    guide = (ROOT / "docs/alerts.md").read_text(encoding="utf-8")
    named = {
        name for panel in panels() for name in re.findall(r"Diten\w+", panel.get("description", ""))
    }
    assert named
    assert [name for name in sorted(named) if f"### {name}\n" not in guide] == []


def test_the_page_of_alerts_names_for_each_the_panel_that_shows_what_it_is_about() -> None:
    guide = (ROOT / "docs/alerts.md").read_text(encoding="utf-8")
    looks = re.findall(r"^### (\w+)\n(?:.*\n)*?\*\*Look:\*\* (\w+), (.+)\.$", guide, re.MULTILINE)
    shown = {
        (one["uid"].removeprefix("diten-"), panel["title"]): panel
        for one in dashboards()
        for panel in one["panels"]
    }
    assert {alert for alert, _, _ in looks} == set(rules())
    for alert, view, title in looks:
        panel = shown[view, title]
        assert alert in panel["description"], (alert, title)
        drawn = " ".join(each["expr"] for each in panel["targets"])
        assert metrics_of(drawn) & metrics_of(rules()[alert]["expr"]), (alert, title)


def metrics_of(expression: str) -> set[str]:
    named = re.findall(r"\b(?:diten|process)_\w+|\bup\b", expression)
    return {re.sub(r"_(bucket|count|sum)$", "", name) for name in named}


def test_every_data_source_that_a_panel_asks_is_provisioned() -> None:
    provisioned = YAML(typ="safe").load(PROVISIONING / "datasources/diten.yml")["datasources"]
    known = {(each["type"], each["uid"]) for each in provisioned}
    asked = {(each["datasource"]["type"], each["datasource"]["uid"]) for each in queries()}
    assert asked == known


# --- against a running system -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Watched:
    """A running system, and a Prometheus that scrapes it."""

    prometheus: httpx.Client
    api: httpx.Client

    def ask(self, expression: str) -> list[dict[str, Any]]:
        answer = self.prometheus.get("/api/v1/query", params={"query": expression}).json()
        assert answer["status"] == "success", (expression, answer)
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def choices(self, query: str) -> set[str]:
        """What Grafana offers for a variable: it asks for a label's values in this way."""
        asked = re.fullmatch(r"label_values\((.+), (\w+)\)", query)
        assert asked is not None, query
        path = f"/api/v1/label/{asked[2]}/values"
        answer = self.prometheus.get(path, params={"match[]": asked[1]}).json()
        assert answer["status"] == "success", (query, answer)
        return set(answer["data"])

    def wait_for(self, what: str, holds: Callable[[], bool], within_s: float = ANSWERED_S) -> None:
        deadline_s = time.monotonic() + within_s
        while not holds():
            assert time.monotonic() < deadline_s, f"not within {within_s:g} s: {what}"
            time.sleep(POLL_S)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not installed (Debian: prometheus)")
    folder = tmp_path_factory.mktemp("watched")
    options = ("--mobility", "--edges", "2", "--devices", "10", "--speed", "20", "--source", "host")
    with up(folder / "data", *options, "--api-port", "0") as system:
        system.await_said("API")
        cloud = address(system, "cloud")
        targets = {name: address(system, name) for name in ("e-1", "e-2")}
        with (
            scraping(folder, {"cloud": cloud}, targets) as prometheus,
            httpx.Client(base_url=prometheus, timeout=10) as asked,
            httpx.Client(base_url=f"http://{cloud}", timeout=10) as api,
        ):
            yield Watched(asked, api)


def address(system: Up, role: str) -> str:
    line = next(line for line in system.said().splitlines() if line.split()[0] == role)
    return line.split()[1].removeprefix("http://")


@contextmanager
def scraping(folder: Path, *targets: dict[str, str]) -> Iterator[str]:
    """The shipped configuration, with this system's addresses, looking more often."""
    config = YAML(typ="safe").load(PROMETHEUS / "prometheus.yml")
    config["global"] = {
        "scrape_interval": SCRAPE,
        "scrape_timeout": SCRAPE,
        "evaluation_interval": SCRAPE,
    }
    config["rule_files"] = [str(PROMETHEUS / "rules/*.yml")]
    for job, found in zip(config["scrape_configs"], targets, strict=True):
        own = [{"targets": [at], "labels": {"instance": name}} for name, at in found.items()]
        path = folder / f"{job['job_name']}.json"
        path.write_text(json.dumps(own))
        job["file_sd_configs"] = [{"files": [str(path)]}]
    (folder / "prometheus.yml").write_text(json.dumps(config))
    listens = f"127.0.0.1:{free_port()}"
    command = [
        *("prometheus", f"--config.file={folder / 'prometheus.yml'}"),
        *(f"--storage.tsdb.path={folder / 'tsdb'}", f"--web.listen-address={listens}"),
        "--log.level=error",
    ]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        wait_until_ready(f"http://{listens}")
        yield f"http://{listens}"
    finally:
        process.terminate()
        process.wait(ANSWERED_S)


def wait_until_ready(prometheus: str) -> None:
    """It listens before it has read its rules, and answers 503 until then."""
    deadline_s = time.monotonic() + ANSWERED_S
    while True:
        with suppress(httpx.TransportError):
            if httpx.get(f"{prometheus}/-/ready", timeout=ANSWERED_S).is_success:
                return
        assert time.monotonic() < deadline_s, "Prometheus is not ready"
        time.sleep(POLL_S)


def filled(text: str) -> str:
    for name, value in VARIABLES.items():
        text = text.replace(name, value)
    assert "$" not in text, text
    return text


def has_moved(watched: Watched) -> bool:
    moved = watched.ask('diten_moves_total{result="done"} > 2')
    scraped = watched.ask("min(count_over_time(up[60s])) >= 8")
    settled = watched.ask(
        "diten_move_pause_seconds_count - diten_move_pause_seconds_count offset 3s > 0"
    )
    return bool(moved and scraped and settled)


@pytest.mark.system
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_every_expression_of_a_dashboard_has_data_on_a_running_system(watched: Watched) -> None:
    watched.wait_for("twins that move, scraped", lambda: has_moved(watched))
    expressions = {filled(each["expr"]): "" for each in queries() if "expr" in each}
    assert len(expressions) > 50
    silent = [expression for expression in expressions if not watched.ask(expression)]
    assert silent == []
    numberless = [
        expression
        for expression in expressions
        if all(each["value"][1] == "NaN" for each in watched.ask(expression))
    ]
    assert numberless == []


@pytest.mark.system
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_edges_to_choose_from_are_those_that_run(watched: Watched) -> None:
    asked = variables("query")
    assert set(asked) == {"edge"}
    assert set(variables("textbox")) == {"twin", "feature"}, "the others are filled in by hand"
    watched.wait_for("twins that move, scraped", lambda: has_moved(watched))
    assert {name: watched.choices(query) for name, query in asked.items()} == {
        "edge": {"e-1", "e-2"}
    }
    one_edge = [each["expr"] for each in queries() if "$edge" in each.get("expr", "")]
    assert one_edge
    for chosen in ("e-2", "(e-1|e-2)"):  # another one, and how Grafana writes both
        others = [filled(expression.replace("$edge", chosen)) for expression in one_edge]
        assert [each for each in others if not watched.ask(each)] == []


@pytest.mark.system
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_every_rule_is_evaluated_on_a_running_system_and_no_critical_alert_fires(
    watched: Watched,
) -> None:
    def rules() -> list[dict[str, Any]]:
        groups = watched.prometheus.get("/api/v1/rules").json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    watched.wait_for("twins that move, scraped", lambda: has_moved(watched))
    watched.wait_for("rules", lambda: all(rule["health"] == "ok" for rule in rules()))
    firing = [rule["name"] for rule in rules() if rule["state"] == "firing"]
    assert firing == []


@pytest.mark.system
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_one_twin_is_asked_for_at_the_api_and_found(watched: Watched) -> None:
    watched.wait_for("the cores of this host", lambda: "d-core-0" in cores(watched))
    now_ms = time.time() * 1000
    proposed = variables("textbox")
    assert proposed["twin"] in cores(watched)
    filled_in = {
        "${twin}": proposed["twin"],
        "${feature}": proposed["feature"],
        "${__from}": f"{now_ms - 60_000:.0f}",
        "${__to}": f"{now_ms + 60_000:.0f}",
    }
    asked = [each for each in queries() if "root_selector" in each]
    assert len(asked) == 3
    for query in asked:
        url = query["url"]
        for name, value in filled_in.items():
            url = url.replace(name, value)
        answer = watched.api.get(url)
        assert answer.status_code == httpx.codes.OK, answer.url
        rows = selected(query["root_selector"], answer.text)
        names = [column["selector"] for column in query["columns"]]
        assert rows
        assert all(any(row.get(name) is not None for row in rows) for name in names[:3]), rows


def cores(watched: Watched) -> list[str]:
    """The twins of this host's cores that have reported."""
    things = watched.api.get("/api/2/things?limit=200").json()
    named = [thing["thingId"].split(":")[1] for thing in things if thing["features"]]
    return [twin for twin in named if twin.startswith("d-core-")]


def selected(selector: str, text: str) -> list[dict[str, Any]]:
    """What Grafana's plugin makes of an answer; it speaks jq, in Go."""
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed (Debian: jq)")
    done = subprocess.run(["jq", selector], input=text, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    return found if isinstance(found, list) else [found]
