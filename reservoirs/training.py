"""What trained models share: a system driven by standardised series, its states streamed into a readout."""

import inspect
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any

import numpy as np

from penstock.checks import as_int, as_non_negative_float, seed_sequence
from penstock.chunks import fast_blocks
from penstock.closed_loop import ClosedLoop, PassThrough
from penstock.metrics import r2
from penstock.online import LMS, NLMS, RLS
from penstock.params import Parameters, check_fitted, clone
from penstock.readout import Readout
from penstock.reservoirs.drawn import Drawn
from penstock.reservoirs.esn import ESN
from penstock.reservoirs.series import Scaling, Series, as_series, block_size, state_blocks
from penstock.system import as_system
from penstock.threads import one_blas_thread

__all__ = [
    "Sequential",
    "Trained",
    "beside",
    "check_aligned",
    "check_channels",
    "check_varies",
    "default_system",
    "last_state_of",
    "r2_of_series",
    "teach",
]


class Trained(Parameters):
    """What all share: a system driven by standardised inputs, its states streamed into a readout."""

    system: Any
    readout: Any
    washout: int
    standardise: bool
    n_features_in_: int
    _partial_fit: Callable

    @property
    def partial_fit(self):
        """``partial_fit`` with the arguments of `fit`, without weights: go on learning from further series, from rest.

        Only where the readout is online, such as `RLS`, `LMS` or `NLMS`. System, scaling and feedback stay those of the
        first call.
        """
        if not hasattr(self.readout, "partial_fit"):
            raise AttributeError(f"partial_fit needs an online readout such as RLS, LMS or NLMS, got {self.readout!r}")
        return self._partial_fit

    def _check_washout(self, name, series: Series) -> int:
        washout, shortest = as_int("washout", self.washout, minimum=0), min(map(len, series.parts))
        if shortest <= washout:
            raise ValueError(
                f"washout must be below {shortest}, the steps of the shortest series in {name}, got {washout}"
            )
        return washout

    def _scaling(self, parts, timed=False) -> Scaling:
        """Return the scaling of the channels; elapsed times, the last channel of a timed system, stay as they are."""
        if not self.standardise:
            return Scaling.none(parts[0].shape[1])
        center, scale = Scaling.of(parts)
        if timed:
            center[-1], scale[-1] = 0.0, 1.0
        return Scaling(center, scale)

    def _draw(self, n_inputs, meaning):
        system = self.system.draw(n_inputs) if isinstance(self.system, Drawn) else as_system(self.system)
        if system.n_inputs != n_inputs:
            raise ValueError(f"system must have n_inputs={n_inputs} ({meaning}), got {system.n_inputs}")
        return system

    def _known(self, name, X) -> Series:
        """Return new data as series, of as many channels as at fit."""
        check_fitted(self, "system_")
        series = as_series(name, X)
        check_channels(name, series, self.n_features_in_)
        return series


class Sequential(Trained):
    """What gives a value at every step: `Regressor` and `Forecaster`."""

    teacher_noise: float
    seed: Any
    increments: bool = False
    system_: Any
    readout_: Any
    linear_: Readout | None
    inputs_: Scaling
    outputs_: Scaling
    feedback_: float | None
    increments_: bool
    last_state_: np.ndarray
    last_output_: np.ndarray
    flat_: bool
    size_: float

    def _feedback(self) -> float | None:
        raise NotImplementedError

    @one_blas_thread
    def _learn(self, inputs: Series, targets: Series, weights, progress, *, online=False):
        """Fit the readout; what is learnt is set at the end, so that a failure leaves nothing half-trained."""
        further = online and hasattr(self, "system_")
        increments, feedback = (self.increments_, self.feedback_) if further else (self.increments, self._feedback())
        washout = max(self._check_washout("the training data", targets), int(increments))
        noise = as_non_negative_float("teacher_noise", self.teacher_noise) * (feedback or 0.0)
        if self.teacher_noise and feedback is None:
            raise ValueError(f"teacher_noise must be 0 without feedback, got {self.teacher_noise}")
        _check_takes_weights(self.readout, weights)
        m, k = inputs.n_channels, targets.n_channels
        if further:
            system = self.system_.system if increments else self.system_
            readout, in_scaling, out_scaling = deepcopy(self.readout_), self.inputs_, self.outputs_
        else:
            fed = f" and {k} outputs fed back" if feedback is not None else ""
            system = self._draw(m if feedback is None else m + k, f"{m} inputs{fed}")
            readout = clone(self.readout)
            if system.timed and feedback is not None:
                raise ValueError("system must not be timed where outputs are fed back: its last input is elapsed time")
            in_scaling, out_scaling = self._scaling(inputs.parts, system.timed), self._scaling(targets.parts)
        U = [in_scaling(part) for part in inputs.parts]
        Y = [out_scaling(part) for part in targets.parts]
        clean = U if feedback is None else [teach(u, y, feedback) for u, y in zip(U, Y, strict=True)]
        drives = _with_noise(clean, k, noise, self.seed) if noise else clean
        wanted = [y - drive[:, m:] for y, drive in zip(Y, drives, strict=True)] if increments else Y
        rows = _Rows(system, drives, wanted, weights, washout, progress)
        _fit_readout(readout, rows, online)
        linear = _as_linear(readout, rows.last[:, system.observed].astype(np.float64))
        end = last_state_of(system, clean[-1]) if noise else rows.last[-1]
        if increments:
            system, linear = PassThrough(system, k), _with_persistence(system, linear, k)
            end = np.concatenate([end, clean[-1][-1, m:]], dtype=end.dtype)
        self.system_, self.readout_, self.linear_ = system, readout, linear
        self.inputs_, self.outputs_, self.feedback_, self.increments_ = in_scaling, out_scaling, feedback, increments
        self.last_state_, self.last_output_, self.flat_ = end, Y[-1][-1], targets.flat
        self.size_ = float(np.sqrt(np.nanvar(np.concatenate(targets.parts), axis=0).sum()))
        return self

    def _closed(self):
        """Return the system with its own outputs fed back."""
        if self.linear_ is None:
            return ClosedLoop(self.system_, partial(_predicted, self.readout_, self.feedback_))
        fed = Readout(self.feedback_ * self.linear_.W_out, self.feedback_ * self.linear_.offset)
        every = len(fed.offset) == self.system_.n_inputs
        return self.system_.close(fed) if every else ClosedLoop(self.system_, fed)

    @one_blas_thread
    def observe(self, states):
        """Return the outputs, in the units of the training data, of states (…, n_units) of `system_`."""
        check_fitted(self, "system_")
        states = np.asarray(states)[..., self.system_.observed]
        outputs = _predicted(self.readout_, 1.0, states) if self.linear_ is None else self.linear_(states)
        return self.outputs_.undo(outputs)

    @one_blas_thread
    def _outputs(self, system, drives, progress) -> list[np.ndarray]:
        outputs = [np.empty((len(drive), len(self.outputs_.center))) for drive in drives]
        for i, start, states in state_blocks(system, drives, "predict", progress):
            outputs[i][start : start + len(states)] = self.observe(states)
        return outputs


# --- pieces ---


def default_system(n_units, **settings):
    """Return the recipe of a network for standardised series; only with a bias does it form even powers of them."""
    return Drawn(ESN.random, n_units=n_units, spectral_radius=0.9, bias_scaling=0.3, **settings, seed=0)


def check_channels(name, series, wanted):
    """Raise an error unless the series have the wanted number of channels."""
    if series.n_channels != wanted:
        raise ValueError(f"{name} must have {wanted} channels as at fit, got {series.n_channels}")


def beside(name, value, other_name, other, *, missing=False) -> Series:
    """Return series of the lengths of others; one channel beside a stack may be (n, T)."""
    if other.kind is np.ndarray and np.shape(value) == (len(other.parts), len(other.parts[0])):
        series = as_series(name, np.asarray(value)[..., None], missing=missing)._replace(flat=True)
    else:
        series = as_series(name, value, missing=missing)
    check_aligned(name, series, other_name, other)
    return series


def check_aligned(name, series, other_name, other):
    """Raise an error unless two lists of series have the same lengths."""
    lengths, wanted = [len(part) for part in series.parts], [len(part) for part in other.parts]
    if lengths != wanted:
        raise ValueError(f"{name} must have the lengths of {other_name}, {_shown(wanted)}, got {_shown(lengths)}")


def _shown(lengths):
    return f"{lengths}" if len(lengths) < 6 else f"[{', '.join(map(str, lengths[:5]))}, … {len(lengths)} series]"


def check_varies(name, targets):
    """Raise an error if a channel has no value or all are constant."""
    whole = np.concatenate(targets.parts)
    for j, column in enumerate(whole.T):
        if np.isnan(column).all():
            raise ValueError(f"{name} must have a value in every channel, got only NaN in channel {j}")
    if (np.nanmax(whole, axis=0) == np.nanmin(whole, axis=0)).all():
        raise ValueError(f"{name} must vary, got the constant {whole[0].tolist()}: there is nothing to learn")


def teach(inputs, outputs, scale):
    """Return the inputs (…, T, m + k) with the true outputs of the step before, 0 at the first step."""
    before = np.concatenate([np.zeros_like(outputs[..., :1, :]), outputs[..., :-1, :]], axis=-2)
    return np.concatenate([inputs, scale * before], axis=-1)


def _with_noise(drives, k, scale, seed):
    rng = np.random.default_rng(seed_sequence(seed))
    noisy = [drive.copy() for drive in drives]
    for drive in noisy:
        drive[:, drive.shape[1] - k :] += scale * rng.standard_normal((len(drive), k))
    return noisy


class _Rows:
    """The rows a readout learns from, as often as asked for: called, it yields states, targets and weights."""

    def __init__(self, system, drives, wanted, weights, washout, progress):
        self.system, self.drives, self.wanted, self.weights = system, drives, wanted, weights
        self.washout, self.progress = washout, progress
        self.last = np.empty(0)  # the last states of the last series, once all rows have been taken

    def __call__(self):
        for i, start, states in state_blocks(self.system, self.drives, "fit", self.progress):
            skip = min(max(0, self.washout - start), len(states))
            rows = slice(start + skip, start + len(states))
            if skip < len(states):
                weights = None if self.weights is None else self.weights[i][rows]
                yield states[skip:, self.system.observed], self.wanted[i][rows], weights
        self.last = states[-8:].copy()


def _check_takes_weights(readout, weights):
    if weights is None or hasattr(readout, "fit_blocks"):
        return
    if "sample_weight" not in inspect.signature(readout.fit).parameters:
        raise ValueError(f"sample_weight must be None, for the readout takes none: {readout!r}")


def _fit_readout(readout, rows, online):
    """Fit a readout on streamed rows; `online`, go on fitting it."""
    if isinstance(readout, LMS | NLMS | RLS):  # row by row: the same as `fit` on all at once
        for X, Y, _ in rows():
            readout.partial_fit(X, Y)
    elif online:
        for X, Y, _ in rows():
            X, Y, _ = _complete(X, Y, None)
            if len(X):
                readout.partial_fit(X, Y)
    elif hasattr(readout, "fit_blocks"):
        readout.fit_blocks(rows)
    else:
        X, Y, w = (list(part) for part in zip(*rows(), strict=True))
        X, Y, w = _complete(np.concatenate(X), np.concatenate(Y), None if w[0] is None else np.concatenate(w))
        readout.fit(X, Y, **({} if w is None else {"sample_weight": w}))


def _complete(X, Y, weights):
    """Return the rows that have a target, (T,) for one channel, for readouts that take no gaps."""
    gaps = np.isnan(Y)
    if (gaps.any(axis=1) != gaps.all(axis=1)).any():
        raise ValueError(
            "y must be missing in all channels of a step or in none for this readout; Ridge takes any gaps"
        )
    keep = ~gaps.any(axis=1)
    Y = Y[:, 0] if Y.shape[1] == 1 else Y
    return X[keep], Y[keep], None if weights is None else weights[keep]


def _as_linear(readout, states) -> Readout | None:
    """Return a fitted linear readout as a `Readout`, tried on states (T, n); None for any other.

    Some have coefficients and predict something else, such as scikit-learn's PoissonRegressor or PLSRegression.
    """
    if not (hasattr(readout, "coef_") and hasattr(readout, "intercept_")):
        return None
    W = np.atleast_2d(np.asarray(readout.coef_, np.float64))
    linear = Readout(W, np.broadcast_to(readout.intercept_, len(W)))
    predicted = _predicted(readout, 1.0, states)
    tolerance = 1e-6 * (np.abs(states) @ np.abs(W).T + np.abs(linear.offset)).max()
    return linear if np.allclose(linear(states), predicted, rtol=0, atol=tolerance) else None


def _predicted(readout, scale, states):
    """Return the outputs, times a scale, of a readout of any kind from states (…, n)."""
    rows = np.asarray(readout.predict(states.reshape(-1, states.shape[-1])))
    return scale * rows.reshape(*states.shape[:-1], -1)


def _with_persistence(system, linear, k):
    """Return the readout of a `PassThrough` that adds the change it was trained for to the value before."""
    if linear is None:
        raise ValueError("readout must be linear where increments are learned, with coef_ and intercept_")
    W_out = np.zeros((k, system.n_units + k))
    W_out[:, : system.n_units][:, system.observed] = linear.W_out
    W_out[:, system.n_units :] = np.eye(k)
    return Readout(W_out, linear.offset)


def last_state_of(system, drive):
    """Return the state after the drive (T, m) or (B, T, m), of which only a block is kept."""
    state = None
    for states in fast_blocks(system, drive, block_size(system, drive)):
        state = states[..., -1, :].copy()
    return state


def r2_of_series(known, predicted):
    """Return R² over all series, mean over the channels; unknown values are left out."""
    known, predicted = np.concatenate(known), np.concatenate(predicted)
    seen = ~np.isnan(known)
    return float(np.mean([r2(y[s], p[s]) for y, p, s in zip(known.T, predicted.T, seen.T, strict=True)]))
