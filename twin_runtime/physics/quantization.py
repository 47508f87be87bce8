"""Models as packets carry them: uniform codes of a few bits, and what noise makes of them.

[P1]'s model has 500 parameters of 10 bits each, 5000 bits. With a checksum a damaged packet is
dropped. Without one it is averaged with the others, and a code that was hit is any code.
"""

import numpy as np

from twin_runtime.physics.arguments import (
    Array,
    Booleans,
    Integers,
    InvalidArgument,
    Real,
    finite,
    positive,
    within,
)

BITS_MAX = 32  # of a code: a parameter is not more exact than a float


def encoded(*, values: Real, limit: float, bits: int) -> Integers:
    """The code 0 ... 2^bits - 1 that is nearest to each value in [-limit, limit]. [P1] S2.

    Args:
        values: any shape; those beyond the limit get the outermost code.
        limit: > 0.
        bits: of a code, 1 to 32.
    """
    clipped = np.clip(finite("values", values), -limit, limit)
    codes = np.rint((clipped / positive("limit", limit) + 1.0) * (_levels(bits) - 1) / 2.0)
    return codes.astype(np.int64)


def decoded(*, codes: Integers, limit: float, bits: int) -> Array:
    """The value of each code, in [-limit, limit]; `encoded`'s inverse to half a step. [P1] S2."""
    known = within("codes", codes, 0, _levels(bits) - 1)
    value: Array = (2.0 * known / (_levels(bits) - 1) - 1.0) * positive("limit", limit)
    return value


def corrupted(
    generator: np.random.Generator, codes: Integers, *, damaged: Booleans, share: float, bits: int
) -> Integers:
    """The codes of packets, of which the damaged ones have some replaced by random ones. [P1] S5.

    The ablation without checksums of the digest's errata, where `share` is 0.1.

    Args:
        generator: gives two draws per code, whatever is damaged.
        codes: `[..., packet, parameter]`.
        damaged: `[..., packet]`, whether a checksum would fail.
        share: in [0, 1], of a damaged packet's codes.
        bits: of a code, 1 to 32.
    """
    within("codes", codes, 0, _levels(bits) - 1)
    hit = generator.random(codes.shape) < within("share", share, 0, 1)
    drawn = generator.integers(0, _levels(bits), codes.shape)
    return np.where(hit & damaged[..., np.newaxis], drawn, codes)


def _levels(bits: int) -> int:
    if not 1 <= bits <= BITS_MAX:
        raise InvalidArgument(f"bits is {bits}; it must be from 1 to {BITS_MAX}")
    return int(2**bits)
