"""[P2]: asynchronous federated learning over shared sub-channels.

Fifty rounds in which a hundred users train one model. A scheme is a gate, which says whose
model is uploaded, and a policy, which says at which clock and over which sub-channels; the
accumulated time and energy are compared. What is learned is a softmax regression on synthetic
data (`softmax_regression`), since only the sizes of its updates matter to the gate.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from benchmarks.papers import assignment_ratios, asynchronous_peers, softmax_regression
from benchmarks.papers.paper import Paper, Row
from twin_runtime.physics import asynchronous as asyn
from twin_runtime.physics.arguments import Array, Integers
from twin_runtime.problems import subchannels_fleet as fleet
from twin_runtime.problems.scenarios.industrial_iot import Fading, Gate, IndustrialIot
from twin_runtime.problems.subchannels import cost
from twin_runtime.problems.subchannels_policies import POLICIES, joint_bound_j

if TYPE_CHECKING:
    pass

LEARNING_RATE = 1.5
PARTICIPANTS = (30, 50, 70, 90)
BOUNDED = {"oracle"}  # policies that minimise the cost, whose gap to its bound is shown


class Scheme(NamedTuple):
    """A policy of `POLICIES` behind a gate."""

    policy: str
    gate: Gate


SCHEMES: Mapping[str, Scheme] = {
    "sync-random": Scheme("random", Gate.RANDOM),
    "sync-equal": Scheme("equal", Gate.RANDOM),
    "sync-best": Scheme("fastest", Gate.RANDOM),
    "tau-random": Scheme("random", Gate.PAPER),
    "paper-column": Scheme("paper_column", Gate.PAPER),
    "paper-own": Scheme("paper_own", Gate.PAPER),
    "fastest": Scheme("fastest", Gate.PAPER),
    "fastest-speed": Scheme("fastest", Gate.SPEED),
    "groups": Scheme("groups", Gate.PAPER),
    "oracle": Scheme("oracle", Gate.PAPER),
}

# Accumulated time [s] and energy [J] of 30, 50, 70 and 90 participants, mean of 3 seeds.
REFERENCE: Mapping[str, tuple[tuple[float, float], ...]] = {
    "sync-random": ((140.7, 1226), (275.2, 2056), (357.1, 2892), (382.5, 3729)),
    "sync-equal": ((90.6, 1235), (135.1, 2083), (380.3, 2914), (383.3, 3738)),
    "paper-column": ((88.0, 217), (107.0, 316), (125.3, 422), (180.7, 482)),
    "paper-own": ((82.6, 212), (97.0, 309), (109.0, 411), (125.9, 465)),
    "fastest": ((70.9, 1054), (78.3, 1773), (81.9, 2569), (91.3, 3455)),
    "fastest-speed": ((54.6, 1145), (62.5, 1951), (71.4, 2741), (80.3, 3636)),
    "sync-best": ((66.5, 1232), (75.7, 2062), (82.9, 2901), (89.9, 3705)),
    "tau-random": ((129.3, 1057), (237.0, 1782), (320.4, 2588), (378.7, 3483)),
}
# The same times where all sub-channels of a user fade as one, 30 and 90 participants, 2 seeds.
REFERENCE_FLAT: Mapping[str, tuple[float, float]] = {
    "sync-random": (170, 398),
    "sync-equal": (125, 389),
    "paper-own": (88, 173),
    "fastest": (71, 123),
}
# The longest that a user of any seed was silent, 30 participants; of random gates, the middle of
# 22 to 28.
REFERENCE_GAP: Mapping[str, float] = {
    "fastest": 12,
    "fastest-speed": 14,
    "sync-random": 25,
    "sync-equal": 25,
    "sync-best": 25,
}


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is run; less in tests."""

    rounds: int = 50
    participants: tuple[int, ...] = PARTICIPANTS
    flat: tuple[int, ...] = (30, 90)
    assignments: assignment_ratios.Scale = field(default_factory=assignment_ratios.Scale)
    arrivals: int = asynchronous_peers.ARRIVALS


class Run(NamedTuple):
    """What 50 rounds were like, `[seed, round]`."""

    time_s: Array
    energy_j: Array
    cost_j: Array
    bound_j: Array  # on the cost, of schemes that come with one
    gap_rounds: Array
    accuracy: Array


def learn(scheme: Scheme, scenario: IndustrialIot, seeds: Sequence[int], rounds: int) -> Run:
    """Train one model in as many worlds as there are seeds, all at once.

    The same seeds have the same users, samples and channels, whatever the scheme.
    """
    of_users, of_samples, of_rounds, own = np.random.default_rng(list(seeds)).spawn(4)
    state = fleet.begin(replace(scenario, gate=scheme.gate), len(seeds), of_users)
    counts = np.rint(state.samples).astype(np.int64)
    worlds = [softmax_regression.draw(each, of_samples) for each in counts]
    model = np.zeros((len(seeds), softmax_regression.WEIGHTS), dtype=np.float32)
    seen = []
    for _ in range(rounds):
        trained = _trained(worlds, model)
        change = asyn.relative_change(trained=trained, model=model[:, None])
        state = fleet.select(state, change, own)
        action = POLICIES[scheme.policy](state, own)
        paid = cost(state, action)
        bound = joint_bound_j(state, action) if scheme.policy in BOUNDED else paid.total
        model = _aggregated(scheme, state, model, trained)
        right = np.array([*map(softmax_regression.accuracy, worlds, model)])
        spent = (paid.parts["time_s"], paid.parts["energy_j"], paid.total, bound)
        seen.append((*spent, paid.parts["gap_rounds"], right))
        state = fleet.next_round(state, of_rounds)
    return Run(*(np.stack(each, axis=-1) for each in zip(*seen, strict=True)))


def run(policy: str, seeds: Sequence[int]) -> Iterator[Row]:
    """Yield the rows of one scheme, or of one table."""
    return rows(policy, seeds, Scale())


def rows(policy: str, seeds: Sequence[int], scale: Scale) -> Iterator[Row]:
    """`run` at another scale."""
    if policy in assignment_ratios.TABLES:
        return assignment_ratios.TABLES[policy](seeds, scale.assignments)
    if policy in asynchronous_peers.PEERS:
        return asynchronous_peers.rows(policy, seeds, scale.arrivals)
    return _of_scheme(policy, seeds, scale)


def _of_scheme(name: str, seeds: Sequence[int], scale: Scale) -> Iterator[Row]:
    for count in scale.participants:
        found = learn(SCHEMES[name], IndustrialIot(participants=count), seeds, scale.rounds)
        where = f"industrial_iot n={count}"
        time_s, energy_j = _reference(name, count)
        yield _row(name, where, "time_s", found.time_s.sum(axis=-1), time_s)
        yield _row(name, where, "energy_j", found.energy_j.sum(axis=-1), energy_j)
        yield _row(name, where, "cost_j", found.cost_j.sum(axis=-1), None)
        if SCHEMES[name].policy in BOUNDED:
            yield from _gap_rows(name, where, found)
        silent = found.gap_rounds.max(axis=-1)
        yield _row(name, where, "gap_max_rounds", silent, None)
        longest = _row(name, where, "gap_of_any_seed_rounds", silent, None)
        known = REFERENCE_GAP.get(name) if count == PARTICIPANTS[0] else None
        yield replace(longest, mean=float(silent.max()), reference_value=known)
        yield _row(name, where, "accuracy", found.accuracy[:, -1], None)
        first = _first_rounds(found)
        elapsed = found.time_s.cumsum(axis=-1)[np.arange(len(first)), first]
        sent = (first + 1).astype(np.float64) * count * IndustrialIot().model_bits
        yield _row(name, where, "time_to_target_s", elapsed, None)
        yield _row(name, where, "uplink_to_target_bits", sent, None)
    if name in REFERENCE_FLAT:
        yield from _flat(name, seeds, scale)


def _gap_rows(name: str, where: str, found: Run) -> Iterator[Row]:
    """How near the costs are to what no policy costs less than: of all rounds, and of the worst."""
    bound_j = found.bound_j.sum(axis=-1)
    yield _row(name, where, "bound_j", bound_j, None)
    yield _row(name, where, "cost_over_bound", found.cost_j.sum(axis=-1) / bound_j, None)
    worst = (found.cost_j / found.bound_j).max(axis=-1)
    yield _row(name, where, "cost_over_bound_max", worst, None)


def _flat(name: str, seeds: Sequence[int], scale: Scale) -> Iterator[Row]:
    for place, count in enumerate(scale.flat):
        scenario = IndustrialIot(participants=count, fading=Fading.FLAT)
        found = learn(SCHEMES[name], scenario, seeds, scale.rounds)
        where, reference = f"industrial_iot flat n={count}", REFERENCE_FLAT[name][place]
        yield _row(name, where, "time_s", found.time_s.sum(axis=-1), reference)


def _trained(
    worlds: Sequence[softmax_regression.World], model: softmax_regression.Floats
) -> softmax_regression.Floats:
    """Every user's model in every world `[seed, user, weight]`."""
    pairs = zip(worlds, model, strict=True)
    rate = LEARNING_RATE
    return np.stack(
        [softmax_regression.train_all(world, each, learning_rate=rate) for world, each in pairs]
    )


def _aggregated(
    scheme: Scheme,
    state: fleet.State,
    model: softmax_regression.Floats,
    trained: softmax_regression.Floats,
) -> softmax_regression.Floats:
    """The next model: by samples behind a random gate, by samples and update weight else."""
    samples = state.of_participants(state.samples)
    if scheme.gate is Gate.RANDOM:
        share = samples / samples.sum(axis=-1, keepdims=True)
    else:
        weight = state.of_participants(fleet.update_weight(state))
        share = asyn.aggregation_weights(samples=samples, update_weight=weight)
    after = state.of_participants(trained.astype(np.float64))
    merged = asyn.aggregate(model=model, trained=after, bases=model[:, None], weights=share)
    return merged.astype(np.float32)


def _first_rounds(found: Run) -> Integers:
    """The round `[seed]` after which the model is as accurate as the peers are to become."""
    target = asynchronous_peers.TARGET_ACCURACY
    return np.array([asynchronous_peers.first_at(right, target) for right in found.accuracy])


def _reference(name: str, count: int) -> tuple[float | None, float | None]:
    if name not in REFERENCE or count not in PARTICIPANTS:
        return None, None
    return REFERENCE[name][PARTICIPANTS.index(count)]


def _row(policy: str, where: str, metric: str, values: Array, reference: float | None) -> Row:
    about = ("P2", policy, where, metric)
    return Row.of(about, [float(value) for value in values], reference)


PAPER = Paper(
    name="P2",
    slug="diten_async_fl",
    title="Asynchronous federated learning for digital twin edge networks",
    policies=(*SCHEMES, *asynchronous_peers.PEERS, *assignment_ratios.TABLES),
    run=run,
)
