"""P5: what cooperation of edge servers saves, by snapshots, and what sensors' batteries allow.

A snapshot is the first circle of a new world with full batteries: every sensor sends, and
only who helps whom is decided. All policies of a seed, and all settings of equally many
servers, see the same worlds. Energies are heavy-tailed, since a server's rises as 1 / its
sensors^3: a row's value of one seed is a ratio of sums over that seed's snapshots.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from benchmarks.papers.edge_cooperation_batteries import CIRCLES, CIRCLES_BEFORE, battery_rows
from benchmarks.papers.edge_cooperation_faults import faults
from benchmarks.papers.paper import Paper, Row
from twin_runtime.physics.arguments import Array
from twin_runtime.problems.cooperation import PROBLEM, State
from twin_runtime.problems.cooperation_policies import POLICIES
from twin_runtime.problems.environment import Environment
from twin_runtime.problems.problem import Cost
from twin_runtime.problems.scenarios.wide_area import AS_PRINTED, FULL, WideArea

NAME: Final = "P5"


@dataclass(frozen=True, slots=True)
class Setting:
    """So many snapshots of a scenario, and what the reference simulation gave: energy alone
    [kJ], and by policy its ratio to that, or to the oracle's."""

    name: str
    scenario: WideArea
    snapshots: int
    alone_kj: float | None = None
    to_alone: Mapping[str, float] = field(default_factory=dict)
    to_oracle: Mapping[str, float] = field(default_factory=dict)


def _ratios(random: float, greedy: float, local_search: float, oracle: float) -> dict[str, float]:
    return {"random": random, "greedy": greedy, "local_search": local_search, "oracle": oracle}


DEFAULT: Final = Setting(
    "F=50",
    FULL,
    24,
    138.2,
    _ratios(0.837, 0.281, 0.134, 0.134),
    {
        "alone": 7.477,
        "random": 6.258,
        "greedy": 2.102,
        "greedy_best_response": 1.732,
        "threshold": 1.460,
        "threshold_one_shot": 1.132,
        "threshold_best_response": 1.107,
        "local_max": 1.120,
        "local_max_one_shot": 1.16,
        "greedy_marginal": 1.158,
        "greedy_disjoint": 1.158,
        "local_search": 1.0026,
    },
)
SEVEN: Final = Setting(
    "F=7 in 1200 m",
    replace(FULL, servers=7, side_m=1200.0),
    20,
    to_oracle={
        "alone": 4.187,
        "random": 3.627,
        "greedy": 1.701,
        "greedy_best_response": 1.567,
        "local_max": 1.075,
        "greedy_marginal": 1.026,
        "greedy_disjoint": 1.026,
        "local_search": 1.0000,
    },
)
SIZES: Final = tuple(
    Setting(f"F={count}", replace(FULL, servers=count), 20, energy, _ratios(*ratios))
    for count, energy, ratios in (
        (30, 83.3, (0.868, 0.413, 0.312, 0.311)),
        (40, 86.4, (0.910, 0.385, 0.203, 0.203)),
        (60, 161.5, (0.779, 0.302, 0.131, 0.131)),
        (70, 294.2, (0.731, 0.215, 0.106, 0.106)),
    )
)
DEADLINES: Final = tuple(
    Setting(f"D_th={limit} s", replace(FULL, deadline_s=float(limit)), 24, energy, _ratios(*ratios))
    for limit, energy, ratios in (
        (3, 442.8, (0.846, 0.288, 0.135, 0.135)),
        (4, 246.2, (0.843, 0.279, 0.130, 0.129)),
        (6, 108.2, (0.841, 0.271, 0.125, 0.125)),
        (7, 79.2, (0.840, 0.269, 0.124, 0.123)),
    )
)
OTHERS: Final = (
    Setting(
        "d_th=280 m",
        replace(FULL, neighbour_distance_m=AS_PRINTED.neighbour_distance_m),
        24,
        138.2,
        _ratios(0.832, 0.536, 0.482, 0.482),
    ),
    Setting(
        "k=(5,1,6)",
        replace(FULL, importance=(5.0, 1.0, 6.0)),
        24,
        13.7,
        _ratios(0.783, 0.203, 0.096, 0.096),
    ),
    Setting(
        "omega=U(.2,.6)",
        replace(FULL, usefulness=(0.2, 0.6)),
        24,
        156.5,
        _ratios(1.011, 0.504, 0.308, 0.308),
    ),
)
SETTINGS: Final = (DEFAULT, *OTHERS, *SIZES, *DEADLINES, SEVEN)

# Figure 4: how probable it is that a server helps, by its own sensors and by the mean of its
# neighbours' (columns), with everybody's exact best.
OWN_SENSORS: Final = (0, 27, 54)
AROUND_SENSORS: Final = (0.0, 33.0, 48.0)
HELPS: Final = ((0.11, 0.01, 0.00), (0.38, 0.22, 0.05), (0.73, 0.50, 0.28))


def run(policy: str, seeds: Sequence[int]) -> Iterator[Row]:
    """All rows of one policy; the battery check is `alone`'s, figure 4 and faults `oracle`'s."""
    for setting in SETTINGS:
        yield from snapshot_rows(policy, seeds, setting)
    if policy == "alone":
        yield from battery_rows(seeds, CIRCLES_BEFORE, CIRCLES)
    if policy == "oracle":
        yield from helper_rows(seeds, DEFAULT)
        yield from fault_rows(seeds, DEFAULT)


def snapshot_rows(policy: str, seeds: Sequence[int], setting: Setting) -> Iterator[Row]:
    """Energy of one setting: alone in kJ, others as ratios to alone and, where the reference
    has it, to the oracle."""
    costs = [snapshots(policy, setting, seed)[1] for seed in seeds]
    energy = np.array([cost.parts["energy_j"].sum() for cost in costs])
    alone = np.array([cost.parts["alone_j"].sum() for cost in costs])
    about = (NAME, policy, setting.name)
    if policy == "alone":
        mean_kj = energy / setting.snapshots / 1e3
        yield Row.of((*about, "energy_kj"), mean_kj.tolist(), setting.alone_kj)
    else:
        reference = setting.to_alone.get(policy)
        yield Row.of((*about, "energy_to_alone_ratio"), (energy / alone).tolist(), reference)
    if policy in setting.to_oracle:
        best = [snapshots("oracle", setting, seed)[1].parts["energy_j"].sum() for seed in seeds]
        ratio = (energy / np.array(best)).tolist()
        yield Row.of((*about, "energy_to_oracle_ratio"), ratio, setting.to_oracle[policy])


def snapshots(policy: str, setting: Setting, seed: int) -> tuple[State, Cost]:
    """The first circle of each of a seed's worlds, and what `policy` pays in it."""
    environment = Environment(PROBLEM, setting.scenario, seed, setting.snapshots)
    state = environment.state
    return state, PROBLEM.cost(state, POLICIES[policy](state, environment.generator))


def helper_rows(seeds: Sequence[int], setting: Setting) -> Iterator[Row]:
    """Who helps in the exact best: shares of all servers, and by numbers of sensors."""
    found = [snapshots("oracle", setting, seed) for seed in seeds]
    about = (NAME, "oracle", setting.name)
    for part, reference in (("helper", 0.24), ("recipient", 0.60)):
        share = [float(cost.parts[part].mean()) for _, cost in found]
        yield Row.of((*about, f"{part}_share"), share, reference)
    tables = np.array([helper_shares(state, cost) for state, cost in found])
    for row, column in np.ndindex(3, 3):
        where = f"{OWN_SENSORS[row]}_own_{AROUND_SENSORS[column]:g}_around"
        shares = tables[:, row, column].tolist()
        yield Row.of((*about, f"helper_share_from_{where}"), shares, HELPS[row][column])


def helper_shares(state: State, cost: Cost) -> Array:
    """Share of helpers `[own, around]` by own sensors and the neighbours' mean of them."""
    own = state.embb.counts() + state.urllc.counts()
    degree = state.neighbours.sum(axis=-1)
    around = np.matvec(state.neighbours.astype(float), own.astype(float)) / np.maximum(degree, 1)
    row = np.searchsorted(OWN_SENSORS, own, side="right") - 1
    column = np.searchsorted(AROUND_SENSORS, np.ceil(around - 0.5), side="right") - 1
    shares = np.zeros((3, 3))
    for cell in np.ndindex(3, 3):
        inside = (row == cell[0]) & (column == cell[1]) & (degree > 0)
        shares[cell] = cost.parts["helper"][inside].mean() if inside.any() else 0.0
    return shares


def fault_rows(seeds: Sequence[int], setting: Setting) -> Iterator[Row]:
    """What planning without knowledge, failures and pretraining do to the exact best."""
    found = [
        faults(Environment(PROBLEM, setting.scenario, seed, setting.snapshots).state)
        for seed in seeds
    ]
    about = (NAME, "oracle", setting.name)
    for name, (_, reference) in found[0].items():
        values = [each[name][0] for each in found]
        yield Row.of((*about, f"{name}_energy_ratio"), values, reference)


PAPER: Final = Paper(
    name=NAME,
    slug="edge_cooperation",
    title="Distributed edge cooperation and data collection for digital twins of wide areas",
    policies=tuple(POLICIES),
    run=run,
    seeds=10,
)
