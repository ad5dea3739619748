"""The check of numbers that users pass in, where an array of bools would be a slip."""

import numpy as np

from penstock.checks import as_finite_array

__all__ = ["as_numbers"]


def as_numbers(name: str, value, ndim: int | tuple[int, ...] = (0, 1)) -> np.ndarray:
    """Return `value` as a finite float64 array of one of the allowed numbers of dimensions; bools are refused."""
    numbers = as_finite_array(name, value, ndim=ndim)
    if np.asarray(value).dtype == np.bool_:
        raise TypeError(f"{name} must hold numbers, got booleans")
    return numbers
