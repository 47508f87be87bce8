"""Prints docs/equations.md: paper, equation, function and test, from the code itself.

    .venv/bin/python scripts/print_equations.py > docs/equations.md

A public function of physics, solvers or problems cites its equations in its docstring as
`[P1] (5)(6)`, `[P4] S3` or `[P5] 6.2`. Its test is one that leads to it by name: of the
papers' own vectors if there is one, else the first that is found.
"""

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
ROOMS = ("physics", "solvers", "problems")
TESTS = (*ROOMS, "papers")
SLUGS = {
    1: "legion",
    2: "diten_async_fl",
    3: "migration",
    4: "edge_association_ledger",
    5: "edge_cooperation",
}
HEADER = """\
# Equations

Which function is which equation, and which test holds it.
This page is printed from the docstrings by `scripts/print_equations.py`;
`tests/test_equations.py` keeps it in step, and sees to it that no equation is left out.
Numbers in brackets are the papers' own; S1 to S12 and 6.1 to 6.5 are sections of our digests.
"""
CITATION = re.compile(r"\[P([1-5])\]\s+((?:(?:\(\d+[a-z]?\)|S\d+|\d+\.\d+)[,\s]*)+)")
ITEM = re.compile(r"\((\d+)[a-z]?\)|(S\d+|\d+\.\d+)")


class Equation(NamedTuple):
    """One equation of one paper, where it is, and a test of it ('': none)."""

    paper: int
    number: str
    function: str
    test: str


def read_equations() -> list[Equation]:
    """All citations, by paper and number."""
    tests = _tests()
    found = {
        Equation(paper, number, function, _best(tests.get(function.rpartition(".")[2], ()), paper))
        for function, docstring in _functions()
        for paper, number in _cited(docstring)
    }
    return sorted(found, key=lambda each: (each.paper, _order(each.number), each.function))


def _functions() -> Iterator[tuple[str, str]]:
    for room in ROOMS:
        for path in sorted((ROOT / "twin_runtime" / room).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT / "twin_runtime").with_suffix("").parts)
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name[0] != "_":
                    yield f"{module}.{node.name}", ast.get_docstring(node) or ""


def _cited(docstring: str) -> Iterator[tuple[int, str]]:
    for paper, items in CITATION.findall(docstring):
        for number, section in ITEM.findall(items):
            yield int(paper), number or section


def _best(tests: Sequence[str], paper: int) -> str:
    """A test with the paper's own vectors before any other."""
    own = f"test_{SLUGS[paper]}_vectors"
    return next((test for test in tests if own in test), tests[0] if tests else "")


def _tests() -> dict[str, list[str]]:
    """The tests that use a name, themselves or by what their module defines."""
    used: dict[str, list[str]] = {}
    for folder in TESTS:
        for path in sorted((ROOT / "tests" / folder).glob("test_*.py")):
            defined = _defined(ast.parse(path.read_text(encoding="utf-8")))
            for test in defined:
                if test.startswith("test_"):
                    where = f"{path.relative_to(ROOT)}::{test}"
                    for name in _reached(test, defined):
                        used.setdefault(name, []).append(where)
    return used


def _defined(module: ast.Module) -> dict[str, set[str]]:
    """Each name that a module defines, with the names that its definition uses."""
    defined = {}
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined[node.name] = _names(node)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            defined[node.targets[0].id] = _names(node.value)
        elif isinstance(node, ast.ImportFrom) and "POLICIES" in {each.name for each in node.names}:
            source = (ROOT / f"{node.module}".replace(".", "/")).with_suffix(".py")
            table = ast.parse(source.read_text(encoding="utf-8")).body
            defined["POLICIES"] = set[str]().union(*map(_policies, table))
    return defined


def _policies(node: ast.stmt) -> set[str]:
    """The names that a module's table of policies holds."""
    if isinstance(node, ast.AnnAssign) and "POLICIES" in ast.unparse(node.target):
        return _names(node)
    return set()


def _reached(test: str, defined: dict[str, set[str]]) -> set[str]:
    """All names that a test leads to."""
    reached, ahead = set[str](), {test}
    while ahead:
        reached |= ahead
        ahead = set[str]().union(*(defined.get(name, set()) for name in ahead)) - reached
    return reached


def _names(node: ast.AST) -> set[str]:
    inside = list(ast.walk(node))
    names = {each.id for each in inside if isinstance(each, ast.Name)}
    return names | {each.attr for each in inside if isinstance(each, ast.Attribute)}


def _order(number: str) -> tuple[str, float]:
    letters = number.rstrip("0123456789.")
    return letters, float(number[len(letters) :])


def _row(equation: Equation) -> str:
    number = f"({equation.number})" if equation.number.isdigit() else equation.number
    return f"| {number} | `{equation.function}` | `{equation.test}` |"


def main() -> None:
    print(HEADER)
    for paper in sorted({equation.paper for equation in read_equations()}):
        print(f"## [P{paper}]\n\n| Equation | Function | Test |\n| --- | --- | --- |")
        for equation in read_equations():
            if equation.paper == paper:
                print(_row(equation))
        print()


if __name__ == "__main__":
    main()
