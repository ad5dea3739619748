"""The pieces of closed-form continuous-time cells: how the heads make the next state, and what bends their backbone."""

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
