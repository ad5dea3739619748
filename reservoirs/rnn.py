"""Trained gated networks given as arrays, and the reader of networks trained in PyTorch."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numba import njit

from penstock.checks import as_matrix, as_vector, float_type
from penstock.matvec import add_matvec, affine, kernel_form, matmul_rows
from penstock.reservoirs.esn import (
    ESN,
    Weighted,
    as_dtype,
    batch_gain,
    close_loop,
    describe_matrix,
    run_batch,
    set_fields,
    to_dense,
)
from penstock.reservoirs.stack import Stack
from penstock.vmath import activate, all_finite, relu, sigmoid, tanh

__all__ = ["GRU", "rnn_from_torch"]


@dataclass(frozen=True, eq=False, repr=False)
class GRU(Weighted):
    """Run a network of gated recurrent units, by the convention of PyTorch and cuDNN.

    r = sigmoid(W_r x + V_r u + b_r), z = sigmoid(W_z x + V_z u + b_z), c = tanh(V_c u + b_c + r (W_c x + d)),
    x_t = (1 - z) c + z x, with x = x_{t-1}, u = u_t and elementwise products. The reset gate r acts after the
    recurrent product and z = 1 keeps the state; other texts apply r before, or call 1 - z the update gate.

    Parameters
    ----------
    W : array or sparse array, shape (3 N, N)
        Recurrent weights W_r, W_z, W_c on top of each other, `weight_hh` of PyTorch. float32 makes a float32 model.
    W_in : array or sparse array, shape (3 N, m)
        Input weights V_r, V_z, V_c, `weight_ih` of PyTorch; m = 0 makes the network autonomous.
    bias : float or array, shape (3 N,)
        Biases b_r, b_z, b_c.
    recurrent_bias : float or array, shape (N,)
        Bias d, which the reset gate multiplies.
    W_direct : array, shape (N, N), optional
        Recurrent weights of the candidate c that bypass its reset gate: c = tanh(… + W_direct x). A closed loop has
        them, a network as trained does not.

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit or a number is not finite.

    References
    ----------
    K. Cho et al. (2014), Learning phrase representations using RNN encoder-decoder for statistical machine
    translation, EMNLP; the reset gate after the product as in the documentation of `torch.nn.GRU`.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> gru = GRU(rng.normal(size=(30, 10)) / 3, rng.normal(size=(30, 1)))
    >>> gru
    GRU(n_units=10, n_inputs=1, W=dense, float64)
    >>> bool(np.abs(gru.run(np.ones(100))).max() < 1)
    True
    """

    W: np.ndarray
    W_in: np.ndarray
    bias: np.ndarray | float = 0.0
    recurrent_bias: np.ndarray | float = 0.0
    W_direct: np.ndarray | None = None

    def __post_init__(self):
        dtype = float_type(self.W)
        W = as_matrix("W", self.W, (None, None), dtype)
        rows, n_units = W.shape
        if n_units == 0 or rows != 3 * n_units:
            raise ValueError(f"W must have shape (3 N, N), the gates r, z and c on top of each other, got {W.shape}")
        W_in = as_matrix("W_in", self.W_in, (rows, None), dtype, order="F")
        bias = as_vector("bias", self.bias, rows, dtype)
        recurrent_bias = as_vector("recurrent_bias", self.recurrent_bias, n_units, dtype)
        W_direct = self.W_direct
        if W_direct is not None:
            W_direct = to_dense(as_matrix("W_direct", W_direct, (n_units, n_units), dtype))
        set_fields(self, W=W, W_in=W_in, bias=bias, recurrent_bias=recurrent_bias, W_direct=W_direct)

    def __repr__(self):
        return f"GRU(n_units={self.n_units}, n_inputs={self.n_inputs}, W={describe_matrix(self.W)}, {self.dtype})"

    def step(self, x, u):
        """Return the next state: (n,), (m,) -> (n,)."""
        _, z, c, _ = self._gates(x, u)
        return (1 - z) * c + z * x

    def jacobian(self, x, u):
        """Return d step / d x at (x, u); shape (n, n)."""
        W_r, W_z, W_c = np.split(to_dense(self.W), 3)
        r, z, by_r, by_z, by_c = self._slopes(x, u)
        direct = 0.0 if self.W_direct is None else self.W_direct
        return np.diag(z[:, 0]) + by_z * W_z + by_c * (r * W_c + by_r * W_r + direct)

    def input_jacobian(self, x, u):
        """Return d step / d u at (x, u); shape (n, m)."""
        V_r, V_z, V_c = np.split(to_dense(self.W_in), 3)
        _, _, by_r, by_z, by_c = self._slopes(x, u)
        return by_z * V_z + by_c * (V_c + by_r * V_r)

    def close(self, W_out, offset=0.0):
        """Feed a linear readout u_t = W_out x_{t-1} + offset back: an autonomous network; see `ESN.close`.

        The readout reaches the candidate beside its reset gate, so the result has `W_direct`.
        """
        (W_r, W_z, W_c), V, b = (np.split(to_dense(part), 3) for part in (self.W, self.W_in, self.bias))
        direct = np.zeros_like(W_c) if self.W_direct is None else self.W_direct
        W_r, empty, b_r = close_loop(W_r, V[0], b[0], W_out, offset)
        W_z, _, b_z = close_loop(W_z, V[1], b[1], W_out, offset)
        direct, _, b_c = close_loop(direct, V[2], b[2], W_out, offset)
        W, bias = np.concatenate([W_r, W_z, W_c]), np.concatenate([b_r, b_z, b_c])
        return replace(self, W=W, W_in=np.tile(empty, (3, 1)), bias=bias, W_direct=direct)

    def _gates(self, x, u):
        """Return r, z, c and s, what the reset gate multiplies."""
        a_r, a_z, a_c = np.split(self.W_in @ u + self.bias, 3)
        y_r, y_z, y_c = np.split(self.W @ x, 3)
        r, z, s = sigmoid(a_r + y_r), sigmoid(a_z + y_z), y_c + self.recurrent_bias
        direct = 0.0 if self.W_direct is None else self.W_direct @ x
        return r, z, tanh(a_c + r * s + direct), s

    def _slopes(self, x, u):
        """Return r and z, and by how much the gates move the state for what goes into them, as columns."""
        x, u = self._point(x, u)
        r, z, c, s = self._gates(x, u)
        columns = r, z, s * r * (1 - r), (x - c) * z * (1 - z), (1 - z) * (1 - c * c)
        return tuple(column[:, None] for column in columns)

    @property
    def _batch_gain(self):
        return batch_gain(self.W)

    @cached_property
    def _fields(self):
        recurrent_bias = np.zeros_like(self.bias)
        recurrent_bias[2 * self.n_units :] = self.recurrent_bias
        direct = np.empty((0, 0), self.dtype) if self.W_direct is None else self.W_direct
        return kernel_form(self.W), direct, kernel_form(self.W_in), self.bias, recurrent_bias

    def _run(self, u, x0, out):
        if u.ndim == 2:
            return _run_series(self._fields, self.n_units, u, x0, out)
        kernels = (_run_batch_dense, _run_each, _run_each)
        return run_batch(self._fields[0], kernels, self._fields, self.n_units, u, x0, out)

    def _push(self, x, u, V, dU, tape):
        _push_series(self._fields, self.n_units, u, x, V, dU, tape)


# --- networks trained in PyTorch ------------------------------------------------------------------------------------


def rnn_from_torch(module, *, dtype=np.float64):
    """Return a recurrent network trained in PyTorch as a System of arrays, with the same states.

    Reads the weights only: PyTorch is not imported, and training the module further leaves the System as it is. Both
    bias vectors of PyTorch are used. For an LSTM or a module of your own take `penstock.TorchCell`.

    Parameters
    ----------
    module : torch.nn.RNNCell, torch.nn.GRUCell, torch.nn.RNN or torch.nn.GRU
        Of any number of layers, in one direction.
    dtype : numpy.dtype
        float64, in which float32 weights are exact and fixed points are found to all digits, or float32.

    Returns
    -------
    ESN, GRU or Stack
        A plain RNN is an `ESN` without leak; several layers are a `Stack` with ``concat=False``, whose readout sees
        the last layer as in PyTorch.

    Raises
    ------
    TypeError
        If `module` is not one of these networks.
    ValueError
        If it runs in both directions, or is in training mode with dropout between its layers.

    Examples
    --------
    >>> import torch                                                              # doctest: +SKIP
    >>> rnn_from_torch(torch.nn.GRU(3, 64))                                       # doctest: +SKIP
    GRU(n_units=64, n_inputs=3, W=dense, float64)
    """
    dtype = as_dtype(dtype)
    if getattr(module, "bidirectional", False):
        raise ValueError("module must run in one direction, got bidirectional=True, which is no system in time")
    n_layers = getattr(module, "num_layers", 1)
    if getattr(module, "training", False) and getattr(module, "dropout", 0.0) and n_layers > 1:
        raise ValueError(
            f"module must not drop units, got dropout={module.dropout} in training: call its `eval` method first"
        )
    suffixes = [f"_l{layer}" for layer in range(n_layers)] if hasattr(module, "weight_hh_l0") else [""]
    layers = [_layer_from_torch(module, suffix, dtype) for suffix in suffixes]
    return layers[0] if len(layers) == 1 else Stack(tuple(layers), concat=False)


def _layer_from_torch(module, suffix, dtype):
    W, W_in = (_torch_array(module, f"weight_{part}{suffix}", dtype) for part in ("hh", "ih"))
    if W is None or W_in is None or W.shape[0] // W.shape[1] not in (1, 3) or hasattr(module, f"weight_hr{suffix}"):
        raise TypeError(
            f"module must be a torch.nn.RNNCell, GRUCell, RNN or GRU, got {type(module).__name__}; "
            "for others take penstock.TorchCell"
        )
    zero = np.zeros(len(W), dtype)
    recurrent, bias = (_torch_array(module, f"bias_{part}{suffix}", dtype, zero) for part in ("hh", "ih"))
    n_units = W.shape[1]
    if len(W) == n_units:
        return ESN(W, W_in, bias + recurrent, activation={"tanh": tanh, "relu": relu}[module.nonlinearity])
    gates = 2 * n_units
    bias = np.concatenate([bias[:gates] + recurrent[:gates], bias[gates:]])
    return GRU(W, W_in, bias, recurrent[gates:])


def _torch_array(module, name, dtype, default=None):
    """Return a parameter as an array, or `default` where the module has none of that name."""
    parameter = getattr(module, name, None)
    return default if parameter is None else parameter.detach().cpu().double().numpy().astype(dtype)


# --- kernels --------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def _run_series(gru, n, u, x, out):
    """Run one series; return whether a state was not finite."""
    W, direct, W_in, bias, recurrent_bias = gru
    a, y = np.empty_like(bias), np.empty_like(bias)
    for t in range(u.shape[0]):
        affine(W_in, u[t], bias, a)
        affine(W, x, recurrent_bias, y)
        _advance(direct, n, a, y, x)
        out[t] = x
    return not all_finite(x)


@njit(cache=True, nogil=True, error_model="numpy")
def _run_each(gru, n, u, x, out):
    """Run the series of a batch one after the other."""
    diverged = False
    for b in range(u.shape[0]):
        diverged |= _run_series(gru, n, u[b], x[b], out[b])
    return diverged


@njit(cache=True, nogil=True, error_model="numpy")
def _run_batch_dense(gru, n, u, X, out):
    """Run a batch with one matrix product per step; X is (B, N)."""
    W, direct, W_in, bias, recurrent_bias = gru
    a, Y = np.empty_like(bias), np.empty((X.shape[0], bias.size), X.dtype)
    for t in range(u.shape[1]):
        matmul_rows(W, X, Y)
        for b in range(X.shape[0]):
            y = Y[b]
            for i in range(2 * n, 3 * n):
                y[i] += recurrent_bias[i]
            affine(W_in, u[b, t], bias, a)
            _advance(direct, n, a, y, X[b])
            out[b, t] = X[b]
    return not all_finite(X.reshape(X.size))


@njit(cache=True, nogil=True, error_model="numpy")
def _advance(direct, n, a, y, x):
    """Turn a = V u + b, given y = W x + (0, 0, d), into the gates (r, z, c) in place and advance x."""
    one = x.dtype.type(1)
    for i in range(2 * n):
        a[i] += y[i]
    gates, c = a[: 2 * n], a[2 * n :]
    activate(1, gates)
    for i in range(n):
        c[i] += a[i] * y[2 * n + i]
    if direct.shape[0]:
        add_matvec(direct, x, c)
    activate(0, c)
    for i in range(n):
        x[i] = (one - a[n + i]) * c[i] + a[n + i] * x[i]


@njit(cache=True, nogil=True, error_model="numpy")
def _push_series(gru, n, u, x, V, dU, tape):
    """Carry the state and the tangents, rows of V, through u: the product rule over the gates."""
    W, direct, W_in, bias, recurrent_bias = gru
    one = x.dtype.type(1)
    a, y, before = np.empty_like(bias), np.empty_like(bias), np.empty_like(x)
    Y, by_input, beside = np.empty((V.shape[0], bias.size), x.dtype), np.zeros_like(bias), np.zeros_like(x)
    for t in range(u.shape[0]):
        affine(W_in, u[t], bias, a)
        affine(W, x, recurrent_bias, y)
        before[:] = x
        _advance(direct, n, a, y, x)
        matmul_rows(W, V, Y)
        for k in range(V.shape[0]):
            v, dy = V[k], Y[k]
            if dU.shape[0]:
                by_input[:] = 0
                add_matvec(W_in, dU[t, k], by_input)
            if direct.shape[0]:
                beside[:] = 0
                add_matvec(direct, v, beside)
            for i in range(n):
                r, z, c, s = a[i], a[n + i], a[2 * n + i], y[2 * n + i]
                dr = r * (one - r) * (dy[i] + by_input[i])
                dz = z * (one - z) * (dy[n + i] + by_input[n + i])
                dc = (one - c * c) * (by_input[2 * n + i] + s * dr + r * dy[2 * n + i] + beside[i])
                v[i] = z * v[i] + (before[i] - c) * dz + (one - z) * dc
        if tape.shape[0]:
            tape[t] = V
