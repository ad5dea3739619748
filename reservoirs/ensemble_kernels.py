"""Kernels of ensembles: networks that share W advance by one product per step; their Gram matrices and readouts.

Networks lie side by side in the last axis, so that a vector instruction serves as many of them as it has lanes. The
sums of each run in one order, whatever stands beside it: its numbers are the same bits in any company.
"""

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from penstock.matvec import add_matvec, affine, turn
from penstock.vmath import activate

__all__ = ["BAND", "add_grams", "advance", "advance_each", "n_lanes", "solve_ridge"]

BAND = 4
"""Rows of a tile, whose sums stay in registers with up to three vectors each."""
DEPTH = np.uint64(32)
"""Rows that a Gram matrix takes at a time: those of 100 units stay in the first cache."""

_leaf = njit(error_model="numpy", fastmath={"contract"})
_ZERO, _ONE, _TWO, _THREE, _BAND = (np.uint64(i) for i in (0, 1, 2, 3, BAND))


def n_lanes(dtype) -> int:
    """Return how many numbers of a type lie in a vector of 32 bytes; panels of networks are multiples of it."""
    return 32 // np.dtype(dtype).itemsize


# --- tiles: products whose sums never leave the registers -----------------------------------------------------------


def add_product(W, X, Z):
    """Do Z += W X for W (4 p, n), X (n, q lanes) and Z (4 p, q lanes), all in C order."""
    Z += W @ X


def add_gram(A, G):
    """Add A^T A, for rows A (T, 4 p) of float64 in C order, to the upper triangle of G; below stands anything."""
    G += A.T @ A


def _tile(n_vectors):
    """Return a function that adds to four rows of Z, so many vectors of each, a product of W and X.

    It takes flat arrays and places in them: the tile begins at w, x and z; from row to row W moves by w_row and Z by
    z_row, and from term to term W moves by w_step and X by x_step.
    """

    def typer(typingctx, W, w, w_row, w_step, X, x, x_step, n_terms, Z, z, z_row):
        def codegen(context, builder, signature, args):
            number, place = context.get_data_type(Z.dtype), ir.IntType(64)
            lanes = 32 // context.get_abi_sizeof(number)
            vector, align = ir.VectorType(number, lanes), context.get_abi_sizeof(number)
            data = [context.make_array(kind)(context, builder, args[i]).data for i, kind in ((0, W), (4, X), (8, Z))]
            w, w_row, w_step, x, x_step, n_terms, z, z_row = (args[i] for i in (1, 2, 3, 5, 6, 7, 9, 10))
            name = f"llvm.fma.v{lanes}f{8 * align}"
            fma = cgutils.get_or_insert_function(builder.module, ir.FunctionType(vector, [vector] * 3), name)

            def vectors(base, at):
                ends = [builder.gep(base, [builder.add(at, place(v * lanes))]) for v in range(n_vectors)]
                return [builder.bitcast(end, vector.as_pointer()) for end in ends]

            def moved(start, row, step):
                return builder.add(start, builder.mul(row if hasattr(row, "type") else place(row), step))

            targets = [vectors(data[2], moved(z, r, z_row)) for r in range(BAND)]
            sums = [[cgutils.alloca_once(builder, vector) for _ in row] for row in targets]
            for row, own in zip(targets, sums, strict=True):
                for target, total in zip(row, own, strict=True):
                    builder.store(builder.load(target, align=align), total)
            with cgutils.for_range(builder, n_terms) as loop:
                factors = [builder.load(end, align=align) for end in vectors(data[1], moved(x, loop.index, x_step))]
                for r, own in enumerate(sums):
                    weight = builder.load(builder.gep(data[0], [moved(moved(w, loop.index, w_step), r, w_row)]))
                    spread = _splat(builder, weight, vector)
                    for factor, total in zip(factors, own, strict=True):
                        builder.store(builder.call(fma, [spread, factor, builder.load(total)]), total)
            for row, own in zip(targets, sums, strict=True):
                for target, total in zip(row, own, strict=True):
                    builder.store(builder.load(total), target, align=align)
            return context.get_dummy_value()

        return types.void(W, w, w_row, w_step, X, x, x_step, n_terms, Z, z, z_row), codegen

    return intrinsic(typer)


def _splat(builder, value, vector):
    """Return a vector of one value."""
    nothing = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(nothing, value, ir.IntType(32)(0))
    return builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(ir.IntType(32), vector.count), None))


_tile1, _tile2, _tile3 = _tile(1), _tile(2), _tile(3)


@_leaf
def _add_tiles(W, w, w_row, w_step, X, x, x_step, n_terms, Z, z, z_row, width, lanes):
    """Add the products of four rows of W with a band of X: three vectors at a time, of the last four two and two.

    A single vector takes as long as two: its four sums leave the units for multiply-adds half empty.
    """
    two, three = _TWO * lanes, _THREE * lanes
    r = _ZERO
    while width - r == three or width - r > two + two:
        _tile3(W, w, w_row, w_step, X, x + r, x_step, n_terms, Z, z + r, z_row)
        r += three
    while r + two <= width:
        _tile2(W, w, w_row, w_step, X, x + r, x_step, n_terms, Z, z + r, z_row)
        r += two
    if r < width:
        _tile1(W, w, w_row, w_step, X, x + r, x_step, n_terms, Z, z + r, z_row)


@overload(add_product, jit_options={"error_model": "numpy"})
def _add_product(W, X, Z):
    lanes = np.uint64(32 // (Z.dtype.bitwidth // 8))

    def tiles(W, X, Z):
        n, width = np.uint64(W.shape[1]), np.uint64(X.shape[1])
        for i in range(_ZERO, np.uint64(W.shape[0]), _BAND):
            _add_tiles(W, i * n, n, _ONE, X, _ZERO, width, n, Z, i * width, width, width, lanes)

    return tiles


@overload(add_gram, jit_options={"error_model": "numpy"})
def _add_gram(A, G):
    lanes = np.uint64(4)

    def tiles(A, G):
        width, n_rows = np.uint64(A.shape[1]), np.uint64(A.shape[0])
        for start in range(_ZERO, n_rows, DEPTH):
            depth, at = min(DEPTH, n_rows - start), start * width
            for i in range(_ZERO, width, _BAND):
                _add_tiles(A, at + i, _ONE, width, A, at + i, width, depth, G, i * width + i, width, width - i, lanes)

    return tiles


# --- kernels --------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def advance(panel, code, u, X, Z, reference, rows):
    """Run networks side by side, X (N, P), through u (T, m); write x_t - reference into rows (P, T or 0, 1 + N + …).

    Z (N or more, P) is scratch that begins and ends as zeros. What is summed over units is flat: short loops cost more.
    """
    W, W_in, bias, radius, keep, leak = panel
    n_units, n_rows = X.shape[0], rows.shape[0]
    x, z = X.reshape(X.size), Z[:n_units].reshape(X.size)
    deviations = np.empty(reference.shape)
    d, origin = deviations.reshape(X.size), reference.reshape(X.size)
    for t in range(u.shape[0]):
        add_product(W, X, Z)
        if u.shape[1] == 1:  # the common case in one pass
            w, u_0 = W_in[0], u[t, 0]
            for f in range(z.size):
                z[f] = radius[f] * z[f] + bias[f] + w[f] * u_0
        else:
            for f in range(z.size):
                z[f] = radius[f] * z[f] + bias[f]
            for j in range(u.shape[1]):
                w, u_j = W_in[j], u[t, j]
                for f in range(z.size):
                    z[f] += w[f] * u_j
        activate(code, z)
        for f in range(z.size):
            x[f] = keep[f] * x[f] + leak[f] * z[f]
            z[f] = 0
        if rows.shape[1]:
            for f in range(d.size):
                d[f] = np.float64(x[f]) - origin[f]
            turn(deviations, rows[:, t, 1:], n_units, n_rows)


@njit(cache=True, nogil=True, error_model="numpy")
def advance_each(group, code, u, X, reference, rows):
    """Run networks one after the other, X (P, N), each with weights of its own; rows as in `advance`.

    Their bits are those of an `ESN` that runs by itself.
    """
    weights, input_weights, biases, keeps, leaks = group
    z = np.empty_like(X[0])
    for r in range(X.shape[0]):
        W, W_in, bias, keep, leak = weights[r], (input_weights[r],), biases[r], keeps[r], leaks[r]
        x, origin = X[r], reference[r]
        for t in range(u.shape[0]):
            affine(W_in, u[t], bias, z)
            add_matvec(W, x, z)
            activate(code, z)
            for i in range(x.size):
                x[i] = keep[i] * x[i] + leak[i] * z[i]
            if rows.shape[1]:
                row = rows[r, t]
                for i in range(x.size):
                    row[1 + i] = np.float64(x[i]) - origin[i]


@njit(cache=True, nogil=True, error_model="numpy")
def add_grams(rows, G):
    """Add the Gram matrix of the rows (P, T, width) of every network to the upper triangle of its G."""
    for r in range(rows.shape[0]):
        add_gram(rows[r], G[r])


@_leaf
def _eliminate(C, start, stop, floor):
    """Replace rows start … stop - 1 of the upper triangle by those of U, C = U^T U; return whether pivots held.

    Two rows leave at a time, so that those below are read and written half as often.
    """
    end = C.shape[0]
    held = True
    for k in range(start, stop, 2):
        one, two = C[k], C[min(k + 1, stop - 1)]
        held &= one[k] > floor
        scale = 1.0 / np.sqrt(max(one[k], 1e-300))
        for j in range(k, end):
            one[j] *= scale
        if k + 1 == stop:
            for i in range(stop, end):
                row, a = C[i], one[i]
                for j in range(i, end):
                    row[j] -= a * one[j]
            break
        a = one[k + 1]
        for j in range(k + 1, end):
            two[j] -= a * one[j]
        held &= two[k + 1] > floor
        scale = 1.0 / np.sqrt(max(two[k + 1], 1e-300))
        for j in range(k + 1, end):
            two[j] *= scale
        for i in range(k + 2, end):
            row, a, b = C[i], one[i], two[i]
            for j in range(i, end):
                row[j] = row[j] - a * one[j] - b * two[j]
    return held


@njit(cache=True, nogil=True, error_model="numpy")
def solve_ridge(G, n_units, alpha, W_out, offset, error, sure):
    """Solve the ridge regressions whose sums are G (P, width, width), upper triangles for rows [1, x, y, 0 …].

    W_out (P, k, N) and offset (P, k) receive the line, error (P, k) its sum of squares. Where a pivot is lost in
    rounding, sure (P,) is False. The elimination (Cholesky, U^T U) carries the targets as further columns.
    """
    n_outputs = offset.shape[1]
    end = 1 + n_units + n_outputs
    C = np.zeros((end, end))
    for p in range(G.shape[0]):
        total = G[p, 0]
        largest = 0.0
        for i in range(1, end):
            share, sums, row = total[i] / total[0], G[p, i], C[i]
            for j in range(i, end):
                row[j] = sums[j] - share * total[j]
            if i <= n_units:
                row[i] += alpha
                largest = max(largest, row[i])
        floor = 4.0 * n_units * 2.220446049250313e-16 * largest
        sure[p] = _eliminate(C, 1, 1 + n_units, floor) and largest > 0.0
        if not sure[p]:
            continue
        for o in range(n_outputs):
            w, y = W_out[p, o], 1 + n_units + o
            squares, level = 0.0, total[y] / total[0]
            for i in range(n_units - 1, -1, -1):
                row = C[1 + i]
                s = row[y]
                for j in range(i + 1, n_units):
                    s -= row[1 + j] * w[j]
                w[i] = s / row[1 + i]
                squares += w[i] * w[i]
                level -= w[i] * total[1 + i] / total[0]
            offset[p, o], error[p, o] = level, C[y, y] - alpha * squares
