"""Benchmark tasks: input, target and split, drawn from a seed by the published rules.

Whether a target is aligned with the input of its own step or of an earlier one decides how hard a task is, and papers
differ. Here it is always said: ``lag`` steps lie between an input and the target that is asked for when it arrives.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from penstock.checks import as_finite_array, as_int, as_positive_float, generators
from penstock.data.signals import lorenz96, mackey_glass
from penstock.laws import Uniform

__all__ = ["Task", "ct_xor", "lorenz96_task", "mackey_glass_task", "narma", "sin_mem"]

_NARMA_COEFFICIENTS = {10: (0.3, 0.05, 1.5, 0.1), 30: (0.3, 0.01, 1.5, 0.1), 60: (0.3, 0.01, 1.5, 0.1)}
_NARMA_BOUND = 1.5  # bounded series stay below 1.35; one that passes 1.5 is on its way to infinity
_NARMA_DRAWS = 100


class Task(NamedTuple):
    """Inputs, the targets asked for at the same steps, and the three parts of the split.

    The parts are slices of axis 0: the steps of one long series, or the series of a batch. Every part is a series (or
    a batch) of its own: run it from a fresh state, drop its first `washout` steps, fit or score the rest.

    Attributes
    ----------
    inputs : array, shape (T, d) or (B, T, d)
        What is fed in.
    targets : array, of the shape of `inputs`
        What is asked for at the same step.
    train, validation, test : slice
        The parts, along axis 0. With a lag the series keep a gap of `lag` steps between two parts, so that no target
        of a part lies in the next one.
    washout : int
        Number of steps to drop at the start of every part.
    """

    inputs: np.ndarray
    targets: np.ndarray
    train: slice
    validation: slice
    test: slice
    washout: int

    def __repr__(self):
        parts = ", ".join(f"{name}={getattr(self, name)}" for name in ("train", "validation", "test", "washout"))
        return f"Task(inputs {self.inputs.shape}, targets {self.targets.shape}, {parts})"


def sin_mem(delay=10, *, n_steps=6000, gain=np.pi, lag=0, washout=200, seed) -> Task:
    """Draw the task of remembering a sine of a past input (SinMem); return a `Task` of one series.

    u_t ~ U(-0.8, 0.8); y_t = sin(gain u_{t - delay}), zero before `delay`. Split 4 : 1 : 1.

    Parameters
    ----------
    delay : int
        How far back the input lies; 10 and 20 are usual.
    n_steps : int
        Length of the drawn series.
    gain : float
        pi by default; pi / 0.8 makes the "ergodic" variant, which uses the whole period of the sine.
    lag : int
        Target y_{t + lag} is asked for at input u_t. Published figures for SinMem10 use ``lag=1`` and so need a
        memory of 9 steps only.
    washout : int
        Steps to drop at the start of every part.
    seed : int
        Draws the input.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range or a part would have no step left.

    References
    ----------
    Inubushi and Yoshimura (2017), Scientific Reports 7, 10199, for the target; Ceni and Gallicchio (2024),
    Neurocomputing, 127966, for the lengths and the split.

    Examples
    --------
    >>> task = sin_mem(10, seed=0)
    >>> bool(task.targets[42] == np.sin(np.pi * task.inputs[32])), task.test
    (True, slice(5000, 6000, None))
    """
    delay, n_steps = as_int("delay", delay, minimum=0), as_int("n_steps", n_steps)
    gain = as_positive_float("gain", gain)
    u = _draw(Uniform(-0.8, 0.8), n_steps, seed)
    return _task(u, np.sin(gain * _delayed(u, delay)), (n_steps * 2 // 3, n_steps // 6), lag, washout)


def ct_xor(delay=5, *, n_steps=6000, lag=0, washout=200, seed) -> Task:
    """Draw the continuous exclusive-or of two successive past inputs (ctXOR); return a `Task` of one series.

    u_t ~ U(-0.8, 0.8); r_t = u_{t - delay} u_{t - delay - 1}; y_t = sign(r_t) r_t^2, zero before delay + 1.
    Split 4 : 1 : 1.

    Parameters
    ----------
    delay : int
        How far back the later of the two inputs lies; 5 and 10 are usual.
    n_steps : int
        Length of the drawn series.
    lag : int
        Target y_{t + lag} is asked for at input u_t. Published figures use 0 in one code and 1 in another.
    washout : int
        Steps to drop at the start of every part.
    seed : int
        Draws the input.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range or a part would have no step left.

    References
    ----------
    Verstraeten, Dambre, Dutoit and Schrauwen (2010), IJCNN, for the target; Ceni and Gallicchio (2024),
    Neurocomputing, 127966, for the lengths and the split.

    Examples
    --------
    >>> task = ct_xor(5, seed=0)
    >>> u, y = task.inputs[:, 0], task.targets[:, 0]
    >>> bool(np.sign(y[42]) == np.sign(u[37] * u[36]))
    True
    """
    delay, n_steps = as_int("delay", delay, minimum=0), as_int("n_steps", n_steps)
    u = _draw(Uniform(-0.8, 0.8), n_steps, seed)
    r = _delayed(u, delay) * _delayed(u, delay + 1)
    return _task(u, np.sign(r) * r**2, (n_steps * 2 // 3, n_steps // 6), lag, washout)


def narma(order=10, *, n_steps=10_000, coefficients=None, lag=0, washout=200, seed) -> Task:
    """Draw a nonlinear autoregressive moving average (NARMA) task of the given order n; return a `Task` of one series.

    u_t ~ U(0, 0.5); y_t = 0 for t < n; then, with coefficients (a, b, c, d),
    y_{t+1} = a y_t + b y_t (y_t + y_{t-1} + ... + y_{t-n+1}) + c u_{t-n+1} u_t + d. Split 2 : 1 : 1.

    The rule can run away: of series of the default length about one in 20 of order 10 and four in 10 of order 60 do,
    none of order 30. A series that reaches 1.5 in absolute value is drawn anew, from the same generator.

    Parameters
    ----------
    order : int
        n; 10, 30 and 60 have usual coefficients.
    n_steps : int
        Length of the drawn series.
    coefficients : tuple of 4 float, optional
        (a, b, c, d); by default (0.3, 0.05, 1.5, 0.1) for order 10 and (0.3, 0.01, 1.5, 0.1) for 30 and 60.
    lag : int
        Target y_{t + lag} is asked for at input u_t. With 0 the newest input the target depends on is u_{t-1}; the
        published one-step-ahead alignment is ``lag=1``, inputs u[:-1] and targets y[1:], where it is u_t.
    washout : int
        Steps to drop at the start of every part.
    seed : int
        Draws the input.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range, if the order has no usual coefficients and none are given, if a part
        would have no step left, or if 100 draws have run away.

    References
    ----------
    Atiya and Parlos (2000), IEEE Trans. Neural Networks 11, 697, for order 10; Ceni and Gallicchio (2024),
    Neurocomputing, 127966, for order 30, the lengths and the split.

    Examples
    --------
    >>> task = narma(30, lag=1, seed=0)
    >>> task.inputs.shape, task.validation
    ((9999, 1), slice(5000, 7499, None))
    """
    order, n_steps = as_int("order", order), as_int("n_steps", n_steps)
    if coefficients is None and order not in _NARMA_COEFFICIENTS:
        raise ValueError(f"order must be {sorted(_NARMA_COEFFICIENTS)} unless coefficients are given, got {order}")
    coefficients = _NARMA_COEFFICIENTS[order] if coefficients is None else coefficients
    coefficients = as_finite_array("coefficients", coefficients)
    if coefficients.shape != (4,):
        raise ValueError(f"coefficients must be four numbers (a, b, c, d), got shape {coefficients.shape}")
    sizes = (n_steps // 2, n_steps // 4)
    _check_parts(n_steps, sizes, lag, washout)
    (rng,) = generators(seed, 1)
    for _ in range(_NARMA_DRAWS):
        u = Uniform(0.0, 0.5)(rng, n_steps)
        y = _narma_series(u, order, coefficients.tolist())
        if y is not None:
            return _task(u, y, sizes, lag, washout)
    raise ValueError(
        f"coefficients must keep the series below {_NARMA_BOUND}, got {coefficients.tolist()}, for which all of "
        f"{_NARMA_DRAWS} draws passed it; take smaller ones or fewer than {n_steps} steps"
    )


def mackey_glass_task(horizon=1, *, n_steps=10_000, history=1.2, washout=200) -> Task:
    """Ask for the Mackey-Glass series (tau = 17) `horizon` steps ahead; return a `Task` of one series.

    Inputs tanh(x_t - 1) at unit step, targets tanh(x_{t + horizon} - 1). Split 2 : 1 : 1. Nothing is drawn.

    Parameters
    ----------
    horizon : int
        How far ahead; 1 ("MG") and 84 ("MG84") are usual.
    n_steps : int
        Length of the series.
    history : float
        Value of x before time 0, at least 0; another value gives another stretch of the attractor.
    washout : int
        Steps to drop at the start of every part.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range or a part would have no step left.

    References
    ----------
    Jaeger and Haas (2004), Science 304, 78.

    Examples
    --------
    >>> task = mackey_glass_task(84)
    >>> bool((task.targets[:100] == task.inputs[84:184]).all()), task.train
    (True, slice(0, 4916, None))
    """
    n_steps, horizon = as_int("n_steps", n_steps), as_int("horizon", horizon)
    sizes = (n_steps // 2, n_steps // 4)
    _check_parts(n_steps, sizes, horizon, washout)
    x = np.tanh(mackey_glass(n_steps, tau=17.0, history=history) - 1.0)
    return _task(x, x, sizes, horizon, washout)


def lorenz96_task(horizon=25, *, n_series=128, n_steps=200, washout=200, seed) -> Task:
    """Ask for the Lorenz96 flow (N = 5, F = 8, dt = 0.01) `horizon` steps ahead; return a `Task` of a batch.

    Each of the three parts holds `n_series` trajectories of washout + horizon + n_steps samples from
    x0 ~ U(7.5, 8.5); inputs x_t, targets x_{t + horizon}, shape (3 n_series, washout + n_steps, 5).

    Parameters
    ----------
    horizon : int
        How far ahead; 25 is usual.
    n_series : int
        Number of trajectories in each part.
    n_steps : int
        Number of steps to fit or score in each trajectory.
    washout : int
        Steps to drop at the start of every trajectory.
    seed : int
        Draws the initial states.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range.

    References
    ----------
    Lorenz (1996), Predictability: a problem partly solved, for the flow; Ceni and Gallicchio (2024), Neurocomputing,
    127966, for the task.

    Examples
    --------
    >>> task = lorenz96_task(n_series=2, seed=0)
    >>> task.inputs.shape, task.test
    ((6, 400, 5), slice(4, 6, None))
    """
    horizon, n_series, n_steps = as_int("horizon", horizon), as_int("n_series", n_series), as_int("n_steps", n_steps)
    washout = as_int("washout", washout, minimum=0)
    x0 = _draw(Uniform(7.5, 8.5), (3 * n_series, 5), seed)
    x = lorenz96(washout + horizon + n_steps, n_variables=5, forcing=8.0, dt=0.01, x0=x0, washout=0)
    train, validation, test = (slice(part * n_series, (part + 1) * n_series) for part in range(3))
    return Task(x[:, :-horizon].copy(), x[:, horizon:].copy(), train, validation, test, washout)


def _draw(law, size, seed):
    (rng,) = generators(seed, 1)
    return law(rng, size)


def _delayed(u, delay):
    """Return u_{t - delay}, zero where that lies before the start."""
    if 2 * delay >= u.size:
        raise ValueError(f"delay must be below half of n_steps = {u.size}, got {delay}: most targets would be zero")
    return np.concatenate((np.zeros(delay), u))[: u.size]


def _narma_series(u, order, coefficients):
    """Return y for the inputs u, or None if it runs away."""
    a, b, c, d = coefficients
    y = np.zeros(u.size)
    for t in range(order - 1, u.size - 1):
        y[t + 1] = a * y[t] + b * y[t] * y[t - order + 1 : t + 1].sum() + c * u[t - order + 1] * u[t] + d
        if not abs(y[t + 1]) < _NARMA_BOUND:
            return None
    return y


def _check_parts(n_steps, sizes, lag, washout):
    lag, washout = as_int("lag", lag, minimum=0), as_int("washout", washout, minimum=0)
    shortest = min(*sizes, n_steps - sum(sizes))
    if shortest <= lag + washout:
        raise ValueError(
            f"n_steps must leave more than lag + washout = {lag + washout} steps to every part of the split, "
            f"got {n_steps}, whose shortest part has {shortest}"
        )
    return lag, washout


def _task(u, y, sizes, lag, washout):
    """Align inputs u[:T - lag] with targets y[lag:] and cut each part short by `lag`, as the published codes do."""
    lag, washout = _check_parts(u.size, sizes, lag, washout)
    ends = np.cumsum((0, *sizes, u.size - sum(sizes))).tolist()
    train, validation, test = (slice(start, end - lag) for start, end in pairwise(ends))
    return Task(u[: u.size - lag, None].copy(), y[lag:, None].copy(), train, validation, test, washout)
