"""One series in several threads: each computes a block of the units, and all meet at a barrier once per step.

A kernel that can be shared ends with a `team`: (counters, part, first, patience), and gets the rows of its matrices
from its own unit `first` on. In every step it reads the whole state before, writes its part of the state after, and
calls `meet`. One thread alone runs the same compiled code over all rows, so the bits are the same.

The threads must run at the same moment, which the operating system need not grant. So nobody waits for long: who finds
that another does not come leaves, and the rest is computed alone, for a while or to the end. Hence nothing can hang.
"""

import platform
from itertools import pairwise
from threading import Thread

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from penstock.threads import thread_count

__all__ = ["meet", "rows_of", "run_in_step"]

MIN_BYTES = 1_000_000
"""The size of W from which a second thread saves much more than the meetings cost: above the second-level cache."""

MIN_TRAFFIC = 100_000_000
"""The bytes of W that a run must read in all, some milliseconds, to pay for starting a thread, some 0.1 ms."""

_ON_X86 = platform.machine().lower() in ("x86_64", "amd64")
_PATIENCE = 20_000 if _ON_X86 else 500_000  # looks at a counter, some 0.5 ms: who is later than that is not running
_TILE = 16  # rows: a multiple of the four that the dense mat-vec takes at once, and a cache line of float32
_LINE = 16  # int64 from one counter to the next: two cache lines, since processors fetch them in pairs
_LEFT = -1  # the counter of a part that will not come

ALONE = np.zeros(0, np.int64), 0, 0, 0
"""The team of a single thread."""


def run_in_step(kernel, W, fields, settings, series):
    """Fill the output with the states of one series, in as many threads as pay; return whether it diverged.

    Parameters
    ----------
    kernel : function
        ``kernel(fields, *settings, u, x, out, team)`` returns how many steps of u it has done with its team, or -1 if
        all, and one of its units is not finite: once so, it stays so.
    W : array or tuple
        The matrix whose reading takes the time, in kernel form.
    fields : tuple
        Arrays with a row for every unit, matrices in kernel form, and numbers.
    settings, series : tuple
        What is the same for all; the inputs u, the state x before them and the output, (T, N).
    """
    n_steps = series[0].shape[0]
    if _parts_that_pay(W, n_steps) == 1:
        return kernel(fields, *settings, *series, ALONE) < 0
    _in_threads(kernel, W, fields, settings, series)
    return not np.isfinite(series[2][-1]).all()


def rows_of(field, start, stop):
    """Return the rows start…stop of a matrix in kernel form or of a vector; a number is everyone's."""
    if isinstance(field, tuple) and len(field) == 3:
        data, indices, indptr = field
        return data, indices, indptr[start : stop + 1]
    if isinstance(field, tuple) and len(field) == 1:
        columns = np.ascontiguousarray(field[0][:, start:stop])
        columns.flags.writeable = field[0].flags.writeable  # the same type for the compiler
        return (columns,)
    if isinstance(field, tuple):
        weights, indices = field
        if not isinstance(indices, np.ndarray):  # part of a shift is a permutation
            indices = ((np.arange(weights.size) - indices) % weights.size).astype(np.uint32)
        return weights[start:stop], indices[start:stop]
    if np.ndim(field) == 0:
        return field
    rows = field[start:stop]
    if not field.flags.c_contiguous:
        rows = np.asfortranarray(rows)
        rows.flags.writeable = field.flags.writeable  # the same type for the compiler
    return rows


def meet(team, step):
    """Wait, in a kernel, until all parts have come to this step, counted from 1; return whether they have."""
    return True


def _parts_that_pay(W, n_steps):
    if not isinstance(W, np.ndarray) or W.nbytes < MIN_BYTES or W.nbytes * n_steps < MIN_TRAFFIC:
        return 1
    return 1 if numba.config.DISABLE_JIT else max(1, min(thread_count(), W.shape[0] // (4 * _TILE)))


def _in_threads(kernel, W, fields, settings, series):
    """Run the series together as long as all keep step, then for a while alone, longer every time."""
    u, x, out = series
    n_steps, done, alone, helpers = u.shape[0], 0, 4 * MIN_TRAFFIC, []
    try:
        while done < n_steps:
            rest = u[done:], out[done - 1] if done else x, out[done:]
            together = _together(kernel, _parts_that_pay(W, n_steps - done), fields, settings, rest, helpers)
            done = n_steps if together < 0 else done + together
            stop, alone = min(n_steps, done + 1 + alone // W.nbytes), 4 * alone
            kernel(fields, *settings, u[done:stop], out[done - 1] if done else x, out[done:stop], ALONE)
            done = stop
    finally:
        for helper in helpers:  # who was late may still be writing a row, with the same numbers
            helper.join()


def _together(kernel, n_parts, fields, settings, series, helpers):
    """Return how many steps are done, or -1, when all parts have come to the end or one has left; add to helpers."""
    counters, n_rows = np.zeros(n_parts * _LINE, np.int64), series[2].shape[1]
    bounds = [n_rows * part // n_parts // _TILE * _TILE for part in range(n_parts)]
    blocks = [[rows_of(field, *rows) for field in fields] for rows in pairwise([*bounds, n_rows])]

    def work(part):
        try:
            return kernel(tuple(blocks[part]), *settings, *series, (counters, part, bounds[part], _PATIENCE))
        except BaseException:
            counters[part * _LINE] = _LEFT
            raise

    try:
        for part in range(1, n_parts):
            helper = Thread(target=work, args=(part,), daemon=True)
            helper.start()
            helpers.append(helper)
        return work(0)
    except RuntimeError:  # no more threads to be had
        counters[0] = _LEFT
        return 0
    except BaseException:  # an interruption, say: the others must not wait
        counters[0] = _LEFT
        raise


# --- kernels --------------------------------------------------------------------------------------------------------


@overload(meet, jit_options={"error_model": "numpy"})
def _meet(team, step):
    def everyone(team, step):
        counters, part, _, patience = team
        if counters.size == 0:
            return True
        _store(counters, part * _LINE, step)
        for other in range(0, counters.size, _LINE):
            looks, seen = 0, _load(counters, other)
            while seen < step:
                if seen < 0 or looks == patience:
                    _store(counters, part * _LINE, _LEFT)
                    return False
                _pause()
                looks, seen = looks + 1, _load(counters, other)
        return True

    return everyone


@intrinsic
def _load(typingctx, counters, i):
    def codegen(context, builder, signature, args):
        array = context.make_array(signature.args[0])(context, builder, args[0])
        return builder.load_atomic(builder.gep(array.data, [args[1]]), "acquire", 8)

    return types.int64(counters, types.intp), codegen


@intrinsic
def _store(typingctx, counters, i, value):
    def codegen(context, builder, signature, args):
        array = context.make_array(signature.args[0])(context, builder, args[0])
        builder.store_atomic(args[2], builder.gep(array.data, [args[1]]), "release", 8)
        return context.get_dummy_value()

    return types.none(counters, types.intp, types.int64), codegen


@intrinsic
def _pause(typingctx):
    """Tell the processor that this is a loop of waiting, where there is a word for it."""

    def codegen(context, builder, signature, args):
        if _ON_X86:
            name = "llvm.x86.sse2.pause"
            kind = ir.FunctionType(ir.VoidType(), ())
            builder.call(builder.module.globals.get(name) or ir.Function(builder.module, kind, name), ())
        return context.get_dummy_value()

    return types.none(), codegen
