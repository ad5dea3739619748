"""Classification of series, or of their steps."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np

from penstock.checks import as_finite_array
from penstock.params import clone, sklearn_tags
from penstock.reservoirs.series import Scaling, Series, as_series, state_blocks
from penstock.reservoirs.training import Trained, check_aligned, default_system
from penstock.ridge_regression import Ridge
from penstock.threads import one_blas_thread

__all__ = ["Classifier", "last_state", "mean_state"]


def last_state(states):
    """Return the last of the states (T, n) of a series: (n,)."""
    return states[-1]


def mean_state(states):
    """Return the mean of the states (T, n) of a series: (n,)."""
    return states.mean(axis=0)


class Classifier(Trained):
    """Tell series apart, or the steps of a series, from the states of a system they drive.

    The class with the largest output wins: y = W_out pool(x_1 … x_T) + c has one output per class, trained to be 1 for
    that class and 0 for the others.

    Parameters
    ----------
    system : System, Drawn or None
        What is driven; a `Drawn` recipe is drawn at fit and can be searched over; None draws an `ESN` of 200 units.
    readout : object with fit and predict, or None
        None for `Ridge`, whose penalty is chosen by generalised cross-validation; any classifier of scikit-learn, or
        any regressor that takes several outputs.
    pool : function or None
        What a series is judged by: `mean_state`, `last_state` or a function of its states (T, n) with values (p,). None
        for one decision at every step.
    washout : int
        Steps at the beginning of every series that are not looked at.
    standardise : bool
        Whether inputs are brought to zero mean and unit variance (of the training data) inside.

    Attributes
    ----------
    classes_ : array, shape (C,)
        The labels, sorted.
    system_ : System
        What was driven.
    readout_ : object
        The fitted readout.
    n_features_in_ : int
        Input channels.

    References
    ----------
    H. Jaeger, M. Lukoševičius, D. Popovici, U. Siewert, Optimization and applications of echo state networks with
    leaky-integrator neurons, Neural Networks 20 (2007).

    Examples
    --------
    Slow waves and fast ones:

    >>> import numpy as np
    >>> from penstock.reservoirs import Classifier
    >>> waves = [np.sin(np.arange(40 + i) * (0.1 + 0.1 * (i % 2)) + i) for i in range(20)]
    >>> labels = ["slow", "fast"] * 10
    >>> model = Classifier().fit(waves[:10], labels[:10])
    >>> model.score(waves[10:], labels[10:])
    1.0

    A decision at every step, whether the value before was positive:

    >>> u = np.random.default_rng(0).standard_normal(600)
    >>> label = np.where(np.roll(u, 1) > 0, "up", "down")
    >>> Classifier(pool=None, washout=10).fit(u[:500], label[:500]).score(u[500:], label[500:]) > 0.9
    True
    """

    system_: Any
    readout_: Any
    inputs_: Scaling
    classes_: np.ndarray
    n_features_in_: int
    _estimator_type = "classifier"  # by which scikit-learn below 1.6 knows that folds shall be stratified

    def __init__(self, system=None, readout=None, *, pool: Callable | None = mean_state, washout=0, standardise=True):
        self.system = default_system(200, input_scaling=0.1) if system is None else system
        self.readout = Ridge() if readout is None else readout
        self.pool, self.washout, self.standardise = pool, washout, standardise

    def fit(self, X, y, *, progress=True):
        """Fit the readout.

        Parameters
        ----------
        X : array (n, T, m), or list of arrays (T_i, m) or (T_i,)
            The series; with ``pool=None`` also a single one, (T, m) or (T,).
        y : array-like, shape (n,)
            A label for every series: text, whole numbers, booleans. With ``pool=None`` one for every step, in the form
            of X.
        progress : bool, optional
            Whether a bar appears when it takes longer than two seconds.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If shapes do not fit together, a series is not longer than the washout, labels are missing, or there are
            fewer than two classes.
        FloatingPointError
            If the state diverges.
        """
        return self._learn(X, y, None, progress)

    @property
    def partial_fit(self):
        """``partial_fit(X, y, classes=None)``: go on learning from further series, if the readout is online.

        Such are `RLS`, `LMS`, `NLMS` and some classifiers of scikit-learn. System, scaling and classes stay those of
        the first call, which takes as `classes` all labels there will be, unless they are all in its y.
        """
        return super().partial_fit

    def _partial_fit(self, X, y, classes=None, *, progress=True):
        return self._learn(X, y, None if classes is None else _as_labels(classes), progress, online=True)

    @one_blas_thread
    def _learn(self, X, y, classes, progress, *, online=False):
        """Fit the readout; what is learnt is set at the end, so that a failure leaves nothing half-trained."""
        further = online and hasattr(self, "system_")
        series = self._judged(X) if further else as_series("X", X)
        self._check_form(series)
        labels, washout = self._labels(y, series), self._check_washout("X", series)
        counted = [own[washout:] for own in labels] if self.pool is None else labels
        if further:
            classes, system, scaling, readout = self.classes_, self.system_, self.inputs_, deepcopy(self.readout_)
        else:
            system = self._draw(series.n_channels, "the channels of X")
            scaling = self._scaling(series.parts, system.timed)
            readout = clone(self.readout)
        classes = _distinct(np.concatenate(counted), classes)
        ones = np.eye(len(classes))
        targets = counted if _is_classifier(readout) else [ones[np.searchsorted(classes, own)] for own in counted]

        def blocks():
            for i, start, features in self._features(system, scaling, series, washout, progress):
                yield features, targets[i][start : start + len(features)]

        if online:
            for features, wanted in blocks():
                readout.partial_fit(features, wanted, **({"classes": classes} if _is_classifier(readout) else {}))
        elif self.pool is None and hasattr(readout, "fit_blocks"):
            readout.fit_blocks(blocks)
        else:  # features of whole series are few, and worth but one run
            readout.fit(*map(np.concatenate, zip(*blocks(), strict=True)))
        self.system_, self.readout_, self.inputs_, self.classes_ = system, readout, scaling, classes
        self.n_features_in_ = series.n_channels
        return self

    @one_blas_thread
    def decision_function(self, X):
        """Return the output for every class, (n, C); for two classes (n,), positive for the second.

        With ``pool=None`` the same for the steps of every series, in the form of X.
        """
        return self._decide(X, self._outputs)

    @one_blas_thread
    def predict(self, X):
        """Return the label of every series, (n,); with ``pool=None`` of every step, in the form of X."""
        return self._decide(X, self._winners)

    def states(self, X):
        """Return the states (T, n_units) of every series, in the form of X."""
        series = self._known("X", X)
        return series.like([self.system_.run(self.inputs_(part)) for part in series.parts], False)

    def score(self, X, y):
        """Return the share of right decisions; per step, of those after the washout."""
        series = self._judged(X)
        labels, predicted = self._labels(y, series), self.predict(X)
        if self.pool is not None:
            return float(np.mean(predicted == np.concatenate(labels)))
        washout = self._check_washout("X", series)
        pairs = zip([predicted] if series.kind is None else predicted, labels, strict=True)
        return float(np.mean(np.concatenate([ours[washout:] == own[washout:] for ours, own in pairs])))

    def _judged(self, X) -> Series:
        """Return new series, of as many channels as at fit."""
        series = self._known("X", X)
        self._check_form(series)
        return series

    def _check_form(self, series):
        if self.pool is None:
            return
        if not callable(self.pool):
            raise TypeError(f"pool must be a function of states such as mean_state, or None, got {self.pool!r}")
        if series.kind is None:
            raise ValueError(
                "X must be several series, a list or an array (n, T, m), where pool gives one label per series, got "
                f"one of {len(series.parts[0])} steps and {series.n_channels} channels; give [X] for a single one, "
                "X[:, :, None] if its rows are series of one channel, or choose pool=None for a label per step"
            )

    def _labels(self, y, series) -> list[np.ndarray]:
        """Return the labels of every series: (1,), or (T,) if every step has one."""
        if self.pool is None:
            return _labels_of_steps(y, series)
        labels = _labels_of_series(y, len(series.parts))
        return [labels[i : i + 1] for i in range(len(labels))]

    def _features(self, system, scaling, series, washout, progress):
        """Yield (series, first row, features (r, p)): one row per series, or states by blocks, after the washout."""
        kept: list[np.ndarray] = []
        width = None
        drives = [scaling(part) for part in series.parts]
        for i, start, states in state_blocks(system, drives, "states", progress):
            after = states[max(0, washout - start) :, system.observed]
            if self.pool is None:
                yield i, max(0, start - washout), after
                continue
            kept.append(after)
            if start + len(states) == len(drives[i]):
                row = _pooled(self.pool, np.concatenate(kept), width)
                kept, width = [], row.size
                yield i, 0, row[None]

    def _decide(self, X, decide):
        """Return the decisions for series, or for their steps in the form of X."""
        series = self._judged(X)
        washout = 0 if self.pool is None else self._check_washout("X", series)
        features = self._features(self.system_, self.inputs_, series, washout, True)
        if self.pool is not None:
            return decide(np.concatenate([row for _, _, row in features]))
        parts: list[list] = [[] for _ in series.parts]
        for i, _, rows in features:
            parts[i].append(decide(rows))
        return series.like([np.concatenate(part) for part in parts], False)

    def _outputs(self, rows):
        readout = self.readout_
        if hasattr(readout, "decision_function"):
            return readout.decision_function(rows)
        outputs = readout.predict_proba(rows) if _is_classifier(readout) else readout.predict(rows)
        return outputs[:, 1] - outputs[:, 0] if len(self.classes_) == 2 else outputs

    def _winners(self, rows):
        if _is_classifier(self.readout_):
            return self.readout_.predict(rows)
        return self.classes_[self.readout_.predict(rows).argmax(axis=1)]

    def __sklearn_tags__(self):
        return sklearn_tags("classifier", two_d_array=self.pool is None, three_d_array=True)


def _is_classifier(readout):
    return hasattr(readout, "decision_function") or hasattr(readout, "predict_proba")


def _distinct(labels, classes):
    """Return the labels there are, or the classes given, which hold them all: sorted."""
    own = np.unique(labels)
    if classes is None:
        classes = own
    elif not np.isin(own, classes).all():
        new = own[~np.isin(own, classes)].tolist()[0]
        raise ValueError(f"y must hold labels of classes {classes.tolist()}, got {new!r}")
    if len(classes) < 2:
        raise ValueError(f"y must hold at least two classes, got only {classes.tolist()[0]!r}")
    return np.unique(classes)


def _pooled(pool, states, width):
    features = as_finite_array("pool(states)", pool(states))
    if features.ndim != 1 or width not in (None, features.size):
        before = "" if width is None else f" after ({width},)"
        raise ValueError(
            f"pool must turn the states (T, n) of every series into as many features (p,), got shape {features.shape}"
            f"{before} for states of shape {states.shape}"
        )
    return features


def _labels_of_series(y, n) -> np.ndarray:
    each = _as_list(y)
    if each and all(np.ndim(label) > 0 for label in each):
        raise ValueError(
            f"y must hold one label per series, got arrays, the first of shape {np.shape(each[0])}; for one label per "
            "step choose pool=None"
        )
    labels = _as_labels(y)
    if len(labels) != n:
        raise ValueError(
            f"y must hold one label for each of the {n} series in X, got {len(labels)}; for one per step choose "
            "pool=None, and give a list of arrays"
        )
    return labels


def _labels_of_steps(y, series) -> list[np.ndarray]:
    each = [y] if series.kind is None else _as_list(y)
    if any(np.asarray(labels).ndim == 0 for labels in each):
        raise ValueError(
            f"y must hold an array of labels, one per step, for every series where pool is None, got {each[0]!r} for "
            "the first; for one label per series choose pool=mean_state"
        )
    labels = [_as_labels(own) for own in each]
    check_aligned("y", Series(labels, series.kind, True), "X", series)
    if len({_is_text(own) for own in labels}) > 1:
        raise ValueError("y must hold labels of one kind, got text and numbers")
    return labels


def _as_list(y) -> list:
    try:
        return list(y)
    except TypeError:
        raise TypeError(f"y must be an array or list of labels, got {y!r}") from None


def _as_labels(values) -> np.ndarray:
    """Return labels (n,) of one kind, none of them missing."""
    labels = np.asarray(values)
    if labels.ndim != 1:
        raise ValueError(f"y must hold one label per series or step, got shape {labels.shape}")
    if (labels.dtype.kind in "US" and not isinstance(values, np.ndarray)) or labels.dtype.kind == "O":
        each = np.asarray(values, dtype=object)  # as text, a missing label would be the class "nan"
        if any(label is None or label != label for label in each):
            raise ValueError("y must hold a label for every series or step, got None or NaN")
        if len({isinstance(label, str | bytes) for label in each}) > 1:
            raise ValueError("y must hold labels of one kind, got text and numbers")
    if labels.dtype.kind == "f":
        if not np.isfinite(labels).all():
            raise ValueError("y must hold a label for every series or step, got NaN or infinity")
        between = labels != np.floor(labels)
        if between.any():
            raise ValueError(
                f"y must hold labels, got continuous numbers such as {labels[between][0]}, for which there is Regressor"
            )
    return labels


def _is_text(labels):
    return labels.dtype.kind in "US" or (labels.dtype.kind == "O" and isinstance(labels[0], str | bytes))
