"""Which helper each recipient waits for, once it is known who helps: many worlds at once.

`one_shot` needs no second message: each recipient reckons as if it were its helper's only
one. `star_search.best_response` does better, by rounds; `at_random` is how the paper does it.
"""

import numpy as np

from twin_runtime.physics.arguments import (
    Array,
    Booleans,
    Integers,
    InvalidArgument,
    Real,
    non_negative,
    positive,
    within,
)


def one_shot(
    *,
    work_cycles: Real,
    ready_s: Real,
    usefulness: Real,
    neighbours: Booleans,
    helps: Booleans,
    deadline_s: float,
) -> Integers:
    """The helper whose star of two costs least above the helper alone, if that is less than
    being alone. [P5] 4.5.

    Args:
        work_cycles: > 0 `[..., n]`, of each server without help.
        ready_s: >= 0 `[..., n]`, before the deadline.
        usefulness: in [0, 1] `[..., n, n]`, of the row's model for the column's server.
        neighbours: `[..., n, n]`, symmetric.
        helps: `[..., n]`.
        deadline_s: > 0.

    Returns:
        `[..., n]`, whose parameters each waits for, its own index if nobody's.
    """
    work, ready = positive("work_cycles", work_cycles), non_negative("ready_s", ready_s)
    useful, deadline = (
        within("usefulness", usefulness, 0.0, 1.0),
        positive("deadline_s", deadline_s),
    )
    offers = _offers(neighbours, helps)
    time = deadline - ready
    merged = work[..., None, :] * (1.0 - useful)
    own, own_time = work[..., None], time[..., None]
    computing = own * own_time / (own + merged)
    computing = np.maximum(computing, ready[..., None, :] - ready[..., None])
    done = np.maximum((ready[..., None] + computing), ready[..., None, :])
    alone = work**3 / time**2
    with np.errstate(divide="ignore"):  # nobody's data may be as late as the deadline
        pair = own**3 / computing**2 + merged**3 / (deadline - done) ** 2
    extra = np.where(offers, pair - alone[..., None], np.inf)
    return _taken(np.argmin(extra, axis=-2), np.min(extra, axis=-2) < alone)


def at_random(*, neighbours: Booleans, helps: Booleans, generator: np.random.Generator) -> Integers:
    """Any of the neighbours that help, each as likely; a recipient must take one. [P5] S7."""
    offers = _offers(neighbours, helps)
    key = np.where(offers, generator.random(offers.shape), -1.0)
    return _taken(np.argmax(key, axis=-2), np.any(offers, axis=-2))


def _offers(neighbours: Booleans, helps: Booleans) -> Booleans:
    """`[..., n, n]`: the row helps, and the column is a neighbour that does not."""
    if neighbours.shape != (*helps.shape, helps.shape[-1]):
        shapes = f"neighbours {neighbours.shape}, helps {helps.shape}"
        raise InvalidArgument(f"neighbours must be [..., n, n] where helps is [..., n]: {shapes}")
    return neighbours & helps[..., None] & ~helps[..., None, :]


def _taken(best: Integers, taken: Array | Booleans) -> Integers:
    return np.where(taken, best, np.arange(taken.shape[-1])).astype(np.int64)
