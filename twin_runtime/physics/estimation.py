"""What a twin believes of its device: filters of noisy, sparse observations.

A channel gain or an interference, in dB, is taken for an AR(1) process. Without an observation
the estimate decays to the long-run mean and its variance grows to the process's own; an
observation pulls it back. One scalar Kalman filter per device and quantity; arrays of them
step at once.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from twin_runtime.physics.arguments import (
    Array,
    InvalidArgument,
    Real,
    broadcast,
    finite,
    non_negative,
    positive,
    within,
)

READINGS_MIN = 3  # two deviations from a mean say nothing of a correlation
RUNS_KEPT = 20  # runs that tell a device's frequency cap: a load is remembered no longer
CYCLES_WEIGHT = 0.3  # of a new timing of a training: load varies more than the work does
CAP_QUANTILE = 0.2  # of these; a cap that is too high misses the deadline for all


class Estimate(NamedTuple):
    """A filter's state: the expected value, e.g. in dB, and its variance. Any one shape."""

    mean: Array
    variance: Array


class Process(NamedTuple):
    """An AR(1) process: long-run mean and deviation, and the correlation of successive slots."""

    mean: Array
    deviation: Array
    correlation: Array


def kalman_predict(
    estimate: Estimate, *, mean: Real, deviation: Real, correlation: Real
) -> Estimate:
    """The estimate one slot later, before anything is observed. [P1] S1.

    Args:
        estimate: any shape.
        mean: long-run mean of the process.
        deviation: >= 0, its long-run standard deviation.
        correlation: in [0, 1], of a slot with the next.
    """
    centre, spread = finite("mean", mean), non_negative("deviation", deviation)
    memory = within("correlation", correlation, 0, 1)
    expected, variance = _checked(estimate)
    broadcast(estimate=expected, mean=centre, deviation=spread, correlation=memory)
    return Estimate(
        centre + memory * (expected - centre),
        memory**2 * variance + (1.0 - memory**2) * spread**2,
    )


def kalman_update(
    estimate: Estimate, *, observed: Real, noise_variance: Real, seen: npt.ArrayLike = True
) -> Estimate:
    """The estimate after an observation, where there is one. [P1] S1.

    Args:
        estimate: any shape.
        observed: the value read; any finite number where nothing was seen.
        noise_variance: > 0, of the reading.
        seen: where there was a reading.
    """
    reading, noise = finite("observed", observed), positive("noise_variance", noise_variance)
    expected, variance = _checked(estimate)
    broadcast(estimate=expected, observed=reading, noise_variance=noise)
    gain = np.where(seen, variance / (variance + noise), 0.0)
    return Estimate(expected + gain * (reading - expected), (1.0 - gain) * variance)


def identify_process(*, values: Real, noise_variance: Real = 0.0) -> Process:
    """An AR(1) process from its readings, by their variance and lag-1 autocovariance. [P1] S1.

    Args:
        values: `[..., slots]`, at least 3 successive readings that are not all equal.
        noise_variance: >= 0, of the readings; it is taken off their variance.

    Returns:
        `[...]` each. The correlation is kept in [0, 1].
    """
    series, noise = finite("values", values), non_negative("noise_variance", noise_variance)
    if series.ndim == 0 or series.shape[-1] < READINGS_MIN:
        shape = f"values has the shape {series.shape}"
        raise InvalidArgument(f"{shape}; it must have {READINGS_MIN} slots or more")
    mean: Array = series.mean(axis=-1)
    about = series - mean[..., np.newaxis]
    variance = np.maximum((about**2).mean(axis=-1) - noise, 0.0)
    lagged = (about[..., 1:] * about[..., :-1]).mean(axis=-1)
    correlation = np.clip(lagged / np.where(variance > 0, variance, np.inf), 0.0, 1.0)
    return Process(mean, np.sqrt(variance), correlation)


def frequency_cap_hz(*, reported_hz: Real, speed_ratios: Real, nominal_hz: Real) -> Array:
    """The clock that a device can be counted on to reach [Hz]. [P1] S1.

    The lesser of the cap it reported last and a low quantile of what its last runs reached.

    Args:
        reported_hz: > 0 `[...]`; the nominal clock where nothing was reported.
        speed_ratios: `[..., runs]`, reached over commanded clock of each run, the latest last,
            > 0; NaN where there was no run.
        nominal_hz: > 0 `[...]`.
    """
    reported, nominal = positive("reported_hz", reported_hz), positive("nominal_hz", nominal_hz)
    runs = np.asarray(speed_ratios, dtype=np.float64)[..., -RUNS_KEPT:]
    there = ~np.isnan(runs)
    positive("speed_ratios", np.where(there, runs, 1.0))
    ran = np.asarray(there.any(axis=-1))
    known = np.where(ran[..., np.newaxis], runs, 1.0)
    reached = np.nanquantile(known, CAP_QUANTILE, axis=-1) if runs.shape[-1] else 1.0
    return np.minimum(reported, np.where(ran, reached * nominal, nominal))


def cycles_per_sample(
    *,
    believed: Real,
    computing_s: Real,
    frequency_hz: Real,
    samples: Real,
    epochs: Real = 1.0,
    weight: Real = CYCLES_WEIGHT,
) -> Array:
    """What a twin takes a sample to cost, after a training was timed. [P2] S1.

    Args:
        believed: > 0, cycles per sample and epoch before, any shape.
        computing_s: > 0, the device's own measure of its training [s].
        frequency_hz: > 0, at which clock it trained.
        samples: > 0.
        epochs: > 0.
        weight: in [0, 1], of the new measurement.
    """
    before, time = positive("believed", believed), positive("computing_s", computing_s)
    clock, count = positive("frequency_hz", frequency_hz), positive("samples", samples)
    passes, share = positive("epochs", epochs), within("weight", weight, 0.0, 1.0)
    broadcast(believed=before, computing_s=time, frequency_hz=clock, samples=count, epochs=passes)
    return (1.0 - share) * before + share * time * clock / (passes * count)


def _checked(estimate: Estimate) -> tuple[Array, Array]:
    return finite("mean", estimate.mean), non_negative("variance", estimate.variance)
