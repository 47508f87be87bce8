"""Short packets that puncture a bulk uplink: finite block length, channel inversion, rates.

URLLC sensors send sporadic packets of one mini-slot each, decoded with a given error; eMBB
sensors share the band of one server evenly, lose the punctured mini-slots, and invert their
channel so that a given power is received. A noise density `noise_w_hz` includes the link
margin. Fading is Rayleigh: its power is exponential with mean 1.
"""

from typing import Final

import numpy as np
from scipy import special

from twin_runtime.physics.arguments import (
    Array,
    InvalidArgument,
    Real,
    broadcast,
    non_negative,
    positive,
    within,
)
from twin_runtime.physics.channel import shannon_rate_bps, upload_time_s

PUNCTURED_MAX: Final = 0.999  # a little is left to bulk traffic, so that its rate is not 0
BISECTIONS: Final = 64  # halves an interval down to the spacing of floats


def packet_rate_bps(*, samples: Real, bits_per_sample: Real, slot_s: Real) -> Array:
    """Rate that sends a packet of `samples` within one mini-slot [bit/s]. [P5] (2)."""
    bits = non_negative("samples", samples) * non_negative("bits_per_sample", bits_per_sample)
    return bits / positive("slot_s", slot_s)


def short_packet_rate_bps(
    *, sinr: Real, bandwidth_hz: Real, slot_s: Real, error_probability: Real
) -> Array:
    """Rate of a packet of one mini-slot, normal approximation [bit/s]. [P5] (3).

    With n = bandwidth x slot complex symbols, capacity less sqrt(V / n) Q^-1(error), where
    V = 1 - (1 + SINR)^-2 in nat^2. Below 0 where the SINR is too low for any packet.

    Args:
        sinr: >= 0, linear.
        bandwidth_hz: > 0.
        slot_s: > 0.
        error_probability: in (0, 0.5].
    """
    ratio = non_negative("sinr", sinr)
    bandwidth, slot = positive("bandwidth_hz", bandwidth_hz), positive("slot_s", slot_s)
    error = _error_probability(error_probability)
    broadcast(sinr=ratio, bandwidth_hz=bandwidth, slot_s=slot, error_probability=error)
    capacity = shannon_rate_bps(bandwidth_hz=bandwidth, sinr=ratio)
    dispersion = -np.expm1(-2.0 * np.log1p(ratio))
    loss = np.sqrt(dispersion / (slot * bandwidth)) * -special.ndtri(error)
    rate: Array = capacity - bandwidth * loss / np.log(2.0)
    return rate


def short_packet_sinr(
    *, rate_bps: Real, bandwidth_hz: Real, slot_s: Real, error_probability: Real
) -> Array:
    """SINR at which `short_packet_rate_bps` is `rate_bps` (> 0): the inverse of [P5] (3).

    The rate falls below 0 and then rises without end, so it passes a positive value once:
    between the SINR that capacity alone asks for and the one with V = 1, found by bisection.
    """
    rate, bandwidth = positive("rate_bps", rate_bps), positive("bandwidth_hz", bandwidth_hz)
    slot, error = positive("slot_s", slot_s), _error_probability(error_probability)
    nats = rate * np.log(2.0) / bandwidth
    loss = -special.ndtri(error) / np.sqrt(slot * bandwidth)
    low, high = np.broadcast_arrays(np.expm1(nats + 0.0 * loss), np.expm1(nats + loss))
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        reached = short_packet_rate_bps(
            sinr=middle, bandwidth_hz=bandwidth, slot_s=slot, error_probability=error
        )
        low, high = np.where(reached < rate, middle, low), np.where(reached < rate, high, middle)
    return np.asarray(0.5 * (low + high))


def fading_margin(*, outage_probability: Real, branches: Real) -> Array:
    """Power over the mean that keeps fading's outage, with `branches` combined: linear, > 0.

    The inverse of the quantile of Gamma(branches, 1): what a sender without channel knowledge
    must add. [P5] S3.
    """
    outage = within("outage_probability", outage_probability, np.finfo(float).tiny, 0.5)
    return np.asarray(1.0 / special.gammaincinv(positive("branches", branches), outage))


def short_packet_power_w(*, noise_w: Real, sinr: Real, margin: Real, gain: Real) -> Array:
    """Power of a sender that knows only its path gain: noise x SINR x margin / gain [W]. [P5] S3.

    Args:
        noise_w: > 0, over the whole band.
        sinr: >= 0, what decoding needs.
        margin: > 0, see `fading_margin`.
        gain: > 0, of the path.
    """
    noise, needed = positive("noise_w", noise_w), non_negative("sinr", sinr)
    reserve, path = positive("margin", margin), positive("gain", gain)
    broadcast(noise_w=noise, sinr=needed, margin=reserve, gain=path)
    return noise * needed * reserve / path


def punctured_share(*, packet_probability: Real, active: Real) -> Array:
    """Expected share of mini-slots that packets of `active` senders take, at most 0.999.

    [P5] S3: each sender fills a mini-slot with `packet_probability`; the union bound of it.
    """
    probability = within("packet_probability", packet_probability, 0.0, 1.0)
    count = non_negative("active", active)
    broadcast(packet_probability=probability, active=count)
    return np.minimum(probability * count, PUNCTURED_MAX)


def punctured_rate_bps(
    *, received_w: Real, noise_w_hz: Real, bandwidth_hz: Real, senders: Real, punctured: Real
) -> Array:
    """Rate of each of `senders` that share the band evenly, less the punctured share [bit/s].

    [P5] (5).

    Args:
        received_w: >= 0, received power of each, held by channel inversion.
        noise_w_hz: > 0, density with the link margin.
        bandwidth_hz: > 0, of all of them together.
        senders: >= 1.
        punctured: in [0, 1).
    """
    share = positive("bandwidth_hz", bandwidth_hz) / _senders(senders)
    power, density = non_negative("received_w", received_w), positive("noise_w_hz", noise_w_hz)
    left = 1.0 - within("punctured", punctured, 0.0, PUNCTURED_MAX)
    broadcast(received_w=power, noise_w_hz=density, senders=share, punctured=left)
    return left * shannon_rate_bps(bandwidth_hz=share, sinr=power / (density * share))


def collection_time_s(
    *, embb: Real, urllc: Real, set_bits: Real, rate_bps: Real, window_s: Real
) -> Array:
    """Time until the data of a circle is there [s]. [P5] (8).

    That of an eMBB set where there are eMBB senders; the window in which packets come where
    there are URLLC senders only; 0 where nothing is sent. As printed, packets that come later
    than the sets are not waited for; who waits takes the larger of this and the window.

    Args:
        embb: >= 0, active eMBB senders.
        urllc: >= 0, active URLLC senders.
        set_bits: >= 0, of one eMBB sender.
        rate_bps: >= 0, of one eMBB sender; > 0 where there is one.
        window_s: > 0.
    """
    bulk, packets = non_negative("embb", embb), non_negative("urllc", urllc)
    rate, window = non_negative("rate_bps", rate_bps), positive("window_s", window_s)
    if ((bulk > 0) & (rate == 0)).any():
        raise InvalidArgument("rate_bps is 0 where eMBB sensors are active; it must be > 0 there")
    sent = upload_time_s(size_bits=set_bits, rate_bps=np.where(bulk > 0, rate, 1.0))
    return np.where(bulk > 0, sent, np.where(packets > 0, window, 0.0))


def received_power_w(
    *,
    time_s: Real,
    set_bits: Real,
    noise_w_hz: Real,
    bandwidth_hz: Real,
    senders: Real,
    punctured: Real,
) -> Array:
    """Received power with which an eMBB set takes `time_s` (> 0) [W]: the inverse of [P5] (8)."""
    time, bits = positive("time_s", time_s), non_negative("set_bits", set_bits)
    share = positive("bandwidth_hz", bandwidth_hz) / _senders(senders)
    left = 1.0 - within("punctured", punctured, 0.0, PUNCTURED_MAX)
    density = positive("noise_w_hz", noise_w_hz)
    broadcast(time_s=time, set_bits=bits, senders=share, punctured=left, noise_w_hz=density)
    power: Array = density * share * np.expm1(np.log(2.0) * bits / (time * left * share))
    return power


def inversion_power_w(
    *, received_w: Real, gain: Real, fading: Real, outage_probability: Real
) -> Array:
    """Power of a sender that inverts its channel, 0 in a fade too deep for it [W]. [P5] S3.

    Args:
        received_w: >= 0, what must arrive.
        gain: > 0, of the path.
        fading: >= 0, the fading's power in this slot.
        outage_probability: in (0, 1), the share of slots that are given up.
    """
    power, path = non_negative("received_w", received_w), positive("gain", gain)
    fade, least = non_negative("fading", fading), _deepest_fade(outage_probability)
    broadcast(received_w=power, gain=path, fading=fade, outage_probability=least)
    return np.where(fade >= least, power / (path * np.maximum(fade, least)), 0.0)


def inversion_power_factors(*, outage_probability: Real) -> tuple[Array, Array]:
    """Mean and mean square of `inversion_power_w` with `received_w / gain` = 1. [P5] S3.

    E1(h) and e^-h / h - E1(h), where h is the deepest fade that is inverted. A plan of the
    mean power takes the first: `received_w / gain` times it.
    """
    least = _deepest_fade(outage_probability)
    mean = np.asarray(special.exp1(least))
    return mean, np.exp(-least) / least - mean


def _deepest_fade(outage_probability: Real) -> Array:
    outage = within("outage_probability", outage_probability, 1e-12, 1.0 - 1e-12)
    return -np.log1p(-outage)


def _error_probability(error_probability: Real) -> Array:
    return within("error_probability", error_probability, np.finfo(float).tiny, 0.5)


def _senders(senders: Real) -> Array:
    count = positive("senders", senders)
    if (count < 1).any():
        raise InvalidArgument(f"senders is {count.min():g}; it must be at least 1")
    return count
