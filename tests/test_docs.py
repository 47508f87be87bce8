"""Documentation is tested: what it promises is there, and what is there is documented."""

import ast
import importlib
import itertools
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import click
import pytest

ROOT = Path(__file__).parents[1]
GUARANTEES = ROOT / "docs/guarantees.md"
NUMBERS = range(1, 16)
PLANNED = "planned"

HEADING = re.compile(r"^#+ +(?P<title>.+?) *#*$", re.MULTILINE)
LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)(?: \"[^\"]*\")?\)")
SHELL_OPERATORS = {"|", "||", "&&", "&", ";", ">", ">>", "<"}
CLAIM = re.compile(r"test_g(?P<number>\d+)_")
FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


def papers() -> list[Path]:
    """The repository's own Markdown files."""
    folders = [
        path
        for name in ("docs", "tests", "benchmarks", "deploy", "device_agent")
        if (path := ROOT / name).is_dir()
    ]
    pages = [*ROOT.glob("*.md"), *(page for folder in folders for page in folder.rglob("*.md"))]
    return sorted(page for page in pages if not {"node_modules", ".venv"} & set(page.parts))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


# --- limits and metrics -------------------------------------------------------------------


def test_the_page_of_limits_is_in_step_with_the_code() -> None:
    printed = subprocess.run(
        [sys.executable, ROOT / "scripts/print_limits.py"],
        check=True,
        capture_output=True,
        text=True,
        encoding="utf-8",
    ).stdout
    assert read(ROOT / "docs/limits.md") == printed, (
        "print it again: .venv/bin/python scripts/print_limits.py > docs/limits.md"
    )


def test_every_limit_has_a_reason() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| [^|]+ \| (.*) \|$", read(ROOT / "docs/limits.md"), re.MULTILINE
    )
    assert rows
    assert [name for name, reason in rows if not reason.strip()] == []


def test_every_metric_is_in_the_operations_guide() -> None:
    metrics = importlib.import_module("twin_runtime.adapters.metrics")
    guide = read(ROOT / "docs/operations.md")
    names = [metrics.PREFIX + declared.name for declared in metrics.METRICS]
    assert names
    assert [name for name in names if f"`{name}`" not in guide] == []


def test_the_operations_guide_names_no_metric_that_is_not_there() -> None:
    metrics = importlib.import_module("twin_runtime.adapters.metrics")
    declared = {metrics.PREFIX + declared.name for declared in metrics.METRICS}
    # A histogram's series carry a suffix of their own.
    named = set(
        re.findall(
            r"`(diten_\w+?)(?:_bucket|_sum|_count)?(?:\{[^`]*\})?`",
            read(ROOT / "docs/operations.md"),
        )
    )
    assert named - declared == set()


# --- guarantees ---------------------------------------------------------------------------


def sections() -> dict[int, str]:
    """The text of each guarantee by its number."""
    parts = re.split(r"^## G(\d+)\b", read(GUARANTEES), flags=re.MULTILINE)
    return {int(number): text for number, text in zip(parts[1::2], parts[2::2], strict=True)}


def status(section: str) -> str:
    found = re.search(r"^\*\*Status:\*\* (.+?)\.?$", section, re.MULTILINE)
    assert found, "a guarantee has a line '**Status:** proven | partly proven | planned'"
    return found[1]


@cache
def claims() -> dict[int, list[str]]:
    """The names of the tests of each guarantee."""
    found: dict[int, list[str]] = {}
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(read(path))):
            if isinstance(node, ast.FunctionDef) and (claim := CLAIM.match(node.name)):
                found.setdefault(int(claim["number"]), []).append(node.name)
    return found


def test_every_guarantee_has_its_place_in_order() -> None:
    assert list(sections()) == list(NUMBERS)
    assert {status(section) for section in sections().values()} <= {
        "proven",
        "partly proven",
        PLANNED,
    }


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: f"G{number}")
def test_a_guarantee_is_tested_or_called_planned(number: int) -> None:
    said, tests = status(sections()[number]), claims().get(number, [])
    assert (said != PLANNED) == bool(tests), (
        f"docs/guarantees.md says {said!r} of G{number}; its tests (test_g{number}_...): {tests}"
    )


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: f"G{number}")
def test_a_guarantee_names_files_that_hold_its_tests(number: int) -> None:
    section = sections()[number]
    named = re.findall(r"`(tests/\S+\.py)`", section)
    assert bool(named) == (status(section) != PLANNED)
    assert [path for path in named if f"def test_g{number}_" not in read(ROOT / path)] == []


def test_a_test_of_a_guarantee_names_one_that_exists() -> None:
    assert set(claims()) <= set(NUMBERS)


# --- commands -----------------------------------------------------------------------------


class Line(NamedTuple):
    """One command line of a fenced block."""

    page: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}: {' '.join(self.words)}"


def typed(block: re.Match[str]) -> Iterator[str]:
    """The lines of a block that a reader types: a whole script, or a session's prompts."""
    lines = block["body"].replace("\\\n", " ").splitlines()
    if block["language"] in {"sh", "bash"}:
        yield from lines
    elif block["language"] == "console":
        yield from (line[2:] for line in lines if line.startswith("$ "))


def command_lines() -> Iterator[Line]:
    """What a reader is told to type, up to a pipe or redirection."""
    for path in papers():
        for text in itertools.chain.from_iterable(map(typed, FENCE.finditer(read(path)))):
            words = shlex.split(text, comments=True)
            own = tuple(itertools.takewhile(lambda word: word not in SHELL_OPERATORS, words))
            if own:
                yield Line(name_of(path), own)


def resolve(words: tuple[str, ...]) -> tuple[click.Command, list[str]]:
    """Return the command of `diten` that `words` name, and the options they use."""
    command = importlib.import_module("deploy.cli").main
    context = click.Context(command, info_name="diten")
    names = [word for word in words if not word.startswith("-")]
    while isinstance(command, click.Group):
        found = command.get_command(context, names.pop(0)) if names else None
        if found is None:
            raise LookupError(f"no such command; there are {command.list_commands(context)}")
        command = found
    return command, [word.partition("=")[0] for word in words if word.startswith("--")]


def complaints(line: Line) -> list[str]:
    """What is wrong with a documented `diten` line."""
    try:
        command, options = resolve(line.words[1:])
    except LookupError as error:
        return [f"{line}: {error}"]
    known = {"--help"}
    for parameter in command.params:
        known.update(parameter.opts, parameter.secondary_opts)
    return [f"{line}: no option {option}" for option in options if option not in known]


def test_documented_diten_commands_exist_with_their_options() -> None:
    lines = [line for line in command_lines() if Path(line.words[0]).name == "diten"]
    # The script passes its options on.
    lines += [
        Line(line.page, ("diten", "up", *line.words[1:]))
        for line in command_lines()
        if line.words[0].endswith("scripts/up")
    ]
    assert lines
    assert [complaint for line in lines for complaint in complaints(line)] == []


def test_a_documented_script_exists_and_can_be_run() -> None:
    named = {
        word
        for line in command_lines()
        for word in line.words[:1]
        if word.startswith(("scripts/", "./scripts/"))
    }
    assert {"scripts/check", "scripts/test"} <= named
    assert [word for word in named if not os.access(ROOT / word, os.X_OK)] == []


# --- links --------------------------------------------------------------------------------


def anchors(path: Path) -> set[str]:
    """The fragments that a page's headings make, as forges make them."""
    titles = (heading["title"] for heading in HEADING.finditer(read(path)))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", papers(), ids=name_of)
def test_relative_links_lead_somewhere(path: Path) -> None:
    broken = []
    for link in LINK.finditer(FENCE.sub("", read(path))):
        target, _, fragment = link["target"].partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        page = (path.parent / target).resolve() if target else path
        reachable = page.exists() and page.is_relative_to(ROOT)
        if not reachable or (fragment and fragment not in anchors(page)):
            broken.append(link["target"])
    assert broken == []
