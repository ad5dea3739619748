"""Regression of one series on another."""

from penstock.checks import as_finite_float
from penstock.params import sklearn_tags
from penstock.reservoirs.series import as_series
from penstock.reservoirs.training import (
    Sequential,
    beside,
    check_channels,
    check_varies,
    default_system,
    r2_of_series,
)
from penstock.ridge_regression import Ridge

__all__ = ["Regressor"]


class Regressor(Sequential):
    """Read a target series from the states of a driven system, trained by linear regression.

    x_t = F(x_{t-1}, u_t), y_t = W_out x_t + c. With feedback x_t = F(x_{t-1}, [u_t, s y_{t-1}]), the true y in training
    and the model's own in prediction.

    Parameters
    ----------
    system : System, Drawn or None
        What is driven; a `Drawn` recipe is drawn at fit and can be searched over; None draws an `ESN` of 200 units.
    readout : object with fit and predict, or None
        None for `Ridge`, whose penalty is chosen by generalised cross-validation; any linear model of scikit-learn.
    washout : int
        Steps of every series that are run but not learned from, and not scored.
    standardise : bool
        Whether inputs and targets are brought to zero mean and unit variance (of the training data) inside.
    feedback_scaling : float or None
        Factor s of the outputs that are fed back through the last channels of the system; None for no feedback. The
        weights of these channels are W_fb.
    teacher_noise : float
        Standard deviation of noise on the fed-back outputs in training, in units of theirs after standardising; makes
        loops robust.
    seed : int or numpy.random.SeedSequence
        Of this noise.

    Attributes
    ----------
    system_ : System
        What was driven.
    readout_ : object
        The fitted readout, from states to standardised targets.
    n_features_in_ : int
        Input channels.

    Examples
    --------
    >>> from penstock.data import narma
    >>> from penstock.reservoirs import Regressor
    >>> task = narma(10, n_steps=3000, seed=0)
    >>> model = Regressor().fit(task.inputs[:2000], task.targets[:2000])
    >>> model.score(task.inputs[2000:], task.targets[2000:]) > 0.9
    True
    """

    def __init__(
        self,
        system=None,
        readout=None,
        *,
        washout=100,
        standardise=True,
        feedback_scaling=None,
        teacher_noise=0.0,
        seed=0,
    ):
        self.system = default_system(200, input_scaling=0.1) if system is None else system
        self.readout = Ridge() if readout is None else readout
        self.washout, self.standardise = washout, standardise
        self.feedback_scaling, self.teacher_noise, self.seed = feedback_scaling, teacher_noise, seed

    def _feedback(self):
        return None if self.feedback_scaling is None else as_finite_float("feedback_scaling", self.feedback_scaling)

    def fit(self, X, y, sample_weight=None, *, progress=True):
        """Fit the readout.

        Parameters
        ----------
        X : array (T, m), (T,) or (n, T, m), or list of arrays (T_i, m)
            One or more series of inputs.
        y : of the same form
            Targets (T, k) or (T,) of every step, beside a stack (n, T, k) or (n, T); NaN where unknown, which is left
            out (not with feedback).
        sample_weight : of the form of y with one channel, optional
            Weight of every step, at least 0.
        progress : bool, optional
            Whether a bar appears when it takes longer than two seconds.

        Raises
        ------
        ValueError, TypeError
            If shapes do not fit together, a series is not longer than the washout, or the targets do not vary.
        FloatingPointError
            If the state diverges.
        """
        return self._learn(*_aligned(X, y, sample_weight, gaps=self.feedback_scaling is None), progress)

    def _partial_fit(self, X, y, *, progress=True):
        inputs, targets, _ = _aligned(X, y, None, gaps=self.feedback_scaling is None)
        if hasattr(self, "system_"):
            check_channels("X", inputs, self.n_features_in_)
            check_channels("y", targets, len(self.outputs_.center))
        return self._learn(inputs, targets, None, progress, online=True)

    @property
    def n_features_in_(self) -> int:
        """Input channels at fit."""
        return len(self.inputs_.center)

    def predict(self, X, *, progress=True):
        """Return the outputs at every step, every series from rest; in the form of X, (T,) if y was."""
        series, system = self._drive(X)
        return series.like(self._outputs(system, series.parts, progress), self.flat_)

    def states(self, X):
        """Return the states (T, n_units) that `predict` reads."""
        series, system = self._drive(X)
        return series.like([system.run(part) for part in series.parts], False)

    def score(self, X, y, *, progress=True):
        """Return the coefficient of determination R², mean over the outputs, of the steps after the washout."""
        series, system = self._drive(X)
        targets = beside("y", y, "X", series, missing=True)
        check_channels("y", targets, len(self.outputs_.center))
        washout = self._check_washout("X", series)
        predicted = self._outputs(system, series.parts, progress)
        return r2_of_series([y[washout:] for y in targets.parts], [p[washout:] for p in predicted])

    def _drive(self, X):
        series = self._known("X", X)
        series = series._replace(parts=[self.inputs_(part) for part in series.parts])
        return series, self.system_ if self.feedback_ is None else self._closed()

    def __sklearn_tags__(self):
        return sklearn_tags("regressor", three_d_array=True)


def _aligned(X, y, sample_weight, *, gaps):
    """Return inputs, targets and weights (a list, or None) of the same lengths."""
    inputs = as_series("X", X)
    targets = beside("y", y, "X", inputs, missing=gaps)
    check_varies("y", targets)
    if sample_weight is None:
        return inputs, targets, None
    weights = beside("sample_weight", sample_weight, "X", inputs)
    if weights.n_channels != 1 or min(part.min() for part in weights.parts) < 0:
        raise ValueError("sample_weight must be one number of at least 0 for every step")
    return inputs, targets, [part[:, 0] for part in weights.parts]
