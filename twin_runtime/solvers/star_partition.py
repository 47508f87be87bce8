"""The best partition into stars, exactly: set partitioning over all stars that pay.

A column is a star, a row a server, and each server is in one star. Stars that cost more than
their members alone are left out. The linear relaxation is integral almost always, and then
it is the answer. Else branch and bound goes on, with few columns: the relaxation plus a
column's reduced cost bounds every partition with it, and where that is more than what local
search has found, the column is left out.
"""

from typing import NamedTuple

import numpy as np
from scipy import optimize, sparse

from twin_runtime.physics.arguments import Array, Booleans, Integers, InvalidArgument
from twin_runtime.solvers.certificate import Certificate
from twin_runtime.solvers.cooperation import (
    DEGREE_MAX,
    Partition,
    Prices,
    Servers,
    partition,
)
from twin_runtime.solvers.star_search import local_search
from twin_runtime.solvers.time_split import helper_time

MARGIN = 1e-9  # relative: what rounding may take from a bound
WHOLE_WITHIN = 1e-6  # of a relaxed choice: what HiGHS itself takes for whole


class Stars(NamedTuple):
    """Columns: the center of each `[m]`, its energy `[m]`, its members `[m, n]` as sparse rows."""

    center: Integers
    energy_j: Array
    members: sparse.csr_array


class Relaxed(NamedTuple):
    """The linear relaxation: its value, how much of each star, and the stars' reduced costs."""

    bound_j: float
    chosen: Array
    reduced_j: Array


def optimal(servers: Servers) -> Partition:
    """The partition with the least energy of all. [P5] 6.3.

    Raises:
        InvalidArgument: a server has more than `DEGREE_MAX` neighbours.
    """
    stars = all_stars(servers)
    relaxed = _relaxed(stars)
    bound, chosen = relaxed.bound_j, relaxed.chosen
    if np.abs(chosen - np.round(chosen)).max() > WHOLE_WITHIN:
        incumbent = local_search(servers).certificate.value
        # reduced costs are rounded below 0, once for each star that a partition may have
        rounding = len(servers) * max(0.0, -float(relaxed.reduced_j.min()))
        worst = incumbent * (1.0 + MARGIN) + rounding
        can_be_better = relaxed.bound_j + relaxed.reduced_j <= worst
        stars = _only(stars, np.flatnonzero(can_be_better))
        bound, chosen = _branched(stars)
    return _answer(servers, stars, np.flatnonzero(np.round(chosen)), bound)


def relaxation(servers: Servers) -> float:
    """The linear relaxation's value: a bound that is almost always attained [J]. [P5] 6.3."""
    return _relaxed(all_stars(servers)).bound_j


def all_stars(servers: Servers) -> Stars:
    """Every star that costs less than its members alone, and every server alone."""
    count = len(servers)
    alone = servers.capacitance * servers.work_cycles**3
    alone = alone / (servers.deadline_s - servers.ready_s) ** 2
    centers, energies = [np.arange(count)], [alone]
    rows = [sparse.eye_array(count, format="csr")]
    for helper, linked in enumerate(servers.links()):
        if len(linked) > DEGREE_MAX:
            found = f"server {helper} has {len(linked)} neighbours"
            raise InvalidArgument(f"{found}; at most {DEGREE_MAX} are enumerated")
        if linked:
            energy, members = _stars_of(servers, helper, np.array(linked), alone)
            centers.append(np.full(energy.size, helper))
            energies.append(energy)
            rows.append(members)
    return Stars(np.concatenate(centers), np.concatenate(energies), sparse.vstack(rows, "csr"))


def _stars_of(
    servers: Servers, helper: int, linked: Integers, alone: Array
) -> tuple[Array, sparse.csr_array]:
    """Energies and members of one helper's stars: all subsets of its neighbours at once."""
    order = linked[np.argsort(servers.ready_s[linked], kind="stable")]
    subsets = _subsets(order.size)
    ready = servers.ready_s[helper]
    work, time = servers.work_cycles[helper], servers.deadline_s - ready
    cubes = (servers.work_cycles[order] * (1.0 - servers.usefulness[helper, order])) ** 3
    late = np.where(subsets, servers.ready_s[order] - ready, np.inf)
    running = np.cumsum(subsets * cubes, axis=-1)
    own_s = helper_time(np.asarray(work), np.asarray(time), running, late)
    left = servers.deadline_s - np.maximum(servers.ready_s[order], (ready + own_s)[:, None])
    energy = servers.capacitance * (work**3 / own_s**2 + (subsets * cubes / left**2).sum(axis=-1))
    pays = energy < alone[helper] + subsets @ alone[order]
    star, member = np.nonzero(subsets[pays])
    count = int(pays.sum())
    rows = np.concatenate([star, np.arange(count)])
    columns = np.concatenate([order[member], np.full(count, helper)])
    whole = (np.ones(rows.size), (rows, columns))
    return energy[pays], sparse.csr_array(whole, shape=(count, len(servers)))


def _subsets(count: int) -> Booleans:
    """All subsets of `count` things but the empty one, as rows."""
    numbers = np.arange(1, 2**count)
    return (numbers[:, None] >> np.arange(count) & 1).astype(bool)


def _relaxed(stars: Stars) -> Relaxed:
    scale = float(stars.energy_j.max())
    solved = optimize.linprog(
        stars.energy_j / scale,
        A_eq=stars.members.T.tocsc(),
        b_eq=np.ones(stars.members.shape[1]),
        bounds=(0.0, None),
        method="highs",
    )
    assert solved.status == 0, solved.message  # all alone is feasible, and nothing is negative
    reduced = stars.energy_j - stars.members @ (solved.eqlin.marginals * scale)
    return Relaxed(float(solved.fun) * scale, solved.x, reduced)


def _only(stars: Stars, which: Integers) -> Stars:
    return Stars(stars.center[which], stars.energy_j[which], stars.members[which])


def _branched(stars: Stars) -> tuple[float, Array]:
    scale = float(stars.energy_j.max())
    one = np.ones(stars.members.shape[1])
    solved = optimize.milp(
        stars.energy_j / scale,
        constraints=optimize.LinearConstraint(stars.members.T.tocsc(), one, one),
        integrality=np.ones(stars.energy_j.size),
        bounds=optimize.Bounds(0.0, 1.0),
        options={"mip_rel_gap": 0.0},
    )
    assert solved.status == 0, solved.message
    return float(solved.mip_dual_bound) * scale, solved.x


def _answer(servers: Servers, stars: Stars, chosen: Integers, bound: float) -> Partition:
    groups: dict[int, list[int]] = {}
    for star in chosen:
        center = int(stars.center[star])
        row = stars.members[[star]].indices.tolist()
        groups[center] = sorted(j for j in row if j != center)
    found = partition(servers, Prices(servers), groups)
    value = found.certificate.value
    return found._replace(certificate=Certificate(value, min(bound, value)))
