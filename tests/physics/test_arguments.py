"""A bad argument is named, with its value and what is allowed; a good one becomes an array."""

from collections.abc import Callable

import numpy as np
import pytest

from twin_runtime.physics.arguments import (
    Array,
    InvalidArgument,
    broadcast,
    finite,
    indices,
    non_negative,
    positive,
    same_shape,
    within,
)


@pytest.mark.parametrize(
    "check, value, said",
    [
        (finite, np.nan, "x is nan; it must be finite"),
        (finite, [0.0, np.inf], r"x is inf at \[1\]; it must be finite"),
        (finite, "far", "x is 'far'; it must be of numbers"),
        (positive, 0.0, "x is 0.0; it must be finite and > 0"),
        (positive, [[1.0, 2.0], [3.0, -4.0]], r"x is -4.0 at \[1, 1\]; it must be finite and > 0"),
        (positive, np.nan, "x is nan; it must be finite and > 0"),
        (non_negative, -1e-9, "x is -1e-09; it must be finite and >= 0"),
        (lambda name, value: within(name, value, 0, 1), 1.5, r"x is 1.5; it must be in \[0, 1\]"),
        (lambda name, value: within(name, value, 0, 1), np.nan, r"x is nan; it must be in"),
        (lambda name, value: indices(name, value, 3), [0, 3], r"x is 3 at \[1\]; .* index below 3"),
        (lambda name, value: indices(name, value, 3), [0.5], "x has the type float64; .* integers"),
    ],
)
def test_a_bad_argument_is_named(check: Callable[..., Array], value: object, said: str) -> None:
    with pytest.raises(InvalidArgument, match=said):
        check("x", value)


def test_a_number_and_a_list_become_arrays_of_floats() -> None:
    assert positive("x", 3).dtype == np.float64
    assert non_negative("x", [0, 1]).tolist() == [0.0, 1.0]
    assert indices("x", [0, 2], 3).dtype == np.int64


def test_shapes_that_do_not_fit_are_named_with_their_arguments() -> None:
    with pytest.raises(InvalidArgument, match=r"cycles \(3,\), frequency_hz \(2,\)"):
        broadcast(cycles=np.ones(3), frequency_hz=np.ones(2))
    assert broadcast(cycles=np.ones((4, 1)), frequency_hz=np.ones(2)) == (4, 2)
    with pytest.raises(InvalidArgument, match=r"must be equal: a \(3,\), b \(\)"):
        same_shape(a=np.ones(3), b=np.ones(()))


def test_nothing_is_not_a_set_of_things() -> None:
    with pytest.raises(InvalidArgument, match=r"nothing is given: a \(0,\)"):
        same_shape(a=np.ones(0))
