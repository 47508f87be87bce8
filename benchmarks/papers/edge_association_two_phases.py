"""P4's program for one upload per twin, S7, as the digest writes it.

It knows counts, airtimes and the ends of two phases, training and upload. It neither counts
verification nor decides who takes part: every station hosts somebody. Our oracle does both;
the digest's, by its numbers, did not.
"""

from dataclasses import replace

import numpy as np
from scipy.optimize import LinearConstraint, milp

from twin_runtime.physics.arguments import Array, Integers
from twin_runtime.problems.edge_association_policies import stations_of
from twin_runtime.problems.edge_association_round import (
    Action,
    State,
    average_action,
    best_shares,
)


def two_phases(state: State, generator: np.random.Generator) -> Action:  # noqa: ARG001
    """Hosts by the program, for twins that are alike, and the best shares for them."""
    scenario, stations = state.scenario, stations_of(state)
    work = float(state.samples[0, 0]) * scenario.fraction * scenario.iterations
    twin_s = work * scenario.cycles_per_sample / state.frequency_hz
    models_per_s = state.rate_bps / stations.upload_bits
    counts = [
        _counts(each, rate, state.samples.shape[1])
        for each, rate in zip(twin_s, models_per_s, strict=True)
    ]
    host = np.stack([np.repeat(np.arange(len(count)), count) for count in counts])
    return replace(average_action(state), host=host, share=best_shares(state, host))


def _counts(twin_s: Array, rate: Array, twins: int) -> Integers:
    """Twins per station `[M]`: variables are counts, airtimes `[M, C]`, and both ends."""
    (count, channels), eye = rate.shape, np.eye(len(rate))
    trained = np.hstack([np.diag(twin_s), np.zeros((count, rate.size)), -np.ones((count, 1))])
    sent = np.hstack([eye, -np.kron(eye, np.ones(channels)) * rate.ravel(), np.zeros((count, 1))])
    spent = np.hstack([np.zeros((channels, count)), np.tile(np.eye(channels), count)])
    rows = np.vstack(
        [
            np.pad(trained, ((0, 0), (0, 1))),
            np.pad(sent, ((0, 0), (0, 1))),
            np.hstack([spent, np.zeros((channels, 1)), -np.ones((channels, 1))]),
        ]
    )
    whole = np.arange(rows.shape[1]) < count
    found = milp(
        np.arange(rows.shape[1]) >= count + rate.size,
        integrality=whole,
        bounds=(1.0 * whole, np.inf),
        constraints=[LinearConstraint(rows, ub=0.0), LinearConstraint(1.0 * whole, twins, twins)],
    )
    hosted: Integers = np.rint(found.x[:count]).astype(np.int64)
    return hosted
