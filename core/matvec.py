"""One mat-vec for every kind of matrix: dense, CSR, permutation and shift, each at the speed of its structure.

``add_matvec(W, x, z)`` does z += W x, whatever the kernel form of W:

===========  ==================================================  =====================================
form         what it is                                          made from
===========  ==================================================  =====================================
dense        (n, m), rows or columns contiguous                  an array
CSR          (data, indices, indptr), indices unsigned           a sparse matrix
permutation  (weights, indices): z_i += w_i x_index(i)           a sparse matrix, one entry per row
shift        (weights, s): z_i += w_i x_(i - s) mod n            a ring, a diagonal, the identity
===========  ==================================================  =====================================

The forms differ in Numba type, so the choice costs nothing at run time. Called from Python (or with Numba's compiler
switched off) the same names are plain NumPy. Sums over dense rows and CSR rows are split over vector lanes and four
accumulators; all others run in ascending order. ``matmul_rows`` does the same for the rows of a matrix: up to
`FEW_ROWS` meet a dense W in one pass over it, more go to BLAS.
"""

import numpy as np
import scipy.sparse as sp
from numba import njit, types
from numba.extending import overload

__all__ = ["add_matvec", "affine", "kernel_form", "matmul_rows", "matmul_sparse"]

FEW_ROWS = 13
"""Up to so many rows, twelve tangents and their state, one pass over W beats BLAS (measured, see `performance.md`)."""

_leaf = njit(error_model="numpy", fastmath={"contract"})
_split_sums = njit(error_model="numpy", fastmath={"reassoc", "contract", "nsz", "arcp"})
_ONE, _TWO, _THREE, _FOUR = (np.uint64(i) for i in (1, 2, 3, 4))  # unsigned indices need no test for counting backwards


def kernel_form(matrix):
    """Return the fastest kernel form of a matrix that `as_matrix` has cleaned."""
    if not sp.issparse(matrix):
        return matrix
    data, indices, indptr = matrix.data, matrix.indices.astype(np.uint32), matrix.indptr.astype(np.uint32)
    n_rows, n_columns = matrix.shape
    if n_rows != n_columns or n_rows == 0 or not (np.diff(indptr) == 1).all():
        return data, indices, indptr
    shifts = (np.arange(n_rows) - indices.astype(np.int64)) % n_rows
    if (shifts == shifts[0]).all():
        return data, int(shifts[0])
    return data, indices


def add_matvec(W, x, z):
    """Do z += W x for a matrix in kernel form."""
    if isinstance(W, np.ndarray):
        z += W @ x
    elif len(W) == 3:
        data, indices, indptr = W
        np.add.at(z, np.repeat(np.arange(z.size), np.diff(indptr.astype(np.int64))), data * x[indices])
    else:
        z += W[0] * (x[W[1]] if isinstance(W[1], np.ndarray) else np.roll(x, W[1]))


def affine(W, x, bias, z):
    """Do z = bias + W x for a matrix in kernel form."""
    z[:] = bias
    add_matvec(W, x, z)


def matmul_rows(W, X, Z):
    """Do Z[r] = W X[r] for every row r and a matrix in kernel form."""
    Z[:] = 0
    for x, z in zip(X, Z, strict=True):
        add_matvec(W, x, z)


@overload(add_matvec, jit_options={"error_model": "numpy"})
def _add_matvec(W, x, z):
    kernel = _kernel_for(W)

    def perhaps_one_column(W, x, z):
        if W.shape[1] == 1:
            _one_column(W.reshape(W.size), x[0], z)
        else:
            kernel(W, x, z)

    if isinstance(W, types.Array) and W.layout == "C":
        return perhaps_one_column
    return (lambda W, x, z: kernel(W, x, z)) if kernel else None


@overload(affine, jit_options={"error_model": "numpy"})
def _affine(W, x, bias, z):
    kernel = _kernel_for(W)

    def plain(W, x, bias, z):
        z[:] = bias
        kernel(W, x, z)

    def perhaps_one_column(W, x, bias, z):
        if W.shape[1] != 1:
            z[:] = bias
            kernel(W, x, z)
            return
        w, x0 = W.reshape(W.size), x[0]  # a single input is the common case: one pass instead of two
        for i in range(z.size):
            z[i] = bias[i] + w[i] * x0

    # Numba takes a single column, which is contiguous either way, for rows
    return perhaps_one_column if isinstance(W, types.Array) and W.layout == "C" else plain


@overload(matmul_rows, jit_options={"error_model": "numpy"})
def _matmul_rows(W, X, Z):
    kernel = _kernel_for(W)

    def dense(W, X, Z):
        if 1 < X.shape[0] <= FEW_ROWS:
            _few_rows(W, X, Z)
        else:
            _matmul_dense(W, X, Z)

    if isinstance(W, types.Array):
        return dense if W.layout == "C" else (lambda W, X, Z: _matmul_dense(W, X, Z))

    def rows(W, X, Z):
        for r in range(X.shape[0]):
            Z[r] = 0
            kernel(W, X[r], Z[r])

    return rows if kernel else None


def _kernel_for(W):
    if isinstance(W, types.Array):
        return _columns if W.layout == "F" else _rows
    if isinstance(W, types.BaseTuple) and len(W) == 3:
        return _csr
    if isinstance(W, types.BaseTuple) and len(W) == 2:
        return _permutation if isinstance(W[1], types.Array) else _shift
    return None


@njit(error_model="numpy")
def _matmul_dense(W, X, Z):
    np.dot(X, W.T, Z)


@_leaf
def _columns(W, x, z):
    """Add eight columns at a time: long contiguous streams also where rows are short."""
    n, m = z.size, x.size
    C = W.T
    j = 0
    while j + 8 <= m:
        x0, x1, x2, x3, x4, x5, x6, x7 = x[j], x[j + 1], x[j + 2], x[j + 3], x[j + 4], x[j + 5], x[j + 6], x[j + 7]
        w0, w1, w2, w3 = C[j], C[j + 1], C[j + 2], C[j + 3]
        w4, w5, w6, w7 = C[j + 4], C[j + 5], C[j + 6], C[j + 7]
        for i in range(n):
            s = z[i] + w0[i] * x0 + w1[i] * x1 + w2[i] * x2 + w3[i] * x3
            z[i] = s + w4[i] * x4 + w5[i] * x5 + w6[i] * x6 + w7[i] * x7
        j += 8
    while j < m:
        xj, wj = x[j], C[j]
        for i in range(n):
            z[i] += wj[i] * xj
        j += 1


@_leaf
def _one_column(w, x0, z):
    """Add a single column, a row of length one to `_rows`, in one vector pass with the same rounding."""
    for i in range(z.size):
        z[i] += w[i] * x0


@_split_sums
def _rows(W, x, z):
    """Add four rows at a time; the compiler splits each sum over its vector lanes."""
    n, m = z.size, x.size
    i = 0
    while i + 4 <= n:
        w0, w1, w2, w3 = W[i], W[i + 1], W[i + 2], W[i + 3]
        s0, s1, s2, s3 = z[i], z[i + 1], z[i + 2], z[i + 3]
        for j in range(m):
            xj = x[j]
            s0 += w0[j] * xj
            s1 += w1[j] * xj
            s2 += w2[j] * xj
            s3 += w3[j] * xj
        z[i], z[i + 1], z[i + 2], z[i + 3] = s0, s1, s2, s3
        i += 4
    while i < n:
        w, s = W[i], z[i]
        for j in range(m):
            s += w[j] * x[j]
        z[i] = s
        i += 1


@_split_sums
def _few_rows(W, X, Z):
    """Do Z[r] = W X[r] for two rows or more: four rows of W stay in the first cache until all of X has met them."""
    n, k = np.uint64(W.shape[0]), np.uint64(X.shape[0])
    whole = n - n % _FOUR
    threes = k - _FOUR if k % _THREE == _ONE else k - k % _THREE  # the rest goes in pairs
    for i in range(np.uint64(0), whole, _FOUR):
        for r in range(np.uint64(0), threes, _THREE):
            _four_by_three(W, X, Z, i, r)
        for r in range(threes, k, _TWO):
            _four_by_two(W, X, Z, i, r)
    for i in range(whole, n):
        for r in range(k):
            s = Z.dtype.type(0)
            for j in range(np.uint64(X.shape[1])):
                s += W[i, j] * X[r, j]
            Z[r, i] = s


@_split_sums
def _four_by_three(W, X, Z, i, r):
    """Twelve sums, which is what the registers hold; W is named late, or some would be spilled to memory."""
    i1, i2, i3, r1, r2 = i + _ONE, i + _TWO, i + _THREE, r + _ONE, r + _TWO
    a0 = a1 = a2 = b0 = b1 = b2 = c0 = c1 = c2 = d0 = d1 = d2 = Z.dtype.type(0)
    for j in range(np.uint64(X.shape[1])):
        x0, x1, x2 = X[r, j], X[r1, j], X[r2, j]
        w = W[i, j]
        a0 += w * x0
        a1 += w * x1
        a2 += w * x2
        w = W[i1, j]
        b0 += w * x0
        b1 += w * x1
        b2 += w * x2
        w = W[i2, j]
        c0 += w * x0
        c1 += w * x1
        c2 += w * x2
        w = W[i3, j]
        d0 += w * x0
        d1 += w * x1
        d2 += w * x2
    Z[r, i], Z[r, i1], Z[r, i2], Z[r, i3] = a0, b0, c0, d0
    Z[r1, i], Z[r1, i1], Z[r1, i2], Z[r1, i3] = a1, b1, c1, d1
    Z[r2, i], Z[r2, i1], Z[r2, i2], Z[r2, i3] = a2, b2, c2, d2


@_split_sums
def _four_by_two(W, X, Z, i, r):
    i1, i2, i3, r1 = i + _ONE, i + _TWO, i + _THREE, r + _ONE
    a0 = a1 = b0 = b1 = c0 = c1 = d0 = d1 = Z.dtype.type(0)
    for j in range(np.uint64(X.shape[1])):
        x0, x1 = X[r, j], X[r1, j]
        w = W[i, j]
        a0 += w * x0
        a1 += w * x1
        w = W[i1, j]
        b0 += w * x0
        b1 += w * x1
        w = W[i2, j]
        c0 += w * x0
        c1 += w * x1
        w = W[i3, j]
        d0 += w * x0
        d1 += w * x1
    Z[r, i], Z[r, i1], Z[r, i2], Z[r, i3] = a0, b0, c0, d0
    Z[r1, i], Z[r1, i1], Z[r1, i2], Z[r1, i3] = a1, b1, c1, d1


@_leaf
def _csr(W, x, z):
    data, indices, indptr = W
    for i in range(z.size):
        start, stop = indptr[i], indptr[i + 1]
        whole = start + (stop - start) // np.uint32(4) * np.uint32(4)
        s0 = s1 = s2 = s3 = z.dtype.type(0)
        k = start
        while k < whole:
            s0 += data[k] * x[indices[k]]
            s1 += data[k + np.uint32(1)] * x[indices[k + np.uint32(1)]]
            s2 += data[k + np.uint32(2)] * x[indices[k + np.uint32(2)]]
            s3 += data[k + np.uint32(3)] * x[indices[k + np.uint32(3)]]
            k += np.uint32(4)
        while k < stop:
            s0 += data[k] * x[indices[k]]
            k += np.uint32(1)
        z[i] += (s0 + s1) + (s2 + s3)


@_leaf
def _permutation(W, x, z):
    weights, indices = W
    for i in range(z.size):
        z[i] += weights[i] * x[indices[i]]


@_leaf
def _shift(W, x, z):
    weights, s = W
    n = z.size
    head_w, head_x, head_z = weights[:s], x[n - s :], z[:s]
    for i in range(head_z.size):
        head_z[i] += head_w[i] * head_x[i]
    tail_w, tail_x, tail_z = weights[s:], x[: n - s], z[s:]
    for i in range(tail_z.size):
        tail_z[i] += tail_w[i] * tail_x[i]


@_leaf
def matmul_sparse(W, X, Z):
    """Do Z += W X for a CSR triplet W and matrices X (m, B), Z (n, B): four non-zeros of a row at a time."""
    data, indices, indptr = W
    for i in range(Z.shape[0]):
        z = Z[i]
        k, stop = indptr[i], indptr[i + 1]
        while k + np.uint32(4) <= stop:
            k1, k2, k3 = k + np.uint32(1), k + np.uint32(2), k + np.uint32(3)
            d0, d1, d2, d3 = data[k], data[k1], data[k2], data[k3]
            x0, x1, x2, x3 = X[indices[k]], X[indices[k1]], X[indices[k2]], X[indices[k3]]
            for b in range(z.size):
                z[b] = z[b] + d0 * x0[b] + d1 * x1[b] + d2 * x2[b] + d3 * x3[b]
            k += np.uint32(4)
        while k < stop:
            d0, x0 = data[k], X[indices[k]]
            for b in range(z.size):
                z[b] += d0 * x0[b]
            k += np.uint32(1)
