"""The summary of a run of `diten up`, for people."""

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

_SECOND_MS = 1000
# What is known of a role's process, and how it is written.
_COLUMNS = (
    ("pid", "pid", "d"),
    ("memory MB", "rss_mb", ".1f"),
    ("CPU s", "cpu_s", ".2f"),
    ("restarts", "restarts", "d"),
)


def print_summary(summary: dict[str, Any]) -> None:
    """Print the verdict, and what each process cost."""
    console = Console(highlight=False)
    reports = summary["reports"]
    table = Table("process", box=None, header_style="dim", pad_edge=False)
    for name, _, _ in _COLUMNS:
        table.add_column(name, justify="right")
    for role in summary["roles"]:
        cells = (format(role[key], form) if key in role else "–" for _, key, form in _COLUMNS)
        table.add_row(role["id"], *cells)
    console.print()  # below the terminal's ^C
    console.print(table)
    console.print(
        f"{summary['twins']:,} twins; reports: {reports['produced']:,} produced, "
        f"{reports['applied']:,} applied, {reports['stable']:,} stable"
    )
    ack_ms = summary["ack_ms"]
    if ack_ms["p50"] is not None:
        console.print(f"acknowledged within {_quantiles(ack_ms)}")
    pause_ms = summary["move_pause_ms"]
    if pause_ms["count"]:
        console.print(
            f"twins changed their edge {pause_ms['count']:,} times; devices heard nothing for "
            f"{_quantiles(pause_ms)}",
            soft_wrap=True,
        )
    console.print(_verdict(summary))


def _quantiles(of_ms: dict[str, float]) -> str:
    shown = (
        f"{ms:.1f} ms" if ms < _SECOND_MS else f"{ms / _SECOND_MS:.1f} s"
        for ms in (of_ms["p50"], of_ms["p99"])
    )
    return "{} (p50), {} (p99)".format(*shown)


def _verdict(summary: dict[str, Any]) -> Text:
    reports = summary["reports"]
    verdict = f"lost {reports['lost']}, applied twice {reports['twice']}"
    if reports["lost"] or reports["twice"]:
        return Text("\n".join([verdict, *summary["problems"]]), style="bold red")
    compared = f"{reports['compared']:,} acknowledged reports compared with the stores"
    return Text(f"{verdict} ({compared})", style="green")
