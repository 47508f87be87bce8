import itertools

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin_runtime.physics.arguments import InvalidArgument
from twin_runtime.physics.ofdma import subchannel_counts
from twin_runtime.solvers.cpu_frequencies import clocks_with_uploads
from twin_runtime.solvers.subchannel_cost_bound import joint_bound_j
from twin_runtime.solvers.subchannel_energy import Trainers
from twin_runtime.solvers.uplink import Uplink

SEEDS = st.integers(0, 10**6)
BITS, CAPACITANCE, SLOWEST_HZ, POWER_W, MOST = 698_880.0, 1e-27, 2e8, 0.01, 3
Array = npt.NDArray[np.float64]


def drawn(seed: int, users: int, channels: int) -> tuple[Uplink, Trainers]:
    generator = np.random.default_rng(seed)
    cycles = generator.uniform(2e8, 1e9, (1, users))
    fastest = generator.uniform(6e8, 2e9, (1, users))
    rates = generator.uniform(1e5, 2e6, (1, users, channels))
    uplink = Uplink.of(rates, cycles / fastest, BITS, MOST)
    return uplink, Trainers(cycles, np.full_like(cycles, SLOWEST_HZ), fastest, CAPACITANCE)


def least_cost_j(uplink: Uplink, trainers: Trainers, price_w: float) -> float:
    """The best of all divisions, each with its best clocks."""
    users, channels = uplink.rates_bps.shape[1:]
    owner = np.array(list(itertools.product(range(-1, users), repeat=channels)))
    many = Uplink(
        np.repeat(uplink.rates_bps, len(owner), axis=0),
        np.repeat(uplink.computing_s, len(owner), axis=0),
        BITS,
        MOST,
        np.ones((len(owner), users), dtype=np.bool_),
    )
    kept = many.feasible(owner)
    upload = (many.time_s(owner) - many.computing_s)[kept]
    found = clocks_with_uploads(
        cycles=trainers.cycles,
        frequency_min_hz=SLOWEST_HZ,
        frequency_max_hz=trainers.frequency_max_hz,
        capacitance=CAPACITANCE,
        time_price_w=np.full(len(upload), price_w),
        upload_s=upload,
    )
    training = (CAPACITANCE * trainers.cycles * found.frequency_hz**2).sum(axis=-1)
    counts = subchannel_counts(owner=owner[kept], users=users)
    sending = (POWER_W * counts * upload).sum(axis=-1)
    return float((training + sending + price_w * found.deadline_s).min())


def bound_j(uplink: Uplink, trainers: Trainers, price_w: float, cost_j: float) -> float:
    found = joint_bound_j(
        uplink,
        trainers,
        time_price_w=np.array([price_w]),
        subchannel_power_w=POWER_W,
        cost_j=np.array([cost_j]),
    )
    return float(found[0])


@given(SEEDS, st.floats(0.05, 20.0))
@settings(max_examples=40)
def test_no_division_with_its_best_clocks_costs_less_than_the_bound(
    seed: int, price_w: float
) -> None:
    uplink, trainers = drawn(seed, users=3, channels=5)
    best = least_cost_j(uplink, trainers, price_w)
    assert bound_j(uplink, trainers, price_w, 1.5 * best) <= best * (1 + 1e-9)


def test_the_bound_is_near_the_best_of_all_divisions() -> None:
    gaps = []
    for seed in range(30):
        uplink, trainers = drawn(seed, users=3, channels=5)
        best = least_cost_j(uplink, trainers, 1.0)
        gaps.append(1.0 - bound_j(uplink, trainers, 1.0, 1.2 * best) / best)
    assert np.median(gaps) < 0.02
    assert max(gaps) < 0.05


@given(SEEDS, st.floats(0.05, 20.0))
@settings(max_examples=20)
def test_for_a_user_alone_the_bound_is_the_least_cost(seed: int, price_w: float) -> None:
    uplink, trainers = drawn(seed, users=1, channels=3)
    best = least_cost_j(uplink, trainers, price_w)
    assert bound_j(uplink, trainers, price_w, 1.1 * best) == pytest.approx(best, rel=1e-3)


@given(SEEDS)
@settings(max_examples=20)
def test_a_dearer_second_and_a_user_more_raise_the_bound(seed: int) -> None:
    uplink, trainers = drawn(seed, users=4, channels=6)
    cheap, dear = (bound_j(uplink, trainers, price, 100.0) for price in (0.5, 1.0))
    assert cheap < dear
    active = np.array([[True, True, True, False]])
    fewer = Uplink(uplink.rates_bps, uplink.computing_s, BITS, MOST, active)
    assert bound_j(fewer, trainers, 0.5, 100.0) < cheap


def test_an_answer_that_is_too_good_is_its_own_bound() -> None:
    uplink, trainers = drawn(0, users=3, channels=5)
    assert bound_j(uplink, trainers, 1.0, 1e-3) == 1e-3


def test_costs_and_prices_are_of_the_same_worlds() -> None:
    uplink, trainers = drawn(0, users=3, channels=5)
    with pytest.raises(InvalidArgument, match="cost_j"):
        joint_bound_j(
            uplink,
            trainers,
            time_price_w=np.ones(1),
            subchannel_power_w=POWER_W,
            cost_j=np.ones(2),
        )
