"""Long expressive memory: two variables per unit, each with a time step that the network sets itself."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit

from penstock.checks import as_fraction, as_int, as_matrix, as_non_negative_float, as_vector, float_type, seed_sequence
from penstock.matvec import add_matvec, affine, kernel_form, matmul_rows
from penstock.reservoirs.drawing import draw_bias, draw_input_weights
from penstock.reservoirs.esn import as_dtype, describe_matrix, run_batch, set_fields
from penstock.reservoirs.oscillators import Paired
from penstock.vmath import activate, all_finite, sigmoid, tanh

__all__ = ["LEM"]


@dataclass(frozen=True, eq=False, repr=False)
class LEM(Paired):
    """Run a long expressive memory network.

    p = dt sigmoid(W_1 y + V_1 u + b_1) and q = dt sigmoid(W_2 y + V_2 u + b_2), the time steps of y and z;
    z_t = (1 - q) z + q tanh(W_3 y + V_3 u + b_3) and y_t = (1 - p) y + p tanh(W_z z_t + V_4 u + b_4), with y = y_{t-1},
    z = z_{t-1}, u = u_t and elementwise products: y moves after z, towards what the new z says. The state is [y, z],
    2 N numbers; a readout sees y (`observed`). For dt <= 1 both are convex mixtures: from a state in [-1, 1] they never
    leave it, whatever the weights and inputs.

    Parameters
    ----------
    W : array or sparse array, shape (3 N, N)
        W_1, W_2, W_3 on top of each other: from y to both time steps and to z. float32 makes a float32 model.
    W_z : array or sparse array, shape (N, N)
        From z to y.
    W_in : array or sparse array, shape (4 N, m)
        Input weights V_1, V_2, V_3, V_4; m = 0 makes the network autonomous.
    bias : float or array, shape (4 N,)
        Biases b_1, b_2, b_3, b_4.
    dt : float
        Longest time step, in (0, 1].

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit, a number is not finite, or `dt` lies outside (0, 1].

    References
    ----------
    T. K. Rusch, S. Mishra, N. B. Erichson, M. W. Mahoney (2022), Long expressive memory for sequence modeling, ICLR.

    Examples
    --------
    >>> import numpy as np
    >>> lem = LEM.random(50, n_inputs=2, dt=0.5, seed=0)
    >>> lem
    LEM(n_units=100, n_inputs=2, dt=0.5, W=dense, W_z=dense, float64)
    >>> bool(np.abs(lem.run(1000 * np.ones((300, 2)))).max() <= 1)
    True
    """

    W: np.ndarray
    W_z: np.ndarray
    W_in: np.ndarray
    bias: np.ndarray | float = 0.0
    dt: float = 1.0

    def __post_init__(self):
        dtype = float_type(self.W)
        W = as_matrix("W", self.W, (None, None), dtype)
        rows, n = W.shape
        if n == 0 or rows != 3 * n:
            raise ValueError(f"W must have shape (3 N, N), W_1, W_2 and W_3 on top of each other, got {W.shape}")
        W_z = as_matrix("W_z", self.W_z, (n, n), dtype)
        W_in = as_matrix("W_in", self.W_in, (4 * n, None), dtype, order="F")
        bias = as_vector("bias", self.bias, 4 * n, dtype)
        set_fields(self, W=W, W_z=W_z, W_in=W_in, bias=bias, dt=as_fraction("dt", self.dt))

    @classmethod
    def random(
        cls,
        n_units,
        *,
        n_inputs=1,
        dt=1.0,
        recurrent_scaling=1.0,
        input_scaling=1.0,
        bias_scaling=1.0,
        dtype=np.float64,
        seed,
    ):
        """Return a network as its authors draw it before training: every weight uniform in ±1 / sqrt(N).

        Parameters
        ----------
        n_units, n_inputs : int
            Number N of units, whose state has 2 N numbers, and of input channels m.
        dt : float
            Longest time step, in (0, 1].
        recurrent_scaling, input_scaling, bias_scaling : float
            Factors of W and W_z, of W_in and of the bias. As a reservoir the network wants larger inputs than the drawn
            ones, which shrink with N.
        dtype : numpy.dtype
            float64 or float32.
        seed : int or numpy.random.SeedSequence
            W, W_z, W_in and bias come from independent streams.
        """
        n_units, n_inputs, dtype = as_int("n_units", n_units), as_int("n_inputs", n_inputs, minimum=0), as_dtype(dtype)
        for_W, for_W_z, for_W_in, for_bias = seed_sequence(seed).spawn(4)
        width = 1 / np.sqrt(n_units)
        recurrent = width * as_non_negative_float("recurrent_scaling", recurrent_scaling)
        W = recurrent * draw_input_weights(3 * n_units, n_units, 1.0, for_W)
        W_z = recurrent * draw_input_weights(n_units, n_units, 1.0, for_W_z)
        W_in = width * draw_input_weights(4 * n_units, n_inputs, input_scaling, for_W_in)
        bias = width * draw_bias(4 * n_units, bias_scaling, for_bias)
        return cls(W.astype(dtype), W_z, W_in, bias, dt)

    def __repr__(self):
        return (
            f"LEM(n_units={self.n_units}, n_inputs={self.n_inputs}, dt={self.dt:g}, W={describe_matrix(self.W)}, "
            f"W_z={describe_matrix(self.W_z)}, {self.dtype})"
        )

    def step(self, x, u):
        """Return the next state [y, z]: (2 N,), (m,) -> (2 N,)."""
        y, z = np.split(x, 2)
        p, q, c_z, a_y = self._gates(y, u)
        z = (1 - q) * z + q * c_z
        return np.concatenate([(1 - p) * y + p * tanh(self.W_z @ z + a_y), z])

    def jacobian(self, x, u):
        """Return d step / d x at (x, u); shape (2 N, 2 N)."""
        x, u = self._point(x, u)
        return self._tangents(x, u, np.eye(x.size), np.zeros((u.size, x.size)))

    def input_jacobian(self, x, u):
        """Return d step / d u at (x, u); shape (2 N, m)."""
        x, u = self._point(x, u)
        return self._tangents(x, u, np.zeros((x.size, u.size)), np.eye(u.size))

    def _gates(self, y, u):
        """Return both time steps, where z is drawn to, and what y is drawn to but for z."""
        a = self.W_in @ u + self.bias
        a_p, a_q, a_z = np.split(a[: 3 * y.size] + self.W @ y, 3)
        return self.dt * sigmoid(a_p), self.dt * sigmoid(a_q), tanh(a_z), a[3 * y.size :]

    def _tangents(self, x, u, V, dU):
        """Push the columns of V (2 N, k) through one step, under input tangents dU (m, k): the product rule."""
        (y, z), (V_y, V_z) = np.split(x, 2), np.split(V, 2)
        p, q, c_z, a_y = (part[:, None] for part in self._gates(y, u))
        y, z = y[:, None], z[:, None]
        d_a = self.W_in @ dU
        d_p, d_q, d_z = np.split(d_a[: 3 * y.size] + self.W @ V_y, 3)
        new_z = (1 - q) * z + q * c_z
        V_z = (1 - q) * V_z + q * (1 - q / self.dt) * (c_z - z) * d_q + q * (1 - c_z * c_z) * d_z
        c_y = tanh(self.W_z @ new_z + a_y)
        d_y = d_a[3 * y.size :] + self.W_z @ V_z
        V_y = (1 - p) * V_y + p * (1 - p / self.dt) * (c_y - y) * d_p + p * (1 - c_y * c_y) * d_y
        return np.concatenate([V_y, V_z])

    @cached_property
    def _fields(self):
        return kernel_form(self.W), kernel_form(self.W_z), kernel_form(self.W_in), self.bias, self.dtype.type(self.dt)

    def _run(self, u, x0, out):
        n = self.n_units // 2
        if u.ndim == 2:
            return self._run_fed(np.empty((0, n), x0.dtype), x0[:0], u, x0, out)
        return run_batch(self._fields[0], (_run_batch, _run_each, _run_each), self._fields, n, u, x0, out)

    def _run_fed(self, W_out, offset, u, x, out):
        """Fill `out` with the states when the last inputs are W_out y + offset; as `_run`, for one series."""
        return _run_series(self._fields, self.n_units // 2, W_out, offset, u, x, out)

    def _push(self, x, u, V, dU, tape):
        _push_series(self._fields, self.n_units // 2, u, x, V, dU, tape)


def _run_each(lem, n, u, x, out):
    """Run the series of a batch one after the other."""
    W_out, offset = np.empty((0, n), x.dtype), np.empty(0, x.dtype)
    return any([_run_series(lem, n, W_out, offset, *one) for one in zip(u, x, out, strict=True)])


# --- kernels --------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def _run_series(lem, n, W_out, offset, u, x, out):
    """Run one series, its last inputs W_out y + offset; return whether a state was not finite."""
    W, W_z, W_in, bias, dt = lem
    one, n_given = x.dtype.type(1), u.shape[1]
    drive, a = np.empty(n_given + offset.size, x.dtype), np.empty_like(bias)
    y, z, fed, by_y = x[:n], x[n:], drive[n_given:], a[: 3 * n]
    steps, c_z, c_y = a[: 2 * n], a[2 * n : 3 * n], a[3 * n :]
    for t in range(u.shape[0]):
        for j in range(n_given):
            drive[j] = u[t, j]
        if offset.size:
            affine(W_out, y, offset, fed)
        affine(W_in, drive, bias, a)
        add_matvec(W, y, by_y)
        activate(1, steps)
        activate(0, c_z)
        for i in range(n):
            q = dt * steps[n + i]
            z[i] = (one - q) * z[i] + q * c_z[i]
        add_matvec(W_z, z, c_y)
        activate(0, c_y)
        row = out[t]
        for i in range(n):
            p = dt * steps[i]
            y[i] = (one - p) * y[i] + p * c_y[i]
            row[i], row[n + i] = y[i], z[i]
    return not all_finite(x)


@njit(cache=True, nogil=True, error_model="numpy")
def _run_batch(lem, n, u, X, out):
    """Run a batch with two matrix products per step; X is (B, 2 N)."""
    W, W_z, W_in, bias, dt = lem
    n_series, one = X.shape[0], X.dtype.type(1)
    A, P = np.empty((n_series, 4 * n), X.dtype), np.empty((n_series, 3 * n), X.dtype)
    Y, Z, Q = X[:, :n].copy(), X[:, n:].copy(), np.empty((n_series, n), X.dtype)
    for t in range(u.shape[1]):
        matmul_rows(W, Y, P)
        for b in range(n_series):
            a, z, by_y = A[b], Z[b], P[b]
            affine(W_in, u[b, t], bias, a)
            for i in range(3 * n):
                a[i] += by_y[i]
            activate(1, a[: 2 * n])
            activate(0, a[2 * n : 3 * n])
            for i in range(n):
                q = dt * a[n + i]
                z[i] = (one - q) * z[i] + q * a[2 * n + i]
        matmul_rows(W_z, Z, Q)
        for b in range(n_series):
            a, y, z, by_z, row = A[b], Y[b], Z[b], Q[b], out[b, t]
            c_y = a[3 * n :]
            for i in range(n):
                c_y[i] += by_z[i]
            activate(0, c_y)
            for i in range(n):
                p = dt * a[i]
                y[i] = (one - p) * y[i] + p * c_y[i]
                row[i], row[n + i] = y[i], z[i]
    return not (all_finite(Y.reshape(Y.size)) and all_finite(Z.reshape(Z.size)))


@njit(cache=True, nogil=True, error_model="numpy")
def _push_series(lem, n, u, x, V, dU, tape):
    """Carry the state and the tangents, rows of V, through u: the product rule over both time steps.

    The state is one more row of every product, so that the weights are read once.
    """
    W, W_z, W_in, bias, dt = lem
    k, one = V.shape[0], x.dtype.type(1)
    Y, Z = np.empty((k + 1, n), x.dtype), np.empty((k + 1, n), x.dtype)
    Y[:k], Z[:k], Y[k], Z[k] = V[:, :n], V[:, n:], x[:n], x[n:]
    P, Q = np.empty((k + 1, 3 * n), x.dtype), np.empty((k + 1, n), x.dtype)
    a, by_u = np.empty_like(bias), np.zeros((k, bias.size), x.dtype)
    steps, c_z, c_y = a[: 2 * n], a[2 * n : 3 * n], a[3 * n :]
    y, z = Y[k], Z[k]
    for t in range(u.shape[0]):
        matmul_rows(W, Y, P)
        affine(W_in, u[t], bias, a)
        for i in range(3 * n):
            a[i] += P[k, i]
        activate(1, steps)
        activate(0, c_z)
        if dU.shape[0]:
            matmul_rows(W_in, dU[t], by_u)
        for r in range(k):
            d_z, d_a, d_u = Z[r], P[r], by_u[r]
            for i in range(n):
                s, c = steps[n + i], c_z[i]
                d_q = (one - s) * (c - z[i]) * (d_a[n + i] + d_u[n + i])
                d_c = (one - c * c) * (d_a[2 * n + i] + d_u[2 * n + i])
                d_z[i] += dt * s * (d_q + d_c - d_z[i])
        for i in range(n):
            q = dt * steps[n + i]
            z[i] = (one - q) * z[i] + q * c_z[i]
        matmul_rows(W_z, Z, Q)
        for i in range(n):
            c_y[i] += Q[k, i]
        activate(0, c_y)
        for r in range(k):
            d_y, d_a, by_z, d_u = Y[r], P[r], Q[r], by_u[r]
            for i in range(n):
                s, c = steps[i], c_y[i]
                d_p = (one - s) * (c - y[i]) * (d_a[i] + d_u[i])
                d_c = (one - c * c) * (by_z[i] + d_u[3 * n + i])
                d_y[i] += dt * s * (d_p + d_c - d_y[i])
        for i in range(n):
            p = dt * steps[i]
            y[i] = (one - p) * y[i] + p * c_y[i]
        if tape.shape[0]:
            tape[t, :, :n], tape[t, :, n:] = Y[:k], Z[:k]
    V[:, :n], V[:, n:], x[:n], x[n:] = Y[:k], Z[:k], y, z
