"""What a decision problem is: a specification and five pure functions.

    state = begin(scenario, batch, generator)      a world, before its first decision
    observation = observe(state)                   what a policy sees: arrays by name
    action = decode(state, scores)                 a policy's answer, made feasible
    cost = cost(state, action)                     what the action costs in this state
    state = transition(state, action, generator)   the world one slot later

All arrays have a first axis `batch`: so many independent worlds step at once, and no
function loops over them. A live edge has one world, `batch` 1, whose state it builds from
its twins.

`Spec` says what crosses the border to a policy, in the terms of an ONNX file: named
inputs and outputs with named axes. Its digest ties a trained file to the code that feeds it.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from twin_runtime.physics.arguments import Array

Observation = Mapping[str, npt.NDArray[Any]]  # float32, or bool for masks
Scores = Mapping[str, npt.NDArray[Any]]

C = TypeVar("C")  # a scenario
S = TypeVar("S")  # a state
A = TypeVar("A")  # an action


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input or output: its axes by name and, where the last axis is one of features,
    what each of them is, with its unit (`1` for a pure number)."""

    name: str
    axes: tuple[str, ...]
    features: tuple[tuple[str, str], ...] = ()
    dtype: str = "float32"


@dataclass(frozen=True, slots=True)
class Spec:
    """The border between a problem and its policies; `version` rises when its meaning changes."""

    problem: str
    version: int
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of all of it, hex: a policy that was made for another one must not run."""
        encoded = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(encoded.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Cost:
    """What an action costs: `total` is what a policy minimises (`[batch]`, or `[batch, agent]`
    where many decide), `parts` what it is made of and what reports show, units last."""

    total: Array
    parts: Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Problem(Generic[C, S, A]):
    """A specification with its functions; see the module."""

    spec: Spec
    begin: Callable[[C, int, np.random.Generator], S]
    observe: Callable[[S], Observation]
    decode: Callable[[S, Scores], A]
    cost: Callable[[S, A], Cost]
    transition: Callable[[S, A, np.random.Generator], S]
