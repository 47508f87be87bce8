"""A policy's scores made a feasible division: what stands between any network and the radio."""

import numpy as np
from scipy.optimize import linear_sum_assignment

from twin_runtime.physics.arguments import Array, Integers, within
from twin_runtime.physics.ofdma import UNUSED
from twin_runtime.solvers.uplink import Uplink

SHARE_MIN = 1e-9  # its logarithm is finite, and nobody's choice


def project(uplink: Uplink, shares: Array) -> Integers:
    """A division near `shares`, which users should have of each sub-channel. [P2] S4.

    First one sub-channel for each participant, by the assignment of the largest product of
    shares; then the others, by falling top share, each to its best user that may have more.
    The assignment loops over worlds, the rest does not.

    Args:
        uplink: of worlds `[..., n, K]`.
        shares: `[..., n, K]` in [0, 1].

    Returns:
        `owner` `[..., K]`, feasible.
    """
    flat = uplink.flat()
    wanted = within("shares", shares, 0.0, 1.0).reshape(flat.rates_bps.shape)
    wanted = np.where(flat.active[:, :, None], wanted, -1.0)
    owner = np.full((len(wanted), uplink.rates_bps.shape[-1]), UNUSED, dtype=np.int64)
    for world, users in enumerate(flat.active):
        names = np.flatnonzero(users)
        cost = -np.log(np.maximum(wanted[world, names], SHARE_MIN))
        user, channel = linear_sum_assignment(cost)
        owner[world, channel] = names[user]
    _give_rest(flat, wanted, owner)
    return owner.reshape((*uplink.computing_s.shape[:-1], -1))


def _give_rest(uplink: Uplink, wanted: Array, owner: Integers) -> None:
    rows = np.arange(len(owner))
    users = np.arange(wanted.shape[1])
    counts = (owner[:, None, :] == users[:, None]).sum(axis=-1)
    top = np.argsort(-wanted.max(axis=1), axis=-1, kind="stable")
    for channel in top.T:
        able = uplink.active & (counts < uplink.subchannels_max)
        user = np.where(able, wanted[rows, :, channel], -2.0).argmax(axis=-1)
        gives = (owner[rows, channel] == UNUSED) & able.any(axis=-1)
        owner[rows[gives], channel[gives]] = user[gives]
        counts[rows[gives], user[gives]] += 1
