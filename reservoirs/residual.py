"""Residual reservoirs: a linear branch beside the nonlinear one."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numba import njit

from penstock.barrier import meet, run_in_step
from penstock.checks import as_finite_float, as_fraction, as_int, as_matrix, as_non_negative_float, seed_sequence
from penstock.lure import SLOPES_AT_REST, LureBlock
from penstock.matvec import add_matvec, affine, kernel_form, matmul_rows, matmul_sparse
from penstock.reservoirs.drawing import (
    draw_bias,
    draw_input_weights,
    draw_matrix,
    draw_recurrent,
    warn_at_origin,
)
from penstock.reservoirs.esn import (
    Weighted,
    as_dtype,
    batch_gain,
    check_rate_arrays,
    close_loop,
    describe_matrix,
    run_batch,
    set_fields,
    to_dense,
)
from penstock.scaling import scale_spectral_radius, spectral_norm
from penstock.vmath import activate, activation_code, activation_slope, all_finite, slopes, tanh
from penstock.weights import orthogonal, uniform

__all__ = ["ES2N", "EuSN", "ResESN"]


class _Residual(Weighted):
    """x_t = A x_{t-1} + g f(R x_{t-1} + W_in u_t + b): what the three models of this file share.

    A subclass gives `_skip` (A), `_gain` (g) and `_recurrent` (R).
    """

    bias: Any
    activation: Any = staticmethod(tanh)
    _skip: Any
    _gain: Any
    _recurrent: Any

    def step(self, x, u):
        """Return the next state: (n,), (m,) -> (n,)."""
        return self._skip @ x + self._gain * self._output(x, u)

    def jacobian(self, x, u):
        """Return d step / d x = A + g D R, with D the slopes at (x, u); shape (n, n)."""
        return to_dense(self._skip) + self._slope(x, u) * to_dense(self._recurrent)

    def input_jacobian(self, x, u):
        """Return d step / d u = g D W_in; shape (n, m)."""
        return self._slope(x, u) * to_dense(self.W_in)

    def _output(self, x, u):
        return self.activation(self._recurrent @ x + self.W_in @ u + self.bias)

    def _slope(self, x, u):
        return self._gain * activation_slope(self.activation, self._output(*self._point(x, u)))[:, None]

    def lure_blocks(self):
        """Return the one layer as a `LureBlock`: the linear branch, the gain and the recurrent weights."""
        A, C = to_dense(self._skip), to_dense(self._recurrent)
        return (LureBlock.of(self.activation, A, self._gain * np.eye(self.n_units), C),)

    def _linear_part(self):
        """The Jacobian at the origin without inputs and bias."""
        slope = SLOPES_AT_REST[activation_code(self.activation)]
        return self._skip + self._gain * slope * self._recurrent

    @property
    def _batch_gain(self):
        return batch_gain(self.W)

    @cached_property
    def _fields(self):
        skip = kernel_form(as_matrix("skip", self._skip, self.W.shape, self.dtype))
        recurrent = kernel_form(as_matrix("recurrent", self._recurrent, self.W.shape, self.dtype))
        return skip, self.dtype.type(self._gain), recurrent, kernel_form(self.W_in), self.bias

    def _run(self, u, x0, out):
        if u.ndim == 2:
            return run_in_step(_run_series, self._fields[2], self._fields, self._unfed, (u, x0, out))
        code = activation_code(self.activation)
        kernels = (_run_batch_dense, _run_batch_sparse, _run_each)
        return run_batch(self._fields[2], kernels, self._fields, code, u, x0, out)

    @cached_property
    def _unfed(self):
        """What `_run_series` takes beside the fields if no readout feeds the network; kept, for short runs."""
        return activation_code(self.activation), np.empty((0, self.n_units), self.dtype), np.empty(0, self.dtype)

    def _run_fed(self, W_out, offset, u, x, out):
        """Fill `out` with the states when the last inputs are W_out x + offset; as `_run`, for one series."""
        settings = activation_code(self.activation), W_out, offset
        return run_in_step(_run_series, self._fields[2], self._fields, settings, (u, x, out))

    def _push(self, x, u, V, dU, tape):
        _push_series(self._fields, activation_code(self.activation), u, x, V, dU, tape)


@dataclass(frozen=True, eq=False, repr=False)
class ResESN(_Residual):
    """Run a residual echo-state network: an orthogonal linear branch beside the nonlinear one.

    x_t = alpha O x_{t-1} + beta f(W x_{t-1} + W_in u_t + b), with O orthogonal.

    alpha = 0, beta = 1 is the `ESN`; O = I, alpha = 1 - a, beta = a the leaky one; alpha = 1 - beta the `ES2N`.

    Parameters
    ----------
    W : array or sparse array, shape (N, N)
        Recurrent weights of the nonlinear branch; float32 weights make a float32 model.
    W_in : array or sparse array, shape (N, m)
        Input weights.
    O : array or sparse array, shape (N, N)
        Orthogonal skip matrix; cyclic and identity matrices cost O(N) per step if they are sparse.
    alpha, beta : float
        Weights of the linear and of the nonlinear branch, at least 0.
    bias : float or array, shape (N,)
        Bias b.
    activation : function
        One of `penstock.tanh`, `penstock.sigmoid`, `penstock.relu`, `penstock.identity`.

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit, O is not orthogonal, or alpha or beta is negative or not finite.

    References
    ----------
    A. Ceni, C. Gallicchio (2024), Residual echo state networks: residual recurrent neural networks with stable
    dynamics and fast learning, Neurocomputing 597; M. Pinna, A. Ceni, C. Gallicchio (2025), arXiv 2508.21172.

    Examples
    --------
    >>> import numpy as np
    >>> from penstock.weights import ring
    >>> res = ResESN.random(100, alpha=0.9, beta=0.2, skip=ring, seed=0)
    >>> res
    ResESN(n_units=100, n_inputs=1, alpha=0.9, beta=0.2, O=sparse(100 non-zeros), W=dense, float64)
    >>> res.run(np.zeros((20, 1))).shape
    (20, 100)
    """

    W: np.ndarray
    W_in: np.ndarray
    O: np.ndarray  # noqa: E741  the name of the literature
    alpha: float = 0.9
    beta: float = 0.1
    bias: np.ndarray | float = 0.0
    activation: Callable = tanh

    def __post_init__(self):
        W, W_in, bias = check_rate_arrays(self.W, self.W_in, self.bias, self.activation)
        skip = check_orthogonal(as_matrix("O", self.O, W.shape, W.dtype))
        alpha, beta = as_non_negative_float("alpha", self.alpha), as_non_negative_float("beta", self.beta)
        set_fields(self, W=W, W_in=W_in, O=skip, alpha=alpha, beta=beta, bias=bias)

    @classmethod
    def random(
        cls,
        n_units,
        *,
        n_inputs=1,
        alpha=0.9,
        beta=0.1,
        skip=orthogonal,
        spectral_radius=0.9,
        input_scaling=1.0,
        bias_scaling=0.0,
        activation=tanh,
        weights=uniform,
        density=None,
        scale=scale_spectral_radius,
        dtype=np.float64,
        seed,
    ):
        """Return a network with random weights; the arguments of `ESN.random`, and:

        Parameters
        ----------
        alpha, beta : float
            Weights of the linear and of the nonlinear branch. Both 1, the default of the authors' code, has no echo
            states for small inputs.
        skip : function or matrix
            The skip matrix O: `penstock.weights.orthogonal` (random, "R"), `ring` (cyclic, "C"), `eye` (identity,
            "I"), or a matrix.

        Warns
        -----
        EchoStateWarning
            If the linearisation at the origin has a spectral radius above 1, as in the published best settings.
        """
        as_non_negative_float("alpha", alpha)
        as_non_negative_float("beta", beta)
        activation_code(activation)
        W, W_in, skip, bias = _draw(
            n_units, n_inputs, spectral_radius, input_scaling, bias_scaling, skip, weights, density, scale, dtype, seed
        )
        model = cls(W, W_in, skip, alpha, beta, bias, activation)
        _warn_if_unstable(model, alpha, beta)
        return model

    def __repr__(self):
        return (
            f"ResESN(n_units={self.n_units}, n_inputs={self.n_inputs}, alpha={self.alpha}, beta={self.beta}, "
            f"O={describe_matrix(self.O)}, W={describe_matrix(self.W)}, {self.dtype})"
        )

    def close(self, W_out, offset=0.0):
        """Feed a linear readout u_t = W_out x_{t-1} + offset back: an autonomous network; see `ESN.close`."""
        W, W_in, bias = close_loop(self.W, self.W_in, self.bias, W_out, offset)
        return replace(self, W=W, W_in=W_in, bias=bias)

    @cached_property
    def _skip(self):
        return self.alpha * self.O

    @property
    def _gain(self):
        return self.beta

    @property
    def _recurrent(self):
        return self.W


@dataclass(frozen=True, eq=False, repr=False)
class ES2N(_Residual):
    """Run an edge-of-stability echo-state network.

    x_t = (1 - beta) O x_{t-1} + beta tanh(W x_{t-1} + W_in u_t + b), with O orthogonal and beta in (0, 1].
    The eigenvalues of its Jacobian lie within beta ‖D W‖ of the circle of radius 1 - beta: small beta gives nearly
    the largest possible memory.

    Parameters
    ----------
    W, O : array or sparse array, shape (N, N)
        Recurrent weights and orthogonal matrix.
    W_in : array or sparse array, shape (N, m)
        Input weights.
    beta : float
        Proximity, in (0, 1].
    bias : float or array, shape (N,)
        Bias b.

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit, O is not orthogonal, or beta lies outside (0, 1].

    References
    ----------
    A. Ceni, C. Gallicchio (2024), Edge of stability echo state network, IEEE TNNLS.

    Examples
    --------
    >>> ES2N.random(50, beta=0.1, seed=0)
    ES2N(n_units=50, n_inputs=1, beta=0.1, O=dense, W=dense, float64)
    """

    W: np.ndarray
    W_in: np.ndarray
    O: np.ndarray  # noqa: E741
    beta: float = 0.1
    bias: np.ndarray | float = 0.0

    def __post_init__(self):
        W, W_in, bias = check_rate_arrays(self.W, self.W_in, self.bias, tanh)
        skip = check_orthogonal(as_matrix("O", self.O, W.shape, W.dtype))
        set_fields(self, W=W, W_in=W_in, O=skip, beta=as_fraction("beta", self.beta), bias=bias)

    @classmethod
    def random(
        cls,
        n_units,
        *,
        n_inputs=1,
        beta=0.1,
        spectral_radius=0.9,
        input_scaling=1.0,
        bias_scaling=0.0,
        skip=orthogonal,
        weights=uniform,
        density=None,
        scale=scale_spectral_radius,
        dtype=np.float64,
        seed,
    ):
        """Return a network with random weights; the arguments of `ResESN.random`, with alpha = 1 - beta."""
        as_fraction("beta", beta)
        W, W_in, skip, bias = _draw(
            n_units, n_inputs, spectral_radius, input_scaling, bias_scaling, skip, weights, density, scale, dtype, seed
        )
        model = cls(W, W_in, skip, beta, bias)
        _warn_if_unstable(model, 1 - beta, beta)
        return model

    def __repr__(self):
        return (
            f"ES2N(n_units={self.n_units}, n_inputs={self.n_inputs}, beta={self.beta}, "
            f"O={describe_matrix(self.O)}, W={describe_matrix(self.W)}, {self.dtype})"
        )

    def close(self, W_out, offset=0.0):
        """Feed a linear readout u_t = W_out x_{t-1} + offset back: an autonomous network; see `ESN.close`."""
        W, W_in, bias = close_loop(self.W, self.W_in, self.bias, W_out, offset)
        return replace(self, W=W, W_in=W_in, bias=bias)

    @cached_property
    def _skip(self):
        return (1 - self.beta) * self.O

    @property
    def _gain(self):
        return self.beta

    @property
    def _recurrent(self):
        return self.W


@dataclass(frozen=True, eq=False, repr=False)
class EuSN(_Residual):
    """Run an Euler state network: forward Euler of an antisymmetric ODE.

    x_t = x_{t-1} + eps tanh((W - W^T - gamma I) x_{t-1} + W_in u_t + b).
    At the origin every eigenvalue has real part 1 - eps gamma, hence a modulus slightly above 1 by design.

    Parameters
    ----------
    W : array or sparse array, shape (N, N)
        Any matrix; its antisymmetric part is what recurs.
    W_in : array or sparse array, shape (N, m)
        Input weights.
    eps : float
        Integration step, above 0.
    gamma : float
        Diffusion, at least 0.
    bias : float or array, shape (N,)
        Bias b.

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit, eps is not above 0 or gamma is negative.

    References
    ----------
    C. Gallicchio (2024), Euler state networks: non-dissipative reservoir computing, Neurocomputing 579.

    Examples
    --------
    >>> EuSN.random(50, seed=0)
    EuSN(n_units=50, n_inputs=1, eps=0.01, gamma=0.001, W=dense, float64)
    """

    W: np.ndarray
    W_in: np.ndarray
    eps: float = 0.01
    gamma: float = 0.001
    bias: np.ndarray | float = 0.0

    _no_recurrent_matrix = "what recurs is W - W^T - gamma I, whose entries cannot be chosen one by one"

    def __post_init__(self):
        W, W_in, bias = check_rate_arrays(self.W, self.W_in, self.bias, tanh)
        eps, gamma = as_finite_float("eps", self.eps), as_non_negative_float("gamma", self.gamma)
        if eps <= 0:
            raise ValueError(f"eps must be above 0, got {eps}")
        set_fields(self, W=W, W_in=W_in, eps=eps, gamma=gamma, bias=bias)

    @classmethod
    def random(
        cls,
        n_units,
        *,
        n_inputs=1,
        eps=0.01,
        gamma=0.001,
        recurrent_scaling=1.0,
        input_scaling=1.0,
        bias_scaling=1.0,
        weights=uniform,
        density=None,
        dtype=np.float64,
        seed,
    ):
        """Return a network with W uniform in ±recurrent_scaling; the other arguments are those of `ESN.random`."""
        n_units, dtype = as_int("n_units", n_units), as_dtype(dtype)
        for_W, for_W_in, for_bias = seed_sequence(seed).spawn(3)
        W = as_non_negative_float("recurrent_scaling", recurrent_scaling) * draw_recurrent(
            n_units, None, for_W, weights=weights, density=density
        )
        W_in = draw_input_weights(n_units, n_inputs, input_scaling, for_W_in)
        return cls(W.astype(dtype), W_in, eps, gamma, draw_bias(n_units, bias_scaling, for_bias))

    def __repr__(self):
        return (
            f"EuSN(n_units={self.n_units}, n_inputs={self.n_inputs}, eps={self.eps}, gamma={self.gamma}, "
            f"W={describe_matrix(self.W)}, {self.dtype})"
        )

    @cached_property
    def _skip(self):
        from scipy.sparse import eye_array

        return eye_array(self.n_units, dtype=self.dtype, format="csr")

    @property
    def _gain(self):
        return self.eps

    @cached_property
    def _recurrent(self):
        return self.W - self.W.T - self.gamma * (self._skip if hasattr(self.W, "nnz") else np.eye(self.n_units))


def _draw(n_units, n_inputs, spectral_radius, input_scaling, bias_scaling, skip, weights, density, scale, dtype, seed):
    """Return W, W_in, O and bias, each from its own stream."""
    n_units, dtype = as_int("n_units", n_units), as_dtype(dtype)
    for_W, for_W_in, for_bias, for_O = seed_sequence(seed).spawn(4)
    W_in = draw_input_weights(n_units, n_inputs, input_scaling, for_W_in)
    bias = draw_bias(n_units, bias_scaling, for_bias)
    skip = draw_matrix("skip", skip, n_units, for_O)
    W = draw_recurrent(n_units, spectral_radius, for_W, weights=weights, density=density, scale=scale)
    return W.astype(dtype), W_in, skip, bias


def _warn_if_unstable(model, alpha, beta):
    if alpha + beta * spectral_norm(model.W) > 1:  # else contracting for any input
        warn_at_origin(repr(model), model._linear_part())


def check_orthogonal(matrix):
    """Return a matrix if it is orthogonal, tested on three random vectors: a true O passes, others fail surely."""
    v = np.random.default_rng(0).standard_normal((matrix.shape[0], 3))
    error = np.abs(matrix.T @ (matrix @ v) - v).max(initial=0.0)
    if error > (1e-9 if matrix.dtype == np.float64 else 1e-4) * np.sqrt(matrix.shape[0]):
        raise ValueError(
            f"O must be orthogonal, but O^T O differs from the identity (error {error:.2g}); "
            "draw one with penstock.weights.orthogonal, ring or permutation"
        )
    return matrix


# --- kernels --------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def _run_series(model, code, W_out, offset, u, x, out, team):
    """Run the units of a team's member through one series, the last inputs W_out x + offset; see `run_in_step`."""
    A, gain, W, W_in, bias = model
    first, n_given = team[2], u.shape[1]
    drive, z, y = np.empty(n_given + offset.size, x.dtype), np.empty_like(bias), np.empty_like(bias)
    fed, before = drive[n_given:], x
    for t in range(u.shape[0]):
        for j in range(n_given):
            drive[j] = u[t, j]
        if offset.size:
            affine(W_out, before, offset, fed)
        affine(W_in, drive, bias, z)
        add_matvec(W, before, z)
        activate(code, z)
        for i in range(z.size):
            y[i] = gain * z[i]
        add_matvec(A, before, y)
        out[t, first : first + y.size] = y
        if not meet(team, t + 1):
            return t
        before = out[t]
    return u.shape[0] if all_finite(before[first : first + z.size]) else -1


@njit(cache=True, nogil=True, error_model="numpy")
def _run_each(model, code, u, x, out):
    """Run the series of a batch one after the other."""
    W_out, offset, diverged = np.empty((0, x.shape[1]), x.dtype), np.empty(0, x.dtype), False
    alone = np.zeros(0, np.int64), 0, 0, 0
    for b in range(u.shape[0]):
        diverged |= _run_series(model, code, W_out, offset, u[b], x[b], out[b], alone) < 0
    return diverged


@njit(cache=True, nogil=True, error_model="numpy")
def _run_batch_dense(model, code, u, X, out):
    """Run a batch with one matrix product per step and branch; X is (B, N)."""
    A, gain, W, W_in, bias = model
    Z, Y = np.empty_like(X), np.empty_like(X)
    for t in range(u.shape[1]):
        matmul_rows(W, X, Z)
        matmul_rows(A, X, Y)
        for b in range(X.shape[0]):
            z, x, y, row = Z[b], X[b], Y[b], out[b, t]
            for i in range(x.size):
                z[i] += bias[i]
            add_matvec(W_in, u[b, t], z)
            activate(code, z)
            for i in range(x.size):
                x[i] = y[i] + gain * z[i]
                row[i] = x[i]
    return not all_finite(X.reshape(X.size))


@njit(cache=True, nogil=True, error_model="numpy")
def _run_batch_sparse(model, code, u, X, out):
    """Run a batch with W in CSR: its product on states stored as (N, B), the linear branch row by row."""
    A, gain, W, W_in, bias = model
    n_series, n_units = X.shape
    x, z, Y = np.empty((n_units, n_series), X.dtype), np.empty((n_units, n_series), X.dtype), np.empty_like(X)
    drive = np.empty_like(bias)
    for t in range(u.shape[1]):
        for b in range(n_series):
            affine(W_in, u[b, t], bias, drive)
            for i in range(n_units):
                z[i, b] = drive[i]
                x[i, b] = X[b, i]
        matmul_sparse(W, x, z)
        activate(code, z.reshape(z.size))
        matmul_rows(A, X, Y)
        for b in range(n_series):
            state, y, row = X[b], Y[b], out[b, t]
            for i in range(n_units):
                state[i] = y[i] + gain * z[i, b]
                row[i] = state[i]
    return not all_finite(X.reshape(X.size))


@njit(cache=True, nogil=True, error_model="numpy")
def _push_series(model, code, u, x, V, dU, tape):
    """Carry the state and the tangents, rows of V, through u: v <- A v + g D (W v + W_in du).

    The state is one more row, so that W and A are read once for all.
    """
    A, gain, W, W_in, bias = model
    k = V.shape[0]
    rows, d = np.empty((k + 1, x.size), x.dtype), np.empty_like(x)
    products, linear = np.empty_like(rows), np.empty_like(rows)
    rows[:k], rows[k] = V, x
    z = products[k]
    for t in range(u.shape[0]):
        matmul_rows(W, rows, products)
        matmul_rows(A, rows, linear)
        add_matvec(W_in, u[t], z)
        for i in range(x.size):
            z[i] += bias[i]
        activate(code, z)
        slopes(code, z, d)
        for r in range(k):
            y = products[r]
            if dU.shape[0]:
                add_matvec(W_in, dU[t, r], y)
            for i in range(x.size):
                rows[r, i] = linear[r, i] + gain * d[i] * y[i]
        for i in range(x.size):
            rows[k, i] = linear[k, i] + gain * z[i]
        if tape.shape[0]:
            tape[t] = rows[:k]
    V[:], x[:] = rows[:k], rows[k]
