"""`diten paper`: the papers' experiments, their numbers beside ours.

A row's `reference` is what our reference simulation gave, `paper` what the paper prints.
Spread is the standard deviation over seeds.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from benchmarks.papers.paper import Paper, Row

_SLUGS = {
    "P1": "legion",
    "P2": "diten_async_fl",
    "P3": "migration",
    "P4": "edge_association_ledger",
    "P5": "edge_cooperation",
}
PAPERS = tuple(_SLUGS)
_FIGURES = 4  # significant digits of a number in the table


@click.group()
def paper() -> None:
    """The experiments of the five papers."""


@paper.command("ls")
def list_papers() -> None:
    """List the papers and the policies that can be run."""
    for each in PAPERS:
        found = _paper(each)
        click.echo(f"{found.name}  {found.title}\n    {', '.join(found.policies)}")


@paper.command()
@click.argument("name", type=click.Choice(PAPERS, case_sensitive=False))
@click.option("--policy", default="", help="Only policies whose name contains this.")
@click.option("--seeds", type=click.IntRange(1, 100), default=None,
              help="How many seeds, from 0.  [default: 3 to 10, as the paper needs]")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per row.")
def run(name: str, policy: str, seeds: int | None, as_json: bool) -> None:  # noqa: FBT001
    """Run the experiments of a paper, beside their references."""
    found = _paper(name.upper())
    chosen = [each for each in found.policies if policy in each]
    if not chosen:
        known = ", ".join(found.policies)
        raise click.BadParameter(f"no policy contains {policy!r}: there are {known}")
    rows = _progress(found, chosen, range(seeds or found.seeds))
    if as_json:
        for row in rows:
            click.echo(json.dumps(_as_json(row)))
    else:
        _print(rows)


@paper.command()
@click.argument("name", type=click.Choice(PAPERS, case_sensitive=False), required=False)
@click.option("--folder", type=click.Path(path_type=Path), default=Path("docs/papers"),
              show_default=True, help="Where the figures are written.")  # fmt: skip
def report(name: str | None, folder: Path) -> None:
    """Draw the figures of docs/papers, of one paper or of all."""
    folder.mkdir(parents=True, exist_ok=True)
    for each in [name.upper()] if name else PAPERS:
        figures = import_module(f"benchmarks.papers.{_SLUGS[each]}_figures")
        for path in figures.draw(folder):
            click.echo(path)


def _paper(name: str) -> "Paper":
    """Only the modules of the paper that is asked for are loaded."""
    found: Paper = import_module(f"benchmarks.papers.{_SLUGS[name]}").PAPER
    return found


def _progress(found: "Paper", policies: list[str], seeds: range) -> "Iterator[Row]":
    """The rows of all policies; what is being run is said on a terminal while it runs."""
    from rich.console import Console

    console = Console(stderr=True)
    for number, policy in enumerate(policies, 1):
        with console.status(f"{found.name} {policy} ({number} of {len(policies)})"):
            yield from found.run(policy, seeds)


def _as_json(row: "Row") -> dict[str, object]:
    return {name: getattr(row, name) for name in row.__slots__}


def _print(rows: "Iterable[Row]") -> None:
    from rich.console import Console
    from rich.table import Table

    from deploy.tables import print_table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("POLICY", "SCENARIO", "METRIC"):
        table.add_column(title, no_wrap=True)
    for title in ("MEAN", "SPREAD", "SEEDS", "REFERENCE", "PAPER"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            *(row.policy, row.scenario, row.metric, _number(row.mean), _number(row.spread)),
            *(str(row.seeds), _number(row.reference_value), _number(row.paper_value)),
        )
    print_table(table, Console(file=sys.stdout))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.{_FIGURES}g}"
