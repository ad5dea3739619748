"""How long forecasts stay close: the error over the steps ahead, and the valid prediction time."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from penstock.analysis.embedding import as_columns
from penstock.checks import as_finite_array, as_inputs, as_int, as_positive_float
from penstock.metrics import relative_error, valid_steps
from penstock.progress import track
from penstock.system import as_system
from penstock.threads import one_blas_thread

__all__ = ["PredictionError", "ValidPredictionTime", "prediction_error", "valid_prediction_time"]

N_BLOCKS = 10  # of starts, for standard errors
BUFFER_BYTES = 2**24  # of forecasts in one block


@dataclass(frozen=True, eq=False, repr=False)
class PredictionError:
    """Hold the error of forecasts over the number of steps ahead.

    Attributes
    ----------
    value, standard_error : float
        Mean square error at the last step, over all starts and dimensions, and its error from ten blocks of starts.
    curve : array, shape (n_steps,)
        Mean square error 1, 2, .. steps ahead.
    null_level : float
        Mean square error of always forecasting the mean: the variance of the data, mean over the dimensions.
    persistence : array, shape (n_steps,)
        Mean square error of forecasting no change.
    n_steps, n_starts : int
        Steps ahead, and forecasts made.
    """

    value: float
    standard_error: float
    curve: np.ndarray
    null_level: float
    persistence: np.ndarray
    n_steps: int
    n_starts: int

    def plot(self, ax=None):
        """Draw the error over the steps ahead with both null levels; return the matplotlib axes."""
        from penstock.analysis.plots import plot_prediction_error

        return plot_prediction_error(self, ax)

    def __repr__(self):
        return (
            f"PredictionError: {self.value:.4g} ± {self.standard_error:.2g} mean square, {self.n_steps} steps ahead\n"
            f"  one step    {self.curve[0]:.4g}\n"
            f"  null level  {self.null_level:.4g} (the mean), {self.persistence[-1]:.4g} (no change)\n"
            f"  forecasts   {self.n_starts}, one from every step"
        )


@one_blas_thread
def prediction_error(
    system,
    data,
    *,
    n_steps=20,
    states=None,
    observe: Callable[[np.ndarray], np.ndarray] | None = None,
    u=None,
    progress=True,
) -> PredictionError:
    """Measure how fast free forecasts leave the data: mean square error n steps after a start from every data point.

    From the state at every time t the system runs freely for `n_steps`; what it gives is compared with
    data[t + 1 : t + n_steps + 1].

    Parameters
    ----------
    system : System
        A generator of the data: a trained network closed on itself, a flow, a map.
    data : array, shape (T, d) or (T,)
        What was measured.
    n_steps : int, optional
        Steps ahead, n.
    states : array, shape (T, n_units), optional
        State of the system at every time of the data; by default the data themselves, if there are as many dimensions.
    observe : callable, optional
        Function from states (.., n_units) to forecasts (.., d); by default the units the system declares observed.
    u : array, shape (T, m), optional
        For a driven system: inputs, u[t] leading to data[t].
    progress : bool, optional
        Whether a bar appears when the run takes longer than two seconds.

    Returns
    -------
    PredictionError
        The error at n steps, the curve up to it and null levels.

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit, or the data are too short.
    FloatingPointError
        If a forecast stops being finite.

    References
    ----------
    G. Koppe et al., PLOS Comput. Biol. 15, e1007263 (2019).

    Examples
    --------
    The true map forecasts its own series exactly, one of a wrong parameter does not:

    >>> from penstock import Map
    >>> from penstock.data import logistic
    >>> data = logistic(500, r=3.7)
    >>> prediction_error(Map(lambda x, u: 3.7 * x * (1 - x), n_units=1), data, n_steps=5).value
    0.0
    >>> prediction_error(Map(lambda x, u: 3.6 * x * (1 - x), n_units=1), data, n_steps=5).value > 1e-3
    True
    """
    system = as_system(system)
    data, n_steps = as_columns("data", data), as_int("n_steps", n_steps)
    n_starts = len(data) - n_steps
    if n_starts < N_BLOCKS:
        raise ValueError(f"data must have at least n_steps + {N_BLOCKS} = {n_steps + N_BLOCKS} steps, got {len(data)}")
    states = _start_states(system, data, states)
    inputs = _forecast_inputs(system, len(data), u)
    size = max(1, BUFFER_BYTES // (8 * n_steps * system.n_units))
    errors = np.empty((n_starts, n_steps))
    for first in track(range(0, n_starts, size), -(-n_starts // size), "prediction error", progress):
        starts = np.arange(first, min(first + size, n_starts))
        ahead = starts[:, None] + np.arange(1, n_steps + 1)
        path = system.run(inputs[ahead], states[starts])
        forecast = path[..., system.observed] if observe is None else np.asarray(observe(path))
        if forecast.shape != (*ahead.shape, data.shape[1]):
            raise ValueError(f"observe(states) must give the shape {(*ahead.shape, data.shape[1])} of the data, "
                             f"got {forecast.shape}")  # fmt: skip
        errors[starts] = np.mean((forecast - data[ahead]) ** 2, axis=2)
    blocks = [block.mean() for block in np.array_split(errors[:, -1], N_BLOCKS)]
    still = [np.mean((data[k : k + n_starts] - data[:n_starts]) ** 2) for k in range(1, n_steps + 1)]
    curve = errors.mean(axis=0)
    return PredictionError(
        value=float(curve[-1]),
        standard_error=float(np.std(blocks, ddof=1) / np.sqrt(N_BLOCKS)),
        curve=curve,
        null_level=float(data.var(axis=0).mean()),
        persistence=np.array(still),
        n_steps=n_steps,
        n_starts=n_starts,
    )


def _start_states(system, data, states) -> np.ndarray:
    if states is None:
        if data.shape[1] != system.n_units:
            raise ValueError(f"states must be given, shape ({len(data)}, {system.n_units}), because data have "
                             f"{data.shape[1]} dimensions and the system {system.n_units} units")  # fmt: skip
        return data
    states = as_finite_array("states", states, ndim=2)
    if states.shape != (len(data), system.n_units):
        raise ValueError(f"states must have shape ({len(data)}, {system.n_units}), got {states.shape}")
    return states


def _forecast_inputs(system, n_data, u) -> np.ndarray:
    if system.n_inputs == 0:
        if u is not None:
            raise ValueError("u must be None for a system without inputs, got an array")
        return np.empty((n_data, 0))
    if u is None:
        raise ValueError(f"u must be given for a driven system, shape ({n_data}, {system.n_inputs}), or close the loop")
    u = as_inputs(u, system.n_inputs)
    if u.shape != (n_data, system.n_inputs):
        raise ValueError(f"u must have shape ({n_data}, {system.n_inputs}), one row per row of data, got {u.shape}")
    return u


@dataclass(frozen=True, eq=False, repr=False)
class ValidPredictionTime:
    """Hold how long forecasts stay close to the truth.

    Attributes
    ----------
    steps : array of int, shape (S,)
        Steps of every forecast before its error first exceeds the threshold; all of them if it never does.
    time : array, shape (S,)
        The same in units of time.
    lyapunov_times : array, shape (S,), or None
        The same in Lyapunov times, time * exponent, if the exponent was given.
    exceeded : array of bool, shape (S,)
        Whether the error did exceed the threshold; where not, the value is only a lower bound.
    error : array, shape (S, T)
        Relative error ||y - yhat|| / scale at every step; infinite from where a forecast stops being finite.
    scale : float
        sqrt(mean ||y - mean y||^2), the size of the true series.
    threshold, dt : float
        As given.
    exponent : float or None
        Largest Lyapunov exponent in nats per unit of time, as given.
    """

    steps: np.ndarray
    time: np.ndarray
    lyapunov_times: np.ndarray | None
    exceeded: np.ndarray
    error: np.ndarray
    scale: float
    threshold: float
    dt: float
    exponent: float | None

    @property
    def median(self) -> float:
        """Median over the forecasts, in Lyapunov times if the exponent is known, else in units of time."""
        return float(np.median(self._values))

    @property
    def quartiles(self) -> tuple[float, float]:
        """Lower and upper quartile, in the unit of the median."""
        low, high = np.percentile(self._values, [25, 75])
        return float(low), float(high)

    @property
    def _values(self) -> np.ndarray:
        return self.time if self.lyapunov_times is None else self.lyapunov_times

    def plot(self, ax=None):
        """Draw the median error and its quartiles over time, with the threshold; return the matplotlib axes."""
        from penstock.analysis.plots import plot_valid_prediction_time

        return plot_valid_prediction_time(self, ax)

    def __repr__(self):
        low, high = self.quartiles
        unit = "time units" if self.exponent is None else f"Lyapunov times (exponent {self.exponent:g} per time unit)"
        n, missed = len(self.steps), int(np.sum(~self.exceeded))
        lines = [
            f"ValidPredictionTime: median {self.median:.4g}, quartiles {low:.4g} and {high:.4g} {unit}",
            f"  forecasts   {n} of {self.error.shape[1]} steps of {self.dt:g}"
            + (": a single start says little" if n == 1 else ""),
            f"  threshold   ||y - yhat|| > {self.threshold:g} * {self.scale:.4g}, the size of the true series",
        ]
        if missed:
            lines.append(f"  NOT REACHED in {missed} of {n} forecasts: their times are lower bounds")
        return "\n".join(lines)


def valid_prediction_time(truth, forecast, *, threshold=0.4, dt=1.0, exponent=None, scale=None) -> ValidPredictionTime:
    """Measure how long forecasts stay within a threshold of the truth, in steps, time and Lyapunov times.

    The first t with ||y_t - yhat_t|| / sqrt(mean ||y - mean y||^2) > threshold, Euclidean norm over the dimensions.
    Published values differ in threshold, norm and exponent: all three are in the result. One start says little; pass
    forecasts from many.

    Parameters
    ----------
    truth, forecast : array, shape (S, T, d), (T, d) or (T,)
        Truth and forecast from S starts, the first row one step ahead. A forecast may stop being finite: from there
        on it is wrong.
    threshold : float, optional
        Relative error that is still valid.
    dt : float, optional
        Time between two steps.
    exponent : float, optional
        Largest Lyapunov exponent of the true system, in nats per unit of time.
    scale : float, optional
        Size of the true series, sqrt(mean ||y - mean y||^2); by default of all of `truth`. Give that of the long
        series if the forecasts are few and short.

    Returns
    -------
    ValidPredictionTime
        Values of all starts, median and quartiles, and the errors.

    Raises
    ------
    ValueError, TypeError
        If shapes differ, the truth is not finite or constant, or a number is not positive.

    References
    ----------
    P. R. Vlachas et al., Neural Networks 126, 191 (2020).

    Examples
    --------
    An error that grows as exp(0.9 t) from 1e-3 of the size reaches 0.4 after ln(400) Lyapunov times:

    >>> t = 0.01 * np.arange(1, 1001)
    >>> truth = np.sign(np.sin(t))
    >>> result = valid_prediction_time(truth, truth + 1e-3 * np.exp(0.9 * t), dt=0.01, exponent=0.9, scale=1.0)
    >>> bool(abs(result.median - np.log(400)) < 0.01)
    True
    """
    truth, forecast = _forecasts(truth, forecast)
    threshold, dt = as_positive_float("threshold", threshold), as_positive_float("dt", dt)
    exponent = None if exponent is None else as_positive_float("exponent", exponent)
    scale = _size(truth) if scale is None else as_positive_float("scale", scale)
    error = relative_error(truth, forecast, scale)
    steps = valid_steps(error, threshold)
    return ValidPredictionTime(
        steps=steps,
        time=steps * dt,
        lyapunov_times=None if exponent is None else steps * dt * exponent,
        exceeded=(error > threshold).any(axis=1),
        error=error,
        scale=scale,
        threshold=threshold,
        dt=dt,
        exponent=exponent,
    )


def _size(truth) -> float:
    size = float(np.sqrt(truth.var(axis=(0, 1)).sum()))
    if size <= 1e-13 * np.abs(truth).max():
        raise ValueError("truth must vary, got a constant: pass scale to compare with one")
    return size


def _forecasts(truth, forecast) -> tuple[np.ndarray, np.ndarray]:
    truth = as_finite_array("truth", truth, ndim=(1, 2, 3))
    forecast = np.asarray(forecast)
    if forecast.dtype.kind not in "fiub":
        raise TypeError(f"forecast must hold real numbers, got dtype {forecast.dtype}")
    if forecast.shape != truth.shape or truth.size == 0:
        raise ValueError(f"forecast must have the shape {truth.shape} of truth, not empty, got {forecast.shape}")
    shape = {1: (1, -1, 1), 2: (1, *truth.shape), 3: truth.shape}[truth.ndim]
    return truth.reshape(shape), forecast.reshape(shape)
