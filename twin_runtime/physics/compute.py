"""What a computation takes: its time, and the energy of a processor at a given clock."""

from twin_runtime.physics.arguments import Array, Real, broadcast, non_negative, positive


def training_cycles(*, samples: Real, cycles_per_sample: Real, epochs: Real = 1.0) -> Array:
    """Cycles of `epochs` passes over `samples`, all >= 0. [P1] (1), [P2] (9)(10),
    [P5] (9)(10)."""
    count = non_negative("samples", samples)
    each = non_negative("cycles_per_sample", cycles_per_sample)
    passes = non_negative("epochs", epochs)
    broadcast(samples=count, cycles_per_sample=each, epochs=passes)
    return count * each * passes


def computing_time_s(*, cycles: Real, frequency_hz: Real) -> Array:
    """Time of `cycles` (>= 0) at `frequency_hz` (> 0) [s].

    [P1] (1), [P2] (10), [P4] (12)(13)(14), [P5] (14).
    """
    work = non_negative("cycles", cycles)
    frequency = positive("frequency_hz", frequency_hz)
    broadcast(cycles=work, frequency_hz=frequency)
    return work / frequency


def computing_energy_j(*, cycles: Real, frequency_hz: Real, capacitance: Real) -> Array:
    """Energy of `cycles` (>= 0) at `frequency_hz` (>= 0) [J]: capacitance x cycles x f^2.

    [P1] (1), [P2] (9), [P5] (14), where k f^3 D is the same, D = cycles / f.

    Args:
        cycles: >= 0, any shape.
        frequency_hz: >= 0 [cycle/s].
        capacitance: >= 0, the switched capacitance [W s^3/cycle^3].
    """
    work = non_negative("cycles", cycles)
    frequency = non_negative("frequency_hz", frequency_hz)
    factor = non_negative("capacitance", capacitance)
    broadcast(cycles=work, frequency_hz=frequency, capacitance=factor)
    return factor * work * frequency**2
