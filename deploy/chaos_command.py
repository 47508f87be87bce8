"""`diten chaos`: break a running system on purpose, and prove that nothing was lost.

Exit codes: 0 nothing was lost or applied twice and everything recovered, 1 something was,
2 usage, 3 there is no system.
"""

import asyncio
import json
import logging
import random
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deploy.chaos_faults import KINDS, Kind
from deploy.duration import Duration

if TYPE_CHECKING:
    from deploy.chaos import Campaign, Outcome

REFRESH_S = 0.25
_SEED_MAX = 2**31 - 1


class Names(click.ParamType[tuple[str, ...]]):
    """`a,b,c`, of `known` names if any are given."""

    name = "names"

    def __init__(self, known: tuple[str, ...] = ()) -> None:
        self._known = known

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        names = tuple(name for name in str(value).split(",") if name)
        for name in names:
            if self._known and name not in self._known:
                self.fail(f"{name!r} is none of {', '.join(self._known)}", param, ctx)
        return names


@click.group()
def chaos() -> None:
    """Break a running system on purpose."""


@chaos.command(short_help="Break it for a while, heal it, report.")
@click.option("--data-dir", type=click.Path(path_type=Path), default=Path("diten-data"),
              show_default=True, help="Of the `diten up` that runs.")  # fmt: skip
@click.option("--duration", type=Duration(), default=60.0, help="Of the faults.  [default: 60s]")
@click.option("--faults", type=Names(KINDS), default=(), metavar="KIND,…",
              help=f"{', '.join(KINDS)}.  [default: all that can be]")  # fmt: skip
@click.option("--roles", type=Names(), default=(), metavar="ROLE,…",
              help="Only these, e.g. e-1,broker.  [default: all]")  # fmt: skip
@click.option("--every", type=Duration(), default=5.0, help="About one fault each.  [default: 5s]")
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
    from twin_runtime.adapters.process import EXIT_FAILED, exit_code

    if report is not None and find_spec("matplotlib") is None:
        raise click.UsageError("--report draws with matplotlib: pip install 'diten[report]'")
    outcomes: list[Outcome] = []

    async def body() -> None:
        outcomes.append(await _run(**options))

    code = exit_code(body)
    for outcome in outcomes:
        found = chaos_report.as_json(outcome)
        click.echo(json.dumps(found)) if as_json else chaos_report.print_report(found)
        if report is not None:
            _write(found, report)
        code = code if outcome.is_good else EXIT_FAILED
    sys.exit(code)


async def _run(
    *,
    data_dir: Path,
    duration: float,
    every: float,
    faults: tuple[Kind, ...],
    roles: tuple[str, ...],
    moves_per_s: float,
    seed: int | None,
) -> "Outcome":
    from deploy.chaos import Campaign, Plan
    from deploy.chaos_faults import choose
    from deploy.system_file import read_system

    logging.getLogger("diten.bus").setLevel(logging.ERROR)  # a broker that is gone is no news here
    choice = choose(read_system(data_dir), faults, roles)
    chosen = random.randint(0, _SEED_MAX) if seed is None else seed
    plan = Plan(data_dir, duration, max(every, 0.05), moves_per_s, chosen, choice)
    async with _telling() as (say, follow):
        for reason in choice.left_out:
            say(f"left out: {reason}")
        say(f"seed {chosen}; faults: {', '.join(choice.roles)}")
        campaign = Campaign(plan, say)
        follow(campaign)
        return await campaign.run()


Say = Callable[[str], None]
Follow = Callable[["Campaign"], None]


@asynccontextmanager
async def _telling() -> AsyncIterator[tuple[Say, Follow]]:
    """Lines as things happen, and on a terminal one below them that says how it stands."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    campaigns: list[Campaign] = []

    def say(text: str) -> None:
        at_s = campaigns[0].now_s() if campaigns else 0.0
        console.print(f"{at_s:6.1f} s  {text}", soft_wrap=True, markup=False)

    if not console.is_terminal:
        yield say, campaigns.append
        return
    with console.status("") as status:
        showing = asyncio.create_task(_show(status.update, campaigns), name="status")
        try:
            yield say, campaigns.append
        finally:
            showing.cancel()
            await asyncio.gather(showing, return_exceptions=True)


async def _show(update: Callable[[str], None], campaigns: "list[Campaign]") -> None:
    while True:
        for campaign in campaigns:
            update(_line(campaign))
        await asyncio.sleep(REFRESH_S)


def _line(campaign: "Campaign") -> str:
    outcome = campaign.outcome
    observer = outcome.observer
    return (
        f"{campaign.now_s():.0f} s of {outcome.plan.duration_s:.0f} s · "
        f"broken now: {', '.join(campaign.broken()) or 'nothing'} · "
        f"acknowledged {observer.acknowledged:,} · moves {len(observer.moves):,}"
    )


def _write(found: dict[str, Any], folder: Path) -> None:
    from deploy.chaos_page import page

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (folder / "report.html").write_text(page(found), encoding="utf-8")
    click.echo(f"{folder / 'report.html'}", err=True)
