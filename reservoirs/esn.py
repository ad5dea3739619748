"""Echo-state networks, with or without leak."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numba import njit

from penstock.barrier import meet, run_in_step
from penstock.checks import as_finite_array, as_int, as_matrix, as_vector, float_type, seed_sequence
from penstock.lure import SLOPES_AT_REST, LureBlock
from penstock.matvec import BATCH_ROWS, add_matvec, affine, kernel_form, matmul_rows, matmul_sparse, panel_rows
from penstock.orthogonal import push_triangular
from penstock.readout import Readout
from penstock.reservoirs.drawing import draw_bias, draw_input_weights, draw_recurrent, warn_at_origin
from penstock.scaling import scale_spectral_radius
from penstock.system import SystemDefaults
from penstock.threads import in_threads, one_blas_thread, thread_count
from penstock.vmath import activate, activation_code, activation_slope, all_finite, relu, slopes, tanh
from penstock.weights import uniform

__all__ = ["ESN"]

ENOUGH_WORK = 40_000_000
"""Products of a batch, some 2 ms, from which a second thread should pay for being started (an estimate)."""
IN_CACHE = 2**24
"""Bytes of weights that threads may each read for a few series; larger ones come from memory and must serve more."""

ENOUGH_COLUMNS = 8  # tangents from which on sparse weights meet them side by side
MANY_TANGENTS = 256  # from which on a triangular product and a factorisation at each step beat fewer of both


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

    @property
    def _batch_gain(self):
        return batch_gain(self.W)

    @cached_property
    def _fields(self):
        leak = np.full(self.n_units, self.leak, self.dtype)
        return kernel_form(self.W), kernel_form(self.W_in), self.bias, 1 - leak, leak

    def _run(self, u, x0, out):
        if u.ndim == 2:
            return run_in_step(_run_series, self._fields[0], self._fields, self._unfed, (u, x0, out))
        code = activation_code(self.activation)
        kernels = (_run_batch_dense, _run_batch_sparse, _run_each)
        return run_batch(self._fields[0], kernels, self._fields, code, u, x0, out)

    @cached_property
    def _unfed(self):
        """What `_run_series` takes beside the fields if no readout feeds the network; kept, for short runs."""
        return activation_code(self.activation), np.empty((0, self.n_units), self.dtype), np.empty(0, self.dtype)

    def _run_fed(self, W_out, offset, u, x, out):
        """Fill `out` with the states when the last inputs are W_out x + offset; as `_run`, for one series."""
        settings = activation_code(self.activation), W_out, offset
        return run_in_step(_run_series, self._fields[0], self._fields, settings, (u, x, out))

    def _push(self, x, u, V, dU, tape):
        many = isinstance(self._fields[0], tuple) and len(self._fields[0]) == 3 and len(V) >= ENOUGH_COLUMNS
        push = _push_sparse if many else _push_series
        push(self._fields, activation_code(self.activation), u, x, V, dU, tape)

    def _push_qr(self, x, u, V, interval, logs):
        if interval == 1 and self._each_step(len(V)):
            push_triangular(self._columns, self._fields[3], self._gains(x, u), V, logs)
        else:
            super()._push_qr(x, u, V, interval, logs)

    def _each_step(self, k):
        """Whether k tangents are best factorised at every step, which halves the product with a dense W."""
        return isinstance(self.W, np.ndarray) and self.dtype == np.float64 and k >= MANY_TANGENTS

    @cached_property
    def _columns(self):
        return np.ascontiguousarray(self.W.T)

    def _gains(self, x, u):
        """Carry x in place through u, and yield a f' (n,) of every step on the way."""
        _, _, bias, keep, leak = self._fields
        for u_t in u:
            y = self.activation(self.W @ x + self.W_in @ u_t + bias)
            x[:] = keep * x + leak * y
            yield leak * activation_slope(self.activation, y)


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


def batch_gain(W):
    """Return how much less a step costs in a batch of 8 to 16 series than alone (measured): W is read once for all."""
    if hasattr(W, "nnz") or W.shape[1] < 150:
        return 1.0
    return 2.0 if W.shape[1] < 1000 else 2.5 if W.shape[1] < 2000 else 5.0


@one_blas_thread
def run_batch(form, kernels, fields, code, u, x0, out):
    """Run a batch by the kernel that suits W, its series shared out among threads where that pays.

    A matrix product per step pays from three series on. Every part has enough series for the same bits as in the whole.
    """
    dense, sparse, each = kernels
    kind = len(form) if isinstance(form, tuple) else 1
    one_by_one = kind == 2 or u.shape[0] < 3
    kernel = each if one_by_one else sparse if kind == 3 else dense
    weights = form if isinstance(form, np.ndarray) else form[0]
    work = u.shape[0] * u.shape[1] * (weights.size * (1 if kernel is dense else 10) + 50 * x0.shape[1])
    n_parts = thread_count() if work > ENOUGH_WORK else 1
    panel = panel_rows(x0.itemsize)
    if kernel is dense and u.shape[0] % panel == 0:
        cuts = _cuts(u.shape[0], panel, panel if weights.nbytes <= IN_CACHE else 2 * panel, n_parts)
    else:
        cuts = _cuts(u.shape[0], 1, 1 if one_by_one else BATCH_ROWS, n_parts)
    return any([*in_threads(kernel, [(fields, code, u[a:b], x0[a:b], out[a:b]) for a, b in pairwise(cuts)])])


def _cuts(n_series, step, least, n_parts):
    """Return where to cut a batch into at most so many parts, of multiples of `step` series and at least so many."""
    n_parts = max(1, min(n_parts, n_series // least))
    return [n_series // step * k // n_parts * step for k in range(n_parts + 1)]


# --- kernels --------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def _run_series(esn, code, W_out, offset, u, x, out, team):
    """Run the units of a team's member through one series, the last inputs W_out x + offset; see `run_in_step`."""
    W, W_in, bias, keep, leak = esn
    first, n_given = team[2], u.shape[1]
    drive, z = np.empty(n_given + offset.size, x.dtype), np.empty_like(bias)
    fed, before = drive[n_given:], x
    for t in range(u.shape[0]):
        for j in range(n_given):
            drive[j] = u[t, j]
        if offset.size:
            affine(W_out, before, offset, fed)
        affine(W_in, drive, bias, z)
        add_matvec(W, before, z)
        activate(code, z)
        own, row = before[first : first + z.size], out[t, first : first + z.size]
        for i in range(z.size):
            row[i] = keep[i] * own[i] + leak[i] * z[i]
        if not meet(team, t + 1):
            return t
        before = out[t]
    return u.shape[0] if all_finite(before[first : first + z.size]) else -1


@njit(cache=True, nogil=True, error_model="numpy")
def _run_each(esn, code, u, x, out):
    """Run the series of a batch one after the other."""
    W_out, offset, diverged = np.empty((0, x.shape[1]), x.dtype), np.empty(0, x.dtype), False
    alone = np.zeros(0, np.int64), 0, 0, 0
    for b in range(u.shape[0]):
        diverged |= _run_series(esn, code, W_out, offset, u[b], x[b], out[b], alone) < 0
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


@njit(cache=True, nogil=True, error_model="numpy")
def _push_sparse(esn, code, u, x, V, dU, tape):
    """Do the same for CSR weights: tangents stand side by side, 16 at a time, where each non-zero meets all of them.

    The state is again one more, the last; what is beside it stays zero.
    """
    W, W_in, bias, keep, leak = esn
    k, n = V.shape
    rows = np.zeros((k // 16 + 1, n, 16), x.dtype)
    products, z, d, by_input = np.empty_like(rows), np.empty_like(x), np.empty_like(x), np.empty_like(x)
    for r in range(k):
        rows[r // 16, :, r % 16] = V[r]
    rows[k // 16, :, k % 16] = x
    for t in range(u.shape[0]):
        products[:] = 0
        for b in range(rows.shape[0]):
            matmul_sparse(W, rows[b], products[b])
        affine(W_in, u[t], bias, z)
        for i in range(n):
            z[i] += products[k // 16, i, k % 16]
        activate(code, z)
        slopes(code, z, d)
        for r in range(k if dU.shape[0] else 0):
            by_input[:] = 0
            add_matvec(W_in, dU[t, r], by_input)
            for i in range(n):
                products[r // 16, i, r % 16] += by_input[i]
        for b in range(rows.shape[0]):
            for i in range(n):
                v, y, kept, gain = rows[b, i], products[b, i], keep[i], leak[i] * d[i]
                for r in range(16):
                    v[r] = kept * v[r] + gain * y[r]
        for i in range(n):
            x[i] = keep[i] * x[i] + leak[i] * z[i]
            rows[k // 16, i, k % 16] = x[i]
        for r in range(k if tape.shape[0] else 0):
            tape[t, r] = rows[r // 16, :, r % 16]
    for r in range(k):
        V[r] = rows[r // 16, :, r % 16]
