"""`diten bench`: measure this machine, each figure beside a peer or a limit of the same run.

A target that is not met is printed as such; the exit code only says whether it could be
measured. It needs Mosquitto with its clients and what the `dev` extra installs.
"""

import json
import math
import sys
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from benchmarks.runtime.target import Target

BENCHMARKS = ("ingest", "ack", "footprint", "move", "api", "decide")


@click.command(short_help="Measure this machine.")
@click.argument("name", type=click.Choice(BENCHMARKS), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per target.")
def bench(name: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Measure speed, acknowledgements, footprint, moves, the API, decisions: all, or NAME."""
    from twin_runtime.adapters.process import exit_code

    async def body() -> None:
        for each in [name] if name else BENCHMARKS:
            with TemporaryDirectory(prefix="diten-bench-") as folder:
                async for target in _measured(each, Path(folder)):
                    click.echo(json.dumps(target.as_json()) if as_json else line(target))

    sys.exit(exit_code(body))


async def _measured(name: str, folder: Path) -> AsyncIterator[Target]:
    from benchmarks.runtime import ack, api, footprint, ingest, move

    targets: Iterable[Target]
    match name:
        case "ingest":
            targets = await ingest.run(folder, ingest.Scale())
        case "ack":
            targets = await ack.run(folder, ack.Scale())
        case "footprint":
            targets = await footprint.run(folder, footprint.Scale())
        case "move":
            targets = await move.run(folder, move.Scale())
        case "api":
            targets = await api.run(folder, api.Scale())
        case _:
            from benchmarks.runtime import decide  # SciPy is not needed for the others

            targets = decide.run(decide.Scale())
    for target in targets:
        yield target


def line(target: Target) -> str:
    """A target as a line of the table."""
    is_measured = not math.isnan(target.value)
    figure = f"{target.value:.4g} {target.unit}" if is_measured else "not measured"
    verdict = "met" if target.met else "NOT MET"
    return f"{target.name:<34} {figure:<18} {target.bar!s:<8} {verdict:<8} {target.against}"
