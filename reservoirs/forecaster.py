"""Forecasting: a system that learns to continue a series."""

import numpy as np

from penstock.checks import as_finite_array, as_int
from penstock.metrics import relative_error
from penstock.params import check_fitted, sklearn_tags
from penstock.reservoirs.forecast import Forecast
from penstock.reservoirs.series import Series, as_series, block_size
from penstock.reservoirs.training import (
    Sequential,
    beside,
    check_channels,
    check_varies,
    default_system,
    last_state_of,
    r2_of_series,
    teach,
)
from penstock.ridge_regression import Ridge
from penstock.threads import one_blas_thread

__all__ = ["Forecaster"]


class Forecaster(Sequential):
    """Learn to continue a series: a system driven by the series predicts the next value, which is then fed back.

    x_t = F(x_{t-1}, [z_t, y_{t-1}]), ŷ_t = W_out x_t + c, with exogenous inputs z_t if there are any. With `increments`
    the readout learns y_t - y_{t-1} instead.

    Parameters
    ----------
    system : System, Drawn or None
        What is driven; a `Drawn` recipe is drawn at fit and can be searched over; None draws an `ESN` of 500 units.
    readout : object with fit and predict, or None
        None for `Ridge`, whose penalty is chosen by generalised cross-validation; any linear model of scikit-learn.
    washout : int
        Steps of every series that are run but not learned from, and not scored.
    standardise : bool
        Whether the series is brought to zero mean and unit variance (of the training data) inside.
    increments : bool
        Whether the change from one step to the next is learned, as in next-generation reservoir computing.
    teacher_noise : float
        Standard deviation of noise on the series as an input in training, in units of its own after standardising;
        makes long forecasts robust.
    seed : int or numpy.random.SeedSequence
        Of this noise.

    Attributes
    ----------
    system_ : System
        What was driven.
    readout_ : object
        The fitted readout, from states to the standardised series.
    n_features_in_ : int
        Channels of the series.

    Notes
    -----
    Everything is fitted to predict one step, and so is the penalty of `Ridge` chosen, which is right for long clean
    series. Of short or noisy ones the penalty it finds may be so small that a long forecast runs off. Choose it, the
    teacher noise or the system by the error of forecasts instead, as in the second example below.

    Examples
    --------
    >>> from penstock.data import mackey_glass
    >>> from penstock.reservoirs import Forecaster
    >>> u = mackey_glass(2500)
    >>> forecast = Forecaster().fit(u[:2000]).forecast(500, truth=u[2000:])
    >>> forecast.valid_steps() > 300
    True

    The penalty of a short noisy series by the error of forecasts over 50 steps, with scikit-learn:

    >>> import numpy as np
    >>> from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
    >>> from penstock.reservoirs import ESN
    >>> noisy = u[:800] + 0.05 * np.random.default_rng(0).standard_normal(800)
    >>> def closed_loop_score(model, series, y=None):
    ...     return -model.forecast(50, series[:-50], truth=series[-50:]).error.clip(max=1.0).mean()
    >>> esn = ESN.random(300, leak=0.5, input_scaling=0.3, bias_scaling=0.3, seed=0)
    >>> grid = {"readout__alpha": [None, 1e-4, 1.0]}
    >>> folds = TimeSeriesSplit(2, test_size=150)
    >>> GridSearchCV(Forecaster(esn), grid, scoring=closed_loop_score, cv=folds).fit(noisy).best_params_
    {'readout__alpha': 0.0001}
    """

    def __init__(
        self,
        system=None,
        readout=None,
        *,
        washout=100,
        standardise=True,
        increments=False,
        teacher_noise=0.0,
        seed=0,
    ):
        self.system = default_system(500, input_scaling=0.3, leak=0.5) if system is None else system
        self.readout = Ridge() if readout is None else readout
        self.washout, self.standardise, self.increments = washout, standardise, increments
        self.teacher_noise, self.seed = teacher_noise, seed

    def _feedback(self):
        return 1.0

    def fit(self, series, y=None, *, exogenous=None, progress=True):
        """Fit the readout to predict every value of the series from those before it.

        Parameters
        ----------
        series : array (T,), (T, d) or (n, T, d), or list of arrays (T_i, d)
            One or more series.
        y : None
            There for scikit-learn's sake.
        exogenous : of the same form, optional
            Inputs z known when the value of the same row is predicted.
        progress : bool, optional
            Whether a bar appears when it takes longer than two seconds.

        Raises
        ------
        ValueError, TypeError
            If shapes do not fit together, a series is not longer than the washout, or does not vary.
        FloatingPointError
            If the state diverges.
        """
        targets = as_series("series", series)
        check_varies("series", targets)
        return self._learn(self._outside(targets, exogenous), targets, None, progress)

    def _partial_fit(self, series, y=None, *, exogenous=None, progress=True):
        further = hasattr(self, "system_")
        targets = self._known_series("series", series) if further else as_series("series", series)
        check_varies("series", targets)
        outside = self._outside(targets, exogenous, len(self.inputs_.center) if further else None)
        return self._learn(outside, targets, None, progress, online=True)

    @property
    def n_features_in_(self) -> int:
        """Channels of the series at fit."""
        return len(self.outputs_.center)

    def predict(self, series, *, exogenous=None, progress=True):
        """Return the prediction of every value from those before it, in the form of `series`; each from rest."""
        series, drives = self._teach(series, exogenous)
        return series.like(self._outputs(self.system_, drives, progress), self.flat_)

    def states(self, series, *, exogenous=None):
        """Return the states (T, n_units) that `predict` reads."""
        series, drives = self._teach(series, exogenous)
        return series.like([self.system_.run(drive) for drive in drives], False)

    def score(self, series, y=None, *, exogenous=None, progress=True):
        """Return R² of the predictions one step ahead, mean over the channels, of the steps after the washout."""
        known, drives = self._teach(series, exogenous)
        washout = self._check_washout("series", known)
        predicted = self._outputs(self.system_, drives, progress)
        return r2_of_series([y[washout:] for y in known.parts], [p[washout:] for p in predicted])

    @one_blas_thread
    def forecast(self, horizon, warmup=None, *, exogenous=None, truth=None) -> Forecast:
        """Continue the series, each forecast value fed back for the next.

        Parameters
        ----------
        horizon : int
            Number of steps.
        warmup : array, shape (T,) or (T, d), optional
            What came just before, on which the system synchronises from rest; for B starts (B, T) or (B, T, d), or a
            list. By default the last training series.
        exogenous : array, shape (horizon, m) or (B, horizon, m), optional
            Inputs of the steps to come; with `warmup`, (T + horizon, m): those beside it first.
        truth : array of the form of the forecast, optional
            What happened, for the errors.

        Returns
        -------
        Forecast

        Raises
        ------
        ValueError, TypeError
            If the horizon is below 1 or shapes do not fit.
        FloatingPointError
            If the forecast diverges.
        """
        check_fitted(self, "system_")
        horizon = as_int("horizon", horizon)
        state, future = self._synchronise(horizon, warmup, exogenous)
        series = np.empty((*future.shape[:-1], len(self.outputs_.center)))
        series[..., 0, :] = self.observe(state)
        closed, start = self._closed(), 1
        try:
            for states in closed.blocks(future[..., 1:, :], block_size(closed, future), state):
                stop = start + states.shape[-2]
                series[..., start:stop, :] = self.observe(states)
                start = stop
        except FloatingPointError as error:
            raise FloatingPointError(
                f"the forecast diverged; a larger penalty of the readout or teacher_noise may keep it bounded: {error}"
            ) from None
        return self._as_forecast(series, truth)

    def closed_loop(self):
        """Return the trained system with its outputs fed back: autonomous unless there are exogenous inputs.

        Its states are those of `system_`; `observe` turns them into values of the series. Analyses of it begin where
        the training series ended; a run starts there by ``x0=model.synchronise()``.
        """
        check_fitted(self, "system_")
        loop = self._closed()
        return loop if loop.n_inputs else loop.starting_at(self.synchronise())

    def synchronise(self, warmup=None, *, exogenous=None):
        """Return the state (n_units,) from which the first forecast is read: ``observe`` of it is the next value."""
        check_fitted(self, "system_")
        return self._synchronise(1, warmup, exogenous)[0]

    @one_blas_thread
    def _synchronise(self, horizon, warmup, exogenous):
        """Return the state one step ahead, (n,) or (B, n), and the exogenous inputs of the horizon, standardised."""
        if warmup is None:
            state, value, before = self.last_state_, self.last_output_, 0
            shape = (horizon,)
        else:
            known = self.outputs_(self._as_warmup(warmup))
            before = known.shape[-2]
            shape = (*known.shape[:-2], before + horizon)
            value = known[..., -1, :]
        outside = self._exogenous("exogenous", exogenous, shape)
        if warmup is not None:
            state = last_state_of(self.system_, teach(outside[..., :before, :], known, 1.0))
        future = outside[..., before:, :]
        drive = np.concatenate([future[..., 0, :], value], axis=-1)
        return self.system_.run(drive[..., None, :], state)[..., 0, :], future

    def _as_warmup(self, warmup):
        """Return one series (T, d), or several of one length (B, T, d)."""
        if self.flat_ and hasattr(warmup, "shape") and warmup.ndim == 2 and warmup.shape[1] > 1:
            warmup = np.asarray(warmup)[..., None]
        series = self._known_series("warmup", warmup)
        if len({len(part) for part in series.parts}) > 1:
            raise ValueError(
                "warmup must be series of one length where there are several; cut the longer at their start"
            )
        return series.parts[0] if series.kind is None else np.stack(series.parts)

    def _exogenous(self, name, exogenous, shape):
        """Return the inputs from outside, standardised; empty ones if the model has none."""
        m = len(self.inputs_.center)
        if m == 0:
            if exogenous is not None:
                raise ValueError(f"{name} must be None for a model that was fitted without, got an array")
            return np.empty((*shape, 0))
        if exogenous is None:
            raise ValueError(f"{name} must be given as at fit, with shape {(*shape, m)}, got None")
        array = as_finite_array(name, exogenous)
        array = array[..., None] if m == 1 and array.shape == shape else array
        if array.shape != (*shape, m):
            raise ValueError(f"{name} must have shape {(*shape, m)}, got {array.shape}")
        return self.inputs_(array)

    def _outside(self, targets, exogenous, n_channels=None) -> Series:
        """Return the exogenous inputs of known series, or empty ones."""
        if exogenous is None:
            if n_channels:
                raise ValueError(f"exogenous must be given as at fit, {n_channels} channels, got None")
            return Series([np.empty((len(part), 0)) for part in targets.parts], targets.kind, False)
        outside = beside("exogenous", exogenous, "series", targets)
        if n_channels is not None:
            if n_channels == 0:
                raise ValueError("exogenous must be None for a model that was fitted without, got an array")
            check_channels("exogenous", outside, n_channels)
        return outside

    def _known_series(self, name, series) -> Series:
        check_fitted(self, "system_")
        known = as_series(name, series)
        check_channels(name, known, len(self.outputs_.center))
        return known

    def _teach(self, series, exogenous):
        """Return known series and what drives the system through them."""
        known = self._known_series("series", series)
        outside = self._outside(known, exogenous, len(self.inputs_.center))
        pairs = zip(outside.parts, known.parts, strict=True)
        return known, [teach(self.inputs_(z), self.outputs_(y), 1.0) for z, y in pairs]

    def _as_forecast(self, series, truth) -> Forecast:
        form = series[..., 0] if self.flat_ else series
        n_starts = len(series) if series.ndim == 3 else None
        if truth is None:
            return Forecast(form, None, None, self.size_, n_starts)
        truth = as_finite_array("truth", truth)
        if truth.shape not in (form.shape, series.shape):
            raise ValueError(f"truth must have the shape {form.shape} of the forecast, got {truth.shape}")
        error = relative_error(truth.reshape(series.shape), series, self.size_)
        return Forecast(form, truth.reshape(form.shape), error, self.size_, n_starts)

    def __sklearn_tags__(self):
        return sklearn_tags(None, three_d_array=True)
