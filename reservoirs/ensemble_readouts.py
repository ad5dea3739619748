"""Readouts of an ensemble: sums over the states of every member as they arise, ridge regressions and residuals."""

import numpy as np

from penstock.moments import Moments
from penstock.reservoirs.ensemble_kernels import BAND, add_grams, solve_ridge
from penstock.ridge_regression import EPS, PATH, _generalised, _line, _solve


def rows_of(part, u, y, carried, reference=None):
    """Yield first steps and rows [1, x - reference, y, 0 …], (P, t, 4 p), of a part's members through all of u."""
    n_units, k = len(part.reference(carried)[0]), y.shape[1]
    shape = len(part.numbers), -(-(1 + n_units + k) // BAND) * BAND
    rows = np.empty((shape[0], 0, shape[1]))
    for start in range(0, len(u), part.n_rows):
        piece = slice(start, start + part.n_rows)
        n_steps = len(u[piece])
        if rows.shape[1] != n_steps:
            rows = np.zeros((shape[0], n_steps, shape[1]))
            rows[:, :, 0] = 1
        rows[:, :, 1 + n_units : 1 + n_units + k] = y[piece]
        part.advance(u[piece], carried, rows, **({} if reference is None else {"reference": reference}))
        yield start, rows


@np.errstate(over="ignore", invalid="ignore")  # of members that diverge; settings of a thread do not reach others
def fit_part(part, u, y, washout, alphas, starts):
    """Return coef (P, k, n), intercept, alpha and relative training error (P, k), and the last states (P, N).

    Sums are of deviations from the first row that counts, so that constants leave exact zeros and little cancels.
    """
    carried = part.start(starts)
    part.advance(u[: washout + 1], carried, np.empty((len(part.numbers), 0, 0)))
    reference, counted = part.reference(carried), y[washout:] - y[washout]
    (n_members, n_units), k = (len(part.numbers), reference.shape[1]), y.shape[1]
    width = -(-(1 + n_units + k) // BAND) * BAND
    G = np.zeros((n_members, width, width))
    G[:, 0, 0] = 1  # that first row
    for _, rows in rows_of(part, u[washout + 1 :], counted[1:], carried, reference):
        add_grams(rows, G)
    power = np.square(counted - counted.mean(axis=0)).sum(axis=0)
    coef, intercept, chosen, squares, doubtful = _solved(G, n_units, k, alphas, power)
    intercept += y[washout] - np.einsum("pkn,pn->pk", coef, reference[:n_members])
    if doubtful.any():
        exact = squared_errors(part, u, y, washout, part.start(starts), coef, intercept)
        squares = np.where(doubtful, exact, squares)
    error = np.sqrt(squares / power)
    last = part.last(carried)
    wrong = ~np.isfinite(last).all(axis=1)
    coef[wrong], intercept[wrong], error[wrong] = np.nan, np.nan, np.inf
    return coef, intercept, chosen, error, last


def _solved(G, n_units, k, alphas, power):
    """Return weights, constants, penalties, sums of squared errors, and where these are lost to rounding."""
    n_members = len(G)
    coef, intercept, squares = np.zeros((n_members, k, n_units)), np.zeros((n_members, k)), np.zeros((n_members, k))
    chosen, sure = np.zeros((n_members, k)), np.zeros(n_members, bool)
    traces = np.einsum("pii->p", G[:, 1 : 1 + n_units, 1 : 1 + n_units])
    if alphas is not None and len(alphas) == 1:
        chosen[:] = alphas[0]
        solve_ridge(G, n_units, alphas[0], coef, intercept, squares, sure)
    for p in np.flatnonzero(~sure & np.isfinite(traces)):
        coef[p], intercept[p], chosen[p] = _along_path(G[p], n_units, k, alphas)
    rounding = EPS * n_units * (power + traces[:, None] * np.square(coef).sum(axis=2))
    return coef, intercept, chosen, squares, ~(squares > 1e4 * rounding) & np.isfinite(traces)[:, None]


def _along_path(G, n_units, k, alphas):
    """Return weights (k, n), constants and penalties of one member as `Ridge` chooses them, from the sums G."""
    x, y, count = slice(1, 1 + n_units), slice(1 + n_units, 1 + n_units + k), int(G[0, 0])
    sums = Moments(n_units, k)
    sums.count, sums.weight, sums.mean_x, sums.mean_y = count, float(count), G[0, x] / count, G[0, y] / count
    sums.gram = np.asfortranarray(G[x, x] - count * np.outer(sums.mean_x, sums.mean_x))
    sums.cross = G[x, y] - count * np.outer(sums.mean_x, sums.mean_y)
    sums.power = np.diagonal(G[y, y]) - count * sums.mean_y**2
    group = _solve(np.arange(k), sums)
    if alphas is None:
        alphas = PATH * (group.w.max(initial=0.0) or 1.0)
    falling = np.sort(alphas)[::-1]  # of equally good ones the largest
    alpha = falling[np.argmin(_generalised(group, falling), axis=0)]
    weights, intercept = _line(group, alpha)
    return weights.T, intercept, alpha


def line_columns(coef, intercept, width):
    """Return (P, width, k), which makes outputs of rows [1, x, …]."""
    line = np.zeros((len(coef), width, coef.shape[1]))
    line[:, 0], line[:, 1 : 1 + coef.shape[2]] = intercept, coef.transpose(0, 2, 1)
    return line


def squared_errors(part, u, y, washout, carried, coef, intercept):
    """Return the sums of squared residuals (P, k) after the washout."""
    part.advance(u[:washout], carried, np.empty((len(part.numbers), 0, 0)))
    total, k = np.zeros(intercept.shape), y.shape[1]
    with np.errstate(invalid="ignore", over="ignore"):
        for _, rows in rows_of(part, u[washout:], y[washout:], carried):
            line = line_columns(coef, intercept, rows.shape[2])
            line[:, 1 + coef.shape[2] : 1 + coef.shape[2] + k] = -np.eye(k)
            total += np.square(rows @ line).sum(axis=1)
    return np.where(np.isfinite(total), total, np.inf)
