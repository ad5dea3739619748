"""HiPPO: memories that keep the past of their input as coefficients of orthogonal polynomials."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import scipy
import scipy.sparse as sp
from numba import njit
from numpy.polynomial.legendre import leggauss, legvander

from penstock.checks import as_finite_array, as_finite_float, as_int, as_positive_float
from penstock.reservoirs.esn import ESN, as_dtype, set_fields
from penstock.system import SystemDefaults
from penstock.vmath import all_finite, identity

__all__ = [
    "HiPPO",
    "LagT",
    "LegS",
    "LegT",
    "WarpedLegS",
    "backward_euler",
    "bilinear",
    "euler_limit",
    "forward_euler",
    "lagt",
    "legs",
    "legt",
    "zero_order_hold",
]


# --- matrices in continuous time ------------------------------------------------------------------------------------


def legs(order, theta=1.0):
    """Return A (q, q) and B (q, 1) of scaled Legendre polynomials, theta c' = A c + B u.

    A_nk = -sqrt((2n+1)(2k+1)) below the diagonal, -(n+1) on it, 0 above; B_n = sqrt(2n+1). With theta the time since
    the beginning the coefficients are those of the whole past (`LegS`); with a fixed theta, of a fading one
    (`WarpedLegS`). The eigenvalues of A are -1, -2, …, -q.

    Parameters
    ----------
    order : int
        Number of coefficients q.
    theta : float
        Time scale by which both matrices are divided.

    Returns
    -------
    array, shape (q, q), and array, shape (q, 1)

    References
    ----------
    A. Gu, T. Dao, S. Ermon, A. Rudra, C. Ré (2020), HiPPO: recurrent memory with optimal polynomial projections,
    NeurIPS, theorem 2.

    Examples
    --------
    >>> A, B = legs(3)
    >>> A.round(3).tolist()
    [[-1.0, 0.0, 0.0], [-1.732, -2.0, 0.0], [-2.236, -3.873, -3.0]]
    """
    n, roots = _indices(order)
    A = np.where(n[:, None] > n, -roots[:, None] * roots, 0.0) - np.diag(n + 1.0)
    return _over(theta, A, roots)


def legt(order, theta=1.0):
    """Return A (q, q) and B (q, 1) of translated Legendre polynomials, theta c' = A c + B u: a window of length theta.

    A_nk = -sqrt((2n+1)(2k+1)) s with s = 1 for n >= k and (-1)^(n-k) above the diagonal; B_n = sqrt(2n+1). Parameters
    and values as of `legs`.

    Examples
    --------
    >>> A, B = legt(2, theta=10.0)
    >>> A.round(4).tolist(), B.round(4).tolist()
    ([[-0.1, 0.1732], [-0.1732, -0.3]], [[0.1], [0.1732]])
    """
    n, roots = _indices(order)
    signs = np.where(n[:, None] >= n, 1.0, (-1.0) ** (n[:, None] - n))
    return _over(theta, -roots[:, None] * roots * signs, roots)


def lagt(order, theta=1.0):
    """Return A (q, q) and B (q, 1) of translated Laguerre functions, theta c' = A c + B u: an exponential window.

    A is -1/2 on the diagonal and -1 below it, B is 1. Parameters and values as of `legs`.

    Examples
    --------
    >>> lagt(2)[0].tolist()
    [[-0.5, 0.0], [-1.0, -0.5]]
    """
    n, _ = _indices(order)
    return _over(theta, 0.5 * np.eye(n.size) - np.tri(n.size), np.ones(n.size))


def _indices(order):
    n = np.arange(as_int("order", order))
    return n, np.sqrt(2.0 * n + 1)


def _over(theta, A, b):
    theta = as_positive_float("theta", theta)
    return A / theta, b[:, None] / theta


# --- from continuous to discrete time -------------------------------------------------------------------------------


def forward_euler(A, B, dt):
    """Return (I + dt A, dt B), the explicit step of x' = A x + B u; stable for dt below `euler_limit` only.

    Parameters
    ----------
    A : array, shape (n, n)
        Matrix of the state.
    B : array, shape (n, m) or (n,)
        Matrix of the input, which stands still during the step.
    dt : float
        Time of the step.

    Returns
    -------
    array, shape (n, n), and array, shape of B

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit, a number is not finite, or dt is not positive.

    Examples
    --------
    >>> [part.item() for part in forward_euler([[-1.0]], [[1.0]], 0.5)]
    [0.5, 0.5]
    """
    return _generalised_bilinear(A, B, dt, 0.0)


def backward_euler(A, B, dt):
    """Return (R, R dt B) with R = (I - dt A)^-1, the implicit step: stable for every dt where A is.

    Arguments and values are those of `forward_euler`.

    Examples
    --------
    >>> [part.item() for part in backward_euler([[-1.0]], [[1.0]], 1.0)]
    [0.5, 0.5]
    """
    return _generalised_bilinear(A, B, dt, 1.0)


def bilinear(A, B, dt):
    """Return (R (I + dt A / 2), R dt B) with R = (I - dt A / 2)^-1, the step of Tustin: second order, always stable.

    Arguments and values are those of `forward_euler`.

    Examples
    --------
    >>> [part.item() for part in bilinear([[-1.0]], [[1.0]], 2.0)]
    [0.0, 1.0]
    """
    return _generalised_bilinear(A, B, dt, 0.5)


def zero_order_hold(A, B, dt):
    """Return the exact step for inputs held during dt: the upper rows of exp(dt [[A, B], [0, 0]]).

    Arguments and values are those of `forward_euler`.

    Examples
    --------
    >>> [round(part.item(), 6) for part in zero_order_hold([[-1.0]], [[1.0]], 1.0)]
    [0.367879, 0.632121]
    """
    A, B, dt = _checked(A, B, dt)
    n, columns = A.shape[0], B.reshape(A.shape[0], -1)
    whole = np.zeros((n + columns.shape[1],) * 2)
    whole[:n, :n], whole[:n, n:] = dt * A, dt * columns
    step = scipy.linalg.expm(whole)[:n]
    return step[:, :n].copy(), step[:, n:].reshape(B.shape)


def euler_limit(A):
    """Return the largest dt of a stable forward Euler step, min -2 Re(lambda) / |lambda|^2 over the eigenvalues of A.

    The stable dt are those below it; 0 if A itself is not stable.

    Examples
    --------
    >>> A, B = legt(20)
    >>> round(1 / euler_limit(A), 1)  # a window needs more steps than this, and more than 4 per polynomial
    87.9
    """
    A = _square("A", A)
    eigenvalues = np.linalg.eigvals(A)
    if (eigenvalues.real >= 0).any():
        return 0.0
    return float((-2 * eigenvalues.real / np.abs(eigenvalues) ** 2).min())


def _generalised_bilinear(A, B, dt, alpha):
    A, B, dt = _checked(A, B, dt)
    eye = np.eye(A.shape[0])
    implicit, explicit = eye - alpha * dt * A, eye + (1 - alpha) * dt * A
    if alpha == 0:
        return explicit, dt * B
    return np.linalg.solve(implicit, explicit), np.linalg.solve(implicit, dt * B)


def _checked(A, B, dt):
    A, B = _square("A", A), as_finite_array("B", B, ndim=(1, 2))
    if B.shape[0] != A.shape[0]:
        raise ValueError(f"B must have {A.shape[0]} rows to match A, got shape {B.shape}")
    return A, B, as_positive_float("dt", dt)


def _square(name, matrix):
    matrix = as_finite_array(name, matrix, ndim=2)
    if matrix.shape[0] != matrix.shape[1] or matrix.size == 0:
        raise ValueError(f"{name} must be square and not empty, got shape {matrix.shape}")
    return matrix


# --- memories -------------------------------------------------------------------------------------------------------


class HiPPO:
    """Keep the past of every input as coefficients of orthogonal polynomials: what the memories below share.

    ================== ==================================== =========================================================
    memory             what it keeps                        take it for
    ================== ==================================== =========================================================
    `LegT`             a sliding window of length theta     delays, rhythms: everything of the last theta, no more
    `LegendreMemory`   the same in the coordinates of LMU   as above
    `LegS`             the whole past, evenly               series of any length or time scale: there is none to set
    `LagT`             an exponential window                the recent past sharp, the distant past fading
    `WarpedLegS`       an exponential window                as above; the one that S4 starts from
    ================== ==================================== =========================================================

    Every input channel has a memory of its own, of `order` coefficients. All are linear: a readout, `decoder`, gives
    the past back without training.
    """

    order: int
    n_units: int
    n_inputs: int
    observed: slice

    def decoder(self, points):
        """Return the matrix (D, order) that reads the past of one channel at D points from its coefficients."""
        raise NotImplementedError(f"{type(self).__name__} must define decoder(points)")

    def reconstruct(self, states, points):
        """Return the past that states hold, at the points that `decoder` takes.

        Parameters
        ----------
        states : array, shape (n_units,) or (…, n_units)
            One state, or the states of `run`.
        points : float or array, shape (D,)
            Where to read the past: delays, or for `LegS` fractions of the past.

        Returns
        -------
        array, shape (D, n_inputs) or (…, D, n_inputs)

        Raises
        ------
        ValueError, TypeError
            If shapes do not fit or a point lies outside of what the memory keeps.
        """
        states = as_finite_array("states", states)
        if states.ndim == 0 or states.shape[-1] != self.n_units:
            raise ValueError(f"states must have shape (…, {self.n_units}), got {states.shape}")
        coefficients = states[..., self.observed].reshape(*states.shape[:-1], self.n_inputs, self.order)
        return np.swapaxes(coefficients @ self.decoder(points).T, -1, -2)


@dataclass(frozen=True, eq=False, repr=False)
class FixedScale(HiPPO, ESN):
    """A memory of one time scale: x_t = W x_{t-1} + W_in u_t, block by block for every channel.

    A subclass gives `_matrices` (order, theta) -> (A, B) and `_polynomials` (order, delays / theta) -> (D, order).
    """

    bias: np.ndarray | float = field(default=0.0, init=False)
    leak: float = field(default=1.0, init=False)
    activation: Callable = field(default_factory=lambda: identity, init=False)
    theta: float = field(kw_only=True)
    dt: float = field(default=1.0, kw_only=True)

    def __post_init__(self):
        theta, dt = as_positive_float("theta", self.theta), as_positive_float("dt", self.dt)
        ESN.__post_init__(self)
        if self.n_inputs and self.n_units % self.n_inputs:
            raise ValueError(f"W_in must have a column per memory of equal size, got shape {self.W_in.shape}")
        set_fields(self, theta=theta, dt=dt)

    @classmethod
    def of(cls, order, theta, *, dt=1.0, discretise=zero_order_hold, n_inputs=1, dtype=np.float64):
        """Return the memory of an order and a time scale.

        Parameters
        ----------
        order : int
            Number of coefficients q per channel.
        theta : float
            Time scale, in the units of `dt`.
        dt : float
            Time of a step.
        discretise : function
            ``discretise(A, B, dt) -> (A_d, B_d)``: `zero_order_hold`, `bilinear`, `backward_euler`, `forward_euler`.
        n_inputs : int
            Number of channels m, each with a memory of its own: W is block-diagonal, in CSR form if m > 1. The
            coefficients of the first channel come first.
        dtype : numpy.dtype
            float64 or float32.

        Raises
        ------
        ValueError, TypeError
            If a number is out of range, or the discrete memory is not stable: `forward_euler` needs theta above
            dt / `euler_limit` of the matrix for theta = 1.
        """
        n_inputs, dt = as_int("n_inputs", n_inputs), as_positive_float("dt", dt)
        A, B = cls._matrices(order, theta)
        if not callable(discretise):
            raise TypeError(f"discretise must be a function (A, B, dt) such as zero_order_hold, got {discretise!r}")
        W, W_in = discretise(A, B, dt)
        radius = np.abs(np.linalg.eigvals(W)).max()
        if radius >= 1:
            raise ValueError(
                f"theta must be above {dt / euler_limit(theta * A):.5g} for forward_euler at order {order} and dt "
                f"{dt}, got {theta} and {getattr(discretise, '__name__', discretise)}, whose memory has spectral "
                f"radius {radius:.6g}; take zero_order_hold, which has no such limit"
            )
        if n_inputs > 1:
            channels = sp.eye_array(n_inputs)
            W, W_in = sp.kron(channels, W, "csr"), sp.kron(channels, W_in, "csr")
        dtype = as_dtype(dtype)
        return cls(W.astype(dtype), W_in.astype(dtype), theta=theta, dt=dt)

    @classmethod
    def random(cls, *args, **keywords):
        """Raise TypeError: nothing of these memories is drawn."""
        raise TypeError(f"{cls.__name__} has nothing to draw; take {cls.__name__}.of(order, theta)")

    def __repr__(self):
        sizes = f"order={self.order}, theta={self.theta:g}, dt={self.dt:g}, n_inputs={self.n_inputs}"
        return f"{type(self).__name__}({sizes}, {self.dtype})"

    @property
    def order(self):
        """Number of coefficients per channel."""
        return self.n_units // max(self.n_inputs, 1)

    def decoder(self, delays):
        """Return the matrix (D, order) that reads the input at D delays: ``states @ decoder.T`` is u(t - delay).

        The state after step t holds u_t for the time dt that ends now. So the sample k steps ago stands in the middle
        of its step at delay (k + 1/2) dt, where it is read far more exactly than at k dt.

        Parameters
        ----------
        delays : float or array, shape (D,)
            In the units of dt, at least 0; of a window at most theta.

        Returns
        -------
        array, shape (D, order)

        Raises
        ------
        ValueError, TypeError
            If a delay lies outside of what the memory keeps.
        """
        delays = np.atleast_1d(as_finite_array("delays", delays, ndim=(0, 1)))
        longest = self.theta * self._reach
        if ((delays < 0) | (delays > longest)).any():
            raise ValueError(f"delays must lie in [0, {longest:g}], got {delays.min():g} to {delays.max():g}")
        return self._polynomials(self.order, delays / self.theta)

    _reach = np.inf

    @staticmethod
    def _matrices(order, theta):
        raise NotImplementedError

    @staticmethod
    def _polynomials(order, delays):
        raise NotImplementedError


class LegT(FixedScale):
    """Keep a sliding window of the input: coefficients of Legendre polynomials over the last theta.

    c_n(t) = (1 / theta) integral of u(t - s) sqrt(2n+1) P_n(1 - 2 s / theta) over 0 < s < theta, up to what the
    polynomials miss of u at the far end of the window, which is nothing for a polynomial of degree below the order.
    Made by ``LegT.of(order, theta)``.

    Parameters
    ----------
    W, W_in : array or sparse array
        Matrices of a step; block-diagonal, shapes (m q, m q) and (m q, m) for m channels.
    theta : float
        Length of the window, in the units of dt.
    dt : float
        Time of a step.

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit or a number is not positive.

    References
    ----------
    A. Gu et al. (2020), HiPPO, NeurIPS, theorem 1, with the error at the far end as in appendix D.

    Examples
    --------
    >>> memory = LegT.of(16, theta=100.0)
    >>> memory
    LegT(order=16, theta=100, dt=1, n_inputs=1, float64)
    >>> u = np.sin(2 * np.pi * np.arange(400) / 80)
    >>> past = memory.reconstruct(memory.run(u)[-1], 90.5)  # the sample 90 steps ago, in the middle of its step
    >>> round(past.item(), 3), round(u[-91].item(), 3)
    (-0.76, -0.76)
    """

    _reach = 1.0
    _matrices = staticmethod(legt)

    @staticmethod
    def _polynomials(order, delays):
        return _legendre(order, 1 - delays)


class LagT(FixedScale):
    """Keep an exponential window of the input: coefficients of Laguerre functions.

    c_n(t) = (1 / theta) integral of u(t - s) exp(-s / 2 theta) L_n(s / theta) over s > 0, exactly. Made by
    ``LagT.of(order, theta)``; parameters and errors as of `LegT`, with theta the time scale of the window.

    References
    ----------
    A. Gu et al. (2020), HiPPO, NeurIPS, theorem 1, with the functions of unit weight.

    Examples
    --------
    >>> LagT.of(3, theta=4.0).decoder([0.0, 4.0]).round(3).tolist()
    [[1.0, 1.0, 1.0], [0.607, 0.0, -0.303]]
    """

    _matrices = staticmethod(lagt)

    @staticmethod
    def _polynomials(order, delays):
        # the recurrence of L_n with the exponential in its first term: L_n alone would overflow
        values = np.zeros((delays.size, order + 1))
        values[:, 0], values[:, 1] = np.exp(-delays / 2), (1 - delays) * np.exp(-delays / 2)
        for n in range(2, order):
            values[:, n] = ((2 * n - 1 - delays) * values[:, n - 1] - (n - 1) * values[:, n - 2]) / n
        return values[:, :order]


class WarpedLegS(FixedScale):
    """Keep an exponential window of the input: coefficients of Legendre polynomials in exp(-s / theta).

    c_n(t) = (1 / theta) integral of u(t - s) exp(-s / theta) sqrt(2n+1) P_n(2 exp(-s / theta) - 1) over s > 0, exactly:
    the matrices of `legs` with a time scale that stands still, as state-space models use them. Made by
    ``WarpedLegS.of(order, theta)``; parameters and errors as of `LegT`, with theta the time constant.

    References
    ----------
    A. Gu, I. Johnson, A. Timalsina, A. Rudra, C. Ré (2023), How to train your HiPPO, ICLR.

    Examples
    --------
    >>> memory = WarpedLegS.of(20, theta=50.0, n_inputs=2)
    >>> memory.reconstruct(memory.run(np.ones((900, 2)))[-1], [0.0, 30.0]).round(6).tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """

    _matrices = staticmethod(legs)

    @staticmethod
    def _polynomials(order, delays):
        return _legendre(order, np.exp(-delays))


@dataclass(frozen=True, eq=False, repr=False)
class LegS(HiPPO, SystemDefaults):
    """Keep the whole past of the input, however long: coefficients of Legendre polynomials over all of it.

    c_n(t) = (1 / t) integral of u(s) sqrt(2n+1) P_n(2 s / t - 1) over 0 < s < t, by t c' = A c + B u with the matrices
    of `legs`: step k takes dt / t = 1 / k. There is no time scale to set, and none that the memory has: an input at
    half the speed gives the same coefficients. Old details go as the past outgrows the order.

    The state is the coefficients, channel by channel, and the number of steps taken as its last unit, which a readout
    does not see: continue a run with ``x0=states[-1]``, all of it.

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
        float64 or float32.

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
        return _legendre(self.order, fractions)

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
        """Return c_k = M c_{k-1} + B u of step k, and the derivatives of M and B by k."""
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
        shrunk = _legendre(self.order, (k - 1) / k * (nodes + 1) / 2).T * weights @ values
        M, dM = (k - 1) / k * shrunk, -A @ shrunk / (k * k)
        return M, np.eye(self.order)[0] - M[:, 0], dM, -dM[:, 0]

    @cached_property
    def _projection(self):
        """Roots sqrt(2n+1); nodes in [-1, 1] and weights for [0, 1] of Gauss, with the polynomials at the nodes."""
        nodes, weights = leggauss(self.order)
        return np.sqrt(2.0 * np.arange(self.order) + 1), nodes, weights / 2, _legendre(self.order, (nodes + 1) / 2)

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


def _legendre(order, points):
    """Return the orthonormal Legendre polynomials of [0, 1] at points (D,): (D, order)."""
    return legvander(2 * points - 1, order - 1) * np.sqrt(2.0 * np.arange(order) + 1)


# --- kernels --------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def _advance(memory, k, u, c, y, work):
    """Do step k of one channel: y = M c + B u; held inputs leave k (y - u e_0) / (k - 1) in work."""
    alpha, roots, nodes, weights, values = memory
    zero, one, n_nodes = c.dtype.type(0), c.dtype.type(1), nodes.size
    if alpha >= zero:
        h = one / k
        implicit, explicit = alpha * h, (one - alpha) * h
        below_c, below_y = zero, zero  # sums of root * c and of root * y over the rows above
        for n in range(c.size):
            root, diagonal = roots[n], c.dtype.type(n + 1)
            inverse = one / (one + implicit * diagonal)
            z = inverse * (c[n] - explicit * (root * below_c + diagonal * c[n]) + root * (h * u))
            gain = implicit * root * inverse
            y[n] = z - gain * below_y
            below_c += root * c[n]
            below_y = (one - root * gain) * below_y + root * z  # root * y, without waiting for y
        return
    ratio = (k - one) / k
    z, past, p, before = work[0], work[1], work[2], work[3]
    for j in range(n_nodes):
        value = -u
        for n in range(c.size):
            value += values[j, n] * c[n]
        past[j], p[j], before[j] = weights[j] * value, one, zero
    for n in range(c.size):
        total, first, second = zero, c.dtype.type(2 * n + 1), c.dtype.type(n)
        for j in range(n_nodes):
            total += past[j] * p[j]
            after = (first * (ratio * (nodes[j] + one) - one) * p[j] - second * before[j]) / (second + one)
            before[j] = p[j]
            p[j] = after
        z[n] = roots[n] * total
        y[n] = ratio * z[n]
    y[0] += u


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
    alpha, roots = memory[0], memory[1]
    zero, one = x.dtype.type(0), x.dtype.type(1)
    y, w, slope, work = (
        np.empty(order, x.dtype),
        np.empty(order, x.dtype),
        np.empty_like(x),
        np.empty((4, order), x.dtype),
    )
    for t in range(u.shape[0]):
        x[n - 1] += one
        k = x[n - 1]
        for i in range(u.shape[1]):
            c = x[i * order : (i + 1) * order]
            _advance(memory, k, u[t, i], c, y, work)
            held = alpha < zero
            drive, implicit = (zero, zero) if held else (u[t, i], alpha / k)
            # by k: -(1 - a A / k)^-1 (A w + B u) / k^2, w between the old and the new coefficients
            below_w, below = zero, zero
            for j in range(order):
                root, diagonal = roots[j], x.dtype.type(j + 1)
                w[j] = work[0, j] if held else (one - alpha) * c[j] + alpha * y[j]
                s = root * (drive - below_w - implicit * below) - diagonal * w[j]
                s /= one + implicit * diagonal
                below_w += root * w[j]
                below += root * s
                slope[i * order + j] = -s / (k * k)
            c[:] = y
        for r in range(V.shape[0]):
            v = V[r]
            for i in range(u.shape[1]):
                du = dU[t, r, i] if dU.shape[0] else zero
                part = v[i * order : (i + 1) * order]
                _advance(memory, k, du, part, y, work)
                for j in range(order):
                    part[j] = y[j] + slope[i * order + j] * v[n - 1]
        if tape.shape[0]:
            tape[t] = V
