"""P1's experiments at a tiny scale."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.papers import legion_learning
from benchmarks.papers.legion import PAPER, deficits, drive, measures, run
from benchmarks.papers.legion_figures import draw
from benchmarks.papers.legion_reference import CASES, DELIVERED, HEAD_TO_HEAD, METRICS
from twin_runtime.physics.arguments import Array
from twin_runtime.physics.federated import squared_loss
from twin_runtime.problems.scenarios.smart_park import SmartPark

TINY = SmartPark(devices=60, scheduled=6, slots=8)
SEEDS = (0, 1)


@pytest.mark.parametrize("policy", sorted({case.policy for case in CASES}))
def test_every_case_gives_a_row_per_metric_beside_its_reference(policy: str) -> None:
    rows = list(run(policy, SEEDS, TINY))
    cases = [case for case in CASES if case.policy == policy]
    assert [(row.scenario, row.metric) for row in rows] == [
        (case.scenario, metric) for case in cases for metric in METRICS
    ]
    assert {(row.paper, row.policy, row.seeds) for row in rows} == {("P1", policy, 2)}
    assert all(np.isfinite(row.mean) for row in rows)
    expected = [case.reference.get(metric) for case in cases for metric in METRICS]
    assert [row.reference_value for row in rows] == expected


def test_the_paper_s_claims_are_ratios_to_its_opponents() -> None:
    rows = list(run("claims", SEEDS, TINY))
    delay = rows[0]
    assert delay.scenario.endswith("V=60 over cs-ucb-q")
    assert (delay.paper_value, delay.metric) == (1.0548, "iteration_s")
    assert delay.reference_value == pytest.approx(0.4430 / 0.4707)
    assert all(row.mean > 0 for row in rows)


def test_a_lost_upload_keeps_no_promise_where_deliveries_count() -> None:
    (case,) = (case for case in CASES if case.policy == DELIVERED)
    end = drive(case, 0, TINY).end
    assert (end.credited_slots < end.scheduled_slots).any()
    assert deficits(end).tolist() == (end.rate_min - end.credited_slots / 8).tolist()
    assert (drive(HEAD_TO_HEAD, 0, TINY).end.credited_slots.sum()) == 8 * 6


def test_figure_3_stands_beside_the_paper_with_checksums_and_without() -> None:
    found = list(legion_learning.rows(SEEDS, TINY, slots=4))
    assert len(found) == 3 * 2 * 2 + 2 * 2
    assert {row.paper_value for row in found} == {None, 1 - 0.2573, 1 - 0.5421}
    assert all(row.mean > 0 for row in found)


def test_a_model_of_zeros_loses_a_tenth_and_then_learns() -> None:
    (first, _), (later, _) = (legion_learning.learn(HEAD_TO_HEAD, 0, TINY, n) for n in (1, 8))
    assert first.loss == pytest.approx(0.1, abs=1e-9)
    assert later.held_out < first.held_out < 0.1


def test_random_codes_of_damaged_uploads_spoil_the_model() -> None:
    noisy = replace(TINY, interference_dbm=-80.0, slots=20)
    whole, mixed = legion_learning.learn(HEAD_TO_HEAD, 0, noisy, 20)
    assert whole.held_out < mixed.held_out


def test_sixty_rows_lose_what_all_samples_lose() -> None:
    generator = np.random.default_rng(0)
    pictures = generator.random((10, 49))
    inputs, targets = legion_learning._samples(pictures, 300, generator)
    both = np.hstack([inputs, targets])
    rows = legion_learning.rows_of(both.T @ both / 300)
    model = generator.normal(size=(50, 10))
    whole = squared_loss(predicted=inputs @ model, target=targets)
    short = squared_loss(predicted=rows[:, :50] @ model, target=rows[:, 50:])
    assert short == pytest.approx(float(whole), rel=1e-9)


def test_the_bound_is_below_the_oracle_that_keeps_promises() -> None:
    (bound,) = run("bound", (0,), TINY)
    unhurried = next(case for case in CASES if case.policy == "oracle" and case.delay_weight == 3)
    assert 0 < bound.mean < measures(drive(unhurried, 0, TINY))["device_s"]


def test_all_policies_meet_the_same_park() -> None:
    def gains(policy: str) -> Array:
        case = next(case for case in CASES if case.policy == policy)
        return drive(case, 0, TINY).end.gain

    assert (gains("random") == gains("oracle")).all()
    assert (gains("random") == gains("oracle-heard")).all()


def test_twins_that_are_heard_from_plan_shorter_rounds_than_deaf_ones() -> None:
    park = SmartPark(devices=150, scheduled=15, slots=60)
    deaf, heard, true = (
        next(case for case in CASES if case.policy == policy and case.delay_weight == 60.0)
        for policy in ("oracle-twin", "oracle-heard", "sweep")
    )
    delays = [measures(drive(case, 0, park))["device_s"] for case in (true, heard, deaf)]
    assert delays == sorted(delays)


def test_the_reference_of_the_head_to_head_is_the_digest_s() -> None:
    assert HEAD_TO_HEAD.reference["energy_100_j"] == 2112
    assert len(CASES) == 20
    assert PAPER.policies[-3:] == ("bound", "claims", "figure-3")


def test_figures_are_the_same_each_time(tmp_path: Path) -> None:
    first, second = draw(tmp_path / "a", TINY), draw(tmp_path / "b", TINY)
    names = [f"legion_{what}.svg" for what in ("delay", "energy", "shares")]
    assert [path.name for path in first] == names
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
