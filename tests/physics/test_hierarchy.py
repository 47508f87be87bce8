"""Two-level rounds: what hosting changes, and what it cannot change."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_runtime.physics.arguments import InvalidArgument
from twin_runtime.physics.federated import reproducible_mean, weighted_mean
from twin_runtime.physics.hierarchy import (
    phased_round_time_s,
    pipelined_round_time_s,
    station_upload_time_s,
    sums_at_stations,
)

SEEDS = st.integers(0, 2**32 - 1)


@given(SEEDS)
def test_the_global_model_is_the_same_wherever_twins_are_hosted(seed: int) -> None:
    generator = np.random.default_rng(seed)
    models, samples = generator.normal(size=(20, 3)), generator.integers(1, 900, 20)
    host = generator.integers(0, 4, 20)
    flat = weighted_mean(values=models, weights=samples, fallback=0.0)
    hosted = (host == np.arange(4)[:, None]) * samples
    each = weighted_mean(values=np.broadcast_to(models, (4, 20, 3)), weights=hosted, fallback=0.0)
    merged = weighted_mean(values=each, weights=hosted.sum(axis=1), fallback=0.0)
    assert np.allclose(merged, flat, rtol=1e-13, atol=1e-14)


def test_the_global_loss_weighs_twins_by_their_samples() -> None:
    assert weighted_mean(values=[1.0, 4.0], weights=[200, 100], fallback=0.0) == 2.0


def test_the_reproducible_mean_does_not_depend_on_the_order_of_arrival() -> None:
    generator = np.random.default_rng(1)
    models = {f"node-{n}": generator.normal(size=50).astype(np.float32) for n in range(5)}
    weights = {node: 100 + 7 * n for n, node in enumerate(models)}
    backwards = dict(reversed(list(models.items())))
    assert (
        reproducible_mean(models=models, weights=weights).tobytes()
        == reproducible_mean(models=backwards, weights=weights).tobytes()
    )


def test_the_reproducible_mean_is_the_weighted_mean() -> None:
    models = {"a": np.array([1, 2], np.float32), "b": np.array([7, 10], np.float32)}
    mean = reproducible_mean(models=models, weights={"a": 300, "b": 100})
    assert mean.dtype == np.float32
    assert mean.tolist() == [2.5, 4.0]


def test_the_reproducible_mean_refuses_a_model_without_a_weight() -> None:
    with pytest.raises(InvalidArgument, match="models of"):
        reproducible_mean(models={"a": np.zeros(2, np.float32)}, weights={"b": 1})


def test_sums_at_stations_count_each_world_for_itself() -> None:
    host = np.array([[0, 0, 2], [1, 1, 1]])
    assert sums_at_stations(values=1.0, host=host, stations=3).tolist() == [[2, 0, 1], [0, 3, 0]]
    assert sums_at_stations(values=[5.0, 6, 7], host=host[0], stations=3).tolist() == [11, 0, 7]


def test_a_host_that_does_not_exist_is_named() -> None:
    with pytest.raises(InvalidArgument, match=r"host is 3 at \[1\]; it must be an index below 3"):
        sums_at_stations(values=1.0, host=np.array([0, 3]), stations=3)


def test_a_station_without_twins_sends_nothing_however_bad_its_channel() -> None:
    upload = station_upload_time_s(model_bits=8.0, models=[1, 0, 1], rate_bps=[4.0, 0.0, 0.0])
    assert upload.tolist() == [pytest.approx(2 * np.log2(3)), 0.0, np.inf]


@given(SEEDS, st.integers(1, 4))
def test_pipelining_never_slows_a_round_down(seed: int, iterations: int) -> None:
    generator = np.random.default_rng(seed)
    training, aggregation, upload = generator.uniform(0, 10, (3, 6, 5))
    phases = {"training_s": training, "aggregation_s": aggregation, "upload_s": upload}
    phased = phased_round_time_s(**phases, cloud_s=1.0, iterations=iterations)
    pipelined = pipelined_round_time_s(**phases, cloud_s=1.0, iterations=iterations)
    assert (pipelined <= phased + 1e-12).all()


@given(SEEDS, st.floats(1e-3, 1e3))
def test_a_round_scales_with_the_unit_of_time(seed: int, scale: float) -> None:
    generator = np.random.default_rng(seed)
    training, aggregation, upload = generator.uniform(0, 10, (3, 5))
    times = [
        round_time_s(
            training_s=unit * training,
            aggregation_s=unit * aggregation,
            upload_s=unit * upload,
            cloud_s=unit,
        )
        for round_time_s in (phased_round_time_s, pipelined_round_time_s)
        for unit in (1.0, scale)
    ]
    assert times[1] == pytest.approx(scale * times[0])
    assert times[3] == pytest.approx(scale * times[2])


def test_stations_may_be_named_in_any_order() -> None:
    training, order = np.array([3.0, 1.0, 2.0]), [2, 0, 1]
    whole = phased_round_time_s(training_s=training, aggregation_s=0, upload_s=training, cloud_s=0)
    other = training[order]
    assert whole == phased_round_time_s(
        training_s=other, aggregation_s=0, upload_s=other, cloud_s=0
    )


def test_a_negative_phase_is_named() -> None:
    with pytest.raises(InvalidArgument, match="upload_s is -1"):
        phased_round_time_s(training_s=[1.0], aggregation_s=[0], upload_s=[-1.0], cloud_s=0)
