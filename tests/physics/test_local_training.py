"""A device's part of federated learning: its loss and its full-batch step."""

import numpy as np
import pytest

from twin_runtime.physics.arguments import InvalidArgument
from twin_runtime.physics.federated import gradient_step, linear_loss_gradient, squared_loss

SAMPLES, FEATURES, CLASSES = 60, 50, 10


def digits(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Inputs in [0, 1] with a bias, one-hot targets."""
    inputs = generator.random((SAMPLES, FEATURES))
    inputs[:, -1] = 1.0
    return inputs, np.eye(CLASSES)[generator.integers(0, CLASSES, SAMPLES)]


def test_a_zero_model_has_a_loss_of_a_tenth() -> None:
    _, target = digits(np.random.default_rng(0))
    assert squared_loss(predicted=np.zeros_like(target), target=target) == pytest.approx(0.1)


def test_the_gradient_is_that_of_the_loss() -> None:
    inputs, target = digits(np.random.default_rng(1))
    weights = np.random.default_rng(2).normal(0, 0.1, (FEATURES, CLASSES))
    step = np.zeros_like(weights)
    step[7, 3] = 1e-6
    above = squared_loss(predicted=inputs @ (weights + step), target=target)
    below = squared_loss(predicted=inputs @ (weights - step), target=target)
    gradient = linear_loss_gradient(weights=weights, inputs=inputs, target=target)
    assert gradient[7, 3] == pytest.approx((above - below) / 2e-6, rel=1e-5)


def test_every_full_batch_step_lowers_the_loss() -> None:
    inputs, target = digits(np.random.default_rng(3))
    inputs = inputs / 2  # the mean pixel of pooled digits is dark: a rate of 1 is below 2 / L
    weights = np.zeros((FEATURES, CLASSES))
    losses = [0.1]
    for _ in range(30):
        slope = linear_loss_gradient(weights=weights, inputs=inputs, target=target)
        weights = gradient_step(model=weights, gradient=slope, learning_rate=1.0)
        losses.append(float(squared_loss(predicted=inputs @ weights, target=target)))
    assert np.all(np.diff(losses) < 0)


def test_many_devices_step_at_once() -> None:
    generator = np.random.default_rng(4)
    devices = [digits(generator) for _ in range(3)]
    inputs, target = (np.stack(part) for part in zip(*devices, strict=True))
    weights = generator.normal(size=(3, FEATURES, CLASSES))
    together = linear_loss_gradient(weights=weights, inputs=inputs, target=target)
    alone = linear_loss_gradient(weights=weights[1], inputs=inputs[1], target=target[1])
    assert together[1] == pytest.approx(alone)


def test_a_step_of_another_shape_is_refused() -> None:
    with pytest.raises(
        InvalidArgument, match=r"shapes must be equal: model \(2,\), gradient \(3,\)"
    ):
        gradient_step(model=[0, 0], gradient=[0, 0, 0], learning_rate=1)
    with pytest.raises(InvalidArgument, match=r"predicted has the shape \(2,\)"):
        squared_loss(predicted=[0, 0], target=[0, 0])
