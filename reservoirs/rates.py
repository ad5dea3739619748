"""Reparameterisations of decay rates: functions f of a free weight w whose value is the real part of an eigenvalue.

A mode exp(f(w) t) remembers for a time -1 / f(w). What matters for training is how the memory, not the rate, answers to
w: its sensitivity is bounded by |f'(w)| / f(w)^2, the slope of -1 / f.
"""

from dataclasses import dataclass

import numpy as np

from penstock.checks import as_finite_array, as_non_negative_float, as_positive_float

__all__ = ["DirectRate", "ExpRate", "InverseSquareRate", "SoftplusRate"]


class _Rate:
    """A function f(w) with its slope and inverse, and what follows from them."""

    def __call__(self, w):
        """Return the rate f(w), an array of the shape of w."""
        raise NotImplementedError

    def slope(self, w):
        """Return f'(w)."""
        raise NotImplementedError

    def inverse(self, rate):
        """Return a weight w with f(w) = rate, so that eigenvalues can be placed."""
        raise NotImplementedError

    def gradient_scale(self, w):
        """Return |f'(w)| / f(w)^2, to which the gradient of a loss with respect to w is proportional at most."""
        with np.errstate(divide="ignore"):
            return np.abs(self.slope(w)) / self(w) ** 2

    def gradient_over_weight(self, w):
        """Return |f'(w)| / (f(w)^2 |w|): bounded where a step of gradient descent never dwarfs the weight.

        At w = 0 it is not defined: NaN or inf.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.gradient_scale(w) / np.abs(w)

    def memory_change(self, w, change):
        """Return the largest relative change of the memory when w moves by `change` at most; inf if it may diverge.

        |f(w)| max over |v - w| <= change of int_0^inf |exp(f(v) t) - exp(f(w) t)| dt = max |f(w) / f(v) - 1|. A stable
        reparameterisation bounds it for all w at once, and the bound goes to 0 with the change.

        Parameters
        ----------
        w : float or array
            Weights.
        change : float
            Size of the perturbation, at least 0.
        """
        w, change = as_finite_array("w", w), as_non_negative_float("change", change)
        rate = self(w)
        ends = [self(w - change), self(w + change)]  # f is monotone in |w| or in w: the largest lies at an end
        with np.errstate(divide="ignore", invalid="ignore"):
            largest = np.maximum(*(np.abs(rate / end - 1) for end in ends))
        stable = np.maximum(*ends) < 0
        return np.where(stable & (rate < 0), largest, np.inf)


@dataclass(frozen=True)
class ExpRate(_Rate):
    """Map w to the rate f(w) = -exp(w), stable for every w.

    References
    ----------
    S. Wang, Q. Li, StableSSM: alleviating the curse of memory in state-space models through stable
    reparameterization, ICML (2024), for all four.

    Examples
    --------
    >>> rate = ExpRate()
    >>> float(rate(rate.inverse(-0.5))), round(float(rate.gradient_scale(-10.0)))
    (-0.5, 22026)
    """

    def __call__(self, w):
        """Return -exp(w)."""
        return -np.exp(as_finite_array("w", w))

    def slope(self, w):
        """Return -exp(w)."""
        return self(w)

    def inverse(self, rate):
        """Return log(-rate), for rates below 0."""
        return np.log(-_negative(rate))


@dataclass(frozen=True)
class SoftplusRate(_Rate):
    """Map w to the rate f(w) = -log(1 + exp(w)), stable for every w.

    Examples
    --------
    >>> rate = SoftplusRate()
    >>> round(float(rate(0.0)), 6), round(float(rate.inverse(-np.log(2))), 12)  # -log 2 and back
    (-0.693147, 0.0)
    """

    def __call__(self, w):
        """Return -log(1 + exp(w))."""
        return -np.logaddexp(0, as_finite_array("w", w))

    def slope(self, w):
        """Return -1 / (1 + exp(-w))."""
        w = as_finite_array("w", w)
        return -np.exp(w - np.logaddexp(0, w))

    def inverse(self, rate):
        """Return log(exp(-rate) - 1), for rates below 0."""
        s = -_negative(rate)
        return s + np.log(-np.expm1(-s))


@dataclass(frozen=True)
class InverseSquareRate(_Rate):
    """Map w to the rate f(w) = -1 / (a w^2 + b), stable for every w: the "best" of StableSSM.

    |f'| / f^2 is 2 a |w|, in proportion to the weight: over the weight it is 2 a everywhere. The memory lasts b at
    least.

    Parameters
    ----------
    a, b : float
        Above 0. The released code has 1 and 0.1.

    Examples
    --------
    >>> rate = InverseSquareRate()
    >>> rate(np.array([0.0, 3.0])).round(4), rate.gradient_over_weight(np.array([-0.1, 50.0])).round(12)
    (array([-10.    ,  -0.1099]), array([2., 2.]))

    A memory whose modes decay at a rate of 0.5, and one with other weights, stable whatever they are:

    >>> from penstock.reservoirs import LinearMemory
    >>> w = np.full(8, rate.inverse(-0.5))
    >>> memory = LinearMemory.state_space(8, real_part=rate(w), seed=0)
    >>> perturbed = LinearMemory.state_space(8, real_part=rate(w + np.linspace(-3, 3, 8)), seed=0)
    >>> bool(abs(perturbed.eigenvalues[0]) < 1)
    True
    """

    a: float = 1.0
    b: float = 0.1

    def __post_init__(self):
        as_positive_float("a", self.a)
        as_positive_float("b", self.b)

    def __call__(self, w):
        """Return -1 / (a w^2 + b)."""
        return -1 / (self.a * as_finite_array("w", w) ** 2 + self.b)

    def slope(self, w):
        """Return 2 a w / (a w^2 + b)^2."""
        w = as_finite_array("w", w)
        return 2 * self.a * w * self(w) ** 2

    def inverse(self, rate):
        """Return the weight of at least 0, sqrt((-1 / rate - b) / a), for rates in [-1 / b, 0)."""
        rate = _negative(rate)
        squares = (-1 / rate - self.b) / self.a
        if (squares < -1e-12 * self.b).any():
            raise ValueError(f"rate must be at least -1 / b = {-1 / self.b:g}, got {rate.min():g}; make b smaller")
        return np.sqrt(np.maximum(squares, 0.0))


@dataclass(frozen=True)
class DirectRate(_Rate):
    """Map w to the rate f(w) = w: no reparameterisation, stable for w < 0 only.

    Examples
    --------
    >>> DirectRate().memory_change([-1.0, -0.2, -0.1], 0.1).round(4)
    array([0.1111, 1.    ,    inf])
    """

    def __call__(self, w):
        """Return w."""
        return as_finite_array("w", w)

    def slope(self, w):
        """Return 1."""
        return np.ones_like(as_finite_array("w", w))

    def inverse(self, rate):
        """Return the rate, for rates below 0."""
        return _negative(rate)


def _negative(rate):
    rate = as_finite_array("rate", rate)
    if (rate >= 0).any():
        raise ValueError(f"rate must be below 0, or the mode never fades, got {rate.max():g}")
    return rate
