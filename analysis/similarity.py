"""How alike two representations, two subspaces or two weight matrices are; for two dynamics see `operators`."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from penstock.checks import as_finite_array, as_int, generators
from penstock.progress import track
from penstock.threads import one_blas_thread

__all__ = [
    "Procrustes",
    "WeightDistance",
    "cka",
    "cka_biased",
    "principal_angles",
    "procrustes",
    "weight_distance",
]


# Representations


@one_blas_thread
def cka(X, Y) -> float:
    """Return the unbiased linear centred kernel alignment of two representations of the same samples.

    HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)) of the Gram matrices K = X X^T and L = Y Y^T, each HSIC the U-statistic
    [tr K'L' + 1'K'1 1'L'1 / ((n-1)(n-2)) - 2 1'K'L'1 / (n-2)] / (n (n-3)) of the matrices with zero diagonals K', L'.
    1 for rotated, shifted and scaled copies; 0 on average for independent ones, however many features there are.

    Parameters
    ----------
    X, Y : array, shape (n, p) and (n, q)
        Features of the same n samples, one per row; at least 4 samples.

    Raises
    ------
    ValueError, TypeError
        If the numbers of samples differ, there are too few, or all samples of a representation are equal or equally
        far from each other.

    References
    ----------
    S. Kornblith et al., Similarity of neural network representations revisited, ICML (2019). L. Song et al., Feature
    selection via dependence maximization, JMLR 13, 1393 (2012).

    Examples
    --------
    Independent representations of 50 samples by 100 features are not alike, though the biased value says so:

    >>> rng = np.random.default_rng(0)
    >>> X, Y = rng.standard_normal((2, 50, 100))
    >>> abs(cka(X, Y)) < 0.1, cka_biased(X, Y) > 0.6
    (True, True)
    """
    X, Y = _of_size_one(*_same_samples(X, Y, minimum=4))
    xy, xx, yy = _hsic_unbiased(X, Y), _hsic_unbiased(X, X), _hsic_unbiased(Y, Y)
    for name, Z, zz in (("X", X, xx), ("Y", Y, yy)):
        if zz <= 1e-12 * _hsic(Z, Z):  # rounding of a sum that is 0
            raise ValueError(f"{name} must not have all its {len(Z)} samples at equal distances: alike to everything")
    return float(xy / np.sqrt(xx * yy))


@one_blas_thread
def cka_biased(X, Y) -> float:
    """Return the linear centred kernel alignment as first published: between 0 and 1, too high for few samples.

    ||Y^T X||_F^2 / (||X^T X||_F ||Y^T Y||_F) with centred columns. Independent representations with more features
    than samples score far above 0; see `cka`.

    Parameters
    ----------
    X, Y : array, shape (n, p) and (n, q)
        Features of the same n samples, one per row.

    Raises
    ------
    ValueError, TypeError
        If the numbers of samples differ, or a representation is constant.

    References
    ----------
    S. Kornblith et al., Similarity of neural network representations revisited, ICML (2019).

    Examples
    --------
    >>> X = np.random.default_rng(0).standard_normal((20, 3))
    >>> round(cka_biased(X, 2 * X[:, ::-1] + 1), 12)
    1.0
    """
    X, Y = _of_size_one(*_same_samples(X, Y, minimum=2))
    return float(_hsic(X, Y) / np.sqrt(_hsic(X, X) * _hsic(Y, Y)))


def _of_size_one(X, Y) -> tuple[np.ndarray, np.ndarray]:
    return X / np.abs(X).max(), Y / np.abs(Y).max()  # fourth powers of other sizes would overflow


def _hsic(X, Y) -> float:
    """Return ||X^T Y||_F^2 = <X X^T, Y Y^T>, by whichever is smaller."""
    n, p, q = len(X), X.shape[1], Y.shape[1]
    if p * q <= n * (p + q):
        return float(np.sum((X.T @ Y) ** 2))
    return float(np.sum((X @ X.T) * (Y @ Y.T)))


def _hsic_unbiased(X, Y) -> float:
    n = len(X)
    k, m = np.einsum("ij,ij->i", X, X), np.einsum("ij,ij->i", Y, Y)
    # row sums without the diagonal; those of the Gram matrices themselves are zero, because the columns are centred
    cross = k @ m  # of the row sums -k and -m
    return (_hsic(X, Y) - cross + k.sum() * m.sum() / ((n - 1) * (n - 2)) - 2 * cross / (n - 2)) / (n * (n - 3))


class Procrustes(NamedTuple):
    """Hold an optimal rotation and what it leaves.

    Attributes
    ----------
    distance : float
        ||X - Y R||_F of the prepared arrays; between 0 and sqrt(2) if they were normalised.
    angle : float
        arccos(||X^T Y||_* / (||X||_F ||Y||_F)) in radians, 0..pi/2: a metric between shapes.
    R : array, shape (p, p)
        The orthogonal matrix, reflections allowed.
    aligned : array, shape (n, p)
        Y R, to be laid over `reference`.
    reference : array, shape (n, p)
        X as prepared.
    """

    distance: float
    angle: float
    R: np.ndarray
    aligned: np.ndarray
    reference: np.ndarray


@one_blas_thread
def procrustes(X, Y, *, centre=True, normalise=True) -> Procrustes:
    """Rotate one representation onto another: min over orthogonal R of ||X - Y R||_F, in closed form.

    The squared minimum is ||X||_F^2 + ||Y||_F^2 - 2 ||X^T Y||_*, with the nuclear norm. The one with fewer features
    is filled up with zeros.

    Parameters
    ----------
    X, Y : array, shape (n, p) and (n, q)
        Features of the same n samples, one per row.
    centre : bool, optional
        Whether the column means are removed first.
    normalise : bool, optional
        Whether both are divided by their Frobenius norm (after centring), so that scale does not count.

    Returns
    -------
    Procrustes
        Distance, angle, rotation and the aligned arrays.

    Raises
    ------
    ValueError, TypeError
        If the numbers of samples differ, or a representation is constant.

    References
    ----------
    P. H. Schoenemann, Psychometrika 31, 1 (1966). A. H. Williams et al., Generalized shape metrics on neural
    representations, NeurIPS (2021).

    Examples
    --------
    >>> X = np.random.default_rng(0).standard_normal((20, 3))
    >>> procrustes(X, 5 * X[:, [2, 0, 1]] - 1).distance < 1e-14
    True
    """
    X, Y = _pad(*_same_samples(X, Y, minimum=1, centre=centre))
    if normalise:
        X, Y = X / np.linalg.norm(X), Y / np.linalg.norm(Y)
    U, _, Vt = np.linalg.svd(Y.T @ X)
    R = U @ Vt
    aligned = Y @ R
    chord = float(np.linalg.norm(X / np.linalg.norm(X) - aligned / np.linalg.norm(Y)))
    angle = 2 * np.arcsin(min(chord / 2, 1.0))  # accurate at small angles, where the arc cosine is not
    return Procrustes(float(np.linalg.norm(X - aligned)), float(angle), R, aligned, X)


@one_blas_thread
def principal_angles(X, Y) -> np.ndarray:
    """Return the principal angles between the column spaces of two matrices in radians, smallest first.

    cos theta_k are the singular values of Q_X^T Q_Y, Q orthonormal bases; small angles are computed from sines.

    Parameters
    ----------
    X, Y : array, shape (n, p) and (n, q)
        Matrices whose columns span the subspaces, e.g. leading principal components of two sets of states.

    Returns
    -------
    array, shape (min(rank X, rank Y),)
        Angles in [0, pi/2].

    Raises
    ------
    ValueError, TypeError
        If the numbers of rows differ or a matrix is zero.

    References
    ----------
    A. V. Knyazev, M. E. Argentati, SIAM J. Sci. Comput. 23, 2008 (2002).

    Examples
    --------
    >>> principal_angles([[1.0], [0.0]], [[1.0], [1.0]]) * 180 / np.pi
    array([45.])
    """
    from scipy.linalg import orth

    X, Y = (orth(Z / np.abs(Z).max()) for Z in _same_samples(X, Y, minimum=1, centre=False))
    if X.shape[1] < Y.shape[1]:
        X, Y = Y, X
    cosines = np.clip(np.linalg.svd(X.T @ Y, compute_uv=False), 0, 1)
    sines = np.clip(np.linalg.svd(Y - X @ (X.T @ Y), compute_uv=False)[::-1], 0, 1)
    # either is inaccurate where it is near one; SciPy's function takes the wrong one if angles lie on both sides
    return np.where(cosines**2 >= 0.5, np.arcsin(sines), np.arccos(cosines))


# Weights


@dataclass(frozen=True, eq=False, repr=False)
class WeightDistance:
    """Hold the distance of two weight matrices up to the numbering of the units.

    Attributes
    ----------
    distance : float
        The smallest ||W1 - P^T W2 P||_F found: an upper bound of the true minimum.
    relative : float
        The distance divided by sqrt(||W1||_F^2 + ||W2||_F^2): 0 if equal, about 1 if unrelated.
    permutation : array of int, shape (n,)
        Unit ``permutation[i]`` of the second network takes the place of unit i of the first.
    as_numbered : float
        ||W1 - W2||_F without any permutation.
    lower_bound : float
        The true minimum cannot be less: distance of the sorted entries on and off the diagonal, or of the sorted
        singular values.
    n_starts, n_hits : int
        Starts of the search, and those that ended at the best distance: few hits, little confidence.
    """

    distance: float
    relative: float
    permutation: np.ndarray
    as_numbered: float
    lower_bound: float
    n_starts: int
    n_hits: int

    def __repr__(self):
        return (
            f"WeightDistance: {self.distance:.6g}, relative {self.relative:.4g}\n"
            f"  as numbered {self.as_numbered:.6g}; lower bound {self.lower_bound:.6g}\n"
            f"  search      {self.n_starts} starts, {self.n_hits} hits, {len(self.permutation)} units"
        )


@one_blas_thread
def weight_distance(W1, W2, *, n_starts=10, seed=0, progress=True) -> WeightDistance:
    """Compare two recurrent weight matrices whatever the numbering of their units: min over P of ||W1 - P^T W2 P||_F.

    The quadratic assignment problem is hard; this is the fast approximate algorithm (Frank-Wolfe on doubly stochastic
    matrices) from several starts, each result improved by the best exchange of two units until none helps.

    Parameters
    ----------
    W1, W2 : array, shape (n, n)
        Weight matrices of two networks of one size.
    n_starts : int, optional
        Starts: the centre of the doubly stochastic matrices, the given numbering, then random ones.
    seed : int or SeedSequence, optional
        Seed of the random starts.
    progress : bool, optional
        Whether a bar appears when the run takes longer than two seconds.

    Returns
    -------
    WeightDistance
        Distance, permutation and a lower bound.

    Raises
    ------
    ValueError, TypeError
        If the matrices are not square and of one size, or both are zero.

    References
    ----------
    J. T. Vogelstein et al., Fast approximate quadratic programming for graph matching, PLOS ONE 10, e0121002 (2015).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> W, order = rng.standard_normal((20, 20)), rng.permutation(20)
    >>> float(weight_distance(W, W[order][:, order]).distance)
    0.0
    """
    W1, W2 = _same_squares(W1, W2)
    n_starts = as_int("n_starts", n_starts)
    starts = track(enumerate(generators(seed, n_starts)), n_starts, "weight distance", progress)
    orders = [_exchange_units(W1, W2, _assign(W1, W2, index, rng)) for index, rng in starts]
    distances = np.array([np.linalg.norm(W1 - W2[order][:, order]) for order in orders])
    best = int(np.argmin(distances))
    size = float(np.hypot(np.linalg.norm(W1), np.linalg.norm(W2)))
    return WeightDistance(
        distance=float(distances[best]),
        relative=float(distances[best] / size),
        permutation=orders[best],
        as_numbered=float(np.linalg.norm(W1 - W2)),
        lower_bound=_weight_bound(W1, W2),
        n_starts=n_starts,
        n_hits=int(np.sum(distances <= distances[best] + 1e-9 * size)),
    )


def _assign(W1, W2, index, rng) -> np.ndarray:
    """Return a permutation by the fast approximate algorithm, from the start of that index."""
    from scipy.optimize import quadratic_assignment

    P0 = {0: "barycenter", 1: np.eye(len(W1))}.get(index, "randomized")
    return quadratic_assignment(W1, W2, method="faq", options={"maximize": True, "P0": P0, "rng": rng})["col_ind"]


def _exchange_units(A, B, order) -> np.ndarray:
    """Exchange the two units that raise the overlap sum_ij A_ij B_p(i)p(j) most, until none raises it."""
    order = order.copy()
    least = 1e-12 * np.linalg.norm(A) * np.linalg.norm(B)
    for _ in range(len(A) ** 2):
        gain = _exchange_gain(A, B[order][:, order])
        r, s = np.unravel_index(np.argmax(gain), gain.shape)
        if gain[r, s] <= least:
            break
        order[[r, s]] = order[[s, r]]
    return order


def _exchange_gain(A, B) -> np.ndarray:
    """Return what exchanging r and s in B adds to sum_ij A_ij B_ij, for all pairs (r, s) at once."""
    M = A.T @ B + A @ B.T
    m, a, b = np.diag(M), np.diag(A), np.diag(B)
    everyone = M + M.T - m[:, None] - m
    # the terms of r and s themselves, counted in the products above, give way to the true ones
    ar_as, br_bs = a[:, None] - A, b[:, None] - B
    ars, brs = a[:, None] - A.T, b[:, None] - B.T
    theirs = -(ar_as * br_bs) - ar_as.T * br_bs.T - ars * brs - ars.T * brs.T
    true = -(a[:, None] - a) * (b[:, None] - b) - (A - A.T) * (B - B.T)
    return everyone - theirs + true


def _weight_bound(W1, W2) -> float:
    off = ~np.eye(len(W1), dtype=bool)
    entries = [np.sort(W1[part]) - np.sort(W2[part]) for part in (off, ~off)]
    spectra = np.linalg.svd(W1, compute_uv=False) - np.linalg.svd(W2, compute_uv=False)
    return float(max(np.linalg.norm(np.concatenate(entries)), np.linalg.norm(spectra)))


# Checks


def _same_samples(X, Y, minimum, centre=True) -> tuple[np.ndarray, np.ndarray]:
    X, Y = _matrix("X", X), _matrix("Y", Y)
    if len(X) != len(Y):
        raise ValueError(f"X and Y must have the same number of rows (samples), got {len(X)} and {len(Y)}")
    if len(X) < minimum:
        raise ValueError(f"X and Y must have at least {minimum} rows (samples), got {len(X)}")
    for name, Z in (("X", X), ("Y", Y)):
        rest = Z - Z.mean(axis=0) if centre else Z
        if np.abs(rest).max() <= 1e-13 * np.abs(Z).max():
            raise ValueError(f"{name} must {'vary over its rows' if centre else 'not be zero'}, got constant columns")
    return (X - X.mean(axis=0), Y - Y.mean(axis=0)) if centre else (X, Y)


def _matrix(name, value) -> np.ndarray:
    value = as_finite_array(name, value, ndim=2)
    if value.size == 0:
        raise ValueError(f"{name} must not be empty, got shape {value.shape}")
    return value


def _same_squares(W1, W2) -> tuple[np.ndarray, np.ndarray]:
    W1, W2 = _matrix("W1", W1), _matrix("W2", W2)
    if W1.shape[0] != W1.shape[1]:
        raise ValueError(f"W1 must be square, got shape {W1.shape}")
    if W2.shape != W1.shape:
        raise ValueError(f"W2 must have the shape {W1.shape} of W1, got {W2.shape}")
    if not (W1.any() or W2.any()):
        raise ValueError("W1 and W2 must not both be zero, got only zeros")
    return W1, W2


def _pad(X, Y) -> list[np.ndarray]:
    width = max(X.shape[1], Y.shape[1])
    return [np.pad(Z, ((0, 0), (0, width - Z.shape[1]))) for Z in (X, Y)]
