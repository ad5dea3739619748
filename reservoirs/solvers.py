"""Steps of the equation v' = B(v) - D(v) v: what liquid cells are integrated with."""

import numpy as np

__all__ = ["exponential_euler", "exponential_midpoint", "fused", "rk4", "solver_code"]


def fused(coefficients, v, h):
    """Return v after a semi-implicit step, (v + h B) / (1 + h D): first order, bounded for every h > 0.

    Parameters
    ----------
    coefficients : function
        ``coefficients(v) -> (D, B)`` of v' = B - D v.
    v : array
        The state.
    h : float or array
        Time of the step.

    Returns
    -------
    array
        The state after h.

    References
    ----------
    R. Hasani et al. (2021), Liquid time-constant networks, AAAI, algorithm 1.

    Examples
    --------
    >>> fused(lambda v: (2.0, 1.0), 0.0, 0.5)
    0.25
    """
    D, B = coefficients(v)
    return (v + h * B) / (1 + h * D)


def exponential_euler(coefficients, v, h):
    """Return v after a step that is exact where D and B stand still: v_inf + (v - v_inf) exp(-h D), v_inf = B / D.

    First order and bounded as the fused step is, at the same cost. Arguments and value are those of `fused`.

    Examples
    --------
    >>> round(float(exponential_euler(lambda v: (2.0, 1.0), 0.0, 0.5)), 6)  # (1 - exp(-1)) / 2
    0.31606
    """
    D, B = coefficients(v)
    return _relaxed(D, B, v, h)


def exponential_midpoint(coefficients, v, h):
    """Return v after an exponential step with D and B taken at half of it: second order and bounded.

    Two evaluations a step; far more accurate than two fused steps. Arguments and value are those of `fused`.

    Examples
    --------
    >>> round(float(exponential_midpoint(lambda v: (2.0, 1.0), 0.0, 0.5)), 6)  # as exact, for constant D and B
    0.31606
    """
    D, B = coefficients(v)
    D, B = coefficients(_relaxed(D, B, v, h / 2))
    return _relaxed(D, B, v, h)


def rk4(coefficients, v, h):
    """Return v after a step of the classical Runge-Kutta rule: fourth order, bounded for small h only.

    Arguments and value are those of `fused`.

    Examples
    --------
    >>> round(float(rk4(lambda v: (2.0, 1.0), 0.0, 0.5)), 6)
    0.3125
    """
    slope = _slope(coefficients, v)
    total = slope
    for reach, share in ((0.5, 2), (0.5, 2), (1.0, 1)):
        slope = _slope(coefficients, v + reach * h * slope)
        total = total + share * slope
    return v + h / 6 * total


SOLVERS = (fused, exponential_euler, exponential_midpoint, rk4)
"""The solvers of liquid cells. A kernel gets the index, because a function as argument defeats Numba's cache."""


def solver_code(solver) -> int:
    """Return the index of `solver` in `SOLVERS`."""
    for code, function in enumerate(SOLVERS):
        if solver is function:
            return code
    names = ", ".join(f"penstock.reservoirs.{function.__name__}" for function in SOLVERS)
    raise ValueError(f"solver must be one of {names}, got {solver!r}; for others write a penstock.Flow")


def _relaxed(D, B, v, h):
    """Return v + (B / D - v)(1 - exp(-h D)), without division by D where it is 0."""
    still = D == 0
    spread = np.where(still, h, -np.expm1(-h * D) / np.where(still, 1.0, D))
    return v * np.exp(-h * D) + B * spread


def _slope(coefficients, v):
    D, B = coefficients(v)
    return B - D * v
