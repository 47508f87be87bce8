import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin_runtime.physics.arguments import InvalidArgument
from twin_runtime.physics.ofdma import UNUSED
from twin_runtime.solvers.subchannel_energy import Trainers, save_energy
from twin_runtime.solvers.subchannel_starts import own_start
from twin_runtime.solvers.uplink import Uplink

SEEDS = st.integers(0, 10**6)
BITS, CAPACITANCE, SLOWEST_HZ = 698_880.0, 1e-27, 2e8
Array = npt.NDArray[np.float64]


def drawn(seed: int, worlds: int = 2) -> tuple[Uplink, Trainers]:
    generator = np.random.default_rng(seed)
    cycles = generator.uniform(2e8, 1e9, (worlds, 4))
    fastest = generator.uniform(6e8, 2e9, (worlds, 4))
    rates = generator.uniform(1e5, 2e6, (worlds, 4, 8))
    uplink = Uplink.of(rates, cycles / fastest, BITS, 5)
    return uplink, Trainers(cycles, np.full_like(cycles, SLOWEST_HZ), fastest, CAPACITANCE)


def energy_j(
    uplink: Uplink, trainers: Trainers, owner: npt.NDArray[np.int64], deadline_s: Array
) -> Array:
    upload = uplink.time_s(owner) - uplink.computing_s
    needed = trainers.cycles / (deadline_s[:, None] - upload)
    assert (needed <= trainers.frequency_max_hz * (1 + 1e-6)).all()
    clock = np.maximum(needed, SLOWEST_HZ)
    return np.asarray((CAPACITANCE * trainers.cycles * clock**2).sum(axis=-1))


@given(SEEDS, st.floats(1.0, 2.0))
@settings(max_examples=40)
def test_moves_save_energy_and_keep_the_deadline(seed: int, slack: float) -> None:
    uplink, trainers = drawn(seed)
    start = own_start(uplink)
    deadline = slack * uplink.makespan_s(start)
    found = save_energy(uplink, trainers, start, deadline)
    assert uplink.feasible(found).all()
    before = energy_j(uplink, trainers, start, deadline)
    assert (energy_j(uplink, trainers, found, deadline) <= before).all()


@given(SEEDS)
@settings(max_examples=15)
def test_no_single_move_is_left_that_saves_more(seed: int) -> None:
    uplink, trainers = drawn(seed, worlds=1)
    start = own_start(uplink)
    deadline = 1.2 * uplink.makespan_s(start)
    found = save_energy(uplink, trainers, start, deadline)
    best = energy_j(uplink, trainers, found, deadline)
    for channel in range(8):
        for user in range(4):
            other = found.copy()
            other[0, channel] = user
            in_time = uplink.feasible(other) & (uplink.makespan_s(other) <= deadline)
            if in_time.all():
                assert energy_j(uplink, trainers, other, deadline) >= best * (1 - 1e-8)


@given(SEEDS, st.floats(0.1, 10.0))
@settings(max_examples=15)
def test_other_units_of_energy_and_data_give_the_same_division(seed: int, scale: float) -> None:
    uplink, trainers = drawn(seed)
    start = own_start(uplink)
    deadline = 1.3 * uplink.makespan_s(start)
    found = save_energy(uplink, trainers, start, deadline)
    scaled = Uplink.of(uplink.rates_bps * scale, uplink.computing_s, BITS * scale, 5)
    costly = trainers._replace(capacitance=CAPACITANCE * scale)
    assert save_energy(scaled, costly, start, deadline).tolist() == found.tolist()


def test_a_free_subchannel_is_taken() -> None:
    uplink = Uplink.of(np.full((1, 2, 3), 1e6), np.array([[0.5, 0.5]]), 1e6, 5)
    trainers = Trainers(
        np.array([[5e8, 5e8]]), np.full((1, 2), 1e8), np.full((1, 2), 1e9), CAPACITANCE
    )
    owner = np.array([[0, 1, UNUSED]])
    assert (save_energy(uplink, trainers, owner, np.array([1.6])) != UNUSED).all()


def test_bad_deadlines_are_named() -> None:
    uplink, trainers = drawn(0)
    with pytest.raises(InvalidArgument, match="deadline_s is 0"):
        save_energy(uplink, trainers, own_start(uplink), np.zeros(2))
