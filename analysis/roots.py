"""Solve F^p(x) = x for any System: starts, batched Levenberg-Marquardt, Newton polish, certificates, duplicates."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.linalg.lapack import dposv

from penstock.checks import as_finite_array
from penstock.progress import track
from penstock.system import SystemDefaults

__all__ = [
    "ROUNDS",
    "Ends",
    "Pieces",
    "Root",
    "Shooting",
    "Starts",
    "between_roots",
    "check_starts",
    "distinct_roots",
    "draw_starts",
    "frozen_inputs",
    "given_states",
    "levenberg_marquardt",
    "newton_polish",
    "rounding",
    "same_root",
    "solve",
    "some_seem_missing",
    "trajectories",
    "typical_size",
]

EPS = float(np.finfo(np.float64).eps)
BATCH_ENTRIES = 2**21  # Jacobian entries held at once by one batch
N_TRAJECTORIES, N_STEPS = 64, 200  # of the trajectories on which starts lie
ROUNDS = 4  # of starts between the fixed points found, and of drawn starts while points seem to be missing
SINGULAR = 1e-6  # singular values of J - I below this share of the largest count as zero
NO_SIGN = 1e-7  # singular values of J - I, without a certificate, from which det(J - I) has no sign
NEAR = 1e-8  # relative residual at which Levenberg-Marquardt hands over to Newton
FLAT = 1e-9  # relative slope of ‖r‖² at which a minimum counts as reached
HOPELESS = 1e-5  # the same if roots alone are sought; a root of order k has a slope of ‖r‖^((k-1)/k), so 3 is left
LAPACK_SIZE = 32  # order from which Cholesky, matrix by matrix, is faster than the LU of a stack


@dataclass(frozen=True)
class Shooting:
    """Hold the equations F(x_i, u_i) = x_{i+1} of a closed orbit of p points; p = 1 is a fixed point.

    Unknowns are z = (x_1, …, x_p), flat. All values are float64, whatever the type of the model.

    Parameters
    ----------
    system : System
        The system.
    inputs : array, shape (p, m)
        The input of every step.
    """

    system: SystemDefaults
    inputs: np.ndarray
    lipschitz: float | None = field(init=False)
    pieces: "Pieces | None" = field(init=False)

    def __post_init__(self):
        object.__setattr__(self, "lipschitz", lipschitz_of_jacobian(self.system))
        frozen = len(np.unique(self.inputs, axis=0)) == 1
        object.__setattr__(self, "pieces", pieces_of(self.system, self.inputs[0]) if frozen else None)

    @property
    def period(self) -> int:
        """Number of points p."""
        return len(self.inputs)

    @cached_property
    def eps(self) -> float:
        """Relative rounding of a step: of float64, or of float32 where `step` itself computes in single precision."""
        with np.errstate(all="ignore"):
            dtype = np.asarray(self.system.step(np.zeros(self.system.n_units), self.inputs[0])).dtype
        return float(np.finfo(np.float32).eps) if dtype == np.float32 else EPS

    @property
    def tolerance(self) -> float:
        """Relative residual of a solution: 1e-12, or 1e-6 in single precision."""
        return 1e-12 if self.eps == EPS else 1e-6

    @property
    def singular(self) -> float:
        """Singular values below this share of the largest count as zero: 1e-6, or 3e-4 in single precision."""
        return max(SINGULAR, np.sqrt(self.eps))

    def residuals(self, Z):
        """Return F(x_i, u_i) - x_{i+1} of every orbit of a batch: (B, p n) -> (B, p n); inf where a step fails."""
        X, U = self._unfold(Z)
        with np.errstate(all="ignore"):
            return self._fold(self.steps(X, U), Z)

    def residual(self, z):
        """Return the same of one orbit by `step`, in float64: (p n,) -> (p n,)."""
        return self.exact_residuals(z[None])[0]

    def exact_residuals(self, Z):
        """Return the same of every orbit: (B, p n) -> (B, p n)."""
        X, U = self._unfold(Z)
        with np.errstate(all="ignore"):
            return self._fold(_step_each(self.system, X, U), Z)

    def jacobians(self, Z):
        """Return the derivative of `residuals`, block cyclic: (B, p n) -> (B, p n, p n)."""
        blocks, p, n = self.step_jacobians(Z), self.period, self.system.n_units
        if p == 1:
            return blocks[:, 0] - np.eye(n)
        whole = np.zeros((len(Z), p, n, p, n))
        for i in range(p):
            whole[:, i, :, i, :] = blocks[:, i]
            whole[:, i, :, (i + 1) % p, :] -= np.eye(n)
        return whole.reshape(len(Z), p * n, p * n)

    def step_jacobians(self, Z):
        """Return the Jacobian of every step: (B, p n) -> (B, p, n, n)."""
        X, U = self._unfold(Z)
        with np.errstate(all="ignore"):
            try:
                blocks = np.asarray(self.system.jacobians(X, U), np.float64)
            except FloatingPointError:  # one of them overflows: leave that out
                blocks = np.array([_jacobian_or_nan(self.system, x, u) for x, u in zip(X, U, strict=True)])
        return blocks.reshape(len(Z), self.period, self.system.n_units, self.system.n_units)

    def _unfold(self, Z):
        return Z.reshape(-1, self.system.n_units), np.tile(self.inputs, (len(Z), 1))

    def _fold(self, following, Z):
        expected = np.roll(Z.reshape(len(Z), self.period, self.system.n_units), -1, axis=1)
        return following.reshape(Z.shape) - expected.reshape(Z.shape)

    def steps(self, X, U):
        """Return one step of every row, by the batched `run` unless that is coarser than `step` or diverges."""
        if self.system.dtype == np.float64 or self.eps > EPS:
            try:
                return np.asarray(self.system.run(U[:, None, :], X)[:, 0], np.float64)
            except FloatingPointError:
                pass
        return _step_each(self.system, X, U)


def _jacobian_or_nan(system, x, u):
    try:
        return np.asarray(system.jacobian(x, u), np.float64)
    except FloatingPointError:
        return np.full((system.n_units, system.n_units), np.nan)


def _step_each(system, X, U):
    return np.array([np.asarray(system.step(x, u), np.float64) for x, u in zip(X, U, strict=True)]).reshape(X.shape)


class Pieces(NamedTuple):
    """x' = A x + B relu(C x + d) + h at frozen input: A (n, n), B (n, P), C (P, n), d (P,), h (n,)."""

    A: np.ndarray
    B: np.ndarray
    C: np.ndarray
    d: np.ndarray
    h: np.ndarray

    def step(self, X):
        """One step of every row: (B, n) -> (B, n)."""
        return X @ self.A.T + np.maximum(X @ self.C.T + self.d, 0) @ self.B.T + self.h

    def regions(self, X):
        """Which components are on: (…, n) -> (…, P)."""
        return X @ self.C.T + self.d > 0


def pieces_of(system, u) -> Pieces | None:
    """Return the arrays a piecewise-linear system gives, or those of its Lur'e form if it steps as these say."""
    given = system.piecewise_linear(u)
    if given is not None:
        return Pieces(*(as_finite_array(name, part) for name, part in zip("ABCdh", given, strict=True)))
    blocks = system.lure_blocks()
    if len(blocks) != 1 or blocks[0].slopes != (0.0, 1.0) or np.isfinite(blocks[0].curvature):
        return None
    A, B, C = (_dense(part) for part in blocks[0][:3])
    pieces = Pieces(A, B, C, np.zeros(len(C)), np.asarray(system.step(np.zeros(len(A)), u), np.float64))
    X = np.random.default_rng(0).standard_normal((32, len(A))) * 10.0 ** np.linspace(-2, 2, 32)[:, None]
    steps = _step_each(system, X, np.tile(u, (len(X), 1)))
    return pieces if np.allclose(steps, pieces.step(X), rtol=1e-10, atol=1e-10) else None


def lipschitz_of_jacobian(system):
    """Return L with ‖J(x) - J(y)‖ <= L ‖x - y‖ of a one-layer Lur'e system: curvature ‖B‖ ‖C‖²; None if unknown."""
    blocks = system.lure_blocks()
    if len(blocks) != 1 or not np.isfinite(blocks[0].curvature):
        return None
    norm_B, norm_C = (np.linalg.norm(_dense(matrix), 2) for matrix in (blocks[0].B, blocks[0].C))
    return float(blocks[0].curvature * norm_B * norm_C**2)


def _dense(matrix):
    return np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix, np.float64)


def kinds(stable, index, n_units):
    """Name solutions by the number of their unstable directions, `index`; a marginal one is neither stable nor not."""
    return np.select([stable, index == 0, index == n_units], ["stable", "marginal", "unstable"], "saddle")


# Starts


def draw_starts(shooting, n_starts, noise, rng):
    """Return (n_starts, p n) orbits to start from, cut out of trajectories; every second one with noise.

    A segment is the one of eight that closes best, in every fourth start its points are shuffled. At p = 1 one in four
    is mirrored at the origin instead, and half of them take every unit from another state, which reaches the corners
    where no trajectory started; every second one of these is drawn towards the mean of the trajectories.
    """
    paths, p = trajectories(shooting, rng), shooting.period
    first = np.argwhere(np.isfinite(paths[:, p - 1 :, 0]))
    if len(np.unique(shooting.inputs, axis=0)) > 1:
        first = first[first[:, 1] % p == 0]
    if p > 1:
        b, t = np.moveaxis(first[rng.integers(len(first), size=(n_starts, 8))], -1, 0)
        gaps = np.linalg.norm(paths[b, t + p - 1] - paths[b, np.maximum(t - 1, 0)], axis=-1)
        best = np.arange(n_starts), np.argmin(np.where(np.isfinite(gaps), gaps, np.inf), axis=1)
        b, t = b[best], t[best]
    else:  # early and late times alike: the early ones are where trajectories part
        weights = 1.0 / (1 + first[:, 1])
        b, t = first[rng.choice(len(first), size=n_starts, p=weights / weights.sum())].T
    starts = paths[b[:, None], t[:, None] + np.arange(p)]
    if p == 1:
        starts[1::2] = rng.permuted(starts[1::2], axis=0)
    starts[1::2] += noise * _spread(paths) * rng.standard_normal(starts[1::2].shape)
    starts[2::4] = -starts[2::4] if p == 1 else rng.permuted(starts[2::4], axis=1)
    if p == 1:  # unstable points lie inside the attractor, where no trajectory goes
        centre = np.nanmean(_rows(paths), axis=0)
        starts[3::4] = centre + rng.uniform(size=starts[3::4, :, :1].shape) * (starts[3::4] - centre)
    return starts.reshape(n_starts, -1)


def trajectories(shooting, rng):
    """Return (B, T + 1, n) states from normal starts of sizes 0.1 to 10; NaN from where a trajectory diverged.

    Every second one runs under inputs scattered around those of the equations.
    """
    system, n_steps = shooting.system, max(N_STEPS, 8 * shooting.period)
    paths = np.full((N_TRAJECTORIES, n_steps + 1, system.n_units), np.nan)
    sizes = 10.0 ** rng.uniform(-1, 1, (N_TRAJECTORIES, 1))
    X = sizes * rng.standard_normal((N_TRAJECTORIES, system.n_units))
    if system.start is not None:
        X[::4] = system.start + 1e-3 * X[::4]
    paths[:, 0] = X
    scatter = rng.standard_normal((N_TRAJECTORIES, n_steps, system.n_inputs))
    scatter[1::2] = 0.0
    if system.timed:
        scatter[..., -1] = 0.0  # elapsed times stay as given
    alive, bound = np.arange(N_TRAJECTORIES), 1e6 * max(1.0, float(np.abs(X).max()))
    for t in range(n_steps):
        with np.errstate(all="ignore"):
            X = shooting.steps(X, shooting.inputs[t % shooting.period] + scatter[alive, t])
            kept = np.abs(X).max(axis=1) < bound  # NaN compares as False
        X, alive = X[kept], alive[kept]
        paths[alive, t + 1] = X
        if not alive.size:
            break
    return paths


def _spread(paths):
    """Standard deviation of every unit on the later half, or over all where that has come to rest."""
    late, every = (part[np.isfinite(part[:, 0])] for part in (_rows(paths[:, paths.shape[1] // 2 :]), _rows(paths)))
    spread = late.std(axis=0) if len(late) else np.zeros(1)
    return spread if (spread > 1e-6 * every.std(axis=0)).any() else every.std(axis=0)


def _rows(paths):
    return paths.reshape(-1, paths.shape[-1])


# Solving


def levenberg_marquardt(shooting, Z, max_iterations, target, progress=False, flat=FLAT):
    """Lower ‖r‖² of every row of Z (B, d) until ‖r‖ <= target (B,), a slope below `flat`, or the last iteration.

    (J^T J + mu s I) dz = -J^T r with s the mean of the diagonal of J^T J; mu falls by 5 where the step lowers ‖r‖ and
    rises by 5 where it does not. Returns the states, the norms ‖r‖ and the slopes ‖J^T r‖ / (‖J‖_F ‖r‖) there,
    with ‖r‖ / (1 + ‖z‖) in place of a smaller ‖J‖_F.
    """
    Z, norms, slopes = Z.copy(), np.full(len(Z), np.inf), np.full(len(Z), np.inf)
    parts = _parts(*Z.shape)

    def iterations():
        for part in parts:
            batch = _Batch(shooting, Z[part], norms[part], slopes[part], target[part], flat)
            for _ in range(max_iterations):
                batch.iterate()
                yield
                if not batch.active.any():
                    break

    for _ in track(iterations(), len(parts) * max_iterations, "Levenberg-Marquardt", progress):
        pass
    return Z, norms, slopes


def _parts(count, d):
    """Slices of the rows of (count, d) whose Jacobians fit into one batch."""
    size = max(1, BATCH_ENTRIES // d**2)
    return [slice(start, start + size) for start in range(0, count, size)]


class _Batch:
    """Rows iterated together; the arrays given are updated in place."""

    def __init__(self, shooting, Z, norms, slopes, target, flat):
        self.shooting, self.Z, self.norms, self.slopes = shooting, Z, norms, slopes
        self.target, self.flat = target, flat
        count, d = Z.shape
        self.r = shooting.residuals(Z)
        norms[:] = _norms(self.r)
        self.mu = np.full(count, 1e-2)
        self.gram, self.gradient = np.zeros((count, d, d)), np.zeros((count, d))
        self.fresh = np.isfinite(norms)  # rows whose Jacobian is to be computed
        self.active = self.fresh.copy()

    def iterate(self):
        self._linearise(np.flatnonzero(self.fresh & self.active))
        self.active &= (self.norms > self.target) & (self.slopes > self.flat) & (self.mu < 1e12)
        rows = np.flatnonzero(self.active)
        if not rows.size:
            return
        trial = self.Z[rows] + self._steps(rows)
        r = self.shooting.residuals(trial)
        norms = _norms(r)
        better = norms < self.norms[rows]  # NaN and inf compare as False
        taken = rows[better]
        self.Z[taken], self.r[taken], self.norms[taken] = trial[better], r[better], norms[better]
        self.mu[rows] = np.where(better, np.maximum(0.2 * self.mu[rows], 1e-14), 5 * self.mu[rows])
        self.fresh[taken] = True

    def _linearise(self, rows):
        if not rows.size:
            return
        J = self.shooting.jacobians(self.Z[rows])
        bad = ~np.isfinite(J).all(axis=(1, 2))
        self.active[rows[bad]] = False
        J[bad] = 0.0
        self.gram[rows] = J.transpose(0, 2, 1) @ J
        self.gradient[rows] = (J.transpose(0, 2, 1) @ self.r[rows, :, None])[..., 0]
        steepest = np.sqrt(np.trace(self.gram[rows], axis1=1, axis2=2))
        flattest = self.norms[rows] / (1 + _norms(self.Z[rows]))  # J may vanish at a minimum, as it must in 1-D
        largest = np.maximum(steepest, flattest) * self.norms[rows]
        self.slopes[rows] = _norms(self.gradient[rows]) / np.maximum(largest, 1e-300)
        self.fresh[rows] = False

    def _steps(self, rows):
        gram, d = self.gram[rows], self.Z.shape[1]
        diagonal = gram.reshape(len(rows), -1)[:, :: d + 1]
        diagonal += (self.mu[rows] * np.maximum(diagonal.mean(axis=1), 1e-300))[:, None]
        return -_solve_positive(gram, self.gradient[rows])


def _solve_positive(matrices, B):
    """Solve positive definite systems, (S, d, d) and (S, d) -> (S, d); by the pseudo-inverse those that are not."""
    if B.shape[1] < LAPACK_SIZE:
        try:
            return np.linalg.solve(matrices, B[..., None])[..., 0]
        except np.linalg.LinAlgError:
            return (np.linalg.pinv(matrices, hermitian=True) @ B[..., None])[..., 0]
    X = np.empty_like(B)
    for i, (matrix, b) in enumerate(zip(matrices, B, strict=True)):
        _, X[i], info = dposv(matrix.T, b)
        if info:
            X[i] = np.linalg.pinv(matrix, hermitian=True) @ b
    return X


def newton_polish(shooting, Z, scales, max_iterations=60):
    """Take Newton steps from every row of Z (B, d) while ‖r‖ falls: to rounding. Returns the rows and residuals.

    Where J is singular the shortest step is taken instead.
    """
    Z, R, rows = Z.copy(), shooting.exact_residuals(Z), np.arange(len(Z))
    enough = rounding(shooting, scales) / 4
    for _ in range(max_iterations):
        rows = rows[~(_norms(R[rows]) <= enough[rows])]
        if not rows.size:
            break
        J = shooting.jacobians(Z[rows])
        better = _advance(shooting, Z, R, rows, _newton_steps(J, R[rows], 1e-2 * scales[rows]))
        others = np.flatnonzero(~better)
        shortest = [_shortest_step(J[i], R[rows[i]]) for i in others]
        better[others] = _advance(shooting, Z, R, rows[others], np.array(shortest).reshape(-1, Z.shape[1]))
        rows = rows[better]
    return Z, R


def _advance(shooting, Z, R, rows, steps):
    """Take the steps that lower ‖r‖; return which did."""
    better = np.isfinite(steps).all(axis=1)
    trial = Z[rows[better]] - steps[better]
    following = shooting.exact_residuals(trial)
    lower = _norms(following) < _norms(R[rows[better]])
    better[better] = lower
    Z[rows[better]], R[rows[better]] = trial[lower], following[lower]
    return better


def _newton_steps(J, R, longest):
    """J^-1 r of every row; NaN where it is longer than `longest`, which means that J is singular to rounding."""
    try:
        steps = np.linalg.solve(J, R[..., None])[..., 0]
    except np.linalg.LinAlgError:
        return (
            np.full_like(R, np.nan)
            if len(R) == 1
            else np.concatenate([_newton_steps(J[i : i + 1], R[i : i + 1], longest[i : i + 1]) for i in range(len(R))])
        )
    steps[~(_norms(steps) <= longest)] = np.nan
    return steps


def _shortest_step(J, r):
    return np.linalg.lstsq(J, r, rcond=SINGULAR)[0] if np.isfinite(J).all() else np.full_like(r, np.nan)


class Starts(NamedTuple):
    """What became of the starts.

    Attributes
    ----------
    total : int
        Number of starts, those between points found included.
    converged : int
        Ended at a fixed point.
    slow : int
        Ended at a local minimum of the speed that is not a fixed point.
    failed : int
        Neither within the iterations, or diverged.
    """

    total: int
    converged: int
    slow: int
    failed: int

    def __str__(self):
        return f"{self.total} starts: {self.converged} converged, {self.slow} at slow points, {self.failed} failed"


class Ends(NamedTuple):
    """Where a batch of starts came to: the polished solutions, and what became of the others.

    Attributes
    ----------
    Z, R : array, shape (S, d)
        Solutions and their residuals.
    scales : array, shape (S,)
        Their scales.
    counts : array of int, shape (4,)
        Starts, those converged, at minima of ‖r‖, failed.
    smallest : float
        Least ‖r‖ of all.
    """

    Z: np.ndarray
    R: np.ndarray
    scales: np.ndarray
    counts: np.ndarray
    smallest: float


def solve(shooting, Z, size, tol, max_iterations, progress=False) -> Ends:
    """Carry every start to a solution if it leads to one; `size` is the least scale."""
    target = NEAR * np.clip(np.linalg.norm(Z, axis=1), size, 1.0)
    ends, norms, slopes = levenberg_marquardt(shooting, Z, max_iterations, target, progress, HOPELESS)
    scales = np.maximum(np.linalg.norm(ends, axis=1), size)
    near = np.flatnonzero(norms <= 1e3 * max(NEAR, tol) * scales)
    points, R = ends[near], np.empty((len(near), Z.shape[1]))
    for part in _parts(*points.shape):
        points[part], R[part] = newton_polish(shooting, points[part], scales[near[part]])
    speeds, scales = _norms(R), np.maximum(np.linalg.norm(points, axis=1), size)
    fixed = speeds <= tol * scales
    at_minimum = np.isfinite(norms) & (slopes < 1e-4)
    at_minimum[near[fixed]] = False
    count, slow = int(fixed.sum()), int(at_minimum.sum())
    smallest = min([np.inf, *map(float, norms[np.isfinite(norms)]), *map(float, speeds)])
    counts = np.array([len(Z), count, slow, len(Z) - count - slow])
    return Ends(points[fixed], R[fixed], scales[fixed], counts, smallest)


# What a root is


class Root(NamedTuple):
    """One solution.

    Attributes
    ----------
    z : array, shape (d,)
        The solution.
    speed : float
        ‖r‖ there.
    inverse_norm : float
        ‖(J - I)^-1‖.
    certified : bool
        Whether the Newton-Kantorovich theorem proves one solution in the ball of `radius`, and no other in
        `separation`.
    radius, separation : float
        Of those balls; without a proof, estimates by the linearisation.
    manifold : int
        Dimension of the continuum of solutions it lies in, 0 if it is isolated.
    sign : int
        Of det(I - J); 0 where J - I is singular.
    hits : int
        Number of starts that led to it.
    """

    z: np.ndarray
    speed: float
    inverse_norm: float
    certified: bool
    radius: float
    separation: float
    manifold: int
    sign: int = 0
    hits: int = 1


def make_root(shooting, z, r, scale, tol) -> Root:
    """Return a polished solution with its certificate, or the dimension of the continuum it lies in."""
    J = shooting.jacobians(z[None])[0]
    _, values, rows = np.linalg.svd(J)
    zero = values <= shooting.singular * values[0] if values[0] > 0 else np.ones(len(values), bool)
    manifold = sum(_leads_on(shooting, z, v, scale, tol) for v in rows[zero])
    inverse_norm = 1 / max(float(values[-1]), 1e-9 * float(values[0]), 1e-300)
    error = inverse_norm * (np.linalg.norm(r) + rounding(shooting, scale))
    certified, radius, separation, sign = False, 4 * error, 4 * error, 0
    if not manifold and not zero.any():
        certified, radius, separation = _certify(shooting, z, inverse_norm, error)
        sign = int(np.linalg.slogdet(-J)[0]) if certified or values[-1] > NO_SIGN else 0
    return Root(z, float(np.linalg.norm(r)), inverse_norm, certified, radius, separation, manifold, sign)


def _certify(shooting, z, inverse_norm, error):
    """Newton-Kantorovich: h = ‖(J-I)^-1 r‖ ‖(J-I)^-1‖ L < 1/2, with the rounding of r counted in."""
    if shooting.lipschitz is not None:
        curvature = inverse_norm * shooting.lipschitz
        h = error * curvature
        if h < 0.5:
            root = np.sqrt(1 - 2 * h)
            return True, 2 * error / (1 + root), (1 + root) / curvature if curvature > 0 else np.inf
    elif shooting.pieces is not None:
        C, d = shooting.pieces.C, shooting.pieces.d
        X = z.reshape(shooting.period, -1)
        with np.errstate(divide="ignore"):
            margin = float((np.abs(X @ C.T + d) / np.linalg.norm(C, axis=1)).min(initial=np.inf))
        if error < margin:  # the same linear piece all through the ball, hence one solution
            return True, error, margin
    return False, 4 * error, 4 * error


def rounding(shooting, scale):
    """Return the size of the rounding errors in a residual."""
    return 4 * shooting.eps * np.sqrt(shooting.period * shooting.system.n_units) * scale


def _leads_on(shooting, z, direction, scale, tol):
    """Whether solutions go on along a null direction of J - I, one way or the other."""
    for sign in (1.0, -1.0):
        length = max(1e-3, 100 * np.sqrt(shooting.eps)) * scale
        there, r = newton_polish(shooting, z[None] + sign * length * direction, np.array([scale]))
        if np.linalg.norm(r) <= tol * scale and np.linalg.norm(there[0] - z) > length / 2:
            return True
    return False


def distinct_roots(shooting, Z, R, scales, tol, known=(), images=lambda z: z[None]):
    """Return the roots that differ, those known first; `images` gives the states (k, d) that count as the same.

    Two are the same if Newton's method cannot tell them apart: they are closer than ‖(J-I)^-1‖ times their residuals.
    Of a continuum a sample is kept, spaced by a twentieth of its extent.
    """
    roots = list(known)
    extent = float(np.linalg.norm(Z - Z.mean(axis=0), axis=1).max()) if len(Z) else 0.0
    for i in np.argsort([np.linalg.norm(r) for r in R], kind="stable"):
        noise = np.linalg.norm(R[i]) + rounding(shooting, scales[i])
        same = (k for k, root in enumerate(roots) if same_root(shooting, root, images(Z[i]), noise, extent / 20))
        k = next(same, None)
        if k is None:
            roots.append(make_root(shooting, Z[i], R[i], scales[i], tol))
        else:
            roots[k] = roots[k]._replace(hits=roots[k].hits + 1)
    return roots


def some_seem_missing(shooting, roots, rng):
    """Whether points are likely missing: one was met by a single start, or the index sum of a bounded system is not 1.

    Good and Turing: the share of starts that would lead to unseen points is that of the points met once.
    """
    if any(root.hits == 1 and not root.manifold for root in roots):
        return True
    signs = [root.sign for root in roots]
    return bool(all(signs) and sum(signs) != 1 and _seems_bounded(trajectories(shooting, rng)))


def _seems_bounded(paths):
    """Whether all trajectories end within the reach of their starts."""
    late = np.abs(paths[:, paths.shape[1] // 2 :]).max()
    return late <= np.abs(paths[:, 0]).max()  # NaN, from where one diverged, compares as False


def between_roots(roots, before, limit, rng):
    """Return mirror images of the roots found last, and the points halfway between them and all others."""
    before = sum(not root.manifold for root in roots[:before])
    Z = np.array([root.z for root in roots if not root.manifold])
    if len(Z) == before:
        return np.empty((0, 0))
    pairs = [(Z[i] + Z[j]) / 2 for j in range(before, len(Z)) for i in range(j)]
    candidates = np.array([*-Z[before:], *pairs])
    return candidates if len(candidates) <= limit else candidates[rng.permutation(len(candidates))[:limit]]


def same_root(shooting, root, Z, noise, spacing):
    """Whether one of the states Z (k, d), known to `noise`, is the root; on a continuum, whether it lies near it."""
    distances = np.linalg.norm(Z - root.z, axis=1)
    nearest = int(np.argmin(distances))
    if root.manifold:
        spacing = min(spacing * 4.0 ** (root.manifold - 1), 10 * spacing)  # a plane needs more samples than a line
        return bool(distances[nearest] < spacing) and _is_singular(shooting.jacobians(Z[nearest : nearest + 1])[0])
    if root.certified and root.inverse_norm * noise + distances[nearest] < root.separation:
        return True
    return bool(distances[nearest] <= 4 * root.inverse_norm * (noise + root.speed))


def _is_singular(J):
    """Whether J has a null direction, seen from one solve: a random right-hand side grows by 1 / smallest value."""
    try:
        b = np.random.default_rng(0).standard_normal(len(J))
        return bool(np.linalg.norm(np.linalg.solve(J, b)) * np.linalg.norm(J) > 0.1 / SINGULAR * np.linalg.norm(b))
    except np.linalg.LinAlgError:
        return True


def _norms(rows):
    with np.errstate(all="ignore"):
        return np.linalg.norm(rows, axis=1)


# Checks


def frozen_inputs(system, u) -> np.ndarray:
    """Return frozen inputs as (K, m)."""
    m = system.n_inputs
    if m == 0:
        if u is not None:
            raise ValueError(f"u must be None for a system without inputs, got {u!r}")
        return np.zeros((1, 0))
    if u is None:
        return np.zeros((1, m))
    u = np.atleast_1d(as_finite_array("u", u, ndim=(0, 1, 2)))
    if u.shape[-1] != m or len(u) == 0:
        hint = "; pass several inputs as rows, u[:, None]" if m == 1 and u.ndim == 1 else ""
        raise ValueError(f"u must be a frozen input of shape ({m},), or several (K, {m}), got {u.shape}{hint}")
    return np.atleast_2d(u)


def given_states(system, x0) -> np.ndarray:
    """Return the states to start from as (B, n), B = 0 for none."""
    n = system.n_units
    if x0 is None:
        return np.empty((0, n))
    x0 = np.atleast_2d(as_finite_array("x0", x0, ndim=(1, 2)))
    if x0.shape[1] != n or not len(x0):
        raise ValueError(f"x0 must have shape ({n},) or (B, {n}), got {x0.shape}")
    return x0


def typical_size(Z) -> float:
    """Return the median norm of the starts, at most 1: the scale of points at the origin."""
    return min(1.0, float(np.median(np.linalg.norm(Z, axis=1)))) or 1.0


def check_starts(shooting, Z):
    """Return the finite speeds at the starts; without any there is nothing to search."""
    speeds = _norms(shooting.residuals(Z))
    if not np.isfinite(speeds).any():
        raise FloatingPointError("one step from every start is not finite; pass x0 in the domain of the system")
    return speeds[np.isfinite(speeds)]
