"""Covariant Lyapunov vectors: the directions in which perturbations of a system grow at the rate of each exponent."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from penstock.analysis.lyapunov import N_BLOCKS, Frame, as_course, as_exponents
from penstock.checks import as_int, as_positive_float
from penstock.progress import track
from penstock.system import System, as_system
from penstock.threads import one_blas_thread

__all__ = ["CovariantVectors", "covariant_vectors"]

UNSETTLED = 1e-3  # what may be left of a foreign direction


@dataclass(frozen=True, repr=False, eq=False)
class CovariantVectors:
    """Hold covariant Lyapunov vectors along a trajectory.

    Attributes
    ----------
    states : array, shape (T, n)
        The states at the stored times.
    vectors : array, shape (T, k, n)
        Unit vectors: ``J vectors[t, i]`` is parallel to ``vectors[t + 1, i]``, with J over the `every` steps between.
    local_exponents : array, shape (T, k)
        Growth rate of every vector over the `every` steps before each stored time, nats per unit of time.
    exponents, standard_errors : array, shape (k,)
        Their means over time, the Lyapunov exponents, and the errors of those from 20 blocks.
    times : array, shape (T,)
        Time of every state after the washout.
    kind : str
        "driven" or "autonomous".
    every, washout, end : int
        Steps between stored times, and steps discarded at the beginning and at the end.
    dt : float
        Time of one step.
    seed : int or SeedSequence
        Seed of the start and of the frames.
    doubts : tuple of str
        Why vectors may not be those they seem; empty if nothing speaks against them.
    """

    states: np.ndarray
    vectors: np.ndarray
    local_exponents: np.ndarray
    exponents: np.ndarray
    standard_errors: np.ndarray
    times: np.ndarray
    kind: str
    every: int
    washout: int
    end: int
    dt: float
    seed: int | np.random.SeedSequence
    doubts: tuple[str, ...]

    @property
    def converged(self) -> bool:
        """Whether no check speaks against the vectors; `doubts` says what does."""
        return not self.doubts

    def angles(self, first: int, second: int) -> np.ndarray:
        """Return the angle between two of the vectors at every time, 0 to pi / 2; shape (T,)."""
        a, b = self.vectors[:, first].astype(np.float64), self.vectors[:, second].astype(np.float64)
        sign = np.where(np.einsum("tn,tn->t", a, b) < 0, -1.0, 1.0)[:, None]
        # accurate for small angles too, where the arccos of the product is not
        return 2 * np.arctan2(np.linalg.norm(a - sign * b, axis=1), np.linalg.norm(a + sign * b, axis=1))

    def plot(self, ax=None):
        """Draw how the angles between neighbouring vectors are distributed; return the matplotlib axes."""
        from penstock.analysis.plots import plot_covariant_angles

        return plot_covariant_angles(self, ax)

    def __repr__(self):
        n_times, k, n = self.vectors.shape
        rates = zip(self.exponents[:6], self.standard_errors[:6], strict=True)
        listed = ", ".join(f"{rate:.4g} ± {error:.1g}" for rate, error in rates) + ", …" * (k > 6)
        smallest = [float(self.angles(i, i + 1).min()) for i in range(min(k, 7) - 1)]
        lines = [
            f"CovariantVectors: {k} in {n} dimensions at {n_times} times, every {self.every} steps of {self.dt:g}",
            f"  growth      {listed} nats per unit of time (± standard error)",
            f"  angles      smallest between neighbours {', '.join(f'{angle:.2g}' for angle in smallest) or '-'} rad",
            f"  length      {self.washout} steps discarded before, {self.end} after; {self.kind}, seed {self.seed}",
        ]
        return "\n".join(lines + [f"  NOT CONVERGED: {doubt}" for doubt in self.doubts])


@one_blas_thread
def covariant_vectors(
    system: System,
    u=None,
    n_vectors: int | None = None,
    *,
    n_steps: int | None = None,
    washout: int | None = None,
    end: int | None = None,
    every: int = 1,
    x0=None,
    memory_limit: float = 2.0,
    seed: int | np.random.SeedSequence = 0,
    progress: bool = True,
) -> CovariantVectors:
    """Compute the leading or all covariant Lyapunov vectors along a trajectory, by the method of Ginelli.

    Orthonormal frames go forward, V = Q R, and are stored; then random coefficients go backward,
    ``C_{t-1} = R_t^{-1} C_t`` with columns of unit length, and settle on those of the covariant vectors ``Q_t C_t``.
    Unlike the frames these do not depend on the scalar product, and move into one another under the dynamics. Only
    vectors of different exponents are defined one by one; of equal ones, such as those of a complex pair, just their
    span is, and `doubts` says so.

    Parameters
    ----------
    system : System
        Any system with invertible Jacobians.
    u : array, shape (T, m), optional
        Inputs of a driven system: `washout` steps from its beginning and `end` steps of it are discarded.
    n_vectors : int, optional
        The number k of vectors, by default all.
    n_steps : int, optional
        Steps kept, for autonomous systems, by default 10,000.
    washout, end : int, optional
        Steps discarded before (state and frame settle) and after (the coefficients settle); each by default a tenth of
        the length, at least 100 for autonomous systems. A direction settles as exp(-t (lambda_i - lambda_i+1)).
    every : int
        Steps between stored times; so many at most that the fastest growth stays below 1e6 times the slowest.
    x0 : array, shape (n,), optional
        Start, as in `lyapunov_spectrum`.
    memory_limit : float
        Gigabytes that frames and factors may take.
    seed : int or SeedSequence
        Seed of the start, the frame and the coefficients.
    progress : bool
        Whether a bar appears when the run takes longer than two seconds.

    Returns
    -------
    CovariantVectors

    Raises
    ------
    TypeError, ValueError
        If an argument is of no use, the run too short, the memory too large (checked before the run), or a Jacobian
        singular.
    FloatingPointError
        If the state diverges or a tangent is not finite.

    References
    ----------
    F. Ginelli et al., Characterizing dynamics with covariant Lyapunov vectors, Phys. Rev. Lett. 99, 130601 (2007).

    Examples
    --------
    Of a constant Jacobian they are the eigenvectors, here of a matrix whose eigenvectors are not orthogonal:

    >>> import numpy as np
    >>> from penstock import Map
    >>> from penstock.analysis import covariant_vectors
    >>> A = np.array([[2.0, 1.0], [0.0, 0.5]])
    >>> shear = Map(lambda x, u: A @ x % 1.0, n_units=2, rule_jacobian=lambda x, u: A)
    >>> result = covariant_vectors(shear, n_steps=100)
    >>> np.abs(result.vectors[50]).round(6).tolist()
    [[1.0, 0.0], [0.5547, 0.83205]]
    """
    system = as_system(system)
    k = as_exponents("n_vectors", n_vectors, system.n_units)
    every, end = as_int("every", every), None if end is None else as_int("end", end, minimum=0)
    if system.n_inputs:
        n_given = len(u) if np.ndim(u) else 0
        end = n_given // 10 if end is None else end
    else:
        n_steps = as_int("n_steps", 10_000 if n_steps is None else n_steps)
        end = max(100, n_steps // 10) if end is None else end
        n_steps = n_given = n_steps + end
    _check_memory(system, k, n_given, end, every, memory_limit)
    course = as_course(system, u, n_steps, washout, x0, seed, end + N_BLOCKS * every)
    frame = Frame(system, course.x0, k, None, course.frame_seed)
    frame.settle(course)
    states, frames, factors = _forward(frame, course, end, every, progress)
    growth = _backward(frames, factors, course.frame_seed)
    return _make_result(states, frames, growth / (every * system.dt), system, course, end, every, seed)


def _check_memory(system, k, n_steps, end, every, memory_limit):
    stored, n_units = max(0, n_steps - end) // every, system.n_units
    size = (stored * (k + 1) * n_units + (n_steps // every) * k * k) * 8 / 1e9
    if size > as_positive_float("memory_limit", memory_limit):
        raise ValueError(
            f"memory_limit must be at least {size:.3g} GB for {k} vectors in {n_units} dimensions at {stored} times, "
            f"got {memory_limit}; or shorten the run, lower n_vectors, or raise every"
        )


def _forward(frame, course, end, every, progress):
    """Return the states (T, n) and frames (T, k, n) of the kept times, and the factors R (T + further, k, k)."""
    system, (k, n_units) = frame.system, frame.V.shape
    kept, total = (course.n_steps - end) // every, course.n_steps // every
    states, frames = np.empty((kept, n_units), system.dtype), np.empty((kept, k, n_units), system.dtype)
    factors = np.empty((total, k, k))
    x, V, none = frame.x, frame.V, np.empty((0, k, 0), system.dtype)
    inputs = course.inputs[course.frame_steps :]
    for t in track(range(total), total, "covariant vectors", progress):
        before = x.copy()
        u = inputs[t * every : (t + 1) * every]
        with np.errstate(all="ignore"):
            system._push(x, u, V, none, none)
        if not np.isfinite(x).all():
            system.run(u, before)  # names the step and the unit
        if not np.isfinite(V).all():
            raise FloatingPointError(f"the tangents stopped being finite within every = {every} steps")
        basis, factors[t] = np.linalg.qr(V.T)
        V[:] = basis.T
        _check_factor(factors[t], every, n_units, system.dtype)
        if t < kept:
            states[t], frames[t] = x, V
    return states, frames, factors


def _check_factor(factor, every, n_units, dtype):
    diagonal = np.abs(np.diagonal(factor))
    if diagonal.min() <= 45 * np.finfo(dtype).eps * np.sqrt(n_units) * diagonal.max():
        last = int(np.argmin(diagonal))
        remedy = "lower every, or " if every > 1 else ""
        raise ValueError(
            f"n_vectors must be at most {last} here, got {len(diagonal)}: vector {last} (counted from 0) collapsed, as "
            f"the Jacobian is singular; {remedy}ask for fewer vectors"
        )


def _backward(frames, factors, rng):
    """Turn the frames into covariant vectors in place; return the log growth before each kept time, (T, k)."""
    kept, k, _ = frames.shape
    C = np.triu(rng.standard_normal((k, k))) + np.eye(k)
    C /= np.linalg.norm(C, axis=0)
    growth = np.empty((kept, k))
    for t in range(len(factors) - 1, -1, -1):
        if t < kept:
            frames[t] = C.T @ frames[t]
        C = solve_triangular(factors[t], C, check_finite=False)
        norms = np.linalg.norm(C, axis=0)
        C /= norms
        if t < kept:
            growth[t] = -np.log(norms)
    return growth


def _make_result(states, vectors, rates, system, course, end, every, seed):
    blocks = np.array([block.mean(axis=0) for block in np.array_split(rates, N_BLOCKS)])
    exponents = rates.mean(axis=0)
    return CovariantVectors(
        states=states,
        vectors=vectors,
        local_exponents=rates,
        exponents=exponents,
        standard_errors=blocks.std(axis=0, ddof=1) / np.sqrt(N_BLOCKS),
        times=(1 + np.arange(len(states))) * every * system.dt,
        kind="driven" if system.n_inputs else "autonomous",
        every=every,
        washout=course.washout,
        end=end,
        dt=float(system.dt),
        seed=seed,
        doubts=_doubts(exponents, min(end, course.frame_steps) * system.dt),
    )


def _doubts(exponents, time):
    """Which neighbours have not settled within `time`, the shorter of those discarded before and after."""
    gaps = exponents[:-1] - exponents[1:]
    mixed = np.flatnonzero(np.exp(-np.maximum(gaps, 0) * time) > UNSETTLED)
    if not len(mixed):
        return ()
    pairs = ", ".join(f"{i} and {i + 1}" for i in mixed[:4]) + ", …" * (len(mixed) > 4)
    return (
        f"vectors {pairs} (counted from 0) have not parted: their exponents are too close for the {time:g} units of "
        "time before or after, or equal; lengthen washout and end, or trust their span only",
    )
