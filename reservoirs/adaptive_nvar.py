"""Adaptive nonlinear vector autoregression: delayed inputs and a small trained network of them, for noisy series."""

from dataclasses import KW_ONLY, dataclass
from functools import cached_property

import numpy as np
import scipy  # its parts load at first use
from numba import njit

from penstock.checks import (
    as_finite_array,
    as_finite_float,
    as_int,
    as_matrix,
    as_non_negative_float,
    as_vector,
    seed_sequence,
)
from penstock.matvec import add_matvec, affine
from penstock.progress import track
from penstock.readout import Readout
from penstock.reservoirs.esn import set_fields
from penstock.reservoirs.nvar import Delayed
from penstock.threads import one_blas_thread
from penstock.vmath import activate, activation_code, all_finite, tanh

__all__ = ["AdaptiveNVAR", "AdaptiveTraining", "train_adaptive_nvar"]

TANH = activation_code(tanh)
WEIGHTS = (0, 2, 4)  # places of W1, W2 and V among the parts, which decay, unlike the biases b1 and b2


@dataclass(frozen=True, eq=False, repr=False)
class AdaptiveNVAR(Delayed):
    """Turn a series into its last values and a small network of them, for a linear readout.

    With the taps L_t = [u_t; u_{t-s}; …; u_{t-(k-1)s}], the features are [L_t; W2 tanh(W1 L_t + b1) + b2]. Where
    `NVAR` multiplies noisy values with each other, the network can learn to average over many of them:
    `train_adaptive_nvar` finds the weights, `AdaptiveNVAR.random` only draws them.

    Parameters
    ----------
    W1 : array, shape (n_hidden, m k)
        Weights from the taps, newest first, to the hidden units.
    b1 : float or array, shape (n_hidden,)
        Their bias.
    W2 : array, shape (F, n_hidden)
        Weights from the hidden units to the nonlinear features.
    b2 : float or array, shape (F,)
        Their bias.
    n_delays : int
        Number k of taps.
    skip : int
        Number s of steps between two taps.

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit or a number is not finite.

    Notes
    -----
    The state is the register of the last (k - 1) s + 1 inputs and the features behind it, which `observed` selects, as
    in `NVAR`; the first ``n_warmup`` states still hold the zeros of the start. Everything is float64.

    References
    ----------
    A. Sherkhon, S. López-Moreno, E. Dolores-Cuenca, S. Lee, S. Kim (2025), Adaptive nonlinear vector autoregression:
    robust forecasting for noisy chaotic time series, arXiv 2507.08738.

    Examples
    --------
    >>> import numpy as np
    >>> nvar = AdaptiveNVAR([[1.0, -1.0]], 0.0, [[2.0]], 0.5, n_delays=2)
    >>> nvar
    AdaptiveNVAR(n_inputs=1, n_delays=2, skip=1, n_hidden=1, n_features=3)
    >>> nvar.run([2.0, 2.0])[-1, nvar.observed]
    array([2. , 2. , 0.5])
    """

    W1: np.ndarray
    b1: np.ndarray | float
    W2: np.ndarray
    b2: np.ndarray | float
    _: KW_ONLY
    n_delays: int
    skip: int = 1

    def __post_init__(self):
        n_delays, skip = as_int("n_delays", self.n_delays), as_int("skip", self.skip)
        W1 = as_matrix("W1", as_finite_array("W1", self.W1), (None, None), np.float64)
        n_hidden, n_taps = W1.shape
        if n_hidden == 0 or n_taps == 0 or n_taps % n_delays:
            raise ValueError(f"W1 must have shape (n_hidden, m n_delays) with n_delays={n_delays}, got {W1.shape}")
        W2 = as_matrix("W2", as_finite_array("W2", self.W2), (None, n_hidden), np.float64)
        b1, b2 = as_vector("b1", self.b1, n_hidden), as_vector("b2", self.b2, W2.shape[0])
        set_fields(self, W1=W1, b1=b1, W2=W2, b2=b2, n_delays=n_delays, skip=skip)

    @classmethod
    def random(cls, n_inputs=1, *, n_delays=2, n_hidden=100, n_features=None, skip=1, seed):
        """Return a network with the published start of its training: normal weights after Glorot, no biases.

        Parameters
        ----------
        n_inputs : int
            Number m of input channels, expected to vary by about 1.
        n_delays, skip : int
            Number k of taps and the steps s between them.
        n_hidden : int
            Number of hidden units.
        n_features : int, optional
            Number F of nonlinear features; m k (m k + 1) / 2 by default, as many as there are products of two taps.
        seed : int or numpy.random.SeedSequence
            W1 and W2 come from independent streams.
        """
        n_taps = as_int("n_inputs", n_inputs) * as_int("n_delays", n_delays)
        n_hidden = as_int("n_hidden", n_hidden)
        n_features = n_taps * (n_taps + 1) // 2 if n_features is None else as_int("n_features", n_features)
        W1, W2 = (
            np.random.default_rng(child).normal(0.0, 5 / 3 * np.sqrt(2 / sum(shape)), shape)
            for child, shape in zip(
                seed_sequence(seed).spawn(2), ((n_hidden, n_taps), (n_features, n_hidden)), strict=True
            )
        )
        return cls(W1, 0.0, W2, 0.0, n_delays=n_delays, skip=skip)

    @property
    def n_inputs(self):
        """Number m of input channels."""
        return self.W1.shape[1] // self.n_delays

    @property
    def n_features(self):
        """Number of features, linear and nonlinear."""
        return self.W1.shape[1] + self.W2.shape[0]

    def __repr__(self):
        return (
            f"AdaptiveNVAR(n_inputs={self.n_inputs}, n_delays={self.n_delays}, skip={self.skip}, "
            f"n_hidden={self.W1.shape[0]}, n_features={self.n_features})"
        )

    @cached_property
    def _fields(self):
        return self.W1, self.b1, self.W2, self.b2, self._taps.astype(np.uintp)

    def _features(self, taps):
        return np.concatenate([taps, np.tanh(taps @ self.W1.T + self.b1) @ self.W2.T + self.b2], axis=-1)

    def _slopes(self, taps):
        slopes = 1 - np.tanh(self.W1 @ taps + self.b1) ** 2
        return np.concatenate([np.eye(self.n_taps), self.W2 @ (slopes[:, None] * self.W1)])

    def _run(self, u, x0, out):
        if u.ndim == 2:
            return _run_series(self._fields, u, x0, out)
        return any([_run_series(self._fields, one, x, states) for one, x, states in zip(u, x0, out, strict=True)])

    def _push(self, x, u, V, dU, tape):
        _push_series(self._fields, u, x, V, dU, tape)


@dataclass(frozen=True, eq=False, repr=False)
class AdaptiveTraining:
    """Hold the outcome of `train_adaptive_nvar`.

    Attributes
    ----------
    system : AdaptiveNVAR
        The network with the smallest validation error.
    readout : Readout
        The readout trained with it: from the features at t to the value at t + 1, in the units of the series.
    training_errors, validation_errors : array, shape (n_iterations + 1,)
        RMSE of one step at the start and after every iteration, in standard deviations of the series (of each
        channel, root mean over channels).
    best : int
        The iteration that was kept.
    converged : bool
        Whether the training stopped by itself, early or at a minimum, rather than at `max_iter`.
    """

    system: AdaptiveNVAR
    readout: Readout
    training_errors: np.ndarray
    validation_errors: np.ndarray
    best: int
    converged: bool

    def __repr__(self):
        end = "" if self.converged else "; stopped by max_iter, not converged"
        return (
            f"AdaptiveTraining(training_error={self.training_errors[self.best]:.4g}, "
            f"validation_error={self.validation_errors[self.best]:.4g} at iteration {self.best} of "
            f"{len(self.training_errors) - 1}{end}) of\n  {self.system!r}"
        )

    def plot(self, ax=None):
        """Draw the errors against the iteration; return the axes."""
        from penstock.reservoirs.plots import plot_training

        return plot_training(self, ax)


@one_blas_thread
def train_adaptive_nvar(
    series,
    *,
    n_delays=2,
    n_hidden=100,
    n_features=None,
    skip=1,
    weight_decay=1e-5,
    validation=0.1,
    patience=50,
    max_iter=500,
    seed,
    progress=True,
):
    """Train the weights of an `AdaptiveNVAR` to predict the next value of a series; return an `AdaptiveTraining`.

    All of W1, b1, W2, b2 and a readout V of the features minimise mean (y - V [L; H])² / 2 + weight_decay / 2 times
    the sum of all squared weights (not of biases), by SciPy's L-BFGS-B with the exact gradient, in units in which
    every channel has mean 0 and variance 1; the System returned takes the series as it is. Solve the readout anew for a
    forecast, as ``Forecaster(outcome.system, standardise=False)`` does.

    Parameters
    ----------
    series : array, shape (T, m) or (T,)
        What to predict, noise included.
    n_delays, n_hidden, n_features, skip
        As in `AdaptiveNVAR.random`. The product V W2 is all that the error depends on, so `n_features` decides what a
        readout can do afterwards, but hardly the time of the training.
    weight_decay : float
        Penalty on the weights, at least 0.
    validation : float
        Fraction of the series, its end, on which the iteration to keep is chosen, in [0, 1); 0 keeps the last.
    patience : int
        Stop after so many iterations without a smaller validation error.
    max_iter : int
        Largest number of iterations.
    seed : int or numpy.random.SeedSequence
        Of the start, the published one: Glorot weights, no biases, a readout of standard deviation 0.01.
    progress : bool
        Show a bar if it takes long.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range, a channel is constant, or the series is too short.

    Notes
    -----
    The published training is AdamW over some 15,000 epochs, with the learning rate searched and no weight decay on
    clean data.

    References
    ----------
    A. Sherkhon, S. López-Moreno, E. Dolores-Cuenca, S. Lee, S. Kim (2025), arXiv 2507.08738.

    Examples
    --------
    >>> import numpy as np
    >>> clean = np.sin(0.3 * np.arange(400))
    >>> noisy = clean + 0.1 * np.random.default_rng(0).standard_normal(400)
    >>> train_adaptive_nvar(noisy, n_delays=8, n_hidden=5, seed=0).system
    AdaptiveNVAR(n_inputs=1, n_delays=8, skip=1, n_hidden=5, n_features=44)
    """
    series = as_finite_array("series", series, ndim=(1, 2))
    series = series[:, None] if series.ndim == 1 else series
    weight_decay, patience = as_non_negative_float("weight_decay", weight_decay), as_int("patience", patience)
    max_iter = as_int("max_iter", max_iter)
    n_warmup = (as_int("n_delays", n_delays) - 1) * as_int("skip", skip)
    n_train = _split(series, n_warmup, validation)
    for_start, for_readout = seed_sequence(seed).spawn(2)
    shape = {"n_delays": n_delays, "n_hidden": n_hidden, "n_features": n_features, "skip": skip}
    start = AdaptiveNVAR.random(series.shape[1], **shape, seed=for_start)
    center, scale = _scales(series[:n_train])
    taps, targets = _windows((series - center) / scale, start)
    cut = n_train - n_warmup - 1  # no training target lies in the validation tail
    readout = 0.01 * np.random.default_rng(for_readout).standard_normal((series.shape[1], start.n_features))
    descent = _Descent(start, readout, (taps[:cut], targets[:cut]), (taps[cut:], targets[cut:]), weight_decay, patience)
    converged = descent.run(max_iter, progress)
    W1, b1, W2, b2, V = descent.best_parameters()
    system, readout = _in_units_of_series(start, (W1, b1, W2, b2), V, center, scale)
    training, tail = np.array(descent.errors).T
    return AdaptiveTraining(system, readout, training, tail, descent.best, converged)


class _Descent:
    """One minimisation: the parameters as one vector, the errors along the way, and the best of them."""

    def __init__(self, start, readout, training, tail, weight_decay, patience):
        self.parts = [start.W1, start.b1, start.W2, start.b2, readout]
        self.training, self.tail, self.weight_decay, self.patience = training, tail, weight_decay, patience
        self.errors: list = []
        self.best, self.kept = 0, self._join(self.parts)

    def run(self, max_iter, progress):
        """Minimise; return whether it ended by itself."""
        bar = iter(track(range(max_iter), max_iter, "training", progress))
        self._note(self.kept, self.loss(self.kept)[0])

        def callback(intermediate_result):
            next(bar, None)
            self._note(intermediate_result.x, intermediate_result.fun)
            if self._waited():
                raise StopIteration

        # SciPy's tolerances, 2e-9 and 1e-5, are absolute for losses below 1: a series without noise gets far below
        options = {"maxiter": max_iter, "maxfun": 20 * max_iter + 100, "ftol": 1e-14, "gtol": 1e-9}
        outcome = scipy.optimize.minimize(
            self.loss, self.kept, jac=True, method="L-BFGS-B", callback=callback, options=options
        )
        for _ in bar:  # to its end, which removes it
            pass
        return bool(outcome.success) or self._waited()

    def loss(self, parameters):
        """Return the penalised error and its gradient."""
        taps, targets = self.training
        value, gradients = _loss(self._split(parameters), taps, targets, self.weight_decay)
        return value, self._join(gradients)

    def best_parameters(self):
        return self._split(self.kept)

    def _waited(self):
        return len(self.errors) - 1 - self.best >= self.patience

    def _note(self, parameters, value):
        parts = self._split(parameters)
        penalty = 0.5 * self.weight_decay * _squared_weights(parts)
        training = float(np.sqrt(2 * max(value - penalty, 0.0)))
        tail = _rms(parts, *self.tail) if len(self.tail[0]) else training
        self.errors.append((training, tail))
        if tail <= self.errors[self.best][1] or not len(self.tail[0]):
            self.best, self.kept = len(self.errors) - 1, parameters.copy()

    def _join(self, parts):
        return np.concatenate([part.ravel() for part in parts])

    def _split(self, parameters):
        ends = np.cumsum([part.size for part in self.parts])
        return [p.reshape(part.shape) for p, part in zip(np.split(parameters, ends[:-1]), self.parts, strict=True)]


def _predict(parts, taps):
    """Return the hidden activity (T, n_hidden) and the predictions (T, m)."""
    W1, b1, W2, b2, V = parts
    hidden = np.tanh(taps @ W1.T + b1)
    linear, nonlinear = V[:, : W1.shape[1]], V[:, W1.shape[1] :]
    return hidden, taps @ linear.T + hidden @ (nonlinear @ W2).T + nonlinear @ b2


def _loss(parts, taps, targets, weight_decay):
    """Return mean squared error / 2 + weight_decay / 2 * sum of squared weights, and the gradient by every part."""
    W1, _, W2, b2, V = parts
    hidden, predicted = _predict(parts, taps)
    difference = predicted - targets
    error = difference / difference.size
    nonlinear = V[:, W1.shape[1] :]
    by_product, by_constant = error.T @ hidden, error.sum(axis=0)
    by_hidden = (error @ (nonlinear @ W2)) * (1 - hidden**2)
    by_V = np.concatenate([error.T @ taps, by_product @ W2.T + np.outer(by_constant, b2)], axis=1)
    gradients = [by_hidden.T @ taps, by_hidden.sum(axis=0), nonlinear.T @ by_product, nonlinear.T @ by_constant, by_V]
    for place in WEIGHTS:
        gradients[place] += weight_decay * parts[place]
    return 0.5 * np.sum(difference * error) + 0.5 * weight_decay * _squared_weights(parts), gradients


def _squared_weights(parts):
    return sum(np.sum(parts[place] * parts[place]) for place in WEIGHTS)


def _rms(parts, taps, targets):
    return float(np.sqrt(np.mean((_predict(parts, taps)[1] - targets) ** 2)))


def _windows(series, model):
    """Return the taps (P, m k) of every step that has all of them and a next one, and the next values (P, m)."""
    last = np.arange(model.n_warmup, len(series) - 1)
    back = model.skip * np.arange(model.n_delays)
    return series[last[:, None] - back].reshape(len(last), -1), series[last + 1]


def _split(series, n_warmup, validation):
    """Return the number of training steps: those before the validation tail."""
    validation = as_finite_float("validation", validation)
    if not 0 <= validation < 1:
        raise ValueError(f"validation must lie in [0, 1), got {validation}")
    n_train = len(series) - round(validation * len(series))
    shortest = n_warmup + 3
    if n_train < shortest or series.shape[1] == 0:
        raise ValueError(
            f"series must have shape (T, m) with {shortest} training steps or more, got shape {series.shape} and "
            f"validation={validation}"
        )
    return n_train


def _scales(series):
    center, scale = series.mean(axis=0), series.std(axis=0)
    constant = np.flatnonzero(np.ptp(series, axis=0) == 0)
    if constant.size:
        raise ValueError(f"series must vary in every channel, got channel {constant[0]} constant; leave it out")
    return center, scale


def _in_units_of_series(model, weights, V, center, scale):
    """Return System and readout for the series as it is, given those for (series - center) / scale."""
    W1, b1, W2, b2 = weights
    middle, unit = np.tile(center, model.n_delays), np.tile(scale, model.n_delays)
    system = AdaptiveNVAR(W1 / unit, b1 - W1 @ (middle / unit), W2, b2, n_delays=model.n_delays, skip=model.skip)
    W_out = scale[:, None] * V
    W_out[:, : unit.size] /= unit
    return system, Readout(W_out, center - W_out[:, : unit.size] @ middle)


# --- kernels --------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def _run_series(nvar, u, x, out):
    """Run one series; return whether a value was not finite."""
    W1, b1, W2, b2, taps = nvar
    z, hidden, finite = np.empty(taps.size), np.empty(b1.size), True
    first = x.size - b2.size
    n_register = first - taps.size
    for t in range(u.shape[0]):
        _shift(x, u[t], n_register, u.shape[1])
        for i in range(taps.size):
            z[i] = x[taps[i]]
        x[n_register:first] = z
        affine(W1, z, b1, hidden)
        activate(TANH, hidden)
        affine(W2, hidden, b2, x[first:])
        out[t] = x
        finite &= all_finite(x)
    return not finite


@njit(cache=True, nogil=True, error_model="numpy")
def _push_series(nvar, u, x, V, dU, tape):
    """Carry the state and the tangents, rows of V, through u: dL as it is, and W2 D W1 dL."""
    W1, b1, W2, b2, taps = nvar
    z, dz, rest = np.empty(taps.size), np.empty(taps.size), np.zeros(u.shape[1])
    hidden, by_tap = np.empty(b1.size), np.empty(b1.size)
    first = x.size - b2.size
    n_register = first - taps.size
    for t in range(u.shape[0]):
        _shift(x, u[t], n_register, u.shape[1])
        for i in range(taps.size):
            z[i] = x[taps[i]]
        x[n_register:first] = z
        affine(W1, z, b1, hidden)
        activate(TANH, hidden)
        affine(W2, hidden, b2, x[first:])
        for r in range(V.shape[0]):
            v = V[r]
            _shift(v, dU[t, r] if dU.shape[0] else rest, n_register, u.shape[1])
            for i in range(taps.size):
                dz[i] = v[taps[i]]
            v[n_register:first] = dz
            by_tap[:] = 0.0
            add_matvec(W1, dz, by_tap)
            for i in range(by_tap.size):
                by_tap[i] *= 1.0 - hidden[i] * hidden[i]
            v[first:] = 0.0
            add_matvec(W2, by_tap, v[first:])
        if tape.shape[0]:
            tape[t] = V


@njit(cache=True, nogil=True, error_model="numpy")
def _shift(x, new, n_register, m):
    """Move the register on by one step and put the new values first."""
    for i in range(n_register - 1, m - 1, -1):
        x[i] = x[i - m]
    for i in range(m):
        x[i] = new[i]
