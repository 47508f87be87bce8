"""A fading link as a Markov chain over states of its signal-to-noise ratio.

Under Rayleigh fading the SNR over its mean is exponentially distributed. Its range is cut
into states that are equally likely, each with the mean SNR inside it. From round to round a
link stays or moves to a neighbouring state; at the ends it is reflected. The matrix is doubly
stochastic, so in the long run all states are equally likely, as the cut says they are.
[P2] states only that the SNR is such a chain; the numbers are a scenario's.
"""

from typing import NamedTuple

import numpy as np

from twin_runtime.physics.arguments import (
    Array,
    Integers,
    InvalidArgument,
    Real,
    finite,
    indices,
    within,
)


class SnrStates(NamedTuple):
    """`edges` `[H + 1]` from 0 to infinity, and `means` `[H]`, both over the mean SNR."""

    edges: Array
    means: Array


def snr_states(states: int) -> SnrStates:
    """Cut an exponential law of mean 1 into `states` (>= 1) of equal probability. [P2] S2."""
    _check_states(states)
    edges = np.append(-np.log1p(-np.arange(states) / states), np.inf)
    tail = np.append((edges[:-1] + 1.0) * np.exp(-edges[:-1]), 0.0)
    return SnrStates(edges, states * (tail[:-1] - tail[1:]))


def transition_matrix(*, states: int, stay: float) -> Array:
    """Probabilities `[H, H]` of the next state, by row: `stay`, else a neighbour; ends reflect.

    [P2] S2.

    Args:
        states: >= 1.
        stay: probability in [0, 1] of staying, where there are two neighbours.
    """
    _check_states(states)
    aside = (1.0 - float(within("stay", stay, 0.0, 1.0))) / 2.0
    matrix = aside * (np.eye(states, k=1) + np.eye(states, k=-1))
    matrix[np.diag_indices(states)] = 1.0 - matrix.sum(axis=1)
    return matrix


def next_states(
    generator: np.random.Generator, state: Integers, *, states: int, stay: float
) -> Integers:
    """One step of as many independent chains as `state` has entries, any shape. [P2] S2."""
    _check_states(states)
    aside = (1.0 - float(within("stay", stay, 0.0, 1.0))) / 2.0
    drawn = generator.random(state.shape, dtype=np.float32)
    step = (drawn < aside).astype(state.dtype) - (drawn >= 1.0 - aside).astype(state.dtype)
    moved: Integers = np.clip(state + step, 0, states - 1)
    return moved


def predicted_rate_bps(*, state: Integers, age: int, matrix: Real, rates_bps: Real) -> Array:
    """Expected rate of links that were seen in `state` `age` steps ago [bit/s]. [P2] S1.

    Args:
        state: index below H, any shape.
        age: >= 0, whole steps.
        matrix: `[H, H]`, rows of probabilities.
        rates_bps: `[..., H]`, the rate in each state; `...` broadcasts with `state`.
    """
    if age < 0:
        raise InvalidArgument(f"age is {age}; it must be a whole number >= 0")
    step, rates = within("matrix", matrix, 0.0, 1.0), finite("rates_bps", rates_bps)
    if step.shape != (rates.shape[-1],) * 2:
        raise InvalidArgument(f"matrix is {step.shape}, rates_bps {rates.shape}; one state each")
    law = np.linalg.matrix_power(step, age)[indices("state", state, len(step))]
    expected: Array = (law * rates).sum(axis=-1)
    return expected


def _check_states(states: int) -> None:
    if states < 1:
        raise InvalidArgument(f"states is {states}; it must be at least 1")
