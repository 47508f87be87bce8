"""What a solver says of its answer, and what it says when there is none."""

from typing import NamedTuple


class Infeasible(Exception):
    """The instance is well formed and has no solution; the message says which limit is broken."""


class Certificate(NamedTuple):
    """The answer's objective beside a bound that no feasible answer passes.

    Both are in the objective's own unit, and costs: no answer is below `bound`. A solver that
    maximises gives the negative of both.
    """

    value: float
    bound: float

    @property
    def gap(self) -> float:
        """How far the answer may be from the best one, relative to max(1, |value|)."""
        return max(0.0, self.value - self.bound) / max(1.0, abs(self.value))
