"""`diten paper`: rows beside their references, for people and for programs."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.papers import legion, legion_figures
from benchmarks.papers.paper import Paper, Row
from deploy.cli import main
from deploy.paper_command import PAPERS, _paper

USAGE = 2
KEYS = [
    *("paper", "policy", "scenario", "metric", "mean", "spread", "seeds"),
    *("paper_value", "reference_value"),
]


def run(policy: str, seeds: Sequence[int]) -> Iterator[Row]:
    about = ("P1", policy, "park", "delay_s")
    yield Row.of(about, [float(seed) for seed in seeds], reference=1.25)
    yield Row("P1", policy, "park", "energy_j", 1234.5678, 0.0, len(seeds), paper_value=1000.0)


def draw(folder: Path) -> list[Path]:
    (folder / "legion_delay.svg").write_text("<svg/>")
    return [folder / "legion_delay.svg"]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    paper = Paper("P1", "legion", "A park", ("random", "oracle", "oracle-twin"), run)
    monkeypatch.setattr(legion, "PAPER", paper)
    monkeypatch.setattr(legion_figures, "draw", draw)


@pytest.mark.usefixtures("small")
def test_rows_stand_beside_their_references() -> None:
    done = CliRunner().invoke(main, ["paper", "run", "p1", "--policy", "random"])
    assert done.exit_code == 0, done.output
    header, first, second = done.stdout.splitlines()
    assert header.split()[-2:] == ["REFERENCE", "PAPER"]
    assert first.split() == ["random", "park", "delay_s", "1", "1", "3", "1.25"]
    assert second.split() == ["random", "park", "energy_j", "1235", "0", "3", "1000"]


@pytest.mark.usefixtures("small")
def test_each_row_is_one_json_object_and_a_part_of_a_name_selects_policies() -> None:
    arguments = ["paper", "run", "P1", "--policy", "oracle", "--seeds", "5", "--json"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["policy"] for row in rows] == ["oracle", "oracle", "oracle-twin", "oracle-twin"]
    assert all(list(row) == KEYS for row in rows)
    assert (rows[0]["mean"], rows[0]["seeds"], rows[0]["paper_value"]) == (2.0, 5, None)


@pytest.mark.usefixtures("small")
def test_a_policy_that_is_not_there_is_answered_with_those_that_are() -> None:
    done = CliRunner().invoke(main, ["paper", "run", "P1", "--policy", "genius"])
    assert done.exit_code == USAGE
    assert "'genius': there are random, oracle, oracle-twin" in done.output


@pytest.mark.usefixtures("small")
def test_figures_are_written_where_they_are_wanted(tmp_path: Path) -> None:
    folder = tmp_path / "figures"
    done = CliRunner().invoke(main, ["paper", "report", "P1", "--folder", str(folder)])
    assert done.exit_code == 0, done.output
    assert done.stdout.split() == [str(folder / "legion_delay.svg")]


@pytest.mark.parametrize("name", PAPERS)
def test_every_paper_is_there_with_an_oracle_and_a_page(name: str) -> None:
    paper = _paper(name)
    assert paper.name == name
    assert any("oracle" in policy for policy in paper.policies)
    page = Path(__file__).parents[2] / "docs/papers" / f"{paper.slug}.md"
    assert page.is_file(), f"write {page.name}"
