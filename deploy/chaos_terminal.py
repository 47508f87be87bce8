"""One `diten chaos run` as somebody at a terminal sees it: lines as things happen, and on a
terminal one below them that says how it stands."""

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from deploy.chaos import Campaign, Outcome, Plan
from deploy.chaos_faults import choose
from deploy.chaos_page import page
from deploy.system_file import read_system

REFRESH_S = 0.25
SEED_MAX = 2**31 - 1


async def run_chaos(
    *,
    data_dir: Path,
    duration: float,
    every: float,
    faults: tuple[str, ...],
    roles: tuple[str, ...],
    moves_per_s: float,
    seed: int | None,
) -> Outcome:
    """Break the system in `data_dir`; say what happens meanwhile.

    Raises:
        Unavailable: there is none, or it ended.
        InvalidConfiguration: what is asked for cannot be done to it.
    """
    logging.getLogger("diten.bus").setLevel(logging.ERROR)  # a broker that is gone is no news here
    choice = choose(read_system(data_dir), faults, roles)
    chosen = random.randint(0, SEED_MAX) if seed is None else seed
    plan = Plan(data_dir, duration, every, moves_per_s, chosen, choice)
    async with _telling() as (say, follow):
        for reason in choice.left_out:
            say(f"left out: {reason}")
        say(f"seed {chosen}; faults: {', '.join(choice.roles)}")
        campaign = Campaign(plan, say)
        follow(campaign)
        return await campaign.run()


Say = Callable[[str], None]
Follow = Callable[[Campaign], None]


@asynccontextmanager
async def _telling() -> AsyncIterator[tuple[Say, Follow]]:
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


async def _show(update: Callable[[str], None], campaigns: list[Campaign]) -> None:
    while True:
        for campaign in campaigns:
            update(_line(campaign))
        await asyncio.sleep(REFRESH_S)


def _line(campaign: Campaign) -> str:
    outcome = campaign.outcome
    observer = outcome.observer
    return (
        f"{campaign.now_s():.0f} s of {outcome.plan.duration_s:.0f} s · "
        f"broken now: {', '.join(campaign.broken()) or 'nothing'} · "
        f"acknowledged {observer.acknowledged:,} · moves {len(observer.moves):,}"
    )


def write_report(found: dict[str, Any], folder: Path) -> None:
    """Leave the report as JSON and as a page."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (folder / "report.html").write_text(page(found), encoding="utf-8")
    click.echo(f"{folder / 'report.html'}", err=True)
