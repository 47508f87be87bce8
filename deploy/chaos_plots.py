"""The plots of a chaos report: SVG to be put into a page, which brings the colours.

Matplotlib knows no style sheet. So it draws each colour as a grey that stands for a
variable of the page's style (`--ink`, `--kill`, …), and the grey is replaced in what it
wrote; one drawing is then fine on a light and on a dark page.
"""

import io
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from deploy.chaos_faults import KINDS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE_IN: Final = 9.6
NARROW_IN: Final = 4.6  # for a telephone: the same text, fewer of it in a row
_NAMES = ("ink", "soft", "line", "accent", *KINDS)
_COLOURS = {name: f"#0101{number:02x}" for number, name in enumerate(_NAMES, start=1)}
_LANE_IN = 0.24
_BAR = 0.62
_BINS = 24
_BARS_MAX = 60  # rows in one plot; of more faults the slowest are shown

Report = dict[str, Any]


def timeline(report: Report, width_in: float) -> str:
    """Acknowledged reports per second, and below it what was broken when."""
    faults = [fault for fault in report["faults"] if not fault["not_done"]]
    roles = [role for role in report["system"]["roles"] if any(f["role"] == role for f in faults)]
    heights = [2.2, max(len(roles), 1) * _LANE_IN]

    def draw(figure: "Figure") -> None:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=heights)
        _draw_rate(above, report["acknowledged_per_s"])
        _draw_lanes(below, faults, roles, _end_s(report))

    return _svg(f"timeline {width_in}", (width_in, sum(heights) + 0.9), draw)


def pauses(report: Report, width_in: float) -> str:
    """How long moves paused their twins."""
    from matplotlib.ticker import MaxNLocator

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        values = [max(value, 0.001) for value in report["pauses_s"]]
        axes.hist(values, bins=_log_bins(values), color=_COLOURS["accent"])
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(_in_words)
        axes.set_xlabel("pause of a move")
        axes.set_ylabel("moves")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        _calm(axes)

    return _svg(f"pauses {width_in}", (width_in, 2.6), draw)


def recoveries(report: Report, width_in: float) -> str:
    """From the end of each fault to the first news of the last twin."""
    rows = [
        (fault["recovered_s"] - fault["ended_s"], fault)
        for fault in report["faults"]
        if fault["recovered_s"] is not None and fault["ended_s"] is not None
    ]
    if len(rows) > _BARS_MAX:
        slowest = sorted(rows, key=lambda row: row[0])[-_BARS_MAX:]
        rows = [row for row in rows if row in slowest]

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        names = [f"{fault['kind']} {_short(fault['role'])}" for _, fault in rows]
        colours = [_COLOURS[fault["kind"]] for _, fault in rows]
        bars = axes.barh(range(len(rows)), [took for took, _ in rows], _BAR, color=colours)
        axes.bar_label(bars, fmt="%.1f s", padding=4, color=_COLOURS["soft"])
        axes.set_yticks(range(len(rows)), names)
        axes.invert_yaxis()
        axes.set_xlabel("seconds")
        axes.margins(x=0.12)
        _calm(axes)

    return _svg(f"recoveries {width_in}", (width_in, 0.8 + len(rows) * _LANE_IN), draw)


def _draw_rate(axes: "Axes", per_s: Sequence[int]) -> None:
    whole = per_s[:-1] or per_s  # the last second is not a whole one
    axes.stairs(whole, fill=True, color=_COLOURS["accent"], alpha=0.25)
    axes.stairs(whole, baseline=None, color=_COLOURS["accent"], linewidth=1.4)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("acknowledged/s")
    _calm(axes)


def _draw_lanes(
    axes: "Axes", faults: Sequence[dict[str, Any]], roles: Sequence[str], end_s: float
) -> None:
    """Solid while it lasts, pale until all twins are acknowledged again."""
    for fault in faults:
        lane, colour = roles.index(fault["role"]), _COLOURS[fault["kind"]]
        ended_s = end_s if fault["ended_s"] is None else fault["ended_s"]
        recovered_s = end_s if fault["recovered_s"] is None else fault["recovered_s"]
        axes.barh(lane, recovered_s - ended_s, _BAR, ended_s, color=colour, alpha=0.3)
        axes.barh(lane, max(ended_s - fault["began_s"], end_s / 300), _BAR, fault["began_s"],
                  color=colour)  # fmt: skip
    axes.set_yticks(range(len(roles)), [_short(role) for role in roles])
    axes.set_ylim(len(roles) - 0.4, -0.6)
    axes.set_xlim(0, end_s)
    axes.set_xlabel("seconds")
    _calm(axes)


def _end_s(report: Report) -> float:
    return max(float(len(report["acknowledged_per_s"]) - 1), 1.0)


def _short(role: str) -> str:
    return role.replace("d-emulated-fleet", "devices")


def _log_bins(values: Sequence[float]) -> list[float]:
    low, high = min(values) / 1.1, max(values) * 1.1
    return [low * (high / low) ** (step / _BINS) for step in range(_BINS + 1)]


def _in_words(value_s: float, _: float) -> str:
    return f"{value_s:g} s" if value_s >= 1 else f"{1000 * value_s:g} ms"


def _calm(axes: "Axes") -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, axis="x" if axes.yaxis_inverted() else "y", linewidth=0.6)
    axes.set_axisbelow(True)


def _svg(name: str, size_in: tuple[float, float], draw: Callable[["Figure"], None]) -> str:
    """Draw on a figure of its own; `name` makes the ids in it its own."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    ink, soft, line = (_COLOURS[each] for each in ("ink", "soft", "line"))
    style: Any = {
        "svg.fonttype": "none", "svg.hashsalt": name, "font.size": 10, "text.color": ink,
        "axes.labelcolor": soft, "axes.edgecolor": line, "grid.color": line, "xtick.color": line,
        "ytick.color": line, "xtick.labelcolor": soft, "ytick.labelcolor": soft,
    }  # fmt: skip
    written = io.StringIO()
    with mpl.rc_context(style):
        figure = Figure(size_in, layout="constrained")
        draw(figure)
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None})
    return _for_page(written.getvalue())


def _for_page(svg: str) -> str:
    """Only the drawing, as wide as its place, in the page's colours and letters."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) (?:width|height)="[^"]*"', r"\1", svg)
    svg = re.sub(r'(<svg[^>]*?) (?:width|height)="[^"]*"', r"\1", svg)
    svg = svg.replace("'DejaVu Sans'", "inherit")
    for name, colour in _COLOURS.items():
        svg = svg.replace(colour, f"var(--{name})")
    return svg
