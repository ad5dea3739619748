"""Online readouts: recursive least squares, LMS and normalised LMS, one row at a time."""

import numpy as np
from numba import njit

from penstock.checks import as_finite_array, as_finite_float, as_fraction, as_positive_float
from penstock.metrics import r2
from penstock.moments import as_targets
from penstock.params import Parameters, check_fitted, sklearn_tags
from penstock.readout import Readout
from penstock.threads import one_blas_thread

__all__ = ["LMS", "NLMS", "RLS"]

ROUNDING = 1e14
"""Largest size of P times size of its inverse at which rounding still leaves P positive definite (measured)."""

DIVERGED = 1e6
"""LMS has diverged once a prediction is so many times larger than any target was."""


class _Online(Parameters):
    """What online readouts share: pairs checked, a fresh start or a continued one, predictions."""

    coef_: np.ndarray
    intercept_: np.ndarray
    flat_: bool
    fit_intercept: bool

    def fit(self, X, Y):
        """Learn from scratch, row after row.

        Parameters
        ----------
        X : array, shape (T, n)
            States.
        Y : array, shape (T,) or (T, k)
            Targets. A NaN leaves that output as it is at that row.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If a parameter, shape or number is out of range.
        FloatingPointError
            If learning diverges: names the row. What was learnt by earlier calls stays.
        """
        return self._start(X, Y)

    def partial_fit(self, X, Y):
        """Go on learning from further rows, as `fit` on all rows at once would; the first call is a `fit`.

        A column of NaN alone is nothing to learn from here, not an error.
        """
        return self._go_on(X, Y)

    def _start(self, X, Y, *more):
        flat = np.asarray(Y).ndim == 1
        X, Y = self._pairs(X, Y, None)
        empty = np.flatnonzero(np.isnan(Y).all(axis=0))
        if empty.size:
            raise ValueError(f"Y must hold a number in every column, got only NaN in column {empty[0]}")
        self._learn(X, Y, False, *more)
        self.flat_ = flat
        return self

    def _go_on(self, X, Y, *more):
        further, flat = hasattr(self, "coef_"), np.asarray(Y).ndim == 1
        X, Y = self._pairs(X, Y, self.coef_.shape if further else None)
        if further:
            self._check_learnt()
        self._learn(X, Y, further, *more)
        self.flat_ = self.flat_ if further else flat
        return self

    @property
    def readout_(self) -> Readout:
        """The weights as a `Readout`, which closes loops."""
        check_fitted(self, "coef_")
        return Readout(self.coef_, self.intercept_)

    @one_blas_thread
    def predict(self, X):
        """Return the outputs of states X (T, n): (T, k), or (T,) if the targets were 1-D."""
        check_fitted(self, "coef_")
        X = as_finite_array("X", X, ndim=2)
        if X.shape[1] != self.n_features_in_:
            raise ValueError(f"X must have shape (T, {self.n_features_in_}) as in fit, got {X.shape}")
        Y = X @ self.coef_.T + self.intercept_
        return Y[:, 0] if self.flat_ else Y

    def score(self, X, Y) -> float:
        """Return the coefficient of determination R^2, averaged over the outputs."""
        return r2(Y, self.predict(X))

    @property
    def n_features_in_(self) -> int:
        """Number n of columns of X."""
        check_fitted(self, "coef_")
        return self.coef_.shape[1]

    def _check_learnt(self):
        """Raise unless what was learnt has the shapes that kernels rely on: it may come from a file."""
        for name, shape in self._learnt_shapes(*self.coef_.shape).items():
            learnt = np.asarray(getattr(self, name))
            if learnt.shape != shape:
                raise ValueError(f"{name} must have shape {shape}, got {learnt.shape}; call fit")

    def _learnt_shapes(self, k, n) -> dict[str, tuple[int, ...]]:
        return {"intercept_": (k,)}

    def __sklearn_tags__(self):
        return sklearn_tags("regressor")

    def _pairs(self, X, Y, known):
        """Return checked X (T, n) and Y (T, k), NaN allowed in Y; `known` is the shape (k, n) of earlier rows."""
        X = as_finite_array("X", X, ndim=2)
        if 0 in X.shape:
            raise ValueError(f"X must have shape (T, n), neither of them 0, got {X.shape}")
        Y = np.asarray(as_targets(Y, None, len(X))[0], np.float64)
        if np.isinf(Y).any():
            raise ValueError(f"Y must be finite or NaN, got infinity at row {np.argwhere(np.isinf(Y))[0][0]}")
        if known and (Y.shape[1], X.shape[1]) != known:
            raise ValueError(
                f"X and Y must have {known[1]} and {known[0]} columns as before, got {X.shape[1]} and {Y.shape[1]}"
            )
        if not isinstance(self.fit_intercept, bool | np.bool_):
            raise TypeError(f"fit_intercept must be True or False, got {self.fit_intercept!r}")
        return X, Y

    def _learn(self, X, Y, further, *more):
        raise NotImplementedError


class RLS(_Online):
    """Fit a linear readout by recursive least squares: after every row exactly the ridge regression of all rows so far.

    Minimises sum_t λ^(T-t) ‖y_t - W x_t - c‖² + λ^T alpha ‖W‖² after T rows, λ the forgetting factor. With e the error
    of the prediction before the update, k = P d and d = x - mean(x),

        W <- W + g e kᵀ / (λ + g dᵀk),   P <- (P - g k kᵀ / (λ + g dᵀk)) / λ,   P(0) = I / alpha.

    The intercept c is not penalised: d is taken from the running mean of x, whose own uncertainty is g = m / (m + 1)
    for a sum of weights m = λ (1 + λ + … ) before the row. With λ = 1 the result equals `penstock.ridge` of the same
    alpha. Without an intercept, d = x and g = 1, which is the textbook form.

    Parameters
    ----------
    alpha : float
        Penalty, above 0, in the units of sum x². The default suits states of order 1: on Mackey-Glass (N = 300) it is
        the best of the powers of 100 with 5 % of noise, and costs 3 times the error of 1e-6 without noise.
    forgetting : float
        Factor λ in (0, 1] by which the weight of a row shrinks at every later row: a memory of 1 / (1 - λ) rows.
    fit_intercept : bool
        Whether to fit c, else 0.

    Attributes
    ----------
    coef_ : array, shape (k, n)
        Weights W.
    intercept_ : array, shape (k,)
        Constant part c.
    P_ : array, shape (G, n, n)
        Inverse of the penalised Gram matrix, its lower triangle. Outputs with targets at the same rows share one; a
        missing target (NaN) splits them, and each output remains the exact ridge regression of its own rows.

    Notes
    -----
    One step costs a single pass over half of P. With λ < 1 the penalty fades, and P grows without bound in directions
    that the states no longer take (wind-up). P stops growing, and the weights stop forgetting, while it is so large
    that rounding would destroy it (mean diagonal above 1e14 (1 - λ) / max ‖d‖²); the running mean goes on forgetting.

    References
    ----------
    S. Haykin, Adaptive Filter Theory, 4th edition (2002), chapter 9.

    Examples
    --------
    >>> import numpy as np
    >>> from penstock import RLS, ridge
    >>> X = np.random.default_rng(0).standard_normal((200, 3))
    >>> Y = X @ [1.0, 2.0, 3.0] + 4.0
    >>> online = RLS(alpha=0.1).fit(X[:120], Y[:120]).partial_fit(X[120:], Y[120:])
    >>> bool(np.allclose(online.coef_, ridge(X, Y, 0.1).W_out))
    True
    """

    P_: np.ndarray
    group_: np.ndarray
    x_mean_: np.ndarray
    y_mean_: np.ndarray
    totals_: np.ndarray

    def __init__(self, alpha=1e-4, *, forgetting=1.0, fit_intercept=True):
        self.alpha = alpha
        self.forgetting = forgetting
        self.fit_intercept = fit_intercept

    def _learnt_shapes(self, k, n):
        groups = len(self.P_)
        columns = {"intercept_": (k,), "y_mean_": (k,), "group_": (k,)}
        return {**columns, "P_": (groups, n, n), "x_mean_": (groups, n), "totals_": (groups, 2)}

    def _learn(self, X, Y, further):
        alpha, forgetting = as_positive_float("alpha", self.alpha), as_fraction("forgetting", self.forgetting)
        (k, n), seen = (Y.shape[1], X.shape[1]), ~np.isnan(Y)
        group, parents = _split(self.group_ if further else np.zeros(k, int), seen)
        if further:
            alone = len(X) == len(parents) == len(self.P_) == 1  # to copy P would cost more than the step
            W, P, y_mean = self.coef_.copy(), self.P_ if alone else self.P_[parents], self.y_mean_.copy()
            x_mean, totals = self.x_mean_[parents], self.totals_[parents]
        else:
            W, P, y_mean = np.zeros((k, n)), np.tile(np.eye(n) / alpha, (len(parents), 1, 1)), np.zeros(k)
            x_mean, totals = np.zeros((len(parents), n)), np.zeros((len(parents), 2))
        for g in range(len(parents)):
            mine = np.flatnonzero(group == g)
            rows = np.flatnonzero(seen[:, mine[0]])
            x, y = (X, Y) if len(rows) == len(X) else (X[rows], Y[rows])
            part = W[mine], P[g], x_mean[g], y_mean[mine], totals[g]
            failed = _recurse(x, np.ascontiguousarray(y[:, mine]), part, forgetting, bool(self.fit_intercept))
            if failed >= 0:
                raise FloatingPointError(
                    f"RLS lost its precision to rounding at row {rows[failed]}: raise alpha (now {alpha:g}) or "
                    f"forgetting (now {forgetting:g}), or standardise X"
                )
            W[mine], y_mean[mine] = part[0], part[3]
        self.coef_, self.intercept_ = W, y_mean - (W * x_mean[group]).sum(axis=1)
        self.P_, self.group_, self.x_mean_, self.y_mean_, self.totals_ = P, group, x_mean, y_mean, totals


def _split(group, seen):
    """Return the new group of every output and the old one of every group: outputs seen at the same rows share P."""
    patterns = [(int(g), column.tobytes()) for g, column in zip(group, seen.T, strict=True)]
    distinct = list(dict.fromkeys(patterns))
    return np.array([distinct.index(pattern) for pattern in patterns]), [g for g, _ in distinct]


class LMS(_Online):
    """Fit a linear readout by stochastic gradient descent, one step per row: W <- W + rate · e xᵀ, c <- c + rate · e.

    e = y - W x - c is the error of the prediction before the update.

    Parameters
    ----------
    learning_rate : float
        Above 0, and below 2 / λ_max, the largest eigenvalue of the mean of x xᵀ (the constant 1 of the intercept
        counts as one more x), or learning diverges; below 1 / mean ‖x‖² is safe. Directions of eigenvalue λ are
        learnt in about 1 / (rate λ) rows: nearly collinear states, as those of reservoirs, call for `RLS`.
    fit_intercept : bool
        Whether to fit c, else 0.

    Attributes
    ----------
    coef_ : array, shape (k, n)
        Weights W.
    intercept_ : array, shape (k,)
        Constant part c.

    References
    ----------
    B. Widrow, M. E. Hoff (1960), Adaptive switching circuits. S. Haykin, Adaptive Filter Theory, 4th edition (2002),
    chapter 5.

    Examples
    --------
    >>> import numpy as np
    >>> from penstock import LMS
    >>> X = np.random.default_rng(0).standard_normal((2000, 2))
    >>> LMS(0.02).fit(X, X @ [1.0, 2.0] + 3.0).predict(np.zeros((1, 2))).round(6)
    array([3.])
    """

    largest_: np.ndarray

    def __init__(self, learning_rate, *, fit_intercept=True):
        self.learning_rate = learning_rate
        self.fit_intercept = fit_intercept

    def _learnt_shapes(self, k, n):
        return {"intercept_": (k,), "largest_": (k,)}

    def _learn(self, X, Y, further):
        rate = as_positive_float("learning_rate", self.learning_rate)
        W, c, largest, row = descend(self, X, Y, rate, limit=DIVERGED, further=further)
        if row >= 0:
            one = np.ones((len(X), int(self.fit_intercept)))
            norm = np.linalg.norm(np.hstack([X, one]), 2)  # its square might overflow
            bound = 2 / norm / norm * len(X)
            raise FloatingPointError(
                f"LMS diverged at row {row}: learning_rate must lie well below 2 / λ_max = {bound:.3g} for these X, "
                f"got {rate:g}; NLMS(0.5) adapts it to every row"
            )
        self.coef_, self.intercept_, self.largest_ = W, c, largest


class NLMS(_Online):
    """Fit a linear readout by normalised LMS: W <- W + rate · e xᵀ / ‖x‖², with e the error before the update.

    The constant 1 of the intercept counts as one more x. A rate of 1 removes the whole error at that row.

    Parameters
    ----------
    learning_rate : float
        In (0, 2), whatever the scale of the states; smaller averages over more noise.
    fit_intercept : bool
        Whether to fit a constant part. Without it, the predictions do not depend on the scale of the states at all.

    Attributes
    ----------
    coef_ : array, shape (k, n)
        Weights W.
    intercept_ : array, shape (k,)
        Constant part.

    References
    ----------
    S. Haykin, Adaptive Filter Theory, 4th edition (2002), chapter 6.

    Examples
    --------
    >>> import numpy as np
    >>> from penstock import NLMS
    >>> X = 1e3 * np.random.default_rng(0).standard_normal((300, 2))
    >>> NLMS(0.5, fit_intercept=False).fit(X, X @ [1.0, 2.0]).coef_.round(6)
    array([[1., 2.]])
    """

    def __init__(self, learning_rate=0.5, *, fit_intercept=True):
        self.learning_rate = learning_rate
        self.fit_intercept = fit_intercept

    def _learn(self, X, Y, further):
        rate = as_finite_float("learning_rate", self.learning_rate)
        if not 0 < rate < 2:
            raise ValueError(f"learning_rate of NLMS must lie in (0, 2), got {rate}")
        W, c, _, row = descend(self, X, Y, rate, normalised=True, further=further)
        if row >= 0:
            raise FloatingPointError(f"NLMS overflowed at row {row}: scale X and Y to order 1")
        self.coef_, self.intercept_ = W, c


def descend(readout, X, Y, rate, *, further, normalised=False, limit=np.inf, credit=None):
    """Return weights, intercept and largest targets after all rows, and the row of divergence or -1.

    `credit` are the directions of the steps and the sizes of those of the intercept, (T, n) and (T,): X and 1 if None.
    """
    n, k = X.shape[1], Y.shape[1]
    W, c = (readout.coef_.copy(), readout.intercept_.copy()) if further else (np.zeros((k, n)), np.zeros(k))
    largest = getattr(readout, "largest_", np.zeros(k)).copy() if further else np.zeros(k)
    steps, of_c = (X, np.ones(len(X))) if credit is None else credit
    row = _follow_gradient((X, steps, of_c * readout.fit_intercept), Y, (W, c, largest), rate, normalised, limit)
    return W, c, largest, row


# --- kernels --------------------------------------------------------------------------------------------------------

_split_sums = njit(error_model="numpy", fastmath={"reassoc", "nsz"})  # no "contract": P must round alike in every call


@njit(cache=True, nogil=True, error_model="numpy")
def _recurse(X, Y, rls, forgetting, centred):
    """Learn row after row in place; return the row at which P stopped being positive, or -1.

    totals holds the sum of the weights of the rows and the largest ‖d‖².
    """
    W, P, x_mean, y_mean, totals = rls
    n = x_mean.size
    d, errors, z, pending, shrink, failed = np.empty(n), np.empty(len(W)), np.empty(n), np.zeros(n), 1.0, -1
    limit = ROUNDING * (1 - forgetting) * n
    for t in range(X.shape[0]):
        g = forgetting * totals[0] / (forgetting * totals[0] + 1) if centred else 1.0
        for i in range(n):
            d[i] = X[t, i] - x_mean[i]
        totals[1] = max(totals[1], g * _dot(d, d))
        for j in range(len(W)):
            errors[j] = Y[t, j] - y_mean[j] - _dot(W[j], d)
        used = rls_step(W, P, pending, shrink, d, errors, z, g, forgetting, limit / max(totals[1], 1e-300))
        if used == 0:
            failed = t
            break
        shrink = 1 / used
        if centred:
            totals[0] = forgetting * totals[0] + 1  # also where P pauses: the mean goes on
            for i in range(n):
                x_mean[i] += d[i] / totals[0]
            for j in range(len(W)):
                y_mean[j] += (Y[t, j] - y_mean[j]) / totals[0]
    if failed < 0:
        d[:] = 0
        _advance(P, pending, shrink, d, z)
    return failed


@njit(cache=True, nogil=True, error_model="numpy")
def rls_step(W, P, pending, shrink, x, errors, z, weight, forgetting, limit):
    """Learn one row x (n,) from the errors y - W x (k,) in place; return the forgetting used, 0 if P is not positive.

    P takes what the step before left `pending` (n,), P <- shrink P - pending pendingᵀ, in the pass that finds z = P x,
    and lags behind by one such term; shrink is 1 / forgetting of the step before, 1 at first.
    """
    trace = _advance(P, pending, shrink, x, z)
    used = forgetting if trace <= limit else 1.0
    q = _dot(z, x)
    if not 0 <= q < np.inf:
        pending[:] = 0
        return 0.0
    c = weight / (used + weight * q)
    root = np.sqrt(c / used)
    for j in range(len(W)):
        gain = c * errors[j]
        for i in range(x.size):
            W[j, i] += gain * z[i]
    for i in range(x.size):
        pending[i] = root * z[i]
    return used


@njit(error_model="numpy")
def _advance(P, v, shrink, x, z):
    """Do P <- shrink P - v vᵀ in the lower triangle and z = P x in one pass, two rows at a time; return the trace."""
    n, trace, i = x.size, 0.0, 0
    z[:] = 0
    while i + 1 < n:
        p, q = P[i], P[i + 1]
        s, r = _two_rows(p, q, shrink, v[i], v[i + 1], v, x, x[i], x[i + 1], z[:i])
        p[i] = shrink * p[i] - v[i] * v[i]
        q[i] = shrink * q[i] - v[i + 1] * v[i]
        q[i + 1] = shrink * q[i + 1] - v[i + 1] * v[i + 1]
        z[i] += s + p[i] * x[i] + q[i] * x[i + 1]
        z[i + 1] += r + q[i] * x[i] + q[i + 1] * x[i + 1]
        trace += p[i] + q[i + 1]
        i += 2
    if i < n:
        p = P[i]
        for j in range(i):
            p[j] = shrink * p[j] - v[i] * v[j]
            z[j] += p[j] * x[i]
        p[i] = shrink * p[i] - v[i] * v[i]
        z[i] += _dot(p[:i], x[:i]) + p[i] * x[i]
        trace += p[i]
    return trace


@_split_sums
def _two_rows(p, q, shrink, v0, v1, v, x, x0, x1, z):
    """Update the first z.size elements of rows p and q, add their share to z and return their products with x."""
    s = r = 0.0
    for j in range(z.size):
        a, b = shrink * p[j] - v0 * v[j], shrink * q[j] - v1 * v[j]
        p[j], q[j] = a, b
        s += a * x[j]
        r += b * x[j]
        z[j] += a * x0 + b * x1
    return s, r


@njit(cache=True, nogil=True, error_model="numpy")
def _follow_gradient(rows, Y, learnt, rate, normalised, limit):
    """Descend row after row in place; return the row of divergence, or -1."""
    (X, credit, of_c), (W, c, largest) = rows, learnt
    for t in range(X.shape[0]):
        x, direction = X[t], credit[t]
        size = _dot(x, x) + of_c[t] if normalised else 1.0
        for j in range(len(W)):
            y = Y[t, j]
            if np.isnan(y) or size == 0:
                continue
            largest[j] = max(largest[j], abs(y))
            output = _dot(W[j], x) + c[j]
            step = rate * (y - output) / size
            if not (abs(output) <= limit * largest[j] or np.isinf(limit)) or not np.isfinite(step):
                return t
            for i in range(x.size):
                W[j, i] += step * direction[i]
            c[j] += step * of_c[t]
    return -1


@_split_sums
def _dot(a, b):
    s = 0.0
    for i in range(a.size):
        s += a[i] * b[i]
    return s
