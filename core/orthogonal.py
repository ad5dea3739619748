"""Keep a few or many tangent vectors apart, in place, with the logarithms of how much they grew."""

import numpy as np
from numba import njit

from penstock.threads import one_blas_thread

__all__ = ["lean_logs", "orthonormalise", "push_triangular", "renormalise", "triangularise"]

FEW = 12
"""Up to so many vectors Gram-Schmidt beats LAPACK (measured, see `performance.md`)."""

_BLOCK = 64  # columns that LAPACK takes at a time; SciPy's default workspace would leave it three


def orthonormalise(V, logs):
    """Replace the rows of V (k, n) by an orthonormal basis in the same order; logs (k,) receives ln |R_ii|.

    A vector that lies in the span of those before it has ln |R_ii| = -inf.
    """
    if len(V) <= FEW:
        _gram_schmidt(V, logs)
    else:
        _householder(V, logs)


def renormalise(V, logs):
    """Do what `orthonormalise` does in a quarter of the time, for many vectors only so far as to keep them apart.

    More than `FEW` become others with the same spans of every first i rows, which is all that exponents need: those of
    `triangularise`, or in single precision, whose rounding these would magnify too much, rows of unit length that may
    lean a little. Add the `lean_logs` of the end, take off those of the start, and sums are exact.
    """
    if len(V) <= FEW:
        _gram_schmidt(V, logs)
    elif V.dtype == np.float64:
        _spread_units(V, triangularise(V, logs))
    elif not _cholesky(V, logs):
        _householder(V, logs)


@one_blas_thread
def triangularise(V, logs):
    """Replace the rows of V (k, n), float64, by U with its diagonal one, zeros before it, and nothing beyond ±1.

    V^T = P L R by elimination with row pivoting, and U = L^T: with the returned order (n,) of the units the first i
    rows of U span what those of ``V[:, order]`` did; logs (k,) receives ln |R_ii|, -inf for a vector in the span of
    those before it. The pivots keep U well conditioned (some hundreds), at a sixth of the cost of a QR.
    """
    from scipy.linalg.lapack import dgetrf  # here, because it is slow to import

    factor, pivots, _ = dgetrf(V.T, overwrite_a=True)
    if not np.shares_memory(factor, V):
        V[:] = factor.T
    order = np.arange(V.shape[1], dtype=np.uint32)
    with np.errstate(divide="ignore"):
        _take_triangle(V, pivots, order, logs)
    return order


@one_blas_thread
def lean_logs(V):
    """Return ln |R_ii| (k,) of the rows of V (k, n) that `renormalise` left, and leave them so.

    R is the Cholesky factor of V V^T, or comes from a QR should that lose more than half of the digits.
    """
    if len(V) <= FEW:
        return np.zeros(len(V))  # orthonormal
    from scipy.linalg.lapack import dpotrf, spotrf  # here, because it is slow to import

    gram = _gram(V)
    squares = np.diagonal(gram).copy()
    factor, failed = (spotrf if V.dtype == np.float32 else dpotrf)(gram, lower=True, clean=False, overwrite_a=True)
    diagonal = np.diagonal(factor)
    if failed or not (diagonal**2 > np.sqrt(np.finfo(V.dtype).eps) * squares).all():
        diagonal = np.abs(np.diagonal(np.linalg.qr(V.T.astype(np.float64), mode="r")))
    return np.log(diagonal)


@one_blas_thread
def push_triangular(columns, keep, gains, V, logs):
    """Carry the rows of V (k, n) by ``v <- keep v + g W v`` for every g of `gains`, each followed by `renormalise`.

    columns (n, n) is the transpose of W, keep (n,) and every g (n,) belong to the units, logs (T, k) to the steps. As
    `triangularise` leaves zeros before the diagonal, up to half of the products with W need not be done.
    """
    order = _triangular_order(V)
    U, Y = V if order is None else np.take(V, order, axis=1), np.empty_like(V)
    for g, row in zip(gains, logs, strict=True):
        if order is None:
            np.dot(U, columns, out=Y)
            Y *= g
            Y += keep * U
        else:
            _multiply_triangle(U, columns, order, Y)
            _add_kept(Y, U, order, keep, g)
        order = triangularise(Y, row)
        U, Y = Y, (np.empty_like(V) if U is V else U)
    if len(logs):
        V[:] = U
        _spread_units(V, order)


def _multiply_triangle(U, columns, order, out):
    """Write V W^T to `out`, for V[:, order] = U with zeros before its diagonal."""
    from scipy.linalg.blas import dgemm, dtrmm

    k = len(U)
    np.take(columns, order[:k], axis=0, out=out, mode="clip")  # other modes would write to a buffer first
    dtrmm(1.0, U[:, :k].T, out.T, side=1, lower=True, overwrite_b=True)
    if k < U.shape[1]:
        dgemm(1.0, columns[order[k:]].T, U[:, k:].T, beta=1.0, c=out.T, overwrite_c=True)


def _triangular_order(V):
    """Return an order of the units in which the rows V (k, n) are zero before the diagonal; None if there is none."""
    k = len(V)
    if V[-1].all():
        return None
    last = k - 1 - np.argmax(V[::-1] != 0, axis=0)  # the last tangent that moves each unit
    order = np.argsort(last, kind="stable").astype(np.uint32)
    return order if (last[order[:k]] <= np.arange(k)).all() else None


def _gram(V):
    """Return V V^T in its lower triangle, from a square triangle at a third of the cost."""
    from scipy.linalg.blas import dsyrk, ssyrk
    from scipy.linalg.lapack import dlauum

    order = _triangular_order(V) if V.dtype == np.float64 and V.shape[0] == V.shape[1] else None
    if order is None:
        return (ssyrk if V.dtype == np.float32 else dsyrk)(1.0, V.T, trans=True, lower=True)
    return dlauum(np.take(V, order, axis=1).T, lower=True, overwrite_c=True)[0]


@one_blas_thread
def _householder(V, logs):
    from scipy.linalg.lapack import dgeqrf, dorgqr, sgeqrf, sorgqr  # here, because it is slow to import

    geqrf, orgqr = (sgeqrf, sorgqr) if V.dtype == np.float32 else (dgeqrf, dorgqr)
    factor, tau, _, _ = geqrf(V.T, lwork=_BLOCK * len(V), overwrite_a=True)
    _take_logs(factor, logs)
    basis, _, _ = orgqr(factor, tau, lwork=_BLOCK * len(V), overwrite_a=True)
    if not np.shares_memory(basis, V):
        V[:] = basis.T


def _take_logs(factor, logs):
    """Logarithms of the diagonal of R; what is but the rounding of its column counts as zero."""
    k = len(logs)
    diagonal = np.abs(np.diagonal(factor)[:k])
    rounding = 10 * np.sqrt(len(factor)) * np.finfo(factor.dtype).eps
    if not diagonal.min() > rounding * diagonal.max():
        diagonal = np.where(diagonal > rounding * np.linalg.norm(np.triu(factor[:k]), axis=0), diagonal, 0)
    with np.errstate(divide="ignore"):
        logs[:] = np.log(diagonal)


@one_blas_thread
def _cholesky(V, logs):
    """Return whether the Gram matrix has a Cholesky factor above its rounding; if not, V is untouched."""
    from scipy.linalg.blas import dsyrk, dtrsm, ssyrk, strsm
    from scipy.linalg.lapack import dpotrf, spotrf

    syrk, potrf, trsm = (ssyrk, spotrf, strsm) if V.dtype == np.float32 else (dsyrk, dpotrf, dtrsm)
    gram = syrk(1.0, V.T, trans=True)
    rounding = 4 * np.sqrt(V.shape[1]) * np.finfo(V.dtype).eps * np.diagonal(gram)
    factor, failed = potrf(gram, lower=False, clean=False, overwrite_a=True)
    if failed or not (np.diagonal(factor) ** 2 > rounding).all():
        return False
    logs[:] = np.log(np.diagonal(factor))
    basis = trsm(1.0, factor, V.T, side=1, lower=False, overwrite_b=True)
    if not np.shares_memory(basis, V):
        V[:] = basis.T
    return True


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz", "arcp"})
def _gram_schmidt(V, logs):
    """Modified Gram-Schmidt with a second pass over the rows of V, in place."""
    k, n = V.shape
    rounding = 1e-12 if V.itemsize == 4 else 5e-30  # (10 eps)^2
    for i in range(k):
        v = V[i]
        before = 0.0
        for j in range(n):
            before += v[j] * v[j]
        for _ in range(2):
            for r in range(i):
                q, dot = V[r], V.dtype.type(0)
                for j in range(n):
                    dot += q[j] * v[j]
                for j in range(n):
                    v[j] -= dot * q[j]
        after = 0.0
        for j in range(n):
            after += v[j] * v[j]
        if after <= rounding * before:  # nothing but rounding is left
            v[:] = 0
            logs[i] = -np.inf
        else:
            logs[i] = 0.5 * np.log(after)
            scale = V.dtype.type(1 / np.sqrt(after))
            for j in range(n):
                v[j] *= scale


@njit(cache=True, nogil=True, error_model="numpy")
def _take_triangle(V, pivots, order, logs):
    """Turn the rows of a factorised V^T = P L R into L^T, the pivots into the order, and R_ii into its logarithm."""
    rounding = 2.2e-15 * np.sqrt(V.shape[1])  # 10 eps
    for i in range(V.shape[0]):
        p = pivots[i]
        order[i], order[p] = order[p], order[i]
        row, largest = V[i], 0.0
        for j in range(i + 1):
            largest = max(largest, abs(row[j]))
        size = abs(row[i])
        collapsed = size <= rounding * largest and size < np.inf
        logs[i] = -np.inf if collapsed else np.log(size)
        row[:i] = 0
        row[i] = 1


@njit(cache=True, nogil=True, error_model="numpy")
def _spread_units(U, order):
    """Give the columns of U (k, n) their places: U[:, order[j]] becomes what U[:, j] was, in place."""
    row = np.empty_like(U[0])
    for i in range(U.shape[0]):
        row[:] = U[i]
        for j in range(row.size):
            U[i, order[j]] = row[j]


@njit(cache=True, nogil=True, error_model="numpy")
def _add_kept(Y, U, order, keep, gains):
    """Do Y = gains Y + keep V, for V[:, order] = U with zeros before its diagonal."""
    for r in range(Y.shape[0]):
        y, u = Y[r], U[r]
        for i in range(y.size):
            y[i] *= gains[i]
        for j in range(r, y.size):
            i = order[j]
            y[i] += keep[i] * u[j]
