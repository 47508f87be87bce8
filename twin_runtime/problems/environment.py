"""A problem that steps: many worlds of one scenario at once, reproducible from a seed."""

from dataclasses import dataclass
from typing import Generic

import numpy as np

from twin_runtime.physics.arguments import InvalidArgument
from twin_runtime.problems.problem import A, C, Cost, Observation, Problem, S


@dataclass(frozen=True, slots=True)
class Step(Generic[S]):
    """The outcome of one action: its cost in the state before, and what is seen after it.

    The reward of a learner is `-cost.total`.
    """

    cost: Cost
    observation: Observation
    state: S


class Environment(Generic[C, S, A]):
    """`batch` independent worlds of `scenario`, all drawn from `seed`.

    The same seed and batch give the same worlds, whatever is done in them only as far as
    the problem says. Episodes have no end of their own: `reset` begins new worlds.
    """

    def __init__(self, problem: Problem[C, S, A], scenario: C, seed: int, batch: int = 1) -> None:
        if batch < 1:
            raise InvalidArgument(f"batch is {batch}; it must be at least 1")
        self.problem = problem
        self.scenario = scenario
        self.batch = batch
        self.generator = np.random.default_rng(seed)
        self.state = problem.begin(scenario, batch, self.generator)

    def reset(self) -> Observation:
        """Begin new worlds; return what is seen of them."""
        self.state = self.problem.begin(self.scenario, self.batch, self.generator)
        return self.problem.observe(self.state)

    def step(self, action: A) -> Step[S]:
        """Take `action` (feasible, as `decode` makes it) in every world."""
        cost = self.problem.cost(self.state, action)
        self.state = self.problem.transition(self.state, action, self.generator)
        return Step(cost, self.problem.observe(self.state), self.state)
