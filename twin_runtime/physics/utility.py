"""Data utility: the accuracy that a twin's data promises, by how many they are and how skewed.

The accuracy of a personal model is fitted as quality(phi) - loss exp(-rate (scale D)^quality),
D samples whose labels lie phi away from everybody's. More data help less and less: since the
quality is below 1, the utility is concave in D.

D counts samples. With bits, as printed, the curve is flat: its exponential is 0 long before.
"""

from dataclasses import dataclass

import numpy as np

from twin_runtime.physics.arguments import (
    Array,
    InvalidArgument,
    Real,
    broadcast,
    non_negative,
    positive,
    within,
)

LABEL_DISTANCE_MAX = 2.0  # of two distributions without a common label
TOTAL_TOLERANCE = 1e-9  # shares of a distribution add up to 1 but for rounding


@dataclass(frozen=True, slots=True)
class AccuracyFit:
    """The six fitted numbers, alpha_1 to alpha_6; all pure but the scale."""

    loss: float = 0.8862
    rate: float = 6.8382
    scale_per_sample: float = 0.0006
    peak: float = 0.9172
    shift: float = -0.0231  # the printed text wants all alpha > 0; this one is not
    width: float = 0.8366

    def __post_init__(self) -> None:
        for name in ("loss", "rate", "scale_per_sample", "width"):
            positive(name, getattr(self, name))
        if not 0 < self.peak < 1:
            raise InvalidArgument(f"peak is {self.peak}; it must be in (0, 1): an accuracy")


FITTED = AccuracyFit()


def label_distance(*, shares: Real, reference_shares: Real) -> Array:
    """L1 distance of two label distributions, 0 (alike) to 2 (nothing in common). [P3] (10).

    Args:
        shares: `[..., labels]`, >= 0, each row adds up to 1.
        reference_shares: `[..., labels]`, e.g. everybody's; any shape that fits.
    """
    own = _distribution("shares", shares)
    reference = _distribution("reference_shares", reference_shares)
    broadcast(shares=own, reference_shares=reference)
    apart: Array = np.abs(own - reference).sum(axis=-1)
    return apart


def data_quality(*, label_distance: Real, fit: AccuracyFit = FITTED) -> Array:
    """The accuracy v(phi) that very many samples lead to, in (0, 1). [P3] (12).

    Args:
        label_distance: phi in [0, 2], any shape.
        fit: the fitted curve.
    """
    distance = within("label_distance", label_distance, 0.0, LABEL_DISTANCE_MAX)
    quality: Array = fit.peak * np.exp(-(((fit.shift + distance) / fit.width) ** 2))
    return quality


def data_utility(*, samples: Real, label_distance: Real, fit: AccuracyFit = FITTED) -> Array:
    """Predicted accuracy rho of a model trained on `samples` [samples]. [P3] (11).

    It is negative for a handful of skewed samples: the fit's range is 200 to 2000.

    Args:
        samples: >= 0, any shape.
        label_distance: phi in [0, 2], any shape that fits.
        fit: the fitted curve.
    """
    count = non_negative("samples", samples)
    quality = data_quality(label_distance=label_distance, fit=fit)
    broadcast(samples=count, label_distance=quality)
    return utility_of_quality(count, quality, fit)


def utility_of_quality(samples: Array, quality: Array, fit: AccuracyFit) -> Array:
    """`data_utility` of what has been checked, for the inner loops of solvers."""
    decay = np.exp(-fit.rate * (fit.scale_per_sample * samples) ** quality)
    utility: Array = quality - fit.loss * decay
    return utility


def data_utility_slope(*, samples: Real, label_distance: Real, fit: AccuracyFit = FITTED) -> Array:
    """Slope of the utility, > 0 [1/sample]; as `data_utility`, samples > 0. [P3] (11)."""
    count = positive("samples", samples)
    quality = data_quality(label_distance=label_distance, fit=fit)
    broadcast(samples=count, label_distance=quality)
    scaled = fit.scale_per_sample * count
    decay = np.exp(-fit.rate * scaled**quality)
    factor = fit.loss * fit.rate * fit.scale_per_sample
    return factor * quality * scaled ** (quality - 1.0) * decay


def data_utility_curvature(
    *, samples: Real, label_distance: Real, fit: AccuracyFit = FITTED
) -> Array:
    """Second derivative of the utility, < 0; as its slope. [P3] (11)(28)."""
    count = positive("samples", samples)
    quality = data_quality(label_distance=label_distance, fit=fit)
    slope = data_utility_slope(samples=count, label_distance=label_distance, fit=fit)
    bent = fit.rate * quality * (fit.scale_per_sample * count) ** quality
    return slope / count * (quality - 1.0 - bent)


def _distribution(name: str, shares: Real) -> Array:
    array = non_negative(name, shares)
    if array.ndim == 0 or np.any(np.abs(array.sum(axis=-1) - 1.0) > TOTAL_TOLERANCE):
        raise InvalidArgument(f"{name} is {shares!r:.80}; each row must add up to 1")
    return array
