"""The pieces of closed-form cells: how the heads make the next state, what bends their backbone, mixed memories."""

import numpy as np
import scipy  # its parts load at first use

from penstock.vmath import relu, sigmoid, tanh

__all__ = ["gelu", "lecun_tanh", "no_gate", "pure", "silu", "with_gate"]

# --- modes: from the heads to the next state ------------------------------------------------------------------------


def with_gate(f, g, a, b, t):
    """Return (1 - s) tanh(f) + s tanh(g) with the time gate s = sigmoid(a t + b): the default mode, within ±1.

    Parameters
    ----------
    f, g, a, b : array
        The four heads, affine functions of input and state.
    t : float or array
        Time since the step before.

    Returns
    -------
    array
        The next state.

    Examples
    --------
    >>> [round(float(with_gate(0.0, 50.0, a, 0.0, 100.0)), 6) for a in (1.0, -1.0)]  # late, the gate is a switch
    [1.0, 0.0]
    """
    s = sigmoid(a * t + b)
    return (1 - s) * tanh(f) + s * tanh(g)


def no_gate(f, g, a, b, t):
    """Return tanh(f) + s tanh(g) with the time gate s of `with_gate`, whose arguments it takes: within ±2.

    Examples
    --------
    >>> float(no_gate(0.0, 50.0, 1.0, 0.0, 100.0))
    1.0
    """
    return tanh(f) + sigmoid(a * t + b) * tanh(g)


def pure(f, t, w_tau, A):
    """Return A - A exp(-t (|w_tau| + |f|)) f: the approximate solution itself, from one head.

    Parameters
    ----------
    f : array
        The head, an affine function of input and state.
    t : float or array
        Time since the step before.
    w_tau, A : float or array
        Leak, and the state after a long time.

    Returns
    -------
    array
        The next state.

    Examples
    --------
    >>> float(pure(0.0, 1.0, 0.5, 2.0))
    2.0
    """
    return A - A * np.exp(-t * (np.abs(w_tau) + _modulus(f))) * f


MODES = (with_gate, no_gate, pure)
"""The modes of a cell. A kernel gets the index, because a function as argument defeats Numba's cache."""

N_HEADS = (4, 4, 1)
"""How many heads a mode mixes."""


def mode_code(mode) -> int:
    """Return the index of `mode` in `MODES`."""
    for code, function in enumerate(MODES):
        if mode is function:
            return code
    names = ", ".join(f"penstock.reservoirs.{function.__name__}" for function in MODES)
    raise ValueError(f"mode must be one of {names}, got {mode!r}")


def mode_slopes(mode, heads, t, w_tau, A):
    """Return the derivatives of the next state by the heads, (k, n), and by the elapsed time, (n,)."""
    if mode is pure:
        (f,) = heads
        kept = A * np.exp(-t * (np.abs(w_tau) + np.abs(f)))
        return (kept * (t * np.abs(f) - 1))[None], kept * (np.abs(w_tau) + np.abs(f)) * f
    f, g, a, b = heads
    s, y_f, y_g = sigmoid(a * t + b), tanh(f), tanh(g)
    by_gate = (y_g - y_f if mode is with_gate else y_g) * s * (1 - s)
    by_f = (1 - s if mode is with_gate else 1.0) * (1 - y_f * y_f)
    return np.stack([by_f, s * (1 - y_g * y_g), by_gate * t, by_gate]), by_gate * a


def _modulus(x):
    """Return |x|, continued to complex numbers beside the real line as the complex step needs it."""
    return np.where(np.real(x) < 0, -x, x)


# --- activations of the backbone ------------------------------------------------------------------------------------


def lecun_tanh(x):
    """Return 1.7159 tanh(0.666 x), which maps ±1 nearly to themselves."""
    return 1.7159 * np.tanh(0.666 * x)


def silu(x):
    """Return x sigmoid(x)."""
    return x * sigmoid(x)


def gelu(x):
    """Return x Phi(x), with Phi the distribution function of the standard normal law."""
    return x * scipy.special.erfc(-x / np.sqrt(2)) / 2


def _lecun_slope(x):
    return 1.7159 * 0.666 * (1 - np.tanh(0.666 * x) ** 2)


def _tanh_slope(x):
    return 1 - np.tanh(x) ** 2


def _relu_slope(x):
    return (x > 0) * 1.0


def _silu_slope(x):
    s = sigmoid(x)
    return s * (1 + x * (1 - s))


def _gelu_slope(x):
    return scipy.special.erfc(-x / np.sqrt(2)) / 2 + x * np.exp(-x * x / 2) / np.sqrt(2 * np.pi)


BACKBONES = (tanh, lecun_tanh, relu, silu, gelu)
"""The activations of a backbone. The codes of tanh and relu are those of `penstock.vmath`."""

_SLOPES = (_tanh_slope, _lecun_slope, _relu_slope, _silu_slope, _gelu_slope)


def backbone_code(activation) -> int:
    """Return the index of `activation` in `BACKBONES`."""
    for code, function in enumerate(BACKBONES):
        if activation is function:
            return code
    names = "penstock.tanh, penstock.relu, penstock.reservoirs.lecun_tanh, penstock.reservoirs.silu, gelu"
    raise ValueError(f"activation must be one of {names}, got {activation!r}")


def backbone_slope(activation, x):
    """Return the slope of `activation` at x, shape of x."""
    return _SLOPES[backbone_code(activation)](x)


# --- mixed memory: an LSTM cell that steps first -------------------------------------------------------------------


def remember(memory, x, data):
    """Return h as the layers see it, the new cell state, and the gates that mixed them; x without a memory."""
    if memory is None:
        return x, None, None
    W, W_in, bias = memory
    h, cell = np.split(x, 2)
    candidate, entry, forget, leave = np.split(W @ h + W_in @ data + bias, 4)
    gates = np.tanh(candidate), sigmoid(entry), sigmoid(forget + 1), sigmoid(leave)
    new = gates[2] * cell + gates[1] * gates[0]
    return gates[3] * np.tanh(new), new, gates


def memory_slopes(memory, before, cell, gates):
    """Return the derivatives of h and of the new cell state by [h, cell, data], (n, 2 n + m), `before` the old cell."""
    W, W_in, _ = memory
    n = before.size
    by_gates = np.split(np.concatenate([W, np.zeros_like(W), W_in], axis=1), 4)
    candidate, entry, forget, leave = (gate[:, None] for gate in gates)
    by_cell = entry * (1 - candidate**2) * by_gates[0] + candidate * entry * (1 - entry) * by_gates[1]
    by_cell += before[:, None] * forget * (1 - forget) * by_gates[2]
    by_cell[:, n : 2 * n] += np.diag(gates[2])
    y = np.tanh(cell)[:, None]
    return leave * (1 - y * y) * by_cell + y * leave * (1 - leave) * by_gates[3], by_cell
