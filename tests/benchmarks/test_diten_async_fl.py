"""The experiments of [P2], in their smallest form."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.papers import assignment_ratios, asynchronous_peers, softmax_regression
from benchmarks.papers.diten_async_fl import PAPER, SCHEMES, Scale, learn, rows
from benchmarks.papers.diten_async_fl_figures import draw
from twin_runtime.problems.scenarios.industrial_iot import IndustrialIot

TINY = Scale(
    rounds=2,
    participants=(30,),
    flat=(30,),
    assignments=assignment_ratios.Scale(small=1, large=1, participants=(10,)),
    arrivals=40,
)


@pytest.fixture(autouse=True)
def _small_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(softmax_regression, "FEATURES", 4)
    monkeypatch.setattr(softmax_regression, "WEIGHTS", 5 * softmax_regression.CLASSES)


@pytest.mark.parametrize("policy", PAPER.policies)
def test_every_policy_gives_rows_of_finite_numbers(policy: str) -> None:
    found = list(rows(policy, (0, 1), TINY))
    assert found
    for row in found:
        assert row.paper == "P2"
        assert math.isfinite(row.mean)
        assert math.isfinite(row.spread)
        assert row.seeds == 2


def test_the_rows_stand_beside_their_references() -> None:
    found = {(row.scenario, row.metric): row for row in rows("paper-own", (0,), TINY)}
    assert found["industrial_iot n=30", "time_s"].reference_value == 82.6
    assert found["industrial_iot n=30", "energy_j"].reference_value == 212
    assert found["industrial_iot flat n=30", "time_s"].reference_value == 88


def test_the_oracle_s_rows_say_how_near_to_its_bound_it_is() -> None:
    found = {row.metric: row for row in rows("oracle", (0, 1), TINY)}
    assert 1.0 <= found["cost_over_bound"].mean <= found["cost_over_bound_max"].mean < 1.05
    assert found["bound_j"].mean < found["cost_j"].mean


def test_the_longest_silence_is_that_of_any_seed() -> None:
    scale = replace(TINY, rounds=12)
    found = {row.metric: row for row in rows("fastest-speed", (0, 1), scale)}
    assert found["gap_of_any_seed_rounds"].reference_value == 14
    assert found["gap_of_any_seed_rounds"].mean >= found["gap_max_rounds"].mean


def test_training_improves_the_model_and_the_same_seeds_repeat_it() -> None:
    scheme, scenario = SCHEMES["fastest"], IndustrialIot()
    once, again = (learn(scheme, scenario, (3, 4), rounds=6) for _ in range(2))
    assert (once.accuracy[:, -1] > 0.15).all()
    assert once.accuracy.tolist() == again.accuracy.tolist()
    assert once.time_s.tolist() == again.time_s.tolist()


def test_a_gradient_step_lowers_the_loss_of_its_own_samples() -> None:
    world = softmax_regression.draw(np.array([200, 50]), np.random.default_rng(0))
    model = np.zeros(softmax_regression.WEIGHTS, dtype=np.float32)
    trained = softmax_regression.train_all(world, model, learning_rate=0.5)
    assert trained.shape == (2, softmax_regression.WEIGHTS)
    for samples, after in zip(world.users, trained, strict=True):
        own = softmax_regression.World((), samples)
        assert softmax_regression.accuracy(own, after) > 0.11


def test_a_target_is_reached_first_or_never() -> None:
    assert asynchronous_peers.first_at(np.array([0.1, 0.8, 0.7, 0.9]), 0.75) == 1
    assert asynchronous_peers.first_at(np.array([0.1, 0.2]), 0.75) == 1


def test_figures_are_drawn_the_same_each_time(tmp_path: Path) -> None:
    scale = replace(TINY, rounds=1)
    (tmp_path / "again").mkdir()
    once, again = draw(tmp_path, scale), draw(tmp_path / "again", scale)
    assert [path.suffix for path in once] == [".svg"] * 3
    assert [path.read_bytes() for path in once] == [path.read_bytes() for path in again]
