"""One mat-vec for every kind of matrix: dense, CSR, permutation and shift, each at the speed of its structure.

``add_matvec(W, x, z)`` does z += W x, whatever the kernel form of W:

===========  ==================================================  =====================================
form         what it is                                          made from
===========  ==================================================  =====================================
dense        (n, m), rows contiguous                             an array
columns      (C,): the transpose C (m, n), rows contiguous       an array with contiguous columns
CSR          (data, indices, indptr), indices unsigned           a sparse matrix
permutation  (weights, indices): z_i += w_i x_index(i)           a sparse matrix, one entry per row
shift        (weights, s): z_i += w_i x_(i - s) mod n            a ring, a diagonal, the identity
===========  ==================================================  =====================================

The forms differ in Numba type, so the choice costs nothing at run time. Called from Python (or with Numba's compiler
switched off) the same names are plain NumPy. Sums over dense rows and CSR rows are split over vector lanes and four
accumulators; all others run in ascending order.

``matmul_rows`` does the same for the rows of a matrix. A dense W meets them in tiles whose sums stay in registers: few
rows as they are, each sum split over the lanes of a vector; `BATCH_ROWS` or more in panels, each sum one chain of fused
multiply-adds in ascending order, so that the bits of a row depend neither on the others nor on their number.
"""

import numpy as np
import scipy.sparse as sp
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, overload

__all__ = ["BATCH_ROWS", "add_matvec", "affine", "kernel_form", "matmul_rows", "matmul_sparse", "panel_rows", "turn"]

BATCH_ROWS = 13
"""Rows from which on `matmul_rows` packs them into panels whether they fill those or not (measured)."""

VECTOR = 32
"""Bytes of the vectors that `matmul_rows` adds up: registers of AVX2, and two of NEON."""

_leaf = njit(error_model="numpy", fastmath={"contract"})
_split_sums = njit(error_model="numpy", fastmath={"reassoc", "contract", "nsz", "arcp"})
# unsigned indices need no test for counting backwards
_ZERO, _ONE, _TWO, _THREE, _FOUR, _SIX, _EIGHT = (np.uint64(i) for i in (0, 1, 2, 3, 4, 6, 8))


def kernel_form(matrix):
    """Return the fastest kernel form of a matrix that `as_matrix` has cleaned."""
    if not sp.issparse(matrix):
        # a single column is contiguous either way; it must not make another type, for which every kernel compiles anew
        columns = matrix.flags.f_contiguous and not (matrix.flags.c_contiguous and matrix.shape[0] == matrix.shape[1])
        return (matrix.T,) if columns else matrix
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
    elif len(W) == 1:
        z += x @ W[0]
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


def turn(A, B, n_rows, n_columns):
    """Do B[j, i] = A[i, j] for the first rows and columns of A; both have contiguous rows."""
    B[:n_columns, :n_rows] = A[:n_rows, :n_columns].T


def panel_rows(itemsize):
    """Return how many rows a panel holds: as many numbers as fill a vector."""
    return VECTOR // itemsize


@overload(add_matvec, jit_options={"error_model": "numpy"})
def _add_matvec(W, x, z):
    kernel = _kernel_for(W)
    return (lambda W, x, z: kernel(W, x, z)) if kernel else None


@overload(affine, jit_options={"error_model": "numpy"})
def _affine(W, x, bias, z):
    kernel = _kernel_for(W)

    def plain(W, x, bias, z):
        z[:] = bias
        kernel(W, x, z)

    def perhaps_one_column(W, x, bias, z):
        if x.size != 1:
            z[:] = bias
            kernel(W, x, z)
            return
        w, x0 = W[0][0], x[0]  # a single input is the common case: one pass instead of two
        for i in range(z.size):
            z[i] = bias[i] + w[i] * x0

    return perhaps_one_column if kernel is _listed_columns else plain if kernel else None


@overload(matmul_rows, jit_options={"error_model": "numpy"})
def _matmul_rows(W, X, Z):
    kernel = _kernel_for(W)
    arrays = [kind for kind in (W, X, Z) if isinstance(kind, types.Array) and kind.layout == "C"]
    if len(arrays) == 3 and W.dtype == X.dtype == Z.dtype:
        panel = panel_rows(W.dtype.bitwidth // 8)

        def dense(W, X, Z):
            if X.shape[0] >= BATCH_ROWS or (X.shape[0] > 0 and X.shape[0] % panel == 0):
                _many_rows(W, X, Z)
            elif X.shape[0] > 1 and W.shape[0] > 3:
                _few_rows(W, X, Z)
            else:
                for r in range(X.shape[0]):
                    Z[r] = 0
                    kernel(W, X[r], Z[r])

        return dense

    def rows(W, X, Z):
        for r in range(X.shape[0]):
            Z[r] = 0
            kernel(W, X[r], Z[r])

    return rows if kernel else None


def _kernel_for(W):
    if isinstance(W, types.Array):
        return _columns if W.layout == "F" else _rows
    if isinstance(W, types.BaseTuple) and len(W) == 1:
        return _listed_columns
    if isinstance(W, types.BaseTuple) and len(W) == 3:
        return _csr
    if isinstance(W, types.BaseTuple) and len(W) == 2:
        return _permutation if isinstance(W[1], types.Array) else _shift
    return None


@_leaf
def _columns(W, x, z):
    _listed_columns((W.T,), x, z)


@_leaf
def _listed_columns(W, x, z):
    """Add eight columns at a time: long contiguous streams also where rows are short."""
    n, m = z.size, x.size
    C = W[0]
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


def _address(context, builder, kind, array, place, lanes=1):
    """Return the address of array[place] in a C array, as that of a vector where there are several lanes."""
    made = context.make_array(kind)(context, builder, array)
    strides = cgutils.unpack_tuple(builder, made.strides, kind.ndim)
    address = builder.ptrtoint(made.data, _INT)
    for index, stride in zip(place, strides, strict=False):
        address = builder.add(address, builder.mul(index, stride))
    number = context.get_data_type(kind.dtype)
    return builder.inttoptr(address, (ir.VectorType(number, lanes) if lanes > 1 else number).as_pointer())


_INT = ir.IntType(64)


def _lanes(kind):
    return panel_rows(kind.dtype.bitwidth // 8)


def _load(builder, pointer, kind):
    loaded = builder.load(pointer)
    loaded.align = kind.dtype.bitwidth // 8  # NumPy promises no more
    return loaded


def _store(builder, vector, pointer, kind):
    builder.store(vector, pointer).align = kind.dtype.bitwidth // 8


def _pick(builder, first, second, places):
    """Return the lanes `places` of two vectors, counted through both."""
    return builder.shuffle_vector(first, second, ir.Constant(ir.VectorType(ir.IntType(32), len(places)), places))


def _spread(builder, number, lanes):
    """Return a vector with the same number in all lanes."""
    vector = ir.Constant(ir.VectorType(number.type, lanes), ir.Undefined)
    vector = builder.insert_element(vector, number, ir.IntType(32)(0))
    return _pick(builder, vector, vector, [0] * lanes)


def _load_at(builder, numbers, j, kind):
    """Return the vector that starts with numbers[j]."""
    vector = ir.VectorType(numbers.type.pointee, _lanes(kind)).as_pointer()
    return _load(builder, builder.bitcast(builder.gep(numbers, [j]), vector), kind)


def _add_product(builder, a, b, total):
    """Do total += a b for vectors, rounded once."""
    bits = {"double": 64, "float": 32}[str(a.type.element)]
    fma = ir.FunctionType(a.type, [a.type] * 3)
    fma = cgutils.get_or_insert_function(builder.module, fma, f"llvm.fma.v{a.type.count}f{bits}")
    builder.store(builder.call(fma, [a, b, builder.load(total)]), total)


def _sum_lanes(builder, vectors):
    """Return the vector of the sums over the lanes of four vectors of four or eight lanes."""

    def add(a, b, first, second):
        return builder.fadd(_pick(builder, a, b, first), _pick(builder, a, b, second))

    if vectors[0].type.count == 8:
        vectors = [add(v, v, [0, 1, 2, 3], [4, 5, 6, 7]) for v in vectors]
    for _ in range(2):
        vectors = [add(a, b, [0, 2, 4, 6], [1, 3, 5, 7]) for a, b in zip(vectors[::2], vectors[1::2], strict=True)]
    return vectors[0]


def _tile(n_rows, n_panels):
    """Return tile(W, P, Q, i, p): Q[p'][i'] = sum over j of W[i', j] P[p'][j], for so many rows i' and panels p'.

    The sums stay in registers: per j a tile loads `n_panels` vectors of P and spreads `n_rows` numbers of W. Numba's
    own loops would not keep them there. Rows past the end repeat the last one.
    """

    def generate(context, builder, signature, arguments):
        kinds, (W, P, Q, i, p) = signature.args, arguments
        lanes = _lanes(kinds[0])
        vector = ir.VectorType(context.get_data_type(kinds[0].dtype), lanes)
        n, m = cgutils.unpack_tuple(builder, context.make_array(kinds[0])(context, builder, W).shape, 2)
        last = builder.sub(n, _INT(1))
        rows = [builder.add(i, _INT(k)) for k in range(n_rows)]
        rows = [builder.select(builder.icmp_unsigned("<", row, last), row, last) for row in rows]
        panels = [builder.add(p, _INT(k)) for k in range(n_panels)]
        weights = [_address(context, builder, kinds[0], W, [row]) for row in rows]
        vectors = [_address(context, builder, kinds[1], P, [panel]) for panel in panels]
        zero = ir.Constant(vector, None)
        sums = [[cgutils.alloca_once_value(builder, zero) for _ in panels] for _ in rows]
        with cgutils.for_range(builder, m, intp=_INT) as loop:
            start = builder.mul(loop.index, _INT(lanes))
            x = [_load_at(builder, v, start, kinds[1]) for v in vectors]
            for row, row_sums in zip(weights, sums, strict=True):
                w = _spread(builder, builder.load(builder.gep(row, [loop.index])), lanes)
                for x_k, s in zip(x, row_sums, strict=True):
                    _add_product(builder, w, x_k, s)
        for row, row_sums in zip(rows, sums, strict=True):
            for panel, s in zip(panels, row_sums, strict=True):
                target = _address(context, builder, kinds[2], Q, [panel, row], lanes)
                _store(builder, builder.load(s), target, kinds[2])
        return context.get_dummy_value()

    return intrinsic(lambda typingctx, W, P, Q, i, p: (types.void(W, P, Q, i, p), generate))


_six_by_two, _eight_by_one = _tile(6, 2), _tile(8, 1)


@intrinsic
def _turn_block(typingctx, A, i, j, B):
    """Do B[j + c, i + r] = A[i + r, j + c] for a square block, as wide as a vector."""

    def generate(context, builder, signature, arguments):
        kinds, (A, i, j, B) = signature.args, arguments
        builder.function.attributes.add("noinline")  # one copy in the machine code of a kernel is enough
        lanes = _lanes(kinds[0])
        half, steps = lanes // 2, [_INT(k) for k in range(lanes)]
        rows = [_address(context, builder, kinds[0], A, [builder.add(i, k), j], lanes) for k in steps]
        block = [_load(builder, row, kinds[0]) for row in rows]
        halves = [[k for c in range(first, first + half) for k in (c, lanes + c)] for first in (0, half)]
        for _ in range(lanes.bit_length() - 1):  # riffle the first half of the rows with the second
            pairs = zip(block[:half], block[half:], strict=True)
            block = [_pick(builder, a, b, places) for a, b in pairs for places in halves]
        for k, row in zip(steps, block, strict=True):
            _store(builder, row, _address(context, builder, kinds[3], B, [builder.add(j, k), i], lanes), kinds[3])
        return context.get_dummy_value()

    return types.void(A, i, j, B), generate


@overload(turn, jit_options={"error_model": "numpy"})
def _turn(A, B, n_rows, n_columns):
    def blocks(A, B, n_rows, n_columns):
        lanes = np.uint64(VECTOR // A.itemsize)
        rows, columns = np.uint64(n_rows), np.uint64(n_columns)
        whole_rows, whole_columns = rows - rows % lanes, columns - columns % lanes
        for i in range(_ZERO, whole_rows, lanes):
            for j in range(_ZERO, whole_columns, lanes):
                _turn_block(A, i, j, B)
        for i in range(rows):
            for j in range(whole_columns if i < whole_rows else _ZERO, columns):
                B[j, i] = A[i, j]

    return blocks


@njit(error_model="numpy")
def _many_rows(W, X, Z):
    """Do Z[r] = W X[r] by tiles of W against panels, in which as many rows of X as fill a vector lie side by side.

    Everything streams in the order of memory; cutting the sums to keep parts of W and X in the first cache costs more
    than it gains (measured up to 6000 columns).
    """
    n, n_vectors, lanes = np.uint64(W.shape[0]), X.shape[0], VECTOR // W.itemsize
    n_panels = (n_vectors + lanes - 1) // lanes
    P, Q = np.empty((n_panels, W.shape[1], lanes), X.dtype), np.empty((n_panels, W.shape[0], lanes), X.dtype)
    P[n_panels - 1] = 0  # the last panel need not be full
    for p in range(n_panels):
        rows = X[p * lanes : (p + 1) * lanes]
        turn(rows, P[p], rows.shape[0], rows.shape[1])
    paired = np.uint64(n_panels - n_panels % 2)
    for i in range(_ZERO, n, _SIX):
        for p in range(_ZERO, paired, _TWO):
            _six_by_two(W, P, Q, i, p)
    if paired < n_panels:
        for i in range(_ZERO, n, _EIGHT):
            _eight_by_one(W, P, Q, i, paired)
    for p in range(n_panels):
        rows = Z[p * lanes : (p + 1) * lanes]
        turn(Q[p], rows, rows.shape[1], rows.shape[0])


def _dots(n_vectors):
    """Return dots(W, X, Z, i, r): Z[r', i'] = sum over j of W[i', j] X[r', j], for four rows i' and so many r'.

    Nothing is packed: the vectors lie along the rows, and the lanes of each sum are added up at its end.
    """

    def generate(context, builder, signature, arguments):
        kinds, (W, X, Z, i, r) = signature.args, arguments
        lanes, number = _lanes(kinds[0]), context.get_data_type(kinds[0].dtype)
        m = cgutils.unpack_tuple(builder, context.make_array(kinds[0])(context, builder, W).shape, 2)[1]
        whole = builder.and_(m, _INT(-lanes))
        rows = [_address(context, builder, kinds[0], W, [builder.add(i, _INT(k))]) for k in range(4)]
        places = [builder.add(r, _INT(k)) for k in range(n_vectors)]
        vectors = [_address(context, builder, kinds[1], X, [place]) for place in places]
        zero = ir.Constant(ir.VectorType(number, lanes), None)
        sums = [[cgutils.alloca_once_value(builder, zero) for _ in rows] for _ in vectors]
        with cgutils.for_range_slice(builder, _INT(0), whole, _INT(lanes), intp=_INT) as (j, _):
            x = [_load_at(builder, v, j, kinds[1]) for v in vectors]
            for k, row in enumerate(rows):
                w = _load_at(builder, row, j, kinds[0])
                for x_k, row_sums in zip(x, sums, strict=True):
                    _add_product(builder, w, x_k, row_sums[k])
        totals = [_sum_lanes(builder, [builder.load(s) for s in row_sums]) for row_sums in sums]
        totals = [cgutils.alloca_once_value(builder, total) for total in totals]
        with cgutils.for_range_slice(builder, whole, m, _INT(1), intp=_INT) as (j, _):
            w = ir.Constant(ir.VectorType(number, 4), ir.Undefined)
            for k, row in enumerate(rows):
                w = builder.insert_element(w, builder.load(builder.gep(row, [j])), ir.IntType(32)(k))
            for v, total in zip(vectors, totals, strict=True):
                _add_product(builder, w, _spread(builder, builder.load(builder.gep(v, [j])), 4), total)
        for place, total in zip(places, totals, strict=True):
            _store(builder, builder.load(total), _address(context, builder, kinds[2], Z, [place, i], 4), kinds[2])
        return context.get_dummy_value()

    return intrinsic(lambda typingctx, W, X, Z, i, r: (types.void(W, X, Z, i, r), generate))


_four_by_three, _four_by_two = _dots(3), _dots(2)


@njit(error_model="numpy")
def _few_rows(W, X, Z):
    """Do Z[r] = W X[r] for two rows or few more: four of W (at its end some again) meet three of X, or two."""
    n, k = np.uint64(W.shape[0]), np.uint64(X.shape[0])
    threes = k - _FOUR if k % _THREE == _ONE else k - k % _THREE
    for step in range(_ZERO, n, _FOUR):
        i = min(step, n - _FOUR)
        for r in range(_ZERO, threes, _THREE):
            _four_by_three(W, X, Z, i, r)
        for r in range(threes, k, _TWO):
            _four_by_two(W, X, Z, i, r)


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
