"""Probability laws: small callables that draw arrays and know their own mean and variance.

The same objects serve as the values of weight matrices, as the inputs of an experiment and as the text that a
result prints about itself. Any function `(rng, size) -> array` may stand in for a law where no moment is needed.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from penstock.checks import as_finite_float, as_positive_float

__all__ = ["Law", "Normal", "Signs", "Uniform"]

Law = Callable[[np.random.Generator, int | tuple[int, ...]], np.ndarray]


@dataclass(frozen=True)
class Uniform:
    """Draw from the uniform law on [low, high).

    Parameters
    ----------
    low, high : float
        Ends of the interval, ``low < high``.

    Examples
    --------
    >>> import numpy as np
    >>> law = Uniform(-0.8, 0.8)
    >>> law(np.random.default_rng(0), 3).shape
    (3,)
    >>> round(law.variance, 6)
    0.213333
    """

    low: float = -1.0
    high: float = 1.0

    def __post_init__(self):
        as_finite_float("low", self.low)
        as_finite_float("high", self.high)
        if not self.low < self.high:
            raise ValueError(f"low must be below high, got low={self.low} and high={self.high}")

    def __call__(self, rng, size):
        """Return an array of shape `size` drawn with the generator `rng`."""
        return rng.uniform(self.low, self.high, size)

    @property
    def mean(self) -> float:
        """Mean of the law."""
        return (self.low + self.high) / 2

    @property
    def variance(self) -> float:
        """Variance of the law."""
        return (self.high - self.low) ** 2 / 12

    def scaled(self, factor: float) -> "Uniform":
        """Return the law of `factor` times the variable, `factor > 0`."""
        factor = as_positive_float("factor", factor)
        return replace(self, low=factor * self.low, high=factor * self.high)


@dataclass(frozen=True)
class Normal:
    """Draw from the normal law of mean 0 and the given standard deviation.

    Examples
    --------
    >>> Normal(2.0).variance
    4.0
    """

    std: float = 1.0

    def __post_init__(self):
        as_positive_float("std", self.std)

    def __call__(self, rng, size):
        """Return an array of shape `size` drawn with the generator `rng`."""
        return self.std * rng.standard_normal(size)

    @property
    def mean(self) -> float:
        """Mean of the law."""
        return 0.0

    @property
    def variance(self) -> float:
        """Variance of the law."""
        return self.std**2

    def scaled(self, factor: float) -> "Normal":
        """Return the law of `factor` times the variable, `factor > 0`."""
        return replace(self, std=as_positive_float("factor", factor) * self.std)


@dataclass(frozen=True)
class Signs:
    """Draw +scale or -scale with equal probability (the Rademacher law).

    Examples
    --------
    >>> import numpy as np
    >>> sorted({float(x) for x in Signs(0.5)(np.random.default_rng(0), 100)})
    [-0.5, 0.5]
    """

    scale: float = 1.0

    def __post_init__(self):
        as_positive_float("scale", self.scale)

    def __call__(self, rng, size):
        """Return an array of shape `size` drawn with the generator `rng`."""
        return self.scale * (2.0 * rng.integers(0, 2, size) - 1.0)

    @property
    def mean(self) -> float:
        """Mean of the law."""
        return 0.0

    @property
    def variance(self) -> float:
        """Variance of the law."""
        return self.scale**2

    def scaled(self, factor: float) -> "Signs":
        """Return the law of `factor` times the variable, `factor > 0`."""
        return replace(self, scale=as_positive_float("factor", factor) * self.scale)
