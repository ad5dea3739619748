"""Legendre memory units: the linear memory of a sliding window, and the recurrent cell around it."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numba import njit
from numpy.polynomial.legendre import legvander

from penstock.checks import (
    as_int,
    as_matrix,
    as_non_negative_float,
    as_positive_float,
    as_vector,
    float_type,
    seed_sequence,
)
from penstock.matvec import add_matvec, kernel_form
from penstock.reservoirs.discretise import zero_order_hold
from penstock.reservoirs.drawing import draw_bias
from penstock.reservoirs.esn import Weighted, as_dtype, set_fields, to_dense
from penstock.reservoirs.hippo import FixedScale
from penstock.scaling import scale_spectral_radius
from penstock.vmath import activate, all_finite, tanh

__all__ = ["LMU", "LegendreMemory", "lmu"]


def lmu(order, theta=1.0):
    """Return A (q, q) and B (q, 1) of the Legendre delay, theta m' = A m + B u: a window of length theta.

    A_ij = (2i+1) s with s = -1 above the diagonal and (-1)^(i-j+1) elsewhere; B_i = (2i+1) (-1)^i. The system is that
    of `penstock.reservoirs.legt` in other coordinates, m_i = (-1)^i sqrt(2i+1) c_i.

    Parameters
    ----------
    order : int
        Number of coefficients q.
    theta : float
        Length of the window, by which both matrices are divided.

    Returns
    -------
    array, shape (q, q), and array, shape (q, 1)

    References
    ----------
    A. Voelker, I. Kajić, C. Eliasmith (2019), Legendre memory units, NeurIPS, equations 1 and 2.

    Examples
    --------
    >>> A, B = lmu(3)
    >>> A.tolist(), B[:, 0].tolist()
    ([[-1.0, -1.0, -1.0], [3.0, -3.0, -3.0], [-5.0, 5.0, -5.0]], [1.0, -3.0, 5.0])
    """
    i = np.arange(as_int("order", order))
    theta = as_positive_float("theta", theta)
    signs = np.where(i[:, None] < i, -1.0, (-1.0) ** (i[:, None] - i + 1))
    A, B = (2 * i[:, None] + 1) * signs, ((2 * i + 1) * (-1.0) ** i)[:, None]
    return A / theta, B / theta


class LegendreMemory(FixedScale):
    """Keep a sliding window of the input, the linear memory of the Legendre memory unit.

    m_t = W m_{t-1} + W_in u_t, from theta m' = A m + B u with the matrices of `lmu`; the input at a delay d within the
    window is u(t - d) = sum of P_i(2 d / theta - 1) m_i. It needs theta / dt steps to fill, and resolves about
    order / 2 periods within theta. An `ESN` with linear units: exact memory curves, closed loops and analyses are those
    of any other. Made by ``LegendreMemory.of(order, theta)``.

    Parameters
    ----------
    W, W_in : array or sparse array
        Matrices of a step; block-diagonal, shapes (m q, m q) and (m q, m) for m channels.
    theta : float
        Length of the window, in the units of dt. W is not made anew for another: take ``of``.
    dt : float
        Time of a step.

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit or a number is not positive.

    See Also
    --------
    penstock.reservoirs.LegT : the same in orthonormal coordinates, whose units are of one size.

    References
    ----------
    A. Voelker, I. Kajić, C. Eliasmith (2019), Legendre memory units: continuous-time representation in recurrent neural
    networks, NeurIPS.

    Examples
    --------
    >>> memory = LegendreMemory.of(12, theta=100.0)
    >>> memory
    LegendreMemory(order=12, theta=100, dt=1, n_inputs=1, float64)
    >>> u = np.sin(0.05 * np.arange(600))
    >>> delayed = memory.run(u) @ memory.decoder(50.5).T  # 50 steps ago, in the middle of the step
    >>> bool(np.abs(delayed[200:, 0] - u[150:-50]).max() < 1e-3)
    True
    """

    _reach = 1.0
    _matrices = staticmethod(lmu)

    @staticmethod
    def _polynomials(order, delays):
        return legvander(2 * delays - 1, order - 1)


@dataclass(frozen=True, eq=False, repr=False)
class LMU(Weighted):
    """Run a network of Legendre memory units: hidden units that write into a linear memory and read it.

    v_t = e_x u_t + e_h h_{t-1} + e_m m_{t-1}, m_t = A m_{t-1} + B v_t, h_t = tanh(W h_{t-1} + W_m m_t + W_in u_t + b),
    with A and B the matrices of `memory`. The state is h, then m; a readout sees h. The memory alone, without hidden
    units, is `memory`: ``lmu.run(u)[:, n:]`` are its coefficients, which `memory.decoder` turns into the past of v.

    Parameters
    ----------
    W : array, shape (n, n)
        Weights between hidden units, W[i, j] from unit j to unit i. float32 weights make a float32 model.
    W_in : array, shape (n, m)
        Weights of the inputs to the hidden units.
    memory : LegendreMemory
        Or another memory of one time scale (`LegT`, `LagT`, `WarpedLegS`); q coefficients for each of d signals v.
    W_m : array, shape (n, d q)
        Weights of the memory to the hidden units.
    e_x : array, shape (d, m)
        Encoder of the inputs.
    e_h : float or array, shape (d, n)
        Encoder of the hidden units; 0 for none.
    e_m : float or array, shape (d, d q)
        Encoder of the memory; 0 for none.
    bias : float or array, shape (n,)
        Bias b.

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit, a number is not finite, or `memory` is no such memory.

    References
    ----------
    A. Voelker, I. Kajić, C. Eliasmith (2019), Legendre memory units: continuous-time representation in recurrent neural
    networks, NeurIPS, equations 6 and 7.

    Examples
    --------
    >>> cell = LMU.random(50, order=12, theta=40.0, seed=0)
    >>> cell
    LMU(n_hidden=50, n_inputs=1, memory=LegendreMemory(order=12, theta=40, dt=1, n_inputs=1, float64), float64)
    >>> cell.run(np.ones(5))[:, cell.observed].shape
    (5, 50)
    """

    W: np.ndarray
    W_in: np.ndarray
    memory: FixedScale
    W_m: np.ndarray
    e_x: np.ndarray
    e_h: np.ndarray | float = 0.0
    e_m: np.ndarray | float = 0.0
    bias: np.ndarray | float = 0.0

    _no_recurrent_matrix = "units and memory feed each other through W, W_m, e_h and e_m"

    def __post_init__(self):
        dtype, memory = float_type(self.W), self.memory
        if not isinstance(memory, FixedScale):
            raise TypeError(f"memory must be a LegendreMemory, LegT, LagT or WarpedLegS, got {memory!r:.100}")
        if memory.dtype != dtype:
            memory = replace(memory, W=memory.W.astype(dtype))
        W = _dense("W", self.W, (None, None), dtype)
        n, q, d = W.shape[0], memory.n_units, memory.n_inputs
        if W.shape[1] != n or n == 0:
            raise ValueError(f"W must be square and not empty, got shape {W.shape}")
        W_in = _dense("W_in", self.W_in, (n, None), dtype)
        set_fields(
            self,
            W=W,
            W_in=W_in,
            memory=memory,
            W_m=_dense("W_m", self.W_m, (n, q), dtype),
            e_x=_dense("e_x", self.e_x, (d, W_in.shape[1]), dtype),
            e_h=_encoder("e_h", self.e_h, (d, n), dtype),
            e_m=_encoder("e_m", self.e_m, (d, q), dtype),
            bias=as_vector("bias", self.bias, n, dtype),
        )

    @classmethod
    def random(
        cls,
        n_units,
        *,
        order,
        theta,
        n_inputs=1,
        n_memories=1,
        dt=1.0,
        discretise=zero_order_hold,
        input_scaling=1.0,
        feedback_scaling=1.0,
        spectral_radius=None,
        bias_scaling=0.0,
        dtype=np.float64,
        seed,
    ):
        """Return a cell with random weights and a Legendre memory, as it is before training.

        Parameters
        ----------
        n_units, n_inputs : int
            Number of hidden units n and of inputs m.
        order, theta, dt, discretise
            Of the memory, as in `LegendreMemory.of`.
        n_memories : int
            Number of signals d that are kept.
        input_scaling : float
            Factor of e_x and W_in, which are uniform in ±sqrt(3 / m), and normal with variance 2 / (m + n).
        feedback_scaling : float
            Factor of e_h, uniform in ±sqrt(3 / n); 0 lets the memory hold nothing but the inputs. e_m is 0.
        spectral_radius : float, optional
            Spectral radius of W; by default W is as drawn, normal with variance 1 / n. W_m is normal with variance
            2 / (n + d q).
        bias_scaling : float
            Biases are uniform in ±bias_scaling.
        dtype : numpy.dtype
            float64 or float32.
        seed : int or numpy.random.SeedSequence
            Every matrix from its own stream.

        Raises
        ------
        ValueError, TypeError
            If a number is out of range, or the discrete memory is not stable.
        """
        n, m, d = as_int("n_units", n_units), as_int("n_inputs", n_inputs), as_int("n_memories", n_memories)
        memory = LegendreMemory.of(order, theta, dt=dt, discretise=discretise, n_inputs=d, dtype=dtype)
        for_W, for_W_in, for_W_m, for_e_x, for_e_h, for_bias = seed_sequence(seed).spawn(6)
        by_input = as_non_negative_float("input_scaling", input_scaling)
        by_feedback = as_non_negative_float("feedback_scaling", feedback_scaling)
        W = _xavier_normal((n, n), for_W)
        if spectral_radius is not None:
            W = scale_spectral_radius(W, as_non_negative_float("spectral_radius", spectral_radius))
        return cls(
            W.astype(as_dtype(dtype)),
            by_input * _xavier_normal((n, m), for_W_in),
            memory,
            _xavier_normal((n, memory.n_units), for_W_m),
            by_input * _lecun_uniform((d, m), for_e_x),
            by_feedback * _lecun_uniform((d, n), for_e_h),
            bias=draw_bias(n, bias_scaling, for_bias),
        )

    def __repr__(self):
        return f"LMU(n_hidden={len(self.W)}, n_inputs={self.n_inputs}, memory={self.memory!r}, {self.dtype})"

    @property
    def n_units(self):
        """Number of hidden units and coefficients, n + d q."""
        return len(self.W) + self.memory.n_units

    @property
    def dt(self):
        """Time of a step, that of the memory."""
        return self.memory.dt

    @property
    def observed(self):
        """The hidden units."""
        return slice(0, len(self.W))

    def step(self, x, u):
        """Return the next state: (n + d q,), (m,) -> (n + d q,)."""
        h, m = x[: len(self.W)], x[len(self.W) :]
        v = self.e_x @ u + self.e_h @ h + self.e_m @ m
        m = self.memory.W @ m + self.memory.W_in @ v
        return np.concatenate([tanh(self.W @ h + self.W_m @ m + self.W_in @ u + self.bias), m])

    def jacobian(self, x, u):
        """Return d step / d x at (x, u); shape (n + d q, n + d q)."""
        x, u = self._point(x, u)
        n = len(self.W)
        A, B = to_dense(self.memory.W), self.memory.W_in
        of_memory = np.hstack([B @ self.e_h, A + B @ self.e_m])
        of_hidden = self.W_m @ of_memory
        of_hidden[:, :n] += self.W
        return np.vstack([self._slopes(x, u) * of_hidden, of_memory])

    def input_jacobian(self, x, u):
        """Return d step / d u at (x, u); shape (n + d q, m)."""
        x, u = self._point(x, u)
        of_memory = self.memory.W_in @ self.e_x
        return np.vstack([self._slopes(x, u) * (self.W_m @ of_memory + self.W_in), of_memory])

    def _slopes(self, x, u):
        h = self.step(x, u)[: len(self.W)]
        return (1 - h * h)[:, None]

    @cached_property
    def _fields(self):
        """Encoder, memory and network as the rows of the kernels need them: of (m, h, u), (v, m) and (m, h, u)."""
        encoder = np.hstack([self.e_m, self.e_h, self.e_x])
        memory = sp.hstack([sp.csr_array(self.memory.W_in), sp.csr_array(self.memory.W)], "csr")
        return encoder, kernel_form(memory), np.hstack([self.W_m, self.W, self.W_in]), self.bias

    def _run(self, u, x0, out):
        if u.ndim == 2:
            u, x0, out = u[None], x0[None], out[None]
        return _run_all(self._fields, u, x0, out)

    def _push(self, x, u, V, dU, tape):
        _push_series(self._fields, u, x, V, dU, tape)


def _dense(name, matrix, shape, dtype):
    return to_dense(as_matrix(name, matrix, shape, dtype))


def _encoder(name, encoder, shape, dtype):
    return _dense(name, np.full(shape, encoder) if np.ndim(encoder) == 0 else encoder, shape, dtype)


def _xavier_normal(shape, seed):
    return np.random.default_rng(seed).normal(0, np.sqrt(2 / sum(shape)), shape)


def _lecun_uniform(shape, seed):
    return np.random.default_rng(seed).uniform(-1, 1, shape) * np.sqrt(3 / shape[1])


# --- kernels --------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def _advance(lmu, row, m, z):
    """Do the linear part of a step: v and m of a row (v, m, h, u) in place, z = W h + W_m m + W_in u; m is for room."""
    encoder, memory, network, _ = lmu
    d = encoder.shape[0]
    v, known, stored = row[:d], row[d:], row[: d + m.size]
    v[:] = 0
    add_matvec(encoder, known, v)
    m[:] = 0
    add_matvec(memory, stored, m)
    known[: m.size] = m
    z[:] = 0
    add_matvec(network, known, z)


@njit(cache=True, nogil=True, error_model="numpy")
def _run_all(lmu, u, X, out):
    """Run the series of a batch one after the other; return whether a state was not finite."""
    d, n, bias = lmu[0].shape[0], lmu[2].shape[0], lmu[3]
    z, m, row = np.empty(n, X.dtype), np.empty(X.shape[1] - n, X.dtype), np.empty(d + lmu[0].shape[1], X.dtype)
    stored, h, given = row[d : d + m.size], row[d + m.size : d + X.shape[1]], row[d + X.shape[1] :]
    for b in range(u.shape[0]):
        h[:], stored[:] = X[b, :n], X[b, n:]
        for t in range(u.shape[1]):
            given[:] = u[b, t]
            _advance(lmu, row, m, z)
            for i in range(n):
                z[i] += bias[i]
            activate(0, z)
            h[:] = z
            out[b, t, :n], out[b, t, n:] = z, m
        X[b, :n], X[b, n:] = h, stored
    return not all_finite(X.reshape(X.size))


@njit(cache=True, nogil=True, error_model="numpy")
def _push_series(lmu, u, x, V, dU, tape):
    """Carry the state and the tangents, rows of V, through u; the state is the last of the rows (v, m, h, u)."""
    d, n, bias, k = lmu[0].shape[0], lmu[2].shape[0], lmu[3], V.shape[0]
    z, slope, m = np.empty(n, x.dtype), np.empty(n, x.dtype), np.empty(x.size - n, x.dtype)
    rows = np.zeros((k + 1, d + lmu[0].shape[1]), x.dtype)
    head, tail = d + m.size, d + x.size
    rows[:k, d:head], rows[:k, head:tail] = V[:, n:], V[:, :n]
    rows[k, d:head], rows[k, head:tail] = x[n:], x[:n]
    for t in range(u.shape[0]):
        rows[k, tail:] = u[t]
        _advance(lmu, rows[k], m, z)
        for i in range(n):
            z[i] += bias[i]
        activate(0, z)
        rows[k, head:tail] = z
        for i in range(n):
            slope[i] = x.dtype.type(1) - z[i] * z[i]
        for r in range(k):
            if dU.shape[0]:
                rows[r, tail:] = dU[t, r]
            _advance(lmu, rows[r], m, z)
            for i in range(n):
                rows[r, head + i] = slope[i] * z[i]
            if tape.shape[0]:
                tape[t, r, :n], tape[t, r, n:] = rows[r, head:tail], m
    V[:, n:], V[:, :n] = rows[:k, d:head], rows[:k, head:tail]
    x[n:], x[:n] = rows[k, d:head], rows[k, head:tail]
