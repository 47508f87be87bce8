"""Arguments of equations and solvers, checked: a bad one is named, with its value and what
is allowed.

Each check takes the argument's name and returns it as an array of floats, so that what
follows computes with arrays only.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]
Real = npt.ArrayLike  # a number or an array of numbers


class InvalidArgument(ValueError):
    """An argument is malformed: not a number, out of its range, or of the wrong shape."""


def finite(name: str, value: Real) -> Array:
    """Any finite numbers."""
    array = _numbers(name, value)
    _check(name, array, np.isfinite(array), "finite")
    return array


def positive(name: str, value: Real) -> Array:
    """Finite numbers above 0."""
    array = _numbers(name, value)
    _check(name, array, (array > 0) & (array < np.inf), "finite and > 0")
    return array


def non_negative(name: str, value: Real) -> Array:
    """Finite numbers from 0."""
    array = _numbers(name, value)
    _check(name, array, (array >= 0) & (array < np.inf), "finite and >= 0")
    return array


def within(name: str, value: Real, low: float, high: float) -> Array:
    """Numbers in `[low, high]`."""
    array = _numbers(name, value)
    _check(name, array, (array >= low) & (array <= high), f"in [{low:g}, {high:g}]")
    return array


def indices(name: str, value: npt.ArrayLike, count: int) -> Integers:
    """Whole numbers from 0 to `count - 1`."""
    array = np.asarray(value)
    if array.dtype.kind not in "iu":
        raise InvalidArgument(f"{name} has the type {array.dtype}; it must be of integers")
    _check(name, array, (array >= 0) & (array < count), f"an index below {count}")
    return array.astype(np.int64, copy=False)


def broadcast(**arrays: Array) -> tuple[int, ...]:
    """The common shape of arrays that are computed with together."""
    try:
        return np.broadcast_shapes(*(array.shape for array in arrays.values()))
    except ValueError:
        raise InvalidArgument(f"shapes do not fit together: {_shapes(arrays)}") from None


def same_shape(**arrays: npt.NDArray[np.generic]) -> tuple[int, ...]:
    """The one shape of arrays that describe the same things; it is not empty."""
    shapes = {array.shape for array in arrays.values()}
    if len(shapes) != 1:
        raise InvalidArgument(f"shapes must be equal: {_shapes(arrays)}")
    shape = shapes.pop()
    if 0 in shape:
        raise InvalidArgument(f"nothing is given: {_shapes(arrays)}")
    return shape


def _numbers(name: str, value: Real) -> Array:
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidArgument(f"{name} is {value!r:.80}; it must be of numbers") from None


def _check(name: str, array: npt.NDArray[np.number], good: Booleans, allowed: str) -> None:
    if not good.all():
        where = np.argwhere(~good)[0]
        at = f" at {[int(index) for index in where]}" if where.size else ""
        raise InvalidArgument(f"{name} is {array[tuple(where)]}{at}; it must be {allowed}")


def _shapes(arrays: Mapping[str, npt.NDArray[np.generic]]) -> str:
    return ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
