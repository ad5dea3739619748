"""Liquid time-constant cells of one gate: equation 1 of the paper, with bounds of states and time constants."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from functools import cached_property

import numpy as np
from numba import njit

from penstock.checks import as_int, as_positive_float, as_vector, seed_sequence
from penstock.laws import Signs, Uniform
from penstock.matvec import add_matvec, affine, kernel_form, matmul_rows
from penstock.reservoirs.drawing import draw_bias, draw_input_weights, draw_recurrent
from penstock.reservoirs.elapsed import split_elapsed
from penstock.reservoirs.esn import Weighted, as_dtype, check_rate_arrays, describe_matrix, set_fields, to_dense
from penstock.reservoirs.liquid import LiquidCoefficients
from penstock.reservoirs.solvers import exponential_midpoint, fused, rk4, solver_code
from penstock.scaling import scale_spectral_radius
from penstock.threads import one_blas_thread
from penstock.vmath import activate, activation_code, activation_slope, all_finite, exp, relu, sigmoid, slopes
from penstock.weights import uniform

__all__ = ["SimpleLTC"]


TAU, REVERSAL = Uniform(1.0, 10.0), Signs()
"""Laws of the time constants and of A, where none is given."""


@dataclass(frozen=True, eq=False, repr=False)
class SimpleLTC(Weighted):
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
        solver_code(self.solver)
        if not isinstance(self.timed, bool | np.bool_):
            raise TypeError(f"timed must be True or False, got {self.timed!r}")
        tau = as_vector("tau", self.tau, len(bias), W.dtype)
        if not (tau > 0).all():
            raise ValueError(f"tau must be above 0, got {tau.min()}")
        set_fields(self, W=W, W_in=W_in, bias=bias, tau=tau, A=as_vector("A", self.A, len(bias), W.dtype))
        set_fields(self, dt=as_positive_float("dt", self.dt), unfolds=as_int("unfolds", self.unfolds))

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

    @property
    def n_inputs(self):
        """Number of input channels m, and one more if `timed`."""
        return self.W_in.shape[1] + bool(self.timed)

    def __repr__(self):
        timed = ", timed" if self.timed else f", dt={self.dt}"
        return (
            f"SimpleLTC(n_units={self.n_units}, n_inputs={self.n_inputs}, activation={self.activation.__name__}, "
            f"solver={self.solver.__name__}, unfolds={self.unfolds}{timed}, W={describe_matrix(self.W)}, {self.dtype})"
        )

    def step(self, x, u):
        """Return the next state: (n,), (m,) -> (n,)."""
        data, elapsed = split_elapsed(self, np.asarray(u) + 0.0)  # the elapsed times take the type of u
        drive = self.W_in @ data + self.bias

        def coefficients(x):
            f = self.activation(self.W @ x + drive)
            return 1 / self.tau + f, f * self.A

        for _ in range(self.unfolds):
            x = self.solver(coefficients, x, elapsed / self.unfolds)
        return x

    def jacobian(self, x, u):
        """Return d step / d x at (x, u), exact for the solver; shape (n, n)."""
        x, u = self._point(x, u)
        return self._jacobians(x[None], u[None])[0]

    def input_jacobian(self, x, u):
        """Return d step / d u; shape (n, m), the last column that of the elapsed time if `timed`."""
        x, u = self._point(x, u)
        return self._carried(x[None], u[None], np.zeros((1, self.n_units, self.n_inputs)), np.eye(self.n_inputs))[0]

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
        return least, self.tau.copy()

    def _jacobians(self, X, U):
        n = self.n_units
        return self._carried(X, U, np.broadcast_to(np.eye(n), (len(X), n, n)), np.zeros((self.n_inputs, n)))

    def _carried(self, X, U, V, dU):
        """Return the tangents V (B, n, k) of the states X (B, n) after a step; dU (m, k) are those of the inputs U."""
        data, elapsed = split_elapsed(self, U)
        W, W_in = to_dense(self.W), to_dense(self.W_in)
        h, dh = (elapsed / self.unfolds)[:, None], dU[-1] / self.unfolds if self.timed else np.zeros(dU.shape[1])
        drive, d_drive = data @ W_in.T + self.bias, W_in @ dU[: W_in.shape[1]]

        def gate(x, V):
            f = self.activation(x @ W.T + drive)
            return f, activation_slope(self.activation, f)[..., None] * (W @ V + d_drive)

        carry = {rk4: _carry_rk4, exponential_midpoint: _carry_midpoint}.get(self.solver, _carry_one_stage)
        for _ in range(self.unfolds):
            X, V = carry(self, gate, X, V, h, dh)
        return V

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

    def _push(self, x, u, V, dU, tape):
        data, elapsed = split_elapsed(self, u)
        h = elapsed / u.dtype.type(self.unfolds)
        _push_series(self._fields, self._codes, self.W_in.shape[1], data, h, x, V, dU, tape)


def _drawn(values, n_units, seed):
    """Return values (n_units,) drawn by a law, or the values given."""
    return values(np.random.default_rng(seed), n_units) if callable(values) else values


# --- tangents of the solvers: states x (B, n), tangents V (B, n, k), h (B, 1) with tangents dh (k,) ------------------


def _carry_one_stage(ltc, gate, x, V, h, dh):
    return _stage(ltc, *gate(x, V), x, V, h, dh)


def _carry_midpoint(ltc, gate, x, V, h, dh):
    middle = _stage(ltc, *gate(x, V), x, V, h / 2, dh / 2)
    return _stage(ltc, *gate(*middle), x, V, h, dh)


def _carry_rk4(ltc, gate, x, V, h, dh):
    y, dy, total, d_total = x, V, 0.0, 0.0
    for reach, share in ((0.5, 1), (0.5, 2), (1.0, 2), (0.0, 1)):
        f, df = gate(y, dy)
        D = 1 / ltc.tau + f
        slope, d_slope = f * ltc.A - D * y, (ltc.A - y)[..., None] * df - D[..., None] * dy
        total, d_total = total + share * slope, d_total + share * d_slope
        y, dy = x + reach * h * slope, V + reach * (h[..., None] * d_slope + slope[..., None] * dh)
    return x + h / 6 * total, V + (h[..., None] * d_total + total[..., None] * dh) / 6


def _stage(ltc, f, df, x, V, h, dh):
    """Return state and tangents after a step with D and B held, by the rule of the solver."""
    D = 1 / ltc.tau + f
    if ltc.solver is fused:
        keep = 1 / (1 + h * D)
        end = (x + h * f * ltc.A) * keep
        by_gate, by_time = h * (ltc.A - end) * keep, (f * ltc.A - D * end) * keep
    else:
        keep, rest = np.exp(-h * D), f * ltc.A / D
        end = rest + (x - rest) * keep
        by_gate, by_time = (ltc.A - rest) * (1 - keep) / D - h * (x - rest) * keep, D * (rest - x) * keep
    return end, keep[..., None] * V + by_gate[..., None] * df + by_time[..., None] * dh


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


@njit(cache=True, nogil=True, error_model="numpy")
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


@njit(cache=True, nogil=True, error_model="numpy")
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


@njit(cache=True, nogil=True, error_model="numpy")
def _slope(stage, rate, A, h, x, f, y, end, total):
    """Do one stage of the classical Runge-Kutta rule: add the slope at y, and fill end with what comes next."""
    half, one, six = x.dtype.type(0.5), x.dtype.type(1), x.dtype.type(6)
    reach, share = one if stage == 2 else half, one + one if 0 < stage < 3 else one
    for i in range(x.size):
        slope = f[i] * A[i] - (rate[i] + f[i]) * y[i]
        total[i] = share * slope + (total[i] if stage > 0 else one - one)
        end[i] = x[i] + (h / six * total[i] if stage == 3 else reach * h * slope)


@njit(cache=True, nogil=True, error_model="numpy")
def _push_series(ltc, codes, m, u, h, x, V, dU, tape):
    """Carry the state and the tangents, rows of V, through u; the state is one more row, so that W is read once."""
    W, W_in, bias, rate, A = ltc
    code, solver, unfolds = codes
    k, half, one = V.shape[0], x.dtype.type(0.5), x.dtype.type(1)
    stages = 4 if solver == 3 else 2 if solver == 2 else 1
    X = np.empty((k + 1, x.size), x.dtype)
    X[:k], X[k] = V, x
    F, Y, total, drives, by = (
        np.empty_like(X),
        np.empty_like(X),
        np.empty_like(X),
        np.zeros_like(X),
        np.empty_like(X[:3]),
    )
    dh = np.zeros(k + 1, x.dtype)  # of the time of a solver step
    for t in range(u.shape[0]):
        affine(W_in, u[t], bias, drives[k])
        for r in range(k if dU.shape[0] else 0):
            drives[r] = 0
            add_matvec(W_in, dU[t, r, :m], drives[r])
            if dU.shape[2] > m:
                dh[r] = dU[t, r, m] / x.dtype.type(unfolds)
        for _ in range(unfolds):
            for stage in range(stages):
                last = stage == stages - 1
                at, end = X if stage == 0 else Y, X if last else Y
                _gate_tangents(W, code, at, drives, F, by[0])
                if solver == 3:
                    _slope_tangents(stage, rate, A, h[t], dh, X, F, at, end, total)
                else:
                    _relax_tangents(solver == 0, rate, A, one if last else half, h[t], dh, X, F, end, by)
        if tape.shape[0]:
            tape[t] = X[:k]
    V[:], x[:] = X[:k], X[k]


@njit(cache=True, nogil=True, error_model="numpy")
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


@njit(cache=True, nogil=True, error_model="numpy")
def _relax_tangents(is_fused, rate, A, share, h, dh, X, F, end, by):
    """Fill end with state and tangents after `share` of the time h with the gates held: `_relax` and its derivative."""
    k, keep, by_gate, by_time = X.shape[0] - 1, by[0], by[1], by[2]
    x, f, y, h, one = X[k], F[k], end[k], share * h, X.dtype.type(1)
    for i in range(x.size):
        D = rate[i] + f[i]
        if is_fused:
            keep[i] = one / (one + h * D)
            y[i] = (x[i] + h * f[i] * A[i]) * keep[i]
            by_gate[i] = h * (A[i] - y[i]) * keep[i]
            by_time[i] = (f[i] * A[i] - D * y[i]) * keep[i]
        else:
            rest, keep[i] = f[i] * A[i] / D, exp(-h * D)
            lag = (x[i] - rest) * keep[i]
            y[i] = rest + lag
            by_gate[i] = (A[i] - rest) * (one - keep[i]) / D - h * lag
            by_time[i] = -D * lag
    for r in range(k):
        for i in range(x.size):
            end[r, i] = keep[i] * X[r, i] + by_gate[i] * F[r, i] + by_time[i] * share * dh[r]


@njit(cache=True, nogil=True, error_model="numpy")
def _slope_tangents(stage, rate, A, h, dh, X, F, Y, end, total):
    """Do one stage of the Runge-Kutta rule for state and tangents: `_slope` and its derivative."""
    k, half, one, six = X.shape[0] - 1, X.dtype.type(0.5), X.dtype.type(1), X.dtype.type(6)
    reach, share = one / six if stage == 3 else one if stage == 2 else half, one + one if 0 < stage < 3 else one
    if stage == 0:
        total[:] = 0
    for r in range(k + 1):  # the state last: its old value makes the tangents
        for i in range(X.shape[1]):
            D, slope = rate[i] + F[k, i], F[k, i] * A[i] - (rate[i] + F[k, i]) * Y[k, i]
            moved = slope if r == k else (A[i] - Y[k, i]) * F[r, i] - D * Y[r, i]
            total[r, i] += share * moved
            if stage == 3:  # the mean slope; that of the state includes this stage only in its own row, the last
                moved, slope = total[r, i], total[k, i] + (slope if r < k else one - one)
            end[r, i] = X[r, i] + reach * (h * moved + dh[r] * slope)
