"""LegS: the memory of the whole past, whose steps shorten as the past grows longer."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numba import njit
from numpy.polynomial.legendre import leggauss

from penstock.checks import as_finite_array, as_finite_float, as_int
from penstock.reservoirs.esn import as_dtype, set_fields
from penstock.reservoirs.hippo import HiPPO, legs, shifted_legendre
from penstock.system import SystemDefaults
from penstock.vmath import all_finite

__all__ = ["LegS"]


@dataclass(frozen=True, eq=False, repr=False)
class LegS(HiPPO, SystemDefaults):
    """Keep the whole past of the input, however long: coefficients of Legendre polynomials over all of it.

    c_n(t) = (1 / t) integral of u(s) sqrt(2n+1) P_n(2 s / t - 1) over 0 < s < t, by t c' = A c + B u with the matrices
    of `legs`: step k takes dt / t = 1 / k. There is no time scale to set, and none that the memory has: an input at
    half the speed gives the same coefficients. Old details go as the past outgrows the order.

    The state is the coefficients, channel by channel, and the number of steps taken as its last unit, which a readout
    does not see: continue a run with ``x0=states[-1]``, all of it. As that unit counts on, there are no fixed points.
    The past fades by powers of k, not exponentially: Lyapunov exponents and the memory capacity at given delays tend to
    0 as a series gets longer, and describe its length rather than the memory.

    Parameters
    ----------
    order : int
        Number of coefficients q per channel.
    n_inputs : int
        Number of channels m, each with a memory of its own.
    alpha : float or None
        Share in [0, 1] of the implicit part in a step: 1/2 bilinear (the default, as published), 1 backward Euler,
        0 forward Euler; O(q) per step, and errors that fall with the number of steps. Below 1/2 the states swell first,
        at 0 and order 30 to 1e19, and are of use after some 4 q steps. None holds the input during a step and is exact
        for that, in O(q^2).
    dtype : numpy.dtype
        float64, or float32, which counts no further than 2^24 steps.

    Raises
    ------
    ValueError, TypeError
        If a size is below 1 or alpha outside of [0, 1].

    References
    ----------
    A. Gu, T. Dao, S. Ermon, A. Rudra, C. Ré (2020), HiPPO: recurrent memory with optimal polynomial projections,
    NeurIPS, theorem 2 and equation 4.

    Examples
    --------
    >>> memory = LegS(12)
    >>> memory
    LegS(order=12, n_inputs=1, alpha=0.5, float64)
    >>> states = memory.run(np.linspace(0.0, 1.0, 2000))
    >>> memory.reconstruct(states[-1], [0.25, 0.5, 1.0]).round(3)[:, 0]  # a quarter of the way, half, now
    array([0.25, 0.5 , 1.  ])
    """

    order: int
    n_inputs: int = field(default=1, kw_only=True)
    alpha: float | None = field(default=0.5, kw_only=True)
    dtype: Any = field(default=np.float64, kw_only=True)

    def __post_init__(self):
        alpha = self.alpha
        if alpha is not None and not 0 <= (alpha := as_finite_float("alpha", alpha)) <= 1:
            raise ValueError(f"alpha must lie in [0, 1], or be None to hold the input, got {self.alpha}")
        order, n_inputs = as_int("order", self.order), as_int("n_inputs", self.n_inputs)
        set_fields(self, order=order, n_inputs=n_inputs, alpha=alpha, dtype=as_dtype(self.dtype))

    def __repr__(self):
        return f"LegS(order={self.order}, n_inputs={self.n_inputs}, alpha={self.alpha}, {self.dtype})"

    @property
    def n_units(self):
        """Number of units: the coefficients of all channels and the number of steps."""
        return self.n_inputs * self.order + 1

    @property
    def observed(self):
        """The coefficients, without the number of steps."""
        return slice(0, self.n_inputs * self.order)

    def decoder(self, fractions):
        """Return the matrix (D, order) that reads the past at D fractions of it.

        Parameters
        ----------
        fractions : float or array, shape (D,)
            In [0, 1]: 0 is the beginning, 1 is now. After T steps sample k stands in the middle of its step at
            (k + 1/2) / T.

        Returns
        -------
        array, shape (D, order)

        Raises
        ------
        ValueError, TypeError
            If a fraction lies outside of [0, 1].
        """
        fractions = np.atleast_1d(as_finite_array("fractions", fractions, ndim=(0, 1)))
        if ((fractions < 0) | (fractions > 1)).any():
            raise ValueError(f"fractions must lie in [0, 1], got {fractions.min():g} to {fractions.max():g}")
        return shifted_legendre(self.order, fractions)

    def step(self, x, u):
        """Return the next state: (n,), (m,) -> (n,)."""
        M, B, _, _ = self._discrete(x[-1] + 1)
        coefficients = x[:-1].reshape(-1, self.order) @ M.T + np.multiply.outer(u, B)
        return np.append(coefficients, x[-1] + 1)

    def jacobian(self, x, u):
        """Return d step / d x: the step of every channel, and in the last column how it changes with the time."""
        x, u = self._point(x, u)
        M, _, dM, dB = self._discrete(x[-1] + 1)
        J = np.zeros((self.n_units, self.n_units))
        J[:-1, :-1] = np.kron(np.eye(self.n_inputs), M)
        J[:-1, -1] = (x[:-1].reshape(-1, self.order) @ dM.T + np.multiply.outer(u, dB)).ravel()
        J[-1, -1] = 1
        return J

    def input_jacobian(self, x, u):
        """Return d step / d u; shape (n, m)."""
        x, _ = self._point(x, u)
        _, B, _, _ = self._discrete(x[-1] + 1)
        return np.append(np.kron(np.eye(self.n_inputs), B[:, None]), np.zeros((1, self.n_inputs)), axis=0)

    def _discrete(self, k):
        """Return M (q, q) and B (q,) of step k, c_k = M c_{k-1} + B u, and their derivatives by k."""
        A, B = legs(self.order)
        if self.alpha is None:
            return self._held(A, k)
        eye, h = np.eye(self.order), 1 / k
        solve = np.linalg.inv(eye - self.alpha * h * A)
        M, B_d = solve @ (eye + (1 - self.alpha) * h * A), solve @ (h * B)
        dM, dB = solve @ A @ ((1 - self.alpha) * eye + self.alpha * M), solve @ (B + self.alpha * A @ B_d)
        return M, B_d[:, 0], -h * h * dM, (-h * h * dB)[:, 0]

    def _held(self, A, k):
        """M shrinks the past to the share (k - 1) / k of the new one; a constant past, c = e_0, stays what it is."""
        _, nodes, weights, values = self._projection
        shrunk = shifted_legendre(self.order, (k - 1) / k * (nodes + 1) / 2).T * weights @ values
        M, dM = (k - 1) / k * shrunk, -A @ shrunk / (k * k)
        return M, np.eye(self.order)[0] - M[:, 0], dM, -dM[:, 0]

    @cached_property
    def _projection(self):
        """Roots sqrt(2n+1); nodes in [-1, 1] and weights for [0, 1] of Gauss, with the polynomials at the nodes."""
        nodes, weights = leggauss(self.order)
        values = shifted_legendre(self.order, (nodes + 1) / 2)
        return np.sqrt(2.0 * np.arange(self.order) + 1), nodes, weights / 2, values

    @cached_property
    def _fields(self):
        alpha = self.dtype.type(-1 if self.alpha is None else self.alpha)
        return alpha, *(np.ascontiguousarray(part, self.dtype) for part in self._projection)

    def _run(self, u, x0, out):
        if u.ndim == 2:
            u, x0, out = u[None], x0[None], out[None]
        return _run_all(self._fields, u, x0, out)

    def _push(self, x, u, V, dU, tape):
        _push_series(self._fields, u, x, V, dU, tape)


# --- kernels --------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def _advance(memory, k, u, c, y, work):
    """Do step k of one channel: y = M c + B u; held inputs leave k (y - u e_0) / (k - 1) in work[0]."""
    if memory[0] < c.dtype.type(0):
        _hold(memory, k, u, c, y, work)
    else:
        _blend(memory, k, u, c, y)


@njit(cache=True, nogil=True, error_model="numpy")
def _blend(memory, k, u, c, y):
    """Solve (1 - alpha A / k) y = (1 + (1 - alpha) A / k) c + B u / k from the first row down."""
    alpha, roots, _, _, _ = memory
    one, h = c.dtype.type(1), c.dtype.type(1) / k
    implicit, explicit = alpha * h, (one - alpha) * h
    below_c, below_y = c.dtype.type(0), c.dtype.type(0)  # sums of root * c and of root * y over the rows above
    for n in range(c.size):
        root, diagonal = roots[n], c.dtype.type(n + 1)
        inverse = one / (one + implicit * diagonal)
        z = inverse * (c[n] - explicit * (root * below_c + diagonal * c[n]) + root * (h * u))
        gain = implicit * root * inverse
        y[n] = z - gain * below_y
        below_c += root * c[n]
        below_y = (one - root * gain) * below_y + root * z  # root * y, without waiting for y


@njit(cache=True, nogil=True, error_model="numpy")
def _hold(memory, k, u, c, y, work):
    """Project the old past without u, shrunk to its share of the new one, and add u, a constant."""
    _, roots, nodes, weights, values = memory
    zero, one, ratio = c.dtype.type(0), c.dtype.type(1), (k - c.dtype.type(1)) / k
    z, past, p, before = work[0], work[1], work[2], work[3]
    for j in range(nodes.size):
        value = -u
        for n in range(c.size):
            value += values[j, n] * c[n]
        past[j], p[j], before[j] = weights[j] * value, one, zero
    for n in range(c.size):
        total, first, second = zero, c.dtype.type(2 * n + 1), c.dtype.type(n)
        for j in range(nodes.size):
            total += past[j] * p[j]
            after = (first * (ratio * (nodes[j] + one) - one) * p[j] - second * before[j]) / (second + one)
            before[j] = p[j]
            p[j] = after
        z[n] = roots[n] * total
        y[n] = ratio * z[n]
    y[0] += u


@njit(cache=True, nogil=True, error_model="numpy")
def _by_time(memory, k, u, c, y, z, slope):
    """Write the derivative of y by k: -(1 - a A / k)^-1 (A w + B u) / k^2, with w between c and y; z if held, a = 0."""
    alpha, roots, _, _, _ = memory
    zero, one, held = c.dtype.type(0), c.dtype.type(1), memory[0] < c.dtype.type(0)
    drive, implicit = (zero, zero) if held else (u, alpha / k)
    below_w, below = zero, zero
    for n in range(c.size):
        root, diagonal = roots[n], c.dtype.type(n + 1)
        w = z[n] if held else (one - alpha) * c[n] + alpha * y[n]
        s = (root * (drive - below_w - implicit * below) - diagonal * w) / (one + implicit * diagonal)
        below_w += root * w
        below += root * s
        slope[n] = -s / (k * k)


@njit(cache=True, nogil=True, error_model="numpy")
def _run_all(memory, u, X, out):
    """Run the series of a batch one after the other; return whether a state was not finite."""
    order, n = memory[1].size, X.shape[1]
    y, work = np.empty(order, X.dtype), np.empty((4, order), X.dtype)
    for b in range(u.shape[0]):
        x = X[b]
        for t in range(u.shape[1]):
            x[n - 1] += x.dtype.type(1)
            for i in range(u.shape[2]):
                c = x[i * order : (i + 1) * order]
                _advance(memory, x[n - 1], u[b, t, i], c, y, work)
                c[:] = y
            out[b, t] = x
    return not all_finite(X.reshape(X.size))


@njit(cache=True, nogil=True, error_model="numpy")
def _push_series(memory, u, x, V, dU, tape):
    """Carry the state and the tangents, rows of V, through u; the last tangent is that of the time."""
    order, n = memory[1].size, x.size
    y, slope, work = np.empty(order, x.dtype), np.empty_like(x), np.empty((4, order), x.dtype)
    for t in range(u.shape[0]):
        x[n - 1] += x.dtype.type(1)
        k = x[n - 1]
        for i in range(u.shape[1]):
            c = x[i * order : (i + 1) * order]
            _advance(memory, k, u[t, i], c, y, work)
            _by_time(memory, k, u[t, i], c, y, work[0], slope[i * order : (i + 1) * order])
            c[:] = y
        for r in range(V.shape[0]):
            v = V[r]
            for i in range(u.shape[1]):
                du = dU[t, r, i] if dU.shape[0] else x.dtype.type(0)
                part = v[i * order : (i + 1) * order]
                _advance(memory, k, du, part, y, work)
                for j in range(order):
                    part[j] = y[j] + slope[i * order + j] * v[n - 1]
        if tape.shape[0]:
            tape[t] = V
