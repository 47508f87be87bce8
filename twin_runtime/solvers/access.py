"""Which devices train in a slot, and at which clocks: the exact joint answer [P1].

Theory of operation. For a given deadline t of the slowest device the problem falls apart: each
device that can meet t has its own least drift s(t) (`access_slot`), and the best set is the N
least of them. So the answer is the minimum over one number of

    H(t) + V t,    H(t) = sum of the N least s(t) over devices with earliest <= t.

H never rises but is not convex, since sets swap; hence branch and bound over intervals [a, b).
Each s is convex, so above its tangent at b; the N least of straight lines add up to a concave
function, whose minimum over the interval is at an end. Therefore nothing in [a, b) is below

    min(H(b) + V b, sum of the N least tangents at a + V a)

with H over the devices that are ready before b. Intervals whose bound does not beat the best
set found so far are dropped, and the others cut, the most promising first, at the deadlines at
which a device joins and evenly between. The gap closes with the square of the width.

Two things make it fast. Many intervals are bounded in one sweep over arrays. And once the
interesting deadlines lie in [a, b], a device whose drift at b is above the N-th least at a is
never chosen: after the first sweep of a thousand devices a few more than N are left.
"""

from typing import NamedTuple

import numpy as np

from twin_runtime.physics.arguments import Array, Booleans, Integers, InvalidArgument
from twin_runtime.solvers.access_frequencies import best_deadline
from twin_runtime.solvers.access_slot import Curves, Slot, clocks_hz, curves_of
from twin_runtime.solvers.certificate import Certificate, Infeasible

TOLERANCE = 1e-9  # relative gap at which the search ends
FIRST_INTERVALS = 16  # over all deadlines, in equal ratios
PIECES = 6  # that an interval is cut into, besides the deadlines at which devices join
INTERVALS_MAX = 16  # cut at once: more would be bounded in vain
ROUNDS_MAX = 100  # about 7 are needed; the certificate tells what is open after the last
SWEPT_DEADLINES = 64  # at most 2.3 ms of delay off the best; 32 are 8 ms off, 256 are 1 ms
DEADLINES_MIN = 2  # one of each kind
SWEPT_FACTOR = 12.0  # the latest swept deadline over the first possible one
SWEPT_AT_ONCE = 16  # with 1,000 devices an array is 128 kB
RESELECTIONS_MAX = 3  # [P1] 6.2: a set's own best deadline may want another set


class Selection(NamedTuple):
    """Scheduled devices, ascending, with their clocks and the planned deadline."""

    devices: Integers
    frequency_hz: Array
    deadline_s: float
    certificate: Certificate


class _Found(NamedTuple):
    """A set of devices at its own best deadline."""

    value: float
    deadline_s: float
    devices: Integers


class _Open(NamedTuple):
    """Intervals `[low, high)` of deadlines, with a bound on what each costs."""

    low: Array
    high: Array
    bound: Array

    def where(self, keep: Booleans | Integers) -> "_Open":
        return _Open(self.low[keep], self.high[keep], self.bound[keep])


def select(slot: Slot, count: int) -> Selection:
    """The best `count` of the slot's `[devices]` and their clocks, certified. [P1] (21), 6.2.

    Raises:
        InvalidArgument: `count` is not positive.
        Infeasible: there are fewer devices.
    """
    curves, weight = _curves(slot, count), slot.delay_weight
    devices = np.arange(slot.cycles.size)
    edges = _edges(curves, count)
    open_, promising = _bounded(curves, edges[:-1], edges[1:], count, weight)
    best = _at_its_best(curves, devices, promising, weight)
    bound = np.inf
    for _ in range(ROUNDS_MAX):
        hopeful = open_.bound < best.value - TOLERANCE * max(1.0, abs(best.value))
        bound = open_.bound[~hopeful].min(initial=bound)
        open_ = open_.where(hopeful)
        if not hopeful.any():
            break
        kept = _contenders(curves, open_, count)
        curves, devices = curves.take(kept), devices[kept]
        order = np.argsort(open_.bound)
        first, later = open_.where(order[:INTERVALS_MAX]), open_.where(order[INTERVALS_MAX:])
        parts, promising = _bounded(curves, *_cut(first, curves.earliest_s), count, weight)
        open_ = _Open(*(np.concatenate(pair) for pair in zip(parts, later, strict=True)))
        best = min(best, _at_its_best(curves, devices, promising, weight), key=_value)
    bound = open_.bound.min(initial=min(bound, best.value))
    return _selection(slot, best, bound)


def sweep(slot: Slot, count: int, deadlines: int = SWEPT_DEADLINES) -> Selection:
    """The best of some swept deadlines, polished: near the best, in a time known before.

    [P1] 6.2. Half of the `deadlines` (at least 2) are those at which a device joins, half grow
    geometrically to 12 times the first possible one. The best set gets its own best deadline,
    which may prefer another set, a few times. The bound is loose: all drifts at their least, and
    no wait. Raises as `select`.
    """
    if deadlines < DEADLINES_MIN:
        raise InvalidArgument(f"deadlines is {deadlines}; it must be at least {DEADLINES_MIN}")
    curves, weight = _curves(slot, count), slot.delay_weight
    devices = np.arange(slot.cycles.size)
    points = _swept(curves, count, deadlines)
    least = [_sum_of_least(_ready(curves, some), count) for some in _in_cache(points)]
    point = points[(np.concatenate(least) + weight * points).argmin()]
    best = _at_its_best(curves, devices, _best_at(curves, point, count), weight)
    for _ in range(RESELECTIONS_MAX):
        chosen = _best_at(curves, np.nextafter(best.deadline_s, np.inf), count)
        again = _at_its_best(curves, devices, chosen, weight)
        if again.value >= best.value:
            break
        best = again
    flat = _sum_of_least(curves.at(points[-1]), count)
    return _selection(slot, best, min(best.value, flat + weight * points[0]))


def _curves(slot: Slot, count: int) -> Curves:
    if slot.cycles.ndim != 1:
        raise InvalidArgument(f"slot has the shape {slot.cycles.shape}; it must be of one world")
    if count < 1:
        raise InvalidArgument(f"count is {count}; it must be at least 1")
    if count > slot.cycles.size:
        raise Infeasible(f"{count} devices are to be scheduled of {slot.cycles.size}")
    return curves_of(slot)


def _selection(slot: Slot, best: _Found, bound: float) -> Selection:
    devices = np.sort(best.devices)
    frequency = clocks_hz(slot.take(devices), best.deadline_s)
    certificate = Certificate(best.value, float(bound))
    return Selection(devices, frequency, best.deadline_s, certificate)


def _edges(curves: Curves, count: int) -> Array:
    """The first intervals' ends: from when `count` devices are ready to where all is flat."""
    first = np.partition(curves.earliest_s, count - 1)[count - 1]
    last = np.nextafter(max(first, curves.latest_s.max()), np.inf)
    edges: Array = np.geomspace(first, last, FIRST_INTERVALS + 1)
    return edges


def _swept(curves: Curves, count: int, deadlines: int) -> Array:
    """The deadlines of the sweep, ascending; at the last one every drift is at its least."""
    ready = np.sort(curves.earliest_s)[count - 1 :]
    joins = ready[:: max(1, 2 * ready.size // deadlines)]
    ratios = np.geomspace(1.0, SWEPT_FACTOR, deadlines // 2)
    points = np.concatenate([joins, ready[0] * ratios, [curves.latest_s.max()]])
    return np.unique(np.nextafter(points, np.inf))


def _cut(open_: _Open, earliest_s: Array) -> tuple[Array, Array]:
    """Both ends of the pieces of all intervals, ascending in each."""
    pieces = [
        np.unique(
            np.concatenate([np.linspace(low, high, PIECES + 1), _joins(earliest_s, low, high)])
        )
        for low, high in zip(open_.low, open_.high, strict=True)
    ]
    low = np.concatenate([piece[:-1] for piece in pieces])
    return low, np.concatenate([piece[1:] for piece in pieces])


def _joins(earliest_s: Array, low: float, high: float) -> Array:
    """Some of the deadlines inside the interval at which a device joins."""
    inside = np.sort(earliest_s[(earliest_s > low) & (earliest_s < high)])
    return inside[inside.size // PIECES // 2 :: max(1, inside.size // PIECES)]


def _bounded(
    curves: Curves, low: Array, high: Array, count: int, weight: float
) -> tuple[_Open, Integers]:
    """The intervals with their bounds, and the best set at any of their upper ends."""
    drifts, falls = curves.falling_at(np.maximum(high[:, np.newaxis], curves.earliest_s))
    drifts = _where_ready(curves, high, drifts)
    tangents = drifts + falls * (high - low)[:, np.newaxis]
    at_high = _sum_of_least(drifts, count) + weight * high
    bound = np.minimum(at_high, _sum_of_least(tangents, count) + weight * low)
    return _Open(low, high, bound), _least(drifts[at_high.argmin()], count)


def _ready(curves: Curves, deadlines_s: Array) -> Array:
    """Drifts `[deadlines, devices]`, infinite for a device that is not yet ready."""
    drifts = curves.at(np.maximum(deadlines_s[:, np.newaxis], curves.earliest_s))
    return _where_ready(curves, deadlines_s, drifts)


def _where_ready(curves: Curves, deadlines_s: Array, drifts: Array) -> Array:
    return np.where(curves.earliest_s < deadlines_s[:, np.newaxis], drifts, np.inf)


def _best_at(curves: Curves, deadline_s: float, count: int) -> Integers:
    return _least(_ready(curves, np.array([deadline_s]))[0], count)


def _in_cache(points: Array) -> list[Array]:
    """The points in groups whose arrays of all devices stay in a processor's cache."""
    return np.array_split(points, -(-points.size // SWEPT_AT_ONCE))


def _sum_of_least(drifts: Array, count: int) -> Array:
    total: Array = np.partition(drifts, count - 1, axis=-1)[..., :count].sum(axis=-1)
    return total


def _least(drifts: Array, count: int) -> Integers:
    return np.argpartition(drifts, count - 1)[:count]


def _contenders(curves: Curves, open_: _Open, count: int) -> Integers:
    """The devices that may be among the best anywhere in the open intervals."""
    low, high = open_.low.min(), open_.high.max()
    first = np.nextafter(low, np.inf)  # devices that are ready at the lower end count
    drifts = _ready(curves, np.array([first, high]))
    worst = np.partition(drifts[0], count - 1)[count - 1]
    return np.flatnonzero(drifts[1] <= worst)


def _at_its_best(curves: Curves, devices: Integers, chosen: Integers, weight: float) -> _Found:
    """The set `chosen`, indices into the curves of `devices`, at its own best deadline."""
    own = curves.take(chosen)
    deadline, _, _ = best_deadline(own, weight)
    return _Found(
        float(own.at(deadline).sum() + weight * deadline), float(deadline), devices[chosen]
    )


def _value(found: _Found) -> float:
    return found.value
