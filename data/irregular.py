"""A forecasting task on irregular samples: a continuous signal seen at random times, asked for at the next one."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.integrate import solve_ivp

from penstock.checks import as_finite_array, as_int, as_non_negative_float, as_positive_float, generators
from penstock.data.signals import MSO_FREQUENCIES

__all__ = ["Exponential", "IrregularTask", "fitzhugh_nagumo_at", "irregular_task", "lorenz_at", "sines_at"]

_SHARES = (0.5, 0.25)  # of the steps that go to training and to validation; the rest is the test


@dataclass(frozen=True)
class Exponential:
    """Draw from the exponential law: as gaps between samples, a Poisson process of rate 1 / mean.

    Parameters
    ----------
    mean : float
        Mean and standard deviation, above 0.

    Examples
    --------
    >>> Exponential(0.5)(np.random.default_rng(0), 10_000).mean().round(1)
    np.float64(0.5)
    """

    mean: float = 1.0

    def __post_init__(self):
        as_positive_float("mean", self.mean)

    def __call__(self, rng, size):
        """Return an array of shape `size` drawn with the generator `rng`."""
        return rng.exponential(self.mean, size)

    @property
    def variance(self) -> float:
        """Variance of the law."""
        return self.mean**2


class IrregularTask(NamedTuple):
    """Observed values with the time to the next sample, and the values of these next samples.

    At step k a model is given x(t_k) and h_k = t_{k+1} - t_k and asked for x(t_{k+1}): a cell in continuous time takes
    a step of length h_k under the input x(t_k), any other model has h_k as one more input.

    Attributes
    ----------
    times : array, shape (T + 1,)
        Sampling times t_0 < … < t_T, in the time unit of the signal.
    inputs : array, shape (T, m + 1)
        x(t_k), with measurement noise if there is any, and in the last channel h_k.
    targets : array, shape (T, m)
        x(t_{k+1}), without noise.
    train, validation, test : slice
        Contiguous blocks of steps with `gap` steps left out between them, so that no sample of one part is the
        input or target of another. Every part is a series of its own: run it from a fresh state.
    washout : int
        Steps to drop at the start of every part.
    """

    times: np.ndarray
    inputs: np.ndarray
    targets: np.ndarray
    train: slice
    validation: slice
    test: slice
    washout: int

    def __repr__(self):
        parts = ", ".join(f"{name}={getattr(self, name)}" for name in ("train", "validation", "test", "washout"))
        gap = f"mean gap {np.diff(self.times).mean():.3g}"
        return f"IrregularTask(inputs {self.inputs.shape}, targets {self.targets.shape}, {gap}, {parts})"


def lorenz_at(rng, times, *, channels=(0,)):
    """Return the Lorenz system (sigma = 10, rho = 28, beta = 8/3) at increasing times >= 0, shape (T, m).

    The start is drawn: (1, 1, 1) + N(0, 1), then 20 time units to reach the attractor. LSODA at a tolerance of 1e-9.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws the start.
    times : array, shape (T,)
        Where the solution is wanted.
    channels : sequence of int
        Which of x, y, z are seen; x alone by default, so that the state must be inferred from the past.

    References
    ----------
    Lorenz (1963), J. Atmos. Sci. 20, 130.

    Examples
    --------
    >>> lorenz_at(np.random.default_rng(0), [0.0, 0.3, 0.35], channels=(0, 2)).shape
    (3, 2)
    """

    def rhs(time, state):
        x, y, z = state.tolist()  # numbers of Python: arithmetic on those of NumPy takes three times as long
        return 10.0 * (y - x), x * (28.0 - z) - y, x * y - 8 / 3 * z

    start = 1.0 + rng.standard_normal(3)
    return _solve(rhs, start, 20.0 + np.asarray(times, np.float64))[:, list(channels)]


def fitzhugh_nagumo_at(rng, times):
    """Return the fast variable v of a FitzHugh-Nagumo neuron at increasing times >= 0, shape (T, 1).

    v' = v - v^3 / 3 - w + 0.5, w' = 0.02 (v + 0.7 - 0.8 w), with v(0) ~ U(-1, 1) and w(0) = 0. The published data are
    1000 samples on [0, 400], a mean gap of 0.4. LSODA at a tolerance of 1e-9.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws v(0).
    times : array, shape (T,)
        Where the solution is wanted.

    References
    ----------
    Rusch, Mishra, Erichson and Mahoney (2022), Long expressive memory for sequence modeling, ICLR.

    Examples
    --------
    >>> v = fitzhugh_nagumo_at(np.random.default_rng(0), np.linspace(0, 400, 1000))
    >>> bool(v.max() > 1.5 and v.min() < -1.5)
    True
    """

    def rhs(time, state):
        v, w = state.tolist()
        return v - v**3 / 3 - w + 0.5, 0.02 * (v + 0.7 - 0.8 * w)

    return _solve(rhs, np.array([rng.uniform(-1.0, 1.0), 0.0]), np.asarray(times, np.float64))[:, :1]


def sines_at(rng, times, *, frequencies=MSO_FREQUENCIES[:3]):
    """Return a sum of sines of unit amplitude and random phases at the given times, exactly; shape (T, 1).

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws the phases from U(0, 2 pi).
    times : array, shape (T,)
        Where the signal is wanted.
    frequencies : sequence of float
        Angular frequencies, the first three of the multiple superimposed oscillators by default.

    References
    ----------
    Schmidhuber, Wierstra, Gagliolo and Gomez (2007), Neural Computation 19, 757, for the frequencies.

    Examples
    --------
    >>> bool(np.abs(sines_at(np.random.default_rng(0), np.arange(100.0))).max() <= 3)
    True
    """
    frequencies = as_finite_array("frequencies", frequencies, ndim=1)
    phases = rng.uniform(0.0, 2 * np.pi, frequencies.size)
    return np.sin(np.multiply.outer(np.asarray(times, np.float64), frequencies) + phases).sum(axis=-1, keepdims=True)


def irregular_task(
    signal=lorenz_at, gaps=None, *, n_steps=4000, noise=0.0, gap=100, washout=100, seed
) -> IrregularTask:
    """Draw the task of forecasting a continuous signal from one random time to the next; return an `IrregularTask`.

    The times are t_0 = 0, t_{k+1} = t_k + h_k with h_k drawn from `gaps`. The steps are split 2 : 1 : 1 in blocks. A
    random split of windows, as in many published codes, would put neighbours of test samples into the training set.

    Parameters
    ----------
    signal : function (rng, times) -> array (T,) or (T, m)
        What is sampled, given the sampling times (T,): `lorenz_at`, `fitzhugh_nagumo_at`, `sines_at` or any function
        of yours; what it draws (a start, phases) comes from `rng`.
    gaps : function (rng, size) -> array, optional
        Law of the gaps, all above 0. ``Exponential(0.1)`` by default, for the Lorenz system, whose turns take about
        0.75; ``Uniform(low, high)`` has gaps of bounded length.
    n_steps : int
        Number T of steps, those of the two gaps included.
    noise : float
        Standard deviation of Gaussian noise on the observed values, in units of that of each channel.
    gap : int
        Steps left out between two parts, at least 1.
    washout : int
        Steps to drop at the start of every part.
    seed : int
        Draws gaps, signal and noise, from streams of their own.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range, a gap is not above 0, the signal is not finite or of the wrong shape, or
        a part would have no step left after its washout.

    References
    ----------
    Lechner and Hasani (2020), Learning long-term dependencies in irregularly-sampled time series, arXiv 2006.04418, for
    tasks in which the elapsed time is part of the input. Signal and gap laws are choices made here.

    Examples
    --------
    >>> task = irregular_task(sines_at, Exponential(0.5), n_steps=1000, gap=10, washout=20, seed=0)
    >>> task
    IrregularTask(inputs (1000, 2), targets (1000, 1), mean gap 0.486, train=slice(0, 490, None), \
validation=slice(500, 740, None), test=slice(750, 1000, None), washout=20)
    >>> bool((task.inputs[1:, 0] == task.targets[:-1, 0]).all())
    True
    """
    n_steps, noise = as_int("n_steps", n_steps), as_non_negative_float("noise", noise)
    train, validation, test = _blocks(n_steps, as_int("gap", gap), as_int("washout", washout, minimum=0))
    for name, function in (("signal", signal), ("gaps", gaps)):
        if not callable(function) and not (name == "gaps" and function is None):
            raise TypeError(f"{name} must be a function, got {function!r}")
    gap_rng, signal_rng, noise_rng = generators(seed, 3)
    times = _times(Exponential(0.1) if gaps is None else gaps, gap_rng, n_steps)
    values = as_finite_array("signal", signal(signal_rng, times), ndim=(1, 2))
    if len(values) != times.size or values.size == 0:
        raise ValueError(f"signal must return shape ({times.size},) or ({times.size}, m), got {values.shape}")
    values = values.reshape(times.size, -1)
    seen = values[:-1] + noise * values.std(axis=0) * noise_rng.standard_normal(values[:-1].shape)
    inputs = np.column_stack([seen, np.diff(times)])
    return IrregularTask(times, inputs, values[1:].copy(), train, validation, test, washout)


def _times(gaps, rng, n_steps):
    """Return the sampling times 0, h_0, h_0 + h_1, …: (n_steps + 1,), strictly increasing."""
    drawn = as_finite_array("gaps", gaps(rng, n_steps))
    if drawn.shape != (n_steps,):
        raise ValueError(f"gaps must draw shape ({n_steps},), got {drawn.shape}")
    times = np.concatenate([[0.0], np.cumsum(drawn)])
    if not (np.diff(times) > 0).all():
        raise ValueError(f"gaps must be above 0, got {drawn.min()}; take a law of positive numbers")
    return times


def _blocks(n_steps, gap, washout):
    """Return the three slices, `gap` steps apart."""
    first, second = (round(n_steps * share) for share in np.cumsum(_SHARES))
    parts = slice(0, first - gap), slice(first, second - gap), slice(second, n_steps)
    shortest = min(part.stop - part.start for part in parts)
    if shortest <= washout:
        raise ValueError(
            f"n_steps must leave more than washout = {washout} steps to every part of the split, got {n_steps}, whose "
            f"shortest part has {max(shortest, 0)} with gaps of {gap}"
        )
    return parts


def _solve(rhs, start, times):
    """Return the solution through `start` at time 0, at increasing times: (T, n)."""
    times = as_finite_array("times", times, ndim=1)
    if times.size == 0 or times[-1] <= 0 or times[0] < 0 or not (np.diff(times) > 0).all():
        raise ValueError("times must increase from 0 or later and end above 0, got times that do not")
    solution = solve_ivp(rhs, (0.0, times[-1]), start, method="LSODA", t_eval=times, rtol=1e-9, atol=1e-9)
    return solution.y.T
