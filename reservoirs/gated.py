"""Liquid time-constant cells of one gate: equation 1 of the paper, with bounds of states and time constants."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from functools import cached_property

import numpy as np
from numba import njit

from penstock.checks import as_int, as_vector, seed_sequence
from penstock.laws import Signs, Uniform
from penstock.matvec import add_matvec, affine, kernel_form, matmul_rows
from penstock.reservoirs.drawing import draw_bias, draw_input_weights, draw_recurrent
from penstock.reservoirs.elapsed import split_elapsed
from penstock.reservoirs.esn import as_dtype, check_rate_arrays, describe_matrix, set_fields, to_dense
from penstock.reservoirs.liquid import Liquid, LiquidCoefficients
from penstock.reservoirs.solvers import fused, solver_code
from penstock.scaling import scale_spectral_radius
from penstock.threads import one_blas_thread
from penstock.vmath import activate, activation_code, activation_slope, all_finite, exp, relu, sigmoid, slopes
from penstock.weights import uniform

__all__ = ["SimpleLTC"]


TAU, REVERSAL = Uniform(1.0, 10.0), Signs()
"""Laws of the time constants and of A, where none is given."""


@dataclass(frozen=True, eq=False, repr=False)
class SimpleLTC(Liquid):
    """Run a liquid time-constant network of one gate per unit.

    dx/dt = -(1 / tau + f) x + f A with the gate f = activation(W x + W_in u + b) >= 0: the time constant
    tau / (1 + tau f) depends on state and input. The input is held over a step of time `dt`, which is cut into
    `unfolds` steps of the solver. The form with conductances per synapse is `LTC`.

    Parameters
    ----------
    W : array or sparse array, shape (N, N)
        Recurrent weights, W[i, j] from unit j to unit i. float32 weights make a float32 model.
    W_in : array or sparse array, shape (N, m)
        Input weights; m = 0 makes the network autonomous.
    bias : float or array, shape (N,)
        Bias b.
    tau : float or array, shape (N,)
        Time constants of the closed gate, above 0.
    A : float or array, shape (N,)
        Where an open gate drives the state.
    activation : function
        `penstock.sigmoid` or `penstock.relu`. A negative gate could bring 1 / tau + f to zero, where neither the time
        constant nor the bounds have a meaning.
    dt : float
        Time between two steps, in the unit of `tau`.
    unfolds : int
        Solver steps in each.
    solver : function
        `fused`, the published one, `exponential_euler`, `exponential_midpoint` or `rk4`.
    timed : bool
        Whether the last input channel is the time since the step before, instead of `dt`; see `elapsed_inputs`.

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit, a number is not finite, or a time is not positive.

    References
    ----------
    R. Hasani, M. Lechner, A. Amini, D. Rus, R. Grosu (2021), Liquid time-constant networks, AAAI.

    Examples
    --------
    >>> import numpy as np
    >>> ltc = SimpleLTC.random(50, seed=0)
    >>> ltc
    SimpleLTC(n_units=50, n_inputs=1, activation=sigmoid, solver=fused, unfolds=6, dt=1.0, W=dense, float64)
    >>> low, high = ltc.state_bounds()
    >>> states = ltc.run(1000 * np.sin(np.arange(100.0)))
    >>> bool(((low <= states) & (states <= high)).all())
    True
    """

    W: np.ndarray
    W_in: np.ndarray
    bias: np.ndarray | float = 0.0
    tau: np.ndarray | float = 1.0
    A: np.ndarray | float = 1.0
    _: KW_ONLY
    activation: Callable = sigmoid
    dt: float = 1.0
    unfolds: int = 6
    solver: Callable = fused
    timed: bool = False

    def __post_init__(self):
        W, W_in, bias = check_rate_arrays(self.W, self.W_in, self.bias, self.activation)
        if self.activation not in (sigmoid, relu):
            raise ValueError(
                f"activation must be penstock.sigmoid or penstock.relu, got {self.activation.__name__}: "
                "a negative gate f can bring the rate 1 / tau + f to zero"
            )
        tau = as_vector("tau", self.tau, len(bias), W.dtype)
        if not (tau > 0).all():
            raise ValueError(f"tau must be above 0, got {tau.min()}")
        set_fields(self, W=W, W_in=W_in, bias=bias, tau=tau, A=as_vector("A", self.A, len(bias), W.dtype))
        self._clean_settings()

    @classmethod
    def random(
        cls,
        n_units,
        *,
        n_inputs=1,
        spectral_radius=1.0,
        input_scaling=1.0,
        bias_scaling=0.0,
        tau=TAU,
        A=REVERSAL,
        activation=sigmoid,
        weights=uniform,
        density=None,
        scale=scale_spectral_radius,
        dt=1.0,
        unfolds=6,
        solver=fused,
        timed=False,
        dtype=np.float64,
        seed,
    ):
        """Return a network with random weights.

        Parameters
        ----------
        n_units, n_inputs : int
            Sizes N and m; a channel of elapsed times is not counted.
        spectral_radius, input_scaling, bias_scaling, weights, density, scale
            As in `ESN.random`.
        tau, A : law, float or array, shape (N,)
            A law ``(rng, size) -> array`` as `penstock.Uniform`, or the values.
        activation, dt, unfolds, solver, timed
            As in the class.
        dtype : numpy.dtype
            float64 or float32.
        seed : int or numpy.random.SeedSequence
            Every array comes from its own stream.
        """
        n_units, dtype = as_int("n_units", n_units), as_dtype(dtype)
        for_W, for_W_in, for_bias, for_tau, for_A = seed_sequence(seed).spawn(5)
        W_in = draw_input_weights(n_units, n_inputs, input_scaling, for_W_in)
        bias = draw_bias(n_units, bias_scaling, for_bias)
        W = draw_recurrent(n_units, spectral_radius, for_W, weights=weights, density=density, scale=scale)
        settings = {"activation": activation, "dt": dt, "unfolds": unfolds, "solver": solver, "timed": timed}
        tau, A = _drawn(tau, n_units, for_tau), _drawn(A, n_units, for_A)
        return cls(W.astype(dtype), W_in, bias, tau, A, **settings)

    def __repr__(self):
        timed = ", timed" if self.timed else f", dt={self.dt}"
        return (
            f"SimpleLTC(n_units={self.n_units}, n_inputs={self.n_inputs}, activation={self.activation.__name__}, "
            f"solver={self.solver.__name__}, unfolds={self.unfolds}{timed}, W={describe_matrix(self.W)}, {self.dtype})"
        )

    def linearize(self, x, u) -> LiquidCoefficients:
        """Return D, B, v_inf, tau and the Jacobian of dx/dt = B - D x at a state (n,) and an input (m,).

        Returns
        -------
        LiquidCoefficients
            A NamedTuple of arrays (n,), and the Jacobian -diag(D) + diag((A - x) f') W, shape (n, n).
        """
        x, u = self._point(x, u)
        data, _ = split_elapsed(self, u)
        f = self.activation(self.W @ x + self.W_in @ data + self.bias)
        D, B = 1 / self.tau + f, f * self.A
        gain = (self.A - x) * activation_slope(self.activation, f)
        return LiquidCoefficients(D, B, B / D, 1 / D, gain[:, None] * to_dense(self.W) - np.diag(D))

    def state_bounds(self):
        """Return the least and the greatest state of every unit, (N,) and (N,), for a start between them.

        They hold for every input and time step with all solvers but `rk4` (theorem 2 of the paper).
        """
        return np.minimum(self.A, 0), np.maximum(self.A, 0)

    def time_constant_bounds(self):
        """Return the least and the greatest time constant of every unit, (N,) and (N,) (theorem 1 of the paper).

        tau / (1 + tau) and tau for gates up to 1; gates of `penstock.relu` have no limit, and the time constant is
        anything above 0.
        """
        least = self.tau / (1 + self.tau) if self.activation is sigmoid else np.zeros_like(self.tau)
        return least, np.array(self.tau)

    def _coefficients(self, u):
        """Return the function x -> (D, B) of x' = B - D x at given data."""
        drive = self.W_in @ u + self.bias

        def coefficients(x):
            f = self.activation(self.W @ x + drive)
            return 1 / self.tau + f, f * self.A

        return coefficients

    @cached_property
    def _fields(self):
        return kernel_form(self.W), kernel_form(self.W_in), self.bias, 1 / self.tau, self.A

    @property
    def _codes(self):
        return activation_code(self.activation), solver_code(self.solver), self.unfolds

    def _run(self, u, x0, out):
        data, elapsed = split_elapsed(self, u)
        h = elapsed / u.dtype.type(self.unfolds)
        if u.ndim == 2:
            return _run_batch(self._fields, self._codes, data[None], h[None], x0[None], out[None])
        return one_blas_thread(_run_batch)(self._fields, self._codes, data, h, x0, out)

    def _push_timed(self, data, elapsed, x, V, dU, tape):
        h = elapsed / data.dtype.type(self.unfolds)
        _push_series(self._fields, self._codes, data, h, x, V, dU, tape)


def _drawn(values, n_units, seed):
    """Return values (n_units,) drawn by a law, or the values given."""
    return values(np.random.default_rng(seed), n_units) if callable(values) else values


# --- kernels --------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def _run_batch(ltc, codes, u, h, X, out):
    """Run a batch, states X (B, N), with solver steps of h (B, T); return whether a state was not finite."""
    W, W_in, bias, rate, A = ltc
    code, solver, unfolds = codes
    drive, F, Y, total = np.empty_like(X), np.empty_like(X), np.empty_like(X), np.empty_like(X)
    half, stages = X.dtype.type(0.5), 4 if solver == 3 else 2 if solver == 2 else 1
    for t in range(u.shape[1]):
        for b in range(X.shape[0]):
            affine(W_in, u[b, t], bias, drive[b])
        for _ in range(unfolds):
            for stage in range(stages):
                last = stage == stages - 1
                at, end = X if stage == 0 else Y, X if last else Y
                _gates(W, code, at, drive, F)
                for b in range(X.shape[0]):
                    if solver == 3:
                        _slope(stage, rate, A, h[b, t], X[b], F[b], at[b], end[b], total[b])
                    else:
                        _relax(solver == 0, rate, A, h[b, t] if last else half * h[b, t], X[b], F[b], end[b])
        for b in range(X.shape[0]):
            out[b, t] = X[b]
    return not all_finite(X.reshape(X.size))


@njit(error_model="numpy")
def _gates(W, code, X, drive, F):
    """Fill F with activation(W x + drive) for every row x of X."""
    if X.shape[0] == 1:
        affine(W, X[0], drive[0], F[0])
    else:
        matmul_rows(W, X, F)
        f, d = F.reshape(F.size), drive.reshape(F.size)
        for i in range(f.size):
            f[i] += d[i]
    activate(code, F.reshape(F.size))


@njit(error_model="numpy")
def _relax(is_fused, rate, A, h, x, f, end):
    """Fill end with x after the time h with the gates f held: fused, or exact."""
    one = x.dtype.type(1)
    if is_fused:
        for i in range(x.size):
            end[i] = (x[i] + h * f[i] * A[i]) / (one + h * (rate[i] + f[i]))
    else:
        for i in range(x.size):
            D = rate[i] + f[i]
            rest = f[i] * A[i] / D
            end[i] = rest + (x[i] - rest) * exp(-h * D)


@njit(error_model="numpy")
def _slope(stage, rate, A, h, x, f, y, end, total):
    """Do one stage of the classical Runge-Kutta rule: from x with the mean slope, that at y in it, to end."""
    for i in range(x.size):
        end[i] = x[i] + h * _mean_slope(stage, f[i] * A[i] - (rate[i] + f[i]) * y[i], total, i)


@njit(cache=True, nogil=True, error_model="numpy")
def _push_series(ltc, codes, u, h, x, V, dU, tape):
    """Carry the state and the tangents, rows of V, through u; the state is one more row, so that W is read once."""
    W, W_in, bias, rate, A = ltc
    code, solver, unfolds = codes
    k, half = V.shape[0], x.dtype.type(0.5)
    stages = 4 if solver == 3 else 2 if solver == 2 else 1
    X = np.empty((k + 1, x.size), x.dtype)
    X[:k], X[k] = V, x
    F, Y, total, drives = np.empty_like(X), np.empty_like(X), np.empty_like(X), np.zeros_like(X)
    keep, by_gate = np.empty_like(x), np.empty_like(x)
    for t in range(u.shape[0]):
        affine(W_in, u[t], bias, drives[k])
        for r in range(k if dU.shape[0] else 0):
            drives[r] = 0
            add_matvec(W_in, dU[t, r, : u.shape[1]], drives[r])
        for _ in range(unfolds):
            for stage in range(stages):
                last = stage == stages - 1
                at, end = X if stage == 0 else Y, X if last else Y
                _gate_tangents(W, code, at, drives, F, keep)
                if solver == 3:
                    _slope_tangents(stage, rate, A, h[t], X, F, at, end, total)
                else:
                    _relax_tangents(solver == 0, rate, A, h[t] if last else half * h[t], X, F, end, keep, by_gate)
        if tape.shape[0]:
            tape[t] = X[:k]
    V[:], x[:] = X[:k], X[k]


@njit(error_model="numpy")
def _gate_tangents(W, code, X, drives, F, d):
    """Fill the last row of F with the gates at the last of X, the others with their tangents; d takes the slopes."""
    k = X.shape[0] - 1
    matmul_rows(W, X, F)
    f, drive = F[k], drives[k]
    for i in range(f.size):
        f[i] += drive[i]
    activate(code, f)
    slopes(code, f, d)
    for r in range(k):
        for i in range(f.size):
            F[r, i] = d[i] * (F[r, i] + drives[r, i])


@njit(error_model="numpy")
def _relax_tangents(is_fused, rate, A, h, X, F, end, keep, by_gate):
    """Fill end with state and tangents after the time h with the gates held: `_relax` and its derivative."""
    k, one = X.shape[0] - 1, X.dtype.type(1)
    x, f, y = X[k], F[k], end[k]
    for i in range(x.size):
        D = rate[i] + f[i]
        if is_fused:
            keep[i] = one / (one + h * D)
            y[i] = (x[i] + h * f[i] * A[i]) * keep[i]
            by_gate[i] = h * (A[i] - y[i]) * keep[i]
        else:
            rest, keep[i] = f[i] * A[i] / D, exp(-h * D)
            lag = (x[i] - rest) * keep[i]
            y[i] = rest + lag
            by_gate[i] = (A[i] - rest) * (one - keep[i]) / D - h * lag
    for r in range(k):
        for i in range(x.size):
            end[r, i] = keep[i] * X[r, i] + by_gate[i] * F[r, i]


@njit(error_model="numpy")
def _slope_tangents(stage, rate, A, h, X, F, Y, end, total):
    """Do one stage of the Runge-Kutta rule for state and tangents: `_slope` and its derivative."""
    k = X.shape[0] - 1
    for r in range(k):
        x, f, y, new, summed = X[r], F[r], Y[r], end[r], total[r]
        for i in range(x.size):
            slope = (A[i] - Y[k, i]) * f[i] - (rate[i] + F[k, i]) * y[i]
            new[i] = x[i] + h * _mean_slope(stage, slope, summed, i)
    _slope(stage, rate, A, h, X[k], F[k], Y[k], end[k], total[k])  # last: the tangents needed its old value


@njit(error_model="numpy")
def _mean_slope(stage, slope, total, i):
    """Add the slope of a stage to the total, and return that with which to go from the start to the next stage."""
    half = total.dtype.type(0.5)
    if stage == 0:
        total[i] = slope
        return half * slope
    if stage == 3:
        return (total[i] + slope) / total.dtype.type(6)
    total[i] += slope + slope
    return half * slope if stage == 1 else slope
