"""The summary of a run of `diten up`, for people."""

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text


def print_summary(summary: dict[str, Any]) -> None:
    """Print the verdict, and what each process cost."""
    console = Console(highlight=False)
    reports = summary["reports"]
    table = Table("process", box=None, header_style="dim", pad_edge=False)
    for name in ("pid", "memory MB", "CPU s", "restarts"):
        table.add_column(name, justify="right")
    for role in summary["roles"]:
        cells = (role.get(key, "-") for key in ("pid", "rss_mb", "cpu_s", "restarts"))
        table.add_row(role["id"], *(str(cell) for cell in cells))
    console.print(table)
    console.print(
        f"{summary['twins']} twins; reports: {reports['produced']} produced, "
        f"{reports['applied']} applied, {reports['stable']} stable"
    )
    ack_ms = summary["ack_ms"]
    if ack_ms["p50"] is not None:
        console.print(f"acknowledged within {ack_ms['p50']} ms (p50), {ack_ms['p99']} ms (p99)")
    console.print(_verdict(summary))


def _verdict(summary: dict[str, Any]) -> Text:
    reports = summary["reports"]
    verdict = f"lost {reports['lost']}, applied twice {reports['twice']}"
    if reports["lost"] or reports["twice"]:
        return Text("\n".join([verdict, *summary["problems"]]), style="bold red")
    compared = f"{reports['compared']} acknowledged reports compared with the stores"
    return Text(f"{verdict} ({compared})", style="green")
