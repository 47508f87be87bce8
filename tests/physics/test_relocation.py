import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_runtime.physics import relocation
from twin_runtime.physics.arguments import Array, Integers, InvalidArgument
from twin_runtime.physics.utility import data_utility

ENERGY = st.floats(0.0, 5000.0)


@given(ENERGY, ENERGY)
def test_saturation_rises_bends_down_and_stays_below_one(first: float, second: float) -> None:
    low, high = sorted((first, second))
    at_low = relocation.saturation(energy=low, scale=200)
    at_high = relocation.saturation(energy=high, scale=200)
    middle = relocation.saturation(energy=(low + high) / 2, scale=200)
    assert 0 <= at_low <= at_high <= 1
    assert middle >= (at_low + at_high) / 2 - 1e-15


@given(st.floats(1.0, 3000.0))
def test_saturation_derivatives_are_derivatives(energy: float) -> None:
    step = 1e-3 * energy
    left, right = (relocation.saturation(energy=energy + d * step, scale=200) for d in (-1, 1))
    slope = relocation.saturation_slope(energy=energy, scale=200)
    before, after = (
        relocation.saturation_slope(energy=energy + d * step, scale=200) for d in (-1, 1)
    )
    curvature = relocation.saturation_curvature(energy=energy, scale=200)
    assert np.isclose((right - left) / (2 * step), slope, rtol=1e-4, atol=1e-12)
    assert np.isclose((after - before) / (2 * step), curvature, rtol=1e-4, atol=1e-14)


@given(st.floats(0.1, 100.0), st.floats(1.0, 1e6), st.floats(1.0, 200.0))
def test_energies_scale_with_units_of_size_and_length(
    factor: float, bits: float, metres: float
) -> None:
    def move(size: float, length: float) -> Array:
        return relocation.migration_energy(
            payload_bits=size, twin_bits=0.0, distance_m=length, energy_per_bit_m=1e-4
        )

    assert np.isclose(move(factor * bits, metres), move(bits, factor * metres))
    assert move(bits, 0.0) == 0


def gain(share: Array) -> float:
    """Minus one edge's gain, for differences."""
    new, old = np.array([300.0, 500.0, 400.0]), np.array([900.0, 300.0, 700.0])
    samples = relocation.training_samples(new_samples=new, old_samples=old, share=share)
    energy = 400.0 + np.array([900.0, 80.0, 180.0]) @ share
    useful = data_utility(samples=samples, label_distance=0.4).sum()
    return float(0.02 * useful - 0.05 * relocation.saturation(energy=energy, scale=200.0))


def test_the_hessian_matches_finite_differences() -> None:
    share, step = np.array([0.5, 0.4, 0.6]), 1e-3
    unit = np.eye(3) * step
    numeric = [
        [
            sum(
                sign * gain(share + first * unit[i] + second * unit[j])
                for first, second, sign in ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1))
            )
            / (4 * step**2)
            for j in range(3)
        ]
        for i in range(3)
    ]
    exact = relocation.gain_hessian(
        samples=np.array([300.0, 500.0, 400.0]) + share * np.array([900.0, 300.0, 700.0]),
        old_samples=np.array([900.0, 300.0, 700.0]),
        label_distance=np.full(3, 0.4),
        slope=np.array([900.0, 80.0, 180.0]),
        energy=400.0 + np.array([900.0, 80.0, 180.0]) @ share,
        valuation=relocation.Valuation(utility_weight=0.02, energy_weight=0.05, scale=200.0),
    )
    np.testing.assert_allclose(-np.array(numeric), exact, rtol=0, atol=5e-7)


def test_resident_twins_alone_have_an_indefinite_hessian_too() -> None:
    slope = relocation.energy_slope(
        old_bits=784 * np.full(2, 800.0),
        distance_m=0.0,
        energy_per_bit_m=1e-4,
        cycles_per_bit=55.0,
        epochs=60.0,
        energy_per_cycle=1e-7,
    )
    hessian = relocation.gain_hessian(
        samples=np.full(2, 1200.0),
        old_samples=np.full(2, 800.0),
        label_distance=np.zeros(2),
        slope=slope,
        energy=3 * slope.sum() / 2,
        valuation=relocation.Valuation(0.3 / 20, 0.7 / 9, 200.0),
    )
    np.testing.assert_allclose(np.linalg.eigvalsh(hessian), [-0.00699, 0.00082], atol=5e-6)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_edge_energy_heeds_no_order_of_twins(hosts: list[int], order: object) -> None:
    generator = np.random.default_rng(len(hosts))
    moved, synchronised, trained = generator.uniform(0, 9, (3, len(hosts)))
    turn = generator.permutation(len(hosts))
    host = np.array(hosts)

    def energy(which: Integers) -> Array:
        return relocation.edge_energy(
            migration=moved[which],
            synchronisation=synchronised[which],
            training=trained[which],
            edge=host[which],
            edges=5,
        )

    np.testing.assert_allclose(energy(np.arange(len(hosts))), energy(turn), rtol=1e-14)
    assert np.isclose(energy(turn).sum(), moved.sum() + synchronised.sum() + trained.sum())


def test_sums_by_edge_keep_worlds_apart() -> None:
    values = np.array([[1.0, 2.0, 4.0], [8.0, 16.0, 32.0]])
    sums = relocation.sum_by_edge(values=values, edge=np.array([[0, 1, 0], [2, 2, 2]]), edges=3)
    assert sums.tolist() == [[5.0, 2.0, 0.0], [0.0, 0.0, 56.0]]


def test_a_gain_falls_when_an_edge_spends_more() -> None:
    def worth(energy: list[float]) -> Array:
        return relocation.association_gain(
            utility=[0.8, 0.9], energy=energy, utility_weight=0.3, energy_weight=0.7, scale=200.0
        )

    assert worth([0.0, 0.0]) == pytest.approx(0.3 * 0.85)
    assert worth([500.0, 0.0]) < worth([400.0, 0.0])
    # A saturated edge takes more for almost nothing: packing pays.
    assert worth([1000.0, 0.0]) > worth([500.0, 500.0])


@given(st.floats(0.0, 2.0, allow_subnormal=False))
def test_the_barrier_is_never_a_reward(used: float) -> None:
    barrier = relocation.capacity_barrier(load=used, capacity=1.0)
    assert 0 <= barrier <= relocation.BARRIER_MAX
    assert (barrier == 0) == (used == 0)


def test_a_full_edge_meets_the_largest_barrier() -> None:
    assert relocation.capacity_barrier(load=1.0, capacity=1.0) == relocation.BARRIER_MAX


def test_bad_arguments_are_named() -> None:
    with pytest.raises(InvalidArgument, match=r"share is 1\.5; it must be in \[0, 1\]"):
        relocation.training_samples(new_samples=1, old_samples=1, share=1.5)
    with pytest.raises(InvalidArgument, match="rate_bps is 0"):
        relocation.synchronisation_energy(size_bits=1, rate_bps=0, distance_m=1, energy_per_s_m=1)
    with pytest.raises(InvalidArgument, match=r"edge is 3 at \[1\]; it must be an index below 3"):
        relocation.sum_by_edge(values=[1.0, 2.0], edge=np.array([0, 3]), edges=3)
    with pytest.raises(InvalidArgument, match="energy is nan"):
        relocation.saturation(energy=np.nan, scale=1)
    with pytest.raises(InvalidArgument, match="shapes must be equal"):
        relocation.edge_energy(
            migration=[1.0], synchronisation=[1.0, 2.0], training=[1.0], edge=[0], edges=1
        )


@given(ENERGY)
def test_both_derivatives_follow_from_the_level(energy: float) -> None:
    level = relocation.saturation(energy=energy, scale=200.0)
    slope, curvature = relocation.saturation_derivatives(level=level, scale=200.0)
    assert slope == relocation.saturation_slope(energy=energy, scale=200.0)
    assert curvature == relocation.saturation_curvature(energy=energy, scale=200.0)
