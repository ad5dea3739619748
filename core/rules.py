"""Kernels that run and push a user's compiled rule; `penstock.adapters` calls them, `penstock.pinning` caches them.

They take the user's functions, so they are never cached as they stand: `specialise` makes cached ones. A step is
`substeps` times x <- keep x + sum of b_s rule(x_s) with the stages x_{s+1} = x + a_s rule(x_s), and tangents go through
the same stages. `size` and `rows` have lengths n and k and mean nothing else: as tuples they let the compiler unroll.
"""

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic, overload
from numba.np.arrayobj import make_array

__all__ = ["by_complex_step", "by_differences", "by_jacobian", "carry", "iterate"]

PART: dict[str, Any] = {"error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""Options of what only other kernels call: no wrappers for Python are compiled."""

FAST = {"reassoc", "contract", "nsz", "arcp"}


def _put(values, out):
    """Write what a rule returned, an array or a tuple (of tuples), into out."""
    out[...] = values


@overload(_put)
def _put_compiled(values, out):
    if isinstance(values, types.BaseTuple):
        return lambda values, out: _store(values, out)
    if out.ndim == 2:

        def put(values, out):
            for i in range(out.shape[0]):
                for j in range(out.shape[1]):
                    out[i, j] = values[i, j]
    else:

        def put(values, out):
            for i in range(out.shape[0]):
                out[i] = values[i]

    return put


@intrinsic
def _store(context, values, out):
    """Write the numbers of a tuple (of tuples) into a contiguous array, one after the other: no loop to compile."""

    def generate(context, builder, signature, arguments):
        kind = signature.args[1]
        start = make_array(kind)(context, builder, arguments[1]).data
        for place, (number, its_type) in enumerate(_flatten(builder, arguments[0], signature.args[0])):
            number = context.cast(builder, number, its_type, kind.dtype)
            builder.store(number, builder.gep(start, [context.get_constant(types.intp, place)]))
        return context.get_dummy_value()

    return types.void(values, out), generate


def _flatten(builder, value, kind):
    """Yield every number of a tuple (of tuples) with its type."""
    if not isinstance(kind, types.BaseTuple):
        yield value, kind
        return
    for place, part in enumerate(kind):
        yield from _flatten(builder, builder.extract_value(value, place), part)


@njit(**PART, fastmath=FAST)
def by_jacobian(rule, slope, size, rows, work, y, u, dU, out):
    """Tangents through the Jacobian given."""
    J, n = work[0], len(size)
    _put(slope(y[0], u), J)
    for r in range(1, len(rows) + 1):
        for i in range(n):
            total = 0.0
            for j in range(n):
                total += J[i, j] * y[r, j]
            out[r, i] = total


@njit(**PART)
def by_complex_step(rule, slope, size, rows, work, y, u, dU, out):
    """Im rule(x + i h v, u + i h du) / h, without subtraction."""
    _, _, _, z, z_u, image = work
    n = len(size)
    for r in range(1, len(rows) + 1):
        length = 0.0
        for j in range(n):
            length = max(length, abs(y[r, j]))
        for j in range(len(u)):
            length = max(length, abs(dU[r - 1, j]))
        scale = 1 / length if length > 1e-300 else 1.0  # tangents of any length, none lost to underflow
        for j in range(n):
            z[j] = complex(y[0, j], 1e-30 * (scale * y[r, j]))
        for j in range(len(u)):
            z_u[j] = complex(u[j], 1e-30 * (scale * dU[r - 1, j]))
        _put(rule(z, z_u), image)
        for i in range(n):
            out[r, i] = image[i].imag * 1e30 / scale


@njit(**PART)
def by_differences(rule, slope, size, rows, work, y, u, dU, out):
    """Central differences of the rule."""
    n = len(size)
    images = work[2]
    reach = 6e-6 * max(1.0, _largest(y[0], u[:0]))  # where truncation and rounding err alike
    for r in range(1, len(rows) + 1):
        length = _largest(y[r], dU[r - 1])
        h = reach / length if length > 0 else 1.0
        for side in range(2):
            _shift(rule, work, y[0], u, y[r], dU[r - 1], h - 2 * h * side, images[side])
        for i in range(n):
            out[r, i] = (images[0, i] - images[1, i]) / (2 * h)


@njit(**PART)
def _largest(v, w):
    """The largest size of a component of either."""
    largest = 0.0
    for value in v:
        largest = max(largest, abs(value))
    for value in w:
        largest = max(largest, abs(value))
    return largest


@njit(**PART)
def _shift(rule, work, x, u, v, du, h, image):
    """The image of the rule at (x + h v, u + h du)."""
    point, point_u = work[1][0], work[1][1]
    for j in range(len(x)):
        point[j] = x[j] + h * v[j]
    for j in range(len(u)):
        point_u[j] = u[j] + h * du[j]
    _put(rule(point, point_u[: len(u)]), image)


@njit(**PART)
def _contradicts(rule, work, x, u, v, du, given):
    """Whether the slope `given` along v is none of the central and one-sided differences of the rule, three reaches."""
    images = work[2]  # behind, here, ahead
    length, largest = _largest(v, du), _largest(x, u[:0])
    if not 0 < length < np.inf:
        return False
    for trial in range(3):
        reach = 1e-6 * largest if trial == 2 else (1e-8 if trial else 1e-6) * max(1.0, largest)
        if reach == 0:
            continue
        h = reach / length
        for side in range(3):
            _shift(rule, work, x, u, v, du, (side - 1) * h, images[side])
        # rounding may hide a slope only where the reach is wide: closer in a steep slope is looked for
        rounding = 0.0 if trial else 2e-15 * _largest(images[0], images[2]) / h
        for pair in range(3):  # central, backward, forward; what is not finite contradicts nothing
            back, ahead = pair // 2, 2 - pair % 2
            error, steepest = 0.0, 0.0
            for i in range(len(given)):
                slope = (images[ahead, i] - images[back, i]) / ((ahead - back) * h)
                steepest = max(steepest, abs(slope))
                error = max(error, abs(given[i] - slope))
            if not error > 1e-6 * steepest + rounding:
                return False
    return True


@njit(**PART, fastmath=FAST)
def _orthonormalise(size, rows, y, squares):
    """Gram-Schmidt of the rows of y after the first; squares receives R_ii^2, 0 where nothing but rounding is left."""
    n = len(size)
    for i in range(len(rows)):
        before = 0.0
        for j in range(n):
            before += y[i + 1, j] * y[i + 1, j]
        after = before
        for _ in range(2):
            last = after
            for r in range(i):
                dot = 0.0
                for j in range(n):
                    dot += y[r + 1, j] * y[i + 1, j]
                for j in range(n):
                    y[i + 1, j] -= dot * y[r + 1, j]
            after = 0.0
            for j in range(n):
                after += y[i + 1, j] * y[i + 1, j]
            if after > 0.5 * last:  # little was taken off, so little rounding of it is left
                break
        if after <= 5e-30 * before:  # (10 eps)^2
            after = 0.0
        squares[i] = after
        scale = 1 / np.sqrt(after) if after > 0 else 0.0
        for j in range(n):
            y[i + 1, j] *= scale


@njit(nogil=True, error_model="numpy")
def iterate(rule, size, keep, a, b, substeps, u, x, out):
    """Run; x is left at the last state."""
    n = len(size)
    stage, image, end = np.empty(n), np.empty(n), np.empty(n)
    for t in range(u.shape[0]):
        for _ in range(substeps):
            for j in range(n):
                stage[j], end[j] = x[j], keep * x[j]
            for s in range(len(b)):
                _put(rule(stage, u[t]), image)
                for j in range(n):
                    end[j] += b[s] * image[j]
                    stage[j] = x[j] + a[s] * image[j]
            for j in range(n):
                x[j] = end[j]
        for j in range(n):
            out[t, j] = x[j]


@njit(nogil=True, error_model="numpy")
def carry(rule, slope, derive, size, rows, keep, a, b, substeps, u, x, V, dU, tape, interval, squares):
    """Push and orthonormalise; return 0, or 1 + the step where the derivative contradicts the rule.

    State and tangents travel together, as rows of y. `squares` receives R_ii^2 of every segment.
    """
    n, k, m = len(size), len(rows), u.shape[1]
    work = (
        np.empty((n, n)), np.empty((2, max(n, m))), np.empty((3, n)),
        np.empty(n, np.complex128), np.empty(m, np.complex128), np.empty(n, np.complex128),
    )  # fmt: skip
    y, stage, image, end = np.empty((k + 1, n)), np.empty((k + 1, n)), np.empty((k + 1, n)), np.empty((k + 1, n))
    for j in range(n):
        y[0, j] = x[j]
        for r in range(k):
            y[r + 1, j] = V[r, j]
    by_input, last = np.zeros((k, m)), u.shape[0] - 1
    for t in range(u.shape[0]):
        if dU.shape[0]:
            by_input = dU[t]
        for part in range(substeps):
            for r in range(k + 1):
                for j in range(n):
                    stage[r, j], end[r, j] = y[r, j], keep * y[r, j]
            for s in range(len(b)):
                _put(rule(stage[0], u[t]), image[0])
                derive(rule, slope, size, rows, work, stage, u[t], by_input, image)
                if s == 0 and part == 0 and k > 0 and (t % 32 == 0 or t == last):
                    r = t // 32 % k
                    if _contradicts(rule, work, stage[0], u[t], stage[r + 1], by_input[r], image[r + 1]):
                        for j in range(n):
                            x[j] = y[0, j]
                        return t + 1
                for r in range(k + 1):
                    for j in range(n):
                        end[r, j] += b[s] * image[r, j]
                        stage[r, j] = y[r, j] + a[s] * image[r, j]
            y, end = end, y
        if tape.shape[0]:
            for r in range(k):
                for j in range(n):
                    tape[t, r, j] = y[r + 1, j]
        if interval and ((t + 1) % interval == 0 or t == last):
            _orthonormalise(size, rows, y, squares[t // interval])
    for j in range(n):
        x[j] = y[0, j]
        for r in range(k):
            V[r, j] = y[r + 1, j]
    return 0
