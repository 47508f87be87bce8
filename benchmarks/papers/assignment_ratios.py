"""[P2] S6: how far each division of sub-channels is from the best one.

Small worlds are enumerated; large ones are compared with the best that is found, and that with
two bounds.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.papers.paper import Row
from twin_runtime.physics.arguments import Array, Integers
from twin_runtime.physics.ofdma import UNUSED
from twin_runtime.problems.scenarios.industrial_iot import Gate, IndustrialIot
from twin_runtime.problems.subchannels import PROBLEM, uplink_at_full_speed
from twin_runtime.problems.subchannels_policies import POLICIES
from twin_runtime.solvers.subchannel_bounds import fractional_bound_s
from twin_runtime.solvers.subchannel_exact import enumerated, one_each
from twin_runtime.solvers.subchannel_exploration import deviations_s2, explore
from twin_runtime.solvers.subchannel_search import best_of, improve
from twin_runtime.solvers.subchannel_starts import column_start, filled, own_start
from twin_runtime.solvers.subchannels import assign
from twin_runtime.solvers.uplink import Uplink

SUBCHANNEL_HZ = 200e3
SMALL = ((3, 6), (4, 7), (3, 8))
OPTIMAL = 1e-9  # relative


@dataclass(frozen=True, slots=True)
class Scale:
    """How many worlds a seed has; fewer in tests."""

    small: int = 50  # of each size
    large: int = 5
    participants: tuple[int, ...] = (10, 30, 50, 70, 90, 100)


Divide = Callable[[Uplink, np.random.Generator], Integers]


def _searched(uplink: Uplink, generator: np.random.Generator) -> Integers:
    del generator
    worlds = np.arange(len(uplink.computing_s))
    matched = np.stack([one_each(world).owner for world in each_of(uplink)])
    starts = (own_start(uplink), column_start(uplink), filled(uplink, matched))
    return best_of(uplink, np.stack([improve(uplink, start, worlds) for start in starts], axis=1))


DIVISIONS: Mapping[str, Divide] = {
    "column": lambda uplink, generator: column_start(uplink),  # noqa: ARG005
    "column_explored": lambda uplink, generator: explore(uplink, column_start(uplink), generator),
    "own": lambda uplink, generator: own_start(uplink),  # noqa: ARG005
    "own_explored": lambda uplink, generator: explore(uplink, own_start(uplink), generator),
    "search": _searched,
    "search_kicked": lambda uplink, generator: assign(uplink, generator).owner,
}
# Makespan over the optimum: mean, largest, share of worlds in which it is the optimum.
REFERENCE_SMALL: Mapping[str, tuple[float, float, float]] = {
    "column": (1.132, 1.656, 0.02),
    "column_explored": (1.113, 1.582, 0.05),
    "own": (1.028, 1.266, 0.36),
    "own_explored": (1.035, 1.266, 0.31),
    "random": (1.935, 10.3, 0.0),
    "search": (1.002, 1.064, 0.91),
    "search_kicked": (1.000, 1.000, 1.0),
}
# Makespan over that of the search with kicks, for 10, 30, 50, 70, 90 and 100 participants.
REFERENCE_LARGE: Mapping[str, tuple[float, ...]] = {
    "own": (1.002, 1.003, 1.002, 1.006, 1.008, 1.000),
    "column": (1.005, 1.015, 1.026, 1.088, 1.603, 3.04),
    "equal": (1.10, 1.37, 2.0, 4.5, 4.8, 3.4),
    "random": (1.09, 2.6, 4.0, 3.7, 4.4, 3.5),
}
REFERENCE_LP = (1.000, 1.002, 1.004, 1.007, 1.098, 1.473)
REFERENCE_COUNTS = (10, 30, 50, 70, 90, 100)
REFERENCE_VARIANCE = (1.11, 1.766)  # makespan over optimum of the least variance: mean, largest


def small(seeds: Sequence[int], scale: Scale) -> Iterator[Row]:
    """Divisions of small worlds over the optimum."""
    ratios: dict[str, list[Array]] = {name: [] for name in ("random", *DIVISIONS, "variance")}
    scores: dict[str, list[Array]] = {name: [] for name in ("column_explored", "own_explored")}
    for seed in seeds:
        found, scored = _small_world(np.random.default_rng(seed), scale)
        for name, values in found.items():
            ratios[name].append(values)
        for name, values in scored.items():
            scores[name].append(values)
    for name, each in ratios.items():
        about = REFERENCE_SMALL.get(name, (*REFERENCE_VARIANCE, None))
        yield _row("small", name, "ratio", [values.mean() for values in each], about[0])
        yield _row("small", name, "ratio_max", [values.max() for values in each], about[1])
        optimal = [(values <= 1.0 + OPTIMAL).mean() for values in each]
        yield _row("small", name, "optimal_share", optimal, about[2])
    for name, each in scores.items():
        reference = 0.070 if name == "column_explored" else 0.069
        yield _row("small", name, "deviations_s2", [values.mean() for values in each], reference)


def large(seeds: Sequence[int], scale: Scale) -> Iterator[Row]:
    """Divisions of 100 sub-channels over the best that is found, and that over its bounds."""
    for count in scale.participants:
        place = REFERENCE_COUNTS.index(count)
        seen: dict[str, list[float]] = {}
        for seed in seeds:
            for name, value in _large_world(np.random.default_rng(seed), count, scale).items():
                seen.setdefault(name, []).append(value)
        for name, values in seen.items():
            reference = REFERENCE_LARGE[name][place] if name in REFERENCE_LARGE else None
            if name == "best_over_linear_programme":
                reference = REFERENCE_LP[place]
            yield _row("large", f"{name} n={count}", "ratio", values, reference)


def _small_world(
    generator: np.random.Generator, scale: Scale
) -> tuple[dict[str, Array], dict[str, Array]]:
    ratios: dict[str, list[Array]] = {}
    scores: dict[str, list[Array]] = {}
    for users, channels in SMALL:
        uplink, random = _worlds(users, channels, scale.small, generator)
        best = np.array([float(enumerated(world).makespan_s) for world in each_of(uplink)])
        owners = {name: divide(uplink, generator) for name, divide in DIVISIONS.items()}
        owners |= {"random": random, "variance": _evenest(uplink)}
        for name, owner in owners.items():
            ratios.setdefault(name, []).append(uplink.makespan_s(owner) / best)
            if name.endswith("_explored"):
                scores.setdefault(name, []).append(deviations_s2(uplink, owner))
    joined = {name: np.concatenate(values) for name, values in ratios.items()}
    return joined, {name: np.concatenate(values) for name, values in scores.items()}


def _large_world(generator: np.random.Generator, count: int, scale: Scale) -> dict[str, float]:
    uplink, random = _worlds(count, 100, scale.large, generator)
    best = assign(uplink, generator)
    linear = [fractional_bound_s(world) for world in each_of(uplink)]
    owners = {
        "own": own_start(uplink),
        "column": column_start(uplink),
        "equal": _equal(count, scale.large, generator),
        "random": random,
    }
    found = {
        name: float((uplink.makespan_s(owner) / best.makespan_s).mean())
        for name, owner in owners.items()
    }
    found["best_over_linear_programme"] = float((best.makespan_s / linear).mean())
    found["best_over_counting_bound"] = float((best.makespan_s / best.bound_s).mean())
    return found


def _worlds(
    users: int, channels: int, count: int, generator: np.random.Generator
) -> tuple[Uplink, Integers]:
    """Users at full speed that want to upload, and a random division among them."""
    scenario = _scenario(users, channels)
    state = PROBLEM.begin(scenario, count, generator)
    return uplink_at_full_speed(state), POLICIES["random"](state, generator).owner


def _equal(users: int, count: int, generator: np.random.Generator) -> Integers:
    state = PROBLEM.begin(_scenario(users, 100), count, generator)
    return POLICIES["equal"](state, generator).owner


def _scenario(users: int, channels: int) -> IndustrialIot:
    return IndustrialIot(
        users=users,
        participants=users,
        subchannels=channels,
        bandwidth_hz=channels * SUBCHANNEL_HZ,
        gate=Gate.RANDOM,
    )


def each_of(uplink: Uplink) -> Iterator[Uplink]:
    """Every world alone."""
    for rates, computing in zip(uplink.rates_bps, uplink.computing_s, strict=True):
        yield Uplink.of(rates, computing, uplink.model_bits, uplink.subchannels_max)


def _evenest(uplink: Uplink) -> Integers:
    """The division whose times vary least, of all: what [P2] asks for."""
    return np.stack([_least_variance(world) for world in each_of(uplink)])


def _least_variance(uplink: Uplink) -> Integers:
    users, channels = uplink.rates_bps.shape
    numbers = np.arange((users + 1) ** channels)[:, None]
    owner = numbers // (users + 1) ** np.arange(channels) % (users + 1) + UNUSED
    mine = owner[:, None, :] == np.arange(users)[:, None]
    owner, mine = owner[mine.any(axis=-1).all(axis=-1)], mine[mine.any(axis=-1).all(axis=-1)]
    rate = (mine * uplink.rates_bps).sum(axis=-1)
    time = uplink.computing_s + uplink.model_bits / rate
    return np.asarray(owner[time.var(axis=-1).argmin()])


def _row(
    table: str, name: str, metric: str, values: Sequence[float], reference: float | None
) -> Row:
    about = ("P2", f"assignment-{table}", name, metric)
    return Row.of(about, [float(value) for value in values], reference)


TABLES: Mapping[str, Callable[[Sequence[int], Scale], Iterator[Row]]] = {
    "assignment-small": small,
    "assignment-large": large,
}
