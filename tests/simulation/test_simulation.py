"""Every promise, under every fault: seeds are runs of a whole system (see `world`).

The more seeds, the more is proven; `DITEN_SIMULATION_SEEDS=N` runs N of them. A seed that
once failed is in `regressions.txt` and always runs.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from random import Random

import pytest

from tests.simulation.campaign import failures
from tests.simulation.canaries import CANARIES, SEEDS_MAX, Canary
from tests.simulation.faults import Faults, draw
from tests.simulation.shrinking import kinds, shrunk
from tests.simulation.world import Outcome, simulate
from twin_runtime.adapters.sqlite_store import LogBound, SqliteStore

ROOT = Path(__file__).parents[2]
REGRESSIONS = [
    int(seed) for seed in Path(__file__).with_name("regressions.txt").read_text().split()
]
SEEDS = int(os.environ.get("DITEN_SIMULATION_SEEDS", "2000"))
AGAIN = range(0, SEEDS, 100)
DIGEST = re.compile(r"[0-9a-f]{64}")

# About 0.06 s of CPU time a seed; one test pays for all seeds.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600 + SEEDS // 4)]


@pytest.fixture(scope="module")
def failed() -> Sequence[Outcome]:
    """The runs that kept not every promise."""
    seeds = (*REGRESSIONS, *range(SEEDS))
    return [failure for failure in failures(seeds, os.cpu_count() or 1) if failure is not None]


def reports(failed: Sequence[Outcome], promise: str) -> list[str]:
    return [each.report() for each in failed if each.failure.startswith(f"Violation: {promise}")]


def test_g1_what_was_acknowledged_is_never_lost(failed: Sequence[Outcome]) -> None:
    assert reports(failed, "G1") == []


def test_g2_a_report_is_folded_once_and_in_order(failed: Sequence[Outcome]) -> None:
    assert reports(failed, "G2") == []


def test_g3_a_device_drops_only_what_the_cloud_holds(failed: Sequence[Outcome]) -> None:
    assert reports(failed, "G3") == []


def test_g4_an_epoch_has_one_owner_and_a_deposed_one_changes_nothing(
    failed: Sequence[Outcome],
) -> None:
    assert reports(failed, "G4") == []


def test_g5_every_twin_has_an_owner_soon_after_the_faults_end(failed: Sequence[Outcome]) -> None:
    assert reports(failed, "G5") == []


def test_g6_a_backlog_arrives_and_the_newest_state_wins(failed: Sequence[Outcome]) -> None:
    assert reports(failed, "G6") == []


def test_g7_no_outbox_passes_its_bound(failed: Sequence[Outcome]) -> None:
    assert reports(failed, "G7") == []


def test_no_process_ends_but_by_a_fault(failed: Sequence[Outcome]) -> None:
    others = [each.report() for each in failed if not each.failure.startswith("Violation: G")]
    assert others == []


# --- single kinds of fault -----------------------------------------------------------------


def test_without_faults_every_promise_is_kept() -> None:
    assert simulate(0, Faults()).failure == ""


@pytest.mark.parametrize("seed", range(5))
def test_g8_full_disks_and_failing_commits_lose_nothing(seed: int) -> None:
    faults = Faults(commit_failure=0.9, full_disk_per_s=0.5, loss=0.1)
    assert simulate(seed, faults).failure == ""


@pytest.mark.parametrize("seed", range(5))
def test_g14_wrong_clocks_cost_time_and_nothing_else(seed: int) -> None:
    faults = Faults(
        clock_jump_per_s=2.0, clock_reads_zero=True, crash_per_s=0.3, device_disk_loss_per_s=0.1
    )
    assert simulate(seed, faults).failure == ""


# --- the simulation itself -----------------------------------------------------------------


@pytest.mark.parametrize("canary", CANARIES, ids=lambda canary: canary.__name__)
def test_a_mistake_is_found(canary: Canary) -> None:
    with canary():
        assert any(simulate(seed).failure for seed in range(SEEDS_MAX))


def digest_in_a_process_with(hash_seed: str, seed: int) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation", "--seed", str(seed)],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
    )
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("seed", [3, 17])
def test_a_seed_makes_one_history_in_every_process(seed: int) -> None:
    digest = simulate(seed).digest
    assert DIGEST.fullmatch(digest)
    assert {digest_in_a_process_with(each, seed) for each in ("1", "2")} == {digest}


@pytest.mark.parametrize("seed", range(10))
def test_disks_in_memory_make_the_history_of_those_in_files(seed: int, tmp_path: Path) -> None:
    def files(name: str, logs: Mapping[str, LogBound], new_id: Callable[[], str]) -> SqliteStore:
        return SqliteStore(tmp_path / name, logs, new_id=new_id)

    assert simulate(seed, disks=files).digest == simulate(seed).digest


def test_one_seed_in_a_hundred_makes_the_same_history_again_in_another_process() -> None:
    program = f"import {simulate.__module__} as w; print(*(w.simulate(s).digest for s in {AGAIN}))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "3"},
    )
    assert done.stdout.split() == [simulate(seed).digest for seed in AGAIN]


def test_another_seed_makes_another_history() -> None:
    assert simulate(1).digest != simulate(2).digest


def test_every_kind_of_fault_is_on_in_some_runs_and_off_in_others() -> None:
    drawn = [draw(Random(seed)) for seed in range(100)]
    rates = [each.name for each in fields(Faults) if each.name.endswith("_per_s")]
    assert rates
    for rate in rates:
        on = sum(getattr(faults, rate) > 0 for faults in drawn)
        assert 25 < on < 75, f"{rate} is on in {on} of 100 runs"


def test_a_failed_run_says_how_to_repeat_it() -> None:
    drop = next(each for each in CANARIES if each.__name__ == "drop_what_is_only_applied")
    with drop():
        report = simulate(0).report()
    assert "G3" in report
    assert re.search(r"^seed 0 at (no commit|\S*[0-9a-f]{7}\S*)$", report, re.MULTILINE)
    assert "loss=" in report
    assert len(report.splitlines()) >= 50


def test_a_failed_run_is_shrunk_to_the_faults_that_it_needs() -> None:
    drop = next(each for each in CANARIES if each.__name__ == "drop_what_is_only_applied")
    with drop():
        whole = simulate(0)
        small = shrunk(whole)
    assert "G3" in small.failure
    assert set(kinds(small.faults)) < set(kinds(whole.faults))
