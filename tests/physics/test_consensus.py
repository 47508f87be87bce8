"""Ledger times and first stakes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_runtime.physics.arguments import InvalidArgument
from twin_runtime.physics.consensus import (
    block_time_s,
    broadcast_depth,
    broadcast_time_s,
    stakes,
    verification_time_s,
)


def test_a_single_node_still_sends_once() -> None:
    assert broadcast_depth(nodes=[1, 2, 4, 5]).tolist() == [1, 1, 2, pytest.approx(2.321928)]


def test_a_broadcast_takes_its_depth_times_one_sending() -> None:
    assert broadcast_time_s(size_bits=100.0, rate_bps=50.0, nodes=8, factor=1.5) == 9.0


def test_a_block_is_as_fast_as_its_slowest_producer() -> None:
    block = block_time_s(
        block_bits=100.0, rate_bps=[50.0, 25.0], frequency_hz=[10.0, 20.0], cycles_per_bit=3.0
    )
    assert block == 100 / 25 + 300 / 10


def test_a_block_needs_a_rate_and_a_clock_per_producer() -> None:
    with pytest.raises(InvalidArgument, match=r"rate_bps \(2,\), frequency_hz \(1,\)"):
        block_time_s(block_bits=1, rate_bps=[1.0, 2.0], frequency_hz=[1.0], cycles_per_bit=1)


def test_a_station_scores_all_models_but_its_own() -> None:
    part = np.array([[True, True, False], [True, False, False]])
    time = verification_time_s(
        takes_part=part, samples=10, cycles_per_sample=2.0, frequency_hz=[10.0, 20.0, 40.0]
    )
    assert time.tolist() == [2.0, 1.0]  # 1 other at 10 Hz; 1 other at 20 Hz


def test_who_takes_part_is_told_by_booleans() -> None:
    with pytest.raises(InvalidArgument, match="takes_part is int64"):
        verification_time_s(
            takes_part=np.array([1, 0]), samples=1, cycles_per_sample=1, frequency_hz=1
        )


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=12).filter(any), st.integers(1, 10**7))
def test_stakes_are_whole_proportional_and_conserved(samples: list[int], coins: int) -> None:
    coin = stakes(samples=np.array(samples), coins=coins)
    assert coin.sum() == coins
    assert (np.abs(coin - coins * np.array(samples) / sum(samples)) < 1 + 1e-6).all()


def test_equal_remainders_go_to_the_lower_index() -> None:
    assert stakes(samples=np.array([1, 1, 1]), coins=100).tolist() == [34, 33, 33]


@pytest.mark.parametrize(
    "bad", [np.array([1.5, 2.0]), np.array([1, -1]), np.zeros(3, dtype=np.int64)]
)
def test_stakes_refuse_samples_that_are_no_counts(bad: np.ndarray) -> None:
    with pytest.raises(InvalidArgument, match="samples is"):
        stakes(samples=bad, coins=10)


def test_stakes_refuse_to_hand_out_nothing() -> None:
    with pytest.raises(InvalidArgument, match="coins is 0"):
        stakes(samples=np.array([1]), coins=0)
