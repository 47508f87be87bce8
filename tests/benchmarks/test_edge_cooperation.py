"""P5's experiments, at a tiny scale."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.papers import edge_cooperation as paper
from benchmarks.papers import edge_cooperation_figures as figures
from benchmarks.papers.edge_cooperation_batteries import batteries, battery_rows
from benchmarks.papers.edge_cooperation_faults import faults
from twin_runtime.problems.cooperation import PROBLEM
from twin_runtime.problems.environment import Environment
from twin_runtime.problems.scenarios.wide_area import FULL, WideArea

TINY = replace(paper.DEFAULT, scenario=replace(FULL, servers=10, side_m=1500.0), snapshots=3)


def test_a_policy_has_a_row_to_alone_and_one_to_the_oracle() -> None:
    rows = {row.metric: row for row in paper.snapshot_rows("local_search", (1, 2), TINY)}
    to_alone, to_oracle = rows["energy_to_alone_ratio"], rows["energy_to_oracle_ratio"]
    assert 0.0 < to_alone.mean <= 1.0
    assert to_alone.reference_value == 0.134
    assert 1.0 <= to_oracle.mean < 1.05
    assert (to_alone.paper, to_alone.seeds) == ("P5", 2)


def test_alone_is_reported_in_kilojoules() -> None:
    row = next(paper.snapshot_rows("alone", (1, 2), TINY))
    assert row.metric == "energy_kj"
    _, cost = paper.snapshots("alone", TINY, 1)
    _, other = paper.snapshots("alone", TINY, 2)
    joules = [each.parts["energy_j"].sum(axis=-1).mean() for each in (cost, other)]
    assert row.mean == pytest.approx(np.mean(joules) / 1e3)


def test_all_policies_of_a_seed_see_the_same_worlds() -> None:
    alone = [paper.snapshots(name, TINY, 3)[1].parts["alone_j"] for name in ("random", "oracle")]
    np.testing.assert_array_equal(alone[0], alone[1])


def test_servers_are_counted_in_the_right_cell_of_figure_4() -> None:
    state, cost = paper.snapshots("oracle", TINY, 4)
    shares = paper.helper_shares(state, cost)
    assert shares.shape == (3, 3)
    assert ((shares >= 0.0) & (shares <= 1.0)).all()
    assert len(list(paper.helper_rows((4,), TINY))) == 2 + 9


def test_failures_cost_more_the_later_they_are_noticed_and_pretraining_saves() -> None:
    found = faults(Environment(PROBLEM, TINY.scenario, 5, 3).state)
    ratios = {name: ratio for name, (ratio, _) in found.items()}
    assert ratios["pretraining"] < 1.0 <= ratios["planned_with_0.6"]
    assert ratios["planned_with_0.6"] <= ratios["chosen_and_planned_with_0.6"] + 0.5
    noticed = [ratios[f"failures_known_{how}"] for how in ("at_once", "by_progress", "by_silence")]
    assert noticed == sorted(noticed)


def test_more_power_leaves_fewer_sensors_available() -> None:
    weak, strong = (batteries(WideArea(), 6, tenths, 10, 30) for tenths in (1, 10))
    assert weak[0] > strong[0]
    assert weak[1] < strong[1]
    assert weak[2] < strong[2]


def test_in_the_long_run_sensors_spend_no_more_than_they_harvest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small = WideArea(servers=5, embb_start_j=(1.0, 1.0))
    monkeypatch.setattr("benchmarks.papers.edge_cooperation_batteries.AREAS", {"": small})
    rows = {(row.scenario, row.metric): row for row in battery_rows((7,), 20, 80)}
    for level in (5, 10):
        assert 3.5 < rows[f"level {level}", "spent_mj"].mean <= 1e3 * small.embb_harvest_j * 1.05
    assert rows["level 5", "available_embb_share"].reference_value == 0.57


def test_figures_are_the_same_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paper, "DEFAULT", TINY)
    monkeypatch.setattr(paper, "SIZES", ())
    monkeypatch.setattr(paper, "DEADLINES", ())
    first, second = (figures.draw(tmp_path / name, (7,)) for name in ("a", "b"))
    assert [path.name for path in first] == [
        "edge_cooperation_servers.svg",
        "edge_cooperation_deadline.svg",
        "edge_cooperation_stars.svg",
    ]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
