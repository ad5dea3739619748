"""Dynamical similarity analysis: linear operators of delay-embedded trajectories, compared up to a rotation."""

from dataclasses import dataclass

import numpy as np

from penstock.analysis.embedding import delay_embedding
from penstock.checks import as_finite_array, as_int, as_non_negative_float, seed_sequence
from penstock.progress import track
from penstock.threads import one_blas_thread

__all__ = [
    "DelayOperator",
    "DynamicalSimilarity",
    "OperatorDistance",
    "delay_operator",
    "dynamical_similarity",
    "operator_distance",
]

EPS, TINY = float(np.finfo(np.float64).eps), float(np.finfo(np.float64).tiny)
GROUP = 16  # starts descended together


@dataclass(frozen=True, eq=False, repr=False)
class DelayOperator:
    """Hold the linear operator that advances the leading coordinates of a delay-embedded trajectory by one step.

    Attributes
    ----------
    operator : array, shape (r, r)
        A of v' = A v.
    singular_values : array, shape (min(n, d m),)
        Of the stacked delay vectors, all of them; the first r were kept.
    r2 : float
        1 - ||v' - A v||^2 / ||v'||^2 of the fit: how linear the dynamics is in these coordinates.
    n_delays, delay, rank : int
        Copies, steps between them, and r.
    ridge : float
        Penalty of the fit.
    n_vectors, n_trials : int
        Delay vectors in all, and series they came from.
    """

    operator: np.ndarray
    singular_values: np.ndarray
    r2: float
    n_delays: int
    delay: int
    rank: int
    ridge: float
    n_vectors: int
    n_trials: int

    def __repr__(self):
        kept = float(np.sum(self.singular_values[: self.rank] ** 2) / np.sum(self.singular_values**2))
        return (
            f"DelayOperator: rank {self.rank}, one-step R^2 {self.r2:.6g}\n"
            f"  embedding   {self.n_delays} delays of {self.delay} steps, {kept:.4%} of the power kept\n"
            f"  fit         {self.n_vectors} vectors of {self.n_trials} trials, ridge {self.ridge:g}"
        )


@one_blas_thread
def delay_operator(X, *, n_delays=1, delay=1, rank=None, ridge=0.0) -> DelayOperator:
    """Fit a linear operator to trajectories: embed with delays, keep r coordinates, and regress their next values.

    The delay vectors of all trials are stacked, H = V S U^T; the coordinates v are the first r columns of V, which
    have unit norm whatever the units of the series, and A minimises ||v' - A v||^2 + ridge ||A||^2 over all pairs of
    successive vectors of one trial. Nothing is centred: subtract the mean first if the offset is of no interest.

    Parameters
    ----------
    X : array, shape (T,), (T, m) or (K, T, m), or a list of arrays (T_k, m)
        One trajectory, a batch, or trials of any lengths. No delay vector crosses from one trial to the next.
    n_delays : int, optional
        Copies d of the series side by side.
    delay : int, optional
        Steps between copies.
    rank : int, optional
        Coordinates kept, r; by default as many as the delay vectors span.
    ridge : float, optional
        Penalty, relative to coordinates of unit norm over the whole series.

    Returns
    -------
    DelayOperator
        The operator, the singular values and the quality of the fit.

    Raises
    ------
    ValueError, TypeError
        If a trial is too short, channels differ, or the delay vectors do not span `rank` dimensions.

    References
    ----------
    S. L. Brunton et al., Chaos as an intermittently forced linear system, Nat. Commun. 8, 19 (2017).

    Examples
    --------
    A sampled rotation is one, by the angle per step:

    >>> angle = 0.3 * np.arange(200)
    >>> A = delay_operator(np.sin(angle), n_delays=2, rank=2).operator
    >>> np.abs(np.angle(np.linalg.eigvals(A))).round(6)
    array([0.3, 0.3])
    """
    trials = _trials("X", X)
    n_delays, delay = as_int("n_delays", n_delays), as_int("delay", delay)
    ridge = as_non_negative_float("ridge", ridge)
    need = (n_delays - 1) * delay + 2
    for index, trial in enumerate(trials):
        if len(trial) < need:
            raise ValueError(f"X must have at least (n_delays - 1) * delay + 2 = {need} steps in every trial, "
                             f"got {len(trial)} in trial {index}")  # fmt: skip
    H = [delay_embedding(trial, n_delays, delay) for trial in trials]
    V, s = np.linalg.svd(np.vstack(H), full_matrices=False)[:2]
    spanned = int(np.sum(s > s[0] * max(V.shape) * EPS))
    rank = spanned if rank is None else as_int("rank", rank)
    if rank > spanned:
        raise ValueError(f"rank must be at most {spanned}, the dimension the delay vectors span, got {rank}")
    ends = np.cumsum([len(h) for h in H])
    after = np.ones(len(V), dtype=bool)
    after[[0, *ends[:-1]]] = False  # the first vector of a trial follows nothing
    before = np.ones(len(V), dtype=bool)
    before[ends - 1] = False
    v, target = V[before, :rank], V[after, :rank]
    if len(v) < rank:
        raise ValueError(f"X must give at least rank = {rank} pairs of successive vectors, got {len(v)}")
    operator = _ridge_fit(v, target, ridge)
    r2 = 1 - np.sum((target - v @ operator.T) ** 2) / np.sum(target**2)
    return DelayOperator(operator, s, float(r2), n_delays, delay, rank, ridge, len(V), len(trials))


def _ridge_fit(v, target, ridge) -> np.ndarray:
    """Return A of target = A v by least squares on the rows extended with the penalty: no Gram matrix is formed."""
    r = v.shape[1]
    if ridge:
        v, target = np.vstack([v, np.sqrt(ridge) * np.eye(r)]), np.vstack([target, np.zeros((r, r))])
    return np.linalg.lstsq(v, target, rcond=None)[0].T


@dataclass(frozen=True, eq=False, repr=False)
class OperatorDistance:
    """Hold the distance of two linear operators up to an orthogonal change of coordinates.

    Attributes
    ----------
    distance : float
        The smallest ||A - C B C^T||_F found.
    angle : float
        arccos(tr(A^T C B C^T) / (||A||_F ||B||_F)) in radians at the same C, which is the best for it too. Scale does
        not count.
    C : array, shape (r, r)
        The best orthogonal matrix.
    lower_bound : float
        The larger of the two bounds below. Where the distance meets it, the optimum is proved.
    singular_value_bound : float
        Distance of the sorted singular values.
    symmetric_skew_bound : float
        sqrt(d_sym^2 + d_skew^2), the distances of the sorted eigenvalues of the symmetric and skew parts.
    rotation_distance, reflection_distance : float
        The best with det C = 1 and with det C = -1.
    converged : bool
        Whether the gradient vanishes at the best C.
    n_starts, n_hits : int
        Starts tried, and those that ended at the best distance (to 1e-5 of the norms): few hits, little confidence.
    exact : bool
        Whether the closed form of symmetric operators was used.
    """

    distance: float
    angle: float
    C: np.ndarray
    lower_bound: float
    singular_value_bound: float
    symmetric_skew_bound: float
    rotation_distance: float
    reflection_distance: float
    converged: bool
    n_starts: int
    n_hits: int
    exact: bool

    def __repr__(self):
        how = "closed form of symmetric operators" if self.exact else f"{self.n_hits} of {self.n_starts} starts hit it"
        return "\n".join(
            [
                f"OperatorDistance: {self.distance:.6g}, angle {self.angle:.6g} rad",
                f"  lower bound {self.lower_bound:.6g} (singular values {self.singular_value_bound:.6g}, "
                f"symmetric and skew parts {self.symmetric_skew_bound:.6g})",
                f"  det C       +1: {self.rotation_distance:.6g}, -1: {self.reflection_distance:.6g}",
                f"  optimum     {how}{'' if self.converged else ', NOT CONVERGED'}; rank {len(self.C)}",
            ]
        )


@one_blas_thread
def operator_distance(A, B, *, n_starts=10, seed=0, progress=True) -> OperatorDistance:
    """Compare two linear operators up to an orthogonal change of coordinates: min over C of ||A - C B C^T||_F.

    Symmetric pairs have the closed form ||sorted eigenvalue difference||_2. Otherwise L-BFGS on the orthogonal group,
    in both determinant components, from starts that match eigenvectors of symmetric invariants (exact for rotated
    copies) and from random ones, until one meets the lower bound. The eigenvalue distance is no lower bound unless both
    are normal; the two bounds reported always are.

    Parameters
    ----------
    A, B : array, shape (r, r)
        Operators of the same size.
    n_starts : int, optional
        Random starts beside the matched ones.
    seed : int or SeedSequence, optional
        Seed of the random starts.
    progress : bool, optional
        Whether a bar appears when the search takes longer than two seconds.

    Returns
    -------
    OperatorDistance
        Optimum, its angular version, bounds and how sure the optimum is.

    Raises
    ------
    ValueError, TypeError
        If the operators are not square and of one size, or one is zero.

    References
    ----------
    M. Ostrow, A. Eisen, L. Kozachkov, I. Fiete, Beyond geometry: comparing the temporal structure of computation in
    neural circuits with dynamical similarity analysis, NeurIPS (2023).

    Examples
    --------
    >>> result = operator_distance([[0.0, 1.0], [1e-4, 0.0]], [[0.0, 1.0], [0.0, 0.0]])
    >>> round(result.distance, 12), round(result.lower_bound, 12)
    (0.0001, 0.0001)
    """
    A, B = _operators(A, B)
    n_starts, rng = as_int("n_starts", n_starts, minimum=0), np.random.default_rng(seed_sequence(seed))
    if _is_symmetric(A) and _is_symmetric(B):
        return _operator_result(A, B, [_match_spectra(A, B)], exact=True)
    scale = max(np.linalg.norm(A), np.linalg.norm(B))
    bound = max(_singular_value_bound(A, B), _symmetric_skew_bound(A, B))
    starts = list(_matched_starts(A, B))
    if min(_distance(A, B, C) for pair in starts for C in pair) > bound + 1e-9 * scale:
        starts += [_random_start(len(A), rng) for _ in range(n_starts)]
    pairs: list[list[np.ndarray]] = []
    for first in track(range(0, len(starts), GROUP), -(-len(starts) // GROUP), "operator distance", progress):
        pairs += _descend_pairs(A / scale, B / scale, starts[first : first + GROUP], 1e-6)
        if min(_distance(A, B, C) for pair in pairs for C in pair) <= bound + 1e-9 * scale:
            break  # the lower bound is met: there is nothing better to find
    best = int(np.argmin([min(_distance(A, B, C) for C in pair) for pair in pairs]))
    (pairs[best],) = _descend_pairs(A / scale, B / scale, [pairs[best]], 1e-15)
    return _operator_result(A, B, pairs, exact=False)


def _operator_result(A, B, pairs, exact) -> OperatorDistance:
    """Judge the ends of all descents; each pair has one end with det C = 1 and one with det C = -1."""
    distances = np.array([[_distance(A, B, C) for C in pair] for pair in pairs])
    index = np.unravel_index(np.argmin(distances), distances.shape)
    C, distance = pairs[index[0]][index[1]], float(distances[index])
    a, b = np.linalg.norm(A), np.linalg.norm(B)
    chord = _distance(A / a, B / b, C)
    turns = np.array([[np.linalg.det(C) > 0 for C in pair] for pair in pairs])
    bounds = _singular_value_bound(A, B), _symmetric_skew_bound(A, B)
    return OperatorDistance(
        distance=distance,
        angle=float(2 * np.arcsin(min(chord / 2, 1.0))),  # accurate at small angles, where the arc cosine is not
        C=C,
        lower_bound=max(bounds),
        singular_value_bound=bounds[0],
        symmetric_skew_bound=bounds[1],
        rotation_distance=float(distances[turns].min()),
        reflection_distance=float(distances[~turns].min()),
        converged=bool(np.linalg.norm(_gradient(A - C @ B @ C.T, C @ B @ C.T)) <= 1e-6 * a * b),
        n_starts=len(pairs),
        n_hits=int(np.sum(distances.min(axis=1) <= distance + 1e-5 * (a + b))),
        exact=exact,
    )


def _distance(A, B, C) -> float:
    return float(np.linalg.norm(A - C @ B @ C.T))


def _singular_value_bound(A, B) -> float:
    return float(np.linalg.norm(np.linalg.svd(A, compute_uv=False) - np.linalg.svd(B, compute_uv=False)))


def _symmetric_skew_bound(A, B) -> float:
    symmetric = np.linalg.eigvalsh((A + A.T) / 2) - np.linalg.eigvalsh((B + B.T) / 2)
    skew = np.linalg.eigvalsh(1j * (A - A.T) / 2) - np.linalg.eigvalsh(1j * (B - B.T) / 2)
    return float(np.hypot(np.linalg.norm(symmetric), np.linalg.norm(skew)))


# Starts of the search, each a pair: one matrix of either determinant


def _matched_starts(A, B):
    """Yield starts that map the sorted eigenvectors of a symmetric function of B on those of A, signs fitted."""
    for invariant in (lambda Z: Z + Z.T, lambda Z: Z @ Z.T, lambda Z: Z.T @ Z, lambda Z: Z @ Z + (Z @ Z).T):
        yield _match_spectra(A, B, invariant)


def _match_spectra(A, B, invariant=lambda Z: Z):
    U, V = np.linalg.eigh(invariant(A))[1], np.linalg.eigh(invariant(B))[1]
    overlap = (U.T @ A @ U) * (V.T @ B @ V)
    signs, weakest = _fit_signs(overlap + overlap.T)
    return _both((U * signs) @ V.T, U[:, weakest])


def _fit_signs(overlap):
    """Return signs d that make sum_ij d_i d_j overlap_ij large, and the one whose change costs least."""
    overlap = overlap - np.diag(np.diag(overlap))
    d = np.where(np.linalg.eigh(overlap)[1][:, -1] < 0, -1.0, 1.0)
    for _ in range(len(d) ** 2):
        pull = d * (overlap @ d)
        worst = int(np.argmin(pull))
        if pull[worst] >= 0:
            break
        d[worst] *= -1
    return d, int(np.argmin(d * (overlap @ d)))


def _random_start(n, rng):
    Q, R = np.linalg.qr(rng.standard_normal((n, n)))
    return _both(Q * np.sign(np.diag(R)), np.eye(n)[0])


def _both(C, axis):
    """Return C and its reflection along a unit vector: one of either determinant."""
    return C, C - 2 * np.outer(axis, axis @ C)


# Descent on the orthogonal group


def _descend_pairs(A, B, pairs, tolerance) -> list[list[np.ndarray]]:
    """Descend from both matrices of every pair, all at once."""
    if len(A) % 2:  # C and -C give the same operator and have opposite determinants
        ends = _descend(A, B, np.array([pair[0] for pair in pairs]), tolerance)
        return [[end, -end] for end in ends]
    ends = _descend(A, B, np.concatenate(pairs), tolerance)
    return [list(pair) for pair in ends.reshape(-1, 2, *A.shape)]


def _descend(A, B, C, tolerance, max_steps=3000) -> np.ndarray:
    """Minimise f = ||A - C B C^T||_F^2 / 2 from every start C (K, r, r) by L-BFGS; return the ends (K, r, r).

    Steps are rotations C <- cayley(W) C, W skew. Every start has its own step length and leaves when it is done.
    """
    C = np.array(C)
    M = C @ B @ C.transpose(0, 2, 1)
    value, G = _value_and_gradient(A, M)
    curvature = _Curvature(*C.shape[:2])
    W, length, stalled = -G, np.minimum(1.0, 0.5 / np.maximum(_norm(G), TINY)), np.zeros(len(C), int)
    left = np.flatnonzero(_norm(G) > tolerance)
    for _ in range(max_steps):
        if not left.size:
            break
        step = length[left, None, None] * W[left]
        Q = _cayley(step)
        trial = Q @ M[left] @ Q.transpose(0, 2, 1)
        trial_value, trial_G = _value_and_gradient(A, trial)
        good = trial_value <= value[left] + 1e-4 * _inner(step, G[left])
        length[left[~good]] /= 2
        k = left[good]
        if k.size:
            curvature.remember(k, step[good], trial_G[good] - G[k])
            stalled[k] = np.where(trial_value[good] < (1 - 4 * EPS) * value[k], 0, stalled[k] + 1)
            C[k], M[k], value[k], G[k] = Q[good] @ C[k], trial[good], trial_value[good], trial_G[good]
            W[k] = -curvature.inverse(k, G[k])
            length[k] = np.minimum(1.0, 2.0 / np.maximum(_norm(W[k]), TINY))  # at most a quarter turn
        # below the shortest step no descent is left but that of rounding
        left = left[(_norm(G[left]) > tolerance) & (stalled[left] <= 3) & (length[left] > 1e-12)]
    return C


class _Curvature:
    """The last steps s and changes y of the gradient of K descents, from which L-BFGS makes the inverse Hessian."""

    def __init__(self, n_descents, n, most=8):
        self.s, self.y = np.zeros((2, n_descents, most, n * n))  # the newest last; 0 where nothing is stored

    def remember(self, k, s, y):
        """Store a step of the descents k, unless the curvature along it is not positive."""
        good = _inner(s, y) > 1e-10 * _norm(s) * _norm(y)
        for stored, new in ((self.s, s), (self.y, y)):
            new = new[good].reshape(-1, 1, stored.shape[2])
            stored[k[good]] = np.concatenate([stored[k[good], 1:], new], axis=1)

    def inverse(self, k, G):
        """Return the estimate of the inverse Hessian times G for the descents k, in its compact form."""
        s, y, g = self.s[k], self.y[k], G.reshape(len(k), -1, 1)
        sy, yy = s @ y.transpose(0, 2, 1), y @ y.transpose(0, 2, 1)
        curvature = np.einsum("kii->ki", sy)
        scale = np.where(curvature[:, -1] > 0, curvature[:, -1] / np.maximum(yy[:, -1, -1], TINY), 1.0)[:, None, None]
        one = np.eye(s.shape[1])
        R = np.triu(sy) + one * (curvature == 0)[:, None]
        w = np.linalg.solve(R, s @ g)
        v = np.linalg.solve(R.transpose(0, 2, 1), (one * curvature[:, None] + scale * yy) @ w - scale * (y @ g))
        return (scale * (g - y.transpose(0, 2, 1) @ w) + s.transpose(0, 2, 1) @ v).reshape(G.shape)


def _inner(X, Y):
    return np.einsum("kij,kij->k", X, Y)


def _norm(X):
    return np.sqrt(_inner(X, X))


def _value_and_gradient(A, M):
    residual = A - M
    return 0.5 * _inner(residual, residual), _gradient(residual, M)


def _cayley(W) -> np.ndarray:
    """Return (1 - W/2)^-1 (1 + W/2), a rotation near exp(W) for skew W."""
    one = np.eye(W.shape[-1])
    return np.linalg.solve(one - W / 2, one + W / 2)


def _gradient(residual, M) -> np.ndarray:
    """Return the skew G with d ||A - M||_F^2 / 2 = <G, W> for dM = W M - M W, of the residual A - M.

    Of the residual, not of A, which would give the same but for rounding: near a perfect match that is all.
    """
    G = M.swapaxes(-1, -2) @ residual - residual @ M.swapaxes(-1, -2)
    return (G - G.swapaxes(-1, -2)) / 2


# Trajectories


@dataclass(frozen=True, eq=False, repr=False)
class DynamicalSimilarity:
    """Hold how far apart two dynamics are, after delay embedding and up to a rotation of the coordinates.

    Attributes
    ----------
    comparison : OperatorDistance
        Of the two operators: the optimum, its bounds and how sure it is.
    X, Y : DelayOperator
        The operators and the quality of their fits.
    """

    comparison: OperatorDistance
    X: DelayOperator
    Y: DelayOperator

    @property
    def distance(self) -> float:
        """Frobenius distance of the operators."""
        return self.comparison.distance

    @property
    def angle(self) -> float:
        """Angle of the operators in radians, the version without scale."""
        return self.comparison.angle

    @property
    def lower_bound(self) -> float:
        """What the Frobenius distance cannot be less than."""
        return self.comparison.lower_bound

    def __repr__(self):
        text = repr(self.comparison).removeprefix("OperatorDistance")
        return (
            f"DynamicalSimilarity{text}\n"
            f"  embedding   {self.X.n_delays} delays of {self.X.delay} steps, ridge {self.X.ridge:g}\n"
            f"  fits        one-step R^2 {self.X.r2:.6g} and {self.Y.r2:.6g} "
            f"of {self.X.n_vectors} and {self.Y.n_vectors} vectors"
        )


@one_blas_thread
def dynamical_similarity(
    X, Y, *, n_delays=1, delay=1, rank=None, ridge=0.0, n_starts=10, seed=0, progress=True
) -> DynamicalSimilarity:
    """Compare the dynamics behind two sets of trajectories (dynamical similarity analysis, DSA).

    Both are embedded with delays and advanced by a linear operator on their leading coordinates (`delay_operator`);
    the distance is min over orthogonal C of ||A - C B C^T||_F (`operator_distance`). For many pairs fit each operator
    once and compare the operators.

    Parameters
    ----------
    X, Y : array, shape (T,), (T, m) or (K, T, m), or a list of arrays (T_k, m)
        Trajectories; channels, lengths and numbers of trials may differ between X and Y.
    n_delays, delay : int, optional
        Copies of the series, and steps between them.
    rank : int, optional
        Coordinates kept of both; by default the smaller of the dimensions their delay vectors span.
    ridge : float, optional
        Penalty of the fits.
    n_starts : int, optional
        Random starts of the search for C.
    seed : int or SeedSequence, optional
        Seed of the random starts.
    progress : bool, optional
        Whether a bar appears when the search takes longer than two seconds.

    Returns
    -------
    DynamicalSimilarity
        Distance and angle with bounds, and both operators.

    Raises
    ------
    ValueError, TypeError
        If a trial is too short, channels differ within a set, or `rank` exceeds what the delay vectors span.

    References
    ----------
    M. Ostrow, A. Eisen, L. Kozachkov, I. Fiete, Beyond geometry: comparing the temporal structure of computation in
    neural circuits with dynamical similarity analysis, NeurIPS (2023).

    Examples
    --------
    Two rotations seen through different linear observations, by the same angle and by another one:

    >>> angle = 0.3 * np.arange(200)
    >>> seen = np.column_stack([np.cos(angle), np.sin(angle)])
    >>> dynamical_similarity(seen, seen @ [[1.0, 2.0], [0.0, 3.0]]).distance < 1e-12
    True
    >>> faster = np.column_stack([np.cos(2 * angle), np.sin(2 * angle)])
    >>> round(dynamical_similarity(seen, faster).angle, 2)
    0.3
    """
    settings = {"n_delays": n_delays, "delay": delay, "ridge": ridge}
    fits = [delay_operator(Z, rank=rank, **settings) for Z in (X, Y)]
    shared = min(fit.rank for fit in fits)
    fits = [
        fit if fit.rank == shared else delay_operator(Z, rank=shared, **settings)
        for fit, Z in zip(fits, (X, Y), strict=True)
    ]
    A, B = fits[0].operator, fits[1].operator
    comparison = operator_distance(A, B, n_starts=n_starts, seed=seed, progress=progress)
    return DynamicalSimilarity(comparison, fits[0], fits[1])


# Checks


def _trials(name, X) -> list[np.ndarray]:
    """Return a list of arrays (T_k, m) of one trajectory, a batch, or trials of any lengths."""
    is_list = isinstance(X, list | tuple) and len(X) > 0 and (isinstance(X[0], np.ndarray) or np.ndim(X[0]) == 2)
    series = list(X) if is_list else list(as_finite_array(name, X, ndim=3)) if np.ndim(X) == 3 else [X]
    trials = [as_finite_array(name, x, ndim=(1, 2)) for x in series]
    trials = [x[:, None] if x.ndim == 1 else x for x in trials]
    widths = {x.shape[1] for x in trials}
    if len(widths) != 1:
        raise ValueError(f"{name} must have the same channels in every trial, got {sorted(widths)}")
    if not any(x.any() for x in trials):
        raise ValueError(f"{name} must not be zero throughout, got {len(trials)} trials of zeros")
    return trials


def _operators(A, B) -> tuple[np.ndarray, np.ndarray]:
    A, B = as_finite_array("A", A, ndim=2), as_finite_array("B", B, ndim=2)
    if A.shape[0] != A.shape[1] or A.size == 0:
        raise ValueError(f"A must be square, got shape {A.shape}")
    if B.shape != A.shape:
        raise ValueError(f"B must have the shape {A.shape} of A, got {B.shape}")
    for name, Z in (("A", A), ("B", B)):
        if not Z.any():
            raise ValueError(f"{name} must not be zero, got only zeros")
    return A, B


def _is_symmetric(Z) -> bool:
    return bool(np.abs(Z - Z.T).max() <= 8 * EPS * np.abs(Z).max())
