"""A federated round of two levels: twins train at their stations, stations send to the cloud.

A station averages its twins' models before it sends, and the cloud averages the stations'
by their samples, so that the global model is the same wherever the twins are hosted
(`federated.weighted_mean`): hosting changes a round's time, never what it learns.
"""

import numpy as np
import numpy.typing as npt

from twin_runtime.physics.arguments import (
    Array,
    Real,
    broadcast,
    finite,
    indices,
    non_negative,
    positive,
)
from twin_runtime.physics.consensus import broadcast_depth


def sums_at_stations(*, values: Real, host: npt.ArrayLike, stations: int) -> Array:
    """What each station's twins have together `[..., M]`. [P4] (1)(12).

    Args:
        values: of each twin `[..., N]`: its samples, its cycles, 1 to count.
        host: the station of each twin `[..., N]`, from 0 to `stations - 1`.
        stations: M > 0.
    """
    each, place = finite("values", values), indices("host", host, stations)
    shape = broadcast(values=each, host=place.astype(np.float64))
    wide = np.broadcast_to(place, shape).reshape(-1, shape[-1])
    cells = wide + stations * np.arange(len(wide))[:, None]
    weights = np.broadcast_to(each, shape).ravel()
    sums = np.bincount(cells.ravel(), weights, minlength=len(wide) * stations).astype(np.float64)
    return sums.reshape(*shape[:-1], stations)


def station_upload_time_s(
    *, model_bits: Real, models: Real, rate_bps: Real, factor: Real = 1.0
) -> Array:
    """Time of each station's upload to the cloud `[..., M]` [s], 0 where it sends nothing.

    [P4] (15): a station sends 1 aggregate if it hosts twins; as printed, one model per twin.

    Args:
        model_bits: > 0.
        models: >= 0 `[..., M]`, how many it sends.
        rate_bps: >= 0 [bit/s] `[..., M]`; without a rate an upload takes for ever.
        factor: > 0, as in `broadcast_time_s`.
    """
    size, count = positive("model_bits", model_bits), non_negative("models", models)
    rate, scale = non_negative("rate_bps", rate_bps), positive("factor", factor)
    shape = broadcast(model_bits=size, models=count, rate_bps=rate, factor=scale)
    bits = scale * broadcast_depth(nodes=shape[-1]) * size * count
    time: Array = np.where(rate > 0, bits / np.where(rate > 0, rate, 1.0), np.inf)
    return np.where(bits > 0, time, 0.0)


def phased_round_time_s(
    *,
    training_s: Real,
    aggregation_s: Real,
    upload_s: Real,
    cloud_s: Real,
    iterations: Real = 1.0,
) -> Array:
    """Time of a round in which all stations wait for each other after each phase [s]. [P4] (17).

    Args:
        training_s: of one local iteration, >= 0 `[..., M]`; 0 where nothing is hosted.
        aggregation_s: >= 0 `[..., M]`.
        upload_s: >= 0 `[..., M]`.
        cloud_s: >= 0 `[...]`, what follows: verification, block, download, migration.
        iterations: >= 0, H.

    Returns:
        `[...]`.
    """
    training, aggregation, upload = _phases(training_s, aggregation_s, upload_s)
    repeated = non_negative("iterations", iterations) * training.max(axis=-1)
    after = aggregation.max(axis=-1) + upload.max(axis=-1)
    whole: Array = repeated + after + non_negative("cloud_s", cloud_s)
    return whole


def pipelined_round_time_s(
    *,
    training_s: Real,
    aggregation_s: Real,
    upload_s: Real,
    cloud_s: Real,
    iterations: Real = 1.0,
) -> Array:
    """Time of a round in which each station goes on to its next phase alone [s]. [P4] (17).

    Never above `phased_round_time_s`, whose arguments it takes; H is a number here.
    """
    training, aggregation, upload = _phases(training_s, aggregation_s, upload_s)
    repeated = non_negative("iterations", iterations)[..., None] * training
    slowest: Array = (repeated + aggregation + upload).max(axis=-1)
    return slowest + non_negative("cloud_s", cloud_s)


def _phases(training_s: Real, aggregation_s: Real, upload_s: Real) -> tuple[Array, Array, Array]:
    training = non_negative("training_s", training_s)
    aggregation = non_negative("aggregation_s", aggregation_s)
    upload = _upload(upload_s)
    broadcast(training_s=training, aggregation_s=aggregation, upload_s=upload)
    return training, aggregation, upload


def _upload(upload_s: Real) -> Array:
    """An upload may take for ever: a station without a share of the uplink."""
    time = np.asarray(upload_s, dtype=np.float64)
    non_negative("upload_s", np.where(time == np.inf, 0.0, time))
    return time
