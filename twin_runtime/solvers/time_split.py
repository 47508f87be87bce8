"""When a helper is done: its time before the deadline against that of its recipients.

Let T be the time from the helper's data to the deadline, x of it the helper's own. Recipient
j trains from max(its data, the helper's data + x) on, so the energy

    capacitance [C^3 / x^2 + sum_j C_j^3 / (deadline - max(ready_j, ready + x))^2]

is convex in x, and smooth but for a kink at each tau_j = ready_j - ready > 0. Between the
kinks only the recipients with tau_j < x feel it, and the derivative is 0 at

    x_k = C T / (C + (sum of the k earliest C_j^3)^(1/3)).

Let the recipients be sorted by tau. The x_k fall and the tau_k rise, so the optimum is the
first x_k that its interval [max(0, tau_k), tau_(k+1)] reaches, or the kink before it:

    x = min_k max(x_k, tau_k, 0).

For k before that interval the term is x_k, which is beyond it; for k after it, tau_k. Nobody
is later than the deadline, or it could not train even alone.
"""

from typing import NamedTuple

import numpy as np

from twin_runtime.physics.arguments import (
    Array,
    Integers,
    Real,
    broadcast,
    indices,
    non_negative,
    positive,
    within,
)
from twin_runtime.physics.cooperation import paced_energy_j
from twin_runtime.solvers.certificate import Certificate, Infeasible

BISECTIONS = 64  # halves an interval down to the spacing of floats


class TimeSplit(NamedTuple):
    """The helper's time `[...]`, its energy `[...]` and that of each recipient `[..., n]`."""

    computing_s: Array
    helper_energy_j: Array
    recipients_energy_j: Array
    certificate: Certificate


class StarTimes(NamedTuple):
    """Of each server `[..., n]`: work after the merge, when it begins, and for how long."""

    work_cycles: Array
    start_s: Array
    computing_s: Array


def split(
    *,
    helper_cycles: Real,
    helper_ready_s: Real,
    recipients_cycles: Real,
    recipients_ready_s: Real,
    deadline_s: float,
    capacitance: float,
) -> TimeSplit:
    """The helper's time that costs a star the least energy: exact. [P5] (36)(37)(38), 6.2.

    Args:
        helper_cycles: > 0 `[...]`.
        helper_ready_s: >= 0 `[...]`, when the helper's data is there.
        recipients_cycles: >= 0 `[..., n]`, what each trains after the merge; 0 fills up stars
            of fewer.
        recipients_ready_s: >= 0 `[..., n]`.
        deadline_s: > 0, for all.
        capacitance: > 0.

    Raises:
        Infeasible: somebody's data comes at or after the deadline.
    """
    own, ready = positive("helper_cycles", helper_cycles), _ready(helper_ready_s, deadline_s)
    work, theirs = _recipients(recipients_cycles, recipients_ready_s, deadline_s)
    broadcast(helper_cycles=own[..., None], recipients_cycles=work, helper_ready_s=ready[..., None])
    order = np.argsort(theirs, axis=-1)
    sorted_cubes = np.take_along_axis(work, order, -1) ** 3
    late = np.take_along_axis(theirs, order, -1) - ready[..., None]
    time = deadline_s - ready
    computing = np.minimum(time, helper_time(own, time, np.cumsum(sorted_cubes, axis=-1), late))
    left = deadline_s - np.maximum(theirs, (ready + computing)[..., None])
    left = np.where(work > 0, left, deadline_s)  # nothing to train needs no time
    return _priced(own, computing, work, left, capacitance)


def helper_time(work: Array, time: Array, cubes: Array, late: Array) -> Array:
    """min_k max(x_k, tau_k, 0) of the module, infinite without recipients.

    Unchecked, for arrays that are prepared: `work` and `time` `[...]`, and `[..., n]` the
    running sums of cubes and the tau_k, by rising tau; an infinite one is nobody's.
    """
    own = work[..., None]
    inner = own * time[..., None] / (own + np.cbrt(cubes))
    earliest: Array = np.min(np.maximum(inner, late), axis=-1, initial=np.inf)
    return earliest


def split_stars(
    *, work_cycles: Real, ready_s: Real, usefulness: Real, helper: Integers, deadline_s: float
) -> StarTimes:
    """Best times of many stars at once, in many worlds. [P5] (12)(38), 6.2.

    Args:
        work_cycles: > 0 `[..., n]`, of each server without help.
        ready_s: >= 0 `[..., n]`.
        usefulness: in [0, 1] `[..., n, n]`, of the row's model for the column's server.
        helper: `[..., n]`, whose parameters each waits for; its own index if nobody's.
        deadline_s: > 0.

    Raises:
        Infeasible: somebody's data comes at or after the deadline.
    """
    work, ready = positive("work_cycles", work_cycles), _ready(ready_s, deadline_s)
    useful = within("usefulness", usefulness, 0.0, 1.0)
    count = work.shape[-1]
    source = indices("helper", helper, count)
    waits = source != np.arange(count)
    boost = np.take_along_axis(useful, source[..., None, :], -2)[..., 0, :]
    merged = np.where(waits, work * (1.0 - boost), work)
    order = np.argsort(ready, axis=-1)
    late_source = np.where(waits, source, -1)
    sorted_source = np.take_along_axis(late_source, order, -1)
    sorted_cubes = np.take_along_axis(merged, order, -1) ** 3
    serves = np.arange(count)[:, None] == sorted_source[..., None, :]
    cubes = np.cumsum(serves * sorted_cubes[..., None, :], axis=-1)
    sorted_ready = np.take_along_axis(ready, order, -1)
    late = np.where(serves, sorted_ready[..., None, :] - ready[..., None], np.inf)
    time = deadline_s - ready
    computing = np.minimum(time, helper_time(work, time, cubes, late))
    done = np.take_along_axis(ready + computing, source, -1)
    start = np.where(waits, np.maximum(ready, done), ready)
    return StarTimes(merged, start, np.where(waits, deadline_s - start, computing))


def split_with_pretraining(
    *,
    helper_cycles: Real,
    helper_ready_s: Real,
    recipients_cycles: Real,
    recipients_ready_s: Real,
    usefulness: Real,
    deadline_s: float,
    capacitance: float,
) -> TimeSplit:
    """The same where recipients train slowly while they wait. [P5] 6.5.

    A recipient that waits for L and has R left after the merge pays for its merged work as if
    it had R + b L, b = (1 - usefulness)^1.5 (`physics.cooperation.pretraining`). That is
    still convex in x; bisection finds where its derivative changes sign.

    Here `recipients_cycles` are those before the merge, and `usefulness` in [0, 1) `[..., n]`
    is that of the helper's model for each recipient; all else is as in `split`.
    """
    own, ready = positive("helper_cycles", helper_cycles), _ready(helper_ready_s, deadline_s)
    work, theirs = _recipients(recipients_cycles, recipients_ready_s, deadline_s)
    left_over = 1.0 - within("usefulness", usefulness, 0.0, np.nextafter(1.0, 0.0))
    broadcast(helper_cycles=own[..., None], recipients_cycles=work, usefulness=left_over)
    merged, worth = work * left_over, left_over**1.5
    low, high = np.zeros_like(ready + own), deadline_s - ready + 0.0 * own
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        arrival = (ready + middle)[..., None]
        left = _worth_of_time(arrival, theirs, worth, deadline_s)
        felt = np.where(arrival > theirs, 1.0 - worth, 0.0)
        slope = (felt * merged**3 / left**3).sum(axis=-1) - (own / middle) ** 3
        low, high = np.where(slope < 0, middle, low), np.where(slope < 0, high, middle)
    computing = 0.5 * (low + high)
    left = _worth_of_time((ready + computing)[..., None], theirs, worth, deadline_s)
    return _priced(own, computing, merged, left, capacitance)


def _worth_of_time(arrival: Array, ready: Array, worth: Array, deadline_s: float) -> Array:
    wait = np.maximum(arrival - ready, 0.0)
    return deadline_s - np.maximum(arrival, ready) + worth * wait


def _priced(own: Array, computing: Array, work: Array, left: Array, factor: float) -> TimeSplit:
    helper = paced_energy_j(work_cycles=own, time_s=computing, capacitance=factor)
    recipients = paced_energy_j(work_cycles=work, time_s=left, capacitance=factor)
    total = float(helper.sum() + recipients.sum())
    return TimeSplit(computing, helper, recipients, Certificate(total, total))


def _recipients(cycles: Real, ready_s: Real, deadline_s: float) -> tuple[Array, Array]:
    work, ready = non_negative("recipients_cycles", cycles), _ready(ready_s, deadline_s)
    broadcast(recipients_cycles=work, recipients_ready_s=ready)
    wide_work, wide_ready = np.broadcast_arrays(work, ready)
    return wide_work, wide_ready


def _ready(ready_s: Real, deadline_s: float) -> Array:
    ready = non_negative("ready_s", ready_s)
    deadline = float(positive("deadline_s", deadline_s))
    if (ready >= deadline).any():
        raise Infeasible(f"data after {ready.max():g} s leave no time before {deadline:g} s")
    return ready
