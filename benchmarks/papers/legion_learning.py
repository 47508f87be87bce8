"""P1's figure 3: what the parks' devices learn in a hundred slots, with checksums and without.

Each scheduled device takes one step over all its samples and uploads 500 codes of 10 bits. With
a checksum a damaged upload is left out; without, it is averaged, a tenth of its codes random.
Who is scheduled does not depend on what is learned, so both are learned in one park.

The paper's pictures are not at hand: classes are ten dim random ones of 49 points, and a sample
is one of them with noise. A squared loss depends on a device's samples only through their second
moments, so 60 rows with the same moments stand for its hundreds of samples, exactly.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np

from benchmarks.papers.legion_reference import (
    HEAD_TO_HEAD,
    PRIORITY_BANDIT,
    RANDOM_EXACT,
    Case,
)
from benchmarks.papers.paper import Row
from twin_runtime.physics.arguments import Array, Booleans, Integers
from twin_runtime.physics.federated import (
    gradient_step,
    linear_loss_gradient,
    squared_loss,
    weighted_mean,
)
from twin_runtime.physics.quantization import corrupted, decoded, encoded
from twin_runtime.problems.access import PROBLEM
from twin_runtime.problems.access_policies import POLICIES
from twin_runtime.problems.environment import Environment
from twin_runtime.problems.scenarios.smart_park import SmartPark

NAME: Final = "figure-3"
SLOTS: Final = 100  # the paper shows the loss at this slot
POINTS, CLASSES = 49, 10
DIMNESS: Final = 4  # a power of uniform brightness: so a step of 1 over a squared loss is stable
NOISE: Final = 0.25  # deviation of a point's brightness, within [0, 1]
TEST_SAMPLES: Final = 300
LEARNING_RATE: Final = 1.0
BITS, LIMIT = 10, 1.0  # of a parameter's code, and the largest parameter
PIVOT_MIN: Final = 1e-12  # of moments near 1: below is rounding
DAMAGED_SHARE: Final = 0.1  # of the codes of a damaged upload
CASES: Final = (HEAD_TO_HEAD, PRIORITY_BANDIT, RANDOM_EXACT)
LOSS: Final = "loss_100"
# Figure 3: LEGION's loss over that of the others.
PAPER: Final = ((PRIORITY_BANDIT, 1 - 0.2573), (RANDOM_EXACT, 1 - 0.5421))


@dataclass(frozen=True, slots=True)
class Data:
    """Rows `[device, 60, ...]` that stand for each device's samples, and samples to test on."""

    inputs: Array
    targets: Array
    test_inputs: Array
    test_targets: Array


class Learned(NamedTuple):
    """Loss on the scheduled devices' samples (11), and on samples of nobody."""

    loss: float
    held_out: float


def rows(seeds: Sequence[int], park: SmartPark, slots: int = SLOTS) -> Iterator[Row]:
    """Losses of every case with checksums and without, then the paper's ratios."""
    runs = {case.policy: [learn(case, seed, park, slots) for seed in seeds] for case in CASES}
    for case in CASES:
        for place, how in enumerate(("checksums", "no checksums")):
            each = [run[place] for run in runs[case.policy]]
            about = "P1", NAME, f"smart_park {case.policy} {how}"
            yield Row.of((*about, LOSS), [one.loss for one in each], None)
            yield Row.of((*about, "held_out_loss_100"), [one.held_out for one in each], None)
    ours = [run[0].loss for run in runs[HEAD_TO_HEAD.policy]]
    for opponent, printed in PAPER:
        for place, how in enumerate(("both with", "LEGION alone with")):
            theirs = [run[place].loss for run in runs[opponent.policy]]
            ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
            scenario = f"smart_park LEGION over {opponent.policy} {how} checksums"
            row = Row.of(("P1", NAME, scenario, LOSS), ratios, None)
            yield replace(row, paper_value=printed)


def learn(case: Case, seed: int, park: SmartPark, slots: int = SLOTS) -> tuple[Learned, Learned]:
    """What is learned in one park under one policy, with checksums and without."""
    setting = replace(park, drift=case.drift, delay_weight=case.delay_weight)
    environment = Environment(PROBLEM, setting, seed)
    of_policy, of_data, of_codes = (np.random.default_rng([seed, n]) for n in (1, 2, 3))
    samples = environment.state.samples[0]
    data = draw(samples.astype(np.int64), of_data)
    kept = mixed = np.zeros((POINTS + 1, CLASSES))
    kept_loss = mixed_loss = 0.0
    for _ in range(slots):
        state = environment.state
        action = POLICIES[case.policy](state, of_policy)
        devices = np.flatnonzero(action.scheduled[0])
        arrives, weights = state.arrives[0, devices], samples[devices]
        codes, losses = _uploads(data, devices, kept)
        kept_loss = float(weighted_mean(values=losses, weights=weights * arrives, fallback=0.0))
        kept = _merged(codes, weights * arrives, kept)
        codes, losses = _uploads(data, devices, mixed)
        mixed_loss = float(weighted_mean(values=losses, weights=weights, fallback=0.0))
        mixed = _merged(_damaged(codes, ~arrives, of_codes), weights, mixed)
        environment.step(action)
    return Learned(kept_loss, _held_out(data, kept)), Learned(mixed_loss, _held_out(data, mixed))


def draw(counts: Integers, generator: np.random.Generator) -> Data:
    """So many samples for each device, `[device]`, of the same ten pictures."""
    pictures = generator.random((CLASSES, POINTS)) ** DIMNESS
    test_inputs, test_targets = _samples(pictures, TEST_SAMPLES, generator)
    seen = (np.hstack(_samples(pictures, int(count), generator)) for count in counts)
    both = rows_of(np.stack([np.einsum("sa,sb->ab", each, each) / len(each) for each in seen]))
    return Data(both[..., : POINTS + 1], both[..., POINTS + 1 :], test_inputs, test_targets)


def rows_of(moments: Array) -> Array:
    """`[..., n, n]` rows whose mean second moments are `moments`, by Cholesky's method.

    One step for all devices at once; the columns depend on one another, so a pivot may be 0.
    """
    rest, rows = moments.copy(), np.zeros_like(moments)
    for place in range(moments.shape[-1]):
        pivot = rest[..., place, place]
        root = np.sqrt(np.where(pivot > PIVOT_MIN, pivot, np.inf))
        rows[..., place, :] = row = rest[..., place, :] / root[..., None]
        rest -= row[..., :, None] * row[..., None, :]
    return np.asarray(rows * np.sqrt(moments.shape[-1]))


def _samples(pictures: Array, count: int, generator: np.random.Generator) -> tuple[Array, Array]:
    """Inputs `[sample, 50]`, the last of which is 1, and one-hot targets `[sample, 10]`."""
    labels = generator.integers(0, CLASSES, count)
    noise = NOISE * generator.standard_normal((count, POINTS))
    seen = np.clip(pictures[labels] + noise, 0.0, 1.0)
    return np.hstack([seen, np.ones((count, 1))]), np.eye(CLASSES)[labels]


def _uploads(data: Data, devices: Integers, model: Array) -> tuple[Integers, Array]:
    """The codes `[device, 500]` that devices send, and the loss `[device]` before their step."""
    inputs, targets = data.inputs[devices], data.targets[devices]
    before = np.broadcast_to(model, (len(devices), *model.shape))
    slope = linear_loss_gradient(weights=before, inputs=inputs, target=targets)
    after = gradient_step(model=before, gradient=slope, learning_rate=LEARNING_RATE)
    codes = encoded(values=after, limit=LIMIT, bits=BITS)
    return codes.reshape(len(devices), -1), squared_loss(predicted=inputs @ model, target=targets)


def _damaged(codes: Integers, damaged: Booleans, generator: np.random.Generator) -> Integers:
    return corrupted(generator, codes, damaged=damaged, share=DAMAGED_SHARE, bits=BITS)


def _merged(codes: Integers, weights: Array, model: Array) -> Array:
    """The next model: (9); the one before if nothing arrives."""
    models = decoded(codes=codes, limit=LIMIT, bits=BITS).reshape(-1, *model.shape)
    return weighted_mean(values=models, weights=weights, fallback=model)


def _held_out(data: Data, model: Array) -> float:
    return float(squared_loss(predicted=data.test_inputs @ model, target=data.test_targets))
