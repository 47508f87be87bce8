"""Federated averaging: between its models, whatever the unit of the weights."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from twin_runtime.physics import federated
from twin_runtime.physics.arguments import Array, InvalidArgument

MODELS = arrays(np.float64, (4, 3), elements=st.floats(-1e6, 1e6))
WEIGHTS = arrays(np.float64, (4,), elements=st.floats(0.01, 1e6))


def test_a_mean_is_weighted_by_samples() -> None:
    mean = federated.weighted_mean(
        values=[[1.0, 2.0], [3.0, -1.0], [0.0, 4.0]], weights=[600, 300, 100], fallback=0.0
    )
    assert mean == pytest.approx([1.5, 1.3])


@given(MODELS, WEIGHTS, st.floats(0.1, 10))
def test_the_mean_lies_between_its_models_and_ignores_the_unit_of_weights(
    models: Array, weights: Array, unit: float
) -> None:
    mean = federated.weighted_mean(values=models, weights=weights, fallback=0.0)
    slack = 1e-9 * (1 + np.abs(models).max())
    assert (mean >= models.min(axis=0) - slack).all()
    assert (mean <= models.max(axis=0) + slack).all()
    again = federated.weighted_mean(values=models, weights=unit * weights, fallback=0.0)
    assert again == pytest.approx(mean, rel=1e-9, abs=slack)


def test_where_nobody_takes_part_the_fallback_holds() -> None:
    values = np.ones((2, 3, 2))
    weights = np.array([[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    mean = federated.weighted_mean(values=values, weights=weights, fallback=[7.0, 8.0])
    assert mean.tolist() == [[7.0, 8.0], [1.0, 1.0]]


def test_bad_weights_are_refused_by_name() -> None:
    with pytest.raises(InvalidArgument, match="weights is -1"):
        federated.weighted_mean(values=[1.0, 2.0], weights=[1.0, -1.0], fallback=0.0)
    with pytest.raises(InvalidArgument, match=r"values \(3,\), weights \(2,\)"):
        federated.weighted_mean(values=[1.0, 2.0, 3.0], weights=[1.0, 1.0], fallback=0.0)
