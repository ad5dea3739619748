"""Periodic orbits of any System by multiple shooting, unstable ones included."""

from dataclasses import dataclass

import numpy as np

from penstock.analysis.roots import (
    ROUNDS,
    Root,
    Shooting,
    Starts,
    between_roots,
    check_starts,
    distinct_roots,
    draw_starts,
    given_states,
    kinds,
    rounding,
    same_root,
    solve,
    typical_size,
)
from penstock.checks import as_finite_array, as_int, as_non_negative_float, as_positive_float, seed_sequence
from penstock.system import System, as_system
from penstock.threads import one_blas_thread

__all__ = ["PeriodicOrbits", "periodic_orbits"]

N_STARTS = 512
MARGIN = 1e-9  # |multiplier| this close to 1 is neither stable nor unstable
ROWS = 12  # of the table in a repr


@dataclass(frozen=True, eq=False, repr=False)
class PeriodicOrbits:
    """Hold the periodic orbits of one prime period p, each once, stable ones first.

    Attributes
    ----------
    orbits : array, shape (K, p, n)
        The points of every orbit in order of time.
    speeds : array, shape (K,)
        ‖F(x_i) - x_{i+1}‖ over the whole orbit, evaluated in float64.
    multipliers : array of complex, shape (K, n)
        Eigenvalues of the product of the Jacobians along the orbit, by falling modulus. Those smaller than 1e-15
        times the norm of that product are rounding.
    certified : array of bool, shape (K,)
        Whether the Newton-Kantorovich theorem, or the linear regions visited, prove exactly one orbit next to the
        numbers given (in float64, not in interval arithmetic).
    inputs : array, shape (p, m)
        The input of every step.
    regions : array of bool, shape (K, p, P), or None
        Which of the P rectified components were on at every point, if the orbits were found from the regions.
    starts : Starts
        How many starts converged, orbits of shorter period included. Of an enumeration, region sequences.
    n_shorter : int
        Distinct orbits met and left out because their period is a divisor of p.
    complete : bool
        Whether these are proved to be all: an enumeration in which no linear system was singular.
    tol : float
        Largest relative residual of an orbit.
    dt : float
        Time of one step.
    """

    orbits: np.ndarray
    speeds: np.ndarray
    multipliers: np.ndarray
    certified: np.ndarray
    inputs: np.ndarray
    regions: np.ndarray | None
    starts: Starts
    n_shorter: int
    complete: bool
    tol: float
    dt: float

    def __len__(self):
        return len(self.orbits)

    @property
    def period(self) -> int:
        """Prime period p in steps."""
        return self.orbits.shape[1]

    @property
    def indices(self) -> np.ndarray:
        """Number of unstable directions, multipliers of modulus above 1; shape (K,)."""
        return (np.abs(self.multipliers) > 1 + MARGIN).sum(axis=1)

    @property
    def stable(self) -> np.ndarray:
        """Whether all multipliers have modulus below 1; shape (K,)."""
        return np.abs(self.multipliers).max(axis=1, initial=0.0) < 1 - MARGIN

    @property
    def kinds(self) -> np.ndarray:
        """'stable', 'saddle', 'unstable' or 'marginal' (largest modulus is 1); shape (K,)."""
        return kinds(self.stable, self.indices, self.multipliers.shape[1])

    @property
    def exponents(self) -> np.ndarray:
        """Lyapunov exponents of the orbits, ln|multiplier| / (p dt), per unit time; shape (K, n)."""
        with np.errstate(divide="ignore"):
            return np.log(np.abs(self.multipliers)) / (self.period * self.dt)

    def plot(self, trajectories=None, ax=None):
        """Draw the orbits in their two leading principal components, or in those of `trajectories`; return the axes.

        Parameters
        ----------
        trajectories : array, shape (T, n) or (B, T, n), optional
            States to draw beneath.
        ax : matplotlib axes, optional
            Where to draw; new axes by default.
        """
        from penstock.analysis.plots import plot_periodic_orbits

        return plot_periodic_orbits(self, trajectories, ax)

    def __repr__(self):
        tail = f"; {self.n_shorter} of shorter period left out; tol={self.tol:g}"
        source = f"{self.starts.total} region sequences" if self.complete else f"{self.starts}"
        proof = ", proved to be all" if self.complete else ""
        if not len(self):
            return f"PeriodicOrbits: no orbit of period {self.period} found from {source}{proof}{tail}"
        kinds = self.kinds
        counts = ", ".join(f"{(kinds == kind).sum()} {kind}" for kind in dict.fromkeys(kinds))
        plural = "s" if len(self) > 1 else ""
        lines = [
            f"PeriodicOrbits: {len(self)} orbit{plural} of period {self.period} ({counts}; "
            f"{self.certified.sum()} certified){proof}",
            f"  from {source}{tail}",
            "  #    kind      index  residual  |multiplier|  exponent",
        ]
        for i in range(min(len(self), ROWS)):
            modulus, exponent = np.abs(self.multipliers[i, 0]), self.exponents[i, 0]
            row = (
                f"  {i:<4d} {kinds[i]:<9s} {self.indices[i]:<6d} {self.speeds[i]:<9.2g} {modulus:<13.5g} {exponent:.4g}"
            )
            lines.append(row)
        return "\n".join(lines + [f"  … {len(self) - ROWS} more"] * (len(self) > ROWS))


@one_blas_thread
def periodic_orbits(
    system: System,
    period: int,
    u=None,
    *,
    x0=None,
    n_starts: int | None = None,
    noise: float = 0.1,
    tol: float | None = None,
    max_iterations: int = 100,
    seed: int | np.random.SeedSequence = 0,
    progress: bool = True,
) -> PeriodicOrbits:
    """Find the orbits of prime period p of a map, stable and unstable, at frozen or periodic input.

    All points of an orbit are unknowns, F(x_i) = x_{i+1} and F(x_p) = x_1, so that a long unstable orbit is no harder
    than a fixed point: Levenberg-Marquardt from pieces of trajectories that nearly close, then Newton's method,
    certificate and removal of duplicates as in `fixed_points`. Orbits that differ by where they begin count once.
    A search is never complete: more starts may find more orbits.

    Parameters
    ----------
    system : System
        Any map. (The orbits of a flow close after a time that is no multiple of dt.)
    period : int
        Prime period p in steps.
    u : float or array, shape (m,) or (p, m), optional
        Frozen input, zero by default, or the inputs of the p steps of a periodic drive.
    x0 : array, shape (p, n) or (B, p, n), optional
        Orbits to start from.
    n_starts : int, optional
        Starts drawn in addition, 512 by default, none if `x0` is given.
    noise : float
        Standard deviation of the noise on every second drawn start, relative to the spread of the trajectories.
    tol : float, optional
        Largest relative residual of an orbit, as in `fixed_points`.
    max_iterations : int
        Of Levenberg-Marquardt; each costs O((p n)^3) per start.
    seed : int or numpy.random.SeedSequence
        Of the starts.
    progress : bool
        Whether a bar appears when the search takes longer than two seconds.

    Returns
    -------
    PeriodicOrbits
        Orbits (K, p, n), multipliers, certificates; K = 0 if none was found.

    Raises
    ------
    ValueError, TypeError
        If an argument has the wrong shape or value.
    FloatingPointError
        If no start has a finite step.

    References
    ----------
    P. Cvitanović et al., Chaos: Classical and Quantum, ChaosBook.org, chapter "Fixed points, and how to get them".

    Examples
    --------
    >>> import numpy as np
    >>> from penstock import Map
    >>> logistic = Map(lambda x, u: 3.5 * x * (1 - x), n_units=1)
    >>> orbits = periodic_orbits(logistic, 4)
    >>> orbits.stable
    array([ True])
    >>> np.sort(orbits.orbits[0, :, 0]).round(6)
    array([0.38282 , 0.500884, 0.826941, 0.874997])
    """
    system = as_system(system)
    period = as_int("period", period)
    shooting = Shooting(system, step_inputs(system, period, u))
    given = _given_orbits(system, period, x0)
    if n_starts is None:
        n_starts = 0 if len(given) else N_STARTS
    else:
        n_starts = as_int("n_starts", n_starts)
    tol = shooting.tolerance if tol is None else as_positive_float("tol", tol)
    noise, max_iterations = as_non_negative_float("noise", noise), as_int("max_iterations", max_iterations)
    rng = np.random.default_rng(seed_sequence(seed))
    Z = np.concatenate([given, draw_starts(shooting, n_starts, noise, rng)]) if n_starts else given
    check_starts(shooting, Z)
    roots: list[Root] = []
    counts, size = np.zeros(4, int), typical_size(Z)
    for _ in range(ROUNDS if period == 1 else 1):
        ends, before = solve(shooting, Z, size, tol, max_iterations, progress), len(roots)
        counts += ends.counts
        roots = distinct_roots(shooting, ends.Z, ends.R, ends.scales, tol, roots, lambda z: rotations(shooting, z))
        Z = between_roots(roots, before, n_starts or N_STARTS, rng)
        if not len(Z):
            break
    prime = [root for root in roots if not _is_shorter(shooting, root)]
    return make_orbits(shooting, prime, Starts(*map(int, counts)), len(roots) - len(prime), tol)


def step_inputs(system, period, u) -> np.ndarray:
    """Return the inputs of the steps of an orbit as (p, m)."""
    m = system.n_inputs
    if m == 0:
        if u is not None:
            raise ValueError(f"u must be None for a system without inputs, got {u!r}")
        return np.zeros((period, 0))
    u = np.atleast_1d(as_finite_array("u", 0.0 if u is None else u, ndim=(0, 1, 2)))
    if u.shape not in ((1,), (m,), (period, m)) or (u.shape == (1,) and m > 1 and u.any()):
        raise ValueError(f"u must be a frozen input of shape ({m},) or one period ({period}, {m}), got {u.shape}")
    return np.array(np.broadcast_to(u, (period, m)))


def _given_orbits(system, period, x0):
    if x0 is None:
        return np.empty((0, period * system.n_units))
    x0 = as_finite_array("x0", x0, ndim=(2, 3))
    if x0.shape[-2:] != (period, system.n_units):
        shape = f"({period}, {system.n_units})"
        raise ValueError(f"x0 must have shape {shape} or (B, {shape[1:]}, got {x0.shape}")
    return given_states(system, x0.reshape(-1, system.n_units)).reshape(-1, period * system.n_units)


def rotations(shooting, z):
    """The same orbit begun at each of its points, (p, p n); under a periodic drive it begins where the drive does."""
    X = z.reshape(shooting.period, -1)
    shifts = [k for k in range(shooting.period) if (np.roll(shooting.inputs, -k, axis=0) == shooting.inputs).all()]
    return np.array([np.roll(X, -k, axis=0).ravel() for k in shifts])


def _is_shorter(shooting, root):
    """Whether the orbit closes earlier."""
    shifted = rotations(shooting, root.z)[1:]
    noise = root.speed + rounding(shooting, float(np.linalg.norm(root.z)))
    return bool(len(shifted)) and same_root(shooting, root._replace(manifold=0), shifted, noise, 0.0)


def make_orbits(shooting, roots: list[Root], starts, n_shorter, tol, regions=None, complete=False) -> PeriodicOrbits:
    """Return the result for roots of the shooting equations, sorted by number of unstable directions and growth."""
    n, p = shooting.system.n_units, shooting.period
    multipliers = [_multipliers(shooting, root.z) for root in roots]
    moduli = [np.abs(values) for values in multipliers]
    order = sorted(range(len(roots)), key=lambda i: ((moduli[i] > 1 + MARGIN).sum(), moduli[i][0]))
    roots = [roots[i] for i in order]
    return PeriodicOrbits(
        orbits=np.array([root.z for root in roots]).reshape(-1, p, n),
        speeds=np.array([root.speed for root in roots]),
        multipliers=np.array([multipliers[i] for i in order], complex).reshape(-1, n),
        certified=np.array([root.certified for root in roots], bool),
        inputs=shooting.inputs,
        regions=None if regions is None else regions[order],
        starts=starts,
        n_shorter=n_shorter,
        complete=complete,
        tol=tol,
        dt=float(shooting.system.dt),
    )


def _multipliers(shooting, z):
    product = np.eye(shooting.system.n_units)
    for J in shooting.step_jacobians(z[None])[0]:
        product = J @ product
    values = np.linalg.eigvals(product)
    return values[np.argsort(-np.abs(values), kind="stable")]
