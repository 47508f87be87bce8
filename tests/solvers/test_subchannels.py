import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin_runtime.physics.arguments import InvalidArgument
from twin_runtime.physics.ofdma import UNUSED
from twin_runtime.solvers import subchannel_exact
from twin_runtime.solvers.certificate import Infeasible
from twin_runtime.solvers.subchannel_bounds import counting_bound_s, fractional_bound_s
from twin_runtime.solvers.subchannel_exact import enumerated, one_each, programmed
from twin_runtime.solvers.subchannel_exploration import deviations_s2, explore
from twin_runtime.solvers.subchannel_projection import project
from twin_runtime.solvers.subchannel_search import best_of, improve, kick
from twin_runtime.solvers.subchannel_starts import column_start, filled, flat_counts, own_start
from twin_runtime.solvers.subchannels import assign
from twin_runtime.solvers.uplink import Uplink

SEEDS = st.integers(0, 10**6)
SMALL = [(3, 6), (4, 7), (3, 8)]
BITS = 698_880.0


def drawn(
    seed: int, users: int, channels: int, *, worlds: int | None = None, most: int = 20
) -> Uplink:
    """Rates and times about as the scenario's."""
    generator = np.random.default_rng(seed)
    shape = () if worlds is None else (worlds,)
    mean = generator.uniform(3e5, 1.2e6, (*shape, users, 1))
    rates = np.clip(mean * generator.exponential(1.0, (*shape, users, channels)), 8e4, 2e6)
    return Uplink.of(rates, generator.uniform(0.2, 1.0, (*shape, users)), BITS, most)


def generator() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.mark.parametrize("users, channels", SMALL)
def test_the_search_finds_the_optimum_of_small_worlds(users: int, channels: int) -> None:
    for seed in range(12):
        uplink = drawn(seed, users, channels)
        best, found = enumerated(uplink), assign(uplink, generator())
        assert found.makespan_s == pytest.approx(best.makespan_s, rel=1e-12)
        assert found.bound_s <= best.makespan_s * (1 + 1e-12)


def test_integer_programmes_agree_with_enumeration() -> None:
    for seed, (users, channels) in zip(range(9), itertools.cycle([(3, 6), (4, 6)]), strict=False):
        uplink = drawn(100 + seed, users, channels)
        best = enumerated(uplink)
        solved = programmed(uplink, own_start(uplink), 20.0)
        assert solved.makespan_s == pytest.approx(best.makespan_s, rel=1e-9)
        assert solved.bound_s == pytest.approx(best.makespan_s, rel=1e-6)
        assert solved.bound_s <= best.makespan_s * (1 + 1e-9)


@given(SEEDS, st.sampled_from([(3, 5), (2, 6), (4, 5)]), st.integers(2, 6))
@settings(max_examples=25)
def test_no_division_beats_a_bound(seed: int, size: tuple[int, int], most: int) -> None:
    uplink = drawn(seed, *size, most=most)
    best = enumerated(uplink).makespan_s
    assert counting_bound_s(uplink) <= best * (1 + 1e-12)
    assert fractional_bound_s(uplink) <= best * (1 + 1e-9)


@given(SEEDS)
@settings(max_examples=15)
def test_with_one_each_the_matching_is_exact(seed: int) -> None:
    uplink = drawn(seed, 5, 5)
    best = min(
        float(uplink.makespan_s(np.array(order))) for order in itertools.permutations(range(5))
    )
    assert one_each(uplink).makespan_s == pytest.approx(best)
    assert assign(uplink, generator()).makespan_s == pytest.approx(best)
    assert assign(uplink, generator()).bound_s == pytest.approx(best)


@given(SEEDS, st.integers(1, 4), st.integers(1, 6))
@settings(max_examples=25)
def test_on_flat_channels_the_greedy_is_exact(seed: int, users: int, most: int) -> None:
    draw = np.random.default_rng(seed)
    rate, computing = draw.uniform(1e5, 2e6, users), draw.uniform(0.0, 2.0, users)
    counts, certificate = flat_counts(
        rate_bps=rate, computing_s=computing, model_bits=BITS, subchannels=7, subchannels_max=most
    )
    every = np.array(list(itertools.product(range(1, most + 1), repeat=users)))
    every = every[every.sum(axis=1) <= 7]
    best = (computing + BITS / (every * rate)).max(axis=1).min()
    assert certificate.value == pytest.approx(best)
    assert counts.sum() <= 7
    assert (computing + BITS / (counts * rate)).max() == pytest.approx(best)


@given(SEEDS, st.integers(1, 9), st.integers(1, 12))
def test_every_division_is_feasible(seed: int, users: int, most: int) -> None:
    uplink = drawn(seed, users, 12, worlds=2, most=most)
    draw = generator()
    start = own_start(uplink)
    for owner in (
        start,
        column_start(uplink),
        explore(uplink, start, draw, trials=5),
        assign(uplink, draw).owner,
        project(uplink, draw.random(uplink.rates_bps.shape)),
    ):
        assert uplink.feasible(owner).all()


@given(SEEDS, st.integers(2, 12))
def test_a_search_never_makes_a_division_worse(seed: int, users: int) -> None:
    uplink = drawn(seed, users, 14, worlds=3)
    start = project(uplink, generator().random(uplink.rates_bps.shape))
    few = improve(uplink, start, np.arange(3), moves_max=2)
    many = improve(uplink, start, np.arange(3))
    assert (uplink.makespan_s(few) <= uplink.makespan_s(start)).all()
    assert (uplink.makespan_s(many) <= uplink.makespan_s(few)).all()
    both = best_of(uplink, np.stack([start, many], axis=1))
    assert uplink.makespan_s(both) == pytest.approx(uplink.makespan_s(many))


@given(SEEDS)
@settings(max_examples=20)
def test_many_worlds_at_once_are_searched_as_each_alone(seed: int) -> None:
    uplink = drawn(seed, 5, 9, worlds=4)
    together = improve(uplink, own_start(uplink), np.arange(4))
    for world in range(4):
        alone = Uplink.of(
            uplink.rates_bps[world : world + 1], uplink.computing_s[world : world + 1], BITS, 20
        )
        expected = improve(alone, own_start(alone), np.arange(1))[0]
        assert together[world].tolist() == expected.tolist()
        bound = counting_bound_s(uplink)[world]
        assert bound == pytest.approx(float(counting_bound_s(alone)[0]))


@given(SEEDS, st.floats(0.01, 100.0))
@settings(max_examples=20)
def test_other_units_give_the_same_division(seed: int, scale: float) -> None:
    uplink = drawn(seed, 4, 8)
    bits = Uplink.of(uplink.rates_bps * scale, uplink.computing_s, BITS * scale, 20)
    hours = Uplink.of(uplink.rates_bps / scale, uplink.computing_s * scale, BITS, 20)
    found = assign(uplink, generator()).makespan_s
    assert assign(bits, generator()).makespan_s == pytest.approx(found)
    assert assign(hours, generator()).makespan_s == pytest.approx(found * scale)


@given(SEEDS)
@settings(max_examples=20)
def test_the_order_of_users_and_subchannels_does_not_matter(seed: int) -> None:
    uplink = drawn(seed, 3, 6)
    draw = np.random.default_rng(seed)
    users, channels = draw.permutation(3), draw.permutation(6)
    mixed = Uplink.of(uplink.rates_bps[users][:, channels], uplink.computing_s[users], BITS, 20)
    found = assign(uplink, generator()).makespan_s
    assert assign(mixed, generator()).makespan_s == pytest.approx(found)
    assert counting_bound_s(mixed) == pytest.approx(float(counting_bound_s(uplink)))


@given(SEEDS)
@settings(max_examples=15)
def test_another_subchannel_or_more_power_never_lengthens_the_round(seed: int) -> None:
    uplink = drawn(seed, 3, 6, most=2)
    fewer = Uplink.of(uplink.rates_bps[:, :5], uplink.computing_s, BITS, 2)
    stronger = Uplink.of(uplink.rates_bps, uplink.computing_s, BITS, 3)
    best = enumerated(uplink).makespan_s
    assert best <= enumerated(fewer).makespan_s
    assert enumerated(stronger).makespan_s <= best


def test_who_takes_no_part_gets_nothing_and_changes_nothing() -> None:
    alone = drawn(3, 4, 9)
    rates = np.insert(alone.rates_bps, 2, 1.9e6, axis=0)
    computing = np.insert(alone.computing_s, 2, 50.0)
    active = np.array([True, True, False, True, True])
    with_another = Uplink(rates, computing, BITS, 20, active)
    found = assign(with_another, generator())
    assert 2 not in found.owner
    assert found.makespan_s == pytest.approx(assign(alone, generator()).makespan_s)
    assert with_another.feasible(project(with_another, np.full(rates.shape, 0.2)))


def test_a_round_of_fifty_users_is_within_a_percent_of_its_linear_programme() -> None:
    for seed in range(3):
        uplink = drawn(seed, 50, 100)
        found = assign(uplink, generator())
        assert found.makespan_s <= 1.01 * max(fractional_bound_s(uplink), float(found.bound_s))


def test_exploration_lowers_the_paper_s_own_score() -> None:
    uplink = drawn(1, 4, 9, worlds=20)
    start = own_start(uplink)
    explored = explore(uplink, start, generator())
    before, after = deviations_s2(uplink, start), deviations_s2(uplink, explored)
    assert (after <= before).all()
    assert after.mean() < before.mean()


def test_a_kick_only_swaps_owners() -> None:
    owner = np.tile(np.arange(8) % 3, (40, 1))
    kicked = kick(owner, generator())
    assert (np.sort(kicked, axis=-1) == np.sort(owner, axis=-1)).all()
    changed = (kicked != owner).sum(axis=-1)
    assert 0 < changed.max() <= 6


def test_what_is_free_goes_to_the_slowest() -> None:
    uplink = Uplink.of(np.full((1, 2, 4), 1e6), np.array([[0.0, 1.0]]), 1e6, 20)
    owner = np.array([[0, 1, UNUSED, UNUSED]])
    assert filled(uplink, owner).tolist() == [[0, 1, 1, 1]]
    limited = Uplink.of(uplink.rates_bps, uplink.computing_s, 1e6, 2)
    assert filled(limited, owner).tolist() == [[0, 1, 1, 0]]


def test_two_users_with_equal_rates_are_a_partition() -> None:
    rates = np.array([3.0, 1.0, 1.0, 2.0, 2.0, 1.0]) * 1e5  # two halves of 5
    uplink = Uplink.of(np.tile(rates, (2, 1)), np.zeros(2), 1e6, 20)
    assert assign(uplink, generator()).makespan_s == pytest.approx(2.0)


def test_what_cannot_be_done_is_told_from_what_makes_no_sense() -> None:
    with pytest.raises(Infeasible, match="3 participants need a sub-channel each; there are 2"):
        Uplink.of(np.ones((3, 2)), np.ones(3), BITS, 20)
    with pytest.raises(InvalidArgument, match=r"rates_bps \(3, 2\), computing_s \(2,\)"):
        Uplink.of(np.ones((3, 2)), np.ones(2), BITS, 20)
    with pytest.raises(InvalidArgument, match=r"rates_bps is 0\.0 at \[1, 0\]"):
        Uplink.of(np.array([[1.0], [0.0]]), np.ones(2), BITS, 20)
    with pytest.raises(InvalidArgument, match="subchannels_max is 0"):
        Uplink.of(np.ones((1, 2)), np.ones(1), BITS, 0)
    with pytest.raises(InvalidArgument, match="they must be"):
        Uplink.of(np.ones((0, 2)), np.ones(0), BITS, 1)
    with pytest.raises(InvalidArgument, match=r"rates_bps is \(1, 3, 4\)"):
        enumerated(drawn(0, 3, 4, worlds=1))
    with pytest.raises(InvalidArgument, match="at most 2000000 are enumerated"):
        enumerated(drawn(0, 5, 20))
    with pytest.raises(Infeasible, match="3 users need a sub-channel each; there are 2"):
        flat_counts(
            rate_bps=np.ones(3),
            computing_s=np.ones(3),
            model_bits=1,
            subchannels=2,
            subchannels_max=2,
        )


def test_a_large_world_is_enumerated_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    uplink = drawn(4, 3, 5)
    whole = enumerated(uplink)
    monkeypatch.setattr(subchannel_exact, "ENUMERATED_AT_ONCE", 100)
    assert enumerated(uplink).owner.tolist() == whole.owner.tolist()
