"""Spectral radius and norm of a weight matrix, and the rules that scale W to a wanted one.

Every function takes a dense matrix or a `scipy.sparse` one and leaves it as it was. The scaling functions return a new
matrix of the same kind: a dense array for a dense one, a `csr_array` for a sparse one; float32 stays float32.
"""

from math import sqrt

import numpy as np
import scipy.sparse as sp

from penstock.checks import as_fraction, as_matrix, as_non_negative_float, as_positive_float, float_type
from penstock.threads import one_blas_thread

__all__ = [
    "scale_fast",
    "scale_leaky",
    "scale_spectral_norm",
    "scale_spectral_radius",
    "spectral_norm",
    "spectral_radius",
]

# Up to this size LAPACK's full spectrum is as fast as two Arnoldi runs.
_DENSE_SIZE = 400
# Leading eigenvalues asked of ARPACK: with two, it missed the very first for up to 13 of 100 random matrices.
_PAIRS = 8
# Relative error above which a value from ARPACK is not used.
_TOLERANCE = 1e-10


@one_blas_thread
def spectral_radius(W) -> float:
    """Return the largest modulus of the eigenvalues of W.

    W is first split into its strongly connected parts, whose spectra make up that of W. So the radius of a nilpotent
    pattern such as a delay line is 0 exactly, and that of a cycle, ring or permutation is the geometric mean of its
    weights to rounding. Other parts go to LAPACK, or from 401 units on to ARPACK with a fixed start vector. What
    ARPACK finds is kept if left and right eigenvectors, computed apart, agree on it and bound its error (residual
    times condition number) below 1e-10 of the value; otherwise LAPACK decides, at a dense matrix's cost. Sparse parts
    are balanced first, without which the radius of a long chain with weak feedback is lost to rounding.

    No method knows an ill-conditioned eigenvalue better than W itself is known: with a Jordan block of size k, hidden
    by a change of basis, rounding moves the radius by about 1e-16^(1/k) of the norm.

    Parameters
    ----------
    W : array or sparse matrix, shape (n, n)
        Real square matrix.

    Returns
    -------
    float
        The radius, 0 or above.

    Raises
    ------
    ValueError, TypeError
        If W is not a square matrix of finite real numbers.

    Examples
    --------
    >>> import numpy as np
    >>> spectral_radius(np.array([[0.0, -4.0], [1.0, 0.0]]))
    2.0
    """
    from scipy.sparse.csgraph import connected_components

    W = _as_square(W)
    if not sp.issparse(W) and W.all():
        return _irreducible_radius(W)
    graph = sp.csr_array(W, copy=True)
    graph.eliminate_zeros()
    W = graph if sp.issparse(W) or graph.nnz < W.size / 4 else W
    _, part_of_unit = connected_components(graph, connection="strong")
    sizes = np.bincount(part_of_unit)
    radius = np.abs(graph.diagonal()[sizes[part_of_unit] == 1]).max(initial=0.0)
    for part in np.flatnonzero(sizes > 1):
        units = np.flatnonzero(part_of_unit == part)
        radius = max(radius, _irreducible_radius(W[units][:, units]))
    return float(radius)


@one_blas_thread
def spectral_norm(W) -> float:
    """Return the largest singular value of W: the most by which W can stretch a vector.

    Exact if all rows, or all columns, hold at most one entry (rings, permutations, delay lines); from LAPACK for dense
    matrices and up to 400 units; from ARPACK with a fixed start vector for larger sparse ones, with LAPACK as the
    fallback.

    Parameters
    ----------
    W : array or sparse matrix, shape (n, n)
        Real square matrix.

    Returns
    -------
    float
        The norm, 0 or above.

    Raises
    ------
    ValueError, TypeError
        If W is not a square matrix of finite real numbers.

    Examples
    --------
    >>> import numpy as np
    >>> round(spectral_norm(np.array([[3.0, 0.0], [4.0, 5.0]])), 12)  # sqrt(45)
    6.708203932499
    """
    W = _as_square(W)
    if not sp.issparse(W):
        return float(np.linalg.norm(W, 2))
    norm = _disjoint_norm(W)
    if norm is None and W.shape[0] > _DENSE_SIZE:
        norm = _arpack(_lanczos_norm, W)
    return float(np.linalg.norm(W.toarray(), 2)) if norm is None else norm


def scale_spectral_radius(W, spectral_radius: float):
    """Return a copy of W scaled to the given spectral radius, exactly.

    Parameters
    ----------
    W : array or sparse matrix, shape (n, n)
        Matrix with a spectral radius above 0.
    spectral_radius : float
        Radius wanted, at least 0.

    Raises
    ------
    ValueError
        If the radius of W is 0, which no factor changes (for example, W has no directed cycle).

    Examples
    --------
    >>> import numpy as np
    >>> scale_spectral_radius(np.array([[0.0, -4.0], [1.0, 0.0]]), 0.5)
    array([[ 0.  , -1.  ],
           [ 0.25,  0.  ]])
    """
    target = as_non_negative_float("spectral_radius", spectral_radius)
    return _scaled(W, _factor(target, _radius(W), "spectral radius"))


def scale_spectral_norm(W, spectral_norm: float):
    """Return a copy of W scaled to the given spectral norm (largest singular value), exactly.

    With norm below 1 a tanh reservoir contracts for any input: the sufficient condition for echo states.

    Parameters
    ----------
    W : array or sparse matrix, shape (n, n)
        Matrix other than 0.
    spectral_norm : float
        Norm wanted, at least 0.

    Raises
    ------
    ValueError
        If W is 0 everywhere.

    Examples
    --------
    >>> import numpy as np
    >>> scale_spectral_norm(np.array([[0.0, -4.0], [1.0, 0.0]]), 0.5)
    array([[ 0.   , -0.5  ],
           [ 0.125,  0.   ]])
    """
    target = as_non_negative_float("spectral_norm", spectral_norm)
    return _scaled(W, _factor(target, _norm(W), "spectral norm"))


def scale_fast(W, spectral_radius: float, *, std: float = 1 / sqrt(3)):
    """Return W * spectral_radius / (std sqrt(n)), for W with independent entries of mean 0 and deviation `std`.

    By the circular law the radius of such a matrix tends to std sqrt(n). No eigenvalue is computed, and the radius is
    met in the limit only: for a uniform W and a wanted radius of 1, a thousand draws gave 1.060 +- 0.059 at n = 50 and
    1.048 +- 0.037 at n = 100; the norm is nearly twice the radius. The default is for entries uniform on [-1, 1), where
    the rule reads W * spectral_radius * sqrt(3 / n), as in the published code of residual reservoirs.

    Parameters
    ----------
    W : array or sparse matrix, shape (n, n)
        Drawn matrix, not yet scaled.
    spectral_radius : float
        Radius wanted, at least 0.
    std : float
        Standard deviation of all entries of the law W was drawn from; for a sparse matrix that includes the zeros:
        sqrt(density) times the deviation of the stored values.

    Examples
    --------
    >>> import numpy as np
    >>> scale_fast(np.array([[1.0, -1.0, 0.5], [0.5, 0.5, 0.0], [0.0, 1.0, 0.5]]), 0.5)
    array([[ 0.5 , -0.5 ,  0.25],
           [ 0.25,  0.25,  0.  ],
           [ 0.  ,  0.5 ,  0.25]])
    """
    target = as_non_negative_float("spectral_radius", spectral_radius)
    return _scaled(W, target / (as_positive_float("std", std) * sqrt(_as_square(W).shape[0])))


def scale_leaky(W, spectral_radius: float, *, leak: float):
    """Return W changed so that the leaky map (1 - leak) I + leak W has the given spectral radius, exactly.

    V = (1 - leak) I + leak W is scaled to the radius, and (V - (1 - leak) I) / leak returned: not a multiple of W, the
    diagonal moves too. V is the Jacobian at rest of x' = (1 - leak) x + leak tanh(W x). With leak 1 this is
    `scale_spectral_radius`. The rule of the DeepESN code (Gallicchio, Micheli and Pedrelli, Neurocomputing 268, 2017);
    where W was sparse, all its diagonal may be filled.

    Parameters
    ----------
    W : array or sparse matrix, shape (n, n)
        Recurrent weights.
    spectral_radius : float
        Radius wanted for the leaky map, at least 0.
    leak : float
        Leak rate in (0, 1].

    Raises
    ------
    ValueError
        If the leaky map has radius 0.

    Examples
    --------
    >>> import numpy as np
    >>> scale_leaky(np.array([[0.0, 1.0], [1.0, 0.0]]), 0.5, leak=0.5)  # the leaky map has radius 1
    array([[-0.5,  0.5],
           [ 0.5, -0.5]])
    """
    target, leak = as_non_negative_float("spectral_radius", spectral_radius), as_fraction("leak", leak)
    original, W = W, _as_square(W)
    rest = (1 - leak) * (sp.eye_array(W.shape[0], format="csr") if sp.issparse(W) else np.eye(W.shape[0]))
    leaky = leak * W + rest
    scaled = _factor(target, _radius(leaky), "spectral radius of the leaky map") * leaky
    return _like(original, (scaled - rest) / leak)


# The functions under names that the parameters of the scaling rules do not hide.
_radius = spectral_radius
_norm = spectral_norm


def _as_square(W):
    matrix = as_matrix("W", W, (None, None), np.float64)
    if matrix.shape[0] != matrix.shape[1] or matrix.shape[0] == 0:
        raise ValueError(f"W must be a square matrix with at least one unit, got shape {matrix.shape}")
    return matrix


def _factor(target, found, what):
    factor = target / found if found > 0 else np.inf
    if not np.isfinite(factor):
        raise ValueError(
            f"W must have a {what} above 0 to be scaled to {target}, got {found}; without a cycle it is 0: "
            "take a higher density, another seed, or spectral_radius=None to leave W as drawn"
        )
    return factor


def _scaled(W, factor):
    return _like(W, factor * _as_square(W))


def _like(W, result):
    """Return the float64 `result` in the precision of W, without stored zeros."""
    dtype = float_type(W)
    if not sp.issparse(result):
        return np.ascontiguousarray(result, dtype=dtype)
    result = sp.csr_array(result, dtype=dtype)
    result.eliminate_zeros()
    result.sort_indices()
    return result


def _irreducible_radius(W):
    """Return the spectral radius of a strongly connected W."""
    weights = np.abs(W.data if sp.issparse(W) else W[W != 0])
    if weights.size == W.shape[0]:  # no more edges than units: one cycle
        return float(weights[0] if weights.min() == weights.max() else np.exp(np.log(weights).mean()))
    W = _balanced(W) if sp.issparse(W) else W
    radius = _arpack(_arnoldi_radius, W) if W.shape[0] > _DENSE_SIZE else None
    return float(np.abs(np.linalg.eigvals(_dense(W))).max()) if radius is None else radius


def _balanced(W):
    """Return a sparse W similar to the given one, its weights evened out where chains of units spread them far apart.

    The scaling D^-1 W D makes all weights as equal as it can (least squares of the logarithms); in powers of two it is
    exact. A long chain with weak feedback needs factors beyond the range of floats, which LAPACK's balancing keeps to.
    """
    from scipy.sparse.linalg import lsqr

    n, edges = W.shape[0], np.arange(W.nnz)
    rows, cols, one = np.repeat(np.arange(n), np.diff(W.indptr)), W.indices, np.ones(W.nnz)
    places = (np.concatenate([edges] * 3), np.concatenate([rows, cols, np.full(W.nnz, n)]))
    steps = sp.csr_array(sp.coo_array((np.concatenate([one, -one, one]), places), shape=(W.nnz, n + 1)))
    powers = np.rint(lsqr(steps, np.log2(np.abs(W.data)), atol=1e-12, btol=1e-12)[0][:n]).astype(int)
    with np.errstate(over="ignore", under="ignore"):
        data = np.ldexp(W.data, powers[cols] - powers[rows])
        smaller = np.abs(data).sum() <= np.abs(W.data).sum() < np.inf
    return sp.csr_array((data, W.indices, W.indptr), shape=W.shape) if smaller and np.ptp(powers) > 30 else W


def _arpack(measure, W):
    """Return measure(W) of a W brought near 1 in size, so that squares neither overflow nor vanish; None if unsure."""
    from scipy.sparse.linalg import ArpackError

    scale = 2.0 ** int(np.frexp(np.abs(W).max())[1] - 1)
    try:
        value = measure(W / scale)
    except ArpackError:  # no convergence
        return None
    return None if value is None else float(value * scale)


def _arnoldi_radius(W):
    """Return the spectral radius of W, or None where the bound on its error is too wide."""
    from scipy.sparse.linalg import eigs

    options = {"k": _PAIRS, "ncv": 120, "tol": 1e-12, "v0": _start(W), "maxiter": 30 + W.shape[0] // 100}
    image = W @ _start(W)
    if np.linalg.norm(W.T @ image - (image @ image) * _start(W)) <= 1e-13 * (image @ image):
        return np.linalg.norm(image)  # W^T W = c^2 I: all eigenvalues lie on the circle of radius c
    values, X = eigs(W, **options)
    others, Y = eigs(W.T, **options)
    i = np.argmax(np.abs(values))
    j = np.argmin(np.abs(others - values[i]))
    value, x, y = values[i], X[:, i], Y[:, j]
    residual = max(np.linalg.norm(W @ x - value * x), np.linalg.norm(W.T @ y - value * y)) + _rounding(W)
    certain = residual <= _TOLERANCE * abs(value) * abs(y @ x)  # 1 / |y x| is the condition of the eigenvalue
    agreed = abs(np.abs(others).max() - abs(value)) <= _TOLERANCE * abs(value)
    return abs(value) if certain and agreed else None


def _lanczos_norm(W):
    """Return the largest singular value of W, or None if W W^T and W^T W do not agree on it."""
    from scipy.sparse.linalg import LinearOperator, eigsh

    def largest(A):
        gram = LinearOperator(A.shape, matvec=lambda x: A.T @ (A @ x), dtype=A.dtype)
        return eigsh(gram, _PAIRS, v0=_start(A), ncv=10 * _PAIRS, tol=1e-12, return_eigenvectors=False).max()

    one, other = largest(W), largest(W.T)
    return np.sqrt(one) if abs(one - other) <= _TOLERANCE * one else None


def _disjoint_norm(W):
    """Return the largest singular value if no two rows, or no two columns, share a position; else None."""
    peak = np.abs(W.data).max(initial=0.0)
    if peak == 0:
        return 0.0
    entry_rows = np.repeat(np.arange(W.shape[0]), np.diff(W.indptr))
    for lines, across in ((W.indices, entry_rows), (entry_rows, W.indices)):
        if np.max(np.bincount(across)) <= 1:  # the lines are orthogonal: the longest one is the norm
            return float(peak * np.sqrt(np.max(np.bincount(lines, (W.data / peak) ** 2))))
    return None


def _start(W):
    """Return a fixed unit vector without the symmetries of a structured W, which a constant one would share."""
    v = np.random.default_rng(0).standard_normal(W.shape[0])
    return v / np.linalg.norm(v)


def _rounding(W):
    return np.finfo(np.float64).eps * np.linalg.norm(W.data if sp.issparse(W) else W)


def _dense(W):
    return W.toarray() if sp.issparse(W) else W
