"""Regression of many delayed targets on streamed states: one pass, one factorisation, memory free of the length."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import scipy  # its parts load at first use

from penstock.analysis.delays import Delays
from penstock.analysis.sums import EPS, Sums, Whitening, mirror, segment_sums, stream
from penstock.checks import as_finite_array

__all__ = [
    "N_BLOCKS",
    "Subspace",
    "adjust",
    "count_observed",
    "draw_inputs",
    "find_subspace",
    "score_held_out",
    "score_in_sample",
    "score_targets",
    "steps_needed",
]

N_BLOCKS = 10  # of the jackknife
KEPT_BYTES = 2**25  # of the sums of all blocks together: beyond, long blocks are fitted by themselves
APART = 100  # rows per unit from which a block is long
SINGLE = 256  # units from which the sums of blocks are kept in single precision
DETERMINED = 1e4  # power of the coordinates over that of a direction in them, which single precision then resolves
AWAKE = 1e-6  # of the power of a coordinate: a ridge for units that are still in all blocks but one


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


# How it is scored


def score_in_sample(rows, y, plan):
    """Return R^2 of every target, the rank, and the total with each block left out."""
    targets = Delays(y, plan)
    nothing = Sums.zeros(plan.n_units, targets.count)
    whitening, blocks = stream(rows, targets, plan)

    def alone(part, so_far):
        return _explained(part, _ridge(so_far, whitening))

    apart = _apart(plan, plan.n_units, targets.count)
    total, parts = _gather(blocks, nothing, plan, alone if apart else None)
    basis = _retained(total, whitening, plan)
    rank = plan.n_units if basis is None else basis.shape[1]

    def score(r2, n):
        return adjust(r2, n, rank) if plan.protocol.adjusted else r2

    fits = parts if apart else _leave_out(parts, total, basis, whitening)
    scores = np.array([score(r2, n) for n, r2 in fits])
    r2 = _explained(total if basis is None else total.projected(basis))
    if apart:
        scores = _as_left_out(scores, _empty(r2, total.n, np.ones(rank)))
    return score(r2, total.n), rank, scores.sum(axis=1)


def _apart(plan, n_coordinates, n_targets) -> bool:
    """Whether to keep of every block what a fit to it alone explains, instead of its sums."""
    n_bytes = N_BLOCKS * np.dtype(_precision(plan)).itemsize * n_coordinates * (n_coordinates + n_targets)
    return n_bytes > KEPT_BYTES and bool(np.diff(plan.edges).min() >= APART * plan.n_units)


def _precision(plan):
    """Standard errors need few digits, and coordinates of about unit covariance lose none."""
    return np.float32 if plan.n_units >= SINGLE else np.float64


def _gather(blocks, total, plan, explain) -> tuple[Sums, list]:
    """Return the sums over all blocks, added to `total`, and a list of what is kept of each.

    That is (steps, explain(sums of the block, sums so far)), or without `explain` its own sums.
    """
    parts = []
    for part in blocks:
        total = total.plus(part)
        parts.append((part.n, explain(part, total)) if explain else part.stored(_precision(plan)))
    return total, parts


def _leave_out(parts, total, basis, whitening) -> Iterator[tuple[int, np.ndarray]]:
    """Yield, with each block left out, the number of steps and R^2 of every target."""
    dtype = parts[0].gram.dtype
    whole = total.stored(dtype)
    ridge = _ridge(total, whitening) if basis is None else AWAKE  # of directions, whose power is 1
    if basis is not None and dtype == np.float32:
        basis = basis[:, total.gram.diagonal() @ basis**2 < DETERMINED].astype(dtype)  # others drown in rounding
    for part in parts:
        rest = whole.minus(part)
        yield rest.n, _explained(rest if basis is None else rest.projected(basis), ridge)


def _ridge(sums, whitening) -> np.ndarray:
    """Return a ridge (N,) that silences coordinates which are mere rounding, and is all but nothing to the others."""
    spread = sums.spread()
    real = spread * whitening.factor.diagonal() ** 2 > sums.n * whitening.floor**2
    return np.where(real, AWAKE, 1 / AWAKE) * np.where(spread > 0, spread, 1.0)


def _as_left_out(scores, empty) -> np.ndarray:
    """Return scores (blocks, J) of the blocks alone as what they would be with each block left out.

    A jackknife mean differs from the mean by a ninth of what its block does, so that the standard error is that of a
    mean of ten: what all short fits have in common, such as their bias, does not count. Chance alone decides an `empty`
    target; its variance falls with the square of the steps, not with the steps, by as many times more as there are
    blocks.
    """
    mean = scores.mean(axis=0)
    return mean - (scores - mean) * np.where(empty, N_BLOCKS**-0.5, 1.0) / (N_BLOCKS - 1)


def _empty(r2, n_steps, shares) -> np.ndarray:
    """Whether targets are within three standard deviations of what chance explains in directions with `shares`."""
    return r2 * n_steps < shares.sum() + 3 * np.sqrt(2 * (shares**2).sum())


def score_held_out(rows, y, plan):
    """Return the squared test correlation of every target, the rank, and the total with each test part left out."""
    whitening, segments = stream(rows, Delays(y, plan), plan)
    fitted = next(segments)
    basis = _retained(fitted, whitening, plan)
    basis = np.eye(plan.n_units) if basis is None else basis
    gram, cross, _ = fitted.projected(basis).centred()
    weights = basis @ scipy.linalg.solve(gram, cross, assume_a="pos")
    parts = np.array([_prediction_sums(sums, weights) for sums in segments])
    total = parts.sum(axis=0)
    replicates = np.array([_squared_correlation(total - part).sum() for part in parts])
    return _squared_correlation(total), basis.shape[1], replicates


class Subspace(NamedTuple):
    """The space that the observed states span, found once and used for any number of targets."""

    whitening: Whitening
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
    whitening, segments = stream(rows, no_targets, plan)
    total = Sums.zeros(plan.n_units, no_targets.count)
    for part in segments:
        total = total.plus(part)
    basis, singular = _principal(total, whitening, plan)
    power = singular**2
    return Subspace(whitening, total.q / total.n, basis, noise_floor**2 * power.sum() / plan.n_units / power)


def score_targets(rows, targets, subspace, plan) -> tuple[np.ndarray, np.ndarray]:
    """Return R^2 of every target (J,) and the same with each block left out (blocks, J)."""
    n_steps = plan.edges[-1] - plan.edges[0]

    def explain(sums, _=None):
        return _explained(sums, subspace.penalty * (sums.n / n_steps) + AWAKE)

    apart = _apart(plan, len(subspace.penalty), targets.count)
    blocks = segment_sums(rows, subspace.whitening, targets, plan)
    projected = (part.projected(subspace.basis) for part in blocks)
    nothing = Sums.zeros(len(subspace.penalty), targets.count)
    total, parts = _gather(projected, nothing, plan, explain if apart else None)
    if apart:
        scores = np.array([r2 for _, r2 in parts])
    else:
        whole = total.stored(_precision(plan))
        scores = np.array([explain(whole.minus(part)) for part in parts])
    r2 = _explained(total, subspace.penalty)
    return r2, _as_left_out(scores, _empty(r2, n_steps, subspace.shares)) if apart else scores


def _retained(sums, whitening, plan) -> np.ndarray | None:
    """Return a basis (N, r) of the directions whose singular value passes the cut, or None if clearly all do."""
    scale, unit, floor = _scaled_gram(sums, whitening, plan)
    lower, info = scipy.linalg.lapack.dpotrf(unit, lower=True)
    if info == 0 and scipy.linalg.lapack.dtrcon(lower, uplo="L")[0] > 1e-4 and scale.min() > 1e-2 * scale.max():
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
    del unit  # of many units every square matrix counts
    keep = values > 1e-11  # less only if the first rows were nothing like the others
    root, vectors = np.sqrt(values[keep]), vectors[:, keep]
    turned = (((root * vectors).T * scale) @ whitening.factor).T  # in Fortran order, so that it can be overwritten
    _, singular, left = scipy.linalg.svd(turned, full_matrices=False, overwrite_a=True, check_finite=False)
    keep = singular > max(floor, plan.cut * singular.max(initial=0.0))
    return (vectors / root / scale[:, None]) @ left[keep].T, singular[keep]


def _scaled_gram(sums, whitening, plan):
    """Return scales (N,) of the coordinates, their centred Gram matrix in these units, and the rounding of states."""
    gram = sums.full_gram().copy()
    power = gram.diagonal().copy()
    gram -= np.outer(sums.q, sums.q / sums.n)
    # below this the deviations of an observed state from its mean are its rounding
    centre = whitening.mean + sums.q / sums.n @ whitening.factor
    floor = plan.n_units * EPS * np.sqrt(sums.n) * np.linalg.norm(centre)
    still = gram.diagonal() <= plan.n_units * EPS * power
    scale = np.sqrt(np.where(still, 1.0, gram.diagonal()))
    gram /= scale
    gram /= scale[:, None]
    gram[still] = gram[:, still] = 0.0
    return scale, gram, floor


def _least_singular(triangle, uplo) -> float:
    """Return a lower bound of the least singular value, from an estimate of the condition number."""
    return scipy.linalg.lapack.dtrcon(triangle, uplo=uplo)[0] * np.linalg.norm(triangle, 1) / np.sqrt(len(triangle))


def _explained(sums, penalty=0.0) -> np.ndarray:
    """Return the share of the power of every target that regression on the coordinates explains.

    The penalty is added to the diagonal of the Gram matrix. The sums are overwritten.
    """
    if not sums.gram.diagonal().max(initial=0.0) > 0:
        return np.zeros_like(sums.power)
    gram, cross, power = sums.centred()
    diagonal = gram.diagonal() + penalty
    factorise, solve = scipy.linalg.get_lapack_funcs("potrf", (gram,)), scipy.linalg.get_blas_funcs("trsm", (gram,))
    for ridge in (0.0, *EPS * 1000.0 ** np.arange(6)):
        np.fill_diagonal(mirror(gram), diagonal + ridge * diagonal.max())
        upper, info = factorise(gram, lower=False, clean=False, overwrite_a=True)
        if info == 0:
            z = solve(1.0, upper, cross.T, side=True, overwrite_b=True).T
            return np.einsum("ij,ij->j", z, z) / power
        mirror(gram.T)  # the lower triangle still has what was overwritten
    return np.full_like(power, np.nan)


def adjust(r2, n, regressors):
    """Remove from R^2 what `regressors` independent ones explain by chance in n steps."""
    return 1 - (1 - r2) * (n - 1) / (n - regressors - 1)


def _prediction_sums(sums, weights) -> np.ndarray:
    """Return (6, J): n and the sums of p, p^2, p y, y, y^2 for the predictions p = weights . q."""
    p_power = np.einsum("ij,ij->j", weights, sums.full_gram() @ weights)
    p_y = np.einsum("ij,ij->j", weights, sums.cross)
    return np.stack([np.full_like(p_y, sums.n), sums.q @ weights, p_power, p_y, sums.y, sums.power])


def _squared_correlation(moments) -> np.ndarray:
    n, p, p_power, p_y, y, power = moments
    spread = (p_power - p * p / n) * (power - y * y / n)
    return np.divide((p_y - p * y / n) ** 2, spread, out=np.zeros_like(p), where=spread > 0)
