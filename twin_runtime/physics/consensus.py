"""What a permissioned ledger takes: the time of a block, of a verification, and first stakes."""

import numpy as np
import numpy.typing as npt

from twin_runtime.physics.arguments import (
    Array,
    Booleans,
    Integers,
    InvalidArgument,
    Real,
    broadcast,
    non_negative,
    positive,
    within,
)

NODES_MAX = 1e6  # beyond it a depth of broadcast is no answer to anything


def broadcast_depth(*, nodes: Real) -> Array:
    """Relays one after the other until `nodes` (>= 1) have a message: max(1, log2 n).

    [P4] (15)(16). The paper's log2 n is 0 for one node, though that one must send, too.
    """
    return np.maximum(1.0, np.log2(within("nodes", nodes, 1, NODES_MAX)))


def broadcast_time_s(*, size_bits: Real, rate_bps: Real, nodes: Real, factor: Real = 1.0) -> Array:
    """Time until `nodes` have `size_bits` [s]: factor x depth x bits / rate. [P4] (15)(16).

    Args:
        size_bits: >= 0 [bit], any shape.
        rate_bps: > 0 [bit/s]; among a set of receivers, the slowest one's.
        nodes: >= 1, who are to have it.
        factor: > 0, what a real broadcast takes over this ideal one, fitted.
    """
    size, rate = non_negative("size_bits", size_bits), positive("rate_bps", rate_bps)
    depth, scale = broadcast_depth(nodes=nodes), positive("factor", factor)
    broadcast(size_bits=size, rate_bps=rate, nodes=depth, factor=scale)
    return scale * depth * size / rate


def block_time_s(
    *,
    block_bits: Real,
    rate_bps: Real,
    frequency_hz: Real,
    cycles_per_bit: Real,
    factor: Real = 1.0,
) -> Array:
    """Time to spread a block among its producers and to check it, each at its slowest [s].

    [P4] (16). The block carries hashes; bodies travel outside of it.

    Args:
        block_bits: >= 0 [bit].
        rate_bps: > 0 [bit/s] `[..., producers]`.
        frequency_hz: > 0 [cycle/s] `[..., producers]`.
        cycles_per_bit: >= 0.
        factor: > 0, as in `broadcast_time_s`.

    Returns:
        `[...]`.
    """
    rate, clock = positive("rate_bps", rate_bps), positive("frequency_hz", frequency_hz)
    if not rate.ndim or not rate.shape[-1] or rate.shape[-1:] != clock.shape[-1:]:
        shapes = f"rate_bps {rate.shape}, frequency_hz {clock.shape}"
        raise InvalidArgument(f"one of each must be given per producer, the last axis: {shapes}")
    spread = broadcast_time_s(
        size_bits=block_bits, rate_bps=rate.min(axis=-1), nodes=rate.shape[-1], factor=factor
    )
    cycles = non_negative("block_bits", block_bits) * non_negative("cycles_per_bit", cycles_per_bit)
    checked: Array = cycles / clock.min(axis=-1)
    return spread + checked


def verification_time_s(
    *, takes_part: npt.ArrayLike, samples: Real, cycles_per_sample: Real, frequency_hz: Real
) -> Array:
    """Time until every station has scored the models of all other participants [s].

    [P4] (16), the term that the paper leaves out: max over m of (|P| - [m in P]) V f_fwd / f_m.

    Args:
        takes_part: who hands in a model; booleans `[..., M]`.
        samples: >= 0, held-out samples per score.
        cycles_per_sample: >= 0, of an inference.
        frequency_hz: > 0 [cycle/s] `[..., M]`.

    Returns:
        `[...]`.
    """
    part = participants("takes_part", takes_part)
    clock = positive("frequency_hz", frequency_hz)
    cycles = non_negative("samples", samples) * non_negative("cycles_per_sample", cycles_per_sample)
    broadcast(takes_part=part.astype(np.float64), frequency_hz=clock)
    others = part.sum(axis=-1, keepdims=True) - part
    slowest: Array = (others / clock).max(axis=-1)
    return slowest * cycles


def stakes(*, samples: npt.ArrayLike, coins: int) -> Integers:
    """First stakes in whole coins, by samples hosted, summing to `coins`. [P4] (6).

    Largest remainders get what rounding leaves; of equal ones, the lower index.

    Args:
        samples: whole numbers >= 0 `[M]`, not all 0, of the twins that the registry assigns.
        coins: > 0.
    """
    hosted = np.asarray(samples)
    if hosted.ndim != 1 or not np.issubdtype(hosted.dtype, np.integer) or (hosted < 0).any():
        raise InvalidArgument(f"samples is {samples!r:.80}; it must be whole numbers >= 0 [M]")
    if coins <= 0:
        raise InvalidArgument(f"coins is {coins}; it must be above 0")
    counts = [int(count) for count in hosted]
    if not sum(counts):
        raise InvalidArgument(f"samples is {samples!r:.80}; at least one must be above 0")
    parts = [divmod(coins * count, sum(counts)) for count in counts]  # exact: no float decides
    left = coins - sum(whole for whole, _ in parts)
    by_remainder = sorted(range(len(parts)), key=lambda index: -parts[index][1])
    raised = set(by_remainder[:left])
    return np.array([whole + (m in raised) for m, (whole, _) in enumerate(parts)], dtype=np.int64)


def participants(name: str, value: npt.ArrayLike) -> Booleans:
    """Booleans `[..., M]`, M > 0, or an `InvalidArgument` that names them."""
    array = np.asarray(value)
    if array.dtype != np.bool_ or not array.ndim or not array.shape[-1]:
        raise InvalidArgument(
            f"{name} is {array.dtype} {array.shape}; it must be booleans [..., M]"
        )
    return array
