"""Servers that help one another: times and energies of a star, helping's worth, neighbourhoods.

A *helper* trains early and gives its parameters away; its *recipients* wait for them, merge,
and train the rest of their work; everybody is done by the deadline. A helper with its
recipients is a star. Work is in cycles, and `capacitance` x work^3 / time^2 its energy.
"""

import numpy as np

from twin_runtime.physics.arguments import (
    Array,
    Booleans,
    InvalidArgument,
    Real,
    broadcast,
    finite,
    non_negative,
    positive,
    within,
)
from twin_runtime.physics.compute import computing_energy_j


def paced_energy_j(*, work_cycles: Real, time_s: Real, capacitance: Real) -> Array:
    """Energy of `work_cycles` (>= 0) spread evenly over `time_s` (> 0) [J]. [P5] (14)."""
    work, time = non_negative("work_cycles", work_cycles), positive("time_s", time_s)
    broadcast(work_cycles=work, time_s=time)
    return computing_energy_j(cycles=work, frequency_hz=work / time, capacitance=capacitance)


def latency_s(*, collection_s: Real, awaited_s: Real, computing_s: Real) -> Array:
    """When a server is done: max(collection, awaited) + computing [s], all >= 0. [P5] (12).

    `awaited_s` is when the helper of a recipient is done, and 0 for everybody else.
    """
    collection, awaited = non_negative("collection_s", collection_s), finite("awaited_s", awaited_s)
    computing = non_negative("computing_s", computing_s)
    broadcast(collection_s=collection, awaited_s=awaited, computing_s=computing)
    return np.maximum(collection, awaited) + computing


def cube_norm(*, work_cycles: Real) -> Array:
    """(sum of cubes)^(1/3) over the last axis: what many in parallel are worth. [P5] S3."""
    work = non_negative("work_cycles", work_cycles)
    scale = np.max(work, axis=-1, initial=0.0, keepdims=True)
    unit = work / np.where(scale > 0, scale, 1.0)
    norm: Array = scale[..., 0] * np.cbrt((unit**3).sum(axis=-1))
    return norm


def star_energy_j(
    *, helper_cycles: Real, recipients_cycles: Real, time_s: Real, capacitance: Real
) -> tuple[Array, Array]:
    """Energy of a helper and of all its recipients at the best split of `time_s`. [P5] (38).

    It holds where no recipient's data is later than the helper's parameters.

    Args:
        helper_cycles: > 0.
        recipients_cycles: >= 0, `cube_norm` of what they train after the merge.
        time_s: > 0, from the helper's data to the deadline.
        capacitance: >= 0.
    """
    own, others = (
        positive("helper_cycles", helper_cycles),
        non_negative("recipients_cycles", recipients_cycles),
    )
    time, factor = positive("time_s", time_s), non_negative("capacitance", capacitance)
    broadcast(helper_cycles=own, recipients_cycles=others, time_s=time, capacitance=factor)
    pace = factor * ((own + others) / time) ** 2
    return pace * own, pace * others


def helping_threshold(*, left_over: Real) -> Array:
    """Helping saves energy iff helper's work / cube-norm of the recipients' is below this.

    [P5] S3, for equal times and one `left_over` in (0, 1], the share of a recipient's work
    that a merge leaves. It is 0 at 1: without a boost helping never pays.
    """
    rho = within("left_over", left_over, np.finfo(float).tiny, 1.0)
    root = np.sqrt(9.0 * rho**4 + 12.0 * rho * (1.0 - rho**3))
    return np.asarray((root - 3.0 * rho**2) / (6.0 * rho))


def fallback_energy_j(
    *, work_cycles: Real, now_s: Real, collection_s: Real, deadline_s: Real, capacitance: Real
) -> Array:
    """Energy of training alone from `now_s` on, when a helper has failed [J]. [P5] 4.5.

    Args:
        work_cycles: >= 0, all of it: nothing was merged.
        now_s: >= 0, when the failure is known.
        collection_s: >= 0, when its own data is there.
        deadline_s: above both.
        capacitance: >= 0.
    """
    known, ready = non_negative("now_s", now_s), non_negative("collection_s", collection_s)
    left = _left("now_s and collection_s", deadline_s, np.maximum(known, ready))
    return paced_energy_j(work_cycles=work_cycles, time_s=left, capacitance=capacitance)


def late_parameters_energy_j(
    *,
    work_cycles: Real,
    started_s: Real,
    arrived_s: Real,
    usefulness: Real,
    deadline_s: Real,
    capacitance: Real,
) -> Array:
    """Energy of a fallback begun at `started_s`, when parameters come at `arrived_s` [J].

    [P5] 4.5: the rest of the work shrinks by `usefulness` (in [0, 1]) and is spread anew
    over what is left of the time. It always saves.
    """
    work, useful = non_negative("work_cycles", work_cycles), within("usefulness", usefulness, 0, 1)
    started, arrived = non_negative("started_s", started_s), non_negative("arrived_s", arrived_s)
    whole, left = _left("started_s", deadline_s, started), _left("arrived_s", deadline_s, arrived)
    done = work * np.maximum(arrived - started, 0.0) / whole
    rest = (work - done) * (1.0 - useful)
    early = computing_energy_j(cycles=done, frequency_hz=work / whole, capacitance=capacitance)
    return early + paced_energy_j(work_cycles=rest, time_s=left, capacitance=capacitance)


def pretraining(
    *, work_cycles: Real, wait_s: Real, time_s: Real, usefulness: Real, capacitance: Real
) -> tuple[Array, Array]:
    """The best early work of a recipient that trains while it waits, and its energy. [P5] 6.5.

    Args:
        work_cycles: >= 0, before the merge.
        wait_s: >= 0, from its data to the parameters.
        time_s: > 0, from the parameters to the deadline.
        usefulness: in [0, 1), of the parameters.
        capacitance: >= 0.

    Returns:
        Work done before the merge [cycles], energy of all of it [J].
    """
    work, wait = non_negative("work_cycles", work_cycles), non_negative("wait_s", wait_s)
    time = positive("time_s", time_s)
    left_over = 1.0 - within("usefulness", usefulness, 0.0, np.nextafter(1.0, 0.0))
    broadcast(work_cycles=work, wait_s=wait, time_s=time, usefulness=left_over)
    worth = left_over**1.5 * wait
    early = work * worth / (time + worth)
    energy = paced_energy_j(
        work_cycles=left_over * work, time_s=time + worth, capacitance=capacitance
    )
    return early, energy


def neighbourhood_energy_j(*, energy_j: Real, neighbours: Booleans) -> Array:
    """Each server's energy with that of its neighbours `[..., n, n]`. [P5] (26), its negative."""
    energy = non_negative("energy_j", energy_j)
    _check_square(energy, neighbours)
    total: Array = energy + np.matvec(neighbours.astype(np.float64), energy)
    return total


def neighbourhood_mean(*, values: Real, neighbours: Booleans) -> Array:
    """Mean of the neighbours' `values` `[..., n, k]`; a server's own if it has none. [P5] (42)."""
    each = finite("values", values)
    _check_square(each[..., 0], neighbours)
    degree = neighbours.sum(axis=-1)[..., None]
    total = neighbours.astype(np.float64) @ each
    return np.where(degree > 0, total / np.maximum(degree, 1), each)


def _check_square(values: Array, neighbours: Booleans) -> None:
    if neighbours.shape != (*values.shape, values.shape[-1]):
        raise InvalidArgument(
            f"neighbours must be of {values.shape} servers by as many, not {neighbours.shape}"
        )


def _left(name: str, deadline_s: Real, from_s: Array) -> Array:
    left = finite("deadline_s", deadline_s) - from_s
    if (left <= 0).any():
        raise InvalidArgument(f"{name}: {np.max(from_s):g} s is not before the deadline")
    return left
