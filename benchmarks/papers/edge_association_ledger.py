"""P4: how long rounds take by who trains which twin, and training by how large batches are.

A world is one round: clocks and fading are new in each, so the rounds of a seed are a batch
of worlds, and all policies of a seed see the same ones. Rows are the digest's: a round's
mean, deviation and 95th percentile over a seed's rounds, and its mean over the oracle's;
the oracle's rows have its gap, the share of a round by which it may be from the shortest.
The time of a whole training is of one static round, without fading and at full clocks.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final

import numpy as np

from benchmarks.papers.edge_association_two_phases import two_phases
from benchmarks.papers.paper import Paper, Row
from twin_runtime.physics.arguments import Array
from twin_runtime.problems.edge_association import PROBLEM
from twin_runtime.problems.edge_association_policies import POLICIES, best_round
from twin_runtime.problems.edge_association_round import round_parts_s
from twin_runtime.problems.environment import Environment
from twin_runtime.problems.scenarios.five_stations import FiveStations

NAME: Final = "P4"
DECIDES: Final = {**POLICIES, "two_phases": two_phases}
ORACLES_KEPT = 64  # settings and seeds whose oracle is not solved again for each policy


@dataclass(frozen=True, slots=True)
class Setting:
    """So many rounds of a scenario, and what the reference simulation gave, by policy."""

    name: str
    scenario: FiveStations
    rounds: int
    reference: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def _round(mean: float, deviation: float, p95: float, ratio: float) -> dict[str, float]:
    return {"round_s": mean, "round_sd_s": deviation, "round_p95_s": p95, "over_oracle": ratio}


def _per_twin(mean: float, ratio: float) -> dict[str, float]:
    return {"round_s": mean, "over_oracle": ratio}


def _split(training: float, upload: float, verification: float, rest: float) -> dict[str, float]:
    parts = {"training_s": training, "upload_s": upload, "verification_s": verification}
    return parts | {"rest_s": rest}


ONE_MODEL: Final = Setting(
    "one model per station",
    FiveStations(),
    200,
    {
        "random": _round(12.33, 1.64, 15.56, 1.445) | _split(7.44, 2.79, 1.90, 0.20),
        "average": _round(12.02, 1.39, 14.46, 1.409),
        "average_flat": _round(11.30, 1.22, 13.52, 1.324),
        "average_best": _round(10.68, 1.20, 12.97, 1.251),
        "average_whole": {},
        "nominal": _round(10.76, 0.95, 12.29, 1.261),
        "live_flat": _round(9.16, 0.53, 10.10, 1.074),
        "oracle": _round(8.53, 0.48, 9.29, 1.0) | _split(5.05, 1.42, 1.88, 0.18),
    },
)
PER_TWIN: Final = Setting(
    "one upload per twin",
    FiveStations(upload="per_twin"),
    60,
    {
        "random": _per_twin(68.6, 1.931),
        "average": _per_twin(64.9, 1.826),
        "average_flat": _per_twin(51.0, 1.435),
        "average_best": _per_twin(38.4, 1.081),
        "nominal": _per_twin(69.9, 1.967),
        "live_flat": _per_twin(49.0, 1.379),
        "two_phases": {"round_s": 35.5},
        "oracle": _per_twin(35.5, 1.0),
    },
)
RULES: Final = ("random", "average", "average_best", "live_flat", "oracle")
BEYOND: Final = tuple(  # what the digest describes and has no numbers of
    Setting(name, scenario, rounds, {policy: {} for policy in RULES})
    for name, scenario, rounds in (
        ("200 to 800 samples", FiveStations(samples_min=200, samples_max=800), 60),
        ("syncs of 4 Mbit", FiveStations(sync_bits=4e6), 60),
        (
            "200 to 800 samples, syncs of 4 Mbit",
            FiveStations(samples_min=200, samples_max=800, sync_bits=4e6),
            60,
        ),
        (
            "200 to 800 samples, one upload per twin",
            FiveStations(samples_min=200, samples_max=800, upload="per_twin"),
            20,
        ),
    )
)
STATIC: Final = Setting(
    "static",
    FiveStations(load_max=0.0, fades=False),
    1,
    {
        "average": {"learning_s": 982.0},
        "full_data": {"learning_s": 5437.0},
        "average_adaptive": {"learning_s": 698.0, "mean_fraction": 0.044},
        "oracle": {"learning_s": 784.0},
        "oracle_best_batches": {"learning_s": 657.0},
        "oracle_adaptive": {},
    },
)
STATIC_ALL: Final = Setting(
    "static, all samples",
    replace(STATIC.scenario, fraction=1.0),
    1,
    {"average": {"learning_s": 5437.0}, "oracle": {"learning_s": 3946.0}},
)
ROUNDS: Final = (ONE_MODEL, PER_TWIN, *BEYOND)
TRAININGS: Final = (STATIC, STATIC_ALL)


def run(policy: str, seeds: Sequence[int]) -> Iterator[Row]:
    """All rows of one policy; those that decide batches are judged by whole trainings only."""
    for setting in ROUNDS:
        if policy in setting.reference:
            yield from round_rows(policy, seeds, setting)
    for setting in TRAININGS:
        if policy in setting.reference:
            yield from training_rows(policy, seeds, setting)


def round_rows(policy: str, seeds: Sequence[int], setting: Setting) -> Iterator[Row]:
    """A round's time by its distribution, by its parts, and over the oracle's."""
    by_seed = [metrics(policy, setting, seed) for seed in seeds]
    reference = setting.reference.get(policy, {})
    for metric in by_seed[0]:
        values = [metrics[metric] for metrics in by_seed]
        about = NAME, policy, setting.name, metric
        yield Row.of(about, values, reference.get(metric))


def training_rows(policy: str, seeds: Sequence[int], setting: Setting) -> Iterator[Row]:
    """The time of a whole training, and the mean batch fraction."""
    by_seed = [training(policy, setting.scenario, seed) for seed in seeds]
    reference = setting.reference.get(policy, {})
    for metric in by_seed[0]:
        about = NAME, policy, setting.name, metric
        yield Row.of(about, [each[metric] for each in by_seed], reference.get(metric))


def metrics(policy: str, setting: Setting, seed: int) -> dict[str, float]:
    """Of one seed's rounds."""
    parts = round_parts(policy, setting, seed)
    seconds = parts["round_s"]
    known = ("training_s", "upload_s", "verification_s")
    each = {name: float(parts[name].mean()) for name in known}
    oracle = round_parts("oracle", setting, seed)["round_s"]
    gap = {"gap": float(parts["gap_s"].mean() / seconds.mean())} if "gap_s" in parts else {}
    return gap | {
        "round_s": float(seconds.mean()),
        "round_sd_s": float(seconds.std(ddof=1)),
        "round_p95_s": float(np.percentile(seconds, 95)),
        "over_oracle": float(seconds.mean() / oracle.mean()),
        **each,
        "rest_s": float(seconds.mean()) - sum(each.values()),
    }


def round_parts(policy: str, setting: Setting, seed: int) -> Mapping[str, Array]:
    """What each round of a seed takes, whole and in parts."""
    return _solved(policy, setting.scenario, setting.rounds, seed)


@lru_cache(maxsize=ORACLES_KEPT)
def _solved(policy: str, scenario: FiveStations, rounds: int, seed: int) -> Mapping[str, Array]:
    world = Environment(PROBLEM, scenario, seed, rounds)
    if policy != "oracle":
        return round_parts_s(world.state, DECIDES[policy](world.state, world.generator))
    best = best_round(world.state)
    return round_parts_s(world.state, best.action) | {"gap_s": best.value_s - best.bound_s}


def training(policy: str, scenario: FiveStations, seed: int) -> dict[str, float]:
    """The time to the target, were all rounds like the first."""
    world = Environment(PROBLEM, scenario, seed)
    action = DECIDES[policy](world.state, world.generator)
    seconds = PROBLEM.cost(world.state, action).parts["learning_s"]
    return {
        "learning_s": float(seconds.mean()),
        "mean_fraction": float(action.fraction.mean()),
    }


PAPER = Paper(
    name=NAME,
    slug="edge_association_ledger",
    title="Edge association, two-level federated learning and a ledger of twins",
    policies=tuple(DECIDES),
    run=run,
    seeds=8,
)
