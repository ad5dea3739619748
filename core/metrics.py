"""Errors of predictions, each under its own name: papers print different quantities under "NRMSE".

Every function takes the target first. The first four take arrays of shape (T,) or (T, d) and return one float that does
not change when target and prediction are multiplied by the same number; the last two follow forecasts step by step.
"""

import numpy as np

from penstock.checks import as_finite_array

__all__ = ["nrmse_rms", "nrmse_std", "nrmse_total_variance", "r2", "relative_error", "valid_steps"]


def nrmse_rms(target, prediction) -> float:
    """Return the root mean square error relative to the root mean square of the target.

    sqrt(mean((p - y)^2)) / sqrt(mean(y^2)), both means over all steps and columns. Targets far from zero make it
    small: for NARMA30 it is about 3.6 times smaller than `nrmse_std`. The published scripts add 1e-9 to the
    denominator against division by zero; here an all-zero target is an error, so that the value is free of scale.

    Parameters
    ----------
    target : array, shape (T,) or (T, d)
        What was asked for, y.
    prediction : array, of the shape of `target`
        What was answered, p.

    Raises
    ------
    ValueError, TypeError
        If the shapes differ, a value is not finite, or the target is zero throughout.

    References
    ----------
    The measure of Ceni and Gallicchio (2024), Neurocomputing, 127966.

    Examples
    --------
    >>> round(nrmse_rms([3.0, 4.0], [3.0, 3.0]), 6)
    0.2
    """
    y, p = _pair(target, prediction)
    if not y.any():
        raise ValueError("target must not be zero throughout, got only zeros")
    return float(np.sqrt(np.mean((p - y) ** 2) / np.mean(y**2)))


def nrmse_std(target, prediction) -> float:
    """Return the root mean square error relative to the standard deviation of the target.

    sqrt(mean((p - y)^2) / var(y)); 1 for the mean of the target as prediction. With d columns the ratio is formed
    in each, so that none counts by its unit, and averaged under the root: `nrmse_std` squared is 1 - `r2`.

    Parameters
    ----------
    target : array, shape (T,) or (T, d)
        What was asked for, y.
    prediction : array, of the shape of `target`
        What was answered, p.

    Raises
    ------
    ValueError, TypeError
        If the shapes differ, a value is not finite, or a column of the target is constant.

    Examples
    --------
    >>> nrmse_std([0.0, 2.0], [1.0, 1.0])
    1.0
    """
    return float(np.sqrt(_unexplained(target, prediction).mean()))


def nrmse_total_variance(target, prediction) -> float:
    """Return the root mean square error over all columns, relative to the root of the columns' summed variance.

    sqrt(mean((p - y)^2) / sum_j var(y_j)), the mean over all steps **and** columns. The mean divides by d and the sum
    does not, so the value is sqrt(d) times smaller than the length of the error vector would give.

    Parameters
    ----------
    target : array, shape (T,) or (T, d)
        What was asked for, y.
    prediction : array, of the shape of `target`
        What was answered, p.

    Raises
    ------
    ValueError, TypeError
        If the shapes differ, a value is not finite, or every column of the target is constant.

    References
    ----------
    The measure of next-generation reservoir computing, Gauthier, Bollt, Griffith and Barbosa (2021), Nature
    Communications 12, 5564.

    Examples
    --------
    >>> round(nrmse_total_variance([[0.0, 0.0], [2.0, 2.0]], [[1.0, 1.0], [1.0, 1.0]]), 6)
    0.707107
    """
    y, p = _pair(target, prediction)
    if (np.ptp(y, axis=0) == 0).all():
        raise ValueError("target must vary in at least one column, got constants only")
    return float(np.sqrt(np.mean((p - y) ** 2) / y.var(axis=0).sum()))


def r2(target, prediction) -> float:
    """Return the coefficient of determination, averaged over the columns.

    1 - mean((p - y)^2) / var(y) in each column; 1 is perfect, 0 the mean of the target, negative worse than that.

    Parameters
    ----------
    target : array, shape (T,) or (T, d)
        What was asked for, y.
    prediction : array, of the shape of `target`
        What was answered, p.

    Raises
    ------
    ValueError, TypeError
        If the shapes differ, a value is not finite, or a column of the target is constant.

    Examples
    --------
    >>> r2([0.0, 2.0, 4.0], [0.0, 2.0, 2.0])
    0.5
    """
    return float(1.0 - _unexplained(target, prediction).mean())


def relative_error(target, prediction, scale) -> np.ndarray:
    """Return the Euclidean error at every step in units of `scale`: (…, T, d), (…, T, d) -> (…, T).

    ‖y_t - p_t‖ / scale. Infinite from where a prediction stops being finite.

    Parameters
    ----------
    target, prediction : array, shape (…, T, d)
        What was asked for and what was answered.
    scale : float
        Size of the series, for example sqrt(mean ‖y - mean y‖²).

    Examples
    --------
    >>> relative_error([[0.0, 0.0], [1.0, 1.0]], [[3.0, 4.0], [1.0, 1.0]], 10.0)
    array([0.5, 0. ])
    """
    with np.errstate(over="ignore", invalid="ignore"):
        error = np.linalg.norm(np.asarray(prediction, np.float64) - np.asarray(target, np.float64), axis=-1) / scale
    return np.where(np.logical_or.accumulate(~np.isfinite(error), axis=-1), np.inf, error)


def valid_steps(error, threshold=0.4) -> np.ndarray:
    """Return the number of steps before an error (…, T) first exceeds the threshold; all T if it never does.

    Examples
    --------
    >>> valid_steps(np.array([0.1, 0.3, 0.5, 0.2]))
    array(2)
    """
    wrong = np.asarray(error) > threshold
    return np.asarray(np.where(wrong.any(axis=-1), wrong.argmax(axis=-1), wrong.shape[-1]))


def _pair(target, prediction):
    """Return both as finite arrays of shape (T, d)."""
    y = as_finite_array("target", target, ndim=(1, 2))
    p = as_finite_array("prediction", prediction, ndim=(1, 2))
    if p.shape != y.shape:
        raise ValueError(f"prediction must have the shape of target {y.shape}, got {p.shape}")
    if y.size == 0:
        raise ValueError(f"target must hold at least one value, got shape {y.shape}")
    return (y[:, None], p[:, None]) if y.ndim == 1 else (y, p)


def _unexplained(target, prediction):
    """Return mean((p - y)^2) / var(y) for each column."""
    y, p = _pair(target, prediction)
    constant = np.flatnonzero(np.ptp(y, axis=0) == 0)
    if constant.size:
        raise ValueError(f"target must vary in every column, got column {constant[0]} constant at {y[0, constant[0]]}")
    return np.mean((p - y) ** 2, axis=0) / y.var(axis=0)
