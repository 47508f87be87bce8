"""One iteration of scheduled training: what it costs a device, and how long it lasts."""

from twin_runtime.physics.arguments import Array, Real, broadcast, non_negative, within
from twin_runtime.physics.compute import computing_time_s


def participation_energy_j(*, scheduled: Real, computing_j: Real, upload_j: Real) -> Array:
    """What an iteration costs a device [J]; a lost upload costs as much as another. [P1] (12).

    Args:
        scheduled: 1 or 0 for each device, any shape.
        computing_j: >= 0 [J].
        upload_j: >= 0 [J].
    """
    chosen = within("scheduled", scheduled, 0, 1)
    training, sending = non_negative("computing_j", computing_j), non_negative("upload_j", upload_j)
    broadcast(scheduled=chosen, computing_j=training, upload_j=sending)
    return chosen * (training + sending)


def aggregation_time_s(
    *, uploads: Real, size_bits: Real, cycles_per_bit: Real, server_frequency_hz: Real
) -> Array:
    """Time a server takes to average `uploads` models of `size_bits` (all >= 0) [s]. [P1] (10)."""
    count, size = non_negative("uploads", uploads), non_negative("size_bits", size_bits)
    each = non_negative("cycles_per_bit", cycles_per_bit)
    broadcast(uploads=count, size_bits=size, cycles_per_bit=each)
    return computing_time_s(cycles=count * size * each, frequency_hz=server_frequency_hz)


def iteration_time_s(*, slowest_s: Real, aggregation_s: Real, broadcast_s: Real) -> Array:
    """From one start to the next: the slowest device, then the server [s]. [P1] (13).

    Args:
        slowest_s: >= 0, training and upload of the slowest scheduled device; any shape.
        aggregation_s: >= 0.
        broadcast_s: >= 0, sending the model out.
    """
    slowest, sending = (
        non_negative("slowest_s", slowest_s),
        non_negative("broadcast_s", broadcast_s),
    )
    averaging = non_negative("aggregation_s", aggregation_s)
    broadcast(slowest_s=slowest, aggregation_s=averaging, broadcast_s=sending)
    return slowest + averaging + sending
