"""From continuous to discrete time: steps of x' = A x + B u for inputs that stand still during a step."""

import numpy as np
import scipy

from penstock.checks import as_finite_array, as_positive_float

__all__ = ["backward_euler", "bilinear", "euler_limit", "forward_euler", "zero_order_hold"]


def forward_euler(A, B, dt):
    """Return (I + dt A, dt B), the explicit step of x' = A x + B u; stable for dt below `euler_limit` only.

    Parameters
    ----------
    A : array, shape (n, n)
        Matrix of the state.
    B : array, shape (n, m) or (n,)
        Matrix of the input, which stands still during the step.
    dt : float
        Time of the step.

    Returns
    -------
    array, shape (n, n), and array, shape of B

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit, a number is not finite, or dt is not positive; for an implicit step also if an eigenvalue
        of A stands where it has no solution, which no stable A does.

    Examples
    --------
    >>> [part.item() for part in forward_euler([[-1.0]], [[1.0]], 0.5)]
    [0.5, 0.5]
    """
    return _generalised_bilinear(A, B, dt, 0.0)


def backward_euler(A, B, dt):
    """Return (R, R dt B) with R = (I - dt A)^-1, the implicit step: stable for every dt where A is.

    Arguments and values are those of `forward_euler`.

    Examples
    --------
    >>> [part.item() for part in backward_euler([[-1.0]], [[1.0]], 1.0)]
    [0.5, 0.5]
    """
    return _generalised_bilinear(A, B, dt, 1.0)


def bilinear(A, B, dt):
    """Return (R (I + dt A / 2), R dt B) with R = (I - dt A / 2)^-1, the step of Tustin: second order, always stable.

    Arguments and values are those of `forward_euler`.

    Examples
    --------
    >>> [part.item() for part in bilinear([[-1.0]], [[1.0]], 2.0)]
    [0.0, 1.0]
    """
    return _generalised_bilinear(A, B, dt, 0.5)


def zero_order_hold(A, B, dt):
    """Return the exact step for inputs held during dt: the upper rows of exp(dt [[A, B], [0, 0]]).

    Arguments and values are those of `forward_euler`.

    Examples
    --------
    >>> [round(part.item(), 6) for part in zero_order_hold([[-1.0]], [[1.0]], 1.0)]
    [0.367879, 0.632121]
    """
    A, B, dt = _checked(A, B, dt)
    n, columns = A.shape[0], B if B.ndim == 2 else B[:, None]
    whole = np.zeros((n + columns.shape[1],) * 2)
    whole[:n, :n], whole[:n, n:] = dt * A, dt * columns
    step = scipy.linalg.expm(whole)[:n]
    return step[:, :n].copy(), step[:, n:].reshape(B.shape)


def euler_limit(A):
    """Return the largest dt of a stable forward Euler step, min -2 Re(lambda) / |lambda|^2 over the eigenvalues of A.

    The stable dt are those below it; 0 if A itself is not stable.

    Examples
    --------
    >>> euler_limit([[-4.0]])
    0.5
    """
    A = _square("A", A)
    eigenvalues = np.linalg.eigvals(A)
    if (eigenvalues.real >= 0).any():
        return 0.0
    return float((-2 * eigenvalues.real / np.abs(eigenvalues) ** 2).min())


def _generalised_bilinear(A, B, dt, alpha):
    A, B, dt = _checked(A, B, dt)
    eye = np.eye(A.shape[0])
    explicit = eye + (1 - alpha) * dt * A
    if alpha == 0:
        return explicit, dt * B
    implicit = eye - alpha * dt * A
    try:
        return np.linalg.solve(implicit, explicit), np.linalg.solve(implicit, dt * B)
    except np.linalg.LinAlgError:
        raise ValueError(f"dt must not be {1 / alpha:g} over an eigenvalue of A, got {dt:g}; take another") from None


def _checked(A, B, dt):
    A, B = _square("A", A), as_finite_array("B", B, ndim=(1, 2))
    if B.shape[0] != A.shape[0]:
        raise ValueError(f"B must have {A.shape[0]} rows to match A, got shape {B.shape}")
    return A, B, as_positive_float("dt", dt)


def _square(name, matrix):
    matrix = as_finite_array(name, matrix, ndim=2)
    if matrix.shape[0] != matrix.shape[1] or matrix.size == 0:
        raise ValueError(f"{name} must be square and not empty, got shape {matrix.shape}")
    return matrix
