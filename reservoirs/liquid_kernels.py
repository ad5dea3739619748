"""Compiled loops of the liquid time-constant network: synapses, the four solvers, tangents.

Synapses come in one of two layouts; the arrays of the other have length 0, so that one compiled version serves both.
Dense: blocks (J, 16, n) of four presynaptic units with the rows slope, offset, W and W E of each; units that fill up
the last block have W = 0. Flat: sources (S,) and parts (4, S) with the same four rows, sorted by target, and the first
synapse of every target in starts (n + 1,). A synapse conducts W s with s = 1 / (1 + 2^(slope v + offset)): slope and
offset hold the steepness, the midpoint and log2 e, which halves the cost of a sigmoid.
"""

import numpy as np
from numba import njit

from penstock.vmath import all_finite, exp, falling_sigmoid2, one_plus_exp2

__all__: list[str] = []

_CHUNK = 32768  # parameters of dense blocks that stay in the second cache while all series of a batch pass


@njit(cache=True, nogil=True, error_model="numpy")
def _run(ltc, code, unfolds, u, elapsed, x0, out):
    """Run a batch, u (B, T, m), elapsed (B, T), x0 (B, n), out (B, T, n); return whether a state was not finite."""
    recurrent, sensory, C, leak, pull, gain, shift = ltc
    n_series, n_units = x0.shape
    buffer = np.empty(max(recurrent[1].size, sensory[1].size), C.dtype)
    X = np.zeros((n_series, _padded(recurrent[0], n_units)), C.dtype)
    Y, drive = np.zeros_like(X), np.zeros((n_series, _padded(sensory[0], gain.size)), C.dtype)
    base, acc = np.empty((n_series, 2, n_units), C.dtype), np.empty((n_series, 2, n_units), C.dtype)
    total = np.empty((n_series if code == 3 else 0, n_units), C.dtype)
    X[:, :n_units] = x0
    for t in range(u.shape[1]):
        for b in range(n_series):
            _map(u[b, t], gain, shift, drive[b])
            base[b, 0], base[b, 1] = leak, pull
        _conduct(sensory, drive, buffer, base, base)
        for _ in range(unfolds):
            total[:] = 0
            for stage in range(_stages(code)):
                _conduct(recurrent, Y if stage else X, buffer, base, acc)
                for b in range(n_series):
                    h = elapsed[b, t] / C.dtype.type(unfolds)
                    if code == 0:
                        _fuse(C, h, acc[b], X[b])
                    elif code == 3:
                        _stage(C, h, stage, acc[b], X[b], Y[b], total[b])
                    elif code == 2 and stage == 0:
                        _relax(C, h * C.dtype.type(0.5), acc[b], X[b], Y[b])
                    else:
                        _relax(C, h, acc[b], X[b], X[b])
            for b in range(total.shape[0]):
                _finish(elapsed[b, t] / C.dtype.type(unfolds), total[b], X[b])
        for b in range(n_series):
            out[b, t] = X[b, :n_units]
    return not all_finite(X.reshape(X.size))


@njit(cache=True, nogil=True, error_model="numpy")
def _push(ltc, code, unfolds, u, elapsed, x0, V0, dU, tape):
    """Carry a state x0 (n,) and tangents, rows of V0 (k, n), through u (T, m), in place."""
    recurrent, sensory, C, leak, pull, gain, shift = ltc
    n_units, k, half = x0.size, V0.shape[0], C.dtype.type(0.5)
    wide, wide_in = _padded(recurrent[0], n_units), _padded(sensory[0], gain.size)
    buffer = np.empty(max(recurrent[1].size, sensory[1].size), C.dtype)
    X, Y, drive = np.zeros((1, wide), C.dtype), np.zeros((1, wide), C.dtype), np.zeros((1, wide_in), C.dtype)
    V, V_mid, d_drive = np.zeros((k, wide), C.dtype), np.zeros((k, wide), C.dtype), np.zeros((k, wide_in), C.dtype)
    M = np.empty((wide if recurrent[0].size else 0, n_units), C.dtype)
    M_in = np.empty((wide_in if sensory[0].size else 0, n_units), C.dtype)
    P, product, V_sum = np.empty_like(V0), np.empty_like(V0), np.empty_like(V0)
    base, acc = np.empty((1, 2, n_units), C.dtype), np.empty((1, 2, n_units), C.dtype)
    by_num, by_den, kept, total = np.empty_like(C), np.empty_like(C), np.empty_like(C), np.empty_like(C)
    X[0, :n_units], V[:, :n_units] = x0, V0
    for t in range(u.shape[0]):
        _map(u[t], gain, shift, drive[0])
        base[0, 0], base[0, 1] = leak, pull
        _conduct(sensory, drive, buffer, base, base)
        h = elapsed[t] / C.dtype.type(unfolds)
        if dU.shape[0]:
            for r in range(k):
                for j in range(gain.size):
                    d_drive[r, j] = gain[j] * dU[t, r, j]
        for _ in range(unfolds):
            if code == 3:
                total[:], V_sum[:] = 0, 0
            for stage in range(_stages(code)):
                x, v = (Y, V_mid) if stage else (X, V)  # where the conductances are taken
                _conduct(recurrent, x, buffer, base, acc)
                part = h * half if code == 2 and stage == 0 else h
                _factors(C, part, code, acc[0], X[0], x[0], by_num, by_den, kept)
                _weigh(recurrent, x[0], by_num, by_den, v, M, buffer, product, P)
                if dU.shape[0]:
                    _add_weighed(sensory, drive[0], by_num, by_den, d_drive, M_in, buffer, product, P)
                if code == 0:
                    _fuse(C, h, acc[0], X[0])
                    _combine(kept, V, P, V)
                elif code == 3:
                    _stage(C, h, stage, acc[0], X[0], Y[0], total)
                    reach, share = _tableau(stage, h, half)
                    _combine(kept, v, P, P)  # the tangents of this slope
                    for r in range(k):
                        for i in range(n_units):
                            V_sum[r, i] += share * P[r, i]
                            V_mid[r, i] = V[r, i] + reach * P[r, i]
                else:
                    last = code == 1 or stage == 1
                    _relax(C, part, acc[0], X[0], X[0] if last else Y[0])
                    _combine(kept, V, P, V if last else V_mid)
            if code == 3:
                _finish(h, total, X[0])
                for r in range(k):
                    for i in range(n_units):
                        V[r, i] += h * V_sum[r, i]
        if tape.shape[0]:
            tape[t] = V[:, :n_units]
    x0[:], V0[:] = X[0, :n_units], V[:, :n_units]


# --- conductances ---------------------------------------------------------------------------------------------------


@njit(error_model="numpy")
def _padded(blocks, n):
    """The number of presynaptic units with those that fill up the last dense block."""
    return 4 * blocks.shape[0] if blocks.size else n


@njit(error_model="numpy")
def _map(u, gain, shift, drive):
    for j in range(gain.size):
        drive[j] = gain[j] * u[j] + shift[j]


@njit(error_model="numpy")
def _conduct(synapses, X, buffer, base, acc):
    """Do acc = base + (sum W s, sum W s E) over all synapses, both (B, 2, n), for presynaptic values X (B, n_pre)."""
    blocks, sources, starts, parts = synapses
    for b in range(X.shape[0]):
        for i in range(acc.shape[2]):
            acc[b, 0, i], acc[b, 1, i] = base[b, 0, i], base[b, 1, i]
    if blocks.size:
        size = max(1, _CHUNK // (16 * blocks.shape[2]))
        for first in range(0, blocks.shape[0], size):
            last = min(first + size, blocks.shape[0])
            for b in range(X.shape[0]):
                _dense(blocks, first, last, X[b], acc[b])
    else:
        for b in range(X.shape[0]):
            _flat(sources, starts, parts, X[b], buffer, acc[b])


@njit(error_model="numpy", fastmath={"contract"})
def _dense(P, first, last, x, acc):
    one = x.dtype.type(1)
    for j in range(first, last):
        x0, x1, x2, x3 = x[4 * j], x[4 * j + 1], x[4 * j + 2], x[4 * j + 3]
        for i in range(P.shape[2]):
            # W / d0 + W' / d1 = (W d1 + W' d0) / (d0 d1): one division for two synapses
            d0 = one_plus_exp2(P[j, 0, i] * x0 + P[j, 1, i])
            d1 = one_plus_exp2(P[j, 4, i] * x1 + P[j, 5, i])
            d2 = one_plus_exp2(P[j, 8, i] * x2 + P[j, 9, i])
            d3 = one_plus_exp2(P[j, 12, i] * x3 + P[j, 13, i])
            r, s = one / (d0 * d1), one / (d2 * d3)
            acc[0, i] += (P[j, 2, i] * d1 + P[j, 6, i] * d0) * r + (P[j, 10, i] * d3 + P[j, 14, i] * d2) * s
            acc[1, i] += (P[j, 3, i] * d1 + P[j, 7, i] * d0) * r + (P[j, 11, i] * d3 + P[j, 15, i] * d2) * s


@njit(error_model="numpy", fastmath={"contract"})
def _flat(sources, starts, parts, x, buffer, acc):
    for k in range(sources.size):
        buffer[k] = x[sources[k]]
    _sigmoids(parts[0], parts[1], buffer)
    w, we = parts[2], parts[3]
    for i in range(starts.size - 1):
        den, num = acc[0, i], acc[1, i]
        for k in range(starts[i], starts[i + 1]):
            den += w[k] * buffer[k]
            num += we[k] * buffer[k]
        acc[0, i], acc[1, i] = den, num


@njit(error_model="numpy", fastmath={"contract"})
def _sigmoids(slope, offset, x):
    """Replace x by the open fractions of the synapses."""
    for k in range(slope.size):
        x[k] = falling_sigmoid2(slope[k] * x[k] + offset[k])


# --- solvers: C v' = num - den v --------------------------------------------------------------------------------------


@njit(error_model="numpy")
def _stages(code):
    """How often a solver evaluates the conductances in a step."""
    return 4 if code == 3 else 2 if code == 2 else 1


@njit(error_model="numpy")
def _inertia(C, h, i):
    """Return C / h, kept finite where almost no time goes by."""
    return min(C[i] / h, C.dtype.type(1e30))


@njit(error_model="numpy")
def _fuse(C, h, acc, x):
    for i in range(C.size):
        c = _inertia(C, h, i)
        x[i] = (c * x[i] + acc[1, i]) / (c + acc[0, i])


@njit(error_model="numpy")
def _relax(C, h, acc, x, y):
    """Write into y where x relaxes to in time h, with the conductances at rest."""
    for i in range(C.size):
        kept, gain = _relaxation(acc[0, i], h / C[i], C.dtype.type(1))
        y[i] = kept * x[i] + gain * acc[1, i]


@njit(error_model="numpy")
def _relaxation(den, reach, one):
    """Return exp(-den reach) and (1 - exp(-den reach)) / den."""
    kept = exp(-den * reach)
    return kept, (one - kept) / den if den > 0 else reach


@njit(error_model="numpy")
def _tableau(stage, h, half):
    """Return how far the next stage of the Runge-Kutta rule reaches, and the share of this one."""
    third = half / (half + half + half)
    return (h * half if stage < 2 else h), (third * half if stage in (0, 3) else third)


@njit(error_model="numpy")
def _stage(C, h, stage, acc, x, y, total):
    """Add the slope at x (first stage) or y to the total, and write the point of the next stage into y."""
    reach, share = _tableau(stage, h, C.dtype.type(0.5))
    for i in range(C.size):
        at = y[i] if stage else x[i]
        slope = (acc[1, i] - acc[0, i] * at) / C[i]
        total[i] += share * slope
        y[i] = x[i] + reach * slope


@njit(error_model="numpy")
def _finish(h, total, x):
    for i in range(total.size):
        x[i] += h * total[i]


# --- tangents -------------------------------------------------------------------------------------------------------


@njit(error_model="numpy")
def _factors(C, h, code, acc, x, at, by_num, by_den, kept):
    """Write the derivatives of a step (of the slope, for Runge-Kutta) by num, by den and by x itself."""
    one = C.dtype.type(1)
    for i in range(C.size):
        den, num = acc[0, i], acc[1, i]
        if code == 0:
            c = _inertia(C, h, i)
            by_num[i] = one / (c + den)
            by_den[i] = -(c * x[i] + num) / (c + den) * by_num[i]
            kept[i] = c * by_num[i]
        elif code == 3:
            by_num[i], by_den[i], kept[i] = one / C[i], -at[i] / C[i], -den / C[i]
        else:
            reach = h / C[i]
            kept[i], by_num[i] = _relaxation(den, reach, one)
            bend = (reach * kept[i] - by_num[i]) / den if den > 0 else -reach * reach * C.dtype.type(0.5)
            by_den[i] = bend * num - reach * kept[i] * x[i]


@njit(error_model="numpy")
def _weigh(synapses, x, by_num, by_den, V, M, buffer, product, P):
    """Write into P (k, n) what the tangents V (k, n_pre) change through the synapses."""
    P[:] = 0
    _add_weighed(synapses, x, by_num, by_den, V, M, buffer, product, P)


@njit(error_model="numpy")
def _add_weighed(synapses, x, by_num, by_den, V, M, buffer, product, P):
    """Add to P_i the sum over j of W s' (by_num_i E + by_den_i) V_j."""
    blocks, sources, starts, parts = synapses
    if blocks.size:
        for j in range(M.shape[0]):
            four = 4 * (j % 4)
            _slopes(blocks, j // 4, four, x[j], by_num, by_den, M[j])
        np.dot(V, M, product)
        for r in range(P.shape[0]):
            for i in range(P.shape[1]):
                P[r, i] += product[r, i]
        return
    minus_ln2 = by_num.dtype.type(-0.6931471805599453)
    for k in range(sources.size):
        buffer[k] = x[sources[k]]
    _sigmoids(parts[0], parts[1], buffer)
    for i in range(starts.size - 1):
        for k in range(starts[i], starts[i + 1]):
            s = buffer[k]
            weight = minus_ln2 * parts[0, k] * s * (by_num.dtype.type(1) - s)
            weight *= by_num[i] * parts[3, k] + by_den[i] * parts[2, k]
            for r in range(P.shape[0]):
                P[r, i] += weight * V[r, sources[k]]


@njit(error_model="numpy")
def _slopes(blocks, j, row, x, by_num, by_den, out):
    minus_ln2, one = out.dtype.type(-0.6931471805599453), out.dtype.type(1)
    for i in range(out.size):
        s = falling_sigmoid2(blocks[j, row, i] * x + blocks[j, row + 1, i])
        change = minus_ln2 * blocks[j, row, i] * s * (one - s)
        out[i] = change * (by_num[i] * blocks[j, row + 3, i] + by_den[i] * blocks[j, row + 2, i])


@njit(error_model="numpy")
def _combine(kept, V, P, out):
    """Do out = kept V + P row by row; rows of V and out may be longer than those of P."""
    for r in range(P.shape[0]):
        for i in range(P.shape[1]):
            out[r, i] = kept[i] * V[r, i] + P[r, i]
