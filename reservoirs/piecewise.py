"""Piecewise-linear recurrent networks (PLRNN), given as arrays: full, almost linear and shallow."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numba import njit

from penstock.checks import as_int, as_matrix, as_vector, float_type
from penstock.lure import LureBlock
from penstock.matvec import add_matvec, affine, kernel_form, matmul_rows
from penstock.recurrent import as_units, keep_units
from penstock.reservoirs.esn import close_loop, describe_matrix, run_batch, set_fields, to_dense
from penstock.system import SystemDefaults
from penstock.vmath import all_finite, relu

__all__ = ["PLRNN", "ShallowPLRNN"]


class _PiecewiseLinear(SystemDefaults):
    """z_t = A z_{t-1} + nonlinear part + h + W_in u_t: what the two models share.

    A subclass gives `_through` and `_slopes`, the Jacobian's nonlinear part, and the kernels.
    """

    A: Any
    W_in: Any

    @property
    def n_units(self):
        """Number of units N."""
        return self.A.shape[0]

    @property
    def n_inputs(self):
        """Number of input channels m."""
        return self.W_in.shape[1]

    @property
    def dtype(self):
        """Type of the states: that of the weights."""
        return self.A.dtype

    def input_jacobian(self, x, u):
        """Return d step / d u = W_in; shape (n, m)."""
        self._point(x, u)
        return to_dense(self.W_in).copy()

    def _linear(self, x, u):
        return (self.A * x if self.A.ndim == 1 else self.A @ x) + self.W_in @ u

    def _constant(self, h, u):
        """What the bias and a frozen input add at every step."""
        return np.asarray(h + self.W_in @ u, np.float64)

    @cached_property
    def _full_A(self):
        return np.diag(self.A) if self.A.ndim == 1 else self.A


@dataclass(frozen=True, eq=False, repr=False)
class PLRNN(_PiecewiseLinear):
    """Run a piecewise-linear recurrent network, with all units rectified or the last ones only (almost linear, ALRNN).

    z_t = A z_{t-1} + W phi(z_{t-1}) + h + W_in u_t, with phi the identity on the first `n_linear` units and relu on
    the others. P rectified units divide the state space into 2^P regions, in each of which the map is affine.

    Parameters
    ----------
    A : array, shape (N,) or (N, N)
        Diagonal of the linear part, or all of it (as in a closed loop).
    W : array or sparse array, shape (N, N)
        Weights behind phi. float32 weights make a float32 model.
    h : float or array, shape (N,)
        Bias.
    W_in : array or sparse array, shape (N, m), optional
        Input weights, called C by some; without them the network is autonomous.
    n_linear : int
        Number of units that phi leaves as they are, the first ones; 0 gives the PLRNN, N a linear network.

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit or a number is not finite.

    References
    ----------
    G. Koppe, H. Toutounji, P. Kirsch, S. Lis, D. Durstewitz (2019), Identifying nonlinear dynamical systems via
    generative recurrent neural networks with applications to fMRI, PLoS Computational Biology 15; M. Brenner et al.
    (2024), Almost-linear RNNs yield highly interpretable symbolic codes in dynamical systems reconstruction, NeurIPS.

    Examples
    --------
    >>> import numpy as np
    >>> plrnn = PLRNN([-0.0222311, 0.96461297], [[0, -0.64375], [0.52505308, 0]], [0.37298253, -0.97931491])
    >>> plrnn
    PLRNN(n_units=2, n_inputs=0, n_linear=0, W=dense, float64)
    >>> plrnn.run(2000)[-1].round(6)  # its one fixed point
    array([  0.364871, -22.260649])
    """

    A: np.ndarray
    W: np.ndarray
    h: np.ndarray | float = 0.0
    W_in: Any = None
    n_linear: int = 0

    def __post_init__(self):
        dtype = float_type(self.W)
        W = as_matrix("W", self.W, (None, None), dtype)
        n_units = W.shape[0]
        if W.shape[1] != n_units or n_units == 0:
            raise ValueError(f"W must be square and not empty, got shape {W.shape}")
        if as_int("n_linear", self.n_linear, minimum=0) > n_units:
            raise ValueError(f"n_linear must be at most n_units={n_units}, got {self.n_linear}")
        h, W_in = as_vector("h", self.h, n_units, dtype), _as_input_weights(self.W_in, n_units, dtype)
        set_fields(self, A=_as_linear_part(self.A, n_units, dtype), W=W, h=h, W_in=W_in)

    @property
    def _no_recurrent_matrix(self):  # type: ignore[override]
        return "" if self.A.ndim == 1 else "units recur through A and W, unless A is a diagonal, shape (N,)"

    def keep_units(self, units):
        """Return a network of some of the units; see the System. The linear ones among them stay linear."""
        units = as_units("units", units, self.n_units)
        return keep_units(self, units, n_linear=int((units < self.n_linear).sum()))

    def __repr__(self):
        return (
            f"PLRNN(n_units={self.n_units}, n_inputs={self.n_inputs}, n_linear={self.n_linear}, "
            f"W={describe_matrix(self.W)}, {self.dtype})"
        )

    def step(self, x, u):
        """Return the next state: (n,), (m,) -> (n,)."""
        phi = np.concatenate([x[: self.n_linear], relu(x[self.n_linear :])])
        return self._linear(x, u) + self.W @ phi + self.h

    def jacobian(self, x, u):
        """Return d step / d x = A + W D, with D = 1 where phi passes a unit and 0 elsewhere; shape (n, n)."""
        x, _ = self._point(x, u)
        passed = (x > 0) | (np.arange(self.n_units) < self.n_linear)
        return self._full_A + to_dense(self.W) * passed

    def close(self, W_out, offset=0.0):
        """Feed a linear readout u_t = W_out z_{t-1} + offset back: an autonomous network; see `ESN.close`."""
        A, W_in, h = close_loop(self._full_A, self.W_in, self.h, W_out, offset)
        return replace(self, A=A, W_in=W_in, h=h)

    def piecewise_linear(self, u):
        """Return the arrays (A, B, C, d, h) of z' = A z + B relu(C z + d) + h at frozen input; see the System."""
        block = self.lure_blocks()[0]
        return block.A, block.B, block.C, np.zeros(len(block.C)), self._constant(self.h, u)

    def lure_blocks(self):
        """Return the network as one `LureBlock`: relu of the rectified units, the others in its linear part."""
        W, linear = np.asarray(to_dense(self.W), np.float64), self.n_linear
        A = np.array(self._full_A, np.float64)
        A[:, :linear] += W[:, :linear]
        return (LureBlock.of(relu, A, W[:, linear:], np.eye(self.n_units)[linear:]),)

    @cached_property
    def _fields(self):
        return _kernel_A(self.A), kernel_form(self.W), kernel_form(self.W_in), self.h

    def _run(self, u, x0, out):
        if u.ndim == 2:
            return _run_series(self._fields, self.n_linear, u, x0, out)
        kernels = (_run_batch_dense, _run_each, _run_each)
        return run_batch(self._fields[1], kernels, self._fields, self.n_linear, u, x0, out)

    def _push(self, x, u, V, dU, tape):
        _push_series(self._fields, self.n_linear, u, x, V, dU, tape)


@dataclass(frozen=True, eq=False, repr=False)
class ShallowPLRNN(_PiecewiseLinear):
    """Run a shallow piecewise-linear network: L hidden rectified units between N states.

    z_t = A z_{t-1} + W1 relu(W2 z_{t-1} + h2) + h1 + W_in u_t; clipped: relu(W2 z + h2) - relu(W2 z) in place of the
    relu, which lies between 0 and h2. So if |A_i| < 1, clipped orbits without inputs end within
    |z_i| <= (|h1_i| + sum_j |W1_ij| |h2_j|) / (1 - |A_i|).

    Parameters
    ----------
    A : array, shape (N,) or (N, N)
        Diagonal of the linear part, or all of it (as in a closed loop).
    W1 : array or sparse array, shape (N, L)
        From the hidden units to the states. float32 weights make a float32 model.
    W2 : array or sparse array, shape (L, N)
        From the states to the hidden units.
    h1, h2 : float or array, shape (N,) and (L,)
        Biases.
    W_in : array or sparse array, shape (N, m), optional
        Input weights; without them the network is autonomous.
    clipped : bool
        Whether the hidden units are clipped.

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit or a number is not finite.

    References
    ----------
    F. Hess, Z. Monfared, M. Brenner, D. Durstewitz (2023), Generalized teacher forcing for learning chaotic dynamics,
    ICML.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> W1, W2 = rng.normal(size=(3, 50)), rng.normal(size=(50, 3))
    >>> network = ShallowPLRNN([0.9, 0.9, 0.9], W1, W2, 0.0, rng.normal(size=50), clipped=True)
    >>> network
    ShallowPLRNN(n_units=3, n_hidden=50, n_inputs=0, clipped=True, float64)
    >>> network.run(100, x0=[1.0, 2.0, 3.0]).shape
    (100, 3)
    """

    A: np.ndarray
    W1: np.ndarray
    W2: np.ndarray
    h1: np.ndarray | float = 0.0
    h2: np.ndarray | float = 0.0
    W_in: Any = None
    clipped: bool = False

    def __post_init__(self):
        dtype = float_type(self.W1)
        W1 = as_matrix("W1", self.W1, (None, None), dtype)
        n_units, n_hidden = W1.shape
        if n_units == 0:
            raise ValueError(f"W1 must have at least one row, got shape {W1.shape}")
        W2 = as_matrix("W2", self.W2, (n_hidden, n_units), dtype)
        h1, h2 = as_vector("h1", self.h1, n_units, dtype), as_vector("h2", self.h2, n_hidden, dtype)
        if not isinstance(self.clipped, bool | np.bool_):
            raise TypeError(f"clipped must be True or False, got {self.clipped!r}")
        A, W_in = _as_linear_part(self.A, n_units, dtype), _as_input_weights(self.W_in, n_units, dtype)
        set_fields(self, A=A, W1=W1, W2=W2, h1=h1, h2=h2, W_in=W_in)

    def __repr__(self):
        return (
            f"ShallowPLRNN(n_units={self.n_units}, n_hidden={self.W2.shape[0]}, n_inputs={self.n_inputs}, "
            f"clipped={self.clipped}, {self.dtype})"
        )

    def step(self, x, u):
        """Return the next state: (n,), (m,) -> (n,)."""
        p = self.W2 @ x
        hidden = relu(p + self.h2) - relu(p) if self.clipped else relu(p + self.h2)
        return self._linear(x, u) + self.W1 @ hidden + self.h1

    def jacobian(self, x, u):
        """Return d step / d x = A + W1 D W2, with D the slopes of the hidden units; shape (n, n)."""
        x, _ = self._point(x, u)
        p = self.W2 @ x
        slopes = (p + self.h2 > 0) * 1.0 - (p > 0) * float(self.clipped)
        return self._full_A + to_dense(self.W1) @ (slopes[:, None] * to_dense(self.W2))

    def close(self, W_out, offset=0.0):
        """Feed a linear readout u_t = W_out z_{t-1} + offset back: an autonomous network; see `ESN.close`."""
        A, W_in, h1 = close_loop(self._full_A, self.W_in, self.h1, W_out, offset)
        return replace(self, A=A, W_in=W_in, h1=h1)

    def piecewise_linear(self, u):
        """Return the arrays (A, B, C, d, h) of z' = A z + B relu(C z + d) + h at frozen input; see the System.

        A clipped hidden unit is two rectified ones, of which the second, without h2, counts negatively.
        """
        A, B, C = (np.array(to_dense(part), np.float64) for part in (self._full_A, self.W1, self.W2))
        d = np.asarray(self.h2, np.float64)
        if self.clipped:
            B, C, d = np.hstack([B, -B]), np.vstack([C, C]), np.concatenate([d, np.zeros_like(d)])
        return A, B, C, d, self._constant(self.h1, u)

    def lure_blocks(self):
        """Return the network as one `LureBlock`; clipped units falling with their drive enter with a minus sign."""
        A, W1, W2 = (np.array(to_dense(part), np.float64) for part in (self._full_A, self.W1, self.W2))
        if self.clipped:
            W1 = W1 * np.sign(self.h2)
        return (LureBlock.of(relu, A, W1, W2),)

    @cached_property
    def _fields(self):
        W1, W2, W_in = kernel_form(self.W1), kernel_form(self.W2), kernel_form(self.W_in)
        return _kernel_A(self.A), W1, W2, W_in, self.h1, self.h2

    def _run(self, u, x0, out):
        if u.ndim == 2:
            return _run_shallow(self._fields, self.clipped, u, x0, out)
        kernels = (_run_shallow_batch, _run_shallow_each, _run_shallow_each)
        form = max(self._fields[1:3], key=lambda part: isinstance(part, tuple))  # one sparse matrix: each by itself
        return run_batch(form, kernels, self._fields, self.clipped, u, x0, out)

    def _push(self, x, u, V, dU, tape):
        _push_shallow(self._fields, self.clipped, u, x, V, dU, tape)


def _as_linear_part(A, n_units, dtype):
    """Return A (N,) or (N, N), read-only."""
    if np.ndim(A) == 2:
        return to_dense(as_matrix("A", A, (n_units, n_units), dtype))
    if np.ndim(A) != 1:
        raise ValueError(f"A must have shape ({n_units},), its diagonal, or ({n_units}, {n_units}), got {np.shape(A)}")
    return as_vector("A", A, n_units, dtype)


def _as_input_weights(W_in, n_units, dtype):
    return as_matrix("W_in", np.empty((n_units, 0)) if W_in is None else W_in, (n_units, None), dtype, order="F")


def _kernel_A(A):
    """A diagonal is the shift by 0."""
    return (A, 0) if A.ndim == 1 else A


# --- kernels --------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def _run_series(plrnn, n_linear, u, x, out):
    """Run one series; return whether a state was not finite."""
    A, W, W_in, h = plrnn
    phi, z = np.empty_like(x), np.empty_like(x)
    for t in range(u.shape[0]):
        _rectify(n_linear, x, phi)
        affine(W_in, u[t], h, z)
        add_matvec(A, x, z)
        add_matvec(W, phi, z)
        x[:] = z
        out[t] = z
    return not all_finite(x)


@njit(cache=True, nogil=True, error_model="numpy")
def _run_each(plrnn, n_linear, u, x, out):
    """Run the series of a batch one after the other."""
    diverged = False
    for b in range(u.shape[0]):
        diverged |= _run_series(plrnn, n_linear, u[b], x[b], out[b])
    return diverged


@njit(cache=True, nogil=True, error_model="numpy")
def _run_batch_dense(plrnn, n_linear, u, X, out):
    """Run a batch with one matrix product per step; X is (B, N)."""
    A, W, W_in, h = plrnn
    Phi, Z, z = np.empty_like(X), np.empty_like(X), np.empty_like(X[0])
    for t in range(u.shape[1]):
        for b in range(X.shape[0]):
            _rectify(n_linear, X[b], Phi[b])
        matmul_rows(W, Phi, Z)
        for b in range(X.shape[0]):
            affine(W_in, u[b, t], h, z)
            add_matvec(A, X[b], z)
            for i in range(z.size):
                X[b, i] = z[i] + Z[b, i]
            out[b, t] = X[b]
    return not all_finite(X.reshape(X.size))


@njit(cache=True, nogil=True, error_model="numpy")
def _rectify(n_linear, x, phi):
    for i in range(n_linear):
        phi[i] = x[i]
    for i in range(n_linear, x.size):
        phi[i] = relu(x[i])


@njit(cache=True, nogil=True, error_model="numpy")
def _push_series(plrnn, n_linear, u, x, V, dU, tape):
    """Carry the state and the tangents, rows of V, through u: v <- A v + W D v + W_in du."""
    A, W, W_in, h = plrnn
    phi, z, Y, passed = np.empty_like(x), np.empty_like(x), np.empty_like(V), np.empty_like(V)
    zero = x.dtype.type(0)
    for t in range(u.shape[0]):
        for k in range(V.shape[0]):
            for i in range(x.size):
                passed[k, i] = V[k, i] if i < n_linear or x[i] > 0 else zero
        matmul_rows(W, passed, Y)
        for k in range(V.shape[0]):
            add_matvec(A, V[k], Y[k])
            if dU.shape[0]:
                add_matvec(W_in, dU[t, k], Y[k])
        V[:] = Y
        _rectify(n_linear, x, phi)
        affine(W_in, u[t], h, z)
        add_matvec(A, x, z)
        add_matvec(W, phi, z)
        x[:] = z
        if tape.shape[0]:
            tape[t] = V


@njit(cache=True, nogil=True, error_model="numpy")
def _run_shallow(network, clipped, u, x, out):
    """Run one series; return whether a state was not finite."""
    A, W1, W2, W_in, h1, h2 = network
    z, p = np.empty_like(h1), np.empty_like(h2)
    for t in range(u.shape[0]):
        p[:] = 0
        add_matvec(W2, x, p)
        _hide(clipped, h2, p)
        affine(W_in, u[t], h1, z)
        add_matvec(A, x, z)
        add_matvec(W1, p, z)
        x[:] = z
        out[t] = z
    return not all_finite(x)


@njit(cache=True, nogil=True, error_model="numpy")
def _run_shallow_each(network, clipped, u, x, out):
    """Run the series of a batch one after the other."""
    diverged = False
    for b in range(u.shape[0]):
        diverged |= _run_shallow(network, clipped, u[b], x[b], out[b])
    return diverged


@njit(cache=True, nogil=True, error_model="numpy")
def _run_shallow_batch(network, clipped, u, X, out):
    """Run a batch with two matrix products per step; X is (B, N)."""
    A, W1, W2, W_in, h1, h2 = network
    P, Z, z = np.empty((X.shape[0], h2.size), X.dtype), np.empty_like(X), np.empty_like(h1)
    for t in range(u.shape[1]):
        matmul_rows(W2, X, P)
        for b in range(X.shape[0]):
            _hide(clipped, h2, P[b])
        matmul_rows(W1, P, Z)
        for b in range(X.shape[0]):
            affine(W_in, u[b, t], h1, z)
            add_matvec(A, X[b], z)
            for i in range(z.size):
                X[b, i] = z[i] + Z[b, i]
            out[b, t] = X[b]
    return not all_finite(X.reshape(X.size))


@njit(cache=True, nogil=True, error_model="numpy")
def _hide(clipped, h2, p):
    """Replace the drive p by the hidden units."""
    if clipped:
        for j in range(p.size):
            p[j] = relu(p[j] + h2[j]) - relu(p[j])
    else:
        for j in range(p.size):
            p[j] = relu(p[j] + h2[j])


@njit(cache=True, nogil=True, error_model="numpy")
def _push_shallow(network, clipped, u, x, V, dU, tape):
    """Carry the state and the tangents, rows of V, through u: v <- A v + W1 D W2 v + W_in du."""
    A, W1, W2, W_in, h1, h2 = network
    one, zero = x.dtype.type(1), x.dtype.type(0)
    z, p, d = np.empty_like(h1), np.empty_like(h2), np.empty_like(h2)
    P, Y = np.empty((V.shape[0], h2.size), V.dtype), np.empty_like(V)
    for t in range(u.shape[0]):
        p[:] = 0
        add_matvec(W2, x, p)
        for j in range(p.size):
            d[j] = (one if p[j] + h2[j] > 0 else zero) - (one if clipped and p[j] > 0 else zero)
        matmul_rows(W2, V, P)
        for k in range(V.shape[0]):
            for j in range(p.size):
                P[k, j] *= d[j]
        matmul_rows(W1, P, Y)
        for k in range(V.shape[0]):
            add_matvec(A, V[k], Y[k])
            if dU.shape[0]:
                add_matvec(W_in, dU[t, k], Y[k])
        V[:] = Y
        _hide(clipped, h2, p)
        affine(W_in, u[t], h1, z)
        add_matvec(A, x, z)
        add_matvec(W1, p, z)
        x[:] = z
        if tape.shape[0]:
            tape[t] = V
