"""Regression of many delayed targets on streamed states: one pass, one factorisation, memory free of the length."""

from collections.abc import Iterator
from functools import reduce
from itertools import chain, pairwise
from operator import add, sub
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg.blas import dgemm, dtrsm
from scipy.linalg.lapack import dpotrf, dtrcon

from penstock.checks import as_finite_array
from penstock.progress import track

__all__ = [
    "EPS",
    "N_BLOCKS",
    "Plan",
    "Subspace",
    "adjust",
    "count_observed",
    "draw_inputs",
    "find_subspace",
    "observed_rows",
    "score_held_out",
    "score_in_sample",
    "score_targets",
    "steps_needed",
]

EPS = float(np.finfo(np.float64).eps)
N_BLOCKS = 10  # of the jackknife


class Plan(NamedTuple):
    """Sizes of one measurement."""

    protocol: Any  # a complete `Protocol`
    delays: np.ndarray
    n_units: int
    edges: np.ndarray  # rows where the segments begin and end, counted from the first recorded step
    discard: int
    size: int  # rows per block
    cut: float


# What is run


def count_observed(system, purpose) -> int:
    """Return the number of units that a readout of a driven system sees; errors say what inputs are needed for."""
    if system.n_inputs == 0:
        raise ValueError(f"system must have inputs {purpose}, got an autonomous system (n_inputs = 0)")
    n_units = len(range(*system.observed.indices(system.n_units)))
    if n_units == 0:
        raise ValueError(f"system must have an observed unit, got observed = {system.observed}")
    return n_units


def steps_needed(n_units) -> int:
    """Return the fewest steps from which a block of the jackknife may go and leave more rows than unknowns."""
    return -(-(n_units + 3) * N_BLOCKS // (N_BLOCKS - 1)) + 1


def draw_inputs(law, size, rng) -> np.ndarray:
    """Return finite inputs of shape `size`."""
    if not callable(law):
        raise TypeError(f"input_law must be a function (rng, size) -> array, got {law!r}")
    u = as_finite_array("input_law(rng, size)", law(rng, size))
    if u.shape != size:
        raise ValueError(f"input_law(rng, size) must return an array of shape size = {size}, got {u.shape}")
    return u


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


def observed_rows(system, u, plan, what, progress) -> Iterator[np.ndarray]:
    """Yield the observed states of the recorded steps, block by block, under a progress bar named `what`."""
    end = 0
    for block in track(system.blocks(u, plan.size), -(-len(u) // plan.size), what, progress):
        end += len(block)
        rows = block[max(0, len(block) - (end - plan.discard)) :, system.observed]
        if len(rows):
            yield rows


class _Whitening(NamedTuple):
    """States [order] are mean + q @ factor with q of about unit covariance, whose Gram matrix loses no digits."""

    mean: np.ndarray
    factor: np.ndarray
    order: np.ndarray | slice

    def coordinates(self, states):
        """Return q transposed, (N, rows): substitution, unlike the inverse of the factor, is backward stable."""
        deviations = np.subtract(states[:, self.order], self.mean, order="C")
        return dtrsm(1.0, self.factor, deviations.T, trans_a=True, overwrite_b=True)


def _whiten(head, cut) -> _Whitening:
    """QR of the first rows, on top of a small multiple of the identity that keeps still directions within range.

    Units that are all but still in these rows, such as neurons that will only fire later, come last and keep their
    scale: measured by their present spread, what they do later would be huge and swamp the coordinates after them.
    """
    deviations = head - head.mean(axis=0)
    spread = np.linalg.norm(deviations, axis=0)
    floor = max(cut * np.linalg.norm(deviations), head.shape[1] * EPS * np.linalg.norm(head)) or 1.0
    still = spread <= _STILL * spread.max(initial=0.0)
    order = np.argsort(-spread, kind="stable") if still.any() else slice(None)
    floors = np.where(still, spread.max(initial=0.0) or 1.0, floor)[order]
    factor = np.linalg.qr(np.concatenate([deviations[:, order], np.diag(floors)]), mode="r")
    return _Whitening(head.mean(axis=0)[order], np.asfortranarray(factor / np.sqrt(len(head))), order)


_STILL = 1e-3  # of the largest spread of a unit


class _Windows:
    """Every delay of y (steps, m) as a target: one window sliding over y, whose sums are differences of running sums.

    Whatever else is regressed gives the same two methods and the number of its targets, `count`.
    """

    def __init__(self, y, plan):
        windows = np.lib.stride_tricks.sliding_window_view(y, len(plan.delays), axis=0)
        self.windows = windows[plan.discard - plan.delays[-1] :]
        self.buffer = np.empty((plan.size, *windows.shape[1:]))
        self.count = windows[0].size
        self.sums = zip(*_target_sums(y, plan), strict=True)

    def add_products(self, q, start, cross):
        """Return ``cross + q @ y`` with the targets y (rows, J) from row `start` on; cross may be overwritten."""
        targets = self.buffer[: q.shape[1]]
        targets[...] = self.windows[start : start + len(targets)]
        y = targets.reshape(-1, self.count)
        return dgemm(1.0, q, y.T, beta=1.0, c=cross, trans_b=True, overwrite_c=True)

    def end_segment(self):
        """Return the sums (J,) of y and of y^2 over the segment that has just been added."""
        return next(self.sums)


def _stream(rows, targets, plan) -> tuple[_Whitening, Iterator[_Sums]]:
    """Whiten on the first rows; return this and the sums of segment after segment, of those rows too."""
    count = max(2 * plan.n_units, 200)
    head = list(_take(rows, count))
    whitening = _whiten(np.concatenate(head)[:count], plan.cut)
    return whitening, _segment_sums(chain(head, rows), whitening, targets, plan)


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


def _segment_sums(rows, whitening, targets, plan) -> Iterator[_Sums]:
    """Yield the sums of every segment."""
    pieces = _pieces(rows, plan.edges)
    for start, stop in pairwise(plan.edges):
        gram = np.zeros((plan.n_units, plan.n_units))
        cross = np.zeros((plan.n_units, targets.count), order="F")
        q_sum = np.zeros(plan.n_units)
        n = int(stop - start)
        while start < stop:
            q = whitening.coordinates(next(pieces))
            gram += q @ q.T  # NumPy sees the symmetry and does half of the work
            cross = targets.add_products(q, start, cross)
            q_sum += q.sum(axis=1)
            start += q.shape[1]
        yield _Sums(n, q_sum, gram, cross, *targets.end_segment())
    next(pieces, None)  # so that a progress bar ends here


def _target_sums(y, plan) -> tuple[np.ndarray, np.ndarray]:
    """Return the sums of y and of y^2 of every segment and target, (segments, J), from running sums."""
    ends = plan.discard + plan.edges[:, None] - plan.delays[::-1]
    running = (np.concatenate([np.zeros((1, y.shape[1])), np.cumsum(z, axis=0)])[ends] for z in (y, y * y))
    first, second = (np.diff(z, axis=0).transpose(0, 2, 1).reshape(len(ends) - 1, -1) for z in running)
    return first, second


# How it is scored


def score_in_sample(rows, y, plan):
    """Return R^2 of every target, the rank, and the total with each segment left out."""
    whitening, segments = _stream(rows, _Windows(y, plan), plan)
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
    whitening, segments = _stream(rows, _Windows(y, plan), plan)
    fitted = next(segments)
    basis = _retained(fitted, whitening, plan)
    basis = np.eye(plan.n_units) if basis is None else basis
    gram, cross, _ = fitted.projected(basis).centred()
    weights = basis @ np.linalg.solve(gram, cross)
    parts = np.array([_prediction_sums(sums, weights) for sums in segments])
    total = parts.sum(axis=0)
    replicates = np.array([_squared_correlation(total - part).sum() for part in parts])
    return _squared_correlation(total), basis.shape[1], replicates


class Subspace(NamedTuple):
    """The space that the observed states span, found once and used for any number of targets."""

    whitening: _Whitening
    mean: np.ndarray  # (N,), of the whitened coordinates
    basis: np.ndarray  # (N, r), of the directions that passed the cut: in them the centred Gram matrix is 1
    penalty: np.ndarray  # (r,), variance of the noise over that of the state in every direction

    @property
    def shares(self) -> np.ndarray:
        """Return how much of the variance seen in every direction (r,) is the state's; all 1 without noise."""
        return 1 / (1 + self.penalty)

    def leverages(self, q) -> np.ndarray:
        """Return the weight (rows,) of every step on its own prediction; over all steps they sum to `shares`."""
        z = (self.basis * np.sqrt(self.shares)).T @ (q - self.mean[:, None])
        return np.einsum("ij,ij->j", z, z)


def find_subspace(rows, no_targets, plan, noise_floor=0.0) -> Subspace:
    """Return the space spanned by the states; white noise of `noise_floor` times their rms deviation lies on them."""
    whitening, segments = _stream(rows, no_targets, plan)
    total = reduce(_Sums.plus, segments)
    basis, singular = _principal(total, whitening, plan)
    power = singular**2
    return Subspace(whitening, total.q / total.n, basis, noise_floor**2 * power.sum() / plan.n_units / power)


def score_targets(rows, targets, subspace, plan) -> tuple[np.ndarray, np.ndarray]:
    """Return R^2 of every target (J,) and the same with each segment left out (segments, J)."""
    segments = _segment_sums(rows, subspace.whitening, targets, plan)
    parts = [part.projected(subspace.basis) for part in segments]
    total = reduce(_Sums.plus, parts)

    def score(sums, ridge=0.0):
        return _explained(sums, ridge, subspace.penalty * (sums.n / total.n))

    return score(total), np.array([score(total.minus(part), ridge=1e-6) for part in parts])


def _retained(sums, whitening, plan) -> np.ndarray | None:
    """Return a basis (N, r) of the directions whose singular value passes the cut, or None if clearly all do."""
    scale, unit, floor = _scaled_gram(sums, whitening, plan)
    lower, info = dpotrf(unit, lower=True)
    if info == 0 and dtrcon(lower, uplo="L")[0] > 1e-4 and scale.min() > 1e-2 * scale.max():
        least = _least_singular(whitening.factor, "U") * _least_singular(lower, "L") * scale.min()
        if least > max(floor, plan.cut * np.linalg.norm(whitening.factor) * np.linalg.norm(scale)):
            return None
    return _principal(sums, whitening, plan)[0]


def _principal(sums, whitening, plan) -> tuple[np.ndarray, np.ndarray]:
    """Return the principal directions of the states that pass the cut: basis (N, r), singular values (r,).

    In their coordinates the centred Gram matrix of `sums` is the identity.
    """
    scale, unit, floor = _scaled_gram(sums, whitening, plan)
    values, vectors = np.linalg.eigh(unit)
    keep = values > 1e-11  # less only if the first rows were nothing like the others
    root, vectors = np.sqrt(values[keep]), vectors[:, keep]
    left, singular, _ = np.linalg.svd(((root * vectors).T * scale) @ whitening.factor, full_matrices=False)
    keep = singular > max(floor, plan.cut * singular.max(initial=0.0))
    return (vectors / root / scale[:, None]) @ left[:, keep], singular[keep]


def _scaled_gram(sums, whitening, plan):
    """Return scales (N,) of the coordinates, their centred Gram matrix in these units, and the rounding of states."""
    gram, _, _ = sums.centred()
    if not np.isfinite(gram).all():
        raise FloatingPointError("the state diverged: a sum over its steps is not finite")
    # below this the deviations of an observed state from its mean are its rounding
    centre = whitening.mean + sums.q / sums.n @ whitening.factor
    floor = plan.n_units * EPS * np.sqrt(sums.n) * np.linalg.norm(centre)
    still = gram.diagonal() <= plan.n_units * EPS * sums.gram.diagonal()
    scale = np.sqrt(np.where(still, 1.0, gram.diagonal()))
    unit = np.where(still | still[:, None], 0.0, gram / np.outer(scale, scale))
    return scale, unit, floor


def _least_singular(triangle, uplo) -> float:
    """Return a lower bound of the least singular value, from an estimate of the condition number."""
    return dtrcon(triangle, uplo=uplo)[0] * np.linalg.norm(triangle, 1) / np.sqrt(len(triangle))


def _explained(sums, ridge, penalty=0.0) -> np.ndarray:
    """Return the share of the power of every target that regression on the coordinates explains.

    The ridge is relative to the largest diagonal element, the penalty as it is.
    """
    gram, cross, power = sums.centred()
    if not len(gram):
        return np.zeros_like(power)
    gram.flat[:: len(gram) + 1] += ridge * gram.diagonal().max() + penalty
    try:
        lower = np.linalg.cholesky(gram)
    except np.linalg.LinAlgError:
        return _explained(sums, max(1000 * ridge, EPS), penalty)
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
