"""How far a run of known length has come, for people who watch a terminal."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

REFRESH_S = 0.25


@asynccontextmanager
async def progress(duration_s: float | None) -> AsyncIterator[None]:
    """Show a bar while the body runs, if it has a length and somebody can see it."""
    if duration_s is None or not sys.stderr.isatty():
        yield
        return
    showing = asyncio.create_task(_show(duration_s), name="progress")
    try:
        yield
    finally:
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)


async def _show(duration_s: float) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("running"), BarColumn(), TimeRemainingColumn())
    began_s = time.monotonic()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("running", total=duration_s)
        while True:
            bar.update(task, completed=time.monotonic() - began_s)
            await asyncio.sleep(REFRESH_S)
