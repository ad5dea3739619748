"""Echo-state networks, with or without leak."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numba import njit

from penstock.checks import as_finite_array, as_int, as_matrix, as_vector, float_type, seed_sequence
from penstock.lure import SLOPES_AT_REST, LureBlock
from penstock.matvec import add_matvec, affine, kernel_form, matmul_rows, matmul_sparse
from penstock.readout import Readout
from penstock.reservoirs.drawing import draw_bias, draw_input_weights, draw_recurrent, warn_at_origin
from penstock.scaling import scale_spectral_radius
from penstock.system import SystemDefaults
from penstock.threads import one_blas_thread
from penstock.vmath import activate, activation_code, activation_slope, all_finite, relu, slopes, tanh
from penstock.weights import uniform

__all__ = ["ESN"]


class Weighted(SystemDefaults):
    """A network with recurrent weights W (…, N) and input weights W_in (…, m), whose sizes and type are theirs."""

    W: Any
    W_in: Any

    @property
    def n_units(self):
        """Number of units N."""
        return self.W.shape[1]

    @property
    def n_inputs(self):
        """Number of input channels m."""
        return self.W_in.shape[1]

    @property
    def dtype(self):
        """Type of the states: that of W."""
        return self.W.dtype


@dataclass(frozen=True, eq=False, repr=False)
class ESN(Weighted):
    """Run an echo-state network with leaky units.

    x_t = (1 - a) x_{t-1} + a f(W x_{t-1} + W_in u_t + b), with leak a in (0, 1] and activation f.

    Parameters
    ----------
    W : array or sparse array, shape (N, N)
        Recurrent weights, W[i, j] from unit j to unit i. float32 weights make a float32 model.
    W_in : array or sparse array, shape (N, m)
        Input weights; m = 0 makes the network autonomous.
    bias : float or array, shape (N,)
        Bias b.
    leak : float or array, shape (N,)
        Leak rate a of all units or of each, in (0, 1]; 1 means no leak.
    activation : function
        One of `penstock.tanh`, `penstock.sigmoid`, `penstock.relu`, `penstock.identity`.

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit, a number is not finite, or a leak lies outside (0, 1].

    References
    ----------
    H. Jaeger, M. Lukoševičius, D. Popovici, U. Siewert (2007), Optimization and applications of echo state networks
    with leaky-integrator neurons, Neural Networks 20.

    Examples
    --------
    >>> import numpy as np
    >>> esn = ESN.random(100, spectral_radius=0.9, leak=0.3, seed=0)
    >>> esn
    ESN(n_units=100, n_inputs=1, leak=0.3, activation=tanh, W=dense, float64)
    >>> esn.run(np.sin(np.arange(50.0))).shape
    (50, 100)
    """

    W: np.ndarray
    W_in: np.ndarray
    bias: np.ndarray | float = 0.0
    leak: np.ndarray | float = 1.0
    activation: Callable = tanh

    def __post_init__(self):
        W, W_in, bias = check_rate_arrays(self.W, self.W_in, self.bias, self.activation)
        set_fields(self, W=W, W_in=W_in, bias=bias, leak=check_leak(self.leak, W.shape[0], W.dtype))

    @classmethod
    def random(
        cls,
        n_units,
        *,
        n_inputs=1,
        spectral_radius=0.9,
        input_scaling=1.0,
        bias_scaling=0.0,
        leak=1.0,
        activation=tanh,
        weights=uniform,
        density=None,
        scale=scale_spectral_radius,
        dtype=np.float64,
        seed,
    ):
        """Return a network with random weights.

        Parameters
        ----------
        n_units, n_inputs : int
            Sizes N and m.
        spectral_radius : float or None
            Largest eigenvalue modulus of W, exact unless `scale` says otherwise; None leaves W as drawn.
        input_scaling : float or array, shape (m,)
            Input weights are uniform in ±input_scaling, for all channels or each.
        bias_scaling : float
            Biases are uniform in ±bias_scaling. Without a bias an odd network cannot form products of its inputs.
        leak, activation
            As in the class.
        weights : function or matrix
            A function of `penstock.weights` (with `functools.partial` for its settings), or a matrix.
        density : float, optional
            Fraction of non-zero weights, in (0, 1]; short for ``weights=partial(sparse, density=density)``.
        scale : function
            ``scale(W, spectral_radius)``: `scale_spectral_radius`, `scale_spectral_norm`, `scale_fast`, …
        dtype : numpy.dtype
            float64 or float32.
        seed : int or numpy.random.SeedSequence
            W, W_in and bias come from independent streams, so W does not depend on `n_inputs`.

        Warns
        -----
        EchoStateWarning
            If the linearisation at the origin has a spectral radius above 1.
        """
        n_units, dtype = as_int("n_units", n_units), as_dtype(dtype)
        check_leak(leak, n_units, dtype)
        activation_code(activation)
        for_W, for_W_in, for_bias = seed_sequence(seed).spawn(3)
        W_in = draw_input_weights(n_units, n_inputs, input_scaling, for_W_in)
        bias = draw_bias(n_units, bias_scaling, for_bias)
        W = draw_recurrent(n_units, spectral_radius, for_W, weights=weights, density=density, scale=scale)
        esn = cls(W.astype(dtype), W_in, bias, leak, activation)
        if spectral_radius is None or spectral_radius > 1 or scale is not scale_spectral_radius:
            warn_at_origin(repr(esn), esn._linear_part())
        return esn

    def __repr__(self):
        leak = self.leak if np.ndim(self.leak) == 0 else f"{np.min(self.leak):.3g}…{np.max(self.leak):.3g}"
        return (
            f"ESN(n_units={self.n_units}, n_inputs={self.n_inputs}, leak={leak}, "
            f"activation={self.activation.__name__}, W={describe_matrix(self.W)}, {self.dtype})"
        )

    def step(self, x, u):
        """Return the next state: (n,), (m,) -> (n,)."""
        return (1 - self.leak) * x + self.leak * self.activation(self.W @ x + self.W_in @ u + self.bias)

    def jacobian(self, x, u):
        """Return d step / d x = (1 - a) I + a D W, with D the slopes at (x, u); shape (n, n)."""
        return np.diag(np.broadcast_to(1 - np.asarray(self.leak), self.n_units)) + self._gain(x, u) * to_dense(self.W)

    def input_jacobian(self, x, u):
        """Return d step / d u = a D W_in; shape (n, m)."""
        return self._gain(x, u) * to_dense(self.W_in)

    def close(self, W_out, offset=0.0):
        """Feed a linear readout u_t = W_out x_{t-1} + offset back: an autonomous network with W + W_in W_out.

        Parameters
        ----------
        W_out : array, shape (m, N), or Readout
            Readout of the inputs from the state; a fitted `Readout` brings its own offset.
        offset : float or array, shape (m,)
            Constant part of the readout.

        Returns
        -------
        System
            Without inputs: an ESN, or for sparse W a `ClosedLoop`, which keeps it sparse. Start it from the last state
            of the driven network: ``closed.run(500, x0=states[-1])``.
        """
        if hasattr(self.W, "nnz"):
            return super().close(W_out, offset)
        W, W_in, bias = close_loop(self.W, self.W_in, self.bias, W_out, offset)
        return ESN(W, W_in, bias, self.leak, self.activation)

    def lure_blocks(self):
        """Return the one layer as a `LureBlock`: A = 1 - a, B = a, C = W."""
        leak = np.broadcast_to(np.asarray(self.leak, np.float64), self.n_units)
        return (LureBlock.of(self.activation, np.diag(1 - leak), np.diag(leak), to_dense(self.W)),)

    def piecewise_linear(self, u):
        """Return (A, B, C, d, h) of a relu network: A = 1 - a, B = a, C = W, d = W_in u + b, h = 0; else None."""
        if self.activation is not relu:
            return None
        leak = np.broadcast_to(np.asarray(self.leak, np.float64), self.n_units)
        W, drive = np.asarray(to_dense(self.W), np.float64), np.asarray(self.W_in @ u + self.bias, np.float64)
        return np.diag(1 - leak), np.diag(leak), W, drive, np.zeros(self.n_units)

    def _jacobians(self, X, U):
        y = self.activation(X @ self.W.T + U @ self.W_in.T + self.bias)
        J = (self.leak * activation_slope(self.activation, y))[:, :, None] * to_dense(self.W)
        J.reshape(len(X), self.n_units**2)[:, :: self.n_units + 1] += 1 - np.asarray(self.leak)
        return J

    def _linear_part(self):
        """The Jacobian at the origin without inputs and bias."""
        slope = SLOPES_AT_REST[activation_code(self.activation)]
        leak = np.broadcast_to(np.asarray(self.leak, np.float64), self.n_units)
        return np.diag(1 - leak) + slope * leak[:, None] * to_dense(self.W)

    def _gain(self, x, u):
        x, u = self._point(x, u)
        y = self.activation(self.W @ x + self.W_in @ u + self.bias)
        return (self.leak * activation_slope(self.activation, y))[:, None]

    @cached_property
    def _fields(self):
        leak = np.full(self.n_units, self.leak, self.dtype)
        return kernel_form(self.W), kernel_form(self.W_in), self.bias, 1 - leak, leak

    def _run(self, u, x0, out):
        code = activation_code(self.activation)
        if u.ndim == 2:
            return _run_series(self._fields, code, np.empty((0, x0.size), x0.dtype), x0[:0], u, x0, out)
        kernels = (_run_batch_dense, _run_batch_sparse, _run_each)
        return run_batch(self._fields[0], kernels, self._fields, code, u, x0, out)

    def _run_fed(self, W_out, offset, u, x, out):
        """Fill `out` with the states when the last inputs are W_out x + offset; as `_run`, for one series."""
        return _run_series(self._fields, activation_code(self.activation), W_out, offset, u, x, out)

    def _push(self, x, u, V, dU, tape):
        _push_series(self._fields, activation_code(self.activation), u, x, V, dU, tape)


# --- what the rate models share -------------------------------------------------------------------------------------


def as_dtype(dtype):
    """Return float64 or float32 as a dtype."""
    try:
        clean = np.dtype(dtype if dtype is not None else "none")
    except TypeError:
        clean = None
    if clean not in (np.float64, np.float32):
        raise ValueError(f"dtype must be float64 or float32, got {dtype!r}")
    return clean


def check_leak(leak, n_units, dtype):
    """Return a leak in (0, 1]: a float, or a read-only array (n_units,)."""
    rates = as_finite_array("leak", leak, dtype, ndim=(0, 1))
    if rates.ndim and rates.shape != (n_units,):
        raise ValueError(f"leak must be a number or have shape ({n_units},), got {rates.shape}")
    if not ((rates > 0) & (rates <= 1)).all():
        raise ValueError(f"leak must lie in (0, 1], got {leak}")
    if rates.ndim == 0:
        return float(leak)
    rates = rates.copy()
    rates.flags.writeable = False
    return rates


def check_rate_arrays(W, W_in, bias, activation):
    """Return clean read-only W (N, N), W_in (N, m) and bias (N,), all of the type of W."""
    activation_code(activation)
    dtype = float_type(W)
    W = as_matrix("W", W, (None, None), dtype)
    n_units = W.shape[0]
    if W.shape[1] != n_units or n_units == 0:
        raise ValueError(f"W must be square and not empty, got shape {W.shape}")
    W_in = as_matrix("W_in", W_in, (n_units, None), dtype, order="F")  # few columns: long ones stream better
    bias = as_finite_array("bias", bias, dtype, ndim=(0, 1))
    if bias.ndim and bias.shape != (n_units,):
        raise ValueError(f"bias must be a number or have shape ({n_units},) to match W, got {bias.shape}")
    bias = np.array(np.broadcast_to(bias, n_units))
    bias.flags.writeable = False
    return W, W_in, bias


def set_fields(record, **fields):
    """Set the cleaned fields of a frozen record while it is being made."""
    for name, value in fields.items():
        object.__setattr__(record, name, value)


@one_blas_thread
def close_loop(W, W_in, bias, W_out, offset):
    """Return W + W_in W_out, empty input weights and bias + W_in offset."""
    n_units, n_inputs = W_in.shape
    if isinstance(W_out, Readout):
        W_out, offset = W_out.W_out, W_out.offset
    W_out = as_finite_array("W_out", np.atleast_2d(W_out), W.dtype, ndim=2)
    if W_out.shape != (n_inputs, n_units):
        raise ValueError(f"W_out must have shape ({n_inputs}, {n_units}), got {W_out.shape}")
    offset = as_vector("offset", offset, n_inputs, W.dtype)
    return to_dense(W) + W_in @ W_out, np.empty((n_units, 0)), bias + W_in @ offset


def to_dense(matrix):
    """Return a matrix as an array."""
    return matrix.toarray() if hasattr(matrix, "toarray") else matrix


def describe_matrix(matrix):
    """Return 'dense' or the number of non-zeros, for a repr."""
    return f"sparse({matrix.nnz} non-zeros)" if hasattr(matrix, "nnz") else "dense"


@one_blas_thread
def run_batch(form, kernels, fields, code, u, x0, out):
    """Run a batch by the kernel that suits W: a matrix product per step pays from three series on."""
    dense, sparse, each = kernels
    structured = isinstance(form, tuple) and len(form) == 2
    kernel = each if structured or u.shape[0] < 3 else sparse if isinstance(form, tuple) else dense
    return kernel(fields, code, u, x0, out)


# --- kernels --------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def _run_series(esn, code, W_out, offset, u, x, out):
    """Run one series, its last inputs W_out x + offset; return whether a state was not finite."""
    W, W_in, bias, keep, leak = esn
    n_given = u.shape[1]
    drive, z = np.empty(n_given + offset.size, x.dtype), np.empty_like(x)
    fed = drive[n_given:]
    for t in range(u.shape[0]):
        for j in range(n_given):
            drive[j] = u[t, j]
        if offset.size:
            affine(W_out, x, offset, fed)
        affine(W_in, drive, bias, z)
        add_matvec(W, x, z)
        activate(code, z)
        row = out[t]
        for i in range(x.size):
            x[i] = keep[i] * x[i] + leak[i] * z[i]
            row[i] = x[i]
    return not all_finite(x)  # a unit that is not finite once stays so


@njit(cache=True, nogil=True, error_model="numpy")
def _run_each(esn, code, u, x, out):
    """Run the series of a batch one after the other."""
    W_out, offset, diverged = np.empty((0, x.shape[1]), x.dtype), np.empty(0, x.dtype), False
    for b in range(u.shape[0]):
        diverged |= _run_series(esn, code, W_out, offset, u[b], x[b], out[b])
    return diverged


@njit(cache=True, nogil=True, error_model="numpy")
def _run_batch_dense(esn, code, u, X, out):
    """Run a batch with one matrix product per step; X is (B, N)."""
    W, W_in, bias, keep, leak = esn
    Z = np.empty_like(X)
    for t in range(u.shape[1]):
        matmul_rows(W, X, Z)
        for b in range(X.shape[0]):
            z, x, row = Z[b], X[b], out[b, t]
            for i in range(x.size):
                z[i] += bias[i]
            add_matvec(W_in, u[b, t], z)
            activate(code, z)
            for i in range(x.size):
                x[i] = keep[i] * x[i] + leak[i] * z[i]
                row[i] = x[i]
    return not all_finite(X.reshape(X.size))


@njit(cache=True, nogil=True, error_model="numpy")
def _run_batch_sparse(esn, code, u, X, out):
    """Run a batch on states stored as (N, B), so that every non-zero of W meets a contiguous row."""
    W, W_in, bias, keep, leak = esn
    n_series, n_units = X.shape
    x, z, drive = X.T.copy(), np.empty((n_units, n_series), X.dtype), np.empty_like(X[0])
    for t in range(u.shape[1]):
        for b in range(n_series):
            affine(W_in, u[b, t], bias, drive)
            for i in range(n_units):
                z[i, b] = drive[i]
        matmul_sparse(W, x, z)
        activate(code, z.reshape(z.size))
        for i in range(n_units):
            k, a, x_i, z_i = keep[i], leak[i], x[i], z[i]
            for b in range(n_series):
                x_i[b] = k * x_i[b] + a * z_i[b]
        for b in range(n_series):
            row = out[b, t]
            for i in range(n_units):
                row[i] = x[i, b]
    return not all_finite(x.reshape(x.size))


@njit(cache=True, nogil=True, error_model="numpy")
def _push_series(esn, code, u, x, V, dU, tape):
    """Carry the state and the tangents, rows of V, through u: v <- (1 - a) v + a D (W v + W_in du).

    The state is one more row, so that W is read once for all.
    """
    W, W_in, bias, keep, leak = esn
    k = V.shape[0]
    rows, products, d = np.empty((k + 1, x.size), x.dtype), np.empty((k + 1, x.size), x.dtype), np.empty_like(x)
    rows[:k], rows[k] = V, x
    z = products[k]
    for t in range(u.shape[0]):
        matmul_rows(W, rows, products)
        add_matvec(W_in, u[t], z)
        for i in range(x.size):
            z[i] += bias[i]
        activate(code, z)
        slopes(code, z, d)
        for r in range(k):
            v, y = rows[r], products[r]
            if dU.shape[0]:
                add_matvec(W_in, dU[t, r], y)
            for i in range(x.size):
                v[i] = keep[i] * v[i] + leak[i] * d[i] * y[i]
        for i in range(x.size):
            rows[k, i] = keep[i] * rows[k, i] + leak[i] * z[i]
        if tape.shape[0]:
            tape[t] = rows[:k]
    V[:], x[:] = rows[:k], rows[k]
