"""`diten twin history`: the past of one feature, as a line of blocks and a table."""

import json
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from statistics import median_low
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlencode

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from deploy import completion
from deploy.api import answer, api_client, reads_the_api, send
from deploy.duration import Duration
from deploy.tables import (
    QUALITY_STYLES,
    aligned,
    is_number,
    print_table,
    scaled,
    symbol_of,
    value_text,
)
from deploy.twin_id import TwinId, name_of
from twin_runtime.core.limits import HISTORY_PAGE_MAX, HISTORY_POINTS_MAX

if TYPE_CHECKING:
    import httpx

_BLOCKS = "▁▂▃▄▅▆▇█"
_COLUMNS = 60  # of the line of blocks
_GAP_PERIODS = 5  # beyond so many, nobody knows what was in between
_ROWS_SHOWN = 20  # newest ones, in the table
_PAGES_MAX = 1_000  # of HISTORY_PAGE_MAX rows: all that an edge keeps

Row = tuple[int, Any, str]  # when it was observed, the value, its quality


class _Past(NamedTuple):
    """What the API said of a feature."""

    unit: str
    rows: list[Row]


@click.command()
@click.argument("twin_id", metavar="ID", type=TwinId(), shell_complete=completion.twins)
@click.argument("feature", shell_complete=completion.features)
@click.option("--since", "since_s", type=Duration(), default="1h", show_default=True,
              help="From so long ago on, e.g. 10m.")  # fmt: skip
@reads_the_api
def history(*, twin_id: str, feature: str, since_s: float, api: str, as_json: bool) -> None:
    """Show what a feature was, as far back as --since.

    No further than the disk of its owner reaches. With --json every value is printed, one
    JSON array a line: observed_ms, value, quality.
    """
    from_ms = max(round((time.time() - since_s) * 1000), 0)
    name = name_of(twin_id)
    with api_client(api) as client:
        if as_json:
            for row in _all(client, name, {"feature": feature, "from": from_ms}):
                click.echo(json.dumps(row))
        else:
            past = _thinned(client, name, {"feature": feature, "from": from_ms})
            _print(f"{twin_id} {feature}", past)


def sparkline(rows: Sequence[Row], columns: int) -> str:
    """The numbers in `rows` as blocks from their smallest to their largest, in as many columns
    of equal time; empty where there are none. A column shows the last value there, or the one
    that still held, or a gap."""
    numbers = [(at_ms, value) for at_ms, value, _ in rows if is_number(value)]
    if not numbers:
        return ""
    smallest, largest = (pick(value for _, value in numbers) for pick in (min, max))
    begin_ms, span_ms = numbers[0][0], max(numbers[-1][0] - numbers[0][0], 1)
    line = [" "] * columns
    for at_ms, until_ms, value in _held(numbers):
        first, end = (
            min(max(ms - begin_ms, 0) * columns // span_ms, columns - 1) for ms in (at_ms, until_ms)
        )
        height = (value - smallest) / ((largest - smallest) or 1)
        block = _BLOCKS[round(height * (len(_BLOCKS) - 1))]
        line[first : max(end, first + 1)] = block * max(end - first, 1)
    return "".join(line)


def _held(numbers: list[tuple[int, float]]) -> Iterator[tuple[int, int, float]]:
    """From when until when each number held: until the next, where that came in time."""
    periods_ms = [after - before for (before, _), (after, _) in pairwise(numbers)]
    late_ms = _GAP_PERIODS * median_low(periods_ms) if periods_ms else 0
    for (at_ms, value), period_ms in zip(numbers, [*periods_ms, 0], strict=True):
        yield at_ms, at_ms + (period_ms if period_ms <= late_ms else 0), value


def _all(client: "httpx.Client", twin: str, query: dict[str, Any]) -> Iterator[Row]:
    cursor: dict[str, Any] = {}
    for _ in range(_PAGES_MAX):
        page = _asked(client, twin, {**query, "limit": HISTORY_PAGE_MAX, **cursor})
        yield from page["rows"]
        if page["next"] is None:
            return
        cursor = {"cursor": page["next"]}


def _thinned(client: "httpx.Client", twin: str, query: dict[str, Any]) -> _Past:
    page = _asked(client, twin, {**query, "points": HISTORY_POINTS_MAX})
    return _Past(symbol_of(page["unit"]), page["rows"])


def _asked(client: "httpx.Client", twin: str, query: dict[str, Any]) -> Any:
    path = f"/api/v1/twins/{quote(twin, safe='')}/history?{urlencode(query)}"
    return answer(send(client, "GET", path))


def _print(title: str, past: _Past) -> None:
    if not past.rows:
        click.echo(
            f"{title}: nothing is kept of this time; a longer --since reaches further back."
            " Of live values no past is kept."
        )
        return
    numbers = [value for _, value, _ in past.rows if is_number(value)]
    click.echo(f"{title} · {_moment(past.rows[0][0])} to {_moment(past.rows[-1][0])}")
    if numbers:
        ends = (_text(value, past.unit) for value in (min(numbers), max(numbers), numbers[-1]))
        click.echo(sparkline(past.rows, _COLUMNS))
        click.echo("lowest {}, highest {}, last {}".format(*ends))
    print_table(_table(past), Console())


def _table(past: _Past) -> Table:
    """The newest rows, one line each."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    newest = past.rows[-_ROWS_SHOWN:]
    values = aligned([value for _, value, _ in newest], past.unit)
    table.add_column("OBSERVED", no_wrap=True)
    table.add_column("VALUE".rjust(len(values[0])))
    table.add_column("QUALITY", no_wrap=True)
    for (at_ms, _, quality), value in zip(newest, values, strict=True):
        shown = Text(quality, style=QUALITY_STYLES.get(quality, ""))
        table.add_row(_moment(at_ms), Text(value), shown)
    return table


def _text(value: Any, unit: str) -> str:
    amount, prefixed = scaled(value, unit if is_number(value) else "")
    return f"{value_text(amount)} {prefixed}".rstrip()


def _moment(at_ms: int) -> str:
    """The time of day here, with the date where it is not today's."""
    moment = datetime.fromtimestamp(at_ms / 1000).astimezone()
    is_today = moment.date() == datetime.now().astimezone().date()
    return f"{moment:%H:%M:%S}" if is_today else f"{moment:%Y-%m-%d %H:%M:%S}"
