"""Convergency of a sub-model: what training on two kinds of data adds, what merging adds.

A model that has converged to e has the exponent u = -ln(1 - e), and e^-u is left to learn.
The fraction z = u / u_needed measures it so that 1 is enough. Training has three kinds of
iterations, on the last axis of `iterations`, `sizes` and their factors: on eMBB data, on
URLLC data, and on both together, where the smaller set limits the size.
"""

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

KINDS = ("embb", "urllc", "integrated")  # the order of the last axis


def exponent(*, convergency: Real) -> Array:
    """Exponent -ln(1 - convergency), of a convergency in [0, 1). [P5] (28)."""
    value = within("convergency", convergency, 0.0, np.nextafter(1.0, 0.0))
    return -np.log1p(-value)


def set_sizes(*, samples: Real, embb: Real, urllc: Real) -> Array:
    """Samples `[..., 3]` of the three kinds, `samples` from each active sensor. [P5] S3."""
    each = positive("samples", samples)
    bulk, packets = non_negative("embb", embb), non_negative("urllc", urllc)
    broadcast(samples=each, embb=bulk, urllc=packets)
    first, second = np.broadcast_arrays(each * bulk, each * packets)
    return np.stack([first, second, np.minimum(first, second)], axis=-1)


def training_gain(*, iterations: Real, sizes: Real, importance: Real, size_power: Real) -> Array:
    """What iterations `[..., 3]` add to the exponent: sum of k I Q^v. [P5] (13).

    Args:
        iterations: >= 0, of each kind.
        sizes: >= 0, samples of each kind, see `set_sizes`.
        importance: > 0, k of each kind (divided by the paper's phi).
        size_power: > 0, v; above 1 more data make training cheaper.
    """
    count, size = non_negative("iterations", iterations), non_negative("sizes", sizes)
    weight, power = positive("importance", importance), positive("size_power", size_power)
    shape = broadcast(iterations=count, sizes=size, importance=weight)
    if shape[-1:] != (3,):
        raise InvalidArgument(f"the last axis must be of 3 kinds, and the shape is {shape}")
    gain: Array = (weight * count * size**power).sum(axis=-1)
    return gain


def trained_convergency(*, base_exponent: Real, gain: Real) -> Array:
    """1 - exp(-(base_exponent + gain)), both >= 0. [P5] (13)."""
    base, added = non_negative("base_exponent", base_exponent), non_negative("gain", gain)
    broadcast(base_exponent=base, gain=added)
    return -np.expm1(-(base + added))


def missing_fraction(*, base_fraction: Real) -> Array:
    """What is left to train so that the fraction is 1, the paper's C4. [P5] (28)(29)(41).

    Exactly this much is also optimal for who trains: more costs energy and adds nothing.
    """
    return np.maximum(1.0 - non_negative("base_fraction", base_fraction), 0.0)


def merged_fraction(*, own: Real, given: Real, usefulness: Real) -> Array:
    """Fraction after another's parameters are merged: own + w [min(given, 1) - own]^+. [P5] S3.

    Args:
        own: >= 0.
        given: >= 0, the fraction of the model that is merged.
        usefulness: in [0, 1]; a converged model leaves 1 - usefulness of the work.
    """
    mine, theirs = non_negative("own", own), non_negative("given", given)
    useful = within("usefulness", usefulness, 0.0, 1.0)
    broadcast(own=mine, given=theirs, usefulness=useful)
    return mine + useful * np.maximum(np.minimum(theirs, 1.0) - mine, 0.0)


def drifted_fraction(*, fraction: Real, drift: Real) -> Array:
    """What the environment's drift (in [0, 1]) leaves of min(fraction, 1). [P5] S2."""
    before, lost = non_negative("fraction", fraction), within("drift", drift, 0.0, 1.0)
    broadcast(fraction=before, drift=lost)
    return (1.0 - lost) * np.minimum(before, 1.0)


def shortfall_penalty(*, base_fraction: Real, trained: Real) -> Array:
    """The paper's factor on the reward, 1 + [missing share]^+ of what was to train. [P5] (40).

    As printed; it rewards who trains nothing, so no problem here uses it: actions are
    projected onto C4 instead.
    """
    base = within("base_fraction", base_fraction, 0.0, np.nextafter(1.0, 0.0))
    added = non_negative("trained", trained)
    broadcast(base_fraction=base, trained=added)
    return 1.0 + np.maximum(1.0 - base - added, 0.0) / (1.0 - base)
