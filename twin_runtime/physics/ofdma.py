"""An uplink band shared in sub-channels: who has which, and the rate that gives.

`owner` `[..., K]` names the user of each sub-channel, or `UNUSED`: so no two users can share
one, [P2] (6)(24) hold by construction.
"""

import numpy as np

from twin_runtime.physics.arguments import (
    Array,
    Integers,
    InvalidArgument,
    Real,
    indices,
    non_negative,
    positive,
)

UNUSED = -1


def subchannel_counts(*, owner: Integers, users: int) -> Integers:
    """How many sub-channels each user has, `[..., n]`. [P2] (6)(24).

    Args:
        owner: `[..., K]`, an index below `users`, or `UNUSED`.
        users: n >= 1.
    """
    return _sums(_owners(owner, users), users, None).astype(np.int64)


def assigned_rate_bps(*, owner: Integers, rates_bps: Real) -> Array:
    """Each user's rate over all of its sub-channels, `[..., n]` [bit/s]. [P2] (23).

    Args:
        owner: `[..., K]`, an index below n, or `UNUSED`.
        rates_bps: `[..., n, K]` >= 0, of user i on sub-channel k.
    """
    rates = non_negative("rates_bps", rates_bps)
    if owner.ndim != rates.ndim - 1 or owner.shape != rates.shape[:-2] + rates.shape[-1:]:
        shapes = f"owner {owner.shape}, rates_bps {rates.shape}"
        raise InvalidArgument(f"owner must be [..., K] where rates_bps is [..., n, K]: {shapes}")
    users = rates.shape[-2]
    owners = _owners(owner, users)
    own = np.take_along_axis(rates, np.maximum(owners, 0)[..., None, :], axis=-2)[..., 0, :]
    return _sums(owners, users, own)


def subchannels_max(*, power_max_w: Real, subchannel_power_w: Real) -> Integers:
    """Sub-channels that a user's power suffices for: floor(P_max / p_sub). [P2] (25).

    A quotient that misses a whole number by rounding only counts as that number.

    Args:
        power_max_w: >= 0 [W], any shape.
        subchannel_power_w: > 0 [W], sent on each sub-channel.
    """
    power = non_negative("power_max_w", power_max_w)
    each = positive("subchannel_power_w", subchannel_power_w)
    return np.floor(power / each * (1.0 + 1e-12)).astype(np.int64)


def _owners(owner: Integers, users: int) -> Integers:
    return indices("owner + 1", np.asarray(owner) + 1, users + 1) - 1


def _sums(owners: Integers, users: int, weights: Array | None) -> Array:
    """Sum of `weights` (or ones) over each user's sub-channels, of all worlds in one count."""
    worlds = owners.reshape(-1, owners.shape[-1])
    cell = (worlds + 1) + np.arange(len(worlds))[:, None] * (users + 1)
    flat = None if weights is None else weights.ravel()
    sums = np.bincount(cell.ravel(), weights=flat, minlength=len(worlds) * (users + 1))
    return sums.reshape(*owners.shape[:-1], users + 1)[..., 1:].astype(np.float64)
