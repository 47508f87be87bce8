import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_runtime.physics.arguments import InvalidArgument
from twin_runtime.physics.markov_channel import (
    next_states,
    predicted_rate_bps,
    snr_states,
    transition_matrix,
)


@given(st.integers(1, 40))
def test_the_states_are_equally_likely_and_keep_the_mean(states: int) -> None:
    edges, means = snr_states(states)
    assert np.exp(-edges[:-1]) - np.exp(-edges[1:]) == pytest.approx(np.full(states, 1 / states))
    assert means.mean() == pytest.approx(1.0)
    assert ((edges[:-1] < means) & (means < edges[1:])).all()


@given(st.integers(1, 12), st.floats(0.0, 1.0))
def test_the_chain_is_doubly_stochastic(states: int, stay: float) -> None:
    matrix = transition_matrix(states=states, stay=stay)
    assert (matrix >= 0).all()
    assert matrix.sum(axis=0) == pytest.approx(1.0)
    assert matrix.sum(axis=1) == pytest.approx(1.0)


def test_drawn_steps_are_as_frequent_as_the_matrix_says() -> None:
    generator = np.random.default_rng(1)
    before = generator.integers(0, 4, 200_000)
    after = next_states(generator, before, states=4, stay=0.7)
    seen = np.histogram2d(before, after, bins=(range(5), range(5)))[0]
    share = seen / seen.sum(axis=1, keepdims=True)
    assert share == pytest.approx(transition_matrix(states=4, stay=0.7), abs=0.01)


def test_an_old_sight_of_a_link_says_no_more_than_its_mean() -> None:
    matrix, rates = transition_matrix(states=4, stay=0.7), np.array([1.0, 2.0, 4.0, 9.0])
    fresh = predicted_rate_bps(state=np.arange(4), age=0, matrix=matrix, rates_bps=rates)
    assert fresh == pytest.approx(rates)
    old = predicted_rate_bps(state=np.arange(4), age=10_000, matrix=matrix, rates_bps=rates)
    assert old == pytest.approx(np.full(4, 4.0))


def test_bad_chains_are_named() -> None:
    with pytest.raises(InvalidArgument, match="states is 0"):
        snr_states(0)
    with pytest.raises(InvalidArgument, match=r"stay is 1\.5"):
        transition_matrix(states=3, stay=1.5)
    with pytest.raises(InvalidArgument, match="age is -1"):
        predicted_rate_bps(state=np.array(0), age=-1, matrix=np.eye(2), rates_bps=[1.0, 2.0])
    with pytest.raises(InvalidArgument, match="one state each"):
        predicted_rate_bps(state=np.array(0), age=1, matrix=np.eye(3), rates_bps=[1.0, 2.0])
