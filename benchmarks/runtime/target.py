"""What a benchmark reports: one figure, its bar, and what it was measured against."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple


class Bar(NamedTuple):
    """What a value has to be: at most, or at least, `limit`."""

    sign: Literal["<=", ">="]
    limit: float

    def __str__(self) -> str:
        return f"{self.sign} {self.limit:.4g}"


@dataclass(frozen=True, slots=True)
class Target:
    """One row of `docs/performance.md`. `against` names the peer or the limit of the same
    run, with the figures behind `value`; where it is no number, it could not be measured."""

    name: str
    value: float
    unit: str
    bar: Bar
    against: str

    @property
    def met(self) -> bool:
        """Whether `value` keeps to the bar; a value that is no number does not."""
        if self.bar.sign == "<=":
            return self.value <= self.bar.limit
        return self.value >= self.bar.limit

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "value": None if math.isnan(self.value) else float(f"{self.value:.4g}"),
            "unit": self.unit,
            "bar": str(self.bar),
            "met": self.met,
            "against": self.against,
        }


class Flow(NamedTuple):
    """What it took a process to deal with so many messages."""

    messages: int
    wall_s: float
    cpu_s: float

    @property
    def rate(self) -> float:
        """Messages per second of the wall clock."""
        return self.messages / self.wall_s

    @property
    def cpu_s_per_100k(self) -> float:
        return self.cpu_s / self.messages * 100_000

    def __str__(self) -> str:
        return f"{self.rate:,.0f}/s at {self.cpu_s_per_100k:.2f} CPU s/100k"


def middle(flows: Sequence[Flow]) -> Flow:
    """The repeat with the median rate."""
    return sorted(flows, key=lambda flow: flow.rate)[len(flows) // 2]
