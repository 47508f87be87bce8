"""The habits of CONTRIBUTING.md that a machine can check."""

import ast
import re
import statistics
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("twin_runtime", "device_agent", "edge_node", "cloud", "deploy", "benchmarks")
PROSE = (".md", ".py", ".toml", ".yaml", ".yml", ".json", ".html", ".js", ".css", ".service")

MODULE_LINES_MAX = 400
TEST_MODULE_LINES_MAX = 600
FUNCTION_LINES_MEDIAN_MAX = 10
FUNCTION_LINES_P90_MAX = 30
FUNCTION_LINES_MAX = 60
CLAIM_WORDS_MIN = 3

SAYS_NOTHING = {
    *("util", "utils", "helper", "helpers", "manager", "managers", "base", "common", "misc"),
    *("impl", "shared", "stuff", "tools"),
}
# The shell's top loop is the one place where any error is caught; a process's entry point
# may turn what is left into one line and an exit code.
MAY_CATCH_ALL = {"shell.py", "__main__.py"}
MAY_PRINT = {"deploy", "benchmarks"}
INSTALLED = {"node_modules", ".venv"}  # by tests of clients: other people's

Function = ast.FunctionDef | ast.AsyncFunctionDef


def product_modules() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def modules_of_tests() -> list[Path]:
    modules = (ROOT / "tests").rglob("*.py")
    return sorted(path for path in modules if not INSTALLED & set(path.parts))


def written_by_us() -> Iterator[Path]:
    """Every text file of the repository except what is quoted: the licence, vendored scripts."""
    files = [ROOT / ".ci/run", *ROOT.iterdir(), *(ROOT / "scripts").iterdir()]
    for folder in (*PACKAGES, "tests", "docs"):
        files += (ROOT / folder).rglob("*")
    for path in sorted(files):
        if {"vendor", *INSTALLED} & set(path.parts):
            continue
        if path.suffix in PROSE or (path.parent.name in {"scripts", ".ci"} and path.is_file()):
            yield path


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def place(path: Path, node: ast.AST | None = None) -> str:
    line = f":{getattr(node, 'lineno', 1)}" if node is not None else ""
    return f"{path.relative_to(ROOT)}{line}"


def functions(path: Path) -> Iterator[Function]:
    return (node for node in ast.walk(tree(path)) if isinstance(node, Function))


def body_lines(function: Function) -> int:
    """The lines of a function from `def` to its end, its docstring left out."""
    assert function.end_lineno is not None
    docstring = 0
    if ast.get_docstring(function, clean=False) is not None:
        first = function.body[0]
        assert first.end_lineno is not None
        docstring = first.end_lineno - first.lineno + 1
    return function.end_lineno - function.lineno + 1 - docstring


def called_name(node: ast.Call) -> str:
    return ast.unparse(node.func)


def reraises(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def catches_all(handler: ast.ExceptHandler) -> bool:
    caught = "" if handler.type is None else ast.unparse(handler.type)
    names = set(re.findall(r"\w+", caught))
    return handler.type is None or bool(names & {"Exception", "BaseException"})


def test_a_module_fits_in_the_head() -> None:
    bounds = [(path, MODULE_LINES_MAX) for path in product_modules()]
    bounds += [(path, TEST_MODULE_LINES_MAX) for path in modules_of_tests()]
    too_long = [
        f"{place(path)}: {count} lines, at most {bound}"
        for path, bound in bounds
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > bound
    ]
    assert too_long == []


def test_a_function_fits_on_a_screen() -> None:
    too_long = [
        f"{place(path, function)} {function.name}: {body_lines(function)} lines"
        for path in product_modules()
        for function in functions(path)
        if body_lines(function) > FUNCTION_LINES_MAX
    ]
    assert too_long == []


def test_functions_are_short_as_a_rule() -> None:
    lines = sorted(
        body_lines(function) for path in product_modules() for function in functions(path)
    )
    assert statistics.median(lines) <= FUNCTION_LINES_MEDIAN_MAX
    assert lines[len(lines) * 9 // 10] <= FUNCTION_LINES_P90_MAX


def test_a_module_is_named_after_what_it_holds() -> None:
    modules = [*product_modules(), *modules_of_tests()]
    empty = [place(path) for path in modules if SAYS_NOTHING & set(path.stem.split("_"))]
    empty += [place(path) for path in modules if SAYS_NOTHING & set(path.parent.name.split("_"))]
    assert empty == []


def test_a_class_is_named_after_what_it_is() -> None:
    empty = re.compile(r"(Util|Helper|Manager|Impl)s?$|^(Base|Abstract)[A-Z]")
    found = [
        f"{place(path, node)} {node.name}"
        for path in product_modules()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ClassDef) and empty.search(node.name)
    ]
    assert found == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        place(path)
        for path in (*product_modules(), *modules_of_tests())
        if not ast.get_docstring(tree(path)) and "tests" not in path.parts
    ]
    assert silent == []


def test_every_function_of_the_product_is_annotated() -> None:
    bare = [
        f"{place(path, function)} {function.name}"
        for path in product_modules()
        for function in functions(path)
        if function.returns is None
    ]
    assert bare == []


def test_nothing_catches_everything() -> None:
    found = [
        place(path, node)
        for path in (*product_modules(), *modules_of_tests())
        if path.name not in MAY_CATCH_ALL
        for node in ast.walk(tree(path))
        if (isinstance(node, ast.ExceptHandler) and catches_all(node) and not reraises(node))
        or (
            isinstance(node, ast.Call)
            and called_name(node).endswith("suppress")
            and {"Exception", "BaseException"} & {ast.unparse(arg) for arg in node.args}
        )
    ]
    assert found == []


def test_every_task_has_a_name() -> None:
    found = [
        place(path, node)
        for path in product_modules()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call)
        and called_name(node).endswith("create_task")
        and "name" not in {keyword.arg for keyword in node.keywords}
    ]
    assert found == []


def test_randomness_comes_in_as_a_generator() -> None:
    found = [
        place(path, node)
        for room in ("core", "physics", "solvers", "problems")
        for path in sorted((ROOT / "twin_runtime" / room).rglob("*.py"))
        if path.name != "environment.py"  # which makes one, of the seed it is given
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute | ast.Name)
        and re.search(r"(^|\.)random\.(?!Generator$)|default_rng$", ast.unparse(node))
    ]
    assert found == []


def test_only_commands_print() -> None:
    found = [
        place(path, node)
        for path in product_modules()
        if path.relative_to(ROOT).parts[0] not in MAY_PRINT and path.name != "__main__.py"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and called_name(node) == "print"
    ]
    assert found == []


def blind_sleeps(path: Path) -> Iterator[ast.AST]:
    """Calls of `time.sleep` outside a loop: a poll has a condition and a bound, these have none."""
    polling = {
        id(inner)
        for loop in ast.walk(tree(path))
        if isinstance(loop, ast.While | ast.For)
        for inner in ast.walk(loop)
    }
    for node in ast.walk(tree(path)):
        slept = isinstance(node, ast.Call) and called_name(node) in {"time.sleep", "sleep"}
        if slept and id(node) not in polling:
            yield node


def test_no_test_sleeps_blindly() -> None:
    found = [place(path, call) for path in modules_of_tests() for call in blind_sleeps(path)]
    assert found == []


def test_nothing_is_left_to_do_in_a_comment() -> None:
    unfinished = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|X" + r"XX|HA" + r"CK)\b")
    found = [
        f"{place(path)}:{number}"
        for path in written_by_us()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if unfinished.search(line)
    ]
    assert found == []


def test_no_file_names_a_path_of_one_machine() -> None:
    private = re.compile(r"(?<![\w./:-])/(?:home|root|Users|work|workspace)/\w")
    found = [
        f"{place(path)}:{number}"
        for path in written_by_us()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if private.search(line)
    ]
    assert found == []


@pytest.mark.parametrize("path", modules_of_tests(), ids=place)
def test_a_test_is_named_as_a_claim(path: Path) -> None:
    """`test_apply` names a thing; `test_a_late_report_is_dropped` says what holds."""
    names = [function.name for function in functions(path) if function.name.startswith("test_")]
    too_short = [name for name in names if name.count("_") < CLAIM_WORDS_MIN]
    assert too_short == []
