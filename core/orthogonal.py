"""Orthonormalise a few or many tangent vectors in place, keeping the logarithms of how much they grew."""

import numpy as np
from numba import njit
from scipy.linalg.lapack import dgeqrf, dorgqr, sgeqrf, sorgqr

from penstock.threads import one_blas_thread

__all__ = ["gram_schmidt", "orthonormalise"]

FEW = 12
"""Up to so many vectors Gram-Schmidt beats LAPACK (measured, see `performance.md`)."""


def orthonormalise(V, logs):
    """Replace the rows of V (k, n) by an orthonormal basis in the same order; logs (k,) receives ln |R_ii|.

    A vector that lies in the span of those before it has ln |R_ii| = -inf.
    """
    if len(V) <= FEW:
        _gram_schmidt(V, logs)
    else:
        _householder(V, logs)


@one_blas_thread
def _householder(V, logs):
    geqrf, orgqr = (sgeqrf, sorgqr) if V.dtype == np.float32 else (dgeqrf, dorgqr)
    factor, tau, _, _ = geqrf(V.T, overwrite_a=True)
    with np.errstate(divide="ignore"):
        logs[:] = np.log(np.abs(np.diagonal(factor)))
    basis, _, _ = orgqr(factor, tau, overwrite_a=True)
    if not np.shares_memory(basis, V):
        V[:] = basis.T


@njit(error_model="numpy", fastmath={"reassoc", "contract", "nsz", "arcp"})
def gram_schmidt(V, logs):
    """Modified Gram-Schmidt with a second pass over the rows of V, in place; a leaf for other kernels."""
    k, n = V.shape
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
        if after <= 1e-30 * before:  # nothing but rounding is left
            v[:] = 0
            logs[i] = -np.inf
        else:
            logs[i] = 0.5 * np.log(after)
            scale = V.dtype.type(1 / np.sqrt(after))
            for j in range(n):
                v[j] *= scale


@njit(cache=True, nogil=True, error_model="numpy")
def _gram_schmidt(V, logs):
    gram_schmidt(V, logs)
