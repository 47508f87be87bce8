"""Radio links: gain over distance, signal over noise, rate, time and energy of an upload."""

import numpy as np

from twin_runtime.physics.arguments import Array, Real, broadcast, finite, non_negative, positive
from twin_runtime.physics.units import db_to_linear


def path_gain(
    *,
    distance_m: Real,
    reference_loss_db: Real,
    slope_db: Real,
    reference_distance_m: float = 1.0,
) -> Array:
    """Linear power gain of the log-distance law.

    The loss is `reference_loss_db` at the reference distance and `slope_db` more for each
    tenfold of it. [P1] and [P2] take 128.1 + 37.6 log10(d/km), [P4] a gain G0 d^-a
    (-10 log10 G0, 10 a), [P5] 38.46 + 20 log10(d/m).

    Args:
        distance_m: > 0, any shape.
        reference_loss_db: loss at the reference distance [dB].
        slope_db: >= 0, loss per decade [dB].
        reference_distance_m: > 0.

    Returns:
        Gain, of the arguments' common shape.
    """
    distance = positive("distance_m", distance_m)
    loss = finite("reference_loss_db", reference_loss_db)
    slope = non_negative("slope_db", slope_db)
    reference = positive("reference_distance_m", reference_distance_m)
    broadcast(distance_m=distance, reference_loss_db=loss, slope_db=slope)
    return db_to_linear(-(loss + slope * np.log10(distance / reference)))


def sinr(*, received_w: Real, noise_w: Real, interference_w: Real = 0.0) -> Array:
    """Signal over interference plus noise, linear; all powers [W], any shapes that fit."""
    signal = non_negative("received_w", received_w)
    noise = positive("noise_w", noise_w)
    interference = non_negative("interference_w", interference_w)
    broadcast(received_w=signal, noise_w=noise, interference_w=interference)
    return signal / (noise + interference)


def shannon_rate_bps(*, bandwidth_hz: Real, sinr: Real) -> Array:
    """Capacity B log2(1 + SINR) [bit/s]. [P1] (5), [P2] (5)(18), [P3] (14), [P4] (7)(8), [P5] (5).

    Args:
        bandwidth_hz: > 0 [Hz], any shape.
        sinr: >= 0, linear, any shape that fits.
    """
    bandwidth = positive("bandwidth_hz", bandwidth_hz)
    ratio = non_negative("sinr", sinr)
    broadcast(bandwidth_hz=bandwidth, sinr=ratio)
    rate: Array = bandwidth * np.log1p(ratio) / np.log(2.0)
    return rate


def upload_time_s(*, size_bits: Real, rate_bps: Real) -> Array:
    """Time to send `size_bits` (>= 0) at `rate_bps` (> 0) [s]. [P1] (6), [P2] (11)."""
    size = non_negative("size_bits", size_bits)
    rate = positive("rate_bps", rate_bps)
    broadcast(size_bits=size, rate_bps=rate)
    return size / rate


def upload_energy_j(*, power_w: Real, time_s: Real) -> Array:
    """Energy of sending for `time_s` (>= 0) at `power_w` (>= 0) [J]. [P1] (6), [P2] (12)."""
    power = non_negative("power_w", power_w)
    time = non_negative("time_s", time_s)
    broadcast(power_w=power, time_s=time)
    return power * time
