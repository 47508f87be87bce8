"""What an experiment gives: rows that stand beside the paper's numbers and our reference's."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev


@dataclass(frozen=True, slots=True)
class Row:
    """One metric of one policy: its mean over seeds, and their standard deviation.

    `metric` ends with its unit; `paper_value` is printed in the paper, `reference_value` is
    what the reference simulation of its digest gave, None where there is none.
    """

    paper: str
    policy: str
    scenario: str
    metric: str
    mean: float
    spread: float
    seeds: int
    paper_value: float | None = None
    reference_value: float | None = None

    @classmethod
    def of(
        cls, about: tuple[str, str, str, str], values: Sequence[float], reference: float | None
    ) -> "Row":
        """The row `(paper, policy, scenario, metric)` of one value per seed."""
        spread = stdev(values) if len(values) > 1 else 0.0
        return cls(*about, fmean(values), spread, len(values), reference_value=reference)


@dataclass(frozen=True, slots=True)
class Paper:
    """One paper's experiments.

    `run(policy, seeds)` yields rows as they are done, of one policy. With fewer than `seeds`
    the spread says little. What draws the figures of `docs/papers/<slug>.md` is in a module
    beside: `draw(folder)` of `<slug>_figures` writes them and returns their paths.
    """

    name: str
    slug: str
    title: str
    policies: tuple[str, ...]
    run: Callable[[str, Sequence[int]], Iterator[Row]]
    seeds: int = 3
