"""Metrics: what is counted is exported, and nothing makes the number of series grow."""

import logging
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from twin_runtime.adapters.metrics import METRICS, ServiceMetrics
from twin_runtime.core.effects import Note
from twin_runtime.core.twin import Phase

NOW_MS = 1_900_000_000_000
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Reported:
    reported_wall_ms: int


def a_service() -> ServiceMetrics:
    return ServiceMetrics({}, {}, lambda: NOW_MS)


def samples(metrics: ServiceMetrics) -> dict[tuple[str, str], float]:
    """Values by sample name and label value."""
    text = metrics.render().decode()
    return {
        (sample.name, "".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_counts_add_up_over_commits() -> None:
    metrics = a_service()
    metrics.record({("reports_total", "applied"): 2, ("store_full_total", ""): 1}, (), ())
    metrics.record({("reports_total", "applied"): 3}, (), ())
    assert samples(metrics)["diten_reports_total", "applied"] == 5
    assert samples(metrics)["diten_store_full_total", ""] == 1


def test_a_counter_is_there_before_it_first_counts() -> None:
    assert samples(a_service())["diten_rejects_total", "not_json"] == 0


def test_a_label_value_outside_the_vocabulary_is_counted_as_other() -> None:
    metrics = a_service()
    before = len(samples(metrics))
    metrics.record({("rejects_total", f"invented-{i}"): 1 for i in range(100)}, (), ())
    assert samples(metrics)["diten_rejects_total", "other"] == 100
    assert len(samples(metrics)) == before


def test_an_undeclared_metric_is_our_own_mistake() -> None:
    with pytest.raises(AssertionError, match="invented_total"):
        a_service().record({("invented_total", ""): 1}, (), ())
    with pytest.raises(AssertionError, match="invented_total"):
        ServiceMetrics({"invented_total": lambda: 1}, {}, lambda: NOW_MS)


def test_an_observation_falls_into_the_bucket_whose_bound_it_does_not_exceed() -> None:
    metrics = a_service()
    metrics.record({}, [("commit_seconds", 0.003), ("commit_seconds", 5.0)], ())
    found = samples(metrics)
    assert found["diten_commit_seconds_bucket", "0.001"] == 0
    assert found["diten_commit_seconds_bucket", "0.003"] == 1
    assert found["diten_commit_seconds_bucket", "1.0"] == 1
    assert found["diten_commit_seconds_bucket", "+Inf"] == 2
    assert found["diten_commit_seconds_sum", ""] == pytest.approx(5.003)


def test_a_reading_is_taken_at_each_scrape() -> None:
    connected = [0, 1]
    metrics = ServiceMetrics({"bus_connected": connected.pop}, {}, lambda: NOW_MS)
    assert samples(metrics)["diten_bus_connected", ""] == 1
    assert samples(metrics)["diten_bus_connected", ""] == 0


def test_a_reading_may_be_a_counter_that_somebody_else_keeps() -> None:
    metrics = ServiceMetrics({"inbox_drops_total": lambda: 7}, {}, lambda: NOW_MS)
    assert samples(metrics)["diten_inbox_drops_total", ""] == 7


def test_twins_are_read_by_phase_and_unknown_phases_summed_up() -> None:
    phases = {"active": 3, "odd": 1, "strange": 2}
    metrics = ServiceMetrics({"twins": lambda: phases}, {}, lambda: NOW_MS)
    found = samples(metrics)
    assert [found["diten_twins", phase] for phase in ("active", "sealed", "other")] == [3, 0, 3]


def test_a_gauge_nobody_reads_is_absent_rather_than_zero() -> None:
    assert ("diten_bus_connected", "") not in samples(a_service())


def test_what_only_devices_count_is_not_claimed_to_be_zero_by_a_service() -> None:
    assert ("diten_reports_coalesced_total", "") not in samples(a_service())
    metrics = ServiceMetrics({"reports_coalesced_total": lambda: 4}, {}, lambda: NOW_MS)
    assert samples(metrics)["diten_reports_coalesced_total", ""] == 4


def test_ages_are_those_of_all_twins_at_the_scrape() -> None:
    ages_ms = {"d-1": 500, "d-2": 1000, "d-3": 7000, "d-4": 10**9, "d-ahead": -5000}
    view = {twin: Reported(NOW_MS - age_ms) for twin, age_ms in ages_ms.items()}
    view["d-never"] = Reported(0)
    found = samples(ServiceMetrics({}, view, lambda: NOW_MS))
    assert found["diten_twin_age_seconds_bucket", "1.0"] == 3
    assert found["diten_twin_age_seconds_bucket", "5.0"] == 3
    assert found["diten_twin_age_seconds_bucket", "10.0"] == 4
    assert found["diten_twin_age_seconds_bucket", "86400.0"] == 4
    assert found["diten_twin_age_seconds_count", ""] == 5
    assert found["diten_twin_age_seconds_sum", ""] == pytest.approx(0.5 + 1 + 7 + 10**6)


def test_ages_of_an_empty_view_are_zero() -> None:
    assert samples(a_service())["diten_twin_age_seconds_count", ""] == 0


def test_services_in_one_process_do_not_share_a_registry() -> None:
    one, other = a_service(), a_service()
    one.record({("store_full_total", ""): 1}, (), ())
    assert samples(other)["diten_store_full_total", ""] == 0


def test_notes_reach_the_log(caplog: pytest.LogCaptureFixture) -> None:
    a_service().record({}, (), (Note("error", "the disk is full"),))
    [line] = caplog.records
    assert (line.levelno, line.getMessage()) == (logging.ERROR, "the disk is full")


@dataclass(frozen=True, slots=True)
class AtEpoch:
    epoch: int

    def state(self) -> "AtEpoch":
        return self


def test_a_note_about_a_twin_that_is_here_carries_its_epoch(
    caplog: pytest.LogCaptureFixture,
) -> None:
    metrics = ServiceMetrics({}, {"d-1": AtEpoch(7)}, lambda: NOW_MS)
    notes = (
        *(Note("error", "a", twin) for twin in ("d-1", "d-2")),
        Note("error", "b", "d-1", epoch=6),
    )
    metrics.record({}, (), notes)
    assert [vars(line).get("epoch") for line in caplog.records] == [7, None, 6]


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_names_follow_the_conventions(metric: object) -> None:
    assert metric in METRICS
    [found] = [declared for declared in METRICS if declared is metric]
    assert re.fullmatch(r"[a-z][a-z_]*", found.name)
    assert found.name.endswith("_total") == (found.kind == "counter")
    assert found.help.endswith(".")
    assert bool(found.bounds) == (found.kind == "histogram")
    assert list(found.bounds) == sorted(set(found.bounds))


def test_no_metric_is_declared_twice() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_all_phases_of_a_twin_are_in_the_vocabulary() -> None:
    [twins] = [metric for metric in METRICS if metric.name == "twins"]
    assert {phase.value for phase in Phase} <= set(twins.values)


def test_every_name_and_label_that_a_machine_counts_is_declared() -> None:
    declared = {metric.name: metric.values for metric in METRICS}
    counted = re.compile(r"""\.count\(\s*"(\w+)"(?:,\s*"(\w+)")?""")
    sources = [*ROOT.glob("*/machine.py"), *ROOT.glob("edge_node/*.py"), *ROOT.glob("cloud/*.py")]
    sources += [ROOT / "twin_runtime" / "shell.py", *ROOT.glob("device_agent/*.py")]
    for source in sources:
        for name, value in counted.findall(source.read_text()):
            assert name in declared, f"{source.name} counts {name}"
            assert not value or value in declared[name], f"{source.name} counts {name}{{{value}}}"


def test_a_process_says_what_it_takes_of_its_machine() -> None:
    found = samples(a_service())
    assert found["process_resident_memory_bytes", ""] > 1e6
    assert found["process_start_time_seconds", ""] > 0
