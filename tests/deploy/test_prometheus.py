"""The alerts: each fires on what it is for, is silent on a healthy system, and says what to do."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy/prometheus"
RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))
SEVERITIES = {"critical", "warning"}
FIRES_BY = "65m"
STEPS = 400  # of 10 s: a little beyond
CLOUD = 'job="diten-cloud",instance="cloud"'
EDGE = 'job="diten-edge",instance="e-1"'

Rule = dict[str, Any]
Series = dict[str, str]


def rules() -> dict[str, Rule]:
    """All alerts by name."""
    found = [rule for path in RULES for rule in rules_of(path)]
    assert len({rule["alert"] for rule in found}) == len(found)
    return {rule["alert"]: rule for rule in found}


def rules_of(path: Path) -> list[Rule]:
    groups: list[dict[str, Any]] = YAML(typ="safe").load(path)["groups"]
    return [rule for group in groups for rule in group["rules"]]


def level(value: float) -> str:
    return f"{value}x{STEPS}"


def growing(by: float, since: float = 0) -> str:
    return f"{since:g}{by:+.10g}x{STEPS}"


def histogram(name: str, labels: str, by: dict[str, float]) -> Series:
    return {f'{name}_bucket{{{labels},le="{le}"}}': growing(step) for le, step in by.items()}


# What a quiet, healthy system exports, as far as alerts look at it.
HEALTHY: Series = {
    f"up{{{CLOUD}}}": level(1),
    f"up{{{EDGE}}}": level(1),
    f"diten_ready{{{EDGE}}}": level(1),
    f"diten_bus_connected{{{EDGE}}}": level(1),
    f"diten_bus_reconnects_total{{{EDGE}}}": level(2),
    f"diten_inbox_drops_total{{{EDGE}}}": level(5),
    f"diten_store_full_total{{{EDGE}}}": level(1),
    f"diten_disk_free_bytes{{{EDGE}}}": growing(-1e5, 2e10),
    f"process_start_time_seconds{{{EDGE}}}": level(1000),
    f"process_open_fds{{{EDGE}}}": level(40),
    f"process_max_fds{{{EDGE}}}": level(1024),
    **histogram("diten_commit_seconds", EDGE, {"0.03": 99, "0.3": 100, "+Inf": 100}),
    **histogram("diten_ack_latency_seconds", EDGE, {"0.06": 99.5, "0.3": 100, "+Inf": 100}),
    f'diten_twin_age_seconds_bucket{{{CLOUD},le="300.0"}}': level(20),
    f"diten_twin_age_seconds_count{{{CLOUD}}}": level(20),
    f'diten_devices{{{CLOUD},presence="lost"}}': level(0),
    f"diten_twins_refused_total{{{CLOUD}}}": level(0),
    f'diten_reports_total{{{EDGE},outcome="applied"}}': growing(100),
    f'diten_reports_total{{{EDGE},outcome="gap"}}': growing(1),
    f'diten_checkpoints_total{{{CLOUD},outcome="stored"}}': growing(10),
    f'diten_checkpoints_total{{{CLOUD},outcome="behind"}}': level(3),
    f'diten_twins{{{EDGE},phase="active"}}': level(10),
    f"diten_outbox_rows{{{EDGE}}}": level(300),
    f"diten_reports_unprotected_total{{{EDGE}}}": level(4),
    f"diten_reports_coalesced_total{{{EDGE}}}": level(4),
    f"diten_retransmissions_total{{{EDGE}}}": growing(1),
    f"diten_reports_produced_total{{{EDGE}}}": growing(100),
    f'diten_rejects_total{{{EDGE},reason="not_json"}}': level(9),
    f'diten_fenced_total{{{EDGE},kind="report"}}': growing(1),
    f'diten_twins{{{CLOUD},phase="sealing"}}': level(1),
    f'diten_twins{{{CLOUD},phase="activating"}}': level(0),
    f'diten_moves_total{{{CLOUD},result="done"}}': growing(1),
    **histogram("diten_move_pause_seconds", CLOUD, {"0.1": 1, "3.0": 1, "+Inf": 1}),
    f"diten_failovers_total{{{CLOUD}}}": level(20),
    f"diten_twins_adopted_total{{{CLOUD}}}": level(20),
    f'diten_twins_left_alone{{{CLOUD},reason="disputed"}}': level(0),
    f'diten_decisions_total{{{CLOUD},outcome="failed"}}': level(1),
    f"diten_samples_refused_total{{{EDGE}}}": level(3),
    f'diten_commands_total{{{EDGE},outcome="done"}}': growing(1),
    f'diten_commands_total{{{EDGE},outcome="no_answer"}}': level(2),
    f'diten_build_info{{{CLOUD},version="1"}}': level(1),
    f'diten_build_info{{{EDGE},version="1"}}': level(1),
    f"diten_blobs_lacking{{{EDGE}}}": level(0),
    f"diten_blob_digests_wrong_total{{{EDGE}}}": level(1),
    f'diten_blob_failures_total{{{EDGE},reason="silent"}}': growing(1),
    f'diten_blob_failures_total{{{EDGE},reason="full"}}': level(0),
}

# What is different when an alert must fire.
TROUBLE: dict[str, Series] = {
    "DitenEdgeDown": {f"up{{{EDGE}}}": level(0)},
    "DitenCloudDown": {f"up{{{CLOUD}}}": level(0)},
    "DitenNotReady": {f"diten_ready{{{EDGE}}}": level(0)},
    "DitenStoreFull": {f"diten_store_full_total{{{EDGE}}}": f"0x360 1x{STEPS - 360}"},
    "DitenDiskLow": {f"diten_disk_free_bytes{{{EDGE}}}": level(5e8)},
    "DitenDiskFillsUp": {f"diten_disk_free_bytes{{{EDGE}}}": growing(-1e7, 2e10)},
    "DitenBusDisconnected": {f"diten_bus_connected{{{EDGE}}}": level(0)},
    "DitenBusFlaps": {f"diten_bus_reconnects_total{{{EDGE}}}": growing(0.1)},
    "DitenInboxDrops": {f"diten_inbox_drops_total{{{EDGE}}}": growing(1)},
    "DitenRestarts": {f"process_start_time_seconds{{{EDGE}}}": growing(10)},
    "DitenOpenFilesNearLimit": {f"process_open_fds{{{EDGE}}}": level(900)},
    "DitenCommitsSlow": histogram(
        "diten_commit_seconds", EDGE, {"0.03": 90, "0.3": 95, "1.0": 100, "+Inf": 100}
    ),
    "DitenAcksSlow": histogram(
        "diten_ack_latency_seconds", EDGE, {"0.06": 90, "0.3": 95, "3.0": 100, "+Inf": 100}
    ),
    "DitenTwinsStale": {f'diten_twin_age_seconds_bucket{{{CLOUD},le="300.0"}}': level(19)},
    "DitenMostTwinsStale": {f'diten_twin_age_seconds_bucket{{{CLOUD},le="300.0"}}': level(9)},
    "DitenDevicesLost": {f'diten_devices{{{CLOUD},presence="lost"}}': level(1)},
    "DitenTwinsRefused": {f"diten_twins_refused_total{{{CLOUD}}}": growing(1)},
    "DitenNothingGetsStable": {f'diten_checkpoints_total{{{CLOUD},outcome="stored"}}': level(10)},
    "DitenCheckpointsBehind": {f'diten_checkpoints_total{{{CLOUD},outcome="behind"}}': growing(1)},
    "DitenOutboxesFill": {f"diten_outbox_rows{{{EDGE}}}": level(60_000)},
    "DitenReportsUnprotected": {f"diten_reports_unprotected_total{{{EDGE}}}": growing(1)},
    "DitenReportsCoalesced": {f"diten_reports_coalesced_total{{{EDGE}}}": growing(1)},
    "DitenReportGaps": {f'diten_reports_total{{{EDGE},outcome="gap"}}': growing(10)},
    "DitenRetransmissions": {f"diten_retransmissions_total{{{EDGE}}}": growing(20)},
    "DitenRejects": {f'diten_rejects_total{{{EDGE},reason="not_json"}}': growing(2)},
    "DitenFenced": {f'diten_fenced_total{{{EDGE},kind="report"}}': growing(10)},
    "DitenSamplesRefused": {f"diten_samples_refused_total{{{EDGE}}}": growing(1)},
    "DitenCommandsUnanswered": {
        f'diten_commands_total{{{EDGE},outcome="no_answer"}}': growing(0.1)
    },
    "DitenVersionsDiffer": {f'diten_build_info{{{EDGE},version="2"}}': level(1)},
    "DitenMovesStuck": {f'diten_moves_total{{{CLOUD},result="done"}}': level(7)},
    "DitenTwinsUnowned": {f'diten_twins{{{CLOUD},phase="activating"}}': level(2)},
    "DitenMovePauseLong": histogram(
        "diten_move_pause_seconds", CLOUD, {"0.1": 1, "3.0": 2, "+Inf": 2}
    ),
    "DitenFailovers": {f"diten_failovers_total{{{CLOUD}}}": growing(1)},
    "DitenCloudStoreOld": {f"diten_twins_adopted_total{{{CLOUD}}}": growing(1)},
    "DitenTwinsLeftAlone": {f'diten_twins_left_alone{{{CLOUD},reason="disputed"}}': level(1)},
    "DitenDecisionsFail": {f'diten_decisions_total{{{CLOUD},outcome="failed"}}': growing(0.1)},
    "DitenBlobsLacking": {f"diten_blobs_lacking{{{EDGE}}}": level(1)},
    "DitenBlobDigestsWrong": {f"diten_blob_digests_wrong_total{{{EDGE}}}": growing(1)},
    "DitenBlobsWithoutRoom": {f'diten_blob_failures_total{{{EDGE},reason="full"}}': growing(1)},
}


@pytest.fixture(scope="module")
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    return found


def checked(promtool: str, *arguments: str | Path) -> None:
    done = subprocess.run(
        [promtool, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def firing(alert: str, wanted: int) -> dict[str, Any]:
    """A check that so many alerts of this name fire (`or vector(0)`: none is a number, too)."""
    return {
        "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0)',
        "eval_time": FIRES_BY,
        "exp_samples": [{"labels": "{}", "value": wanted}],
    }


def a_case(series: Series, checks: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "interval": "10s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": checks,
    }


def run_cases(promtool: str, folder: Path, cases: list[dict[str, Any]]) -> None:
    path = folder / "rules_test.json"  # which is YAML, too
    told = {"rule_files": [str(path) for path in RULES], "evaluation_interval": "30s"}
    path.write_text(json.dumps({**told, "tests": cases}))
    checked(promtool, "test", "rules", path)


def test_prometheus_takes_the_configuration_and_the_rules(promtool: str) -> None:
    checked(
        promtool, "check", "config", "--lint=all", "--lint-fatal", PROMETHEUS / "prometheus.yml"
    )
    checked(promtool, "check", "rules", "--lint=all", "--lint-fatal", *RULES)


def test_each_alert_fires_on_what_it_is_for(promtool: str, tmp_path: Path) -> None:
    assert set(TROUBLE) == set(rules()), "each alert has its trouble"
    disturbed = [name for each in TROUBLE.values() for name in each]
    # A bucket or a version of its own may come with the trouble; other series are there before.
    assert all(re.search(r"_bucket|build_info", name) or name in HEALTHY for name in disturbed)
    cases = [a_case({**HEALTHY, **series}, [firing(alert, 1)]) for alert, series in TROUBLE.items()]
    run_cases(promtool, tmp_path, cases)


def test_no_alert_fires_on_a_healthy_system(promtool: str, tmp_path: Path) -> None:
    run_cases(promtool, tmp_path, [a_case(HEALTHY, [firing(alert, 0) for alert in rules()])])


def test_an_alert_that_should_fire_and_does_not_is_found(promtool: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="DitenEdgeDown"):
        run_cases(promtool, tmp_path, [a_case(HEALTHY, [firing("DitenEdgeDown", 1)])])


def test_an_alert_reads_as_a_sentence_with_the_numbers(promtool: str, tmp_path: Path) -> None:
    low = rules()["DitenDiskLow"]
    annotations = {
        "summary": "e-1 has 476.8MiB of disk left",
        "runbook": low["annotations"]["runbook"],
    }
    labels = {"severity": "warning", "job": "diten-edge", "instance": "e-1"}
    wanted = {
        "eval_time": "20m",
        "alertname": "DitenDiskLow",
        "exp_alerts": [{"exp_labels": labels, "exp_annotations": annotations}],
    }
    case = a_case({f"diten_disk_free_bytes{{{EDGE}}}": level(5e8)}, [])
    run_cases(promtool, tmp_path, [{**case, "alert_rule_test": [wanted]}])


def test_each_alert_has_a_severity_a_summary_and_a_section_that_says_what_to_do() -> None:
    guide = (ROOT / "docs/alerts.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", guide, re.MULTILINE | re.DOTALL))
    assert set(sections) == set(rules())
    for alert, rule in rules().items():
        assert rule["labels"]["severity"] in SEVERITIES
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["runbook"] == f"docs/alerts.md#{alert.lower()}"
        assert {"Means", "Look", "Do"} <= set(
            re.findall(r"^\*\*(\w+):\*\*", sections[alert], re.MULTILINE)
        )


def test_alerts_ask_for_metrics_that_exist() -> None:
    from twin_runtime.adapters.metrics import METRICS, PREFIX  # noqa: PLC0415 - NumPy

    declared = {PREFIX + metric.name for metric in METRICS}
    for alert, rule in rules().items():
        for name in re.findall(r"\bditen_\w+", rule["expr"]):
            assert re.sub(r"_(bucket|count|sum)$", "", name) in declared, (alert, name)
