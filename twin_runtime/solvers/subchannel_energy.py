"""Sub-channels for the least energy by a deadline, when clocks follow from what is left of it.

A user that uploads faster may train slower: with the deadline T and the rate R its clock is
a / (T - |w| / R), and its energy falls with the cube of that. So sub-channels go where they
save most energy, one at a time, as long as a move saves any. In turn with the exact clocks,
which choose T for a division, this is a descent on the cost of [P2] (31) with uploads in it.
"""

from typing import NamedTuple

import numpy as np

from twin_runtime.physics.arguments import Array, Integers, positive, same_shape
from twin_runtime.physics.ofdma import UNUSED, assigned_rate_bps, subchannel_counts
from twin_runtime.solvers.uplink import RATE_BPS_MIN, Uplink

MOVES_MAX = 1_000  # never reached: some tens are made
PROGRESS = 1e-9  # relative to all energy: a smaller saving is rounding
CLOCK_SLACK = 1e-9  # relative: a clock may miss its limit by rounding


class Trainers(NamedTuple):
    """What the users have to compute: cycles and limits of their clocks, `[..., n]`."""

    cycles: Array
    frequency_min_hz: Array
    frequency_max_hz: Array
    capacitance: float


def save_energy(uplink: Uplink, trainers: Trainers, owner: Integers, deadline_s: Array) -> Integers:
    """Move sub-channels while that saves energy by the same deadline. [P2] (31)(36).

    Args:
        uplink: of worlds `[B, n, K]`.
        trainers: arrays `[B, n]`.
        owner: `[B, K]`, a division with which all can be done in time.
        deadline_s: > 0, `[B]`.

    Returns:
        `[B, K]`, feasible and in time.
    """
    deadline = positive("deadline_s", deadline_s)
    same_shape(cycles=trainers.cycles, computing_s=uplink.computing_s)
    best, rows = owner.copy(), np.arange(len(owner))
    for _ in range(MOVES_MAX):
        saved = _savings_j(uplink, trainers, best, deadline).reshape(len(rows), -1)
        move = saved.argmax(axis=-1)
        pays = saved[rows, move] > 0
        if not pays.any():
            break
        user, channel = np.divmod(move, best.shape[-1])
        best[rows[pays], channel[pays]] = user[pays]
    return best


def _savings_j(uplink: Uplink, trainers: Trainers, owner: Integers, deadline_s: Array) -> Array:
    """What all save if user i takes sub-channel k, `[B, n, K]`; negative where it must not."""
    rows, users = np.arange(len(owner))[:, None], np.arange(uplink.computing_s.shape[-1])
    rate = assigned_rate_bps(owner=owner, rates_bps=uplink.rates_bps)
    counts = subchannel_counts(owner=owner, users=len(users))
    everybody = rows, users[None]
    now = _energy_j(uplink, trainers, deadline_s, everybody, rate)
    now = np.where(uplink.active, now, 0.0)
    wide = rows[:, :, None], users[None, :, None]
    more = _energy_j(uplink, trainers, deadline_s, wide, rate[..., None] + uplink.rates_bps)
    donor = np.maximum(owner, 0)
    given = uplink.rates_bps[rows, donor, np.arange(owner.shape[-1])]
    less = _energy_j(uplink, trainers, deadline_s, (rows, donor), rate[rows, donor] - given)
    less = np.where(counts[rows, donor] > 1, less, np.inf)
    lost = np.where(owner == UNUSED, 0.0, less - now[rows, donor])
    saved = now[..., None] - more - lost[:, None, :]
    able = uplink.active & (counts < uplink.subchannels_max)
    allowed = able[..., None] & (owner[:, None, :] != users[:, None])
    worth = saved > PROGRESS * now.sum(axis=-1)[:, None, None]
    return np.where(allowed & worth, saved, -1.0)


def _energy_j(
    uplink: Uplink,
    trainers: Trainers,
    deadline_s: Array,
    at: tuple[Integers, Integers],
    rate_bps: Array,
) -> Array:
    """Energy of the users `at` with these rates; infinite where they would be late."""
    world, user = at
    cycles, fastest = trainers.cycles[world, user], trainers.frequency_max_hz[world, user]
    left = deadline_s[world] - uplink.model_bits / np.maximum(rate_bps, RATE_BPS_MIN)
    needed = cycles / np.maximum(left, 1e-9 * deadline_s[world])
    clock = np.clip(needed, trainers.frequency_min_hz[world, user], fastest)
    energy = trainers.capacitance * cycles * clock**2
    return np.where(needed > fastest * (1.0 + CLOCK_SLACK), np.inf, energy)
