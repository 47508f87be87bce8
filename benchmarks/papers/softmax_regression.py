"""A small model that many users train: softmax regression on Gaussian classes.

It stands in for the papers' networks where only the size of an update matters, not what is
learned. A user takes one gradient step over all of its samples. The classes overlap, so that
about three quarters of the samples can be told apart; features of all sizes, from 1 down to a
tenth, make learning take some rounds.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

CLASSES = 10
FEATURES = 64
FEATURE_MIN = 0.1
SEPARATION = 0.35  # deviation of the classes' means, per feature; that of a sample is 1
TEST_SAMPLES = 2_000
WEIGHTS = (FEATURES + 1) * CLASSES

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Samples:
    """`inputs` `[sample, feature + 1]`, the last of which is 1, and `labels` `[sample]`."""

    inputs: Floats
    labels: Labels


@dataclass(frozen=True, slots=True)
class World:
    """The samples of each user, and those that a model is tested on."""

    users: tuple[Samples, ...]
    test: Samples


def draw(counts: Labels, generator: np.random.Generator) -> World:
    """So many samples for each user, `[user]`, independent, of the same classes."""
    means = SEPARATION * generator.standard_normal((CLASSES, FEATURES), dtype=np.float32)
    users = tuple(_samples(means, int(count), generator) for count in counts)
    return World(users, _samples(means, TEST_SAMPLES, generator))


def train(samples: Samples, model: Floats, *, learning_rate: float) -> Floats:
    """A user's model `[weight]` after one step over its samples."""
    shares = _softmax(samples.inputs @ model.reshape(-1, CLASSES))
    shares[np.arange(len(shares)), samples.labels] -= 1.0
    slope = samples.inputs.T @ shares / np.float32(len(shares))
    return np.asarray(model - np.float32(learning_rate) * slope.ravel())


def train_all(world: World, model: Floats, *, learning_rate: float) -> Floats:
    """Every user's model, `[user, weight]`."""
    return np.stack([train(samples, model, learning_rate=learning_rate) for samples in world.users])


def accuracy(world: World, model: Floats) -> float:
    """Share of the test samples that a model gets right."""
    logits = world.test.inputs @ model.reshape(-1, CLASSES)
    return float((logits.argmax(axis=-1) == world.test.labels).mean())


def _samples(means: Floats, count: int, generator: np.random.Generator) -> Samples:
    labels = generator.integers(0, CLASSES, count)
    inputs = np.ones((count, FEATURES + 1), dtype=np.float32)
    noise = generator.standard_normal((count, FEATURES), dtype=np.float32)
    scale = np.geomspace(1.0, FEATURE_MIN, FEATURES, dtype=np.float32)
    inputs[:, :-1] = scale * (means[labels] + noise)
    return Samples(inputs, labels)


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))
