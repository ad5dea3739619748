"""Liquid time-constant networks: units whose conductances, and so time constants, follow states and inputs."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from penstock.checks import as_finite_array, as_int, as_matrix, as_positive_float, as_vector, float_type, seed_sequence
from penstock.laws import Uniform
from penstock.reservoirs.elapsed import check_timed, split_elapsed
from penstock.reservoirs.esn import Weighted, as_dtype, describe_matrix, set_fields, to_dense
from penstock.reservoirs.liquid_kernels import _push, _run
from penstock.reservoirs.solvers import fused, solver_code
from penstock.reservoirs.wiring import Wiring, fully_connected
from penstock.vmath import sigmoid

__all__ = ["LTC", "LiquidCoefficients"]

SPARSE_BELOW = 0.5  # density below which the flat pass over the synapses pays

_LOG2_E = 1.4426950408889634


class LiquidCoefficients(NamedTuple):
    """Hold what a liquid network is at one state and input: v' = B - D v.

    D (n,) total rates, B (n,) drives, v_inf = B / D (n,) where v would come to rest, tau = 1 / D (n,) time constants,
    jacobian (n, n) of v' by v.
    """

    D: np.ndarray
    B: np.ndarray
    v_inf: np.ndarray
    tau: np.ndarray
    jacobian: np.ndarray


class Liquid(Weighted):
    """What liquid cells share: the settings of their time, and Jacobians carried through all unfolds by kernels."""

    unfolds: int
    solver: Callable

    @property
    def n_inputs(self):
        """Number of input channels: those of the data, and one for the elapsed time if `timed`."""
        return self.W_in.shape[1] + self.timed

    def step(self, x, u):
        """Return the next state: (n,), (m,) -> (n,)."""
        data, elapsed = split_elapsed(self, np.asarray(u))
        coefficients = self._coefficients(data)
        for _ in range(self.unfolds):
            x = self.solver(coefficients, x, elapsed / self.unfolds)
        return x

    def jacobian(self, x, u):
        """Return d step / d x at (x, u), exact for the solver; shape (n, n)."""
        x, u = self._point(x, u)
        return self._double._push_once(x, u, np.eye(self.n_units), np.empty((0, self.n_units, self.n_inputs)))

    def input_jacobian(self, x, u):
        """Return d step / d u at (x, u); shape (n, m), the elapsed time of a `timed` network included."""
        x, u = self._point(x, u)
        m = self.W_in.shape[1]
        by_data = self._double._push_once(x, u, np.zeros((m, self.n_units)), np.eye(m, self.n_inputs)[None])
        if not self.timed:
            return by_data
        by_time = np.imag(self._double.step(x.astype(complex), u + 1e-20j * (np.arange(self.n_inputs) == m))) / 1e-20
        return np.column_stack([by_data, by_time])

    def _clean_settings(self):
        solver_code(self.solver)
        dt, unfolds = as_positive_float("dt", self.dt), as_int("unfolds", self.unfolds)
        set_fields(self, dt=dt, unfolds=unfolds, timed=check_timed(self.timed))

    @cached_property
    def _double(self):
        """The same network in float64, as its Jacobians are computed."""
        if self.dtype == np.float64:
            return self
        cell: Any = self
        values = {field.name: getattr(self, field.name) for field in fields(cell)}
        return replace(cell, **{name: a.astype(np.float64) for name, a in values.items() if hasattr(a, "astype")})

    def _push(self, x, u, V, dU, tape):
        if self.timed and dU.shape[0] and dU[..., -1].any():
            super()._push(x, u, V, dU, tape)  # the kernels carry no tangents of time
            return
        data, elapsed = split_elapsed(self, u)
        self._push_timed(data, elapsed, x, V, dU, tape)

    def _coefficients(self, u) -> Callable:
        """Return the function x -> (D, B) of x' = B - D x at given data u (m,)."""
        raise NotImplementedError

    def _push_timed(self, data, elapsed, x, V, dU, tape):
        """As `_push`, with the elapsed times (T,) apart from the data (T, m)."""
        raise NotImplementedError

    def _push_once(self, x, u, V, dU):
        """Carry tangents, rows of V (k, n), through one step; return them as columns (n, k)."""
        self._push(x.copy(), u.copy()[None], V, dU, np.empty((0, *V.shape)))  # read-only ones would compile anew
        return V.T


@dataclass(frozen=True, eq=False, repr=False)
class LTC(Liquid):
    """Run a liquid time-constant network of units with conductance synapses.

    C_m v_i' = g_leak (v_leak - v_i) + sum_j W_ij s(v_j)(E_ij - v_i) + sum_k W_in_ik s(u_k)(E_in_ik - v_i), where
    s(v) = 1 / (1 + exp(-sigma (v - mu))) with the sigma and mu of the synapse. A step of time `dt` takes `unfolds`
    equal steps of the solver. All quantities are without unit; time counts in the unit of C_m / g_leak.

    Parameters
    ----------
    W : array or sparse array, shape (n, n)
        Conductances, not negative, W[i, j] of the synapse from unit j to unit i. A sparse W holds the synapses there
        are, and runs faster. float32 makes a float32 model.
    W_in : array or sparse array, shape (n, m)
        Conductances of the synapses from the inputs; m = 0 makes the network autonomous.
    E, E_in : float, array or sparse array, shapes (n, n) and (n, m)
        Reversal potentials; +1 excites and -1 inhibits in networks as published. Sparse ones need a value wherever
        W has one.
    sigma, sigma_in, mu, mu_in : float, array or sparse array, shapes (n, n) and (n, m)
        Steepness and midpoint of every synapse.
    C_m, g_leak, v_leak : float or array, shape (n,)
        Capacitances (positive), leak conductances (not negative) and the potentials they pull to.
    input_weight, input_bias : float or array, shape (m,)
        Map of the inputs, u = input_weight * I + input_bias.
    dt : float
        Time between two steps.
    unfolds : int
        Steps of the solver in every step.
    solver : function
        `fused` (as published), `exponential_euler`, `exponential_midpoint` or `rk4`. All but `rk4` keep the state
        within `state_bounds` whatever the time step and the input.
    timed : bool
        Whether the last input channel is the time since the step before, instead of `dt`; see `elapsed_inputs`.

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit, a number is not finite, a capacitance is not positive, or a conductance is negative.

    References
    ----------
    R. Hasani, M. Lechner, A. Amini, D. Rus, R. Grosu (2021), Liquid time-constant networks, AAAI.

    Examples
    --------
    >>> import numpy as np
    >>> ltc = LTC.random(32, n_inputs=2, seed=0)
    >>> ltc
    LTC(n_units=32, n_inputs=2, W=dense, solver=fused, unfolds=6, dt=1.0, float64)
    >>> states = ltc.run(np.ones((100, 2)))
    >>> low, high = ltc.state_bounds()
    >>> bool(((low <= states) & (states <= high)).all())
    True
    """

    W: Any
    W_in: Any
    E: Any
    E_in: Any
    sigma: Any
    sigma_in: Any
    mu: Any
    mu_in: Any
    C_m: Any
    g_leak: Any
    v_leak: Any
    input_weight: Any = 1.0
    input_bias: Any = 0.0
    dt: float = 1.0
    unfolds: int = 6
    solver: Callable = fused
    timed: bool = False

    _synapse_fields = ("E", "sigma", "mu")

    def __post_init__(self):
        dtype = float_type(self.W)
        W = _as_conductances("W", self.W, (None, None), dtype)
        n = W.shape[0]
        if W.shape[1] != n or n == 0:
            raise ValueError(f"W must be square and not empty, got shape {W.shape}")
        W_in = _as_conductances("W_in", self.W_in, (n, None), dtype)
        m = W_in.shape[1]
        for name, matrix in (("E", W), ("E_in", W_in), ("sigma", W), ("sigma_in", W_in), ("mu", W), ("mu_in", W_in)):
            set_fields(self, **{name: _on_synapses(name, getattr(self, name), matrix)})
        for name in ("C_m", "g_leak", "v_leak"):
            set_fields(self, **{name: as_vector(name, getattr(self, name), n, dtype)})
        if not (self.C_m > 0).all():
            raise ValueError(f"C_m must be positive, got {self.C_m.min()} at unit {self.C_m.argmin()}")
        if not (self.g_leak >= 0).all():
            raise ValueError(f"g_leak must not be negative, got {self.g_leak.min()} at unit {self.g_leak.argmin()}")
        for name in ("input_weight", "input_bias"):
            set_fields(self, **{name: as_vector(name, getattr(self, name), m, dtype)})
        set_fields(self, W=W, W_in=W_in)
        self._clean_settings()

    @classmethod
    def random(
        cls,
        wiring,
        *,
        n_inputs=None,
        W=Uniform(0.001, 1.0),  # noqa: B008
        sigma=Uniform(3.0, 8.0),  # noqa: B008
        mu=Uniform(0.3, 0.8),  # noqa: B008
        C_m=Uniform(0.4, 0.6),  # noqa: B008
        g_leak=Uniform(0.001, 1.0),  # noqa: B008
        v_leak=Uniform(-0.2, 0.2),  # noqa: B008
        dt=1.0,
        unfolds=6,
        solver=fused,
        timed=False,
        dtype=np.float64,
        seed,
    ):
        """Return a network with random parameters, by default those a trained network begins with.

        As a reservoir it wants inputs from about 0 to 1, where the synapses open (`mu`, `sigma`), and a `dt` below
        C_m over the conductance of all synapses, or it forgets within a step: the memory capacity of 32 units is 3.5
        for inputs in ±0.8 as drawn, 5.5 with ``dt=0.05``, and 6.6 with ``input_weight=0.3, input_bias=0.55`` as well.

        Parameters
        ----------
        wiring : int or Wiring
            A number of units, all connected, or which synapses there are and their polarity; see `NCP`, `AutoNCP`.
        n_inputs : int, optional
            Data channels m, 1 by default or those of the wiring; `timed` adds one for the time.
        W, sigma, mu, C_m, g_leak, v_leak : function or float
            Laws of the parameters, ``law(rng, size)``, or values; W, sigma and mu hold for sensory synapses too.
        dt, unfolds, solver, timed
            As in the class.
        dtype : numpy.dtype
            float64 or float32.
        seed : int or numpy.random.SeedSequence
            Every parameter comes from a stream of its own.
        """
        dtype, streams = as_dtype(dtype), seed_sequence(seed).spawn(10)
        if isinstance(wiring, Wiring):
            if n_inputs not in (None, wiring.n_inputs):
                raise ValueError(f"n_inputs must be {wiring.n_inputs}, those of wiring, or left out, got {n_inputs!r}")
        elif isinstance(wiring, Integral):
            n_inputs, polarity_seed = 1 if n_inputs is None else n_inputs, int(streams[9].generate_state(1)[0])
            wiring = fully_connected(as_int("wiring", wiring), n_inputs=n_inputs, seed=polarity_seed)
        else:
            raise TypeError(f"wiring must be a number of units or a Wiring, got {wiring!r}")
        rngs = [np.random.default_rng(stream) for stream in streams[:9]]
        drawn = {}
        for suffix, polarity, own in (("", wiring.adjacency, rngs[:3]), ("_in", wiring.sensory, rngs[3:6])):
            E = polarity.astype(dtype)
            if np.count_nonzero(E) < SPARSE_BELOW * E.size:
                E = sp.csr_array(E)
            for name, law, rng in zip(("W", "sigma", "mu"), (W, sigma, mu), own, strict=True):
                values = _drawn(name, law, rng, E.shape, dtype)
                drawn[name + suffix] = _only(E, values, missing=0.0 if name == "W" else 1.0)
            drawn["E" + suffix] = E
        n = wiring.n_units
        for name, law, rng in zip(("C_m", "g_leak", "v_leak"), (C_m, g_leak, v_leak), rngs[6:], strict=True):
            drawn[name] = _drawn(name, law, rng, (n,), dtype)
        return cls(**drawn, dt=dt, unfolds=unfolds, solver=solver, timed=timed)

    @classmethod
    def from_ncps(cls, cell, *, dt=1.0, timed=False, dtype=np.float64):
        """Return the network of an `LTCCell` or `LTC` of the package ncps, trained with PyTorch; ncps is not imported.

        The states are equal to those of ncps to rounding. Its output map is a readout, see `readout_from_ncps`.

        Parameters
        ----------
        cell : ncps.torch.LTC or LTCCell
            The trained layer or cell.
        dt, timed
            As in the class; ncps takes 1.0 or the elapsed times it is given.
        dtype : numpy.dtype
            float64 or float32.

        Raises
        ------
        TypeError, ValueError
            If `cell` is none, or holds what this class cannot.
        """
        from penstock.reservoirs.ncps import ltc_from_ncps

        return ltc_from_ncps(cell, dt=dt, timed=timed, dtype=dtype)

    def to_ncps(self, *, n_motor=None):
        """Return the network as an `ncps.torch.LTC`, to be trained with PyTorch; needs ncps.

        Parameters
        ----------
        n_motor : int, optional
            Units that are outputs, the first ones; all by default.

        Raises
        ------
        ImportError
            If ncps is not installed.
        ValueError
            If ncps has no such network: another solver than `fused`, or a `dt` of its own.
        """
        from penstock.reservoirs.ncps import ltc_to_ncps

        return ltc_to_ncps(self, n_motor=n_motor)

    def __repr__(self):
        step = "timed" if self.timed else f"dt={self.dt}"
        return (
            f"LTC(n_units={self.n_units}, n_inputs={self.n_inputs}, W={describe_matrix(self.W)}, "
            f"solver={self.solver.__name__}, unfolds={self.unfolds}, {step}, {self.dtype})"
        )

    def linearize(self, v, u) -> LiquidCoefficients:
        """Return the coefficients of v' = B - D v at state v (n,) and input u (m,), and the Jacobian of v' there.

        With the open fractions s at rest the network is linear in v: D = (g_leak + sum W s) / C_m and
        B = (g_leak v_leak + sum W s E) / C_m. The Jacobian lets them move: J_ij = W_ij s'_ij (E_ij - v_i) / C_m - D_i
        delta_ij. The elapsed time of a `timed` network plays no part. A unit onto which nothing conducts has D = 0 and
        an infinite tau, and rests where it is.
        """
        v, u = self._point(v, u)
        D, B = self._coefficients(u[: self.W_in.shape[1]])(v)
        W, E, sigma, mu = (np.asarray(to_dense(part), np.float64) for part in (self.W, self.E, self.sigma, self.mu))
        s = sigmoid(sigma * (v - mu))
        jacobian = W * sigma * s * (1 - s) * (E - v[:, None]) / np.asarray(self.C_m, np.float64)[:, None]
        jacobian -= np.diag(D)
        with np.errstate(divide="ignore", invalid="ignore"):
            return LiquidCoefficients(D, B, np.where(D > 0, B / D, v), 1 / D, jacobian)

    def state_bounds(self):
        """Return (low, high), each (n,): between them a state stays that began there, at every input and time step.

        v moves towards a mean of v_leak and the reversal potentials of its synapses. Not so with `rk4`, whose large
        steps overshoot.
        """
        low = high = np.asarray(self.v_leak, np.float64)
        for W, E in ((self.W, self.E), (self.W_in, self.E_in)):
            W, E = to_dense(W), np.asarray(to_dense(E), np.float64)
            low = np.minimum(low, np.where(W > 0, E, np.inf).min(axis=1, initial=np.inf))
            high = np.maximum(high, np.where(W > 0, E, -np.inf).max(axis=1, initial=-np.inf))
        return low, high

    def time_constant_bounds(self):
        """Return (shortest, longest), each (n,): C_m / (g_leak + sum W + sum W_in) and C_m / g_leak."""
        C_m, g_leak = np.asarray(self.C_m, np.float64), np.asarray(self.g_leak, np.float64)
        total = g_leak + sum(np.asarray(W.sum(axis=1), np.float64) for W in (self.W, self.W_in))
        with np.errstate(divide="ignore"):
            return C_m / total, C_m / g_leak

    def _coefficients(self, u):
        """Return the function v -> (D, B) of v' = B - D v at a given input."""
        drive = self.input_weight * u + self.input_bias
        given, pulled = _conductance(self.W_in, self.E_in, self.sigma_in, self.mu_in, drive)
        given, pulled = given + self.g_leak, pulled + self.g_leak * self.v_leak

        def coefficients(v):
            den, num = _conductance(self.W, self.E, self.sigma, self.mu, v)
            return (given + den) / self.C_m, (pulled + num) / self.C_m

        return coefficients

    @cached_property
    def _fields(self):
        recurrent = _kernel_form(self.W, self.E, self.sigma, self.mu)
        sensory = _kernel_form(self.W_in, self.E_in, self.sigma_in, self.mu_in)
        pull = self.g_leak * self.v_leak
        return recurrent, sensory, self.C_m, self.g_leak, pull, self.input_weight, self.input_bias

    def _run(self, u, x0, out):
        data, elapsed = split_elapsed(self, u)
        one = (data, elapsed, x0, out) if u.ndim == 3 else (data[None], elapsed[None], x0[None], out[None])
        return _run(self._fields, solver_code(self.solver), self.unfolds, *one)

    def _push_timed(self, data, elapsed, x, V, dU, tape):
        _push(self._fields, solver_code(self.solver), self.unfolds, data, elapsed, x, V, dU, tape)


def _drawn(name, law, rng, shape, dtype):
    """Return the values of a law, or the value given, at every place."""
    values = as_finite_array(name, law(rng, shape) if callable(law) else law, dtype)
    if values.shape not in ((), shape):
        raise ValueError(f"{name} must be a number, or a law whose values have shape {shape}, got {values.shape}")
    return np.broadcast_to(values, shape)


def _as_conductances(name, value, shape, dtype):
    matrix = as_matrix(name, value, shape, dtype)
    values = matrix.data if sp.issparse(matrix) else matrix
    if values.size and not values.min() >= 0:
        raise ValueError(f"{name} must not hold negative conductances, got {values.min()}: signs are for E")
    return matrix


def _on_synapses(name, value, W):
    """Return a parameter of every synapse of W: an array, or a CSR array with the pattern of W if W is sparse."""
    if np.ndim(value) == 0 and not sp.issparse(value):
        values = as_vector(name, value, 1, W.dtype)[0]
        return _only(W, np.full(W.shape, values) if not sp.issparse(W) else np.full(W.nnz, values))
    matrix = as_matrix(name, value, W.shape, W.dtype)
    if not sp.issparse(W):
        return _frozen(matrix.toarray()) if sp.issparse(matrix) else matrix
    if not sp.issparse(matrix):
        return _only(W, matrix)
    has, wants = _places(matrix), _places(W)
    missing = np.setdiff1d(wants, has)
    if missing.size:
        row, column = divmod(int(missing[0]), W.shape[1])
        of = "W_in" if name.endswith("_in") else "W"
        raise ValueError(f"{name} must hold a value for every synapse of {of}, got none at ({row}, {column})")
    return _only(W, matrix.data[np.searchsorted(has, wants)])


def _places(W):
    """Return where the values of a CSR array lie, row by row, as increasing numbers."""
    return np.repeat(np.arange(W.shape[0]), np.diff(W.indptr)) * W.shape[1] + W.indices


def _only(W, values, missing=None):
    """Return values on the synapses of W: (shape of W) or (nnz,) if W is sparse; `missing` where a dense W is 0."""
    if not sp.issparse(W):
        return _frozen(values if missing is None else np.where(W != 0, values, values.dtype.type(missing)))
    if values.ndim == 2:
        values = values[np.repeat(np.arange(W.shape[0]), np.diff(W.indptr)), W.indices]
    return sp.csr_array((_frozen(values), W.indices, W.indptr), W.shape)


def _frozen(array):
    array = np.array(array)
    array.flags.writeable = False
    return array


def _conductance(W, E, sigma, mu, v):
    """Return sum_j W_ij s(v_j) and sum_j W_ij s(v_j) E_ij, each (n,)."""
    if not sp.issparse(W):
        active = W * sigmoid(sigma * (v - mu))
        return active.sum(axis=1), (active * E).sum(axis=1)
    active = W.data * sigmoid(sigma.data * (v[W.indices] - mu.data))
    sums = [sp.csr_array((part, W.indices, W.indptr), W.shape) for part in (active, active * E.data)]
    return tuple(np.asarray(part.sum(axis=1)).ravel() for part in sums)


def _kernel_form(W, E, sigma, mu):
    """Return synapses as the kernels take them: dense blocks and flat arrays, of which one is empty."""
    dtype = W.dtype
    flat = np.empty(0, np.uint32), np.zeros(1, np.uint64), np.empty((4, 0), dtype)
    double = [np.asarray(part.data if sp.issparse(part) else part.T, np.float64) for part in (W, E, sigma, mu)]
    W_, E_, sigma_, mu_ = double
    parts = np.stack([-_LOG2_E * sigma_, _LOG2_E * sigma_ * mu_, W_, W_ * E_]).astype(dtype)
    if sp.issparse(W):
        blocks = np.empty((0, 16, 0), dtype)
        return blocks, W.indices.astype(np.uint32), W.indptr.astype(np.uint64), np.ascontiguousarray(parts)
    _, n_pre, n = parts.shape
    blocks = np.zeros((-(-n_pre // 4), 4, 4, n), dtype)
    blocks.reshape(-1, 4, n)[:n_pre] = parts.transpose(1, 0, 2)
    return blocks.reshape(-1, 16, n), *flat
