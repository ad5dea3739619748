"""HiPPO: memories that keep the past of their input as coefficients of orthogonal polynomials."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp
from numpy.polynomial.legendre import legvander

from penstock.checks import as_finite_array, as_int, as_positive_float
from penstock.reservoirs.discretise import euler_limit, forward_euler, zero_order_hold
from penstock.reservoirs.esn import ESN, as_dtype, set_fields
from penstock.vmath import identity

__all__ = ["HiPPO", "LagT", "LegT", "WarpedLegS", "lagt", "legs", "legt"]


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

    _reach = np.inf  # the longest delay, in units of theta
    _no_recurrent_matrix = "theory gives its W; a LinearMemory takes any"

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
            dt / `euler_limit` of the matrix for theta = 1, and a theta of very many steps, in float32 some 1e8, is
            lost in rounding.
        """
        n_inputs, dt, dtype = as_int("n_inputs", n_inputs), as_positive_float("dt", dt), as_dtype(dtype)
        A, B = cls._matrices(order, theta)
        if not callable(discretise) or isinstance(discretise, type):
            raise TypeError(f"discretise must be a function (A, B, dt) such as zero_order_hold, got {discretise!r}")
        W, W_in = (np.asarray(matrix, dtype) for matrix in discretise(A, B, dt))
        _check_stable(W, A, theta, dt, discretise)
        if n_inputs > 1:
            channels = sp.eye_array(n_inputs, dtype=dtype)
            W, W_in = sp.kron(channels, W, "csr"), sp.kron(channels, W_in, "csr")
        return cls(W, W_in, theta=theta, dt=dt)

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

    @staticmethod
    def _matrices(order, theta):
        raise NotImplementedError

    @staticmethod
    def _polynomials(order, delays):
        raise NotImplementedError


def _check_stable(W, A, theta, dt, discretise):
    """Raise ValueError if W, rounded to its type, has an eigenvalue on the unit circle or beyond."""
    radius = np.abs(np.linalg.eigvals(W.astype(np.float64))).max()
    if radius < 1:
        return
    limit = dt / euler_limit(theta * A)
    if discretise is forward_euler and theta <= limit:
        raise ValueError(
            f"theta must be above {limit:.5g} for forward_euler at order {len(A)} and dt {dt}, got {theta}; "
            "zero_order_hold has no such limit"
        )
    raise ValueError(
        f"theta must give a stable memory, got {theta} at dt {dt}, whose spectral radius in {W.dtype} is {radius:.9g}; "
        "take a longer dt or another discretise"
    )


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
        Length of the window, in the units of dt. W is not made anew for another: take ``of``.
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
        return shifted_legendre(order, 1 - delays)


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
        return shifted_legendre(order, np.exp(-delays))


def shifted_legendre(order, points):
    """Return the orthonormal Legendre polynomials of [0, 1] at points (D,): (D, order)."""
    return legvander(2 * points - 1, order - 1) * np.sqrt(2.0 * np.arange(order) + 1)
