"""How far a run of known length has come, for people who watch a terminal."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

REFRESH_S = 0.25


def say(text: str, *, err: bool = False) -> None:
    """A line for people, above the bar if there is one: rich stands in for both streams then,
    which `click.echo` looks behind."""
    stream = sys.stderr if err else sys.stdout
    if stream is not None:  # None: whoever started us closed it
        stream.write(f"{text}\n")
        stream.flush()


@asynccontextmanager
async def progress(duration_s: float | None) -> AsyncIterator[None]:
    """Show a bar while the body runs, if it has a length and somebody can see it."""
    if duration_s is None or sys.stderr is None or not sys.stderr.isatty():
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
    console = Console(stderr=True)
    shared = sys.stdout.isatty()  # else it is a file's, and none of the terminal's
    with Progress(*columns, console=console, transient=True, redirect_stdout=shared) as bar:
        task = bar.add_task("running", total=duration_s)
        while True:
            bar.update(task, completed=time.monotonic() - began_s)
            await asyncio.sleep(REFRESH_S)
