import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from twin_runtime.physics import asynchronous as asyn
from twin_runtime.physics.arguments import InvalidArgument

WEIGHTS = arrays(np.float64, 6, elements=st.floats(1e-6, 20.0))
SAMPLES = arrays(np.float64, 6, elements=st.floats(1.0, 1000.0))
LATENESS = arrays(np.float64, 6, elements=st.integers(0, 3).map(float))
MODELS = arrays(np.float64, (6, 3), elements=st.floats(-5.0, 5.0))


@given(SAMPLES, WEIGHTS, LATENESS)
def test_shares_sum_to_one_and_do_not_depend_on_the_unit_of_samples(
    samples: np.ndarray, weights: np.ndarray, late: np.ndarray
) -> None:
    share = asyn.aggregation_weights(samples=samples, update_weight=weights, lateness_rounds=late)
    scaled = asyn.aggregation_weights(
        samples=1e3 * samples, update_weight=weights, lateness_rounds=late
    )
    assert share.sum() == pytest.approx(1.0)
    assert scaled == pytest.approx(share)


@given(SAMPLES, WEIGHTS, LATENESS)
def test_shares_follow_the_users(
    samples: np.ndarray, weights: np.ndarray, late: np.ndarray
) -> None:
    order = np.argsort(samples)
    share = asyn.aggregation_weights(samples=samples, update_weight=weights, lateness_rounds=late)
    permuted = asyn.aggregation_weights(
        samples=samples[order], update_weight=weights[order], lateness_rounds=late[order]
    )
    assert permuted == pytest.approx(share[order])


@given(MODELS, SAMPLES, WEIGHTS)
def test_stations_merged_by_their_mass_are_all_users_at_once(
    models: np.ndarray, samples: np.ndarray, weights: np.ndarray
) -> None:
    mass = asyn.update_mass(samples=samples, update_weight=weights)
    stations = [slice(0, 2), slice(2, 6)]
    shares = [
        asyn.aggregation_weights(samples=samples[own], update_weight=weights[own])
        for own in stations
    ]
    parts = [share @ models[own] for share, own in zip(shares, stations, strict=True)]
    total = [mass[own].sum() for own in stations]
    flat = asyn.aggregation_weights(samples=samples, update_weight=weights) @ models
    assert np.average(parts, axis=0, weights=total) == pytest.approx(flat)


@given(MODELS, SAMPLES, WEIGHTS)
def test_updates_of_the_last_version_average_to_a_mean_of_models(
    models: np.ndarray, samples: np.ndarray, weights: np.ndarray
) -> None:
    share = asyn.aggregation_weights(samples=samples, update_weight=weights)
    last = np.array([3.0, -2.0, 0.5])
    merged = asyn.aggregate(model=last, trained=models, bases=last, weights=share)
    assert merged == pytest.approx(share @ models)


@given(WEIGHTS)
def test_a_heavier_update_or_more_samples_never_count_less(weights: np.ndarray) -> None:
    samples = np.full(6, 10.0)
    more = weights.copy()
    more[0] *= 2
    before = asyn.aggregation_weights(samples=samples, update_weight=weights)[0]
    assert asyn.aggregation_weights(samples=samples, update_weight=more)[0] >= before
    samples[0] *= 2
    assert asyn.aggregation_weights(samples=samples, update_weight=weights)[0] >= before


def test_printed_weights_shrink_the_model() -> None:
    shares = asyn.printed_weights(samples=[100.0, 300.0], update_weight=[0.5, 0.5])
    assert shares.sum() == pytest.approx(-np.expm1(-0.5))
    assert asyn.printed_weights(samples=[1.0], update_weight=[1e-3]).sum() == pytest.approx(
        0.0009995, rel=1e-6
    )
    left = -np.expm1(-0.5)
    assert left**10 == pytest.approx(8.9e-5, rel=0.02)


def test_nobody_s_share_is_nothing() -> None:
    share = asyn.aggregation_weights(samples=[[0.0, 0.0]], update_weight=[[1.0, 1.0]])
    assert share.tolist() == [[0.0, 0.0]]


@given(arrays(np.float64, 3, elements=st.floats(0.1, 9.0)), st.floats(0.1, 50.0))
def test_a_change_is_relative_to_the_model(step: np.ndarray, scale: float) -> None:
    model = np.array([1.0, -2.0, 2.0])
    change = asyn.relative_change(trained=model + step, model=model)
    assert change == pytest.approx(np.linalg.norm(step) / 3.0)
    scaled = asyn.relative_change(trained=scale * (model + step), model=scale * model)
    assert scaled == pytest.approx(float(change))


def test_a_model_of_zeros_can_be_left() -> None:
    change = asyn.relative_change(trained=[1e-9, 0.0], model=[0.0, 0.0])
    assert change == pytest.approx(1e3)


def test_speeds_stay_within_their_bounds() -> None:
    fleet = {"frequency_hz": 1e9, "reference_rate_bps": 1e6, "reference_frequency_hz": 1e9}
    speed = asyn.link_speed(rate_bps=[1e3, 1e6, 1e12], **fleet)
    assert speed.tolist() == [0.1, 1.0, 10.0]
    speed = asyn.turnaround_speed(time_s=[100.0, 2.0, 0.01], reference_time_s=2.0)
    assert speed.tolist() == [0.1, 1.0, 10.0]


def test_the_paper_s_speed_prefers_a_slow_processor_and_ours_a_fast_user() -> None:
    fleet = {"rate_bps": 1e6, "reference_rate_bps": 1e6, "reference_frequency_hz": 1e9}
    slow, fast = asyn.link_speed(frequency_hz=[5e8, 2e9], **fleet)
    assert slow > fast
    slow, fast = asyn.turnaround_speed(time_s=[2.0, 0.5], reference_time_s=1.0)
    assert slow < fast


@given(arrays(np.float64, (3, 8), elements=st.floats(0.0, 5.0)), st.integers(1, 8))
def test_the_leading_users_weigh_most_and_the_silent_come_first(
    weights: np.ndarray, count: int
) -> None:
    gaps = np.ones((3, 8))
    gaps[:, 5] = 15
    chosen = asyn.leading_users(
        update_weight=weights, gap_rounds=gaps, count=count, gap_rounds_max=15
    )
    assert (chosen[:, 0] == 5).all()
    for world in range(3):
        others = set(range(8)) - {5} - set(chosen[world].tolist())
        weakest = min((weights[world, user] for user in chosen[world, 1:]), default=np.inf)
        assert all(weights[world, user] <= weakest for user in others)


@given(st.floats(0.01, 5.0), st.integers(0, 100))
def test_a_gate_rises_with_too_many_uploads_and_falls_with_too_few(
    threshold: float, uploads: int
) -> None:
    moved = asyn.next_threshold(threshold=threshold, uploads=uploads, uploads_wanted=50, users=100)
    assert np.sign(moved - threshold) == np.sign(uploads - 50)


def test_a_server_that_waits_for_nobody_takes_a_smaller_step() -> None:
    assert asyn.server_rate(participating_samples=300.0, all_samples=10_000.0) == pytest.approx(0.1)
    assert asyn.server_rate(participating_samples=9_000.0, all_samples=10_000.0) == 1.0


@given(st.floats(0.0, 100.0), st.floats(0.0, 100.0))
def test_staleness_only_falls_with_delay(delay: float, more: float) -> None:
    for discount in (asyn.polynomial_staleness, asyn.hinge_staleness):
        late, later = discount(delay_versions=[delay, delay + more])
        assert 0.0 < later <= late <= 1.0


def test_no_exponent_is_no_discount() -> None:
    assert asyn.polynomial_staleness(delay_versions=[0.0, 9.0], exponent=0.0).tolist() == [1, 1]


def test_the_proximal_pull_is_the_gradient_of_a_square() -> None:
    pull = asyn.proximal_pull(model=[2.0, 1.0], base=[1.0, 1.0], strength=0.5)
    assert pull.tolist() == [0.5, 0.0]


def test_bad_updates_are_named() -> None:
    with pytest.raises(InvalidArgument, match="change is -1"):
        asyn.update_weight(gap_rounds=1, change=-1.0, speed=1.0)
    with pytest.raises(InvalidArgument, match="trained is nan"):
        asyn.relative_change(trained=[np.nan], model=[1.0])
    with pytest.raises(InvalidArgument, match="count is 3; there are 2"):
        asyn.leading_users(update_weight=[1.0, 2.0], gap_rounds=[1, 1], count=3, gap_rounds_max=15)
    with pytest.raises(InvalidArgument, match=r"server_rate is 1\.2"):
        asyn.aggregate(model=[1.0], trained=[[1.0]], bases=[1.0], weights=[1.0], server_rate=1.2)
    with pytest.raises(InvalidArgument, match=r"trained \(2, 1\).*weights \(3, 1\)"):
        asyn.aggregate(model=[1.0], trained=np.ones((2, 1)), bases=[1.0], weights=np.ones(3))
