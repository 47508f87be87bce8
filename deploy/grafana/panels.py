"""What the dashboards show: a panel is a line of a table, and says why one looks at it.

`scripts/print_dashboards.py` decides how that looks. The numbers behind the colours are
those of the alerts (`deploy/prometheus/rules/`), which the descriptions name.
"""

from dataclasses import dataclass

# Grafana's names of units.
PER_S, SHARE, COUNT = "cps", "percentunit", "short"
SECONDS, BYTES, BYTES_PER_S = "s", "bytes", "binBps"
RED, YELLOW, GREEN = "red", "orange", "green"
EDGE = 'job="diten-edge",instance=~"$edge"'
CLOUD = 'job="diten-cloud"'
RATE = "[$__rate_interval]"

Steps = tuple[tuple[float, str], ...]
Queries = dict[str, str]  # what a line is called, and its expression


@dataclass(frozen=True, slots=True)
class Lines:
    """Values over time."""

    title: str
    why: str
    unit: str
    queries: Queries
    steps: Steps = ()  # from which value on it is which colour; below, green
    width: int = 12


@dataclass(frozen=True, slots=True)
class Number:
    """One value, now."""

    title: str
    why: str
    unit: str
    expr: str
    steps: Steps = ()
    width: int = 4


@dataclass(frozen=True, slots=True)
class Words:
    title: str
    markdown: str
    width: int = 24


@dataclass(frozen=True, slots=True)
class Rows:
    """What the API says, as a table or, with `time`, as lines."""

    title: str
    why: str
    url: str
    selector: str  # of gojq
    columns: tuple[tuple[str, str], ...]  # selector and type
    width: int = 24


@dataclass(frozen=True, slots=True)
class Curve:
    """What the API says, as a value over time: its columns are `time` and `value`."""

    title: str
    why: str
    url: str
    selector: str


Panel = Lines | Number | Words | Rows | Curve
BAD = ((1, RED),)
WARN = ((1, YELLOW),)


def quantiles(metric: str, labels: str, by: str = "instance") -> Queries:
    """Half, and all but one in a hundred, of a histogram."""
    rate = f"sum by ({by}, le) (rate({metric}_bucket{{{labels}}}{RATE}))"
    return {
        f"{{{{{by}}}}} {name}": f"histogram_quantile({q}, {rate})"
        for name, q in (("half", 0.5), ("99 %", 0.99))
    }


def rate(metric: str, labels: str, by: str) -> str:
    return f"sum by ({by}) (rate({metric}{{{labels}}}{RATE}))"


def aged(within_s: str, labels: str) -> str:
    """The share of twins whose last report is at most so old; gauges in a histogram's clothes."""
    bucket = f'sum(diten_twin_age_seconds_bucket{{{labels},le="{within_s}"}})'
    return f"{bucket} / sum(diten_twin_age_seconds_count{{{labels}}})"
