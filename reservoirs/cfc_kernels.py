"""The compiled step of closed-form cells: states and tangents of `CfC`, of every mode, with or without memory."""

import math

import numpy as np
from numba import njit

from penstock.matvec import affine, matmul_rows
from penstock.reservoirs.heads import lecun_tanh, pure
from penstock.vmath import activate, all_finite, exp, sigmoid, slopes, tanh


def kernel_fields(cfc):
    """Return the arrays of a `CfC` as `advance` takes them: its layers, the LSTM cell and the vectors of `pure`."""
    n, size = cfc.W.shape[1], cfc.W_in.shape[1] + cfc.W.shape[1]
    memory, memory_bias = np.empty((0, size)), np.empty(0)
    if cfc.memory is not None:
        W, W_in, bias = cfc.memory
        memory, memory_bias = np.concatenate([W_in, W], axis=1), bias.copy()
        memory_bias[2 * n : 3 * n] += 1
    w_tau, A = (cfc.w_tau, cfc.A) if cfc.mode is pure else np.zeros((2, n))
    fields = *_layers(cfc), memory, memory_bias, w_tau, A
    return tuple(np.array(field, cfc.dtype, order="C") for field in fields)  # all writable: one type for Numba


def _layers(cfc):
    """Return first layer, middle layers and heads with their biases; the first two are empty without a backbone.

    Scales of lecun_tanh go into the weights; narrower layers are filled up with units that stay at 0.
    """
    n, dtype = cfc.W.shape[1], cfc.dtype
    inner, outer = (0.666, 1.7159) if cfc.activation is lecun_tanh else (1.0, 1.0)
    lowest = np.concatenate([cfc.W_in, cfc.W], axis=1), cfc.bias
    *hidden, (heads, heads_bias) = [lowest, *((outer * W, bias) for W, bias in cfc.layers)]
    width = max((len(bias) for _, bias in hidden), default=0)
    if cfc.mode is not pure and not cfc.timed:  # a regular step: one head for the time gate instead of two
        heads, heads_bias = (
            np.concatenate([part[: 2 * n], cfc.dt * part[2 * n : 3 * n] + part[3 * n :]])
            for part in (heads, heads_bias)
        )
    first, first_bias = np.zeros((width, lowest[0].shape[1]), dtype), np.zeros(width, dtype)
    middle = np.zeros((max(len(hidden) - 1, 0), width, width), dtype)
    middle_bias = np.zeros(middle.shape[:2], dtype)
    places = [(first, first_bias), *zip(middle, middle_bias, strict=True)]
    for (W, bias), (to, to_bias) in zip(hidden, places, strict=False):
        to[: W.shape[0], : W.shape[1]], to_bias[: len(bias)] = inner * W, inner * bias
    if hidden:
        heads = np.pad(heads, [(0, 0), (0, width - heads.shape[1])])
    return first, first_bias, middle, middle_bias, heads, heads_bias


@njit(cache=True, nogil=True, error_model="numpy")
def advance(cfc, mode, activation, u, elapsed, X, out, V, dU, tape):
    """Carry states X (B, n), and tangents V (k, n) of a single one, through u (B, T, m) in place.

    They are rows of the same matrices, so that every weight is read once for all. Return whether a state was not
    finite.
    """
    first, first_bias, middle, middle_bias, heads, heads_bias, memory, memory_bias, w_tau, A = cfc
    n_series, n_tangents, m, n = X.shape[0], V.shape[0], u.shape[2], w_tau.size
    n_rows = n_series + n_tangents
    drive, Y = np.zeros((n_rows, m + n), X.dtype), np.empty((n_rows, first_bias.size), X.dtype)
    Z, M = np.empty_like(Y), np.empty((n_rows, memory_bias.size), X.dtype)
    Q, d = np.empty((n_rows, heads_bias.size), X.dtype), np.empty_like(first_bias)
    by_heads, by_time, before = np.empty((3, n), X.dtype), np.zeros_like(w_tau), np.empty_like(w_tau)
    diverged = False
    for t in range(u.shape[1]):
        for b in range(n_series):
            _copy(u[b, t], drive[b, :m])
            _copy(X[b, :n], drive[b, m:])
        for r in range(n_tangents):
            if dU.shape[0]:
                _copy(dU[t, r, :m], drive[n_series + r, :m])
            _copy(V[r, :n], drive[n_series + r, m:])
        if memory_bias.size:
            _layer(memory, memory_bias, n_series, drive, M)
            for b in range(n_series):
                _copy(X[b, n:], before)
                _remember(M[b], X[b, n:], drive[b, m:])
            for r in range(n_series, n_rows):
                _remember_tangent(M[0], before, X[0, n:], M[r], V[r - n_series, n:], drive[r, m:])
        below = drive
        if first_bias.size:
            _layer(first, first_bias, n_series, drive, Y)
            _bend_rows(activation, n_series, Y, d)
            for layer in range(middle.shape[0]):
                _layer(middle[layer], middle_bias[layer], n_series, Y, Z)
                _bend_rows(activation, n_series, Z, d)
                Y, Z = Z, Y
            below = Y
        _layer(heads, heads_bias, n_series, below, Q)
        for b in range(n_series):
            _mix(mode, Q[b], elapsed[b, t], w_tau, A, X[b, :n], by_heads, by_time)
            _copy(X[b], out[b, t])
        for r in range(n_tangents):
            by_elapsed = dU[t, r, m] if dU.shape[0] and dU.shape[2] > m else X.dtype.type(0)
            _mix_tangent(mode, Q[n_series + r], elapsed[0, t], by_heads, by_time, by_elapsed, V[r, :n])
        for r in range(n_tangents if tape.shape[0] else 0):
            _copy(V[r], tape[t, r])
        diverged |= not all_finite(X.reshape(X.size))
    return diverged


@njit(error_model="numpy")
def _copy(a, b):
    """Write a over b."""
    for i in range(b.size):
        b[i] = a[i]


@njit(error_model="numpy")
def _layer(W, bias, n_states, X, Z):
    """Do Z = W X for every row of X, and add the bias where the row is a state."""
    if X.shape[0] == 1:
        affine(W, X[0], bias, Z[0])
        return
    matmul_rows(W, X, Z)
    for b in range(n_states):
        z = Z[b]
        for i in range(z.size):
            z[i] += bias[i]


@njit(error_model="numpy")
def _bend_rows(code, n_states, Z, d):
    """Bend the rows that are states, and multiply the others by the slopes d at the last of those."""
    for b in range(n_states):
        _bend(code, Z[b], d)
    for r in range(n_states, Z.shape[0]):
        z = Z[r]
        for i in range(z.size):
            z[i] *= d[i]


@njit(error_model="numpy")
def _bend(code, z, d):
    """Replace z by the activation of that code, and write its slopes into d."""
    kind = z.dtype.type
    one, half = kind(1), kind(0.5)
    if code == 3:  # silu
        for i in range(z.size):
            s = sigmoid(z[i])
            d[i] = s * (one + z[i] * (one - s))
            z[i] *= s
    elif code == 4:  # gelu
        to_unit, density = kind(-math.sqrt(0.5)), kind(1 / math.sqrt(2 * math.pi))
        for i in range(z.size):
            share = half * kind(math.erfc(to_unit * z[i]))
            d[i] = share + density * z[i] * exp(-half * z[i] * z[i])
            z[i] *= share
    else:
        activate(code, z)
        slopes(code, z, d)


@njit(error_model="numpy")
def _mix(mode, q, t, w_tau, A, h, by_heads, by_time):
    """Make the next state h of the heads q; write its slopes by f, g and the time gate, and by the elapsed time."""
    n, one = h.size, h.dtype.type(1)
    if mode == 2:
        for i in range(n):
            f, size = q[i], abs(q[i])
            rate = abs(w_tau[i]) + size
            kept = A[i] * exp(-t * rate)
            h[i] = A[i] - kept * f
            by_heads[0, i] = kept * (t * size - one)
            by_time[i] = kept * rate * f
        return
    if q.size == 4 * n:
        for i in range(n):
            by_time[i] = q[2 * n + i]
            q[2 * n + i] = t * q[2 * n + i] + q[3 * n + i]
    activate(0, q[: 2 * n])
    activate(1, q[2 * n : 3 * n])
    for i in range(n):
        f, g, s = q[i], q[n + i], q[2 * n + i]
        share, between = (one - s, g - f) if mode == 0 else (one, g)
        h[i] = share * f + s * g
        by_heads[0, i] = share * (one - f * f)
        by_heads[1, i] = s * (one - g * g)
        by_heads[2, i] = between * s * (one - s)
        by_time[i] *= by_heads[2, i]


@njit(error_model="numpy")
def _mix_tangent(mode, q, t, by_heads, by_time, by_elapsed, v):
    """Turn tangents q of the heads, and one of the elapsed time, into the tangent v of the next state."""
    n = v.size
    for i in range(n):
        s = by_heads[0, i] * q[i] + by_time[i] * by_elapsed
        if mode != 2:
            gate = q[2 * n + i] if q.size == 3 * n else t * q[2 * n + i] + q[3 * n + i]
            s += by_heads[1, i] * q[n + i] + by_heads[2, i] * gate
        v[i] = s


@njit(error_model="numpy")
def _remember(z, cell, h):
    """Step an LSTM cell, whose gates take the place of z: candidate, entry, forget and exit."""
    n = h.size
    activate(0, z[:n])
    activate(1, z[n:])
    for i in range(n):
        cell[i] = z[2 * n + i] * cell[i] + z[n + i] * z[i]
        h[i] = z[3 * n + i] * tanh(cell[i])


@njit(error_model="numpy")
def _remember_tangent(gates, before, cell, dz, d_cell, dh):
    """Carry a tangent through the LSTM cell: dz is that of its four gates before they were bent."""
    n, one = dh.size, dh.dtype.type(1)
    for i in range(n):
        candidate, entry, forget, leave, y = gates[i], gates[n + i], gates[2 * n + i], gates[3 * n + i], tanh(cell[i])
        s = forget * d_cell[i] + before[i] * forget * (one - forget) * dz[2 * n + i]
        s += entry * (one - candidate * candidate) * dz[i] + candidate * entry * (one - entry) * dz[n + i]
        d_cell[i] = s
        dh[i] = leave * (one - y * y) * s + y * leave * (one - leave) * dz[3 * n + i]
