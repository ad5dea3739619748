"""Fixed points and slow points of any System at frozen input, unstable ones included, with their linearisation."""

from dataclasses import dataclass, field

import numpy as np
import scipy  # its parts load at first use

from penstock.analysis.roots import (
    ROUNDS,
    Root,
    Shooting,
    Starts,
    between_roots,
    check_starts,
    distinct_roots,
    draw_starts,
    frozen_inputs,
    given_states,
    kinds,
    levenberg_marquardt,
    solve,
    some_seem_missing,
    typical_size,
)
from penstock.checks import as_int, as_non_negative_float, as_positive_float, seed_sequence
from penstock.progress import track
from penstock.system import System, SystemDefaults, as_system
from penstock.threads import one_blas_thread

__all__ = ["FixedPoints", "fixed_points", "slow_points"]

N_STARTS = 256
HORIZON = 5  # steps of the linear prediction
MARGIN = 1e-7  # |mu| this close to 1 is neither stable nor unstable
ROWS = 12  # of the table in a repr


@dataclass(frozen=True, eq=False, repr=False)
class FixedPoints:
    """Hold fixed points, or slow points, of x_t = F(x_{t-1}, u) with u frozen.

    Fixed points are sorted by input, number of unstable directions and norm, slow points by input and speed.

    Attributes
    ----------
    points : array, shape (F, n)
        The points.
    speeds : array, shape (F,)
        ‖F(x, u) - x‖ per step, evaluated in float64 whatever the type of the model; q = speed² / 2.
    eigenvalues : array of complex, shape (F, n)
        Eigenvalues mu of the Jacobian of one step, by falling modulus.
    directions : array, shape (F, n)
        Unit vectors of the leading eigenvalue (its real part).
    certified : array of bool, shape (F,)
        Whether the Newton-Kantorovich theorem, or a linear piece of a piecewise-linear network, proves exactly one
        fixed point next to the numbers given (in float64, not in interval arithmetic). The others are candidates.
    radii : array, shape (F,)
        Distance within which the true point lies; an estimate where not certified.
    manifold : array of int, shape (F,)
        Dimension of the continuum a point is a sample of (1: line or ring attractor), 0 for isolated points.
    signs : array of int, shape (F,)
        Sign of det(I - J), the index of an isolated point; 0 where I - J is singular, and for slow points.
    linear_errors : array, shape (F, 5)
        ‖true - linear prediction‖ after 1..5 steps from 1 % of the point's scale away, relative to that distance.
    inputs : array, shape (K, m)
        The frozen inputs.
    input_index : array of int, shape (F,)
        Row of `inputs` each point belongs to.
    starts : Starts
        How many starts converged.
    tol : float
        A point is fixed if speed <= tol * scale, with scale the larger of its norm and the smaller of 1 and the
        median norm of the starts.
    smallest_speed : float
        The smallest speed met at the end of any start: how close the search came if nothing was found.
    slow : bool
        Whether these are slow points rather than fixed points.
    dt : float
        Time of one step.
    """

    points: np.ndarray
    speeds: np.ndarray
    eigenvalues: np.ndarray
    directions: np.ndarray
    certified: np.ndarray
    radii: np.ndarray
    manifold: np.ndarray
    signs: np.ndarray
    linear_errors: np.ndarray
    inputs: np.ndarray
    input_index: np.ndarray
    starts: Starts
    tol: float
    smallest_speed: float
    slow: bool
    dt: float

    def __len__(self):
        return len(self.points)

    @property
    def indices(self) -> np.ndarray:
        """Number of unstable directions, eigenvalues with |mu| > 1; shape (F,)."""
        return (np.abs(self.eigenvalues) > 1 + MARGIN).sum(axis=1)

    @property
    def stable(self) -> np.ndarray:
        """Whether all |mu| < 1, those along a continuum left out; shape (F,)."""
        outside = (np.abs(self.eigenvalues) >= 1 - MARGIN).sum(axis=1)
        near_one = (np.abs(self.eigenvalues - 1) < 1e-5).sum(axis=1)
        return np.where(self.manifold > 0, outside <= near_one, outside == 0)

    @property
    def kinds(self) -> np.ndarray:
        """The class of every point: 'stable', 'saddle', 'unstable', 'marginal' (largest |mu| is 1); shape (F,)."""
        return kinds(self.stable, self.indices, self.points.shape[1])

    @property
    def isolated(self) -> np.ndarray:
        """Whether a point is isolated rather than a sample of a continuum; shape (F,)."""
        return self.manifold == 0

    @property
    def index_sum(self) -> np.ndarray:
        """Sum of `signs` at every input: a check of completeness; shape (K,).

        If F maps a ball into itself, or a flow enters it everywhere, all its fixed points together have the sum 1
        (Brouwer's degree of x - F(x); at a point of a flow x' = f(x) the sign is that of det(-Df), so it is the same
        sum). Any other sum means that points are missing. A sum of 1 proves nothing, as two of opposite sign may be
        missing. NaN where a point has no sign: next to a bifurcation, on a continuum, for slow points.
        """
        sums = np.array([self.signs[self.input_index == k].sum() for k in range(len(self.inputs))], float)
        sums[self.input_index[self.signs == 0]] = np.nan
        return sums * (np.nan if self.slow else 1.0)

    @property
    def rates(self) -> np.ndarray:
        """Eigenvalues in continuous time, ln(mu) / dt; shape (F, n). Of a `Flow`, those of its equation."""
        with np.errstate(divide="ignore"):
            return np.log(self.eigenvalues.astype(complex)) / self.dt

    @property
    def time_constants(self) -> np.ndarray:
        """-dt / ln|mu|: time to fall by e, negative where the mode grows; shape (F, n)."""
        with np.errstate(divide="ignore"):
            logs = np.log(np.abs(self.eigenvalues))
            return -self.dt / np.where(np.abs(logs) < 1e-14, -0.0, logs)

    @property
    def frequencies(self) -> np.ndarray:
        """arg(mu) / (2 pi dt): oscillations per unit time; shape (F, n)."""
        return np.angle(self.eigenvalues) / (2 * np.pi * self.dt)

    def at(self, k: int) -> "FixedPoints":
        """Return the points of input `k` alone."""
        return self._take(np.flatnonzero(self.input_index == as_int("k", k, minimum=0)))

    def _take(self, rows):
        names = ("points", "speeds", "eigenvalues", "directions", "certified", "radii", "manifold", "signs")
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return FixedPoints(
            **{**fields, **{name: fields[name][rows] for name in (*names, "linear_errors", "input_index")}}
        )

    def plot(self, trajectories=None, ax=None):
        """Draw the points in their two leading principal components, or in those of `trajectories`; return the axes.

        Parameters
        ----------
        trajectories : array, shape (T, n) or (B, T, n), optional
            States to draw beneath.
        ax : matplotlib axes, optional
            Where to draw; new axes by default.
        """
        from penstock.analysis.plots import plot_fixed_points

        return plot_fixed_points(self, trajectories, ax)

    def __repr__(self):
        what = "slow point" if self.slow else "fixed point"
        if not len(self):
            return (
                f"FixedPoints: no {what} found from {self.starts}; "
                f"smallest speed {self.smallest_speed:.2g} per step (tol={self.tol:g})"
            )
        lines = [f"FixedPoints: {self._summary(what)}", f"  from {self.starts}; tol={self.tol:g}", *self._check()]
        header = "  #    kind      index  speed     |mu|      time constant  frequency"
        lines.append(header + "  input" * (len(self.inputs) > 1))
        lines += [self._row(i) for i in range(min(len(self), ROWS))]
        if len(self) > ROWS:
            lines.append(f"  … {len(self) - ROWS} more")
        return "\n".join(lines)

    def _summary(self, what):
        kinds, isolated = self.kinds, self.isolated
        counts = [f"{n} {kind}" for kind in dict.fromkeys(kinds[isolated]) if (n := (kinds[isolated] == kind).sum())]
        parts = []
        if isolated.any():
            proof = "" if self.slow else f"; {self.certified.sum()} certified"
            plural = "s" if isolated.sum() > 1 else ""
            parts.append(f"{isolated.sum()} {what}{plural} ({', '.join(counts)}{proof})")
        for d in sorted(set(self.manifold[~isolated])):
            parts.append(f"a continuum of dimension {d}, of which {(self.manifold == d).sum()} samples")
        inputs = f" at {len(self.inputs)} inputs" if len(self.inputs) > 1 else ""
        return " and ".join(parts) + inputs

    def _check(self):
        sums = self.index_sum[~np.isnan(self.index_sum)]
        complete = "as of all points of a bounded system (necessary, not sufficient)"
        missing = "in a bounded system it is 1: points are missing, unless this one is unbounded"
        if not len(sums):
            return []
        if len(self.inputs) == 1:
            return [f"  index sum {sums[0]:.0f}" + (f", {complete}" if sums[0] == 1 else f"; {missing}")]
        line = f"  index sum 1 at {(sums == 1).sum()} of {len(self.inputs)} inputs"
        return [f"{line}, {complete}" if (sums == 1).all() else f"{line}; {missing}"]

    def _row(self, i):
        kind = self.kinds[i] if self.isolated[i] else "continuum"
        modulus = np.abs(self.eigenvalues[i, 0])
        row = f"  {i:<4d} {kind:<9s} {self.indices[i]:<6d} {self.speeds[i]:<9.2g} {modulus:<9.5g} "
        row += f"{self.time_constants[i, 0]:<14.4g} {self.frequencies[i, 0]:<9.3g}"
        return row.rstrip() if len(self.inputs) == 1 else f"{row}  {self.input_index[i]}"


@one_blas_thread
def fixed_points(
    system: System,
    u=None,
    *,
    x0=None,
    n_starts: int | None = None,
    noise: float = 0.5,
    tol: float | None = None,
    max_iterations: int = 100,
    seed: int | np.random.SeedSequence = 0,
    progress: bool = True,
) -> FixedPoints:
    """Find the fixed points x = F(x, u) of a system at frozen input u, stable and unstable.

    Levenberg-Marquardt from many starts in float64, then Newton's method to rounding, a Newton-Kantorovich certificate
    where the model gives the curvature of its units, and removal of duplicates by that certificate. Further starts
    lie halfway between the points found, where saddles are, and at their mirror images, until these find no more.
    A search is never complete: more starts may find more points, and `index_sum` often tells that some are missing.

    Parameters
    ----------
    system : System
        Any system; the fixed points of a `Flow` are those of its differential equation.
    u : float or array, shape (m,) or (K, m), optional
        The frozen input, zero by default, or several: every one gets its own points, and the points of one are starts
        for the next.
    x0 : array, shape (n,) or (B, n), optional
        States to start from, for example those of trajectories.
    n_starts : int, optional
        Starts drawn in addition, on trajectories of the system; 256 by default, none if `x0` is given. It also bounds
        the number of starts between points found in one round.
    noise : float
        Standard deviation of the noise on every second drawn start, relative to the spread of the trajectories.
    tol : float, optional
        Largest relative speed ‖F(x, u) - x‖ of a fixed point; by default 1e-12, or 1e-6 if the system's `step`
        computes in single precision, where slow points cannot be told from fixed ones (make a `TorchCell` in float64).
    max_iterations : int
        Of Levenberg-Marquardt.
    seed : int or numpy.random.SeedSequence
        Of the starts.
    progress : bool
        Whether a bar appears when the search takes longer than two seconds.

    Returns
    -------
    FixedPoints
        Points (F, n), speeds, eigenvalues, certificates; F = 0 if none was found.

    Raises
    ------
    ValueError, TypeError
        If an argument has the wrong shape or value.
    FloatingPointError
        If no start has a finite step.

    References
    ----------
    D. Sussillo, O. Barak, Opening the black box: low-dimensional dynamics in high-dimensional recurrent neural
    networks, Neural Computation 25 (2013). L. Kantorovich, Functional analysis and applied mathematics (1948).
    A. Granas, J. Dugundji, Fixed point theory, Springer (2003), on the index.

    Examples
    --------
    >>> import numpy as np
    >>> from penstock import Map
    >>> neuron = Map(lambda x, u: np.tanh(2 * x + u), n_units=1, n_inputs=1)
    >>> found = fixed_points(neuron)
    >>> np.sort(found.points[:, 0].round(8) + 0.0).tolist()
    [-0.95750402, 0.0, 0.95750402]
    >>> int(found.stable.sum())
    2
    >>> len(fixed_points(neuron, u=2.0))
    1
    """
    search = _Search.make(system, u, x0, n_starts, noise, tol, max_iterations, seed, progress)
    return search.collect([search.roots(k) for k in search.each_input()], slow=False)


@one_blas_thread
def slow_points(
    system: System,
    u=None,
    *,
    x0=None,
    n_starts: int | None = None,
    noise: float = 0.5,
    max_speed: float | None = None,
    tol: float | None = None,
    max_iterations: int = 100,
    seed: int | np.random.SeedSequence = 0,
    progress: bool = True,
) -> FixedPoints:
    """Find slow points: local minima of q(x) = ‖F(x, u) - x‖² / 2 at which q is not zero.

    They are what is left of fixed points that have met and vanished (ghosts), and hold trajectories up for a time of
    the order of 1 / speed.

    Parameters
    ----------
    system, u, x0, n_starts, noise, tol, max_iterations, seed, progress
        As in `fixed_points`; points with a relative speed up to `tol` are fixed points and not returned.
    max_speed : float, optional
        Faster minima are not slow points; by default a tenth of the median speed at the starts.

    Returns
    -------
    FixedPoints
        With `slow` True; `eigenvalues` are those of the Jacobian at the points.

    References
    ----------
    D. Sussillo, O. Barak, Neural Computation 25 (2013).

    Examples
    --------
    >>> from penstock import Map
    >>> ghost = Map(lambda x, u: x + 0.001 + x**2, n_units=1)  # its two fixed points have just vanished
    >>> slow = slow_points(ghost, x0=[[0.3], [-0.2]], max_speed=0.01)
    >>> len(slow), round(float(slow.speeds[0]), 9), bool(abs(slow.points[0, 0]) < 1e-6)
    (1, 0.001, True)
    """
    if max_speed is not None:
        max_speed = as_positive_float("max_speed", max_speed)
    search = _Search.make(system, u, x0, n_starts, noise, tol, max_iterations, seed, progress)
    return search.collect([search.minima(k, max_speed) for k in search.each_input()], slow=True)


# The search


@dataclass
class _Search:
    system: SystemDefaults
    inputs: np.ndarray
    given: np.ndarray
    n_drawn: int
    noise: float
    tol: float
    max_iterations: int
    rng: np.random.Generator
    progress: bool
    counts: np.ndarray = field(default_factory=lambda: np.zeros(4, int))
    smallest: float = np.inf
    last: np.ndarray = field(default_factory=lambda: np.empty(0))  # points of the input before

    @classmethod
    def make(cls, system, u, x0, n_starts, noise, tol, max_iterations, seed, progress):
        system = as_system(system)
        inputs = frozen_inputs(system, u)
        given = given_states(system, x0)
        if n_starts is None:
            n_starts = 0 if len(given) else N_STARTS
        else:
            n_starts = as_int("n_starts", n_starts)
        tol = Shooting(system, inputs[:1]).tolerance if tol is None else as_positive_float("tol", tol)
        noise, max_iterations = as_non_negative_float("noise", noise), as_int("max_iterations", max_iterations)
        rng = np.random.default_rng(seed_sequence(seed))
        return cls(system, inputs, given, n_starts, noise, tol, max_iterations, rng, progress)

    def each_input(self):
        count = len(self.inputs)
        return track(range(count), count, "fixed points", self.progress and count > 1)

    def shooting(self, k):
        return Shooting(self.system, self.inputs[k : k + 1])

    def starts(self, shooting):
        parts = [self.given]
        if self.n_drawn:
            parts.append(draw_starts(shooting, self.n_drawn, self.noise, self.rng))
        return np.concatenate(parts)

    def roots(self, k) -> list[Root]:
        shooting = self.shooting(k)
        Z = self.starts(shooting)
        check_starts(shooting, Z)
        size = typical_size(Z)
        Z = np.concatenate([Z, self.last]) if len(self.last) else Z
        found: list[Root] = []
        for _ in range(ROUNDS):
            found = self._extend(shooting, found, Z, size)
            if not self.n_drawn or not some_seem_missing(shooting, found, self.rng):
                break
            Z = draw_starts(shooting, self.n_drawn, self.noise, self.rng)
        self.last = np.array([root.z for root in found])
        return found

    def _extend(self, shooting, found, Z, size):
        """Add the roots that the starts Z lead to, and those from between the roots while there are new ones."""
        for _ in range(ROUNDS):
            ends = solve(shooting, Z, size, self.tol, self.max_iterations, self.progress and len(self.inputs) == 1)
            self._count(ends.counts, ends.smallest)
            before = len(found)
            found = distinct_roots(shooting, ends.Z, ends.R, ends.scales, self.tol, found)
            Z = between_roots(found, before, self.n_drawn or N_STARTS, self.rng)
            if not len(Z):
                break
        return found

    def _count(self, counts, smallest):
        self.counts += counts
        self.smallest = min(self.smallest, smallest)

    def minima(self, k, max_speed) -> list[Root]:
        shooting = self.shooting(k)
        Z = self.starts(shooting)
        speeds = check_starts(shooting, Z)
        size = typical_size(Z)
        limit = 0.1 * float(np.median(speeds)) if max_speed is None else max_speed
        target = self.tol * np.minimum(np.maximum(np.linalg.norm(Z, axis=1), size), 1.0)
        ends, norms, _ = levenberg_marquardt(shooting, Z, self.max_iterations, target, self.progress)
        scales = np.maximum(np.linalg.norm(ends, axis=1), size)
        fixed = norms <= self.tol * scales
        candidates = np.flatnonzero(~fixed & (norms <= 2 * limit))
        found: list[Root] = []
        slow = 0
        for i in candidates[np.argsort(norms[candidates], kind="stable")]:
            root = _slow_root(shooting, ends[i], scales[i], self.tol)
            slow += root is not None
            if root is not None and root.speed <= limit and not any(_near(root, other, scales[i]) for other in found):
                found.append(root)
        counts = np.array([len(Z), fixed.sum(), slow, len(Z) - fixed.sum() - slow])
        self._count(counts, float(norms.min()))
        return sorted(found, key=lambda root: root.speed)

    def collect(self, per_input, slow) -> FixedPoints:
        n = self.system.n_units
        rows = [(k, root) for k, roots in enumerate(per_input) for root in roots]
        shootings = [self.shooting(k) for k in range(len(self.inputs))]
        linear = [_linearise(shootings[k], root.z, self.rng) for k, root in rows]
        if not slow:  # the stable ones first, those near the origin first
            index = [(np.abs(one[0]) > 1 + MARGIN).sum() for one in linear]
            order = sorted(range(len(rows)), key=lambda i: (rows[i][0], index[i], np.linalg.norm(rows[i][1].z)))
            rows, linear = [rows[i] for i in order], [linear[i] for i in order]
        roots = [root for _, root in rows]
        return FixedPoints(
            points=np.array([root.z for root in roots]).reshape(-1, n),
            speeds=np.array([root.speed for root in roots]),
            eigenvalues=np.array([one[0] for one in linear], complex).reshape(-1, n),
            directions=np.array([one[1] for one in linear]).reshape(-1, n),
            certified=np.array([root.certified for root in roots], bool),
            radii=np.array([root.radius for root in roots]),
            manifold=np.array([root.manifold for root in roots], int),
            signs=np.array([root.sign for root in roots], int),
            linear_errors=np.array([one[2] for one in linear]).reshape(-1, HORIZON),
            inputs=self.inputs,
            input_index=np.array([k for k, _ in rows], int),
            starts=Starts(*map(int, self.counts)),
            tol=self.tol,
            smallest_speed=self.smallest,
            slow=slow,
            dt=float(self.system.dt),
        )


def _slow_root(shooting, z, scale, tol):
    """The minimum of q next to z by BFGS; None if it is a fixed point after all or the slope does not vanish."""
    for _ in range(2):  # the second time in units of the lower q
        r = shooting.residual(z)
        z = z + scale * _lowest(shooting, z, scale, max(float(r @ r), 1e-300))
    r, J = shooting.residual(z), shooting.jacobians(z[None])[0]
    speed = float(np.linalg.norm(r))
    if speed <= tol * scale:
        return None
    steepest = max(float(np.linalg.norm(J)), speed / scale)  # J may vanish at a minimum, as it must in 1-D
    if np.linalg.norm(J.T @ r) > 1e-6 * steepest * speed:
        return None
    return Root(z, speed, np.inf, False, np.nan, np.nan, 0)


def _lowest(shooting, z, scale, unit):
    def value_and_slope(y):
        with np.errstate(all="ignore"):
            r = shooting.residual(z + scale * y)
            if not np.isfinite(r).all():
                return np.inf, np.zeros_like(y)
            return 0.5 * (r @ r) / unit, scale * (shooting.jacobians((z + scale * y)[None])[0].T @ r) / unit

    options = {"gtol": 1e-9, "maxiter": 500}
    return scipy.optimize.minimize(value_and_slope, np.zeros_like(z), jac=True, method="BFGS", options=options).x


def _near(root, other, scale):
    """Two minima are told apart down to the accuracy of a minimum, the root of that of a zero."""
    return np.linalg.norm(root.z - other.z) <= 1e-5 * scale and abs(root.speed - other.speed) <= 1e-4 * other.speed


def _linearise(shooting, x, rng):
    """Eigenvalues by falling modulus, direction of the first, and relative errors of the linear prediction."""
    J = shooting.step_jacobians(x[None])[0, 0]
    values, vectors = np.linalg.eig(J)
    order = np.argsort(-np.abs(values), kind="stable")
    leading = vectors[:, order[0]].real
    direction = leading / max(float(np.linalg.norm(leading)), 1e-300)
    away = rng.standard_normal(x.size)
    away *= 0.01 * max(float(np.linalg.norm(x)), 1.0) / np.linalg.norm(away)
    return values[order], direction, _linear_errors(shooting, J, x, away)


def _linear_errors(shooting, J, x, away):
    # x_1 of a slow point is not x: the prediction is x + r, r + J r, … and then J^k away
    true, drift, errors = x + away, np.zeros_like(x), np.empty(HORIZON)
    r, linear = shooting.residual(x), away
    for k in range(HORIZON):
        true = true + shooting.residual(true)
        drift, linear = r + J @ drift, J @ linear
        errors[k] = np.linalg.norm(true - (x + drift + linear)) / np.linalg.norm(away)
    return errors
