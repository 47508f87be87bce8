"""P3's experiments at a tiny scale."""

from pathlib import Path

import pytest

from benchmarks.papers.migration import (
    PAPER,
    bound_rows,
    case_rows,
    clairvoyant,
    course,
    drive,
    gap_rows,
    horizon_rows,
    small,
)
from benchmarks.papers.migration_figures import draw
from benchmarks.papers.migration_reference import CASES, GAPS, HORIZON, METRICS, UPPER_BOUND, Case


def case(policy: str, name: str) -> Case:
    return next(each for each in CASES if (each.policy, each.name) == (policy, name))


def test_a_case_gives_a_row_per_metric_beside_the_reference() -> None:
    rows = {row.metric: row for row in case_rows(case("nearest", "T2 S=9"), (0, 1), 20)}
    assert tuple(rows) == METRICS
    assert rows["gain"].reference_value == -0.1393
    assert {row.seeds for row in rows.values()} == {2}
    worth = 0.3 * rows["utility"].mean - 0.7 * rows["saturation"].mean
    assert rows["gain"].mean == pytest.approx(worth)


def test_nearest_is_near_the_reference_in_few_slots() -> None:
    rows = {row.metric: row for row in case_rows(case("nearest", "BAL S=15"), (0, 1, 2), 40)}
    for metric, row in rows.items():
        assert row.reference_value is not None
        assert row.mean == pytest.approx(row.reference_value, rel=0.15), metric


def test_no_policy_passes_the_bound() -> None:
    bounds = {row.scenario: row.mean for row in bound_rows((0,), 10)}
    assert set(bounds) == {f"any S={edges}" for edges in UPPER_BOUND}
    held = drive("hold", case("hold", "BAL S=9").scenario, 0, 10)
    assert held["gain"].mean() < bounds["any S=9"]


def test_gaps_are_to_the_exact_placement() -> None:
    rows = {row.metric: row for row in gap_rows("BAL", "wide", (0,), 2, "wide")}
    assert 0 <= rows["gap_mean"].mean <= rows["gap_max"].mean < 0.01
    assert rows["exact_share"].reference_value == GAPS["BAL", "wide"]["exact_share"]
    after = next(iter(gap_rows("BAL", "nearest", (0,), 2, "wide")))
    assert after.scenario == "BAL U=8 S=4 after wide"
    assert after.mean > 0


def test_looking_ahead_lies_between_deciding_at_once_and_the_bound() -> None:
    means = {}
    for policy in ("oracle", "clairvoyant", "bound"):
        (row,) = horizon_rows("T2", policy, (0,), 4)
        assert row.reference_value == HORIZON["T2", policy]
        means[policy] = row.mean
    assert means["oracle"] <= means["clairvoyant"] <= means["bound"]
    assert clairvoyant(course(small("T2", 2, 2, 0.3), 0, 3)).edge.shape == (3, 2)


def test_every_policy_has_rows() -> None:
    named = {each.policy for each in CASES} | {policy for _, policy in (*GAPS, *HORIZON)}
    assert set(PAPER.policies) == named


def test_figures_are_the_same_each_time(tmp_path: Path) -> None:
    first, second = draw(tmp_path / "a", 3), draw(tmp_path / "b", 3)
    assert [path.name for path in first] == ["migration_gain.svg", "migration_optima.svg"]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
