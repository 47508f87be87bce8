"""The index of equations is in step with the code, complete, and each entry has its test."""

import runpy
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scripts/print_equations.py"

# What section 3 of each digest names, and the solvers of [P4] and [P5] by their sections.
# Not functions: [P1] (4) and [P2] (1), what a twin holds; (16), (19), (20) of [P1] and (4)
# of [P2], the problem that is transformed; (37)(38) of [P2], a network's input and layers.
NAMED = {
    1: {*map(str, (1, 2, 3, *range(5, 16), 17, 18, *range(21, 25)))},
    2: {*map(str, (2, 3, *range(5, 37)))},
    3: {*map(str, (3, 4, 5, 6, *range(8, 16), *range(19, 23), 27, 31, 32, 33))},
    4: {*map(str, range(1, 26)), *(f"S{n}" for n in range(1, 13))},
    5: {*map(str, (1, *range(3, 6), *range(8, 11), *range(12, 21), 26, 28, 29))}
    | {*map(str, (33, 34, 36, 37, 38, 41, 42)), "6.1", "6.2", "6.3", "6.4", "6.5"},
}


def read() -> list[tuple[int, str, str, str]]:
    equations: list[tuple[int, str, str, str]] = runpy.run_path(str(SCRIPT))["read_equations"]()
    return equations


def test_the_page_of_equations_is_in_step_with_the_code() -> None:
    printed = subprocess.run([sys.executable, SCRIPT], check=True, capture_output=True, text=True)
    page = (ROOT / "docs/equations.md").read_text(encoding="utf-8")
    assert page == printed.stdout, (
        "print it again: .venv/bin/python scripts/print_equations.py > docs/equations.md"
    )


def test_no_equation_is_left_out() -> None:
    cited = {(paper, number) for paper, number, _, _ in read()}
    named = {(paper, number) for paper, numbers in NAMED.items() for number in numbers}
    assert named - cited == set()


def test_every_equation_has_a_test() -> None:
    assert [each for each in read() if not each[3]] == []
