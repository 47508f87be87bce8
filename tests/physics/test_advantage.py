import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_runtime.physics.advantage import (
    clipped_surrogate,
    critic_loss,
    critic_targets,
    generalised_advantages,
)
from twin_runtime.physics.arguments import InvalidArgument

REAL = st.floats(-5.0, 5.0)


@given(st.lists(st.tuples(REAL, REAL), min_size=1, max_size=12), REAL)
def test_with_no_decay_an_advantage_is_the_temporal_difference(
    steps: list[tuple[float, float]], last: float
) -> None:
    rewards, values = np.array(steps).T
    advantages = generalised_advantages(
        rewards=rewards, values=values, bootstrap=last, discount=0.9, decay=0.0
    )
    after = np.append(values[1:], last)
    np.testing.assert_allclose(advantages, rewards + 0.9 * after - values, atol=1e-12)


@given(st.lists(st.tuples(REAL, REAL), min_size=1, max_size=12), REAL)
def test_with_full_decay_a_target_is_the_discounted_return(
    steps: list[tuple[float, float]], last: float
) -> None:
    rewards, values = np.array(steps).T
    advantages = generalised_advantages(
        rewards=rewards, values=values, bootstrap=last, discount=0.9, decay=1.0
    )
    series = np.append(rewards, last)
    expected = series @ 0.9 ** np.arange(len(series))
    targets = critic_targets(advantages=advantages, values=values)
    assert np.isclose(targets[0], expected, atol=1e-10)


def test_a_cut_sum_would_be_biased_where_the_recursion_is_not() -> None:
    """Constant differences of 1, five steps left: the recursion gives 3.951."""
    advantages = generalised_advantages(
        rewards=np.ones(5), values=np.zeros(5), bootstrap=0.0, discount=0.98, decay=0.9
    )
    assert advantages[0] == pytest.approx(3.951, abs=5e-4)


def test_nothing_flows_over_the_end_of_an_episode() -> None:
    advantages = generalised_advantages(
        rewards=[1.0, 1.0, 5.0],
        values=[0.0, 0.0, 0.0],
        bootstrap=9.0,
        discount=0.98,
        decay=0.9,
        ended=[0.0, 1.0, 0.0],
    )
    assert advantages[1] == 1.0
    assert advantages[0] == pytest.approx(1 + 0.98 * 0.9)


@given(st.floats(0.01, 10.0), REAL)
def test_the_surrogate_never_exceeds_the_unclipped_one(ratio: float, advantage: float) -> None:
    value = clipped_surrogate(ratios=ratio, advantages=advantage, clip=0.2)
    assert value <= ratio * advantage + 1e-12
    if 0.8 <= ratio <= 1.2:
        assert value == ratio * advantage


def test_the_critic_pays_half_the_square() -> None:
    assert critic_loss(values=[1.0, 3.0], targets=[1.0, 1.0]).tolist() == [0.0, 2.0]


def test_bad_arguments_are_named() -> None:
    with pytest.raises(InvalidArgument, match=r"clip is 1\.5"):
        clipped_surrogate(ratios=1.0, advantages=1.0, clip=1.5)
    with pytest.raises(InvalidArgument, match="shapes must be equal"):
        generalised_advantages(
            rewards=[1.0], values=[1.0, 2.0], bootstrap=0.0, discount=0.9, decay=0.9
        )
    with pytest.raises(InvalidArgument, match="discount is 2"):
        generalised_advantages(rewards=[1.0], values=[1.0], bootstrap=0.0, discount=2.0, decay=0.9)
