"""[P2]'s own exploration, kept as a baseline: random moves that even out the users' times.

It minimises the sum of squared deviations from the mean time (36), as printed. A user that
finishes early counts as much as one that finishes late, so it may lengthen the round.
"""

import numpy as np

from twin_runtime.physics.arguments import Array, Booleans, Integers
from twin_runtime.physics.ofdma import subchannel_counts
from twin_runtime.physics.rounds import squared_deviations_s2
from twin_runtime.solvers.uplink import Uplink

TRIALS = 200  # [P2] gives no number; 100 to 300 make no difference


def explore(
    uplink: Uplink, owner: Integers, generator: np.random.Generator, trials: int = TRIALS
) -> Integers:
    """Move sub-channels from users before the mean time to users after it. [P2] (36), S4.

    In each trial a random late user gets a random one of a random early user that has another;
    the division is kept if (36) is smaller.

    Args:
        uplink: of worlds `[..., n, K]`.
        owner: `[..., K]`, a feasible division.
        generator: draws the moves.
        trials: >= 0.
    """
    flat = uplink.flat()
    best = owner.reshape(-1, owner.shape[-1]).copy()
    score = deviations_s2(flat, best)
    for _ in range(trials):
        tried = _moved(flat, best, generator)
        found = deviations_s2(flat, tried)
        better = found < score
        best[better], score[better] = tried[better], found[better]
    return best.reshape(owner.shape)


def deviations_s2(uplink: Uplink, owner: Integers) -> Array:
    """Psi of a division, `[...]` [s^2]. [P2] (36)."""
    return squared_deviations_s2(time_s=uplink.time_s(owner), participates=uplink.active)


def _moved(uplink: Uplink, owner: Integers, generator: np.random.Generator) -> Integers:
    """Each world's division after one random move, or as it is where there is none."""
    rows = np.arange(len(owner))
    time, mean = uplink.time_s(owner), uplink.mean_s(owner)[:, None]
    counts = subchannel_counts(owner=owner, users=time.shape[-1])
    late = uplink.active & (time > mean) & (counts < uplink.subchannels_max)
    early = uplink.active & (time < mean) & (counts > 1)
    taker, donor = _one_of(late, generator), _one_of(early, generator)
    channel = _one_of(owner == donor[:, None], generator)
    possible = late.any(axis=-1) & early.any(axis=-1)
    tried = owner.copy()
    tried[rows[possible], channel[possible]] = taker[possible]
    return tried


def _one_of(allowed: Booleans, generator: np.random.Generator) -> Integers:
    """A random allowed index in each row; any where none is."""
    draw = np.where(allowed, generator.random(allowed.shape), -1.0)
    return np.asarray(draw.argmax(axis=-1), dtype=np.int64)
