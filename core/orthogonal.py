"""Orthonormalise a few or many tangent vectors in place, keeping the logarithms of how much they grew."""

import numpy as np
from numba import njit

from penstock.threads import one_blas_thread

__all__ = ["orthonormalise", "renormalise"]

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
    """Do what `orthonormalise` does, faster, for many vectors only nearly: rows of unit length that may lean a little.

    V = R^T Q by one Cholesky factor of V V^T. The span of every first i rows is kept as well as by `orthonormalise`;
    the angles are right to the squared condition number of V times the rounding. What a logarithm misses by that,
    the next one makes up for, so that sums which start and end at an orthonormal basis are exact.
    """
    if len(V) <= FEW:
        _gram_schmidt(V, logs)
    elif not _cholesky(V, logs):
        _householder(V, logs)


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
