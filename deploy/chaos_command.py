"""`diten chaos`: break a running system on purpose, and prove that nothing was lost.

Exit codes: 0 nothing was lost or applied twice and everything recovered, 1 something was,
2 usage, 3 there is no system.
"""

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deploy.duration import Duration

if TYPE_CHECKING:
    from deploy.chaos import Outcome

_SEED_MAX = 2**31 - 1


def _names(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[str, ...]:
    return tuple(name for name in value.split(",") if name)


@click.group()
def chaos() -> None:
    """Break a running system on purpose."""


@chaos.command(short_help="Break it for a while, heal it, report.")
@click.option("--data-dir", type=click.Path(path_type=Path), default=Path("diten-data"),
              show_default=True, help="Of the `diten up` that runs.")  # fmt: skip
@click.option("--duration", type=Duration(), default=60.0, help="Of the faults.  [default: 60s]")
@click.option("--faults", default="", callback=_names, metavar="KIND,…",
              help="kill, pause, partition, fill, restart.  [default: what can be]")  # fmt: skip
@click.option("--roles", default="", callback=_names, metavar="ROLE,…",
              help="Only these, e.g. e-1,broker.  [default: all]")  # fmt: skip
@click.option("--every", type=Duration(least_s=1.0), default=5.0,
              help="About how often to break something.  [default: 5s]")  # fmt: skip
@click.option("--moves-per-s", type=click.FloatRange(min=0, max=1000), default=1.0,
              show_default=True, help="Move twins between edges meanwhile.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0, _SEED_MAX), default=None,
              help="Repeat what was done with it.  [default: any]")  # fmt: skip
@click.option("--report", type=click.Path(path_type=Path, file_okay=False), default=None,
              help="Write report.json and report.html there.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def run(as_json: bool, report: Path | None, **options: Any) -> None:  # noqa: FBT001
    """Break a running system for a while, heal it, and compare with what devices were told.

    Touches only processes of the `diten up` it is pointed at. Ctrl-C heals at once.
    """
    from deploy import chaos_report
    from deploy.chaos_terminal import run_chaos, write_report
    from twin_runtime.adapters.process import EXIT_FAILED, exit_code

    if report is not None and find_spec("matplotlib") is None:
        raise click.UsageError("--report draws with matplotlib: pip install 'diten[report]'")
    outcomes: list[Outcome] = []

    async def body() -> None:
        outcomes.append(await run_chaos(**options))

    code = exit_code(body)
    for outcome in outcomes:
        found = chaos_report.as_json(outcome)
        click.echo(json.dumps(found)) if as_json else chaos_report.print_report(found)
        if report is not None:
            write_report(found, report)
        code = code if outcome.is_good else EXIT_FAILED
    sys.exit(code)
