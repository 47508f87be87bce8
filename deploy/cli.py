"""The `diten` command. Each command imports what it needs when it is called."""

import json
import logging
import signal
import sys
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import click

from deploy.bench_command import bench
from deploy.chaos_command import chaos
from deploy.doctor import doctor
from deploy.duration import Duration
from deploy.edge_commands import edge
from deploy.paper_command import paper
from deploy.twin_commands import twin


class _Interruptible(click.Group):
    """Ctrl-C ends a command without a word, as it ends any other program."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo(err=True)  # below the terminal's ^C
            ctx.exit(128 + signal.SIGINT)


@click.group(cls=_Interruptible, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="diten")
def main() -> None:
    """Digital twins for the edge: no acknowledged update is ever lost."""
    logging.basicConfig(format="diten: %(message)s")  # a role's own log replaces it
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # units and blocks where the locale has none


@main.command(short_help="Run a whole system on this machine.")
@click.option("--data-dir", type=click.Path(path_type=Path, readable=False),
              default=Path("diten-data"), show_default=True,
              help="Where all state is kept.")  # fmt: skip
@click.option("--broker", default="", help="mosquitto, nats, or HOST:PORT of one that runs.")
@click.option("--edges", type=click.IntRange(1, 16), default=None,
              help="How many edges.  [default: 2, with --mobility 3]")  # fmt: skip
@click.option("--source", default="host", show_default=True,
              help="host (this machine), replay:DIR (a recorded field trial) or none.")  # fmt: skip
@click.option("--trace", default="library1", show_default=True, help="Which trace to replay.")
@click.option("--speed", type=click.FloatRange(min=0, min_open=True), default=1.0,
              show_default=True, help="How many times faster to replay or to walk.")  # fmt: skip
@click.option("--devices", type=click.IntRange(0, 20_000), default=None,
              help="Emulate so many devices more.  [default: 0, with --mobility 20]")  # fmt: skip
@click.option("--mobility", is_flag=True, help="Let emulated devices walk, and twins follow them.")
@click.option("--api-port", type=click.IntRange(0, 65535), default=0,
              help="Port of the cloud's API; edges take the next. [default: 8420]")  # fmt: skip
@click.option("--duration", type=Duration(), default=None, help="End by itself, e.g. 30s.")
@click.option("--links", is_flag=True,
              help="Let roles reach the broker over links that `diten chaos` can cut.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def up(
    *,
    as_json: bool,
    duration: float | None,
    edges: int | None,
    devices: int | None,
    mobility: bool,
    **options: Any,
) -> None:
    """Run a whole system on this machine: broker, cloud, edges and devices."""
    from deploy.laptop import Laptop
    from deploy.plan import Plan
    from deploy.progress import say
    from deploy.summary import print_summary
    from twin_runtime.adapters.process import exit_code

    summary: dict[str, Any] = {}

    async def body() -> None:
        plan = Plan(
            duration_s=duration,
            mobility=mobility,
            edges=edges if edges is not None else 3 if mobility else 2,
            devices=devices if devices is not None else 20 if mobility else 0,
            **options,
        )
        summary.update(await Laptop(plan, partial(say, err=as_json)).run())

    code = exit_code(body)
    if summary:
        if as_json:
            click.echo(json.dumps(summary))
        else:
            print_summary(summary)
        if summary["reports"]["lost"] or summary["reports"]["twice"]:
            code = 1
    sys.exit(code)


_CONFIG = click.option(
    "--config", type=click.Path(path_type=Path), required=True, help="A TOML file."
)


@main.group()
def device() -> None:
    """A device agent."""


@device.command("run")
@_CONFIG
def device_run(config: Path) -> None:
    """Run a device agent: sample, store, report, obey."""
    import os

    # In this process's place, so that a board does not carry the command line along: 4 MB.
    os.execv(sys.executable, [sys.executable, "-P", "-m", "device_agent", "--config", str(config)])  # noqa: S606


@main.group()
def cloud() -> None:
    """The cloud."""


@cloud.command("run")
@_CONFIG
def cloud_run(config: Path) -> None:
    """Run the cloud: directory, checkpoints, a view of all twins."""
    from cloud.__main__ import start

    sys.exit(start(config))


main.add_command(bench)
main.add_command(chaos)
main.add_command(doctor)
main.add_command(edge)
main.add_command(paper)
main.add_command(twin)
