"""The Lur'e form of a network, from which its stability bounds follow."""

from typing import NamedTuple

import numpy as np

__all__ = ["LureBlock"]


class LureBlock(NamedTuple):
    """One layer written as x' = A x + B f(C x + drive), with f acting on every component by itself.

    A model that has this form returns its layers by `lure_blocks()`; stability bounds and certificates need nothing
    else. Jacobians are A + B D C with D diagonal, its entries between `slopes`.

    Attributes
    ----------
    A : array, shape (n, n)
        Linear part.
    B : array, shape (n, p)
        From the p nonlinear components to the units.
    C : array, shape (p, n)
        From the units to the nonlinear components.
    slopes : tuple of two floats
        Least and largest slope of f: (0, 1) for tanh and relu, (0, 1/4) for the sigmoid, (1, 1) for the identity.
    slope_at_rest : float
        Slope of f at 0.
    curvature : float
        Largest second derivative of f in absolute value; inf where f has a kink.
    """

    A: np.ndarray
    B: np.ndarray
    C: np.ndarray
    slopes: tuple[float, float]
    slope_at_rest: float
    curvature: float
