"""Time shares of sub-channels that make the least of several rates as large as it can be.

The linear program is: maximise z, where sum_c share[m, c] gain[m, c] = z for each active
station m, sum_m share[m, c] = 1 for each sub-channel c, and shares are >= 0. Equalities lose
nothing: a station with more than z can give a part of its share away.

It is solved for many worlds at once by a primal-dual interior-point method (Mehrotra's
predictor and corrector). The normal equations have one row per station and one per
sub-channel, so a step is one batched solve of small dense matrices. A general solver would
take milliseconds per world, which a policy in training cannot spare.

Trust does not rest on convergence. For any prices p >= 0 that sum to 1, no shares give more
than sum_c max_m p[m] gain[m, c]; so shares come with a bound that holds whatever the
iteration did, and the iteration stops as soon as both agree.
"""

from typing import NamedTuple

import numpy as np

from twin_runtime.physics.arguments import Array, Booleans

STEPS_MAX = 60  # 8 to 20 are usual
GAP_MAX = 1e-11  # relative, between the least rate and its bound, where iteration ends
CENTRE_MIN = 1e-14  # of z: products of shares and slacks aim no lower, where rounding decides
STAY_INSIDE = 0.9995  # part of the way to the border that a step may go


class MaxMin(NamedTuple):
    """Shares `[W, M, C]`, the least rate `[W]`, its bound `[W]`, and the prices `[W, M]` of it."""

    share: Array
    least: Array
    bound: Array
    price: Array


class _Point(NamedTuple):
    """Shares and z, prices of stations and of sub-channels, and the slacks of the former two."""

    share: Array
    least: Array
    price: Array
    toll: Array
    slack: Array
    least_slack: Array


def max_min_rate(gain: Array, active: Booleans) -> MaxMin:
    """The largest least rate among active stations.

    Args:
        gain: rate of a whole sub-channel `[W, M, C]`, >= 0, some above 0 in each active row;
            best near 1.
        active: who counts `[W, M]`, at least one per world; the others get no share.
    """
    used = active[:, :, None] & np.ones_like(gain, dtype=np.bool_)
    scale = gain.sum(axis=(1, 2), where=used) / used.sum(axis=(1, 2))
    unit = np.where(used, gain / scale[:, None, None], 0.0)
    point = _start(unit, used)
    best = _certified(point, unit, active)
    for _ in range(STEPS_MAX):
        open_worlds = best.bound > best.least * (1.0 + GAP_MAX)
        if not open_worlds.any():
            break
        point = _step(point, unit, used, open_worlds)
        best = _better(best, _certified(point, unit, active))
    return best._replace(least=best.least * scale, bound=best.bound * scale)


def _start(gain: Array, used: Booleans) -> _Point:
    """Equal shares; prices that are dual feasible with room to all borders."""
    active = used[:, :, 0]
    count = active.sum(axis=1)
    share = np.where(used, 1.0 / count[:, None, None], 0.0)
    price = np.where(active, 1.5 / count[:, None], 0.0)
    offer = price[:, :, None] * gain
    toll = -offer.max(axis=1) - 0.5 / count[:, None]
    slack = np.where(used, -toll[:, None, :] - offer, 1.0)
    least = (share * gain).sum(axis=(1, 2)) / count
    return _Point(share, least, price, toll, slack, np.full(len(gain), 0.5))


def _certified(point: _Point, gain: Array, active: Booleans) -> MaxMin:
    share = point.share / point.share.sum(axis=1, keepdims=True)
    rate = np.where(active, (share * gain).sum(axis=2), np.inf)
    price = np.where(active, np.maximum(point.price, 0.0), 0.0)
    price = price / price.sum(axis=1, keepdims=True)
    bound = (price[:, :, None] * gain).max(axis=1).sum(axis=1)
    return MaxMin(share, rate.min(axis=1), bound, price)


def _better(known: MaxMin, found: MaxMin) -> MaxMin:
    """The best shares and the best prices of both, each by itself."""
    up, down = found.least > known.least, found.bound < known.bound
    return MaxMin(
        np.where(up[:, None, None], found.share, known.share),
        np.where(up, found.least, known.least),
        np.where(down, found.bound, known.bound),
        np.where(down[:, None], found.price, known.price),
    )


def _step(point: _Point, gain: Array, used: Booleans, open_worlds: Booleans) -> _Point:
    """One predictor and corrector; worlds that are done stay where they are."""
    matrix = _normal_matrix(point, gain, used)
    variables = used.sum(axis=(1, 2)) + 1
    product = point.share * point.slack
    gap = product.sum(axis=(1, 2), where=used) + point.least * point.least_slack
    far = _direction(point, gain, used, matrix, (product, point.least * point.least_slack))
    reached = _moved(point, far, _lengths(point, far, used, 1.0))
    left = (reached.share * reached.slack).sum(axis=(1, 2), where=used)
    shrunk = (left + reached.least * reached.least_slack) / gap
    centring = np.maximum(shrunk**3 * gap / variables, CENTRE_MIN * point.least)
    near = _direction(
        point,
        gain,
        used,
        matrix,
        (
            product + far.share * far.slack - centring[:, None, None],
            point.least * point.least_slack + far.least * far.least_slack - centring,
        ),
    )
    lengths = _lengths(point, near, used, STAY_INSIDE)
    return _moved(point, near, (lengths[0] * open_worlds, lengths[1] * open_worlds))


def _normal_matrix(point: _Point, gain: Array, used: Booleans) -> Array:
    """A D A' over stations and sub-channels, `[W, M + C, M + C]`."""
    worlds, stations, channels = gain.shape
    active = used[:, :, 0]
    weight = np.where(used, point.share / point.slack, 0.0)
    matrix = np.zeros((worlds, stations + channels, stations + channels))
    both = active[:, :, None] & active[:, None, :]
    matrix[:, :stations, :stations] = both * (point.least / point.least_slack)[:, None, None]
    station, channel = np.arange(stations), stations + np.arange(channels)
    matrix[:, station, station] += np.where(active, (gain**2 * weight).sum(axis=2), 1.0)
    matrix[:, :stations, stations:] = gain * weight
    matrix[:, stations:, :stations] = (gain * weight).transpose(0, 2, 1)
    matrix[:, channel, channel] = weight.sum(axis=1)
    return matrix


def _direction(
    point: _Point, gain: Array, used: Booleans, matrix: Array, complement: tuple[Array, Array]
) -> _Point:
    """The Newton step towards feasibility and the given complementarity."""
    active = used[:, :, 0]
    stations = gain.shape[1]
    short = np.where(active, point.least[:, None] - (gain * point.share).sum(axis=2), 0.0)
    unspent = 1.0 - point.share.sum(axis=1)
    dual = -(point.price[:, :, None] * gain + point.toll[:, None, :]) - point.slack
    dual = np.where(used, dual, 0.0)
    least_dual = -1.0 + point.price.sum(axis=1, where=active) - point.least_slack
    weight = np.where(used, point.share / point.slack, 0.0)
    least_weight = point.least / point.least_slack
    pushed = np.where(used, complement[0] / point.slack, 0.0) + weight * dual
    least_pushed = complement[1] / point.least_slack + least_weight * least_dual
    of_station = np.where(active, (gain * pushed).sum(axis=2) - least_pushed[:, None], 0.0)
    right = np.concatenate([short + of_station, unspent + pushed.sum(axis=1)], axis=1)
    solved = np.linalg.solve(matrix, right[..., None])[..., 0]
    price, toll = solved[:, :stations], solved[:, stations:]
    slack = np.where(used, dual - price[:, :, None] * gain - toll[:, None, :], 0.0)
    least_slack = least_dual + price.sum(axis=1, where=active)
    share = np.where(used, -complement[0] / point.slack - weight * slack, 0.0)
    least = -complement[1] / point.least_slack - least_weight * least_slack
    return _Point(share, least, price, toll, slack, least_slack)


def _lengths(point: _Point, way: _Point, used: Booleans, part: float) -> tuple[Array, Array]:
    """How far the primal and the dual may go along `way`, at most 1."""
    primal = np.minimum(_until_zero(point.least, way.least), _inner(point.share, way.share, used))
    dual = np.minimum(
        _until_zero(point.least_slack, way.least_slack), _inner(point.slack, way.slack, used)
    )
    return np.minimum(1.0, part * primal), np.minimum(1.0, part * dual)


def _until_zero(value: Array, change: Array) -> Array:
    falling: Booleans = change < 0
    return np.where(falling, -value / np.where(falling, change, -1.0), np.inf)


def _inner(value: Array, change: Array, used: Booleans) -> Array:
    least: Array = np.where(used, _until_zero(value, change), np.inf).min(axis=(1, 2))
    return least


def _moved(point: _Point, way: _Point, lengths: tuple[Array, Array]) -> _Point:
    primal, dual = lengths
    return _Point(
        point.share + primal[:, None, None] * way.share,
        point.least + primal * way.least,
        point.price + dual[:, None] * way.price,
        point.toll + dual[:, None] * way.toll,
        point.slack + dual[:, None, None] * way.slack,
        point.least_slack + dual * way.least_slack,
    )
