"""Networks of coupled oscillators (coRNN)."""

import warnings
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import scipy
from numba import njit

from penstock.checks import as_int, as_matrix, as_non_negative_float, as_positive_float, as_vector, seed_sequence
from penstock.lure import LureBlock
from penstock.matvec import add_matvec, affine, kernel_form, matmul_rows
from penstock.reservoirs.drawing import EchoStateWarning, draw_bias, draw_input_weights
from penstock.reservoirs.esn import (
    Weighted,
    as_dtype,
    check_rate_arrays,
    describe_matrix,
    run_batch,
    set_fields,
    to_dense,
)
from penstock.reservoirs.free_oscillators import absolute_sums, are_stable, decays, peak_gains
from penstock.scaling import spectral_norm
from penstock.vmath import activate, all_finite, tanh

__all__ = ["CoRNN"]


class Paired(Weighted):
    """A network whose units have two variables each: the state is [y, z], and a readout sees y."""

    @property
    def n_units(self):
        """Dimension 2 N of the state."""
        return 2 * self.W.shape[1]

    @property
    def observed(self):
        """The positions y, the first half of the state."""
        return slice(0, self.W.shape[1])


@dataclass(frozen=True, eq=False, repr=False)
class CoRNN(Paired):
    """Run a coupled oscillatory network: N damped, driven oscillators with positions y and velocities z.

    z_t = z + dt (tanh(W y + W_z z + W_in u_t + b) - gamma y - epsilon z) and y_t = y + dt z_t, with y = y_{t-1},
    z = z_{t-1}: y'' = tanh(…) - gamma y - epsilon y' with position steps that use the new velocity. The state is
    [y, z], 2 N numbers; a readout sees y (`observed`).

    In the order [y, z] the Jacobian is [[1 + dt C, dt B], [C, B]] with C = dt (D W - gamma), D the slopes of tanh, and
    B = 1 - dt epsilon + dt D W_z, so det J = det B: without W_z all Lyapunov exponents (per step) sum to
    sum_i ln|1 - dt epsilon_i|, whatever the weights and inputs.

    Parameters
    ----------
    W : array or sparse array, shape (N, N)
        From positions to forces, W[i, j] from oscillator j to oscillator i. float32 weights make a float32 model.
    W_z : array or sparse array, shape (N, N), or None
        From velocities to forces; None for none, as in `RON`.
    W_in : array or sparse array, shape (N, m)
        Input weights; m = 0 makes the network autonomous.
    bias : float or array, shape (N,)
        Bias b.
    gamma : float or array, shape (N,)
        Stiffness of all oscillators or each. One of negative stiffness is unstable: its position grows
        exponentially, which a force within ±1 holds back only near the origin.
    epsilon : float or array, shape (N,)
        Damping, at least 0.
    dt : float
        Time step, above 0.

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit, a number is not finite, a damping is negative or `dt` is not above 0.

    References
    ----------
    T. K. Rusch, S. Mishra (2021), Coupled oscillatory recurrent neural network (coRNN): an accurate and (gradient)
    stable architecture for learning long time dependencies, ICLR.

    Examples
    --------
    >>> import numpy as np
    >>> net = CoRNN.random(50, n_inputs=2, seed=0)
    >>> net
    CoRNN(n_units=100, n_inputs=2, gamma=2.7, epsilon=4.7, dt=0.042, W=dense, W_z=dense, float64)
    >>> net.run(np.ones((30, 2)))[:, net.observed].shape
    (30, 50)
    """

    W: np.ndarray
    W_z: np.ndarray | None
    W_in: np.ndarray
    bias: np.ndarray | float = 0.0
    gamma: np.ndarray | float = field(kw_only=True)
    epsilon: np.ndarray | float = field(kw_only=True)
    dt: float = field(kw_only=True)

    def __post_init__(self):
        W, W_in, bias = check_rate_arrays(self.W, self.W_in, self.bias, tanh)
        n = W.shape[0]
        W_z = None if self.W_z is None else as_matrix("W_z", self.W_z, (n, n), W.dtype)
        gamma, epsilon = (as_vector(name, getattr(self, name), n, W.dtype) for name in ("gamma", "epsilon"))
        if (epsilon < 0).any():
            raise ValueError(f"epsilon, the damping, must be at least 0, got {epsilon.min():g}")
        dt = as_positive_float("dt", self.dt)
        set_fields(self, W=W, W_z=W_z, W_in=W_in, bias=bias, gamma=gamma, epsilon=epsilon, dt=dt)

    @property
    def _no_recurrent_matrix(self):  # type: ignore[override]
        return "" if self.W_z is None else "positions recur through W and velocities through W_z"

    @classmethod
    def random(
        cls,
        n_units,
        *,
        n_inputs=1,
        gamma=2.7,
        epsilon=4.7,
        dt=0.042,
        recurrent_scaling=1.0,
        input_scaling=1.0,
        bias_scaling=1.0,
        dtype=np.float64,
        seed,
    ):
        """Return a network as its authors draw it before training: every weight uniform in ±1 / sqrt(2 N + m).

        Parameters
        ----------
        n_units, n_inputs : int
            Number N of oscillators, whose state has 2 N numbers, and of input channels m.
        gamma, epsilon, dt
            As in the class; the defaults are the published ones for sequential MNIST.
        recurrent_scaling, input_scaling, bias_scaling : float
            Factors of W and W_z, of W_in and of the bias.
        dtype : numpy.dtype
            float64 or float32.
        seed : int or numpy.random.SeedSequence
            W, W_z, W_in and bias come from independent streams.

        Warns
        -----
        EchoStateWarning
            If an oscillator by itself is unstable.
        """
        n_units, n_inputs, dtype = as_int("n_units", n_units), as_int("n_inputs", n_inputs, minimum=0), as_dtype(dtype)
        for_W, for_W_z, for_W_in, for_bias = seed_sequence(seed).spawn(4)
        width = 1 / np.sqrt(2 * n_units + n_inputs)
        recurrent = width * as_non_negative_float("recurrent_scaling", recurrent_scaling)
        W, W_z = (recurrent * draw_input_weights(n_units, n_units, 1.0, stream).T for stream in (for_W, for_W_z))
        W_in = width * draw_input_weights(n_units, n_inputs, input_scaling, for_W_in)
        bias = width * draw_bias(n_units, bias_scaling, for_bias)
        net = cls(W.astype(dtype), W_z, W_in, bias, gamma=gamma, epsilon=epsilon, dt=dt)
        warn_if_unstable(net)
        return net

    def __repr__(self):
        gamma, epsilon = (
            f"{np.min(x):.3g}" if np.ptp(x) == 0 else f"{np.min(x):.3g}…{np.max(x):.3g}"
            for x in (self.gamma, self.epsilon)
        )
        W_z = None if self.W_z is None else describe_matrix(self.W_z)
        return (
            f"CoRNN(n_units={self.n_units}, n_inputs={self.n_inputs}, gamma={gamma}, epsilon={epsilon}, "
            f"dt={self.dt:g}, W={describe_matrix(self.W)}, W_z={W_z}, {self.dtype})"
        )

    def step(self, x, u):
        """Return the next state [y, z]: (2 N,), (m,) -> (2 N,)."""
        y, z = np.split(x, 2)
        z = z + self.dt * (self._force(x, u) - self.gamma * y - self.epsilon * z)
        return np.concatenate([y + self.dt * z, z])

    def jacobian(self, x, u):
        """Return d step / d x at (x, u); shape (2 N, 2 N)."""
        (block,) = self.lure_blocks()
        by_x = self.dt * self._slopes(x, u) * block.C
        return block.A + np.concatenate([self.dt * by_x, by_x])

    def input_jacobian(self, x, u):
        """Return d step / d u at (x, u); shape (2 N, m)."""
        by_u = self.dt * self._slopes(x, u) * to_dense(self.W_in)
        return np.concatenate([self.dt * by_u, by_u])

    def lure_blocks(self):
        """Return the one layer as a `LureBlock`: A the oscillators without forces, B = [dt², dt], C = [W, W_z]."""
        n, dt = self.W.shape[0], self.dt
        alpha, beta = self._rates
        A = np.block([[np.diag(1 - beta), np.diag(dt * (1 - alpha))], [np.diag(-beta / dt), np.diag(1 - alpha)]])
        C = np.zeros((n, 2 * n))
        C[:, : self._n_seen] = to_dense(self._recurrent)
        return (LureBlock.of(tanh, A, dt * np.concatenate([dt * np.eye(n), np.eye(n)]), C),)

    def uncoupled_spectrum(self):
        """Return the two multipliers of every oscillator without force, the larger modulus first.

        They are 1 - a ± sqrt(a² - dt² gamma) with a = (dt epsilon + dt² gamma) / 2, of product 1 - dt epsilon. Both lie
        in the unit circle if and only if gamma > 0, 0 < dt epsilon < 2 and 2 dt epsilon + dt² gamma < 4.

        Returns
        -------
        complex array, shape (N, 2)

        Examples
        --------
        >>> CoRNN([[0.0]], None, [[1.0]], gamma=1.0, epsilon=0.5, dt=1.0).uncoupled_spectrum()
        array([[0.25+0.66143783j, 0.25-0.66143783j]])
        """
        return 1 - np.stack(decays(*self._rates), axis=1)

    def state_bounds(self):
        """Return what positions and velocities cannot leave when they start from zero, whatever the weights and inputs.

        Every oscillator by itself answers to a force, of which tanh lets through no more than ±1, so it stays within
        the sum of the moduli of its impulse response. The bounds are that sum or above it: for positions at most twice
        it, for velocities at most three times. For positions it is exactly 1 / gamma where both multipliers are real
        and positive; for strong damping and small steps velocities have about 2 / epsilon. From other starts the states
        come as close to the bounds as one likes.

        Returns
        -------
        low, high : arrays, shape (2 N,)
            Opposite numbers; infinite where an oscillator by itself is unstable.

        Examples
        --------
        >>> low, high = CoRNN([[9.0]], None, [[1.0]], gamma=2.0, epsilon=6.0, dt=0.1).state_bounds()
        >>> high.round(3)
        array([0.5  , 0.341])
        """
        y, z = absolute_sums(*self._rates)
        high = np.concatenate([self.dt**2 * y, self.dt * z])
        return -high, high

    def loop_gain(self):
        """Return a bound on how much a perturbation of the forces can grow on its way round the loop.

        Below 1 the network forgets its start under every input: by the small-gain theorem (the bounded real lemma) one
        quadratic norm then shrinks in every step, for all inputs and states. The bound is ‖W G_y‖ + ‖W_z G_z‖, with
        spectral norms and the largest gains over all frequencies from the force on an oscillator to its position, G_y,
        and velocity, G_z. For strong damping G_y is 1 / gamma; G_z is near 1 / epsilon. It is sufficient only, and
        infinite if an oscillator by itself is unstable. `penstock.analysis.stability` certifies more networks and gives
        a rate, but looks for its quadratic norm, at O(N³) a trial, up to a few hundred units only.

        Examples
        --------
        >>> CoRNN([[0.0, 1.5], [-1.5, 0.0]], None, np.eye(2), gamma=2.0, epsilon=4.0, dt=0.1).loop_gain()
        0.75
        """
        if not self._stable.all():
            return np.inf
        y, z = peak_gains(*self._rates)
        gain = spectral_norm(_scale_columns(self.W, self.dt**2 * y))
        return gain if self.W_z is None else gain + spectral_norm(_scale_columns(self.W_z, self.dt * z))

    @property
    def _rates(self):
        """Damping dt epsilon and stiffness dt² gamma per step."""
        return self.dt * np.asarray(self.epsilon, np.float64), self.dt**2 * np.asarray(self.gamma, np.float64)

    @property
    def _stable(self):
        """Whether every oscillator by itself is stable."""
        return are_stable(*self._rates)

    def _force(self, x, u):
        y, z = np.split(x, 2)
        force = self.W @ y + self.W_in @ u + self.bias
        return tanh(force if self.W_z is None else force + self.W_z @ z)

    def _slopes(self, x, u):
        return (1 - self._force(*self._point(x, u)) ** 2)[:, None]

    @cached_property
    def _fields(self):
        dt = self.dtype.type(self.dt)
        keep, pull = 1 - dt * self.epsilon, dt * self.gamma
        return kernel_form(self._recurrent), kernel_form(self.W_in), self.bias, keep, pull, dt

    @property
    def _recurrent(self):
        """W, or [W, W_z] side by side."""
        if self.W_z is None:
            return self.W
        both = [self.W, self.W_z]
        sparse = all(hasattr(W, "nnz") for W in both)
        whole = scipy.sparse.hstack(both) if sparse else np.hstack([to_dense(W) for W in both])
        return as_matrix("W", whole, (None, None), self.dtype)  # read-only as W, so that kernels compile once

    @property
    def _n_seen(self):
        """Variables that enter the forces: y, or y and z."""
        return self.n_units if self.W_z is not None else self.n_units // 2

    def _run(self, u, x0, out):
        if u.ndim == 2:
            return self._run_fed(np.empty((0, x0.size // 2), x0.dtype), x0[:0], u, x0, out)
        kernels = (_run_batch, _run_each, _run_each)
        return run_batch(self._fields[0], kernels, self._fields, self._n_seen, u, x0, out)

    def _run_fed(self, W_out, offset, u, x, out):
        """Fill `out` with the states when the last inputs are W_out y + offset; as `_run`, for one series."""
        return _run_series(self._fields, self._n_seen, W_out, offset, u, x, out)

    def _push(self, x, u, V, dU, tape):
        _push_series(self._fields, self._n_seen, u, x, V, dU, tape)


def _scale_columns(W, factors):
    """Return W diag(factors)."""
    return W @ scipy.sparse.diags_array(factors) if hasattr(W, "nnz") else W * factors


def warn_if_unstable(net):
    """Warn where the constructor was called if an oscillator by itself is unstable."""
    unstable = int((~net._stable).sum())
    if unstable:
        warnings.warn(
            f"{unstable} of {net.n_units // 2} oscillators are unstable by themselves, so states may grow without "
            "bound: keep gamma above 0, dt epsilon between 0 and 2, and 2 dt epsilon + dt² gamma below 4",
            EchoStateWarning,
            stacklevel=3,
        )


def _run_each(net, n_seen, u, x, out):
    """Run the series of a batch one after the other."""
    W_out, offset = np.empty((0, x.shape[1] // 2), x.dtype), np.empty(0, x.dtype)
    return any([_run_series(net, n_seen, W_out, offset, *one) for one in zip(u, x, out, strict=True)])


# --- kernels --------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def _run_series(net, n_seen, W_out, offset, u, x, out):
    """Run one series, its last inputs W_out y + offset; return whether a state was not finite."""
    W, W_in, bias, keep, pull, dt = net
    n, n_given = bias.size, u.shape[1]
    y, z, seen = x[:n], x[n:], x[:n_seen]
    drive, f = np.empty(n_given + offset.size, x.dtype), np.empty_like(bias)
    fed = drive[n_given:]
    for t in range(u.shape[0]):
        for j in range(n_given):
            drive[j] = u[t, j]
        if offset.size:
            affine(W_out, y, offset, fed)
        affine(W_in, drive, bias, f)
        add_matvec(W, seen, f)
        activate(0, f)
        row = out[t]
        for i in range(n):
            z[i] = keep[i] * z[i] + (dt * f[i] - pull[i] * y[i])
            y[i] += dt * z[i]
            row[i], row[n + i] = y[i], z[i]
    return not all_finite(x)  # an oscillator that is not finite once stays so


@njit(cache=True, nogil=True, error_model="numpy")
def _run_batch(net, n_seen, u, X, out):
    """Run a batch with one matrix product per step; X is (B, 2 N)."""
    W, W_in, bias, keep, pull, dt = net
    n = bias.size
    seen, F = np.empty((X.shape[0], n_seen), X.dtype), np.empty((X.shape[0], n), X.dtype)
    for t in range(u.shape[1]):
        seen[:] = X[:, :n_seen]
        matmul_rows(W, seen, F)
        for b in range(X.shape[0]):
            f, y, z, row = F[b], X[b, :n], X[b, n:], out[b, t]
            for i in range(n):
                f[i] += bias[i]
            add_matvec(W_in, u[b, t], f)
            activate(0, f)
            for i in range(n):
                z[i] = keep[i] * z[i] + (dt * f[i] - pull[i] * y[i])
                y[i] += dt * z[i]
                row[i], row[n + i] = y[i], z[i]
    return not all_finite(X.reshape(X.size))


@njit(cache=True, nogil=True, error_model="numpy")
def _push_series(net, n_seen, u, x, V, dU, tape):
    """Carry the state and the tangents, rows of V, through u; the state is one more row, so that W is read once."""
    W, W_in, bias, keep, pull, dt = net
    n, k, one = bias.size, V.shape[0], x.dtype.type(1)
    rows = np.empty((k + 1, x.size), x.dtype)
    rows[:k], rows[k] = V, x
    seen, products, d = np.empty((k + 1, n_seen), x.dtype), np.empty((k + 1, n), x.dtype), np.empty_like(bias)
    f = products[k]
    for t in range(u.shape[0]):
        seen[:] = rows[:, :n_seen]
        matmul_rows(W, seen, products)
        add_matvec(W_in, u[t], f)
        for i in range(n):
            f[i] += bias[i]
        activate(0, f)
        for i in range(n):
            d[i] = one - f[i] * f[i]
        for r in range(k):
            df = products[r]
            if dU.shape[0]:
                add_matvec(W_in, dU[t, r], df)
            for i in range(n):
                df[i] *= d[i]
        for r in range(k + 1):
            f_r, y, z = products[r], rows[r, :n], rows[r, n:]
            for i in range(n):
                z[i] = keep[i] * z[i] + (dt * f_r[i] - pull[i] * y[i])
                y[i] += dt * z[i]
        if tape.shape[0]:
            tape[t] = rows[:k]
    V[:], x[:] = rows[:k], rows[k]
