"""P4's experiments at a tiny scale."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.papers.edge_association_ledger import (
    BEYOND,
    ONE_MODEL,
    PAPER,
    PER_TWIN,
    STATIC,
    STATIC_ALL,
    Setting,
    round_rows,
    training_rows,
)
from benchmarks.papers.edge_association_ledger_figures import draw
from benchmarks.papers.edge_association_two_phases import two_phases
from twin_runtime.problems.edge_association import PROBLEM
from twin_runtime.problems.environment import Environment


def tiny(setting: Setting) -> Setting:
    return replace(setting, scenario=replace(setting.scenario, twins=20), rounds=3)


@pytest.mark.parametrize("setting", [ONE_MODEL, PER_TWIN], ids=["one_model", "per_twin"])
def test_rounds_give_a_row_per_metric_beside_the_reference(setting: Setting) -> None:
    rows = {row.metric: row for row in round_rows("random", (0, 1), tiny(setting))}
    assert rows["round_s"].reference_value == setting.reference["random"]["round_s"]
    assert {row.seeds for row in rows.values()} == {2}
    parts = ("training_s", "upload_s", "verification_s", "rest_s")
    assert sum(rows[part].mean for part in parts) == pytest.approx(rows["round_s"].mean)
    assert rows["over_oracle"].mean > 1.0


@pytest.mark.parametrize("setting", BEYOND, ids=lambda setting: setting.name.replace(" ", "_"))
def test_the_oracle_says_how_far_it_may_be_from_the_shortest_round(setting: Setting) -> None:
    rows = {row.metric: row for row in round_rows("oracle", (0,), tiny(setting))}
    assert 0.0 <= rows["gap"].mean < 0.06  # twenty twins are few: a whole one is a lot
    assert rows["gap"].reference_value is None


def test_a_program_of_two_phases_is_near_the_shortest_round_and_hosts_somebody_everywhere() -> None:
    rows = {row.metric: row for row in round_rows("two_phases", (0, 1), tiny(PER_TWIN))}
    assert 1.0 <= rows["over_oracle"].mean < 1.1
    world = Environment(PROBLEM, tiny(PER_TWIN).scenario, 0, 3)
    for host in two_phases(world.state, world.generator).host:
        assert set(host) == set(range(5))


@pytest.mark.parametrize("setting", [STATIC, STATIC_ALL], ids=["a_tenth", "all"])
def test_trainings_are_those_of_the_reference(setting: Setting) -> None:
    for policy, reference in setting.reference.items():
        rows = {row.metric: row for row in training_rows(policy, (0,), setting)}
        for metric, value in reference.items():
            assert rows[metric].mean == pytest.approx(value, rel=8e-3 if value < 1 else 8e-4)


def test_a_policy_that_decides_batches_is_judged_by_trainings_only() -> None:
    rows = list(PAPER.run("average_adaptive", (0,)))
    assert {row.scenario for row in rows} == {"static"}
    assert {row.paper for row in rows} == {"P4"}


def test_figures_are_the_same_each_time(tmp_path: Path) -> None:
    first, second = draw(tmp_path / "a", tiny(ONE_MODEL)), draw(tmp_path / "b", tiny(ONE_MODEL))
    assert [path.name for path in first] == [
        f"edge_association_ledger_{what}.svg" for what in ("round", "progress", "training")
    ]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
