"""Ridge regression on streamed blocks: one eigendecomposition for a whole path of penalties."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import scipy  # its parts load at first use

from penstock.checks import as_finite_array, float_type
from penstock.moments import Moments, Rows, as_targets, gather
from penstock.params import Parameters, check_fitted, sklearn_tags
from penstock.readout import Readout
from penstock.threads import one_blas_thread

__all__ = ["Ridge"]

EPS = float(np.finfo(np.float64).eps)
PATH = 10.0 ** np.linspace(-12, 2, 29)  # times the largest eigenvalue: closed loops of chaotic series need the low end
SLACK = 1e-12  # of 1 - leverage: less is rounding, the row fits itself whatever its target


class Ridge(Parameters):
    """Fit a linear readout with an unpenalised intercept; the penalty is chosen from a path.

    Minimises sum_t s_t |y_t - W x_t - c|^2 + alpha |W|^2 with weights s_t, for every output by itself. The rows are
    streamed into the centred Gram matrix X^T X = V diag(w) V^T, which is decomposed once for all penalties and
    outputs: W = D^T (diag(w) + alpha)^-1 V^T with D = V^T X^T Y. Memory is O(N^2 + N k) for N features and k outputs,
    whatever the number of rows, and sums are accumulated in float64 whatever the type of the rows. The result has the
    same bits however the rows are cut into blocks.

    Parameters
    ----------
    alpha : float or array, optional
        Penalty, at least 0, on the sum of squares, as in scikit-learn. An array is a path to choose from, for every
        output the best. By default 29 values between 1e-12 and 1e2 times the largest eigenvalue of the centred Gram
        matrix, so that the scale of the features does not matter.
        Directions whose eigenvalue is rounding, below 5.5e-17 sqrt(N) of the largest, are left out whatever alpha.
    leave_one_out : bool, optional
        Whether the choice is made by the exact mean squared leave-one-out error, which costs a second pass over the
        rows (none if there is but one alpha). By default it is made by generalised cross-validation (GCV), which
        costs nothing: with the residual sum of squares R, T rows and d = 1 + sum_j w_j / (w_j + alpha) degrees of
        freedom it is (R / T) / (1 - d / T)^2, the leave-one-out error if all rows had the same leverage.

    Attributes
    ----------
    coef_ : array, shape (k, N)
        Weights W, float64; 2-D for a single output too.
    intercept_ : array, shape (k,)
        Constants c.
    alpha_ : array, shape (k,)
        The penalty of every output; of equally good ones the largest.
    alphas_ : array, shape (a,)
        The path.
    scores_ : array, shape (a, k)
        Mean squared error by GCV, or by leave-one-out, of every alpha and output, infinite where it is not defined;
        with weights it is their weighted mean.
    n_features_in_ : int
        N.
    flat_ : bool
        Whether the targets were 1-D, and predictions are.

    Notes
    -----
    Targets that are NaN are left out of their output alone. A constant output among others is its intercept, with no
    weights. Weights of rows are precisions: only their ratios matter to the choice from a path, and rows of weight 0
    do not count. At a given alpha, an integer weight is the same as so many copies of the row.

    References
    ----------
    G. Golub, M. Heath, G. Wahba, Generalized cross-validation as a method for choosing a good ridge parameter,
    Technometrics 21 (1979).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((200, 3))
    >>> y = X @ [1.0, 2.0, 3.0] + 4.0 + 0.1 * rng.standard_normal(200)
    >>> model = Ridge().fit(X, y)
    >>> model.coef_.round(1).tolist(), model.intercept_.round(1).tolist()
    ([[1.0, 2.0, 3.0]], [4.0])

    Blocks, made anew at every call, need never be in memory together:

    >>> def blocks():
    ...     for start in range(0, 200, 64):
    ...         yield X[start : start + 64], y[start : start + 64], None
    >>> Ridge(leave_one_out=True).fit_blocks(blocks).readout_
    Readout(n_units=3, n_outputs=1)
    """

    coef_: np.ndarray
    intercept_: np.ndarray
    alpha_: np.ndarray
    alphas_: np.ndarray
    scores_: np.ndarray
    n_features_in_: int
    flat_: bool

    def __init__(self, alpha=None, *, leave_one_out=False):
        self.alpha = alpha
        self.leave_one_out = leave_one_out

    def fit(self, X, Y, sample_weight=None):
        """Fit to rows X (T, N), targets Y (T,) or (T, k) with NaN where missing, and weights (T,); return self.

        Raises
        ------
        ValueError, TypeError
            If shapes do not match, X or a weight is not finite, a weight or alpha is negative, an output has fewer
            than two values, or all outputs are constant. Whatever was fitted before stays.
        """
        X = as_finite_array("X", X, float_type(X), ndim=2)
        return self.fit_blocks(lambda: iter([(X, Y, sample_weight)]))

    @one_blas_thread
    def fit_blocks(self, blocks: Callable[[], Iterable[tuple]]):
        """Fit to streamed rows; return self.

        Parameters
        ----------
        blocks : callable
            A function without arguments that returns a fresh iterator over ``(X, Y, weights)``: some rows (r, N),
            their targets (r,) or (r, k) and weights (r,), which may be None or missing. It is called once, or twice
            for leave-one-out over a path.

        Raises
        ------
        ValueError, TypeError
            As `fit`, and if the second call does not yield as many rows as the first.
        """
        if not callable(blocks):
            raise TypeError(f"blocks must be a function that returns an iterator over blocks, got {blocks!r}")
        alphas = _as_alphas(self.alpha)
        rows = Rows(blocks)
        groups = [_solve(outputs, sums) for outputs, sums in gather(rows)]
        if not any(group.power.any() for group in groups):
            raise ValueError("Y must vary in at least one output, got constant targets only: nothing can be learnt")
        if alphas is None:
            alphas = PATH * (max(group.w.max(initial=0.0) for group in groups) or 1.0)
        if self.leave_one_out and len(alphas) > 1:
            scores = _leave_one_out(rows, groups, alphas)
        else:
            scores = _joined(groups, [_generalised(group, alphas) for group in groups])
        order = np.argsort(alphas)[::-1]
        alpha = alphas[order[np.argmin(scores[order], axis=0)]]
        lines = [_line(group, alpha[group.outputs]) for group in groups]
        self.coef_ = np.ascontiguousarray(_joined(groups, [weights for weights, _ in lines]).T)
        self.intercept_ = _joined(groups, [constant[None] for _, constant in lines])[0]
        self.alpha_, self.alphas_, self.scores_ = alpha, alphas, scores
        self.n_features_in_, self.flat_ = rows.n_features, rows.flat
        return self

    @property
    def readout_(self) -> Readout:
        """The fitted weights as a `Readout`, which closes loops."""
        check_fitted(self, "coef_")
        return Readout(self.coef_, self.intercept_)

    @one_blas_thread
    def predict(self, X):
        """Return the outputs of rows X (T, N): (T, k), or (T,) if the targets were 1-D."""
        check_fitted(self, "coef_")
        X = as_finite_array("X", X, float_type(X), ndim=2)
        if X.shape[1] != self.n_features_in_:
            raise ValueError(f"X must have shape (T, {self.n_features_in_}) as in fit, got {X.shape}")
        Y = X @ self.coef_.T + self.intercept_
        return Y[:, 0] if self.flat_ else Y

    def score(self, X, Y, sample_weight=None) -> float:
        """Return the coefficient of determination R^2, averaged over the outputs; missing targets do not count."""
        predicted = self.predict(X)
        predicted = predicted[:, None] if self.flat_ else predicted
        Y, weight = as_targets(Y, sample_weight, len(predicted))
        if Y.shape[1] != predicted.shape[1] or np.isinf(Y).any():
            raise ValueError(f"Y must be {predicted.shape[1]} outputs as in fit, finite or NaN, got shape {Y.shape}")
        weights = np.where(np.isnan(Y), 0.0, 1.0 if weight is None else weight[:, None])
        total = weights.sum(axis=0)
        mean = np.nansum(weights * Y, axis=0) / np.where(total > 0, total, 1.0)
        spread = np.nansum(weights * (Y - mean) ** 2, axis=0)
        least, most = np.where(weights > 0, Y, np.inf).min(axis=0), np.where(weights > 0, Y, -np.inf).max(axis=0)
        constant = np.flatnonzero(least >= most)
        if constant.size:
            raise ValueError(f"Y must vary in every output to be scored, got output {constant[0]} constant or missing")
        return float(np.mean(1 - np.nansum(weights * (Y - predicted) ** 2, axis=0) / spread))

    def __sklearn_tags__(self):
        return sklearn_tags("regressor")


def _as_alphas(alpha) -> np.ndarray | None:
    """Return the path of penalties (a,), None for the default."""
    if alpha is None:
        return None
    alphas = np.atleast_1d(as_finite_array("alpha", alpha, ndim=(0, 1)))
    if not alphas.size:
        raise ValueError("alpha must hold at least one penalty, got none; None stands for a path of them")
    if alphas.min() < 0:
        raise ValueError(f"alpha must be at least 0, got {alphas.min()}")
    return alphas


# The solution for all penalties, and its errors


class _Solution(NamedTuple):
    """The regression of outputs (g,) on the m principal directions of the features, for any penalty."""

    outputs: np.ndarray
    n_rows: int
    weight: float
    mean_x: np.ndarray
    mean_y: np.ndarray
    power: np.ndarray  # (g,), sums of squared deviations, 0 for a constant output
    w: np.ndarray  # (m,), eigenvalues
    V: np.ndarray  # (N, m), directions
    D: np.ndarray  # (m, g), sums of products with the targets


def _solve(outputs, sums: Moments) -> _Solution:
    """Decompose the Gram matrix, which is overwritten."""
    if not all(np.isfinite(part).all() for part in (sums.gram, sums.cross, sums.power)):
        raise ValueError("X and Y must be numbers whose squares are finite, got sums of squares that are not")
    w, V = scipy.linalg.eigh(sums.gram, lower=False, overwrite_a=True, check_finite=False, driver="evd")
    kept = w > 0.25 * np.sqrt(len(w)) * EPS * w[-1]  # less is the rounding of the largest
    w, V = w[kept], np.ascontiguousarray(V[:, kept])
    D = V.T @ sums.cross
    return _Solution(outputs, sums.count, sums.weight, sums.mean_x, sums.mean_y, sums.power, w, V, D)


def _joined(groups, parts) -> np.ndarray:
    """Return the columns of all groups in the order of the outputs."""
    order = np.argsort(np.concatenate([group.outputs for group in groups]))
    return np.concatenate(parts, axis=1)[:, order]


def _line(group, alpha) -> tuple[np.ndarray, np.ndarray]:
    """Return weights (N, g) and constants (g,) for one alpha per output."""
    weights = group.V @ (group.D / (group.w[:, None] + alpha))
    return weights, group.mean_y - group.mean_x @ weights


def _generalised(group, alphas) -> np.ndarray:
    """Return the GCV error (a, g)."""
    w = group.w[:, None]
    shrunk = 1 / (w + alphas)
    residual = group.power - ((w + 2 * alphas) * shrunk**2).T @ group.D**2
    residual = np.maximum(residual, 4 * EPS * group.power)  # less is rounding, and must not decide
    slack = 1 - (1 + (w * shrunk).sum(axis=0, keepdims=True).T) / group.n_rows
    safe = slack > SLACK
    return np.where(safe, residual / np.where(safe, slack, 1.0) ** 2, np.inf) / group.weight


def _leave_one_out(rows, groups, alphas) -> np.ndarray:
    """Return the exact mean squared leave-one-out error (a, k), by one more pass over the rows."""
    scores = [np.zeros((len(alphas), len(group.outputs))) for group in groups]
    for X, Y, weight in rows:
        present = ~np.isnan(Y)
        weight = np.ones(len(X)) if weight is None else weight
        for group, score in zip(groups, scores, strict=True):
            own = present[:, group.outputs[0]]
            if not own.any():
                continue
            there = slice(None) if own.all() else own
            score += _left_out(group, X[there], Y[there][:, group.outputs], weight[there], alphas)
    means = _joined(groups, [score / group.weight for group, score in zip(groups, scores, strict=True)])
    return np.where(np.isnan(means), np.inf, means)  # 0 * inf: a row that fits itself whatever its target


def _left_out(group, X, Y, weight, alphas) -> np.ndarray:
    """Return the weighted sum (a, g) of squared leave-one-out errors e / (1 - leverage) over some rows.

    The leverage of row t is s_t (1 / sum s + sum_j z_j^2 / (w_j + alpha)) with z = V^T (x_t - mean).
    """
    g = Y.shape[1]
    Z, Y = (X - group.mean_x) @ group.V, Y - group.mean_y
    shrunk = 1 / (group.w[:, None] + alphas)
    slack = 1 - weight[:, None] * (1 / group.weight + Z**2 @ shrunk)
    factor = np.where(slack > SLACK, 1 / np.maximum(slack, SLACK), np.inf)
    score = np.empty((len(alphas), g))
    batch = max(1, len(group.mean_x) // g)  # of alphas, so that their errors take no more memory than the rows
    for start in range(0, len(alphas), batch):
        some = slice(start, start + batch)
        filters = (shrunk[:, some, None] * group.D[:, None]).reshape(len(group.w), -1)
        errors = Y[:, None] - (Z @ filters).reshape(len(X), -1, g)
        with np.errstate(invalid="ignore"):
            errors *= factor[:, some, None]
        errors *= errors
        score[some] = np.tensordot(weight, errors, axes=1)
    return score
