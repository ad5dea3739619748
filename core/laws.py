"""Probability laws: small callables that draw arrays and know their own mean and variance.

The same objects serve as the values of weight matrices, as the inputs of an experiment and as the text that a
result prints about itself. Any function `(rng, size) -> array` may stand in for a law where no moment is needed.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import scipy

from penstock.checks import as_finite_float, as_int, as_positive_float

__all__ = ["Gamma", "Law", "Normal", "Signs", "Uniform", "orthonormal_polynomials"]

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

    def orthonormal_polynomials(self, u, max_degree: int) -> np.ndarray:
        """Return ``sqrt(2 d + 1) P_d`` (Legendre) of `u` mapped to [-1, 1], for d = 0..max_degree along axis 0."""
        z = (2 * np.asarray(u) - self.low - self.high) / (self.high - self.low)
        values = _recurrence(z, max_degree, lambda d: (d + 1) / (2 * d + 1), lambda d: d / (2 * d + 1))
        return values * np.sqrt(2 * np.arange(max_degree + 1) + 1).reshape(-1, *[1] * z.ndim)


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

    def orthonormal_polynomials(self, u, max_degree: int) -> np.ndarray:
        """Return ``He_d / sqrt(d!)`` (Hermite) of ``u / std``, for d = 0..max_degree along axis 0."""
        return _recurrence(np.asarray(u) / self.std, max_degree, lambda d: np.sqrt(d + 1), np.sqrt)


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

    def orthonormal_polynomials(self, u, max_degree: int) -> np.ndarray:
        """Return 1 and ``u / scale`` along axis 0: every other polynomial of two values is one of these."""
        z = np.asarray(u) / self.scale
        return np.stack([np.ones_like(z), z][: max_degree + 1])


@dataclass(frozen=True)
class Gamma:
    """Draw from the gamma law of the given mean and shape k: positive values of variance mean^2 / k.

    ``p(x) ~ x^(k - 1) exp(-k x / mean)``: shape 1 is the exponential law, a large shape a narrow peak at the mean.

    Parameters
    ----------
    mean : float
        Mean, above 0.
    shape : float
        Shape k, above 0; the coefficient of variation is 1 / sqrt(k).

    Examples
    --------
    >>> Gamma(20.0, shape=4.0).variance
    100.0
    """

    mean: float
    shape: float

    def __post_init__(self):
        as_positive_float("mean", self.mean)
        as_positive_float("shape", self.shape)

    def __call__(self, rng, size):
        """Return an array of shape `size` drawn with the generator `rng`."""
        return rng.gamma(self.shape, self.mean / self.shape, size)

    @property
    def variance(self) -> float:
        """Variance of the law."""
        return self.mean**2 / self.shape

    def scaled(self, factor: float) -> "Gamma":
        """Return the law of `factor` times the variable, `factor > 0`."""
        return replace(self, mean=as_positive_float("factor", factor) * self.mean)

    def orthonormal_polynomials(self, u, max_degree: int) -> np.ndarray:
        """Return ``(-1)^d sqrt(d! G(k) / G(d + k)) L_d^(k - 1)`` (Laguerre) of ``k u / mean``, d = 0..max_degree."""
        z, k = self.shape / self.mean * np.asarray(u, dtype=np.float64), self.shape
        degrees = np.arange(max_degree + 1).reshape(-1, *[1] * z.ndim)
        sizes = np.sqrt(scipy.special.beta(degrees + 1.0, k) * (degrees + k))  # d! G(k) / G(d + k)
        return (-1.0) ** degrees * sizes * scipy.special.eval_genlaguerre(degrees, k - 1.0, z)


def orthonormal_polynomials(law: Law, u, max_degree: int) -> np.ndarray:
    """Return the polynomials orthonormal under `law` at the values `u`, one degree per row of the first axis.

    ``E[phi_d(u) phi_e(u)] = 1 if d = e else 0``, each of positive leading coefficient, the first of them 1. `Uniform`
    has Legendre's and `Normal` Hermite's; a law of your own may bring a method ``orthonormal_polynomials(u,
    max_degree)``. Otherwise they are made orthonormal over the values `u` themselves, the draws of the law.

    Parameters
    ----------
    law : callable
        A law ``(rng, size) -> array``.
    u : array
        Values drawn from it.
    max_degree : int
        The highest degree.

    Returns
    -------
    array, shape (D + 1, *u.shape)
        Degrees 0..D. D is below `max_degree` for laws of D + 1 values: they have no further polynomials.

    References
    ----------
    W. Gautschi, On generating orthogonal polynomials, SIAM J. Sci. Stat. Comput. 3, 289 (1982).

    Examples
    --------
    >>> import numpy as np
    >>> orthonormal_polynomials(Normal(2.0), np.array([0.0, 4.0]), 2).round(4)
    array([[ 1.    ,  1.    ],
           [ 0.    ,  2.    ],
           [-0.7071,  2.1213]])
    """
    u, max_degree = np.asarray(u, dtype=np.float64), as_int("max_degree", max_degree)
    if not hasattr(law, "orthonormal_polynomials"):
        return _stieltjes(u, max_degree)
    values = np.asarray(law.orthonormal_polynomials(u, max_degree), dtype=np.float64)
    if values.shape[1:] != u.shape or not 1 <= len(values) <= max_degree + 1:
        raise ValueError(
            f"law.orthonormal_polynomials(u, {max_degree}) must have shape (D + 1, *u.shape) with D <= {max_degree}, "
            f"got {values.shape} for u of shape {u.shape}"
        )
    return values


def _recurrence(z, max_degree, a, b) -> np.ndarray:
    """Return p_0..p_max of ``a_d p_{d+1} = z p_d - b_d p_{d-1}``."""
    values = np.ones((max_degree + 1, *z.shape))
    for d in range(max_degree):
        values[d + 1] = (z * values[d] - (b(d) * values[d - 1] if d else 0.0)) / a(d)
    return values


def _stieltjes(u, max_degree) -> np.ndarray:
    """Orthonormalise 1, u, u^2, .. over the values: u times the last one, made orthogonal to all before it, twice."""
    z = u.ravel() - u.mean()
    z = z / (z.std() or 1.0)
    values = [np.ones_like(z)]
    while len(values) <= max_degree:
        following, before = z * values[-1], np.array(values)
        size = np.sqrt(np.mean(following**2))
        for _ in range(2):
            following = following - (before @ following / z.size) @ before
        norm = np.sqrt(np.mean(following**2))
        if norm <= 1e-9 * size:  # as many values as polynomials: nothing is left
            break
        values.append(following / norm)
    return np.stack(values).reshape(-1, *u.shape)
