import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_runtime.physics import convergency
from twin_runtime.physics.arguments import InvalidArgument
from twin_runtime.physics.compute import training_cycles

WEIGHT = np.array([1.0, 1.0, 2.0]) / 8e10
fraction = st.floats(0.0, 1.0)


def test_an_exponent_is_undone_by_the_convergency_that_it_gives() -> None:
    wanted = np.array([0.0, 0.5, 0.9, 0.999])
    exponent = convergency.exponent(convergency=wanted)
    got = convergency.trained_convergency(base_exponent=exponent, gain=0.0)
    np.testing.assert_allclose(got, wanted)


def test_both_kinds_together_are_limited_by_the_rarer() -> None:
    sizes = convergency.set_sizes(samples=100, embb=[30, 5], urllc=[10, 40])
    assert sizes.tolist() == [[3000.0, 1000.0, 1000.0], [500.0, 4000.0, 500.0]]


@given(st.tuples(*[st.floats(0, 1e4)] * 3), st.floats(1.0, 3.0))
def test_training_in_two_parts_gains_as_much_as_at_once(
    iterations: tuple[float, float, float], share: float
) -> None:
    sizes = convergency.set_sizes(samples=100, embb=20, urllc=15)
    whole, first, rest = (
        convergency.training_gain(
            iterations=np.array(iterations) * part, sizes=sizes, importance=WEIGHT, size_power=2.0
        )
        for part in (1.0, 1.0 / share, 1.0 - 1.0 / share)
    )
    assert whole == pytest.approx(first + rest)


def test_work_is_all_samples_of_all_iterations() -> None:
    sizes = convergency.set_sizes(samples=100, embb=2, urllc=3)
    work = training_cycles(samples=sizes, cycles_per_sample=1000.0, epochs=[1.0, 2.0, 4.0])
    assert work.sum() == pytest.approx(1e3 * (200 + 2 * 300 + 4 * 200))


@given(own=fraction, given_=fraction, usefulness=fraction)
def test_a_merge_never_harms_and_never_passes_what_is_given(
    own: float, given_: float, usefulness: float
) -> None:
    merged = convergency.merged_fraction(own=own, given=given_, usefulness=usefulness)
    assert own <= merged <= max(own, given_) + 1e-15


def test_a_helper_that_trains_too_much_gives_no_more() -> None:
    merged = convergency.merged_fraction(own=0.4, given=[1.0, 3.0], usefulness=0.6)
    np.testing.assert_allclose(merged, 0.76)


@given(own=fraction, usefulness=fraction)
def test_a_converged_helper_leaves_the_rest_of_the_missing_work(
    own: float, usefulness: float
) -> None:
    merged = convergency.merged_fraction(own=own, given=1.0, usefulness=usefulness)
    missing = convergency.missing_fraction(base_fraction=own)
    assert 1.0 - merged == pytest.approx((1.0 - usefulness) * missing, abs=1e-12)


def test_drift_takes_from_what_has_converged_and_not_from_more() -> None:
    left = convergency.drifted_fraction(fraction=[0.5, 1.0, 2.0], drift=0.4)
    np.testing.assert_allclose(left, [0.3, 0.6, 0.6])


def test_the_printed_penalty_is_one_who_trains_enough_and_two_who_does_not_train() -> None:
    penalty = convergency.shortfall_penalty(base_fraction=0.4, trained=[0.0, 0.6, 0.9])
    np.testing.assert_allclose(penalty, [2.0, 1.0, 1.0])


def test_bad_arguments_of_convergency_are_named() -> None:
    with pytest.raises(InvalidArgument, match="convergency is 1"):
        convergency.exponent(convergency=1.0)
    with pytest.raises(InvalidArgument, match=r"usefulness is 1\.2"):
        convergency.merged_fraction(own=0.1, given=1.0, usefulness=1.2)
    with pytest.raises(InvalidArgument, match="3 kinds"):
        convergency.training_gain(
            iterations=[1.0, 1.0], sizes=[1.0, 1.0], importance=[1.0, 1.0], size_power=2.0
        )
    with pytest.raises(InvalidArgument, match=r"drift is -0\.1"):
        convergency.drifted_fraction(fraction=0.5, drift=-0.1)
