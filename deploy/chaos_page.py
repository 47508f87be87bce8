"""A chaos report as one page that needs nothing else: style and plots are in it."""

from collections.abc import Iterator
from html import escape
from typing import Any

from deploy import chaos_plots
from deploy.chaos_plots import NARROW_IN, WIDE_IN, Report
from deploy.chaos_report import figures, times

_KIND_WORDS = {
    "kill": "SIGKILL; the supervisor starts it again",
    "restart": "SIGTERM; the supervisor starts it again",
    "pause": "stopped, then continued",
    "partition": "no messages to or from the broker",
    "fill": "its disk is full",
}

_RECOVERIES = (
    "From the end of a fault, or from when its role ran again, to the first new acknowledgement "
    "of the last twin. It includes the wait for that device's next report."
)
_PAUSES = (
    "From the last acknowledgement by the former owner to the first by the next. It includes the "
    "wait for the device's next report, and faults that struck meanwhile."
)


def page(report: Report) -> str:
    """The whole document."""
    sections = "".join((_head(report), _tiles(report), _plots(report), _details(report)))
    return _PAGE.format(style=_STYLE, body=sections)


def _head(report: Report) -> str:
    good = report["verdict"] == "good"
    said = "Nothing was lost" if good else "This run failed"
    faults = len([fault for fault in report["faults"] if not fault["not_done"]])
    about = (
        f"{faults} faults in {report['duration_s']:g} s on a system of "
        f"{len(report['system']['roles'])} processes and {report['system']['twins']} twins"
    )
    problems = "".join(f"<li>{escape(problem)}</li>" for problem in report["problems"])
    listed = f'<ul class="problems">{problems}</ul>' if problems else ""
    state = "good" if good else "bad"
    return f'<header class="{state}"><h1>{said}</h1><p>{about}</p>{listed}</header>'


def _tiles(report: Report) -> str:
    recovered = [found["max"] for found in report["recovery_s"].values()]
    slowest = f"{max(recovered):.1f} s" if recovered else "–"
    tiles = (
        ("lost", f"{report['lost']:,}", _state(report["lost"])),
        ("applied twice", f"{report['twice']:,}", _state(report["twice"])),
        ("acknowledged", f"{report['acknowledged']:,}", ""),
        ("moves", f"{report['moves']['made']:,}", ""),
        ("slowest recovery", slowest, ""),
    )
    cells = (
        f'<div class="{state}"><dt>{name}</dt><dd>{value}</dd></div>'
        for name, value, state in tiles
    )
    return f'<dl class="tiles">{"".join(cells)}</dl>'


def _state(count: int) -> str:
    return "bad" if count else "good"


def _plots(report: Report) -> str:
    return "".join(
        f'<figure><h2>{title}</h2><div class="wide" role="img" aria-label="{title}">'
        f'{draw(report, WIDE_IN)}</div><div class="narrow" role="img" aria-label="{title}">'
        f"{draw(report, NARROW_IN)}</div><figcaption>{caption}</figcaption></figure>"
        for title, draw, caption in _drawings(report)
    )


def _drawings(report: Report) -> Iterator[tuple[str, Any, str]]:
    kinds = {fault["kind"] for fault in report["faults"] if not fault["not_done"]}
    legend = " ".join(
        f'<span class="key"><i style="background:var(--{kind})"></i>{kind}: {words}</span>'
        for kind, words in _KIND_WORDS.items()
        if kind in kinds
    )
    shown = "Solid while it lasts, pale until every twin is acknowledged again."
    yield "Acknowledged reports", chaos_plots.timeline, f"{shown} {legend}"
    if any(fault["recovered_s"] is not None for fault in report["faults"]):
        yield "Time to recover", chaos_plots.recoveries, _RECOVERIES
    if report["pauses_s"]:
        yield "Pauses of moves", chaos_plots.pauses, _PAUSES


def _details(report: Report) -> str:
    rows = "".join(
        f"<tr><td>{escape(name.strip())}</td><td>{escape(text)}</td></tr>"
        for name, text in figures(report)
    )
    faults = "".join(_fault_row(fault) for fault in report["faults"])
    left_out = "".join(f"<li>Left out: {escape(reason)}</li>" for reason in report["left_out"])
    unseen = f" {report['unseen']:,} were too old to be kept." if report["unseen"] else ""
    return (
        f"<section><h2>In figures</h2><table>{rows}</table></section>"
        '<section><h2>Faults</h2><table class="faults"><thead><tr><th>fault</th><th>role</th>'
        "<th>at s</th><th>lasted s</th><th>recovered in s</th></tr></thead>"
        f"{faults}</table></section>"
        "<section><h2>What was checked</h2><p>An observer on the broker wrote down what devices "
        f"were told. Afterwards {report['looked_up']:,} of these reports were looked up in the "
        f"edges' histories on disk, and {report['compared']:,} compared with what the device "
        f"itself keeps.{unseen} <em>Lost</em>: told to a device, and not on disk. "
        "<em>Applied twice</em>: on disk more than once in the history of its twin.</p>"
        f"<ul>{left_out}</ul></section>"
        f"<footer>{escape(report['command'])}</footer>"
    )


def _fault_row(fault: dict[str, Any]) -> str:
    lasted, recovered = times(fault)
    note = f"<br><small>{escape(fault['not_done'])}</small>" if fault["not_done"] else ""
    return (
        f'<tr><td><i style="background:var(--{fault["kind"]})"></i>{fault["kind"]}</td>'
        f"<td>{escape(fault['role'])}{note}</td><td>{fault['began_s']:.1f}</td>"
        f"<td>{lasted}</td><td>{recovered}</td></tr>"
    )


_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>diten chaos</title>
<style>{style}</style>
<main>{body}</main>
</html>
"""

_STYLE = """
:root { color-scheme: light dark;
  --paper: #ffffff; --card: #f4f6f8; --ink: #16202a; --soft: #55626f; --line: #cfd6dd;
  --accent: #2468b4; --good: #1d7a46; --bad: #b3261e;
  --kill: #c2384a; --restart: #c98a1b; --pause: #7a5cc4; --partition: #1f86a8; --fill: #4f8f4a; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #12171d; --card: #1b222a; --ink: #e8edf2; --soft: #9fadba; --line: #38434e;
  --accent: #6aaef2; --good: #5fcf8f; --bad: #ff8a80;
  --kill: #f2788a; --restart: #eab54e; --pause: #b49cf0; --partition: #5cc3e4; --fill: #8ccf86; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
header { border-left: 6px solid var(--good); padding: .2rem 0 .2rem 1rem; }
header.bad { border-color: var(--bad); }
h1 { margin: 0; font-size: 1.7rem; line-height: 1.2; color: var(--good); }
header.bad h1 { color: var(--bad); }
header p { margin: .2rem 0; color: var(--soft); }
.problems { margin: .5rem 0; padding-left: 1.2rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 0 0 .6rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .75rem;
  margin: 1.5rem 0; }
.tiles div { background: var(--card); border-radius: .5rem; padding: .7rem .9rem; }
.tiles dt { color: var(--soft); font-size: .85rem; }
.tiles dd { margin: 0; font-size: 1.6rem; font-variant-numeric: tabular-nums; }
.tiles .good dd { color: var(--good); } .tiles .bad dd { color: var(--bad); }
figure, section { margin: 2rem 0 0; }
figure svg { display: block; width: 100%; height: auto; }
figure svg text { font-family: inherit !important; }
.narrow { display: none; }
figcaption, footer, small { color: var(--soft); font-size: .85rem; }
.key { display: inline-block; margin-right: .9rem; }
i { display: inline-block; width: .75em; height: .75em; border-radius: .2em;
  margin-right: .4em; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
td, th { text-align: left; padding: .35rem .6rem .35rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; overflow-wrap: break-word; }
.faults td { white-space: nowrap; } .faults td:nth-child(2) { white-space: normal; }
th { color: var(--soft); font-weight: normal; font-size: .85rem; }
footer { margin-top: 2rem; font-family: ui-monospace, monospace; overflow-wrap: anywhere; }
@media (max-width: 40rem) { .wide { display: none; } .narrow { display: block; }
  .tiles { grid-template-columns: 1fr 1fr; } td, th { padding-right: .4rem; font-size: .9rem; } }
"""
