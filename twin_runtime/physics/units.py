"""Decibels and watts. Everywhere else numbers are linear and SI."""

import numpy as np

from twin_runtime.physics.arguments import Array, Real, finite, positive


def db_to_linear(ratio_db: Real) -> Array:
    """A power ratio from decibels; any shape."""
    return np.power(10.0, finite("ratio_db", ratio_db) / 10.0)


def linear_to_db(ratio: Real) -> Array:
    """Decibels of a power ratio > 0; any shape."""
    return 10.0 * np.log10(positive("ratio", ratio))


def dbm_to_w(power_dbm: Real) -> Array:
    """Watts from decibels over a milliwatt; a density in dBm/Hz becomes W/Hz; any shape."""
    return np.power(10.0, (finite("power_dbm", power_dbm) - 30.0) / 10.0)
