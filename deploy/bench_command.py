"""`diten bench`: measure this machine, each figure beside a peer or a limit of the same run.

A target that is not met is printed as such; the exit code only says whether it could be
measured. It needs Mosquitto with its clients and what the `dev` extra installs.
"""

import json
import math
import sys
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from benchmarks.runtime.target import Target

BENCHMARKS = ("ingest", "ack", "footprint", "move", "api", "decide")


@click.command(short_help="Measure this machine.")
@click.argument("name", type=click.Choice(BENCHMARKS), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per target.")
@click.option(
    "--keep",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Keep the figures in this data_dir of a cloud, for its page.",
)
def bench(name: str | None, as_json: bool, folder: Path | None) -> None:  # noqa: FBT001
    """Measure speed, acknowledgements, footprint, moves, the API, decisions: all, or one."""
    from twin_runtime.adapters.bench_figures import keep
    from twin_runtime.adapters.process import exit_code

    async def body() -> None:
        chosen = (name,) if name else BENCHMARKS
        for number, each in enumerate(chosen, 1):
            if sys.stderr.isatty():  # a line that stands: what moves would be measured too
                click.echo(f"{each} ({number} of {len(chosen)}), some minutes …", err=True)
            with TemporaryDirectory(prefix="diten-bench-") as own:
                async for target in _measured(each, Path(own)):
                    click.echo(json.dumps(target.as_json()) if as_json else line(target))
                    if folder is not None:
                        keep(folder, target.as_json(), time.time_ns() // 1_000_000)

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
