"""Sub-channels to share among the participants of a round, and what a division of them gives.

The instance of [P2] (36) that all solvers of sub-channels take, checked once. It may hold many
worlds at once; the exact solvers take one.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from twin_runtime.physics.arguments import (
    Array,
    Booleans,
    Integers,
    InvalidArgument,
    non_negative,
    positive,
)
from twin_runtime.physics.ofdma import assigned_rate_bps, subchannel_counts
from twin_runtime.physics.rounds import mean_time_s, round_time_s, user_time_s
from twin_runtime.solvers.certificate import Certificate, Infeasible


class Division(NamedTuple):
    """Who has which sub-channel, `[..., K]`, when all are done with it, and when at the earliest
    they could be with any, `[...]`.
    """

    owner: Integers
    makespan_s: Array
    bound_s: Array

    @property
    def certificate(self) -> Certificate:
        """Makespan and bound in seconds, summed over the worlds."""
        return Certificate(float(np.sum(self.makespan_s)), float(np.sum(self.bound_s)))


RATE_BPS_MIN = 1e-200  # of a user without a sub-channel: it takes forever, not a division by 0


@dataclass(frozen=True, slots=True)
class Uplink:
    """Users that upload one model each, after computing, over sub-channels that none shares.

    `rates_bps` `[..., n, K]` > 0; `computing_s` `[..., n]` >= 0; `active` `[..., n]`, who takes
    part; `subchannels_max` >= 1, of one user, by its power.
    """

    rates_bps: Array
    computing_s: Array
    model_bits: float
    subchannels_max: int
    active: Booleans

    def __post_init__(self) -> None:
        rates = positive("rates_bps", self.rates_bps)
        users = non_negative("computing_s", self.computing_s).shape
        positive("model_bits", self.model_bits)
        if rates.shape[:-1] != users or self.active.shape != users or 0 in rates.shape:
            raise InvalidArgument(
                f"rates_bps {rates.shape}, computing_s {users}, active {self.active.shape}; "
                "they must be [..., n, K], [..., n] and [..., n]"
            )
        if not self.subchannels_max >= 1:
            raise InvalidArgument(f"subchannels_max is {self.subchannels_max}; it must be >= 1")
        if (most := int(self.active.sum(axis=-1).max())) > rates.shape[-1]:
            raise Infeasible(
                f"{most} participants need a sub-channel each; there are {rates.shape[-1]}"
            )

    @classmethod
    def of(
        cls, rates_bps: Array, computing_s: Array, model_bits: float, subchannels_max: int
    ) -> "Uplink":
        """All users take part."""
        everybody = np.ones(np.shape(computing_s), dtype=np.bool_)
        rates, computing = np.asarray(rates_bps, float), np.asarray(computing_s, float)
        return cls(rates, computing, model_bits, subchannels_max, everybody)

    def flat(self) -> "Uplink":
        """The same with all worlds on one axis: `[B, n, K]`."""
        n, k = self.rates_bps.shape[-2:]
        return Uplink(
            self.rates_bps.reshape(-1, n, k),
            self.computing_s.reshape(-1, n),
            self.model_bits,
            self.subchannels_max,
            self.active.reshape(-1, n),
        )

    def one(self) -> "Uplink":
        """The same, if it is one world where all take part: what the exact solvers take."""
        if self.computing_s.ndim != 1 or not self.active.all():
            raise InvalidArgument(
                f"rates_bps is {self.rates_bps.shape}; it must be [n, K], of participants only"
            )
        return self

    def time_s(self, owner: Integers) -> Array:
        """Each user's time `[..., n]`; infinite without a sub-channel. [P2] (29)."""
        rate = assigned_rate_bps(owner=owner, rates_bps=self.rates_bps)
        return user_time_s(computing_s=self.computing_s, model_bits=self.model_bits, rate_bps=rate)

    def makespan_s(self, owner: Integers) -> Array:
        """The round's time `[...]`: what is minimised first."""
        return round_time_s(time_s=self.time_s(owner), participates=self.active)

    def mean_s(self, owner: Integers) -> Array:
        """The participants' mean time `[...]`: what is minimised among equal makespans."""
        return mean_time_s(time_s=self.time_s(owner), participates=self.active)

    def feasible(self, owner: Integers) -> Booleans:
        """Whether each participant has 1 to `subchannels_max`, the others none, `[...]`.

        [P2] (6)(24)(25); that no two share one holds by the form of `owner`.
        """
        counts = subchannel_counts(owner=owner, users=self.computing_s.shape[-1])
        served = (counts >= 1) & (counts <= self.subchannels_max)
        return np.asarray(np.where(self.active, served, counts == 0).all(axis=-1))
