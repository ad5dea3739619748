"""The Lur'e form of a network, from which its stability bounds follow."""

from typing import NamedTuple

import numpy as np

from penstock.vmath import activation_code

__all__ = ["SLOPES_AT_REST", "LureBlock"]

# in the order of penstock.vmath.ACTIVATIONS: tanh, sigmoid, relu, identity
SLOPES_AT_REST = (1.0, 0.25, 1.0, 1.0)
"""Slopes of `penstock.vmath.ACTIVATIONS` at 0, for relu from above."""

_SLOPES = ((0.0, 1.0), (0.0, 0.25), (0.0, 1.0), (1.0, 1.0))
_CURVATURES = (4 / 3**1.5, 1 / (6 * 3**0.5), np.inf, 0.0)
_VALUES_AT_REST = (0.0, 0.5, 0.0, 0.0)


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
    value_at_rest : float
        f(0). Only if it is 0 does the origin stay where it is without input and bias: not so for the sigmoid.

    Examples
    --------
    >>> from penstock import tanh
    >>> leaky = LureBlock.of(tanh, 0.7 * np.eye(2), 0.3 * np.eye(2), np.array([[0.0, -1.0], [1.0, 0.0]]))
    >>> leaky.at_rest
    array([[ 0.7, -0.3],
           [ 0.3,  0.7]])
    """

    A: np.ndarray
    B: np.ndarray
    C: np.ndarray
    slopes: tuple[float, float]
    slope_at_rest: float
    curvature: float
    value_at_rest: float = 0.0

    @classmethod
    def of(cls, activation, A, B, C):
        """Return the block of one of `penstock.vmath.ACTIVATIONS`, its matrices in float64."""
        code = activation_code(activation)
        A, B, C = (np.asarray(matrix, np.float64) for matrix in (A, B, C))
        return cls(A, B, C, _SLOPES[code], SLOPES_AT_REST[code], _CURVATURES[code], _VALUES_AT_REST[code])

    @property
    def at_rest(self):
        """The Jacobian A + f'(0) B C at the origin without input and bias; shape (n, n)."""
        return self.A + self.slope_at_rest * self.B @ self.C
