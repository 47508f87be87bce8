import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_runtime.physics.arguments import InvalidArgument
from twin_runtime.physics.ofdma import (
    UNUSED,
    assigned_rate_bps,
    subchannel_counts,
    subchannels_max,
)


def drawn(seed: int, worlds: int, users: int, channels: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    owner = generator.integers(UNUSED, users, (worlds, channels))
    return owner, generator.uniform(0.0, 2e6, (worlds, users, channels))


@given(st.integers(0, 999), st.integers(1, 3), st.integers(1, 5), st.integers(1, 7))
def test_a_user_s_rate_is_the_sum_over_its_own_subchannels(
    seed: int, worlds: int, users: int, channels: int
) -> None:
    owner, rates = drawn(seed, worlds, users, channels)
    total = assigned_rate_bps(owner=owner, rates_bps=rates)
    for world in range(worlds):
        for user in range(users):
            own = rates[world, user][owner[world] == user].sum()
            assert total[world, user] == pytest.approx(own)


@given(st.integers(0, 999))
def test_counts_and_rates_follow_a_permutation_of_the_users(seed: int) -> None:
    owner, rates = drawn(seed, 2, 4, 6)
    order = np.random.default_rng(seed).permutation(4)
    renamed = np.where(owner < 0, UNUSED, np.argsort(order)[owner])
    assert (
        subchannel_counts(owner=renamed, users=4)
        == subchannel_counts(owner=owner, users=4)[:, order]
    ).all()
    assert assigned_rate_bps(owner=renamed, rates_bps=rates[:, order]) == pytest.approx(
        assigned_rate_bps(owner=owner, rates_bps=rates)[:, order]
    )


def test_every_used_subchannel_is_counted_once() -> None:
    owner, _ = drawn(3, 5, 4, 9)
    counts = subchannel_counts(owner=owner, users=4)
    assert (counts.sum(axis=-1) == (owner >= 0).sum(axis=-1)).all()


def test_power_limits_subchannels_to_a_whole_number() -> None:
    assert subchannels_max(power_max_w=0.2, subchannel_power_w=0.01) == 20
    assert subchannels_max(power_max_w=0.3, subchannel_power_w=0.1) == 3  # 2.9999... in floats
    assert subchannels_max(power_max_w=0.29, subchannel_power_w=0.1) == 2


def test_an_owner_who_is_not_there_is_named() -> None:
    with pytest.raises(InvalidArgument, match="owner"):
        subchannel_counts(owner=np.array([0, 3]), users=3)
    with pytest.raises(InvalidArgument, match=r"owner \(3,\), rates_bps \(2, 2\)"):
        assigned_rate_bps(owner=np.array([0, 1, 1]), rates_bps=np.ones((2, 2)))
