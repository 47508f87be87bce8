"""The five answers of one server, as 46 logits: does it help, and four levels of eleven.

The levels are tenths: of its available eMBB and URLLC sensors, of the largest received
power, and of a fraction of convergency. Each head is a softmax of its own; the probability of
an answer is the product over heads. [P5] 4.2.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from twin_runtime.physics.arguments import (
    Array,
    Booleans,
    Integers,
    InvalidArgument,
    Real,
    finite,
    non_negative,
)

HEADS: Final = {"helps": 2, "embb": 11, "urllc": 11, "received": 11, "fraction": 11}
LOGITS: Final = sum(HEADS.values())
TENTHS: Final = 10
_STARTS: Final = np.cumsum([0, *HEADS.values()])


class Choice(NamedTuple):
    """What levels mean: `[...]` each."""

    helps: Booleans
    embb: Integers
    urllc: Integers
    received_w: Array
    fraction: Array


def best_levels(logits: npt.ArrayLike) -> Integers:
    """The most likely level of each head `[..., 5]` of logits `[..., 46]`."""
    parts = [np.argmax(part, axis=-1) for part in _split(logits)]
    return np.stack(parts, axis=-1).astype(np.int64)


def log_probabilities(logits: npt.ArrayLike, levels: Integers) -> Array:
    """Of the level of each head `[..., 5]`; of the answer: their sum over those that are used."""
    chosen = _checked(levels)
    parts = [
        np.take_along_axis(_log_softmax(part), chosen[..., [head]], -1)
        for head, part in enumerate(_split(logits))
    ]
    return np.concatenate(parts, axis=-1)


def entropies(logits: npt.ArrayLike) -> Array:
    """Of each head `[..., 5]` [nat]."""
    logs = [_log_softmax(part) for part in _split(logits)]
    return np.stack([-(np.exp(log) * log).sum(axis=-1) for log in logs], axis=-1)


def meaning(
    levels: Integers,
    *,
    embb: Integers,
    urllc: Integers,
    base_fraction: Real,
    received_max_w: float,
    received_min_w: float,
) -> Choice:
    """What `levels` `[..., 5]` mean where `embb` and `urllc` `[...]` sensors are available.

    Projected: at least one sensor is asked if there is any, of the kind that has more; at
    least `received_min_w` is received; and the fraction is at least what is missing.
    """
    level = _checked(levels)
    bulk, packets = _tenths(level[..., 1], embb), _tenths(level[..., 2], urllc)
    nobody = (bulk == 0) & (packets == 0)
    more_bulk = np.asarray(embb) >= np.asarray(urllc)
    missing = 1.0 - non_negative("base_fraction", base_fraction)
    return Choice(
        helps=level[..., 0] == 1,
        embb=np.where(nobody & more_bulk, np.minimum(embb, 1), bulk),
        urllc=np.where(nobody & ~more_bulk, np.minimum(urllc, 1), packets),
        received_w=np.maximum(received_min_w, level[..., 3] / TENTHS * received_max_w),
        fraction=np.maximum(level[..., 4] / TENTHS, missing),
    )


def _tenths(level: Integers, count: Integers) -> Integers:
    """`level` tenths of `count`, rounded, halves up."""
    return (level * count + TENTHS // 2) // TENTHS


def _split(logits: npt.ArrayLike) -> list[Array]:
    scores = finite("logits", logits)
    if scores.shape[-1:] != (LOGITS,):
        raise InvalidArgument(f"logits must end with an axis of {LOGITS}, not {scores.shape}")
    return np.split(scores, _STARTS[1:-1], axis=-1)


def _checked(levels: Integers) -> Integers:
    sizes = np.array(list(HEADS.values()))
    if levels.shape[-1:] != sizes.shape or ((levels < 0) | (levels >= sizes)).any():
        raise InvalidArgument(f"levels must be [..., 5] below {sizes.tolist()}, not {levels!r:.80}")
    return levels


def _log_softmax(scores: Array) -> Array:
    shifted = scores - scores.max(axis=-1, keepdims=True)
    logs: Array = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return logs
