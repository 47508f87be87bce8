"""Packets: how often one is lost, and whether this one was."""

import numpy as np

from twin_runtime.physics.arguments import Array, Booleans, Real, broadcast, positive, within


def packet_error_rate(*, sinr: Real, waterfall: Real) -> Array:
    """Share of packets lost, 1 - exp(-waterfall / SINR), in [0, 1). [P1] (7).

    Args:
        sinr: > 0, linear, any shape.
        waterfall: > 0, linear: [P1] gives 0.023 dB, which is 1.0053 (taken as 0.023 it would
            lose 42 times fewer packets at 10 dB).
    """
    ratio, threshold = positive("sinr", sinr), positive("waterfall", waterfall)
    broadcast(sinr=ratio, waterfall=threshold)
    return -np.expm1(-threshold / ratio)


def delivered(*, draw: Real, error_rate: Real) -> Booleans:
    """Whether a packet's checksum holds, a Bernoulli trial of 1 - error_rate. [P1] (8).

    Args:
        draw: in [0, 1], one uniform number per packet.
        error_rate: in [0, 1].
    """
    chance, rate = within("draw", draw, 0, 1), within("error_rate", error_rate, 0, 1)
    broadcast(draw=chance, error_rate=rate)
    good: Booleans = chance >= rate
    return good
