"""Nonlinear vector autoregression (NVAR, next-generation reservoir computing): monomials of delayed inputs."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from itertools import chain, combinations_with_replacement
from math import comb

import numpy as np
from numba import njit

from penstock.checks import as_int
from penstock.matvec import affine
from penstock.reservoirs.esn import set_fields
from penstock.system import SystemDefaults
from penstock.vmath import all_finite

__all__ = ["NVAR", "Delayed"]

MOST_FEATURES = 10**6
"""More than this many monomials is a slip: their table alone would fill gigabytes."""


class Delayed(SystemDefaults):
    """Features of delayed inputs: what the autoregressive models share.

    The state is [register; features]: the register holds the last (k - 1) s + 1 inputs, newest first, and the features
    are a function of its taps L_t = [u_t; u_{t-s}; …; u_{t-(k-1)s}]. A subclass gives the number of features and
    `_features` and `_slopes`, which take taps and may be complex.
    """

    n_inputs: int
    n_delays: int
    skip: int
    n_features: int

    @property
    def n_units(self):
        """Length of the state: the register and the features."""
        return self.n_register + self.n_features

    @property
    def n_register(self):
        """Length of the register, m ((k - 1) s + 1)."""
        return self.n_inputs * (self.n_warmup + 1)

    @property
    def n_taps(self):
        """Number of delayed values that the features are made of, m k."""
        return self.n_inputs * self.n_delays

    @property
    def n_warmup(self):
        """Number of first steps, (k - 1) s, whose taps still hold what was there before the series."""
        return (self.n_delays - 1) * self.skip

    @property
    def observed(self):
        """The features, all that a readout sees."""
        return slice(self.n_register, self.n_units)

    @cached_property
    def _taps(self):
        """Where the taps lie in the register."""
        blocks = self.n_inputs * self.skip * np.arange(self.n_delays)
        return (blocks[:, None] + np.arange(self.n_inputs)).ravel()

    def step(self, x, u):
        """Return the next state: (n,), (m,) -> (n,)."""
        register = np.concatenate([u, x[: self.n_register - self.n_inputs]])
        return np.concatenate([register, self._features(register[self._taps])])

    def jacobian(self, x, u):
        """Return d step / d x: the shift of the register, and the slopes of the features behind it; shape (n, n)."""
        x, u = self._point(x, u)
        shift = np.eye(self.n_register, self.n_units, -self.n_inputs)
        slopes = self._slopes(self._next_taps(x, u))
        return np.concatenate([shift, slopes @ shift[self._taps]])

    def input_jacobian(self, x, u):
        """Return d step / d u: 1 for the newest inputs, and the slopes of the features there; shape (n, m)."""
        x, u = self._point(x, u)
        slopes = self._slopes(self._next_taps(x, u))
        return np.concatenate([np.eye(self.n_register, self.n_inputs), slopes[:, : self.n_inputs]])

    def _next_taps(self, x, u):
        return np.concatenate([u, x[: self.n_register - self.n_inputs]])[self._taps]

    def _features(self, taps):
        """Return the features (…, F) of taps (…, m k)."""
        raise NotImplementedError

    def _slopes(self, taps):
        """Return d features / d taps, (F, m k), at taps (m k,)."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False, repr=False)
class NVAR(Delayed):
    """Turn a series into monomials of its last values: a reservoir without random weights, for a linear readout.

    With the taps L_t = [u_t; u_{t-s}; …; u_{t-(k-1)s}], the features are all different products of p entries of L_t,
    for every p of `orders`, in lexicographic order. The constant of the published method is the readout's offset. For
    forecasts let the readout learn the increment u_{t+1} - u_t, as the published method does. Everything is float64:
    in float32 closed loops were seen to diverge, so there is no such choice.

    Parameters
    ----------
    n_inputs : int
        Number m of input channels.
    n_delays : int
        Number k of taps.
    skip : int
        Number s of steps between two taps.
    orders : tuple of int
        Degrees of the monomials; (1, 2) is linear and quadratic, (1, 3) linear and cubic, for systems that are
        symmetric under u -> -u.

    Raises
    ------
    ValueError, TypeError
        If a number is not a positive integer, or an order comes twice.

    Notes
    -----
    The state is the register of the last (k - 1) s + 1 inputs, newest first, and the features behind it, which
    `observed` selects. The first ``n_warmup`` = (k - 1) s states still hold the zeros of the start: leave them out of
    a fit. The published forecasts are those of ``Forecaster(nvar, Ridge(alpha), washout=nvar.n_warmup + 1,
    standardise=False, increments=True)``, but for the constant, which the scripts penalise as well.

    Published settings, all with Bogacki-Shampine (RK23) data and ridge penalty alpha:

    ===================  ====  ================================================  ======  ======
    task                 dt    model                                             train   alpha
    ===================  ====  ================================================  ======  ======
    Lorenz forecast      .025  ``NVAR(3)``, 27 features                          400     2.5e-6
    double scroll        .25   ``NVAR(3, orders=(1, 3))``, 62 features           400     1e-3
    Lorenz z of (x, y)   .05   ``NVAR(2, n_delays=4, skip=5)``, 44 features      400     .05
    ===================  ====  ================================================  ======  ======

    References
    ----------
    D. J. Gauthier, E. Bollt, A. Griffith, W. A. S. Barbosa (2021), Next generation reservoir computing, Nature
    Communications 12, 5564.

    Examples
    --------
    >>> nvar = NVAR(1, n_delays=2)
    >>> nvar
    NVAR(n_inputs=1, n_delays=2, skip=1, orders=(1, 2), n_features=5)
    >>> nvar.feature_names
    ('u0(t)', 'u0(t-1)', 'u0(t)*u0(t)', 'u0(t)*u0(t-1)', 'u0(t-1)*u0(t-1)')
    >>> nvar.run([2.0, 3.0])[-1, nvar.observed]
    array([3., 2., 9., 6., 4.])

    The Hénon map is learnt exactly, as x_{t+1} = 1 - 1.4 x_t^2 + 0.3 x_{t-1}:

    >>> from penstock import ridge
    >>> from penstock.data import henon
    >>> x = henon(200)[:, 0]
    >>> states = nvar.run(x)[nvar.n_warmup:-1, nvar.observed]
    >>> readout = ridge(states, x[nvar.n_warmup + 1:], 1e-12)
    >>> readout.W_out.round(6) + 0.0, readout.offset.round(6)
    (array([[ 0. ,  0.3, -1.4,  0. ,  0. ]]), array([1.]))
    """

    n_inputs: int
    _: KW_ONLY
    n_delays: int = 2
    skip: int = 1
    orders: tuple[int, ...] = (1, 2)

    def __post_init__(self):
        sizes = {name: as_int(name, getattr(self, name)) for name in ("n_inputs", "n_delays", "skip")}
        set_fields(self, orders=_as_orders(self.orders), **sizes)
        if self.n_features > MOST_FEATURES:
            raise ValueError(
                f"n_inputs, n_delays and orders must leave at most {MOST_FEATURES} features, got {self.n_features}: "
                f"{self.n_taps} taps in the orders {self.orders}"
            )

    @property
    def n_features(self):
        """Number of monomials."""
        return sum(comb(self.n_taps + order - 1, order) for order in self.orders)

    @property
    def feature_names(self):
        """The monomials by name, u1(t-2) for channel 1 two steps back: the columns of a readout."""
        later = [f"-{self.skip * delay}" if delay else "" for delay in range(self.n_delays)]
        taps = [f"u{channel}(t{back})" for back in later for channel in range(self.n_inputs)]
        return tuple("*".join(taps[i] for i in row if i < self.n_taps) for row in self._factors.tolist())

    def __repr__(self):
        return (
            f"NVAR(n_inputs={self.n_inputs}, n_delays={self.n_delays}, skip={self.skip}, orders={self.orders}, "
            f"n_features={self.n_features})"
        )

    @cached_property
    def _factors(self):
        """The taps that each monomial multiplies, (F, largest order); the index `n_taps` stands for the number 1."""
        taps, longest = range(self.n_taps), max(self.orders)
        monomials = chain.from_iterable(combinations_with_replacement(taps, order) for order in self.orders)
        return np.array([(*m, *[self.n_taps] * (longest - len(m))) for m in monomials], np.uintp)

    @cached_property
    def _fields(self):
        return self._taps.astype(np.uintp), self._factors

    def _features(self, taps):
        return _with_one(taps)[..., self._factors].prod(axis=-1)

    def _slopes(self, taps):
        factors, rows, z = self._factors, np.arange(self.n_features), _with_one(taps)
        slopes = np.zeros((self.n_features, self.n_taps + 1), z.dtype)
        for q in range(factors.shape[1]):
            np.add.at(slopes, (rows, factors[:, q]), z[np.delete(factors, q, axis=1)].prod(axis=1))
        return slopes[:, :-1]

    def _run(self, u, x0, out):
        if u.ndim == 2:
            return _run_series(self._fields, u, x0, out)
        return any([_run_series(self._fields, one, x, states) for one, x, states in zip(u, x0, out, strict=True)])

    def _run_fed(self, W_out, offset, u, x, out):
        """Fill `out` with the states when the last inputs are W_out features + offset; as `_run`, for one series."""
        return _run_fed(self._fields, W_out, offset, u, x, out)

    def _push(self, x, u, V, dU, tape):
        _push_series(self._fields, u, x, V, dU, tape)


def _as_orders(orders):
    """Return different positive integers, smallest first."""
    if not isinstance(orders, Sequence | np.ndarray) or isinstance(orders, str) or len(orders) == 0:
        raise ValueError(f"orders must be a tuple of one positive integer or more, got {orders!r}")
    orders = tuple(sorted(as_int("orders", order) for order in orders))
    if len(set(orders)) < len(orders):
        raise ValueError(f"orders must differ from each other, got {orders}")
    return orders


def _with_one(taps):
    return np.concatenate([taps, np.ones((*taps.shape[:-1], 1), taps.dtype)], axis=-1)


# --- kernels --------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def _run_series(nvar, u, x, out):
    """Run one series; return whether a value was not finite."""
    taps, factors = nvar
    n_features, order = factors.shape
    n_register, m = x.size - n_features, u.shape[1]
    z, finite = np.ones(taps.size + 1), True
    for t in range(u.shape[0]):
        _shift(x, u[t], n_register, m)
        for i in range(taps.size):
            z[i] = x[taps[i]]
        for f in range(n_features):
            product = z[factors[f, 0]]
            for q in range(1, order):
                product *= z[factors[f, q]]
            x[n_register + f] = product
        out[t] = x
        finite &= all_finite(x)
    return not finite


@njit(cache=True, nogil=True, error_model="numpy")
def _run_fed(nvar, W_out, offset, u, x, out):
    """Run one series whose last inputs are offset + W_out features; return whether a value was not finite."""
    m = u.shape[1]
    drive, features = np.empty((1, m + offset.size)), x[x.size - W_out.shape[1] :]
    diverged = False
    for t in range(u.shape[0]):
        drive[0, :m] = u[t]
        affine(W_out, features, offset, drive[0, m:])
        diverged |= _run_series(nvar, drive, x, out[t : t + 1])
    return diverged


@njit(cache=True, nogil=True, error_model="numpy")
def _push_series(nvar, u, x, V, dU, tape):
    """Carry the state and the tangents, rows of V, through u: the product rule for every monomial."""
    taps, factors = nvar
    n_features, order = factors.shape
    n_register, m = x.size - n_features, u.shape[1]
    z, dz, partial, rest = np.ones(taps.size + 1), np.zeros(taps.size + 1), np.empty(factors.shape), np.zeros(m)
    for t in range(u.shape[0]):
        _shift(x, u[t], n_register, m)
        for i in range(taps.size):
            z[i] = x[taps[i]]
        for f in range(n_features):
            for q in range(order):
                partial[f, q] = 1.0
                for other in range(order):
                    if other != q:
                        partial[f, q] *= z[factors[f, other]]
            x[n_register + f] = partial[f, 0] * z[factors[f, 0]]
        for r in range(V.shape[0]):
            v = V[r]
            _shift(v, dU[t, r] if dU.shape[0] else rest, n_register, m)
            for i in range(taps.size):
                dz[i] = v[taps[i]]
            for f in range(n_features):
                total = 0.0
                for q in range(order):
                    total += partial[f, q] * dz[factors[f, q]]
                v[n_register + f] = total
        if tape.shape[0]:
            tape[t] = V


@njit(cache=True, nogil=True, error_model="numpy")
def _shift(x, new, n_register, m):
    """Move the register on by one step and put the new values first."""
    for i in range(n_register - 1, m - 1, -1):
        x[i] = x[i - m]
    for i in range(m):
        x[i] = new[i]
