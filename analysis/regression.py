"""Regression of many delayed targets on streamed states: one pass, one factorisation, memory free of the length."""

from collections.abc import Iterator
from functools import reduce
from itertools import chain, pairwise
from operator import add, sub
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg.blas import dgemm, dtrsm
from scipy.linalg.lapack import dpotrf, dtrcon

__all__ = ["EPS", "Plan", "adjust", "score_held_out", "score_in_sample"]

EPS = float(np.finfo(np.float64).eps)


class Plan(NamedTuple):
    """Sizes of one measurement."""

    protocol: Any  # a complete `Protocol`
    delays: np.ndarray
    n_units: int
    edges: np.ndarray  # rows where the segments begin and end, counted from the first recorded step
    discard: int
    size: int  # rows per block
    cut: float


# How it is summed: one pass over the states, in coordinates that are well conditioned


class _Sums(NamedTuple):
    """Moments of coordinates q (N,) and targets y (J,) over n steps; sums over disjoint steps add up."""

    n: int
    q: np.ndarray
    gram: np.ndarray
    cross: np.ndarray
    y: np.ndarray
    power: np.ndarray

    def plus(self, other):
        return _Sums(*map(add, self, other))

    def minus(self, other):
        return _Sums(*map(sub, self, other))

    def projected(self, basis):
        """Return the sums in the coordinates ``basis.T @ q``."""
        return self._replace(q=basis.T @ self.q, gram=basis.T @ self.gram @ basis, cross=basis.T @ self.cross)

    def centred(self):
        """Return the sums of products of deviations from the means: gram, cross, power."""
        mean = self.q / self.n
        gram = self.gram - np.outer(self.q, mean)
        return gram, self.cross - np.outer(self.y, mean).T, self.power - self.y**2 / self.n


class _Whitening(NamedTuple):
    """States are mean + q @ factor with q of about unit covariance, whose Gram matrix loses no digits."""

    mean: np.ndarray
    factor: np.ndarray

    def coordinates(self, states):
        """Return q transposed, (N, rows): substitution, unlike the inverse of the factor, is backward stable."""
        return dtrsm(1.0, self.factor, (states - self.mean).T, trans_a=True, overwrite_b=True)


def _whiten(head, cut) -> _Whitening:
    """QR of the first rows, on top of a small multiple of the identity that keeps still directions within range."""
    mean = head.mean(axis=0)
    deviations = head - mean
    floor = max(cut * np.linalg.norm(deviations), head.shape[1] * EPS * np.linalg.norm(head)) or 1.0
    factor = np.linalg.qr(np.concatenate([deviations, floor * np.eye(head.shape[1])]), mode="r")
    return _Whitening(mean, np.asfortranarray(factor / np.sqrt(len(head))))


def _stream(rows, y, plan) -> tuple[_Whitening, Iterator[_Sums]]:
    """Whiten on the first rows; return this and the sums of segment after segment, of those rows too."""
    count = max(2 * plan.n_units, 200)
    head = list(_take(rows, count))
    whitening = _whiten(np.concatenate(head)[:count], plan.cut)
    return whitening, _segment_sums(_pieces(chain(head, rows), plan.edges), whitening, y, plan)


def _take(rows, count) -> Iterator[np.ndarray]:
    for block in rows:
        yield np.array(block, dtype=np.float64)
        count -= len(block)
        if count <= 0:
            return


def _pieces(rows, edges) -> Iterator[np.ndarray]:
    """Split the blocks where segments meet."""
    start = 0
    for block in rows:
        stop = start + len(block)
        yield from np.split(block, edges[(edges > start) & (edges < stop)] - start)
        start = stop


def _segment_sums(pieces, whitening, y, plan) -> Iterator[_Sums]:
    """Yield the sums of every segment; the targets of all delays are one window sliding over y."""
    windows = np.lib.stride_tricks.sliding_window_view(y, len(plan.delays), axis=0)[plan.discard - plan.delays[-1] :]
    buffer = np.empty((plan.size, *windows.shape[1:]))
    n_targets = windows[0].size
    for (start, stop), y_sum, power in zip(pairwise(plan.edges), *_target_sums(y, plan), strict=True):
        gram = np.zeros((plan.n_units, plan.n_units))
        cross = np.zeros((plan.n_units, n_targets), order="F")
        q_sum = np.zeros(plan.n_units)
        n = int(stop - start)
        while start < stop:
            q = whitening.coordinates(next(pieces))
            targets = buffer[: q.shape[1]]
            targets[...] = windows[start : start + len(targets)]
            gram += q @ q.T  # NumPy sees the symmetry and does half of the work
            cross = dgemm(1.0, q, targets.reshape(-1, n_targets).T, beta=1.0, c=cross, trans_b=True, overwrite_c=True)
            q_sum += q.sum(axis=1)
            start += len(targets)
        yield _Sums(n, q_sum, gram, cross, y_sum, power)


def _target_sums(y, plan) -> tuple[np.ndarray, np.ndarray]:
    """Return the sums of y and of y^2 of every segment and target, (segments, J), from running sums."""
    ends = plan.discard + plan.edges[:, None] - plan.delays[::-1]
    running = (np.concatenate([np.zeros((1, y.shape[1])), np.cumsum(z, axis=0)])[ends] for z in (y, y * y))
    first, second = (np.diff(z, axis=0).transpose(0, 2, 1).reshape(len(ends) - 1, -1) for z in running)
    return first, second


# How it is scored


def score_in_sample(rows, y, plan):
    """Return R^2 of every target, the rank, and the total with each segment left out."""
    whitening, segments = _stream(rows, y, plan)
    parts = list(segments)
    total = reduce(_Sums.plus, parts)
    basis = _retained(total, whitening, plan)
    if basis is not None:
        total = total.projected(basis)
        parts = [part.projected(basis) for part in parts]
    rank = len(total.gram)

    def score(sums, ridge=0.0):
        r2 = _explained(sums, ridge)
        return adjust(r2, sums.n, rank) if plan.protocol.adjusted else r2

    # a unit active in one segment alone leaves a singular matrix behind: the ridge is for it, the others ignore it
    return score(total), rank, np.array([score(total.minus(part), ridge=1e-6).sum() for part in parts])


def score_held_out(rows, y, plan):
    """Return the squared test correlation of every target, the rank, and the total with each test part left out."""
    whitening, segments = _stream(rows, y, plan)
    fitted = next(segments)
    basis = _retained(fitted, whitening, plan)
    basis = np.eye(plan.n_units) if basis is None else basis
    gram, cross, _ = fitted.projected(basis).centred()
    weights = basis @ np.linalg.solve(gram, cross)
    parts = np.array([_prediction_sums(sums, weights) for sums in segments])
    total = parts.sum(axis=0)
    replicates = np.array([_squared_correlation(total - part).sum() for part in parts])
    return _squared_correlation(total), basis.shape[1], replicates


def _retained(sums, whitening, plan) -> np.ndarray | None:
    """Return a basis (N, r) of the directions whose singular value passes the cut, or None if clearly all do."""
    gram, _, _ = sums.centred()
    if not np.isfinite(gram).all():
        raise FloatingPointError("the state diverged: a sum over its steps is not finite")
    factor = whitening.factor
    # below this the deviations of an observed state from its mean are its rounding
    floor = plan.n_units * EPS * np.sqrt(sums.n) * np.linalg.norm(whitening.mean + sums.q / sums.n @ factor)
    still = gram.diagonal() <= plan.n_units * EPS * sums.gram.diagonal()
    scale = np.sqrt(np.where(still, 1.0, gram.diagonal()))
    unit = np.where(still | still[:, None], 0.0, gram / np.outer(scale, scale))
    lower, info = dpotrf(unit, lower=True)
    if info == 0 and dtrcon(lower, uplo="L")[0] > 1e-4 and scale.min() > 1e-2 * scale.max():
        least = _least_singular(factor, "U") * _least_singular(lower, "L") * scale.min()
        if least > max(floor, plan.cut * np.linalg.norm(factor) * np.linalg.norm(scale)):
            return None
    values, vectors = np.linalg.eigh(unit)
    keep = values > 1e-11  # less only if the first rows were nothing like the others
    root, vectors = np.sqrt(values[keep]), vectors[:, keep]
    left, singular, _ = np.linalg.svd(((root * vectors).T * scale) @ factor, full_matrices=False)
    keep = singular > max(floor, plan.cut * singular.max(initial=0.0))
    return (vectors / root / scale[:, None]) @ left[:, keep]


def _least_singular(triangle, uplo) -> float:
    """Return a lower bound of the least singular value, from an estimate of the condition number."""
    return dtrcon(triangle, uplo=uplo)[0] * np.linalg.norm(triangle, 1) / np.sqrt(len(triangle))


def _explained(sums, ridge) -> np.ndarray:
    """Return the share of the power of every target that regression on the coordinates explains."""
    gram, cross, power = sums.centred()
    if not len(gram):
        return np.zeros_like(power)
    gram.flat[:: len(gram) + 1] += ridge * gram.diagonal().max()
    try:
        lower = np.linalg.cholesky(gram)
    except np.linalg.LinAlgError:
        return _explained(sums, max(1000 * ridge, EPS))
    z = dtrsm(1.0, lower, cross, lower=True, overwrite_b=True)
    return np.einsum("ij,ij->j", z, z) / power


def adjust(r2, n, regressors):
    """Remove from R^2 what `regressors` independent ones explain by chance in n steps."""
    return 1 - (1 - r2) * (n - 1) / (n - regressors - 1)


def _prediction_sums(sums, weights) -> np.ndarray:
    """Return (6, J): n and the sums of p, p^2, p y, y, y^2 for the predictions p = weights . q."""
    p_power = np.einsum("ij,ij->j", weights, sums.gram @ weights)
    p_y = np.einsum("ij,ij->j", weights, sums.cross)
    return np.stack([np.full_like(p_y, sums.n), sums.q @ weights, p_power, p_y, sums.y, sums.power])


def _squared_correlation(moments) -> np.ndarray:
    n, p, p_power, p_y, y, power = moments
    spread = (p_power - p * p / n) * (power - y * y / n)
    return np.divide((p_y - p * y / n) ** 2, spread, out=np.zeros_like(p), where=spread > 0)
