import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from twin_runtime.physics.arguments import InvalidArgument
from twin_runtime.physics.rounds import (
    mean_absolute_deviation_s,
    mean_time_s,
    parallel_merge_s,
    round_time_s,
    serial_merge_s,
    squared_deviations_s2,
    time_variance_s2,
    uplink_traffic_bits,
    user_time_s,
)

TIMES = arrays(np.float64, (3, 5), elements=st.floats(0.0, 50.0))
PARTS = arrays(np.float64, (3, 5), elements=st.sampled_from([0.0, 1.0]))


@given(TIMES, PARTS)
def test_only_participants_count(times: np.ndarray, parts: np.ndarray) -> None:
    for world in range(3):
        chosen = times[world][parts[world] > 0]
        own = {"time_s": times, "participates": parts}
        expected = (chosen.max(), chosen.mean(), chosen.var()) if chosen.size else (0, 0, 0)
        assert round_time_s(**own)[world] == expected[0]
        assert mean_time_s(**own)[world] == pytest.approx(expected[1])
        assert time_variance_s2(**own)[world] == pytest.approx(expected[2], abs=1e-9)


@given(TIMES, st.floats(0.0, 9.0))
def test_a_wait_that_all_share_changes_no_deviation(times: np.ndarray, wait_s: float) -> None:
    for spread in (mean_absolute_deviation_s, squared_deviations_s2, time_variance_s2):
        assert spread(time_s=times + wait_s, participates=np.ones(5)) == pytest.approx(
            spread(time_s=times, participates=np.ones(5)), abs=1e-6
        )


def test_a_user_without_a_subchannel_never_finishes() -> None:
    time = user_time_s(computing_s=[1.0, 1.0], model_bits=8.0, rate_bps=[0.0, 2.0])
    assert time.tolist() == [np.inf, 5.0]
    assert round_time_s(time_s=time, participates=[0, 1]) == 5.0
    assert round_time_s(time_s=time, participates=[1, 1]) == np.inf
    with pytest.raises(InvalidArgument, match="time_s of a participant is inf"):
        time_variance_s2(time_s=time, participates=[1, 1])


def test_links_in_turn_take_longer_than_at_once() -> None:
    links = {"model_bits": [8.0, 8.0, 4.0], "rate_bps": [1.0, 4.0, 2.0]}
    assert parallel_merge_s(**links) == 8.0
    assert serial_merge_s(**links) == 12.0
    assert parallel_merge_s(model_bits=np.empty((2, 0)), rate_bps=np.empty((2, 0))).tolist() == [
        0,
        0,
    ]


def test_traffic_counts_models_of_participants_and_states_of_all() -> None:
    traffic = uplink_traffic_bits(participates=[3, 0, 2], model_bits=10.0, users=7, state_bits=2.0)
    assert traffic == 5 * 10 + 3 * 7 * 2


def test_bad_times_are_named() -> None:
    with pytest.raises(InvalidArgument, match="time_s is nan"):
        round_time_s(time_s=[np.nan], participates=[1])
    with pytest.raises(InvalidArgument, match="participates is 2"):
        mean_time_s(time_s=[1.0], participates=[2])
    with pytest.raises(InvalidArgument, match=r"time_s \(2,\), participates \(3,\)"):
        mean_time_s(time_s=[1.0, 2.0], participates=[1, 1, 1])
    with pytest.raises(InvalidArgument, match="rate_bps is 0"):
        parallel_merge_s(model_bits=[1.0], rate_bps=[0.0])
