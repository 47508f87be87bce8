import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_runtime.physics.arguments import InvalidArgument
from twin_runtime.problems import cooperation_heads as heads

level = st.integers(0, 10)


def meaning(levels: list[int], embb: int, urllc: int, base: float) -> heads.Choice:
    return heads.meaning(
        np.array(levels),
        embb=np.array(embb),
        urllc=np.array(urllc),
        base_fraction=base,
        received_max_w=1e-10,
        received_min_w=1e-12,
    )


def test_probabilities_of_all_levels_of_a_head_sum_to_one() -> None:
    logits = np.random.default_rng(1).normal(size=(3, heads.LOGITS))
    for head, size in enumerate(heads.HEADS.values()):
        levels = np.zeros((size, 1, 5), dtype=np.int64)
        levels[:, 0, head] = np.arange(size)
        logs = heads.log_probabilities(np.broadcast_to(logits, (size, 3, 46)), levels + 0)
        np.testing.assert_allclose(np.exp(logs[..., head]).sum(axis=0), 1.0)


def test_equal_logits_are_of_the_largest_entropy() -> None:
    entropy = heads.entropies(np.zeros(heads.LOGITS))
    np.testing.assert_allclose(entropy, np.log([2, 11, 11, 11, 11]))
    other = heads.entropies(np.arange(heads.LOGITS) / 3.0)
    assert (other < entropy).all()


@given(st.floats(-1e3, 1e3))
def test_adding_a_constant_changes_no_probability(constant: float) -> None:
    logits, levels = np.linspace(-2, 3, heads.LOGITS), np.array([1, 3, 9, 0, 10])
    moved = heads.log_probabilities(logits + constant, levels)
    np.testing.assert_allclose(moved, heads.log_probabilities(logits, levels), atol=1e-9)


def test_the_best_levels_are_the_most_probable() -> None:
    logits = np.random.default_rng(2).normal(size=(4, 7, heads.LOGITS))
    best = heads.best_levels(logits)
    top = heads.log_probabilities(logits, best)
    other = heads.log_probabilities(logits, np.zeros_like(best))
    assert best.shape == (4, 7, 5)
    assert (top >= other).all()


@given(level, level, st.integers(0, 40), st.integers(0, 40))
def test_somebody_is_asked_if_there_is_anybody(
    bulk: int, packets: int, embb: int, urllc: int
) -> None:
    choice = meaning([0, bulk, packets, 5, 0], embb, urllc, 0.4)
    assert 0 <= choice.embb <= embb
    assert 0 <= choice.urllc <= urllc
    assert (choice.embb + choice.urllc > 0) == (embb + urllc > 0)
    if bulk == 10:
        assert choice.embb == embb


@given(level, st.floats(0.0, 1.0))
def test_a_fraction_is_never_less_than_what_is_missing(tenths: int, base: float) -> None:
    choice = meaning([1, 5, 5, 5, tenths], 10, 10, base)
    assert choice.fraction + base >= 1.0 - 1e-12


def test_bad_logits_and_levels_are_named() -> None:
    with pytest.raises(InvalidArgument, match="axis of 46"):
        heads.best_levels(np.zeros(45))
    with pytest.raises(InvalidArgument, match="logits is nan"):
        heads.entropies(np.full(46, np.nan))
    with pytest.raises(InvalidArgument, match="levels must be"):
        meaning([2, 0, 0, 0, 0], 1, 1, 0.5)
